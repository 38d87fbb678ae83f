"""Curves in constant memory, and what the store makes of a journal."""

from __future__ import annotations

import itertools
import math
import random
import sys
import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from phi_tui.metrics import MetricStore
from phi_tui.series import Column, Series


def filled(values: list[float | None], **sizes: int) -> Series:
    series = Series(**sizes)
    for step, value in enumerate(values, 1):
        series.append(step, value)
    return series


def extremes(columns: list[Column]) -> tuple[float, float]:
    lows = [column.low for column in columns if column.low is not None]
    highs = [column.high for column in columns if column.high is not None]
    return min(lows), max(highs)


values_or_gaps = st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=400)


def test_a_million_points_keep_their_extremes_in_their_columns_and_memory_stays_constant() -> None:
    series, noise = Series(), random.Random(7)
    peaks = {123_456: 99.0, 500_001: -99.0, 999_999: 77.0}
    most = 0
    for step in range(1, 1_000_001):
        series.append(step, peaks.get(step, noise.random()))
        if step % 100_000 == 0:
            most = max(most, series.size())
    assert most <= 4096
    assert sum(sys.getsizeof(bucket) for bucket in series._buckets) < 1_000_000
    assert len(series._recent) == 2048
    columns = series.window(columns=240)
    for step, value in peaks.items():
        at = columns[int((step - 1) / 999_999 * 239 + 0.5)]
        assert value in (at.low, at.high)
    assert extremes(columns) == (-99.0, 99.0)
    assert all(column.mean is not None and abs(column.mean - 0.5) < 0.1 for column in columns)
    begun = time.perf_counter()
    series.window(columns=240)
    assert time.perf_counter() - begun < 0.25  # 10 to 20 ms; the bound leaves room for a busy machine


@given(values=values_or_gaps, columns=st.integers(1, 50))
@settings(max_examples=150, deadline=None)
def test_decimation_keeps_the_lowest_and_highest_of_all_and_shows_real_points_only(
    values: list[float | None], columns: int
) -> None:
    series = filled(values, buckets=8, recent=4)
    shown = series.window(columns=columns)
    assert series.size() <= 8
    assert len(shown) == columns
    finite = [value for value in values if value is not None]
    assert series.gaps() == len(values) - len(finite)
    assert any(column.gap for column in shown) == (len(finite) < len(values))
    if not finite:
        assert all(column.low is None for column in shown)
        return
    assert extremes(shown) == (min(finite), max(finite))
    span = max(1, len(values) - 1)
    for at, column in enumerate(shown):
        here = {v for i, v in enumerate(values) if v is not None and int(i / span * (columns - 1) + 0.5) == at}
        assert {v for v in (column.low, column.high, column.last) if v is not None} <= here
    last_shown = [column.last for column in shown if column.last is not None][-1]
    assert last_shown == finite[-1]


@given(values=values_or_gaps, last=st.integers(1, 64), columns=st.integers(1, 80))
@settings(max_examples=150, deadline=None)
def test_the_last_steps_are_exact_however_coarse_the_buckets(
    values: list[float | None], last: int, columns: int
) -> None:
    coarse = filled(values, buckets=2, recent=64)
    exact = filled(values[-last:])
    assert coarse.window(columns=columns, last=last) == exact.window(columns=columns)


@given(values=values_or_gaps, cut=st.integers(-2, 410), again=st.lists(st.floats(-9, 9), max_size=30))
@settings(max_examples=200, deadline=None)
def test_a_cut_leaves_nothing_at_or_after_it_and_invents_nothing(
    values: list[float | None], cut: int, again: list[float]
) -> None:
    series = filled(values, buckets=8, recent=4)
    series.cut(cut)
    before = [value for value in values[: max(0, cut - 1)] if value is not None]
    extent = series.extent()
    assert extent is None or extent[1] < cut
    shown = series.window(columns=30)
    assert {v for column in shown for v in column[:3] if v is not None} <= set(before)
    for step, value in enumerate(again, max(cut, 1)):
        series.append(step, value)
    shown = series.window(columns=30)
    assert {v for column in shown for v in column[:3] if v is not None} <= {*before, *again}
    if again:
        assert series.latest() == (max(cut, 1) + len(again) - 1, again[-1])


