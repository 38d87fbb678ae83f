"""Memory that runs out is told with what may fit; where it is asked for, training goes on with the same steps."""

from __future__ import annotations

from pathlib import Path

import places
import pytest
from places import Place, adapter_of, only_run
from trials import Outcome, Zygote

from phi_tui import journal

SETTINGS = "max_steps = 8\neval_every = 4\nsave_every = 4\nsamples = 0\n"
EXACT = ("lora.dropout=0.0",)
SHRINKS = (*EXACT, "train.on_oom=shrink")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> Place:
    return places.make(tmp_path_factory.mktemp("oom"), zygote, SETTINGS)


@pytest.fixture(scope="module")
def steps(place: Place, zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> list[journal.Event]:
    """The steps of a run with memory enough."""
    file = place.copy(tmp_path_factory.mktemp("enough") / "work")
    assert zygote.run("execute", file=str(file), overrides=EXACT).done
    return _events(file, "step")


def _events(file: Path, kind: str) -> list[journal.Event]:
    return [event for event in journal.read(only_run(file).journal) if event["kind"] == kind]


def _run(place: Place, zygote: Zygote, folder: Path, oom: str, overrides: tuple[str, ...]) -> tuple[Path, Outcome]:
    file = place.copy(folder)
    return file, zygote.run("execute", file=str(file), oom=oom, overrides=overrides)


@pytest.mark.parametrize(
    ("oom", "proposed"),
    [
        pytest.param("probe 2", "train.batch_size = 2 and train.grad_accum = 2", marks=pytest.mark.slow),
        ("step 5 2", "train.batch_size = 2 and train.grad_accum = 2"),
        pytest.param("evaluation 100", 'train.on_oom = "shrink"', marks=pytest.mark.slow),
    ],
)
def test_it_is_told_where_and_what_may_fit(
    place: Place, zygote: Zygote, tmp_path: Path, oom: str, proposed: str
) -> None:
    file, outcome = _run(place, zygote, tmp_path / "work", oom, EXACT)
    assert outcome.error == "TrainingFailed", outcome.what
    assert "out of memory" in outcome.what and proposed in outcome.what, outcome.what
    assert "out of memory" in _events(file, "failed")[0]["message"]
    if oom.startswith("step"):
        assert "step 5" in outcome.what
        resumed = zygote.run("execute", file=str(file), resume=True, overrides=EXACT)
        assert resumed.done, resumed.what


@pytest.mark.parametrize(
    ("oom", "batch"),
    [
        ("step 5 2", 2),
        pytest.param("step 1 2", 2, marks=pytest.mark.slow),
        pytest.param("step 5 1", 1, marks=pytest.mark.slow),
        pytest.param("step 7 1", 1, marks=pytest.mark.slow),
        pytest.param("probe 2", 2, marks=pytest.mark.slow),
        pytest.param("probe 1", 1, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_shrinks_makes_the_same_steps(
    place: Place, zygote: Zygote, tmp_path: Path, steps: list[journal.Event], oom: str, batch: int
) -> None:
    file, outcome = _run(place, zygote, tmp_path / "work", oom, SHRINKS)
    assert outcome.done, outcome.what
    chosen = [event for event in _events(file, "phase") if event.get("batch_size")]
    assert chosen[-1]["batch_size"] == batch
    if oom.startswith("step"):
        warnings = [event["message"] for event in _events(file, "warning")]
        assert any(f"{batch} rows a batch and {4 // batch} batches a step" in message for message in warnings)
    made = _events(file, "step")
    assert [event["step"] for event in made] == [event["step"] for event in steps]
    for one, other in zip(made, steps, strict=True):
        assert one["tokens"] == other["tokens"]
        assert one["loss"] == pytest.approx(other["loss"], abs=2e-4)
        assert one["lr"] == other["lr"]
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=5e-3)


@pytest.mark.slow
def test_a_run_that_shrank_and_was_killed_goes_on_in_small_batches(
    place: Place, zygote: Zygote, tmp_path: Path
) -> None:
    whole, outcome = _run(place, zygote, tmp_path / "whole", "step 5 2", SHRINKS)
    assert outcome.done
    file = place.copy(tmp_path / "killed")
    killed = zygote.run("execute", file=str(file), oom="step 5 2", overrides=SHRINKS, save=8, kill_at=3)
    assert killed.signal == 9
    resumed = zygote.run("execute", file=str(file), resume=True, oom="step 5 2", overrides=SHRINKS)
    assert resumed.done, resumed.what
    assert len([event for event in _events(file, "warning") if "out of memory" in event["message"]]) == 1
    assert adapter_of(file) == adapter_of(whole)


@pytest.mark.slow
def test_an_evaluation_that_shrinks_comes_to_the_same_perplexity(place: Place, zygote: Zygote, tmp_path: Path) -> None:
    whole, _ = _run(place, zygote, tmp_path / "whole", "", SHRINKS)
    file, outcome = _run(place, zygote, tmp_path / "work", "evaluation 300", SHRINKS)
    assert outcome.done, outcome.what
    assert any("at an evaluation" in event["message"] for event in _events(file, "warning"))
    for one, other in zip(_events(file, "eval"), _events(whole, "eval"), strict=True):
        assert one["eval_loss"] == pytest.approx(other["eval_loss"], abs=1e-5)
    assert adapter_of(file) == adapter_of(whole)
