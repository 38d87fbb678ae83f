"""Reading a long journal as columns: the process that `ahead` starts.

A million steps take 10 s when each is an object.  Here they are read as arrays (`step_columns`), the curves are made
from those (`series_table`), and what is handed over is what a `MetricStore` would hold that was fed event by event.
"""

from __future__ import annotations

import math
import os
import pickle
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phi_tui.journal import parse_all
from phi_tui.metrics import MetricStore
from phi_tui.series import Bucket, Contents, Series

if TYPE_CHECKING:
    import numpy as np

    from phi_tui.step_columns import Piece

_CHUNK = 4 * 1024 * 1024
_AT_ONCE = 2_000_000
"""Points of a curve that are gathered before they are put into it."""
_HEAD, _TAIL = MetricStore.WARM_UP, MetricStore.PACED + 5
"""Of steps in a row, the first and the last ones are told the store one by one.  Of those between, all that counts is
their curves: times never run backwards, and the pace is that of the last ones.
"""


def read(path: Path) -> tuple[MetricStore, int]:
    """Return a store that knows the whole lines of a journal, and how many bytes they are."""
    from concurrent.futures import ThreadPoolExecutor  # 10 ms that the app, which imports this module, does not need

    from phi_tui import step_columns

    store = _Gathering()
    with open(path, "rb") as file:
        handle = file.fileno()
        bounds = list(_chunks(handle))

        def take(start: int, end: int) -> tuple[bytes, list[Piece]]:
            raw = os.pread(handle, end - start, start)  # not mapped: a page fault costs more than a page's copy
            return raw, step_columns.pieces(raw, 0, len(raw))

        with ThreadPoolExecutor(2) as threads:
            for raw, found in threads.map(lambda each: take(*each), bounds):
                for piece in found:
                    store.take(raw, piece)
    store.settle()
    return store, bounds[-1][1] if bounds else 0


def _chunks(handle: int) -> Iterator[tuple[int, int]]:
    """The bounds of chunks of whole lines; what stands behind the last newline is left out."""
    start, size, most = 0, os.fstat(handle).st_size, _CHUNK
    while start < size:
        stop = min(start + most, size)
        end = _line_end(handle, start, stop)
        if end > start:
            yield start, end
            start, most = end, _CHUNK
        elif stop < size:
            most *= 2  # a line longer than a chunk
        else:
            return


def _line_end(handle: int, start: int, stop: int) -> int:
    """The end of the last whole line before `stop`, `start` if there is none."""
    while stop > start:
        before = max(start, stop - 4096)
        newline = os.pread(handle, stop - before, before).rfind(b"\n")
        if newline >= 0:
            return before + newline + 1
        stop = before
    return start


class _Gathering(MetricStore):
    """A store whose curves wait as arrays until they are needed: before a resume cuts them, and at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._curves = {name: _Waiting(series) for name, series in self._stepped}
        self._stepped = tuple(self._curves.items())  # type: ignore[arg-type]  # `append` is all that is asked of them

    def take(self, raw: bytes, piece: Piece) -> None:
        """Learn what a piece says."""
        if piece.lines is None or piece.steps is None or piece.curves is None:
            self.feed(parse_all(raw[piece.start : piece.end]))
            return
        head, tail = int(piece.lines[_HEAD]), int(piece.lines[-_TAIL])
        last = parse_all(raw[tail : piece.end])
        if not all(last[-1].get(name, True) for name in ("steps", "epoch", "tokens")):
            self.feed(parse_all(raw[piece.start : piece.end]))  # what is missing there, an earlier step may have said
            return
        self.feed(parse_all(raw[piece.start : head]))
        for name, values in piece.curves.items():
            self._curves[name].extend(piece.steps[_HEAD:-_TAIL], values[_HEAD:-_TAIL])
        self.feed(last)

    def settle(self) -> None:
        """Put what waits into the curves."""
        for curve in self._curves.values():
            curve.settle()

    def _on_resumed(self, event: dict[str, Any], time: float) -> None:
        self.settle()
        super()._on_resumed(event, time)


class _Waiting:
    """Points on their way into a series, in order."""

    def __init__(self, series: Series) -> None:
        self.series = series
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self._xs: list[float] = []
        self._ys: list[float] = []
        self._points = 0

    def append(self, x: float, y: float | None) -> None:
        self._xs.append(x)
        self._ys.append(math.nan if y is None else y)

    def extend(self, xs: np.ndarray, ys: np.ndarray) -> None:
        self._close_part()
        self._parts.append((xs, ys))
        self._points += len(xs)
        if self._points >= _AT_ONCE:
            self.settle()

    def settle(self) -> None:
        import numpy as np

        from phi_tui import series_table

        self._close_part()
        if self._parts:
            xs, ys = (np.concatenate(column) for column in zip(*self._parts, strict=True))
            self._parts, self._points = [], 0
            series_table.extend(self.series, xs, ys)

    def _close_part(self) -> None:
        import numpy as np

        if self._xs:
            self._parts.append((np.array(self._xs), np.array(self._ys, np.float64)))
            self._xs, self._ys = [], []


class Flat(tuple[int, int, int, bytes, list[Any]]):
    """What a series holds, its buckets as one row of numbers: a hundred thousand objects would take their time."""

    __slots__ = ()


_NOWHERE = (math.nan, math.nan)


def _flat(held: Contents) -> Flat:
    numbers: list[float] = []
    for b in held.buckets:
        numbers += (b.first_x, b.last_x, b.entries, b.count, b.total, *(b.first or _NOWHERE), *(b.low or _NOWHERE))
        numbers += (*(b.high or _NOWHERE), *(b.last or _NOWHERE), math.nan if b.gap_x is None else b.gap_x)
    return Flat((held.most, held.width, held.gaps, array("d", numbers).tobytes(), held.recent))


def whole(flat: Flat) -> Contents:
    """What a series holds, as objects again."""
    most, width, gaps, numbers, recent = flat
    values = array("d", numbers).tolist()
    rows = zip(*[iter(values)] * 14, strict=True)
    buckets = [
        Bucket(
            first_x, last_x, int(entries), int(count), total,
            (ax, ay) if count else None, (bx, by) if count else None, (cx, cy) if count else None,
            (dx, dy) if count else None, gap if gap == gap else None,
        )
        for first_x, last_x, entries, count, total, ax, ay, bx, by, cx, cy, dx, dy, gap in rows
    ]  # fmt: skip
    return Contents(most, width, gaps, buckets, recent)


def main(path: Path) -> None:
    """Read a journal and write what came out to standard output; on few cores, the app that comes up goes first."""
    if hasattr(os, "nice"):
        os.nice(10)
    store, size = read(path)
    held = {name: _flat(value) if isinstance(value, Contents) else value for name, value in store.contents().items()}
    sys.stdout.buffer.write(pickle.dumps((held, size), pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    # Under its own name, so that what is pickled is found there by whoever reads it.
    from phi_tui import long_journal

    long_journal.main(Path(sys.argv[1]))
