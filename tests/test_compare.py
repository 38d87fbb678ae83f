"""Runs are compared as they are: what differs is named, and no best where there can be none."""

import math
from pathlib import Path
from typing import Any

import pytest

from phi_tui import compare, journal, project
from phi_tui.compare import MISSING
from phi_tui.run import Run

LOCK: dict[str, Any] = {
    "packages": {"torch": "2.13"},
    "base": {"id": "base", "weights_sha256": "b1"},
    "data": {"rows_sha256": "d1", "tokens_fingerprint": "t1"},
    "template": {"sha256": "p1"},
    "device": {"type": "cpu", "name": "one"},
}


def changed(**tables: dict[str, Any]) -> dict[str, Any]:
    return {name: {**table, **tables.get(name, {})} for name, table in LOCK.items()}


def reading(lock: dict[str, Any] | None, **figures: float) -> compare.Reading:
    return compare.Reading(Run(Path("/runs/toy/1")), "done", None, lock, compare.Curves(), dict(figures))


def a_project(**tables: Any) -> project.Project:
    return project.validate({"schema": 1, "name": "toy", **tables}, "test")


def write(folder: Path, *events: tuple[str, dict[str, Any]]) -> Run:
    folder.mkdir(parents=True)
    book = journal.Journal(folder / "journal.jsonl")
    for kind, payload in events:
        book.write(kind, **payload)  # type: ignore[arg-type]
    book.close()
    return Run(folder)


def test_settings_that_differ_are_listed_with_the_value_of_each_run() -> None:
    rows = compare.settings(
        [a_project(), a_project(lora={"rank": 13}), None, a_project(lora={"rank": 13}, train={"epochs": 2.0})]
    )
    assert rows == [("lora.rank", (8, 13, MISSING, 13)), ("train.epochs", (1.0, 1.0, MISSING, 2.0))]
    rows = compare.settings([a_project(), a_project(lora={"rank": 13}), a_project(seed=1)])
    assert [key for key, _ in rows] == ["seed", "lora.rank"]


def test_equal_projects_differ_in_nothing() -> None:
    assert compare.settings([a_project(), a_project()]) == []
    assert compare.settings([a_project(), None]) == []


def test_sources_are_compared_one_by_one() -> None:
    one = a_project(data={"sources": [{"path": "a.jsonl"}]})
    two = a_project(data={"sources": [{"path": "a.jsonl"}, {"path": "b.jsonl", "role": "validation"}]})
    rows = dict(compare.settings([one, two]))
    assert rows["data.sources 2.path"] == (MISSING, "b.jsonl")
    assert "data.sources 1.path" not in rows


def test_the_same_ground_gives_no_warning() -> None:
    assert compare.warnings([LOCK, changed()]) == []
    assert compare.lock_rows([LOCK, changed()]) == []


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"data": {"rows_sha256": "d2"}}, "the data differs"),
        ({"data": {"tokens_fingerprint": "t2"}}, "other tokens"),
        ({"base": {"weights_sha256": "b2"}}, "the base differs"),
        ({"template": {"sha256": "p2"}}, "the template differs"),
        ({"device": {"name": "two"}}, "the device differs"),
    ],
)
def test_what_bars_a_comparison_is_warned_of(tables: dict[str, Any], words: str) -> None:
    assert any(words in line for line in compare.warnings([LOCK, changed(**tables)]))


def test_a_run_without_a_lock_is_warned_of() -> None:
    assert "not known" in compare.warnings([LOCK, None])[0]


def test_lock_rows_name_what_differs_the_gravest_first() -> None:
    other = changed(packages={"torch": "2.12"}, data={"rows_sha256": "d2"})
    assert compare.lock_rows([LOCK, other, None]) == [
        ("data.rows_sha256", ("d1", "d2", MISSING)),
        ("packages.torch", ("2.13", "2.12", MISSING)),
    ]


def test_the_best_is_the_lowest_loss_and_the_highest_speed() -> None:
    table = {
        figure.key: figure.best
        for figure in compare.figures(
            [
                reading(LOCK, perplexity=2.0, tokens_per_second=100.0, base_perplexity=9.0, steps=5),
                reading(LOCK, perplexity=1.5, tokens_per_second=90.0, base_perplexity=8.0, steps=9),
                reading(LOCK, perplexity=1.5, base_perplexity=9.0, steps=5),
            ]
        )
    }
    assert table == {"steps": (), "perplexity": (1, 2), "base_perplexity": (), "tokens_per_second": (0,)}


