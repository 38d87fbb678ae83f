"""A curve of any length in a fixed amount of memory, and what a drawing of so many columns needs of it.

A series keeps a fixed number of buckets, each with the first, lowest, highest and last point in it, so that memory and
the cost of drawing stay the same however long a run is.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

BUCKETS = 4096
RECENT = 2048

Point = tuple[float, float]


class Column(NamedTuple):
    """What a series holds in one column of a drawing; the numbers are None where it holds no finite value."""

    low: float | None = None
    high: float | None = None
    last: float | None = None
    gap: bool = False
    """Whether a value that is not finite was reported here: the line breaks."""
    mean: float | None = None


@dataclass(slots=True)
class Bucket:
    """Neighbouring entries of a series: a real point each for first, low, high and last, and their sum."""

    first_x: float
    last_x: float
    entries: int = 1
    count: int = 0
    total: float = 0.0
    first: Point | None = None
    low: Point | None = None
    high: Point | None = None
    last: Point | None = None
    gap_x: float | None = None

    @classmethod
    def of(cls, x: float, y: float | None) -> Bucket:
        """A bucket of one entry."""
        if y is None:
            return cls(x, x, gap_x=x)
        point = (x, y)
        return cls(x, x, 1, 1, y, point, point, point, point)

    def add(self, x: float, y: float | None) -> None:
        """Take one more entry; what `take` does with a bucket of one, without making it."""
        self.last_x = x
        self.entries += 1
        if y is None:
            self.gap_x = x
            return
        self.count += 1
        self.total += y
        self.last = point = (x, y)
        if self.first is None:
            self.first = point
        if self.low is None or y < self.low[1]:
            self.low = point
        if self.high is None or y > self.high[1]:
            self.high = point

    def take(self, later: Bucket) -> None:
        """Merge the bucket that comes right after this one into it."""
        self.last_x = later.last_x
        self.entries += later.entries
        if later.gap_x is not None:
            self.gap_x = later.gap_x
        if later.first is None or later.low is None or later.high is None:
            return
        self.count += later.count
        self.total += later.total
        self.first = self.first or later.first
        if self.low is None or later.low[1] < self.low[1]:
            self.low = later.low
        if self.high is None or later.high[1] > self.high[1]:
            self.high = later.high
        self.last = later.last

    def points(self) -> list[Point]:
        """The points known one by one, in order of x, each once."""
        if self.count == 1:
            return [self.first] if self.first else []
        return sorted({point for point in (self.first, self.low, self.high, self.last) if point is not None})


class Contents(NamedTuple):
    """What a series holds: its buckets, oldest first, each of `width` entries but the newest, and the recent points."""

    most: int
    width: int
    gaps: int
    buckets: list[Bucket]
    recent: list[tuple[float, float | None]]


class Series:
    """One curve, y over a rising x, in constant memory; every method takes the lock."""

    def __init__(self, *, buckets: int = BUCKETS, recent: int = RECENT, lock: threading.RLock | None = None) -> None:
        self._lock = lock or threading.RLock()
        self._most = max(2, buckets)
        self._width = 1
        self._buckets: list[Bucket] = []
        self._recent: deque[tuple[float, float | None]] = deque(maxlen=max(1, recent))
        self._gaps = 0
        self._drawn: _Filling | None = None
        self.changes = 0
        """How often the curve changed: whoever drew it knows by that whether to draw again."""

    def append(self, x: float, y: float | None) -> None:
        """Add a point; None or a value that is not finite is a gap.  An x that goes back cuts what it repeats."""
        if y is not None and not math.isfinite(y):
            y = None
        with self._lock:
            buckets = self._buckets
            if buckets and x <= buckets[-1].last_x:
                self._cut(x)
            self._recent.append((x, y))
            self.changes += 1
            self._gaps += y is None
            if buckets and buckets[-1].entries < self._width:
                buckets[-1].add(x, y)
                return
            if len(buckets) >= self._most:
                self._halve()
            if buckets and buckets[-1].entries < self._width:  # an odd one was left over
                buckets[-1].add(x, y)
            else:
                buckets.append(Bucket.of(x, y))

    def cut(self, x: float) -> None:
        """Drop everything at or after x.

        A bucket that x falls into is rebuilt from the recent points or, where they no longer reach back so far,
        keeps those of its first, lowest, highest and last points that lie before x.
        """
        with self._lock:
            self._cut(x)

    def window(
        self, start: float | None = None, end: float | None = None, columns: int = 80, *, last: int = 0
    ) -> list[Column]:
        """Return what lies in start..end, both included and None for the series' own, in that many columns.

        `last`, if not 0, is the number of steps back from the newest instead of `start`.  Read from the recent
        points, and so exact in every column, where they reach back to `start`; else from the buckets, whose lowest
        and highest points are exact and lie in the column of their own x.  Asked for the same columns again, only
        what came since is added, point by point: a live curve is drawn every other second.  `mean` is for smoothing: a
        moving average is taken over the columns that are drawn, by whoever draws them, and not kept here.
        """
        with self._lock:
            if not self._buckets or columns < 1:
                return [Column()] * max(0, columns)
            first, newest = self._buckets[0].first_x, self._buckets[-1].last_x
            end = newest if end is None else end
            if last:
                start = max(first, newest - last + 1)
            start = first if start is None else start
            drawn = self._drawn
            if drawn is None or drawn.asked != (start, end, columns) or not self._follows(drawn):
                drawn = self._drawn = self._filled(start, end, columns)
            else:
                since = takewhile(lambda entry: entry[0] > drawn.newest, reversed(self._recent))
                for x, y in reversed(list(since)):
                    drawn.add(x, y)
            drawn.newest = newest
            return drawn.columns()

    def _follows(self, drawn: _Filling) -> bool:
        """Whether the recent points hold all that came after what was drawn."""
        return bool(self._recent) and self._recent[0][0] <= drawn.newest

    def _filled(self, start: float, end: float, columns: int) -> _Filling:
        filling = _Filling(start, end, columns)
        if self._recent and (start >= self._recent[0][0] or self._recent[0][0] == self._buckets[0].first_x):
            for x, y in self._recent:
                filling.add(x, y)
            return filling
        for bucket in self._buckets[bisect_left(self._buckets, start, key=lambda b: b.last_x) :]:
            if bucket.first_x > end:
                break
            filling.add_bucket(bucket)
        return filling

    def contents(self) -> Contents:
        """Everything that is held, for whoever carries a curve elsewhere or adds many points at once."""
        with self._lock:
            return Contents(self._most, self._width, self._gaps, list(self._buckets), list(self._recent))

    def become(self, held: Contents) -> None:
        """Hold something else from now on."""
        with self._lock:
            self._most, self._width, self._gaps = held.most, held.width, held.gaps
            self._buckets[:] = held.buckets
            self._recent.clear()
            self._recent.extend(held.recent)
            self._drawn = None
            self.changes += 1

    def extent(self) -> tuple[float, float] | None:
        """The first and the last x, gaps included; None while empty."""
        with self._lock:
            return (self._buckets[0].first_x, self._buckets[-1].last_x) if self._buckets else None

    def latest(self) -> tuple[float, float | None] | None:
        """The newest x with its y, None for a gap; None while empty."""
        with self._lock:
            if self._recent:
                return self._recent[-1]
            return (self._buckets[-1].last_x, (self._buckets[-1].last or (0.0, None))[1]) if self._buckets else None

    def gaps(self) -> int:
        """How many entries were not finite; after a cut beyond the recent points, at most that many."""
        with self._lock:
            return self._gaps

    def size(self) -> int:
        """How many buckets are held: at most the number given at the start."""
        with self._lock:
            return len(self._buckets)

    def clear(self) -> None:
        """Forget everything."""
        self.cut(-math.inf)

    def _halve(self) -> None:
        merged = self._buckets[::2]
        for left, right in zip(merged, self._buckets[1::2], strict=False):
            left.take(right)
        self._buckets[:] = merged
        self._width *= 2

    def _cut(self, x: float) -> None:
        self._drawn = None
        self.changes += 1
        while self._recent and self._recent[-1][0] >= x:
            self._recent.pop()
        buckets = self._buckets
        split: Bucket | None = None
        while buckets and buckets[-1].last_x >= x:
            split = buckets.pop()
        if split is not None and split.first_x < x:
            if self._recent and self._recent[0][0] <= split.first_x:
                kept = [entry for entry in self._recent if entry[0] >= split.first_x]
            else:
                kept = [(at, y) for at, y in split.points() if at < x]
                if split.gap_x is not None and split.gap_x < x:
                    kept = sorted([*kept, (split.gap_x, None)], key=lambda entry: entry[0])
            if kept:
                whole = Bucket.of(*kept[0])
                for entry in kept[1:]:
                    whole.take(Bucket.of(*entry))
                buckets.append(whole)
        if not buckets:
            self._width = 1
        self._gaps = sum(bucket.entries - bucket.count for bucket in buckets)


class _Filling:
    """Columns while they are filled, oldest entry first."""

    def __init__(self, start: float, end: float, columns: int) -> None:
        self.asked = (start, end, columns)
        self.newest = -math.inf
        """The newest entry that was there when it was filled."""
        self.start, self.end, self.most = start, end, columns - 1
        self.scale = self.most / (end - start) if end > start else 0.0
        self.low: list[float | None] = [None] * columns
        self.high: list[float | None] = [None] * columns
        self.last: list[float | None] = [None] * columns
        self.gap = [False] * columns
        self.total = [0.0] * columns
        self.count = [0] * columns

    def place(self, x: float) -> int:
        """The column of x, -1 outside."""
        return int((x - self.start) * self.scale + 0.5) if self.start <= x <= self.end else -1

    def add(self, x: float, y: float | None, weight: int = 1) -> None:
        at = self.place(x)
        if at < 0:
            return
        if y is None:
            self.gap[at] = True
            return
        low, high = self.low[at], self.high[at]
        if low is None or y < low:
            self.low[at] = y
        if high is None or y > high:
            self.high[at] = y
        self.last[at] = y
        self.total[at] += y * weight
        self.count[at] += weight

    def add_bucket(self, bucket: Bucket) -> None:
        if bucket.gap_x is not None:
            self.add(bucket.gap_x, None)
        if bucket.count == 1:
            self.add(*bucket.points()[0])
            return
        for x, y in bucket.points():
            self.add(x, y, 0)
        if bucket.last is not None and (at := self.place(bucket.last[0])) >= 0:
            self.total[at] += bucket.total
            self.count[at] += bucket.count

    def columns(self) -> list[Column]:
        means = (
            total / count if count and math.isfinite(total) else last  # a sum of huge values may overflow
            for total, count, last in zip(self.total, self.count, self.last, strict=True)
        )
        return list(map(Column, self.low, self.high, self.last, self.gap, means))