@given(values=values_or_gaps, part=st.integers(1, 50), columns=st.integers(1, 50), again=st.integers(0, 60))
@settings(max_examples=150, deadline=None)
def test_columns_that_are_asked_for_again_gain_what_came_since(
    values: list[float | None], part: int, columns: int, again: int
) -> None:
    watched, coarse, ends = Series(), Series(buckets=8, recent=64), len(values)
    for step, value in enumerate([*values, *values[-again:]], 1):
        at = step if step <= ends else max(1, step - again)  # at last some steps are reported again
        watched.append(at, value)
        coarse.append(at, value)
        if step % part == 0:
            alone = Series()
            for x, y in watched.contents().recent:
                alone.append(x, y)
            assert watched.window(1, ends, columns) == alone.window(1, ends, columns)
            shown, exact = coarse.window(1, ends, columns), alone.window(1, ends, columns)
            if any(column.low is not None for column in exact) and step <= ends:
                assert extremes(shown) == extremes(exact)


def test_a_series_says_whether_it_changed() -> None:
    series = filled([1.0, 2.0])
    before = series.changes
    series.window(columns=5)
    assert series.changes == before
    series.append(3, None)
    series.cut(2)
    assert series.changes > before + 1


def test_a_step_reported_again_replaces_what_came_after_it() -> None:
    series = filled([1.0, 2.0, 30.0, 40.0])
    series.append(3, 3.0)
    assert [column.last for column in series.window(columns=3)] == [1.0, 2.0, 3.0]
    assert series.extent() == (1, 3)


def test_a_cut_within_the_recent_points_is_exact() -> None:
    series = filled([float(n) for n in range(1, 5001)])
    series.cut(4500)
    assert extremes(series.window(columns=100)) == (1.0, 4499.0)


def test_gaps_are_marked_in_their_own_column() -> None:
    series = filled([1.0, None, math.nan, math.inf, 5.0])
    columns = series.window(columns=5)
    assert [column.gap for column in columns] == [False, True, True, True, False]
    assert [column.low for column in columns] == [1.0, None, None, None, 5.0]
    assert series.gaps() == 3


def test_a_series_of_nothing_one_point_or_gaps_only_can_be_read() -> None:
    series = Series()
    assert series.window(columns=3) == [Column()] * 3
    assert series.extent() is None and series.latest() is None
    assert series.window(columns=0) == []
    series.append(7, 2.5)
    assert series.window(columns=3)[0] == Column(2.5, 2.5, 2.5, False, 2.5)
    only_gaps = filled([None] * 100, buckets=4, recent=4)
    assert all(column.low is None for column in only_gaps.window(columns=10))
    assert only_gaps.latest() == (100, None)


def test_a_window_between_two_steps_holds_those_steps_alone() -> None:
    series = filled([float(n) for n in range(1, 101)])
    assert extremes(series.window(20, 29, 10)) == (20.0, 29.0)
    coarse = filled([float(n) for n in range(1, 101)], buckets=8, recent=4)
    low, high = extremes(coarse.window(20, 69, 10))
    assert 20 <= low <= high <= 69


def test_readers_and_a_writer_do_not_disturb_each_other() -> None:
    series, stop, found = Series(buckets=64, recent=16), threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                shown = [column.low for column in series.window(columns=50) if column.low is not None]
                found.append(shown == sorted(shown))
            except Exception as error:
                found.append(repr(error))
                return

    reader = threading.Thread(target=read)
    reader.start()
    for step in range(20_000):
        series.append(step, float(step))
    stop.set()
    reader.join()
    assert found and all(outcome is True for outcome in found)


# --- the store ---------------------------------------------------------------------------------------------


