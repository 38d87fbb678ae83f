"""A journal is whole lines, whatever happened to its tail."""

import json
import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from phi_tui import journal


def test_events_come_back_in_order_with_numbers_and_times(tmp_path: Path) -> None:
    book = journal.Journal(tmp_path / "j")
    book.write("phase", name="load")
    book.write("step", step=1, loss=2.5, text="φ\n\x1b")
    book.close()
    events = list(journal.read(tmp_path / "j"))
    assert [e["seq"] for e in events] == [1, 2]
    assert events[1]["loss"] == 2.5
    assert events[1]["text"] == "φ\n\x1b"


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    book = journal.Journal(tmp_path / "j")
    book.write("step", loss=math.nan, more=[math.inf, {"a": -math.inf}])
    book.close()
    event = json.loads((tmp_path / "j").read_text(), parse_constant=lambda name: 1 / 0)
    assert event["loss"] is None
    assert event["more"] == [None, {"a": None}]


@given(st.integers(0, 200))
def test_a_torn_tail_is_cut_off_by_the_next_writer(tmp_path_factory, cut: int) -> None:
    path = tmp_path_factory.mktemp("j") / "j"
    book = journal.Journal(path)
    for step in range(3):
        book.write("step", step=step)
    book.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - cut)])
    left = len(list(journal.read(path)))
    book = journal.Journal(path)
    book.write("step", step=99)
    book.close()
    events = list(journal.read(path))
    assert all(json.loads(line) for line in path.read_bytes().splitlines())
    assert events[-1]["step"] == 99
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert len(events) in (left, left + 1)


def test_a_follower_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    follower = journal.Follower(path)
    assert follower.poll() == []
    path.write_bytes(b'{"kind": "step", "step": 1}\n{"kind": "st')
    assert [e["step"] for e in follower.poll()] == [1]
    with open(path, "ab") as file:
        file.write(b'ep", "step": 2}\n')
    assert [e["step"] for e in follower.poll()] == [2]
    assert follower.poll() == []


def test_lines_that_are_no_event_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b'garbage\n[1]\n{"no": 1}\n\xff\xfe\n{"kind": "done"}\n')
    assert [e["kind"] for e in journal.read(tmp_path / "j")] == ["done"]
    assert [e["kind"] for e in journal.last(tmp_path / "j")] == ["done"]


def test_a_missing_journal_has_no_events(tmp_path: Path) -> None:
    assert list(journal.read(tmp_path / "none")) == []
    assert journal.last(tmp_path / "none") == []
