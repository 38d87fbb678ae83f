"""A terminal that closes, one that nobody reads, an app that is killed: twenty times each, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import places
import projects
import pytest
from places import Place, adapter_of, only_run
from terminal import Terminal, environment, phi_tui
from test_app_pty import _ended, _steps, _until
from trials import Zygote

pytestmark = pytest.mark.slow  # real terminals: some ten seconds a round on two cores
ROUNDS = 20
STEPS = 120
SETTINGS = f"max_steps = {STEPS}\neval_every = 60\nsamples = 0\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Zygote() as zygote:
        yield places.make(tmp_path_factory.mktemp("lost"), zygote, SETTINGS)


def _lose(terminal: Terminal, folder: Path, how: str) -> None:
    if how == "killed":
        os.kill(terminal.process.pid, signal.SIGKILL)
        terminal.process.wait(10)
        return
    if how == "unread":
        terminal.stop_reading()
        seen = len(_steps(folder))
        _until(lambda: len(_steps(folder)) >= min(STEPS, seen + 20), "twenty more steps while nobody reads")
    terminal.hang_up()
    terminal.end(40)


@pytest.mark.parametrize("where", ["background", "here"])
@pytest.mark.parametrize("how", ["closed", "unread", "killed"])
def test_twenty_times_nothing_is_lost(place: Place, tmp_path: Path, where: str, how: str) -> None:
    """In the background a run goes on to its end; here it ends, saved unless it was killed, and resumes."""
    states: list[str] = []
    for _ in range(ROUNDS):
        file = place.copy(tmp_path / "work")
        file.write_text(file.read_text() + f'[launch]\nwhere = "{where}"\n')
        with Terminal(phi_tui(file, "--start"), env=environment(tmp_path, OMP_NUM_THREADS="1")) as terminal:
            terminal.until(lambda: len(_steps(tmp_path / "work")) >= 3, "three steps", 120)
            _lose(terminal, file.parent, how)
            one = _ended(file.parent)
        states.append(one.state())
        if where == "here" and one.state() != "done":
            assert one.state() == ("died" if how == "killed" else "stopped")
            done = projects.command("--replay", file, "--resume", cwd=file.parent)
            assert done.returncode == 0, done.stderr
        assert only_run(file).state() == "done"
        assert sorted(set(_steps(file.parent))) == list(range(1, STEPS + 1))
        assert adapter_of(file) == place.adapter
        shutil.rmtree(file.parent)
    print(where, how, states)
    assert where == "here" or states == ["done"] * ROUNDS
