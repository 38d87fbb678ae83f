"""Means with their uncertainty, for a handful of seeds: Student's t, since so few values say little about their spread.

With three seeds the factor is 4.3, not 2: whoever takes 2 sees differences that are not there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of `count` values; with 95% confidence the truth lies within `half` of it, infinite for one value."""

    mean: float
    half: float
    count: int

    @property
    def told_apart(self) -> bool:
        """Whether zero lies outside."""
        return abs(self.mean) > self.half


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the mean of `values` with its interval: t(n - 1) * s / sqrt(n), s with n - 1 in the denominator."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Interval(mean, math.inf, count)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    return Interval(mean, quantile((1 + confidence) / 2, count - 1) * spread / math.sqrt(count), count)


def quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t for a probability over 0.5, by bisection to 12 digits."""
    low, high = 0.0, 1.0
    while cumulative(high, freedom) < probability:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if cumulative(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def cumulative(t: float, freedom: int) -> float:
    """Return P(T <= t) of Student's t for a whole number of degrees of freedom.

    The finite sums 26.7.3 and 26.7.4 of Abramowitz and Stegun, Handbook of Mathematical Functions (1964).
    """
    angle = math.atan(t / math.sqrt(freedom))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    if freedom % 2:
        term, total = math.cos(angle), 0.0
        for place in range(1, (freedom - 1) // 2 + 1):
            total += term
            term *= square * (2 * place) / (2 * place + 1)
        central = 2 / math.pi * (angle + sine * total)
    else:
        term, total = 1.0, 0.0
        for place in range(1, freedom // 2 + 1):
            total += term
            term *= square * (2 * place - 1) / (2 * place)
        central = sine * total
    return (1 + central) / 2
