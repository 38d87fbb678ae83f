"""Many points at once make the very curve that the same points make one by one."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phi_tui import series_table
from phi_tui.series import Series


def _one_by_one(series: Series, xs: list[int], ys: list[float | None]) -> None:
    for x, y in zip(xs, ys, strict=True):
        series.append(x, y)


def _at_once(series: Series, xs: list[int], ys: list[float | None]) -> None:
    series_table.extend(series, np.array(xs), np.array([math.nan if y is None else y for y in ys], np.float64))


values = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, math.inf])


@given(
    parts=st.lists(st.tuples(st.integers(-30, 5), st.lists(values, min_size=1, max_size=150)), min_size=1, max_size=4),
    buckets=st.sampled_from([2, 3, 8, 9]),
)
@settings(max_examples=300, deadline=None)
def test_a_table_fills_a_series_as_appending_does(parts: list[tuple[int, list[float | None]]], buckets: int) -> None:
    one, other, step = Series(buckets=buckets, recent=2048), Series(buckets=buckets, recent=2048), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_table, "FEW", 3)
        for skip, ys in parts:  # a part may go back, as a run does that is resumed without a word
            step = max(1, step + 1 + skip)
            xs = list(range(step, step + len(ys)))
            step = xs[-1]
            _one_by_one(one, xs, ys)
            _at_once(other, xs, ys)
            assert other.contents() == one.contents()


def test_a_long_curve_is_the_same_to_the_last_digit_and_can_be_gone_on_with() -> None:
    noise = random.Random(3)
    ys = [None if noise.random() < 0.001 else noise.gauss(2.0, 1.0) for _ in range(60_000)]
    one, other = Series(), Series()
    _one_by_one(one, list(range(1, 60_001)), ys)
    for start in (0, 777, 30_000):
        stop = {0: 777, 777: 30_000, 30_000: 60_000}[start]
        _at_once(other, list(range(start + 1, stop + 1)), ys[start:stop])
    assert other.contents() == one.contents() and other.gaps() == one.gaps() > 0
    for series in (one, other):
        series.append(60_001, 5.0)
        series.cut(100)
    assert other.contents() == one.contents()
    assert other.window(columns=120) == one.window(columns=120)
