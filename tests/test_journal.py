"""A journal is whole lines, whatever happened to its tail."""

import json
import math
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phi_tui import journal
from phi_tui.metrics import MetricStore


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


def test_times_never_run_backwards_whatever_the_clock_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1000.0, 1001.0, 400.0, 401.0, 1002.5])
    monkeypatch.setattr(journal.time, "time", lambda: next(clock))
    book = journal.Journal(tmp_path / "j")
    for _ in range(3):
        book.write("step")
    book.close()
    book = journal.Journal(tmp_path / "j")  # another process, whose clock is behind
    for _ in range(2):
        book.write("step")
    book.close()
    assert [event["time"] for event in journal.read(tmp_path / "j")] == [1000.0, 1001.0, 1001.0, 1001.0, 1002.5]


def test_what_looks_like_a_secret_is_struck_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    book = journal.Journal(tmp_path / "j")
    book.write("warning", message="key 0123456789abcdef, token hf_ABCDEFGHIJKL, https://me:pass@host/x")
    book.write("phase", name="x", notes=[{"a": "hf_ABCDEFGHIJKL"}])
    book.close()
    text = (tmp_path / "j").read_text()
    assert "0123456789abcdef" not in text and "hf_ABCD" not in text and "me:pass" not in text
    assert "https://***@host/x" in text


def test_threads_write_whole_lines_with_numbers_of_their_own(tmp_path: Path) -> None:
    book = journal.Journal(tmp_path / "j")
    threads = [
        threading.Thread(target=lambda: [book.write("step", text="x" * 500) for _ in range(200)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    book.close()
    assert [event["seq"] for event in journal.read(tmp_path / "j")] == list(range(1, 801))


def test_a_disk_that_takes_half_a_line_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = journal.Journal(tmp_path / "j")
    book.write("step", step=1)
    real = os.write
    monkeypatch.setattr(journal.os, "write", lambda handle, data: real(handle, data[: len(data) // 2]))
    with pytest.raises(OSError, match="No space"):
        book.write("step", step=2)
    monkeypatch.undo()
    book.write("step", step=3)
    book.close()
    assert [(event["seq"], event["step"]) for event in journal.read(tmp_path / "j")] == [(1, 1), (2, 3)]


@pytest.mark.slow
def test_a_million_events_are_read_and_followed_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "j"
    line = '{{"seq": {0}, "time": {0}.5, "kind": "step", "step": {0}, "loss": 2.5, "lr": 1e-3, "tokens": 9}}\n'
    with open(path, "w") as file:
        file.writelines(line.format(number) for number in range(1, 1_000_001))
    began = time.perf_counter()
    assert journal.last(path)[-1]["step"] == 1_000_000
    book = journal.Journal(path)
    book.write("step", step=1_000_001)
    book.close()
    quick = time.perf_counter() - began
    follower, store, read = journal.Follower(path), MetricStore(), 0
    began = time.perf_counter()
    while events := follower.poll(4 * 1024 * 1024):
        store.feed(events)
        read += len(events)
    print(f"last event and another one in {quick:.3f} s, all followed in {time.perf_counter() - began:.1f} s")
    assert read == 1_000_001 and store.snapshot().step == 1_000_001
    assert quick < 1.0
