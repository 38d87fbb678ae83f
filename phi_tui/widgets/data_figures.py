"""Figures of the Data screen: what a split costs, how a mix is divided, what a length keeps; plain functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from phi_tui import phi
from phi_tui.schema import Project

POWERS = (2, 3, 4, 5, 6)
"""Validation shares offered: phi^-2 = 38.2% (the phi split), phi^-3 = 23.6%, 14.6%, 9.0%, 5.6%."""
LIMITS = (256, 512, 1024, 2048)
"""Lengths whose cost is shown."""
EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Choice:
    """A split that can be taken: its value in the project, and what it gives."""

    value: str | float
    label: str
    validation_share: float
    train: int
    validation: int
    tokens: int | None
    """Tokens that would train, estimated; None where no row is tokenised yet."""


def split_value(power: int) -> str | float:
    """What `data.split` is set to for a validation share of phi^-power: "phi", or 1 - phi^-power in full."""
    return "phi" if power == 2 else 1 - phi.power(-power)


def cycle_split(split: str | float) -> str | float:
    """The split after this one in phi, 0.9, 0.95, none; anything else goes back to phi."""
    order: list[str | float] = ["phi", 0.9, 0.95, "none"]
    return order[(order.index(split) + 1) % len(order)] if split in order else "phi"


def train_share(split: str | float) -> float:
    """The share of the rows that trains."""
    return {"phi": phi.TRAIN_SHARE, "none": 1.0}[split] if isinstance(split, str) else split


def split_words(split: str | float) -> str:
    """How a split is called."""
    if split == "phi":
        return "phi: 61.8% of the rows train"
    if split == "none":
        return "none: all rows train"
    share = train_share(split)
    for power in POWERS:
        if abs(1 - share - phi.power(-power)) < 1e-9:
            return f"phi^-{power} validates, {share:.1%} train"
    return f"{split:g}: {share:.1%} of the rows train"


def trained_rows(sizes: Sequence[int], share: float) -> int:
    """How many rows train when each source is split on its own, as the engine does."""
    return sum(size if share >= 1 else phi.train_rows(size, share) for size in sizes)


def sizes_of(report: dict[str, Any]) -> list[int]:
    """Good rows of each source that is split."""
    return [int(source["kept"]) for source in report.get("sources") or [] if source.get("role") == "train"]


def choices(report: dict[str, Any], tokens: dict[str, dict[str, Any]]) -> list[Choice]:
    """The splits offered, with the rows (and, estimated from the mean length, tokens) each trains on."""
    sizes = sizes_of(report)
    total = sum(sizes)
    mean = _mean_tokens(tokens)
    found: list[Choice] = []
    for value, label, share in (
        *((split_value(power), f"phi^-{power}", 1 - phi.power(-power)) for power in POWERS),
        ("none", "none", 1.0),
    ):
        train = trained_rows(sizes, share)
        estimate = round(train * mean) if mean is not None else None
        found.append(Choice(value, label, 1 - share, train, total - train, estimate))
    return found


def _mean_tokens(tokens: dict[str, dict[str, Any]]) -> float | None:
    parts = [part for part in tokens.values() if isinstance(part, dict)]
    rows = sum(int(part.get("rows") or 0) for part in parts)
    return sum(int(part.get("tokens") or 0) for part in parts) / rows if rows else None


def chosen(split: str | float, value: str | float) -> bool:
    """Whether the project's split is this choice."""
    if isinstance(split, str) or isinstance(value, str):
        return split == value
    return abs(split - value) < 1e-9


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose lengths lie in [low, high)."""

    low: int
    high: int
    train: int
    validation: int

    @property
    def rows(self) -> int:
        """Rows of both parts."""
        return self.train + self.validation


def bins_of(histogram: dict[str, Any]) -> list[Bin]:
    """The bins of a survey's histogram; empty when it has none, or it makes no sense."""
    edges = [int(edge) for edge in histogram.get("edges") or []]
    train = [int(count) for count in histogram.get("train") or []]
    validation = [int(count) for count in histogram.get("validation") or []]
    if len(edges) < 2:
        return []
    train += [0] * (len(edges) - 1 - len(train))
    validation += [0] * (len(edges) - 1 - len(validation))
    return [Bin(edges[at], edges[at + 1], train[at], validation[at]) for at in range(len(edges) - 1)]


