"""Several processes train what one would: the same steps, losses and adapter, and they stop and resume together."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import projects
import pytest

from phi_tui import run
from phi_tui.engine import checkpoints, ranks, several, shares
from phi_tui.errors import Refusal, Stopped
from phi_tui.workspace import Workspace

TWO = "launch.processes=2"
EXACT = ("lora.dropout=0.0",)


@pytest.fixture(autouse=True)
def _marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PHI_TUI_TEST", str(tmp_path))


def newest(folder: Path) -> run.Run:
    return run.listed(Workspace(folder), "toy")[0]


def sum_of(events: list[Any], key: str) -> int:
    """A count that starts again with each start of the process, added up."""
    values = [event[key] for event in events]
    return sum(after - before if after > before else after for before, after in zip([0, *values], values, strict=False))


def children_of(one: run.Run) -> list[int]:
    """The trainer processes of this test that live now."""
    mark = f"PHI_TUI_TEST={one.path.parents[2]}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"phi_tui.engine.several" in command and mark in variables:
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("batch", "accum", "processes", "each"),
    [(4, 1, 1, (4, 1)), (4, 2, 2, (4, 1)), (4, 1, 2, (2, 1)), (6, 1, 4, (2, 1)), (4, 3, 2, (3, 2)), (1, 1, 2, (1, 1))],
)
def test_a_step_is_shared_and_holds_no_fewer_rows(
    batch: int, accum: int, processes: int, each: tuple[int, int]
) -> None:
    assert several.share(batch, accum, processes) == each
    assert batch * accum <= each[0] * each[1] * processes < batch * accum + processes


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 16])
def test_every_row_is_taken_once_and_the_rest_carries_no_loss(rows: int) -> None:
    data = [{"input_ids": [number], "labels": [number]} for number in range(rows)]
    batches = list(shares.FullBatches(range(rows), 2, 2))
    assert len(batches) % 2 == 0 and {len(batch) for batch in batches} == {2}
    filled = shares.Filled(data, 9)
    taken = [filled[number] for batch in batches for number in batch]
    assert [row["labels"][0] for row in taken if row["labels"][0] != -100] == list(range(rows))


def test_alone_nothing_is_sent() -> None:
    alone = ranks.Ranks()
    assert alone.first and alone.agree(3) == 3 and alone.gather(3) == [3] and alone.from_first(lambda: 3) == 3


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one_and_resume_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = "save_every = 3\nsamples = 1\nsample_tokens = 4"
    whole = projects.execute(projects.make(tmp_path / "one", settings=settings), *EXACT)
    file = projects.make(tmp_path / "two", settings=settings)
    monkeypatch.setenv("PHI_TUI_TEST", str(file.parent))
    with pytest.raises(Stopped):
        projects.execute(file, *EXACT, TWO, stop_at=4)
    stopped = newest(file.parent)
    assert stopped.state() == "stopped"
    (step, newest_checkpoint), *_ = checkpoints.listed(stopped.checkpoints)
    assert checkpoints.flaw(newest_checkpoint) is None
    assert {path.name for path in newest_checkpoint.glob("rng_state*")} == {"rng_state_0.pth", "rng_state_1.pth"}
    assert step < whole["steps"]
    with pytest.raises(Refusal, match=r"launch\.processes"):
        projects.execute(file, *EXACT, resume=True)
    resumed = projects.execute(file, *EXACT, TWO, resume=True)
    assert resumed["run"] == stopped.id
    ours, theirs = projects.events(resumed, "step"), projects.events(whole, "step")
    assert [event["step"] for event in ours] == [event["step"] for event in theirs]  # each once: one of them writes
    for one, other in zip(ours, theirs, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["lr"] == other["lr"]
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
    assert all(event["tokens_per_second"] > 0 for event in ours)
    assert sum_of(ours, "tokens") == sum_of(theirs, "tokens")  # of all processes
    for name in ("eval_loss", "perplexity", "train_loss"):
        assert resumed[name] == pytest.approx(whole[name], rel=1e-4)
    assert resumed["base_perplexity"] == pytest.approx(whole["base_perplexity"], rel=1e-6)
    assert len(projects.events(resumed, "eval")) == len(projects.events(whole, "eval"))
    assert not children_of(stopped)


def test_rows_that_cannot_be_shared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="multiple of 2"):
        projects.execute(projects.make(tmp_path), TWO, "train.batch_size=3")


@pytest.mark.slow
def test_what_a_trainer_process_fails_of_is_told_here(tmp_path: Path) -> None:
    from phi_tui.errors import TrainingFailed

    file = projects.make(tmp_path, settings="max_grad_norm = 0.0")
    wild = ("train.learning_rate=10.0", "train.scheduler=constant", "train.epochs=400", "train.warmup=0")
    with pytest.raises(TrainingFailed, match="not finite"):
        projects.execute(file, TWO, *wild, "train.evaluate=false")
    assert newest(tmp_path).state() == "failed"
    assert not children_of(newest(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_a_signal_to_the_command_ends_every_process(tmp_path: Path, how: signal.Signals) -> None:
    file = projects.make(tmp_path, settings="max_steps = 2000\nsamples = 0\neval_every = 2000\nsave_every = 2000")
    command = [sys.executable, "-m", "phi_tui", "--replay", str(file), "--set", TWO, "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    until = time.monotonic() + 180
    place = Workspace(tmp_path)
    while not any(projects.events(one, "step") for one in run.listed(place, "toy")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    one = newest(tmp_path)
    assert len(children_of(one)) >= 2
    process.send_signal(how)
    out, _ = process.communicate(timeout=60)
    if how == signal.SIGTERM:
        assert process.returncode == 130 and one.state() == "stopped"
        assert "stopped at step" in json.loads(out)["error"]
        assert checkpoints.newest_whole(one.checkpoints)[0] is not None
    until = time.monotonic() + 30
    while children_of(one):
        assert time.monotonic() < until, "a trainer process outlived its command"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_head_learns_the_same_on_two_processes(tmp_path: Path, task: str) -> None:
    from engine import test_classification

    rows = {"classification": test_classification.classes, "regression": test_classification.amounts}[task](30)
    # A batch of four rows does not divide what is left: rows without a label fill the last step up.
    settings = (*EXACT, "train.batch_size=4", "train.grad_accum=2")
    alone = projects.execute(test_classification.make(tmp_path / "one", task, rows), *settings)
    both = projects.execute(test_classification.make(tmp_path / "two", task, rows), *settings, TWO)
    ours, theirs = projects.events(both, "step"), projects.events(alone, "step")
    assert [event["step"] for event in ours] == [event["step"] for event in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
    assert both["eval_loss"] == pytest.approx(alone["eval_loss"], rel=1e-4)
