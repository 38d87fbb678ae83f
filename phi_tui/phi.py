"""The golden numbers, each with its formula.

They are heuristics.  Nothing here claims that a golden value trains better than its neighbour; each is exact,
says where it comes from, and is a default that the project file can change and a run can measure.
"""

from __future__ import annotations

import math

PHI = (1 + math.sqrt(5)) / 2
"""The golden ratio, 1.618034, the positive root of x^2 = x + 1."""

TRAIN_SHARE = 1 / PHI
"""Share of the rows that train: 1/phi = phi - 1 = 0.618034; the rest, 1/phi^2 = 0.381966, validates."""

WARMUP = 0.0618
"""Share of the steps that warm up: 0.1/phi rounded to 0.0618 (phi^-6 = 0.0557 is the nearest power)."""

RANKS = (8, 13, 21, 34)
"""LoRA ranks offered: the Fibonacci numbers from 8 on, each about phi times the one before."""


def power(exponent: int) -> float:
    """Return phi to the `exponent`: phi^-1 = 0.618, phi^-2 = 0.382, phi^-5 = 0.0902, phi^-6 = 0.0557."""
    return float(PHI**exponent)


def train_rows(rows: int, share: float = TRAIN_SHARE) -> int:
    """Return how many of `rows` train: round(rows * share), but one row at least on either side.

    With fewer than two rows there is nothing to divide and all of them train.
    """
    if rows < 2:
        return rows
    return min(max(round(rows * share), 1), rows - 1)


def mix_weights(sources: int) -> list[float]:
    """Return the weights of a phi mix: phi^-1, phi^-2, ... (0.618, 0.382, 0.236, ...), normalised to sum to 1."""
    raw = [power(-place) for place in range(1, sources + 1)]
    total = sum(raw)
    return [weight / total for weight in raw]


def warmup_steps(warmup: float, steps: int) -> int:
    """Return the number of warm-up steps: a share of `steps` (rounded up) below 1, a count from 1 on."""
    return math.ceil(warmup * steps) if warmup < 1 else min(int(warmup), steps)


def restart_bounds(steps: int, restarts: int) -> list[float]:
    """Return the ends of the cosine periods of `phi_restarts`, in steps after warm-up; the last is `steps`.

    With n = restarts + 1 periods the k-th lasts T0 * phi^k, T0 = steps * (phi - 1) / (phi^n - 1), a geometric
    series that fills the run exactly.
    """
    periods = restarts + 1
    first = steps * (PHI - 1) / (PHI**periods - 1)
    ends = [first * (PHI ** (period + 1) - 1) / (PHI - 1) for period in range(periods)]
    ends[-1] = float(steps)
    return ends


def restart_factor(step: int, steps: int, restarts: int) -> float:
    """Return the share of the peak learning rate at `step` of `steps` after warm-up under `phi_restarts`.

    Inside the period [a, b) that holds the step: (1 + cos(pi * (step - a) / (b - a))) / 2, so each period starts
    at 1 and falls towards 0 (cosine with warm restarts, Loshchilov and Hutter 2017, with T_mult = phi).
    """
    if step >= steps:
        return 0.0
    start = 0.0
    for end in restart_bounds(steps, restarts):
        if step < end:
            return (1 + math.cos(math.pi * (step - start) / (end - start))) / 2
        start = end
    return 0.0