class Telling:
    """A journal in the making: `kind, payload` in, events out, one second after the other."""

    def __init__(self) -> None:
        self.seq = itertools.count(1)
        self.time = 1_000.0

    def __call__(self, kind: str, /, after: float = 1.0, **payload: object) -> dict[str, object]:
        self.time += after
        return {"seq": next(self.seq), "time": self.time, "kind": kind, **payload}

    def step(self, step: int, loss: float | None = 1.0, steps: int = 100, after: float = 1.0) -> dict[str, object]:
        return self(
            "step",
            after,
            step=step,
            steps=steps,
            epoch=step / steps,
            loss=loss,
            lr=1e-4,
            grad_norm=0.5,
            tokens=step * 10,
            tokens_per_second=10.0,
        )


def test_the_store_tells_a_run_from_its_journal() -> None:
    store, tell = MetricStore(), Telling()
    assert store.snapshot().state == "new"
    changed = store.feed(
        [
            tell("phase", name="start", run="r1", steps=4, notes=["a note"]),
            tell("phase", name="evaluate", detail="the base, for comparison"),
            tell("phase", name="evaluate", done=3, total=9),
            tell("eval", step=0, epoch=0.0, base=True, eval_loss=3.0, perplexity=20.1),
            tell("phase", name="train", steps=4),
            tell.step(1, 2.0, 4),
            tell.step(2, None, 4),
            tell("phase", name="evaluate", done=1, total=9),
            tell("eval", step=2, epoch=0.5, eval_loss=1.5, perplexity=4.5),
            tell("checkpoint", step=2, path="checkpoints/step-2"),
            tell("warning", message="slow"),
            tell("control", request="save"),
            tell("sample", step=2, prompt="p", text="t"),
            tell.step(3, 1.0, 4),
        ]
    )
    assert changed
    seen = store.snapshot()
    assert (seen.state, seen.step, seen.steps, seen.epoch, seen.tokens) == ("running", 3, 4, 0.75, 30)
    assert [phase.name for phase in seen.phases] == ["start", "evaluate", "train", "evaluate", "train"]
    assert (seen.phases[1].detail, seen.phases[1].done, seen.phases[1].total) == ("the base, for comparison", 3, 9)
    assert seen.phase == seen.phases[-1] and seen.phases[1].started == 1_002.0
    assert seen.base_perplexity == 20.1
    assert seen.checkpoints == (2,) and seen.evaluations == (0, 2)
    assert [(line.kind, line.text) for line in seen.log] == [
        ("phase", "start"),
        ("note", "a note"),
        ("evaluation", "of the base: loss 3, perplexity 20.1"),
        ("evaluation", "at step 2: loss 1.5, perplexity 4.5"),
        ("checkpoint", "checkpoints/step-2"),
        ("warning", "slow"),
        ("control", "save"),
    ]
    assert seen.samples[0].text == "t"
    assert seen.elapsed_seconds == 13.0
    assert store.snapshot(now=1_020.0).elapsed_seconds == 19.0
    assert store.loss.gaps() == 1 and store.loss.latest() == (3, 1.0)
    assert store.eval_loss.extent() == (0, 2)
    assert store.perplexity.latest() == (2, 4.5)
    store.feed([tell("done", steps=4, perplexity=4.5)])
    seen = store.snapshot(now=9_999.0)
    assert (seen.state, seen.figures) == ("done", {"steps": 4, "perplexity": 4.5})
    assert seen.elapsed_seconds == 14.0 and seen.eta_seconds is None


def test_a_perplexity_that_is_no_number_is_infinite_for_the_base_and_a_gap_in_the_curve() -> None:
    store, tell = MetricStore(), Telling()
    store.feed([tell("eval", step=0, base=True, eval_loss=None, perplexity=None)])
    assert store.snapshot().base_perplexity == math.inf
    assert store.perplexity.gaps() == 1


