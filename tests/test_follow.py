"""Following a run: what its journal gains is seen, states change by themselves, the list of runs is cheap."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import walking

from phi_tui import ahead, journal
from phi_tui.follow import LATEST_SECONDS, Follow
from phi_tui.run import Run
from phi_tui.run_list import RunList
from phi_tui.workspace import Workspace


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_follower_sees_steps_and_the_end(tmp_path: Path) -> None:
    one = walking.a_run(tmp_path, end="none")
    handle = one.take()
    told: list[float] = []
    follow = Follow(one, lambda: told.append(time.monotonic()))
    _until(follow.caught_up.is_set)
    assert follow.state == "running" and follow.snapshot().step == 40
    assert follow.load is not None
    book = journal.Journal(one.journal)
    book.write("step", step=41, steps=50, epoch=4.1, loss=0.1, lr=1e-3, grad_norm=1.0, tokens=1, tokens_per_second=1.0)
    _until(lambda: follow.snapshot().step == 41)
    book.write("stopped", message="stopped")
    book.close()
    os.close(handle)
    _until(lambda: follow.state == "stopped")
    assert follow.snapshot().message == "stopped"
    follow.close()


def _spoken(one: Run, spent: Callable[[], float], seconds: float) -> list[float]:
    """When a follower spoke within so many seconds of a step every other millisecond, and a checkpoint now and then."""
    told: list[float] = []
    follow = Follow(one, lambda: told.append(time.monotonic()), spent)
    _until(follow.caught_up.is_set)
    book = journal.Journal(one.journal)
    began, step = time.monotonic(), 40
    while time.monotonic() - began < seconds:
        step += 1
        book.write("step", step=step, steps=9999, epoch=1.0, loss=1.0, lr=1e-3, tokens=1, tokens_per_second=1.0)
        if step % 100 == 0:
            book.write("checkpoint", step=step, path=f"checkpoints/step-{step}")
        time.sleep(0.002)
    follow.close()
    book.close()
    return [at for at in told if at >= began]


def test_a_follower_speaks_at_most_once_a_second_however_fast_steps_come(tmp_path: Path) -> None:
    one = walking.a_run(tmp_path, end="none")
    handle = one.take()
    assert 1 <= len(_spoken(one, lambda: 0.0, 2.7)) <= 3
    os.close(handle)


def test_where_drawing_is_slow_a_follower_speaks_less_often_but_not_too_seldom(tmp_path: Path) -> None:
    one = walking.a_run(tmp_path, end="none")
    handle = one.take()
    # A whole second is spent from one look to the next.
    spoken = _spoken(one, itertools.count().__next__, LATEST_SECONDS + 0.9)
    os.close(handle)
    assert len(spoken) == 1


def test_an_end_and_what_is_said_are_told_at_once_however_slow_drawing_is(tmp_path: Path) -> None:
    one = walking.a_run(tmp_path, end="none")
    handle = one.take()
    told: list[tuple[float, int, int]] = []
    known = threading.Event()

    def changed() -> None:
        if known.is_set():
            shot = follow.snapshot()
            told.append((time.monotonic(), shot.step, len(shot.log)))

    follow = Follow(one, changed, itertools.count().__next__)
    _until(follow.caught_up.is_set)
    known.set()
    book = journal.Journal(one.journal)
    before, wrote = len(follow.snapshot().log), time.monotonic()
    book.write("step", step=41, steps=99, loss=1.0)
    book.write("warning", message="hot")
    _until(lambda: bool(told) and told[-1][2] > before)
    assert told[-1][0] - wrote < 2.0 and told[-1][1] == 41
    wrote = time.monotonic()
    book.write("step", step=42, steps=99, loss=1.0)  # its last step, which nothing else would draw
    book.close()
    os.close(handle)
    _until(lambda: follow.state == "died")
    assert told[-1][0] - wrote < 2.0 and told[-1][1] == 42
    follow.close()


def test_a_long_journal_is_read_ahead_and_then_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "LONG", 100)
    one = walking.a_run(tmp_path, end="none")
    handle = one.take()
    follow = Follow(one, lambda: None)
    assert follow.snapshot().message == "reading its journal"
    _until(follow.caught_up.is_set)
    assert follow.snapshot().step == 40 and follow.snapshot().message == ""
    book = journal.Journal(one.journal)
    book.write("step", step=41, steps=99, loss=1.0)
    book.close()
    _until(lambda: follow.snapshot().step == 41)
    follow.close()
    os.close(handle)


def test_a_reader_that_breaks_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = walking.a_run(tmp_path)
    broken = ahead.Ahead(tmp_path / "none")
    follow = Follow(one, lambda: None, ahead=broken)
    _until(lambda: follow.state == "done")
    assert follow.snapshot().step == 40 and follow.snapshot().state == "done"
    follow.close()


def test_the_list_of_runs_puts_live_ones_on_top_and_reads_a_run_again_only_when_it_changed(tmp_path: Path) -> None:
    old = walking.a_run(tmp_path, 1, end="none")
    walking.a_run(tmp_path, 2)
    handle = old.take()
    runs = RunList()
    first = runs.read(Workspace(tmp_path))
    assert [(glance.run.id[-1], glance.state) for glance in first] == [("1", "running"), ("2", "done")]
    assert first[1].figures["perplexity"] == 1.039 and first[0].step == 40
    again = runs.read(Workspace(tmp_path))
    assert all(new is before for new, before in zip(again, first, strict=True))
    os.close(handle)
    assert runs.read(Workspace(tmp_path))[1].state == "died"


def test_a_live_run_that_just_said_much_is_still_at_its_step(tmp_path: Path) -> None:
    one = walking.a_run(tmp_path, end="none")
    handle = one.take()
    book = journal.Journal(one.journal)
    for number in range(8):
        book.write("sample", step=40, number=number, prompt="p", text="x" * 1000)
    book.close()
    [glance] = RunList().read(Workspace(tmp_path))
    assert (glance.state, glance.step) == ("running", 40)
    os.close(handle)


def test_a_journal_of_nonsense_stops_no_list(tmp_path: Path) -> None:
    one = walking.a_run(tmp_path, end="none")
    with open(one.journal, "a") as file:
        file.write('{"kind": "step", "step": "many", "steps": [1], "loss": {}}\n{"kind": "done", "steps": "x"}\n{{{\n')
    [glance] = RunList().read(Workspace(tmp_path))
    assert glance.state == "done" and glance.loss is None
