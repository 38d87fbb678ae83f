"""The golden numbers equal their formulas."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phi_tui import phi


def test_powers_of_phi_are_those_of_the_formula() -> None:
    assert pytest.approx(1.6180339887) == phi.PHI
    assert phi.power(-3) == pytest.approx(0.2361, abs=1e-4)
    assert phi.power(-6) == pytest.approx(0.0557, abs=1e-4)
    assert pytest.approx(0.1 / phi.PHI, abs=5e-5) == phi.WARMUP
    assert phi.TRAIN_SHARE + phi.power(-2) == pytest.approx(1)


@pytest.mark.parametrize(("rows", "train"), [(0, 0), (1, 1), (2, 1), (3, 2), (100, 62), (1000, 618)])
def test_train_rows_are_the_golden_share(rows: int, train: int) -> None:
    assert phi.train_rows(rows) == train


@given(st.integers(1, 30))
def test_mix_weights_sum_to_one_and_fall_by_phi(sources: int) -> None:
    weights = phi.mix_weights(sources)
    assert sum(weights) == pytest.approx(1)
    assert all(a / b == pytest.approx(phi.PHI) for a, b in pairwise(weights))


def test_mix_weights_of_two_sources_are_the_split() -> None:
    assert phi.mix_weights(2) == pytest.approx([0.618034, 0.381966], abs=1e-6)


@given(st.integers(1, 100_000), st.integers(0, 12))
def test_restart_periods_grow_by_phi_and_fill_the_run(steps: int, restarts: int) -> None:
    ends = phi.restart_bounds(steps, restarts)
    lengths = [b - a for a, b in zip([0.0, *ends], ends, strict=False)]
    assert ends[-1] == steps
    assert all(b / a == pytest.approx(phi.PHI, rel=1e-6) for a, b in pairwise(lengths))


def test_restart_factor_is_one_at_each_start_and_the_closed_form_between() -> None:
    steps, restarts = 1000, 3
    first = steps * (phi.PHI - 1) / (phi.PHI**4 - 1)
    for step in range(steps):
        start, length = 0.0, first
        while step >= start + length:
            start, length = start + length, length * phi.PHI
        expected = (1 + math.cos(math.pi * (step - start) / length)) / 2
        assert phi.restart_factor(step, steps, restarts) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("warmup", "steps", "count"), [(0.0618, 1000, 62), (0.0, 10, 0), (5.0, 10, 5), (50.0, 10, 10)])
def test_warmup_is_a_share_below_one_and_a_count_from_one(warmup: float, steps: int, count: int) -> None:
    assert phi.warmup_steps(warmup, steps) == count
