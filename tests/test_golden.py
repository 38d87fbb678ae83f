"""The golden suggestions, and what the runs of a workspace say about them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from phi_tui import form, golden, phi, project, run
from phi_tui.schema import Project
from phi_tui.workspace import Workspace


def finished(
    place: Workspace, loss: float | None, *, rows: str = "r", weights: str = "w", ended: str = "done", **settings: Any
) -> run.Run:
    """A run directory with these settings (`lora__rank=13`) and figures."""
    one = Project(name=settings.pop("name", "toy"))
    for key, value in settings.items():
        one = form.with_value(one, key.replace("__", "."), value)
    made = run.create(place, one)
    made.journal.write_text(
        json.dumps({"seq": 1, "time": 1.0, "kind": ended, "eval_loss": loss, "steps": 3}) + "\n", "utf-8"
    )
    (made.path / "lock.toml").write_text(
        f'[data]\nrows_sha256 = "{rows}"\n[base]\nweights_sha256 = "{weights}"\n', "utf-8"
    )
    return made


def rank(place: Workspace) -> golden.Measured:
    return golden.measured(place)["lora.rank"]


@pytest.mark.parametrize("key", golden.SUGGESTIONS)
def test_every_golden_value_fits_the_schema_and_has_a_formula(key: str) -> None:
    suggestion = golden.SUGGESTIONS[key]
    assert len(suggestion.values) == len(suggestion.formulas)
    for value in suggestion.values:
        assert form.check(Project(name="toy"), key, value) == ""
        assert suggestion.formula(value)


def test_the_numbers_are_what_their_formulas_say() -> None:
    warmup = golden.SUGGESTIONS["train.warmup"]
    assert warmup.values == (0.0618,)
    assert math.isclose(warmup.values[0], 0.1 / phi.PHI, abs_tol=5e-5)
    assert "0.0557" in warmup.sentence
    assert math.isclose(phi.power(-6), 0.0557, abs_tol=5e-5)
    split = golden.SUGGESTIONS["data.split"]
    assert math.isclose(split.values[1], 1 - phi.power(-5), abs_tol=5e-5)
    assert math.isclose(split.values[2], 1 - phi.power(-6), abs_tol=5e-5)


def test_ranks_are_fibonacci_numbers_and_go_round() -> None:
    suggestion = golden.SUGGESTIONS["lora.rank"]
    numbers = [1, 1]
    while len(numbers) < 9:
        numbers.append(numbers[-1] + numbers[-2])
    assert list(suggestion.values) == numbers[5:9]
    assert suggestion.formula(21) == "21, the 8th Fibonacci number"
    assert [suggestion.after(value) for value in (16, 8, 13, 21, 34)] == [8, 13, 21, 34, 8]


def test_the_defaults_that_are_golden_are_golden_here_too() -> None:
    defaults = {key: default for key, (default, _) in project.keys().items()}
    assert golden.SUGGESTIONS["lora.rank"].holds(defaults["lora.rank"])
    assert golden.SUGGESTIONS["train.warmup"].holds(defaults["train.warmup"])
    assert golden.SUGGESTIONS["data.split"].holds(defaults["data.split"])
    assert not golden.SUGGESTIONS["train.scheduler"].holds(defaults["train.scheduler"])


def test_a_pair_that_differs_in_the_one_setting_is_measured(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    finished(place, 1.00, lora__rank=13)
    finished(place, 1.02, lora__rank=16)
    found = rank(place)
    assert [(pair.golden, pair.other, pair.seed) for pair in found.pairs] == [(13, 16, 42)]
    assert math.isclose(found.perplexity, math.exp(-0.02) - 1)
    said = golden.said(golden.SUGGESTIONS["lora.rank"], found)
    assert "-2.0% perplexity over 1 pair, 1 seed" in said
    assert "chance" in said


def test_pairs_of_several_seeds_are_counted_with_their_spread(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    for seed, difference in ((1, 0.01), (2, -0.01), (3, 0.03)):
        finished(place, 1.0 + difference, lora__rank=13, seed=seed)
        finished(place, 1.0, lora__rank=16, seed=seed)
    found = rank(place)
    assert (len(found.pairs), found.seeds) == (3, 3)
    assert "over 3 pairs (-1.0% to +3.0%), 3 seeds" in golden.said(golden.SUGGESTIONS["lora.rank"], found)


def test_a_run_under_another_name_is_compared_and_chat_settings_do_not_matter(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    finished(place, 1.0, lora__rank=13)
    finished(place, 1.1, name="other", lora__rank=16, chat__temperature=0.7)
    assert len(rank(place).pairs) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"lora__alpha": 32},
        {"seed": 7},
        {"rows": "others"},
        {"weights": "others"},
        {"ended": "stopped"},
        {"lora__rank": 34},
    ],
)
def test_runs_that_differ_otherwise_are_not_compared(tmp_path: Path, other: dict[str, Any]) -> None:
    place = Workspace(tmp_path)
    finished(place, 1.0, lora__rank=13)
    finished(place, 1.1, **{"lora__rank": 16, **other})
    assert rank(place).pairs == ()
    assert golden.said(golden.SUGGESTIONS["lora.rank"], rank(place)) == "Not measured here."


def test_a_repetition_is_no_second_measurement(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    for _ in range(3):
        finished(place, 1.0, lora__rank=13)
        finished(place, 1.1, lora__rank=16)
    assert len(rank(place).pairs) == 1


def test_runs_without_figures_or_with_broken_files_are_passed_over(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    finished(place, None, lora__rank=16)
    (finished(place, 1.0, lora__rank=16, seed=2).path / "lock.toml").write_text("not = [toml", "utf-8")
    (finished(place, 1.0, lora__rank=16, seed=3).path / "project.toml").write_bytes(b"\xff\xfe")
    finished(place, 1.0, lora__rank=13)
    assert rank(place).pairs == ()


def test_a_workspace_without_runs_measures_nothing(tmp_path: Path) -> None:
    assert all(not found.pairs for found in golden.measured(Workspace(tmp_path / "none")).values())


def test_what_changes_the_rows_is_never_said_to_be_measured(tmp_path: Path) -> None:
    said = golden.said(golden.SUGGESTIONS["data.split"], golden.Measured())
    assert "Not measured" in said
    assert "rows" in said
