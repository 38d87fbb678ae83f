"""Many points at once into a curve: what appending them one by one would have made, from arrays.

For the process that reads a long journal; it alone loads numpy.  A million points take 0.1 s here and 1 s one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from phi_tui.series import RECENT, Bucket, Contents, Point, Series

FEW = 512
"""So many points are appended one by one: a table of a full series takes longer."""

_POINTS = ("first", "low", "high", "last")
_PLACES = ("first_x", "last_x", "entries", "count", "total", "gap_x", *(f"{a}_{p}" for p in _POINTS for a in "xy"))


def extend(series: Series, xs: np.ndarray, ys: np.ndarray) -> None:
    """Append points; `ys` is float64 with NaN (or an infinity) for a gap.  An x that goes back cuts what it repeats."""
    back = np.flatnonzero(np.diff(xs) <= 0) + 1
    for part_x, part_y in zip(np.split(xs, back), np.split(ys, back), strict=True):
        if len(part_x) < FEW:
            for x, y in zip(part_x.tolist(), part_y.tolist(), strict=True):
                series.append(x, y)
            continue
        known = series.extent()
        if known and part_x[0] <= known[1]:
            series.cut(float(part_x[0]))
        _fill(series, part_x, np.where(np.isfinite(part_y), part_y, np.nan))


def _fill(series: Series, xs: np.ndarray, ys: np.ndarray) -> None:
    """`extend` for rising x that lie behind all that the series holds."""
    held = series.contents()
    table = _Table(held.most, held.width, held.buckets)
    table.fill(xs, ys)
    newest = slice(max(0, len(xs) - RECENT), None)
    recent = [(x, None if math.isnan(y) else y) for x, y in zip(xs[newest].tolist(), ys[newest].tolist(), strict=True)]
    gaps = held.gaps + int(np.isnan(ys).sum())
    series.become(Contents(held.most, table.width, gaps, list(table.buckets()), [*held.recent, *recent]))


class _Table:
    """The buckets of a series as columns; NaN where a bucket has none."""

    def __init__(self, most: int, width: int, buckets: list[Bucket]) -> None:
        self.most, self.width, self.size = most, width, len(buckets)
        self.columns = {name: np.full(most, np.nan) for name in _PLACES}
        for name in ("first_x", "last_x", "entries", "count", "total", "gap_x"):
            self.columns[name][: self.size] = [_number(getattr(bucket, name)) for bucket in buckets]
        for name in _POINTS:
            points: list[Point] = [getattr(bucket, name) or (math.nan, math.nan) for bucket in buckets]
            self.columns[f"x_{name}"][: self.size] = [x for x, _ in points]
            self.columns[f"y_{name}"][: self.size] = [y for _, y in points]

    def buckets(self) -> Iterator[Bucket]:
        """The buckets, oldest first."""
        kept = {name: column[: self.size] for name, column in self.columns.items()}
        whole = [kept[name].tolist() for name in ("first_x", "last_x")]
        counts = [kept[name].astype(np.int64).tolist() for name in ("entries", "count")]
        points = [
            _where(kept["count"] > 0, list(zip(kept[f"x_{name}"].tolist(), kept[f"y_{name}"].tolist(), strict=True)))
            for name in _POINTS
        ]
        gaps = _where(~np.isnan(kept["gap_x"]), kept["gap_x"].tolist())
        return map(Bucket, *whole, *counts, kept["total"].tolist(), *points, gaps)

    def fill(self, xs: np.ndarray, ys: np.ndarray) -> None:
        """Add points as `Series.append` does: into the newest bucket, else into new ones, halved when they are full."""
        at, end = 0, len(xs)
        while at < end:
            room = self.width - int(self.columns["entries"][self.size - 1]) if self.size else 0
            if room > 0:
                part = slice(at, min(at + room, end))
                self._put(self.size, xs[part][None], ys[part][None])
                self._merge(slice(self.size - 1, self.size), slice(self.size, self.size + 1), xs[part], ys[part])
            elif self.size >= self.most:
                self._halve()
                continue
            else:
                whole = min(self.most - self.size, (end - at) // self.width)
                part = slice(at, at + whole * self.width) if whole else slice(at, end)
                shape = (whole or 1, -1)
                self._put(self.size, xs[part].reshape(shape), ys[part].reshape(shape))
                self.size += whole or 1
            at = part.stop

    def _put(self, place: int, xs: np.ndarray, ys: np.ndarray) -> None:
        """Write a bucket a row of points from `place` on; not counted in `size` yet."""
        rows, width = xs.shape
        if place + rows > len(self.columns["first_x"]):  # room for the one that is merged at once
            self.columns = {name: np.append(column, np.full(rows, np.nan)) for name, column in self.columns.items()}
        there = ~np.isnan(ys)
        every, whole, line = bool(there.all()), there.any(axis=1), np.arange(rows)
        finite = ys if every else np.where(there, ys, 0.0)
        found = {
            "first_x": xs[:, 0],
            "last_x": xs[:, -1],
            "entries": np.full(rows, float(width)),
            "count": there.sum(axis=1),
            # Added one after the other: a sum in another order would differ in its last digits.
            "total": np.add.accumulate(finite, axis=1)[:, -1],
        }
        newest_gap = width - 1 - np.argmin(there[:, ::-1], axis=1)
        found["gap_x"] = np.where(there.all(axis=1), np.nan, xs[line, newest_gap])
        places = {
            "first": np.argmax(there, axis=1),
            "low": np.argmin(ys if every else np.where(there, ys, np.inf), axis=1),
            "high": np.argmax(ys if every else np.where(there, ys, -np.inf), axis=1),
            "last": width - 1 - np.argmax(there[:, ::-1], axis=1),
        }
        for name, cell in places.items():
            found[f"x_{name}"] = np.where(whole, xs[line, cell], np.nan)
            found[f"y_{name}"] = np.where(whole, ys[line, cell], np.nan)
        for name, values in found.items():
            self.columns[name][place : place + rows] = values

    def _merge(self, into: slice, later: slice, xs: np.ndarray | None = None, ys: np.ndarray | None = None) -> None:
        """Merge buckets into those right before them, as `Bucket.take` does, or as `add` does with single points."""
        c = self.columns
        had, has = c["count"][into] > 0, c["count"][later] > 0
        total = c["total"][into] + c["total"][later]
        if ys is not None:  # point by point
            begun = np.append(c["total"][into], ys[~np.isnan(ys)])
            total = np.add.accumulate(begun)[-1:]
        takes = {
            "first": has & ~had,
            "low": has & ~(had & ~(c["y_low"][later] < c["y_low"][into])),
            "high": has & ~(had & ~(c["y_high"][later] > c["y_high"][into])),
            "last": has,
        }
        for name, taken in takes.items():
            for axis in "xy":
                column = c[f"{axis}_{name}"]
                column[into] = np.where(taken, column[later], column[into])
        c["gap_x"][into] = np.where(np.isnan(c["gap_x"][later]), c["gap_x"][into], c["gap_x"][later])
        c["last_x"][into] = c["last_x"][later]
        c["total"][into] = total
        for name in ("entries", "count"):
            c[name][into] = c[name][into] + c[name][later]

    def _halve(self) -> None:
        pairs = self.size // 2 * 2
        self._merge(slice(0, pairs, 2), slice(1, pairs, 2))
        kept = (self.size + 1) // 2
        for column in self.columns.values():
            column[:kept] = column[: self.size : 2].copy()
        self.size, self.width = kept, self.width * 2


def _where(there: np.ndarray, values: list[Any]) -> list[Any]:
    """The values, and None where there is none."""
    if there.all():
        return values
    return [value if one else None for value, one in zip(values, there.tolist(), strict=True)]


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
