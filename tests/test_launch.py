"""Runs started from the app: seen from the first moment, alive without their starter, equal to a replay."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import projects
import pytest

from phi_tui import branch, journal, launch, project, run
from phi_tui.errors import Refusal
from phi_tui.run import Run
from phi_tui.workspace import Workspace


def _until(condition: object, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def _begin(tmp_path: Path, settings: str = "") -> tuple[Run, Workspace]:
    file = projects.make(tmp_path, settings=settings)
    place = Workspace(tmp_path)
    return launch.new(project.load(file), tmp_path, place), place


def _kinds(one: Run) -> list[str]:
    return [event["kind"] for event in journal.read(one.journal)]


def _weights(one: Run) -> bytes:
    return (one.adapter / "adapter_model.safetensors").read_bytes()


def test_a_background_run_is_live_at_once_and_ends_at_the_bytes_of_a_replay(tmp_path: Path) -> None:
    started, place = _begin(tmp_path)
    launch.background(started, place)
    assert started.state() == "running"
    _until(lambda: started.holder() is None)
    assert started.state() == "done"
    events = list(journal.read(started.journal))
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    names = [event["name"] for event in events if event["kind"] == "phase"]
    assert names[0] == "launch" and {"base", "read", "tokenise", "load", "train"} <= set(names)
    samples = [event for event in events if event["kind"] == "sample"]
    assert {event["step"] for event in samples} >= {0} and all(event["prompt"] for event in samples)
    replayed = projects.execute(tmp_path / "toy.toml")
    assert _weights(started) == _weights(Run(Path(replayed["adapter"]).parent))


def test_a_background_run_has_a_session_of_its_own_and_stops_resumably_on_sigterm(tmp_path: Path) -> None:
    started, place = _begin(tmp_path, "max_steps = 400\neval_every = 200\n")
    pid = launch.background(started, place)
    assert os.getsid(pid) == pid
    _until(lambda: _kinds(started).count("step") >= 3 or started.holder() is None)
    os.kill(pid, signal.SIGHUP)  # nobody sends one to another session by accident; a person may
    steps = _kinds(started).count("step")
    _until(lambda: _kinds(started).count("step") > steps or started.holder() is None)
    os.kill(pid, signal.SIGTERM)
    _until(lambda: started.holder() is None)
    assert started.state() == "stopped"
    assert any(started.checkpoints.iterdir())


def test_a_refusal_is_the_last_word_of_its_run(tmp_path: Path) -> None:
    started, place = _begin(tmp_path, '[lora]\ntargets = ["no_such_layer"]\n')
    launch.background(started, place)
    _until(lambda: started.holder() is None)
    assert started.state() == "failed"
    assert "no_such_layer" in journal.last(started.journal)[-1]["message"]


def test_a_second_run_of_a_project_is_refused_while_one_is_live(tmp_path: Path) -> None:
    started, place = _begin(tmp_path)
    handle = started.take()
    try:
        with pytest.raises(Refusal, match="live"):
            launch.new(project.load(next(tmp_path.glob("*.toml"))), tmp_path, place)
        with pytest.raises(Refusal):
            launch.background(started, place)
    finally:
        os.close(handle)


def test_a_run_here_stops_when_asked_and_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    whole, place = _begin(tmp_path / "a", "")
    launch.Here(whole, place)._thread.join()
    assert whole.state() == "done"
    cut, place = _begin(tmp_path / "b", "")
    here = launch.Here(cut, place)
    _until(lambda: _kinds(cut).count("step") >= 2)
    here.stop_and_wait()
    assert cut.state() == "stopped" and not here.alive
    launch.Here(cut, place, resume=True)._thread.join()
    assert cut.state() == "done"
    assert _weights(cut) == _weights(whole)


def test_a_run_from_an_older_checkpoint_ends_where_the_first_one_did(tmp_path: Path) -> None:
    first, place = _begin(tmp_path, "max_steps = 12\neval_every = 4\nkeep_checkpoints = 3\n")
    launch.Here(first, place)._thread.join()
    second = branch.from_checkpoint(first, 4, place)
    launch.Here(second, place, resume=True)._thread.join()
    assert second.state() == "done"
    assert _weights(first) == _weights(second)
    steps = [event["step"] for event in journal.read(second.journal) if event["kind"] == "step"]
    assert steps == list(range(1, 13))
    assert run.listed(place)[0] == second


def test_a_run_that_was_begun_in_the_app_is_resumed_by_the_command_line(tmp_path: Path) -> None:
    whole, place = _begin(tmp_path / "a")
    launch.Here(whole, place)._thread.join()
    cut, place = _begin(tmp_path / "b")
    here = launch.Here(cut, place)
    _until(lambda: _kinds(cut).count("step") >= 2)
    here.stop_and_wait()
    assert cut.state() == "stopped"
    assert projects.execute(tmp_path / "b" / "toy.toml", resume=True)["run"] == cut.id
    assert _weights(cut) == _weights(whole)