def test_no_best_loss_over_other_data_and_no_best_speed_on_other_devices() -> None:
    other = changed(data={"rows_sha256": "d2"}, device={"type": "cuda"})
    found = compare.figures([reading(LOCK, perplexity=2.0, seconds=9.0), reading(other, perplexity=1.0, seconds=1.0)])
    assert [(figure.key, figure.best) for figure in found] == [("perplexity", ()), ("seconds", ())]


def test_no_best_time_over_other_numbers_of_steps() -> None:
    found = compare.figures([reading(LOCK, steps=5, seconds=9.0), reading(LOCK, steps=50, seconds=99.0)])
    assert [figure.best for figure in found] == [(), ()]


def test_equal_values_and_single_ones_have_no_best() -> None:
    found = compare.figures([reading(LOCK, perplexity=2.0, train_loss=1.0), reading(LOCK, perplexity=2.0)])
    assert [figure.best for figure in found] == [(), ()]


def test_a_done_run_is_read_with_its_last_words(tmp_path: Path) -> None:
    one = write(
        tmp_path / "toy" / "1",
        ("phase", {"name": "start"}),
        ("eval", {"step": 0, "epoch": 0.0, "base": True, "eval_loss": 3.0, "perplexity": 20.0}),
        ("step", {"step": 1, "epoch": 0.5, "loss": 2.0}),
        ("step", {"step": 2, "epoch": 1.0, "loss": 1.0}),
        ("done", {"steps": 2, "perplexity": 2.5, "base_perplexity": 20.0, "train_loss": 1.5}),
    )
    found = compare.read(one)
    assert found.state == "done"
    assert found.project is None
    assert found.lock is None
    assert found.name == "toy/1"
    assert found.figures["perplexity"] == 2.5
    assert found.figures["last_loss"] == 1.0
    assert found.curves.loss.extent() == (1, 2)
    assert found.curves.loss_by_epoch.extent() == (0.5, 1.0)
    assert found.curves.eval_loss.latest() == (0, 3.0)


def test_an_unfinished_run_has_the_figures_so_far(tmp_path: Path) -> None:
    one = write(
        tmp_path / "toy" / "1",
        ("eval", {"step": 0, "base": True, "eval_loss": 3.0, "perplexity": 20.0}),
        ("step", {"step": 1, "loss": 2.0, "tokens_per_second": 10.0}),
        ("eval", {"step": 1, "eval_loss": 1.0, "perplexity": math.e}),
        ("step", {"step": 2, "loss": 1.0, "tokens_per_second": 30.0}),
        ("eval", {"step": 2, "eval_loss": 1.2, "perplexity": 3.3}),
    )
    figures = compare.read(one).figures
    assert figures["steps"] == 2
    assert figures["best_step"] == 1
    assert figures["perplexity"] == math.e
    assert figures["base_perplexity"] == 20.0
    assert figures["train_loss"] == 1.5
    assert figures["tokens_per_second"] == 20.0


def test_what_a_resume_did_again_counts_once(tmp_path: Path) -> None:
    one = write(
        tmp_path / "toy" / "1",
        *[("step", {"step": step, "epoch": step / 10, "loss": 5.0}) for step in range(1, 10)],
        ("eval", {"step": 9, "epoch": 0.9, "eval_loss": 5.0}),
        ("resumed", {"step": 4}),
        ("step", {"step": 5, "epoch": 0.5, "loss": 1.0}),
    )
    curves = compare.read(one).curves
    assert curves.loss.latest() == (5, 1.0)
    assert curves.loss_by_epoch.latest() == (0.5, 1.0)
    assert curves.eval_loss.extent() is None
    assert curves.eval_loss_by_epoch.extent() is None


def test_values_that_are_no_numbers_are_passed_over(tmp_path: Path) -> None:
    one = write(
        tmp_path / "toy" / "1",
        ("step", {"step": "x", "loss": []}),
        ("step", {"step": 1, "loss": "nan", "tokens_per_second": True}),
        ("eval", {"step": None, "eval_loss": {}}),
        ("step", {"step": 2, "loss": 10**400}),
        ("done", {"perplexity": "[/foo]"}),
    )
    found = compare.read(one)
    assert found.curves.loss.gaps() == 2
    assert found.figures["perplexity"] is None


def test_a_missing_journal_is_an_empty_run(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    found = compare.read(Run(tmp_path / "1"))
    assert found.state == "new"
    assert all(value is None for value in found.figures.values())


def test_reading_ends_soon_when_nobody_waits(tmp_path: Path) -> None:
    one = write(tmp_path / "1", *[("step", {"step": step, "loss": 1.0}) for step in range(5000)])
    asked = []

    def stopping() -> bool:
        asked.append(True)
        return len(asked) > 2

    with pytest.raises(compare.Cancelled):
        compare.read(one, stopping)
    assert len(asked) == 3
