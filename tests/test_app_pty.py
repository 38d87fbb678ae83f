"""The app in a real terminal: what happens to a run when the terminal, the line or the app goes away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import projects
import pytest
from terminal import Terminal, environment, phi_tui

from phi_tui import journal, run
from phi_tui.run import Run
from phi_tui.workspace import Workspace

_LONG = "max_steps = 400\neval_every = 100\nsamples = 1\nsample_tokens = 4\n"


def _project(tmp_path: Path, where: str = "background", settings: str = _LONG) -> Path:
    return projects.make(tmp_path, settings=f'{settings}[launch]\nwhere = "{where}"\n')


def _only_run(tmp_path: Path) -> Run | None:
    runs = run.listed(Workspace(tmp_path))
    return runs[0] if runs else None


def _steps(tmp_path: Path) -> list[int]:
    one = _only_run(tmp_path)
    return [event["step"] for event in journal.read(one.journal) if event["kind"] == "step"] if one else []


def _until(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def _ended(tmp_path: Path, seconds: float = 120.0) -> Run:
    _until(lambda: (one := _only_run(tmp_path)) is not None and one.holder() is None, "the run's end", seconds)
    one = _only_run(tmp_path)
    assert one is not None
    return one


def _start(tmp_path: Path, file: Path, **more: object) -> Terminal:
    terminal = Terminal(phi_tui(file, "--start"), env=environment(tmp_path, OMP_NUM_THREADS="1"), **more)  # type: ignore[arg-type]
    terminal.until(lambda: len(_steps(tmp_path)) >= 5, "five steps", 120)
    return terminal


def test_a_background_run_outlives_the_killed_app_and_a_second_app_shows_the_whole_curve(tmp_path: Path) -> None:
    with _start(tmp_path, _project(tmp_path)) as terminal:
        os.kill(terminal.process.pid, signal.SIGKILL)
        terminal.process.wait(10)
        one = _ended(tmp_path)
    assert one.state() == "done"
    assert _steps(tmp_path) == list(range(1, 401))
    with Terminal(phi_tui("attach", "toy", "--workspace", tmp_path), env=environment(tmp_path)) as again:
        again.wait_for("done", "step 400/400", "c to chat")
        again.press("ctrl+q")
        assert again.end() == 0


@pytest.mark.parametrize(
    "unread",
    [pytest.param(False, marks=pytest.mark.slow), pytest.param(True, marks=pytest.mark.slow)],
    ids=["closed", "unread, then closed"],
)
def test_a_background_run_outlives_its_terminal_and_the_app_ends_with_it(tmp_path: Path, unread: bool) -> None:
    with _start(tmp_path, _project(tmp_path)) as terminal:
        if unread:
            terminal.stop_reading()
            seen = len(_steps(tmp_path))
            _until(lambda: len(_steps(tmp_path)) >= seen + 50, "fifty more steps while nobody reads")
        terminal.hang_up()
        terminal.end()
        assert _ended(tmp_path).state() == "done"
    assert _steps(tmp_path) == list(range(1, 401))


@pytest.mark.parametrize(
    "unread", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["closed", "unread, then closed"]
)
def test_a_run_here_saves_and_ends_when_its_terminal_closes_and_resumes(tmp_path: Path, unread: bool) -> None:
    file = _project(tmp_path, "here")
    with _start(tmp_path, file) as terminal:
        if unread:
            terminal.stop_reading()
            time.sleep(1.0)
        terminal.hang_up()
        assert terminal.end(40) in (130, -signal.SIGHUP)
    one = _ended(tmp_path, 1)
    assert one.state() == "stopped"
    stopped_at = _steps(tmp_path)[-1]
    assert (one.checkpoints / f"step-{stopped_at}").is_dir()


def test_sigterm_saves_a_run_here_and_gives_the_terminal_back(tmp_path: Path) -> None:
    with _start(tmp_path, _project(tmp_path, "here")) as terminal:
        os.kill(terminal.process.pid, signal.SIGTERM)
        assert terminal.end(40) == 130
        assert b"\x1b[?1049l" in bytes(terminal.raw)  # the alternate screen was left
    assert _ended(tmp_path, 1).state() == "stopped"


@pytest.mark.slow
def test_quitting_asks_nothing_and_stops_no_background_run(tmp_path: Path) -> None:
    with _start(tmp_path, _project(tmp_path)) as terminal:
        terminal.press("ctrl+q")
        assert terminal.end() == 0
        one = _only_run(tmp_path)
        assert one is not None and one.state() == "running"
        assert _ended(tmp_path).state() == "done"


@pytest.mark.slow
def test_a_resize_and_a_suspended_app_come_back_whole(tmp_path: Path) -> None:
    with _start(tmp_path, _project(tmp_path, settings=_LONG.replace("400", "4000"))) as terminal:
        terminal.resize(80, 24)
        terminal.until(lambda: "m Chart" in terminal.text.splitlines()[-1], "the footer on the last line of 24", 10)
        terminal.press("ctrl+z")
        _until(lambda: _state(terminal.process.pid) == "T", "the app stopped", 10)
        seen = len(_steps(tmp_path))
        _until(lambda: len(_steps(tmp_path)) >= seen + 20, "the run going on meanwhile")
        os.kill(terminal.process.pid, signal.SIGCONT)
        terminal.press("2")
        terminal.wait_for("Bases", seconds=60)
        terminal.press("ctrl+q")
        assert terminal.end() == 0
    one = _only_run(tmp_path)
    assert one is not None and one.state() == "running"
    one.ask("quit")
    assert _ended(tmp_path).state() == "stopped"


def test_an_app_that_was_stopped_from_outside_takes_keys_and_quits(tmp_path: Path) -> None:
    with Terminal(phi_tui("--workspace", tmp_path), env=environment(tmp_path)) as terminal:
        terminal.wait_for("1 Home", "Projects")
        time.sleep(0.5)
        threads = _threads(terminal.process.pid)
        for _ in range(6):
            os.kill(terminal.process.pid, signal.SIGSTOP)
            _until(lambda: _state(terminal.process.pid) == "T", "the app stopped", 10)
            os.kill(terminal.process.pid, signal.SIGCONT)
            _until(lambda: _state(terminal.process.pid) != "T", "the app going on", 10)
            time.sleep(0.3)
        _until(lambda: _threads(terminal.process.pid) <= threads + 2, "one reader of keys, not seven", 10)
        terminal.press("2")
        terminal.wait_for("Bases", seconds=30)
        terminal.press("ctrl+q")
        assert terminal.end() == 0


def test_the_run_is_stopped_from_its_screen_after_a_question(tmp_path: Path) -> None:
    with _start(tmp_path, _project(tmp_path, settings=_LONG.replace("400", "4000"))) as terminal:
        terminal.press("x")
        terminal.wait_for("Save and stop")
        terminal.press("enter")
        terminal.wait_for("r to go on from its newest checkpoint")
        terminal.press("ctrl+q")
        assert terminal.end() == 0
    assert _ended(tmp_path).state() == "stopped"


def _threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