def fewer_bins(bins: Sequence[Bin], most: int, keep: int = 0) -> list[Bin]:
    """Join neighbours, as many for each bar, until at most `most` are left; empty ends go first.

    No join goes over the edge `keep`, so one bar may be narrower there.
    """
    left = list(bins)
    while len(left) > 1 and not left[-1].rows:
        left.pop()
    while len(left) > 1 and not left[0].rows:
        del left[0]
    below, beyond = [one for one in left if one.high <= keep], [one for one in left if one.high > keep]
    sides = [part for part in (below, beyond) if part]
    size = 1
    while sum(-(-len(part) // size) for part in sides) > max(len(sides), most):
        size += 1
    return [_joined(part[at : at + size]) for part in sides for at in range(0, len(part), size)]


def _joined(bins: Sequence[Bin]) -> Bin:
    return Bin(bins[0].low, bins[-1].high, sum(one.train for one in bins), sum(one.validation for one in bins))


@dataclass(frozen=True, slots=True)
class KeptAt:
    """What a max_length would keep: rows cut and share of the tokens kept; None where it is not known."""

    limit: int
    cut_rows: int | None
    kept: float | None
    exact: bool = False


def kept_at(
    bins: Sequence[Bin], limit: int, *, whole: bool, max_length: int, tokens: dict[str, dict[str, Any]] | None = None
) -> KeptAt:
    """What `limit` would keep: as counted at the survey's max_length, else estimated from the histogram.

    The estimate takes each row to be as long as its bin's middle, and those of the last bin, which holds a long tail,
    to be as long as the counted tokens leave for them.  Where lengths were cut at max_length, nothing beyond that is
    known.
    """
    parts = [part for part in (tokens or {}).values() if isinstance(part, dict)]
    lost = sum(int(part.get("cut_tokens") or 0) for part in parts)
    counted = sum(int(part.get("tokens") or 0) for part in parts) + lost
    if limit == max_length and counted:
        return KeptAt(limit, sum(int(part.get("cut_rows") or 0) for part in parts), 1 - lost / counted, True)
    total = sum(one.rows for one in bins)
    if not total or (not whole and limit > max_length):
        return KeptAt(limit, None, None)
    middle = [(max(1.0, (one.low + one.high - 1) / 2), one.rows) for one in bins]
    last = next((at for at in range(len(bins) - 1, -1, -1) if bins[at].rows), 0)
    if counted and whole and middle[last][1]:
        rest = counted - sum(length * rows for at, (length, rows) in enumerate(middle) if at != last)
        mean = min(max(rest / middle[last][1], bins[last].low), bins[last].high - 1)
        middle[last] = mean, middle[last][1]
    everything = sum(length * rows for length, rows in middle)
    kept = sum(min(length, limit) * rows for length, rows in middle)
    cut = 0.0
    for one in bins:
        if one.low > limit:
            cut += one.rows
        elif one.high - 1 > limit:
            cut += one.rows * (one.high - 1 - limit) / max(1, one.high - one.low)
    # Rounded up: that no row is cut is said only where no bin with rows goes beyond the limit.
    return KeptAt(limit, math.ceil(cut), kept / everything)


def bar(share: float, width: int) -> str:
    """A bar of a share of `width` cells, to an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    whole, part = divmod(eighths, 8)
    return "█" * whole + (EIGHTHS[part] if part else "")


def short(number: float | None) -> str:
    """A count as a person reads it: 596, 12.3k, 4.57M."""
    if number is None:
        return "?"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            scaled = number / (1e3 if unit == "k" else size)
            return f"{scaled:.3g}{unit}"
    return f"{number:,.0f}"


def mix_lines(project: Project, report: dict[str, Any]) -> list[dict[str, Any]]:
    """The mix, source by source: as reported, else the weights that the project asks for."""
    if project.data.mix == "none":
        return []
    reported = report.get("mix") or []
    if reported:
        return list(reported)
    names = [source.path or source.hub for source in project.data.sources if source.role == "train"]
    return [{"source": name, "weight": weight} for name, weight in zip(names, phi.mix_weights(len(names)), strict=True)]
