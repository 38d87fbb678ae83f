"""A run goes on as itself under the settings that matter, and as a new run under others; a table tells them apart."""

from pathlib import Path

import projects
import pytest

from phi_tui import resume_rules, run
from phi_tui.engine.checkpoints import sha256
from phi_tui.errors import InputError, Refusal, Stopped
from phi_tui.project import dump
from phi_tui.schema import Project
from phi_tui.workspace import Workspace

SETTINGS = "max_steps = 8\neval_every = 4\nsave_every = 2\nsamples = 0\n"


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    file = projects.make(tmp_path, settings=SETTINGS)
    with pytest.raises(Stopped):
        projects.execute(file, stop_at=5)
    return file


def _runs(file: Path) -> list[run.Run]:
    return run.listed(Workspace(file.parent), "toy")


def test_a_new_run_under_the_same_settings_comes_to_the_bytes_of_an_unstopped_one(
    stopped: Path, tmp_path: Path
) -> None:
    whole = projects.execute(projects.make(tmp_path / "whole", settings=SETTINGS))
    before = [sha256(path) for path in sorted(_runs(stopped)[0].path.rglob("*")) if path.is_file()]
    renewed = projects.execute(stopped, renew=True)
    newest, old = _runs(stopped)
    assert renewed["run"] == newest.id != old.id
    assert [sha256(path) for path in sorted(old.path.rglob("*")) if path.is_file()] == before
    assert sha256(newest.adapter / "adapter_model.safetensors") == sha256(
        Path(whole["adapter"]) / "adapter_model.safetensors"
    )


def test_a_new_run_takes_the_new_learning_rate_and_the_old_one_is_refused_it(stopped: Path) -> None:
    with pytest.raises(Refusal, match="--resume-as new"):
        projects.execute(stopped, "train.learning_rate=1e-3", resume=True)
    changed = ("train.learning_rate=1e-3", "train.scheduler=constant", "train.weight_decay=0.1", "train.max_steps=12")
    renewed = projects.execute(stopped, *changed, renew=True)
    rates = {event["step"]: event["lr"] for event in projects.events(renewed, "step")}
    assert sorted(rates) == list(range(1, 13))
    assert all(rates[step] == 1e-3 for step in range(6, 13))
    assert rates[5] != 1e-3
    assert renewed["steps"] == 12


def test_a_finished_run_is_trained_further_as_a_new_one(stopped: Path) -> None:
    projects.execute(stopped, resume=True)
    with pytest.raises(Refusal, match="is done"):
        projects.execute(stopped, resume=True)
    with pytest.raises(Refusal, match=r"raise train\.max_steps"):
        projects.execute(stopped, renew=True)
    assert projects.execute(stopped, "train.max_steps=10", renew=True)["steps"] == 10


def test_other_rows_are_measured_anew(stopped: Path) -> None:
    projects.write_jsonl(stopped.parent / "train.jsonl", projects.rows(60, start=500))
    with pytest.raises(Refusal, match="data"):
        projects.execute(stopped, resume=True)
    renewed = projects.execute(stopped, "data.split=0.7", renew=True)
    bases = [event for event in projects.events(renewed, "eval") if event.get("base")]
    assert len(bases) == 1 and renewed["base_perplexity"] == bases[0]["perplexity"]


@pytest.mark.parametrize("change", ["lora.rank=13", "train.optimizer=adafactor", "model.dtype=bfloat16"])
def test_what_gives_the_state_its_shape_cannot_change_even_then(stopped: Path, change: str) -> None:
    with pytest.raises(Refusal, match="no run can go on"):
        projects.execute(stopped, change, renew=True)
    assert len(_runs(stopped)) == 1


def test_what_decides_nothing_may_change(stopped: Path) -> None:
    figures = projects.execute(stopped, "train.keep_checkpoints=5", "chat.temperature=0.5", resume=True)
    assert figures["steps"] == 8


def test_every_setting_has_a_rule() -> None:
    for table, values in dump(Project(name="x"), defaults=True).items():
        for key in [f"{table}.{name}" for name in values] if isinstance(values, dict) else [table]:
            assert resume_rules.rule(key).why


def test_a_data_file_that_vanished_is_named_and_the_run_goes_on_once_it_is_back(stopped: Path) -> None:
    data = stopped.parent / "train.jsonl"
    data.rename(stopped.parent / "elsewhere")
    with pytest.raises(InputError, match=r"train\.jsonl"):
        projects.execute(stopped, resume=True)
    (stopped.parent / "elsewhere").rename(data)
    assert projects.execute(stopped, resume=True)["steps"] == 8


def test_a_run_that_died_before_it_had_a_lock_can_be_resumed(stopped: Path) -> None:
    (_runs(stopped)[0].path / "lock.toml").unlink()
    assert projects.execute(stopped, resume=True)["steps"] == 8
