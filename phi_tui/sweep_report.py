"""What a sweep found, in words that claim no more than its seeds carry.

The seed also draws the split, so runs of one seed share their validation rows and runs of two seeds do not.
Differences are therefore taken seed by seed, where the luck of the rows falls out, and only then averaged.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from phi_tui.intervals import Interval, interval

Settings = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Scanned:
    """A finished run of a sweep: its settings, its seed, its validation loss in nats, and a name for its rows."""

    settings: Settings
    seed: int
    loss: float
    rows: str


@dataclass(frozen=True, slots=True)
class Difference:
    """How two values of one setting compare, the others alike: loss with the first less that with the second."""

    key: str
    one: Any
    other: Any
    interval: Interval | None
    """None where no seed has both on the same rows."""

    def __str__(self) -> str:
        left, right = f"{self.key}: {spelled(self.one)}", spelled(self.other)
        if self.interval is None:
            return f"{left} against {right}: their validation rows or tokens differ, so nothing can be said"
        mean, half, seeds = self.interval.mean, self.interval.half, self.interval.count
        if math.isinf(half):
            return f"{left} against {right}: difference {mean:+.4f} by one seed, which tells nothing apart"
        verdict = (
            f"{spelled(self.one if mean < 0 else self.other)} is better"
            if self.interval.told_apart
            else f"not told apart by {seeds} seeds"
        )
        return f"{left} against {right}: difference {mean:+.4f} +- {half:.4f}, {verdict}"


def groups(scanned: Sequence[Scanned]) -> list[tuple[Settings, Interval]]:
    """Return each combination with the mean of its losses over seeds, in the order in which they came."""
    losses: dict[str, tuple[Settings, list[float]]] = {}
    for one in scanned:
        losses.setdefault(repr(one.settings), (one.settings, []))[1].append(one.loss)
    return [(settings, interval(found)) for settings, found in losses.values()]


def differences(scanned: Sequence[Scanned]) -> list[Difference]:
    """Return every pair of values of every setting, compared seed by seed over the combinations that have both."""
    found = []
    for place, (key, _) in enumerate(scanned[0].settings if scanned else ()):
        values: list[Any] = []
        # (seed, the other settings) -> value -> run
        alike: dict[tuple[int, str], dict[str, Scanned]] = defaultdict(dict)
        for one in scanned:
            value = one.settings[place][1]
            if value not in values:
                values.append(value)
            others = repr(one.settings[:place] + one.settings[place + 1 :])
            alike[one.seed, others][repr(value)] = one
        for first, second in combinations(values, 2):
            by_seed: dict[int, list[float]] = defaultdict(list)
            for (seed, _), runs in alike.items():
                left, right = runs.get(repr(first)), runs.get(repr(second))
                if left and right and left.rows == right.rows:
                    by_seed[seed].append(left.loss - right.loss)
            means = [math.fsum(each) / len(each) for each in by_seed.values()]
            found.append(Difference(key, first, second, interval(means) if means else None))
    return found


def lines(scanned: Sequence[Scanned], seeds: int) -> list[str]:
    """Return the table and the comparisons as lines of text."""
    if not scanned:
        return ["nothing is finished, so there is nothing to compare"]
    keys = [key for key, _ in scanned[0].settings]
    rows = [[*keys, "seeds", "validation loss", "+- 95%", "perplexity"]]
    for settings, found in groups(scanned):
        half = "-" if math.isinf(found.half) else f"{found.half:.4f}"
        values = [spelled(value) for _, value in settings]
        rows.append([*values, str(found.count), f"{found.mean:.4f}", half, f"{_exp(found.mean):.4g}"])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    out = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    short = [found.count for _, found in groups(scanned) if found.count < seeds]
    if short:
        out.append(f"{len(short)} of {len(rows) - 1} combinations lack seeds")
    compared = differences(scanned)
    out += ["", *map(str, compared)]
    told = [one for one in compared if one.interval and not math.isinf(one.interval.half)]
    out += ["", "The loss is the mean over the predicted tokens of the validation rows, in nats, of the best adapter."]
    out.append("Intervals are Student's t at 95%; differences are taken seed by seed, on the same rows.")
    if len(told) > 1:
        out.append(
            f"Each holds by itself: of {len(told)} comparisons of equals, "
            f"{0.05 * len(told):.1g} look different by chance."
        )
    return out


def summary(scanned: Sequence[Scanned]) -> dict[str, Any]:
    """Return the same as plain tables, for `--json`; an interval of one seed is null."""
    return {
        "combinations": [
            {"settings": dict(settings), "loss": found.mean, "half": _finite(found.half), "seeds": found.count}
            for settings, found in groups(scanned)
        ],
        "differences": [
            {
                "key": one.key,
                "values": [one.one, one.other],
                "difference": one.interval.mean if one.interval else None,
                "half": _finite(one.interval.half) if one.interval else None,
                "told_apart": bool(one.interval and one.interval.told_apart),
            }
            for one in differences(scanned)
        ],
    }


def spelled(value: Any) -> str:
    """Return a setting's value as the command line has it."""
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _exp(loss: float) -> float:
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
