"""A sweep runs every combination once, goes on where it was stopped, and tells apart only what its seeds tell apart."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import projects
import pytest

from phi_tui import cli, intervals, project, run, sweep, sweep_report
from phi_tui.errors import InputError
from phi_tui.workspace import Workspace


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (5, 2.57058), (9, 2.26216), (30, 2.04227), (200, 1.97190)],
)
def test_the_quantile_is_that_of_the_tables(freedom: int, expected: float) -> None:
    assert intervals.quantile(0.975, freedom) == pytest.approx(expected, rel=1e-5)
    assert intervals.cumulative(intervals.quantile(0.9, freedom), freedom) == pytest.approx(0.9)


def test_an_interval_is_the_mean_and_t_times_the_standard_error() -> None:
    found = intervals.interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.half == pytest.approx(4.30265 / math.sqrt(3), rel=1e-5)
    assert math.isinf(intervals.interval([1.0]).half)
    assert intervals.interval([2.0, 2.0]).half == 0.0


def scanned(rank: int, warmup: float, seed: int, loss: float, rows: str = "") -> sweep_report.Scanned:
    return sweep_report.Scanned((("lora.rank", rank), ("train.warmup", warmup)), seed, loss, rows or f"rows {seed}")


def test_differences_are_taken_seed_by_seed_so_the_luck_of_the_rows_falls_out() -> None:
    luck = {0: 0.0, 1: 0.9, 2: -0.7}  # far larger than what the setting does
    runs = [
        scanned(rank, warmup, seed, 2.0 + luck[seed] + (0.01 if rank == 13 else 0.0) + 0.001 * seed * (rank == 13))
        for rank in (8, 13)
        for warmup in (0.0382, 0.1)
        for seed in luck
    ]
    by_key = {one.key: one for one in sweep_report.differences(runs)}
    ranks = by_key["lora.rank"].interval
    assert ranks is not None and ranks.count == 3
    assert ranks.mean == pytest.approx(-0.011)
    assert ranks.half == pytest.approx(4.30265 * 0.001 / math.sqrt(3), rel=1e-4)
    assert ranks.told_apart and "8 is better" in str(by_key["lora.rank"])
    assert "not told apart" in str(by_key["train.warmup"])
    assert all(found.half > 1 for _, found in sweep_report.groups(runs))


def test_what_the_seeds_do_not_tell_apart_is_not_called_better() -> None:
    runs = [
        scanned(rank, 0.1, seed, loss)
        for rank, losses in ((8, (2.0, 2.1, 2.2)), (13, (2.01, 2.08, 2.2)))
        for seed, loss in enumerate(losses)
    ]
    (ranks,) = [one for one in sweep_report.differences(runs) if one.key == "lora.rank"]
    assert "+0.0033 +- 0.0379, not told apart by 3 seeds" in str(ranks)
    assert "tells nothing apart" in str(sweep_report.differences(runs[::3])[0])


def test_losses_of_other_rows_are_not_compared() -> None:
    runs = [scanned(8, 0.1, 0, 1.0, "one"), scanned(13, 0.1, 0, 2.0, "other")]
    assert "nothing can be said" in str(sweep_report.differences(runs)[0])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("lora.rank=8,13,21,34", [8, 13, 21, 34]),
        ("train.warmup=0.0382, 0.1", [0.0382, 0.1]),
        ("train.scheduler=cosine,linear", ["cosine", "linear"]),
        ("data.split=phi,0.9", ["phi", 0.9]),
        ('lora.targets="all-linear",["q_proj"]', ["all-linear", ["q_proj"]]),
        ("lora.rank=8,8", [8]),
    ],
)
def test_values_are_read_as_set_reads_them(text: str, values: list[Any]) -> None:
    assert sweep.axis(text)[1] == values


@pytest.mark.parametrize(
    ("over", "said"),
    [
        (("lora.ranks=8",), "unknown key"),
        (("lora.rank",), "not KEY=VALUE"),
        (("seed=1,2",), "--seeds"),
        (("launch.where=here,background",), "nothing that is learnt"),
        (("lora.rank=8", "lora.rank=13"), "twice"),
        (("lora.rank=0",), "lora.rank"),
        ((), "needs --over"),
        (("train.epochs=" + ",".join(map(str, range(1, 1000))),), "is the most"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_it_starts(tmp_path: Path, over: tuple[str, ...], said: str) -> None:
    file = projects.make(tmp_path)
    with pytest.raises(InputError) as told:
        sweep.sweep(file, sweep.Options(over))
    assert said in str(told.value)
    assert not (tmp_path / "sweeps").exists()


def test_without_validation_rows_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="evaluates nothing"):
        sweep.sweep(projects.make(tmp_path), sweep.Options(("lora.rank=2,4",), overrides=("data.split=none",)))


def in_process(trained: list[str]) -> Any:
    """A stand-in for the child: the same training of the same file, without the seconds that a process takes."""

    def train(one: sweep.Planned, place: Workspace, child: Any, *, resume: bool) -> int:
        from phi_tui.engine import pipeline

        trained.append(one.project.name)
        pipeline.execute(project.load(one.file), one.file.parent, place, lambda kind, **payload: None, resume=resume)
        return 0

    return train


@pytest.mark.slow
def test_a_sweep_trains_each_combination_once_and_a_wider_one_adds_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = projects.make(tmp_path, settings="max_steps = 2\nsamples = 0")
    trained: list[str] = []
    monkeypatch.setattr(sweep, "_train", in_process(trained))
    command = ["sweep", str(file), "--over", "lora.rank=2,4", "--seeds", "2", "--set", "train.warmup=0"]
    assert cli.main([*command, "--dry-run"]) == 0
    assert "4 runs, 4 to do" in capsys.readouterr().err and not (tmp_path / "sweeps").exists()
    assert cli.main([*command, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert trained == [f"toy-sweep-{number}" for number in (1, 2, 3, 4)]
    frozen = [project.load(tmp_path / "sweeps" / "toy" / f"{name}.toml") for name in trained]
    assert [(one.lora.rank, one.seed, one.train.warmup) for one in frozen] == [
        (2, 42, 0), (2, 43, 0), (4, 42, 0), (4, 43, 0),
    ]  # fmt: skip
    losses = [(run.listed(Workspace(tmp_path), name)[0].result() or {})["eval_loss"] for name in trained]
    assert figures["combinations"][0] == {
        "settings": {"lora.rank": 2},
        "loss": pytest.approx((losses[0] + losses[1]) / 2),
        "half": pytest.approx(12.7062 * abs(losses[0] - losses[1]) / 2, rel=1e-4),
        "seeds": 2,
    }
    paired = [losses[0] - losses[2], losses[1] - losses[3]]
    assert figures["differences"][0]["difference"] == pytest.approx(sum(paired) / 2)
    assert cli.main(["sweep", str(file), "--over", "lora.rank=2,3,4", "--seeds", "2", "--set", "train.warmup=0"]) == 0
    assert trained[4:] == ["toy-sweep-5", "toy-sweep-6"]
    out = capsys.readouterr().out
    assert "lora.rank: 2 against 4: difference" in out and "of 3 comparisons of equals" in out
    assert out.splitlines()[0].split()[:2] == ["lora.rank", "seeds"]


@pytest.mark.slow
def test_a_child_trains_as_any_project_and_a_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    file = projects.make(tmp_path, settings="max_steps = 2\nsamples = 0")
    done = projects.command(
        "sweep", file, "--over", 'lora.targets=["none_of_that_name"],"all-linear"', "--seeds", 1, "--json", cwd=tmp_path
    )
    assert done.returncode == 4, done.stderr
    figures = json.loads(done.stdout)
    assert figures["failed"] == ["toy-sweep-1"] and figures["done"] == 1
    assert "none_of_that_name" in done.stderr
    direct = projects.execute(tmp_path / "sweeps" / "toy" / "toy-sweep-2.toml")
    assert figures["combinations"][0]["loss"] == direct["eval_loss"]


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_with_the_run_that_it_was_stopped_in(tmp_path: Path) -> None:
    file = projects.make(tmp_path, settings="max_steps = 150\nsamples = 0")
    command = [sys.executable, "-m", "phi_tui", "sweep", str(file), "--over", "lora.rank=2,3", "--seeds", "1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    place = Workspace(tmp_path)
    until = time.monotonic() + 120
    while not any(
        event["kind"] == "step" for one in run.listed(place, "toy-sweep-1") for event in projects.events(one)
    ):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    (first,) = run.listed(place, "toy-sweep-1")
    assert first.state() == "stopped" and not run.listed(place, "toy-sweep-2")
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    assert [one.id for one in run.listed(place, "toy-sweep-1")] == [first.id]
    assert projects.events(first, "resumed") and first.state() == "done"