def test_the_time_left_waits_for_a_warm_up_and_uses_the_last_fifty_steps() -> None:
    store, tell = MetricStore(), Telling()
    for step in (1, 2, 3):
        store.feed([tell.step(step, after=100.0)])
        assert store.snapshot().eta_seconds is None
    store.feed([tell.step(4, after=2.0)])
    assert store.snapshot().eta_seconds == 2.0 * 96
    for step in range(5, 31):
        store.feed([tell.step(step, after=2.0)])
    for step in range(31, 81):
        store.feed([tell.step(step, after=4.0)])
    assert store.snapshot().eta_seconds == 4.0 * 20


def test_the_time_left_and_elapsed_do_not_count_the_pause_before_a_resume() -> None:
    store, tell = MetricStore(), Telling()
    store.feed([tell("phase", name="start", steps=100), *(tell.step(step) for step in range(1, 11))])
    store.feed([tell("stopped", message="stopped at step 10")])
    assert store.snapshot().state == "stopped" and store.snapshot().message == "stopped at step 10"
    assert store.snapshot().elapsed_seconds == 11.0
    store.feed([tell("phase", after=5_000.0, name="start", steps=100), tell("resumed", step=8)])
    seen = store.snapshot()
    assert (seen.state, seen.message, seen.step, seen.eta_seconds) == ("running", "", 8, None)
    assert seen.elapsed_seconds == 12.0
    store.feed([tell.step(step) for step in range(9, 12)])
    assert store.snapshot().eta_seconds is None
    store.feed([tell.step(12)])
    assert store.snapshot().eta_seconds == 88.0


def test_a_resume_drops_what_will_be_reported_again() -> None:
    store, tell = MetricStore(), Telling()
    store.feed([tell("eval", step=0, base=True, eval_loss=3.0, perplexity=20.0)])
    store.feed([tell.step(step, float(step)) for step in range(1, 11)])
    store.feed(
        [
            tell("eval", step=5, eval_loss=2.0, perplexity=7.0),
            tell("checkpoint", step=5, path="a"),
            tell("eval", step=10, eval_loss=1.0, perplexity=3.0),
            tell("checkpoint", step=10, path="b"),
            tell("phase", name="start", steps=100),
            tell("resumed", step=5),
        ]
    )
    assert store.loss.extent() == (1, 5)
    assert store.eval_loss.extent() == (0, 5)
    seen = store.snapshot()
    assert seen.checkpoints == (5,) and seen.evaluations == (0, 5)
    store.feed([tell("eval", step=5, eval_loss=2.0, perplexity=7.0)])  # one that was owed is not counted twice
    assert store.snapshot().evaluations == (0, 5)


def test_odd_events_are_passed_over() -> None:
    store, tell = MetricStore(), Telling()
    assert not store.feed([])
    assert not store.feed([tell("colour", name="x"), tell("__init__")])
    store.feed(
        [
            {"kind": "step"},
            {"kind": "step", "step": "three", "loss": 1.0},
            {"kind": "step", "step": True, "loss": 1.0},
            {"kind": "step", "step": 1, "loss": 10**400},
            {"kind": "step", "step": 10**300, "loss": 1.0},
            {"kind": "eval"},
            {"kind": "phase"},
            {"kind": "phase", "name": ["x"], "detail": None, "done": "?", "notes": "text"},
            {"kind": "checkpoint", "step": None},
            {"kind": "warning"},
            {"kind": "sample"},
            {"kind": "resumed"},
            {"kind": "failed"},
        ]
    )
    assert store.snapshot().state == "failed"
    assert store.loss.gaps() == 0  # step 1 was taken back by the resume from step 0


def test_log_samples_and_marks_stay_bounded() -> None:
    store, tell = MetricStore(), Telling()
    for step in range(1, 3_001):
        store.feed([tell("warning", message=str(step)), tell("sample", step=step), tell("checkpoint", step=step)])
    seen = store.snapshot()
    assert (len(seen.log), len(seen.samples), len(seen.checkpoints)) == (500, 200, 1000)
    assert seen.samples[-1].step == 3_000 and seen.checkpoints[-1] == 3_000
