"""The split bar, the histogram, and the figures behind them: counts that a person can trust."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from textual.app import App, ComposeResult

from phi_tui import phi
from phi_tui.schema import Project
from phi_tui.widgets import data_figures as figures
from phi_tui.widgets.data_figures import Bin
from phi_tui.widgets.histogram import Histogram, cut_at
from phi_tui.widgets.split_bar import SplitBar, cells


def test_no_side_that_has_rows_is_without_a_cell() -> None:
    assert cells(1, 1_000_000, 40) == 1
    assert cells(999_999, 1_000_000, 40) == 39
    assert cells(0, 10, 40) == 0 and cells(10, 10, 40) == 40


def test_the_bar_shows_both_sides_without_needing_colour() -> None:
    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield SplitBar()

    async def run() -> None:
        app = Alone()
        async with app.run_test(size=(80, 4)):
            bar = app.query_one(SplitBar)
            bar.show(618, 382)
            text = bar.render().plain  # type: ignore[union-attr]
            line, legend = text.split("\n")
            assert line.count("█") == round(0.618 * 80) and line.count("▒") == 80 - round(0.618 * 80)
            assert "train 618 rows 61.8%" in legend and "validation 382 rows 38.2%" in legend
            bar.show(0, 0)
            assert "no rows yet" in bar.render().plain  # type: ignore[union-attr]

    asyncio.run(run())


def _report(*kept: int) -> dict[str, Any]:
    return {"sources": [{"role": "train", "kept": count} for count in kept]}


def test_the_offered_splits_are_the_golden_powers_with_their_rows() -> None:
    tokens = {"train": {"rows": 618, "tokens": 61_800}, "validation": {"rows": 382, "tokens": 38_200}}
    offered = figures.choices(_report(1000), tokens)
    assert [round(one.validation_share, 3) for one in offered] == [0.382, 0.236, 0.146, 0.09, 0.056, 0.0]
    assert [one.train for one in offered] == [618, 764, 854, 910, 944, 1000]
    assert all(one.train + one.validation == 1000 for one in offered)
    assert offered[0].tokens == 61_800 and offered[-1].tokens == 100_000


def test_each_source_is_split_on_its_own_and_validation_sources_are_not_split() -> None:
    report = _report(3, 3)
    report["sources"].append({"role": "validation", "kept": 50})
    assert figures.choices(report, {})[0].train == 2 * phi.train_rows(3)
    assert figures.choices(report, {})[0].tokens is None


def test_phi_to_the_minus_five_is_set_in_full_precision_and_the_project_takes_it() -> None:
    value = figures.split_value(5)
    assert value == 1 - phi.PHI**-5
    project = Project.model_validate({"schema": 1, "name": "p", "data": {"split": value}})
    assert project.data.split == value
    assert figures.split_value(2) == "phi"


def test_the_split_key_goes_round_and_comes_back_from_anywhere() -> None:
    seen = ["phi"]
    for _ in range(4):
        seen.append(figures.cycle_split(seen[-1]))  # type: ignore[arg-type]
    assert seen == ["phi", 0.9, 0.95, "none", "phi"]
    assert figures.cycle_split(0.5) == "phi"


def test_joined_bins_keep_every_row_and_the_limit() -> None:
    bins = [Bin(at * 10, at * 10 + 10, at, 1) for at in range(40)]
    fewer = figures.fewer_bins(bins, 8, keep=200)
    assert len(fewer) <= 8
    assert sum(one.rows for one in fewer) == sum(one.rows for one in bins)
    assert any(one.high == 200 for one in fewer)


def test_empty_ends_are_left_out() -> None:
    bins = [Bin(0, 10, 0, 0), Bin(10, 20, 5, 0), Bin(20, 30, 0, 0)]
    assert figures.fewer_bins(bins, 8) == [Bin(10, 20, 5, 0)]


def test_the_bin_that_holds_the_limit_is_divided_there() -> None:
    assert cut_at([Bin(0, 100, 100, 0)], 49) == [Bin(0, 50, 50, 0), Bin(50, 100, 50, 0)]
    assert cut_at([Bin(0, 50, 9, 0)], 49) == [Bin(0, 50, 9, 0)]


def test_what_a_length_keeps_is_exact_where_it_was_counted_and_estimated_elsewhere() -> None:
    bins = [Bin(0, 100, 90, 0), Bin(100, 10_001, 1, 0)]
    tokens = {"train": {"rows": 91, "tokens": 4_500 + 500, "cut_rows": 1, "cut_tokens": 9_500}}
    at_500 = figures.kept_at(bins, 500, whole=True, max_length=500, tokens=tokens)
    assert at_500.exact and at_500.cut_rows == 1 and at_500.kept == pytest.approx(5_000 / 14_500)
    at_1000 = figures.kept_at(bins, 1000, whole=True, max_length=500, tokens=tokens)
    assert not at_1000.exact and at_1000.kept == pytest.approx((4_455 + 1_000) / 14_500, abs=0.01)


def test_one_long_row_beyond_a_length_is_never_called_kept_whole() -> None:
    bins = [Bin(0, 64, 198, 0), Bin(64, 3_447, 1, 0)]
    assert figures.kept_at(bins, 2048, whole=True, max_length=48).cut_rows == 1
    assert figures.kept_at(bins, 3446, whole=True, max_length=48).cut_rows == 0


def test_beyond_a_cut_measurement_nothing_is_claimed() -> None:
    assert figures.kept_at([Bin(0, 513, 9, 0)], 1024, whole=False, max_length=512).kept is None


def test_counts_are_rounded_as_a_person_reads_them() -> None:
    assert [figures.short(n) for n in (0, 596, 9_999, 12_345, 4_567_890, None)] == [
        "0", "596", "9,999", "12.3k", "4.57M", "?",
    ]  # fmt: skip


def test_the_mix_shows_its_weights_before_it_was_counted() -> None:
    tables = {"schema": 1, "name": "p", "data": {"mix": "phi", "sources": [{"path": "a"}, {"path": "b"}]}}
    lines = figures.mix_lines(Project.model_validate(tables), {})
    assert [round(line["weight"], 3) for line in lines] == [0.618, 0.382]


def test_the_histogram_draws_the_limit_between_the_bins_it_divides() -> None:
    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield Histogram()

    async def run() -> None:
        app = Alone()
        async with app.run_test(size=(60, 12)) as pilot:
            drawn = app.query_one(Histogram)
            drawn.styles.height = 12
            await pilot.pause()
            drawn.show(figures.bins_of({"edges": [0, 50, 100, 150], "train": [5, 4, 1], "validation": [2, 2]}), 99)
            lines = drawn.render().plain.split("\n")  # type: ignore[union-attr]
            assert len(lines) == 4
            assert "max_length 99" in lines[2] and lines[3].strip().startswith("100-149")
            assert lines[0].count("█") > lines[3].count("█") > 0

    asyncio.run(run())
