"""A long journal read by a process of its own, in the fraction of a second that the app takes to come up.

A million steps take 10 s when each is an object.  The process reads them as columns (`step_columns`), makes the curves
from those (`series_table`) and hands over what a `MetricStore` would hold that was fed event by event; only it loads
numpy and pyarrow, and nothing of it holds up the screen.  Whoever waits reads the ordinary way if it fails.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import subprocess
import sys
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phi_tui.journal import parse_all
from phi_tui.metrics import MetricStore
from phi_tui.series import Bucket, Contents, Series

if TYPE_CHECKING:
    import numpy as np

    from phi_tui.step_columns import Piece

LONG = 8 * 1024 * 1024
"""Bytes of a journal that take the app about as long as the process takes to start."""

_CHUNK = 16 * 1024 * 1024
_AT_ONCE = 2_000_000
"""Points of a curve that are gathered before they are put into it."""
_HEAD, _TAIL = MetricStore.WARM_UP, MetricStore.PACED + 5
"""Of steps in a row, the first and the last ones are told the store one by one: all else of a step is its curves."""


class Ahead:
    """A process that reads a journal up to the end that it has now; `result` waits for it."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-P", "-m", "phi_tui.long_journal", str(path)]
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )

    def result(self, store: MetricStore) -> int:
        """Let the store hold what was read, and return how many bytes that was; 0 if the process did not end well."""
        if self._process is None:
            return 0
        told = self._process.communicate()[0]
        if self._process.returncode:
            return 0
        try:
            held, size = pickle.loads(told)  # noqa: S301 - from this very program, through a pipe
        except (pickle.UnpicklingError, EOFError):
            return 0
        store.become({name: _whole(value) if isinstance(value, _Flat) else value for name, value in held.items()})
        return int(size)

    def close(self) -> None:
        """End the process, and with it the wait for it."""
        if self._process is not None:
            self._process.kill()


def ahead(path: Path) -> Ahead | None:
    """Begin to read a journal that is long enough for it."""
    with contextlib.suppress(OSError):
        if os.stat(path).st_size >= LONG:
            return Ahead(path)
    return None


def read(path: Path) -> tuple[MetricStore, int]:
    """Return a store that knows the whole lines of a journal, and how many bytes they are."""
    from phi_tui import step_columns

    store = _Gathering()
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return store, 0
        # Mapped, not read: no copy is made.  Where a new writer cuts a torn tail off meanwhile, this process may die
        # of it, and the app reads the ordinary way.
        raw = mmap(file.fileno(), 0, access=ACCESS_READ)
    bounds = list(_chunks(raw))
    with ThreadPoolExecutor(2) as threads:
        for found in threads.map(lambda each: step_columns.pieces(raw, *each), bounds):
            for piece in found:
                store.take(raw, piece)
    store.settle()
    return store, bounds[-1][1] if bounds else 0


def _chunks(raw: mmap) -> Iterator[tuple[int, int]]:
    """The bounds of chunks of whole lines."""
    start, size = 0, raw.size()
    while start < size:
        end = raw.rfind(b"\n", start, start + _CHUNK) + 1 or raw.find(b"\n", start) + 1
        if not end:
            return  # the last line is not whole
        yield start, end
        start = end


class _Gathering(MetricStore):
    """A store whose curves wait as arrays until they are needed: before a resume cuts them, and at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._curves = {name: _Waiting(series) for name, series in self._stepped}
        self._stepped = tuple(self._curves.items())  # type: ignore[assignment]  # `append` is all that is asked of them

    def take(self, raw: mmap, piece: Piece) -> None:
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


class _Flat(tuple[int, int, int, bytes, list[Any]]):
    """What a series holds, its buckets as one row of numbers: a hundred thousand objects would take their time."""

    __slots__ = ()


_NOWHERE = (math.nan, math.nan)


def _flat(held: Contents) -> _Flat:
    numbers: list[float] = []
    for b in held.buckets:
        numbers += (b.first_x, b.last_x, b.entries, b.count, b.total, *(b.first or _NOWHERE), *(b.low or _NOWHERE))
        numbers += (*(b.high or _NOWHERE), *(b.last or _NOWHERE), math.nan if b.gap_x is None else b.gap_x)
    return _Flat((held.most, held.width, held.gaps, array("d", numbers).tobytes(), held.recent))


def _whole(flat: _Flat) -> Contents:
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
    """Read a journal and write what came out to standard output."""
    store, size = read(path)
    held = {name: _flat(value) if isinstance(value, Contents) else value for name, value in store.contents().items()}
    sys.stdout.buffer.write(pickle.dumps((held, size), pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    # Under its own name, so that what is pickled is found there by whoever reads it.
    from phi_tui import long_journal

    long_journal.main(Path(sys.argv[1]))
