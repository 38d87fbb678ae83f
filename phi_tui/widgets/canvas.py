"""A chart as characters: columns of a series in, rows of text out.  Pure, so that it is tested without a terminal.

The cost depends on the size of the picture alone.  Blank cells are spaces and markers are ASCII, since a braille
character takes three bytes on the wire; a picture that would be full of them is thinned inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from phi_tui.series import Column

Charset = Literal["braille", "blocks", "ascii"]

DOTS: dict[Charset, tuple[int, int]] = {"braille": (2, 4), "blocks": (1, 2), "ascii": (1, 1)}
"""Pixels a cell, across and down."""

POINT, CHECKPOINT, GAP = "o", "^", "x"
"""An evaluation (in the plot and on the axis), a checkpoint, and a value that is no number, on the axis."""

WIDE_CELLS = 400
"""More three-byte characters than this, and full cells become colons, then half full ones: a redraw has 8 KB."""

_HUGE = 1e300
_LEFT, _RIGHT = (0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)  # braille dots from the top
_BRAILLE = [
    " " if not bits else chr(0x2800 + sum((_LEFT + _RIGHT)[dot] for dot in range(8) if bits >> dot & 1))
    for bits in range(256)
]


_NARROW = dict.fromkeys(map(ord, " :"))
_DENSE: dict[Charset, tuple[dict[int, str], ...]] = {
    "braille": (
        {ord(_BRAILLE[255]): ":"},
        {ord(_BRAILLE[bits]): ":" for bits in range(256) if bits & 15 == 15 or bits >> 4 == 15},
    ),
    "blocks": ({ord("█"): ":"},),
}
"""What to draw as colons, the first step and the second, where too much is filled."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn chart; every row of `rows`, and `axis` and `x_labels`, is as wide as the plot."""

    rows: tuple[str, ...]
    labels: tuple[str, ...]
    """What stands left of each row; empty where there is no tick."""
    points: tuple[tuple[int, ...], ...]
    """For each row the cells that show the second series."""
    axis: str
    marks: tuple[int, ...]
    """The cells of `axis` that hold a marker."""
    x_labels: str
    note: str
    """What a person must know of what is not drawn; empty when all is."""


class Scale(NamedTuple):
    """The values (or their decimal logarithms) at the bottom and the top of the plot."""

    low: float
    high: float
    log: bool

    def place(self, value: float, pixels: int) -> int:
        """The pixel row of a value, 0 at the bottom."""
        at = math.log10(max(value, 1 / _HUGE)) if self.log else value
        share = (min(max(at, self.low), self.high) - self.low) / (self.high - self.low)
        return int(share * (pixels - 1) + 0.5)


class _Span(NamedTuple):
    """The pixels that one pixel column fills, and the row of its value (-1: it has several, or joins neighbours)."""

    bottom: int
    top: int
    at: int


def pixel_columns(charset: Charset, width: int) -> int:
    """How many columns of a series a plot of so many cells draws."""
    return max(0, width) * DOTS[charset][0]


def draw(
    columns: Sequence[Column],
    second: Sequence[Column] = (),
    *,
    width: int,
    height: int,
    start: float,
    end: float,
    charset: Charset = "braille",
    log: bool = False,
    label_width: int = 6,
    checkpoints: Sequence[float] = (),
    evaluations: Sequence[float] = (),
) -> Picture:
    """Draw `columns` as a joined line and `second` as points in a plot of width x height cells.

    Both hold `pixel_columns(charset, width)` columns, which stand for start..end.  On a log axis values of 0 and
    less are left out, and the note says so.
    """
    note = ""
    if log:
        positive, other = _positive(columns), _positive(second)
        if any(c.low is not None and c.low <= 0 for c in (*columns, *second)):
            note = "0 and below left out"
        columns, second = positive, other
    known = [
        value for c in (*columns, *second) if c.low is not None and c.high is not None for value in (c.low, c.high)
    ]
    across, down = DOTS[charset]
    axis, marks = _axis(columns, width, start, end, across, charset, checkpoints, evaluations)
    if not known or not width or not height:
        if not note:
            note = "no finite value" if any(c.gap for c in (*columns, *second)) else "no points yet"
        empty = (" " * width,) * height
        return Picture(empty, ("",) * height, ((),) * height, axis, marks, " " * width, note)
    scale = y_scale(min(known), max(known), log=log, rows=height)
    grid = _raster(_spans(columns, scale, height * down), width, height, across, down)
    rows = [list(row) for row in _characters(grid, charset)]
    points: list[list[int]] = [[] for _ in rows]
    for pixel, column in enumerate(second):
        if column.last is not None:
            row, cell = height - 1 - scale.place(column.last, height * down) // down, pixel // across
            rows[row][cell] = POINT
            points[row].append(cell)
    return Picture(
        tuple(map("".join, rows)),
        _labels(scale, height, down, label_width),
        tuple(tuple(sorted(set(cells))) for cells in points),
        axis,
        marks,
        _x_labels(width, start, end),
        note,
    )


def smoothed(columns: Sequence[Column], smoothing: float) -> list[Column]:
    """Return the columns' means as a moving average: exponential, `smoothing` (0..1) the weight of what came before.

    Without bias at the start: divided by the sum of the weights so far, as in Adam (Kingma and Ba 2015, section 3).
    """
    found, total, weight = [], 0.0, 0.0
    for column in columns:
        if column.mean is None:
            found.append(column)
            continue
        total = smoothing * total + (1 - smoothing) * column.mean
        weight = smoothing * weight + (1 - smoothing)
        value = total / weight
        found.append(Column(value, value, value, column.gap, value))
    return found


def compact(value: float, digits: int = 3) -> str:
    """A number in few characters, rounded to so many digits: 1e-4, 0.25, 12k."""
    value = _rounded(value, digits)
    size = abs(value)
    if size and not 1e-3 <= size < 1e15:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
    for unit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{value / unit:.10g}{letter}"
    return f"{value:.10g}"


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")


def nice_step(span: float, most: int) -> float:
    """The smallest 1, 2 or 5 times a power of ten that divides `span` (over 0) into at most `most` parts."""
    raw = span / max(1, most)
    power = 10.0 ** math.floor(math.log10(raw))
    return next((power * part for part in (1, 2, 5) if power * part >= raw * (1 - 1e-9)), power * 10)


def y_scale(low: float, high: float, *, log: bool, rows: int) -> Scale:
    """The scale for values low..high; its ends are rounded outwards, so that they stay put while points come in."""
    if log:
        bottom, top = (math.log10(min(max(value, 1 / _HUGE), _HUGE)) for value in (low, high))
        if top - bottom < 0.1:
            bottom, top = bottom - 0.1, top + 0.1
        return Scale(math.floor(bottom * 8) / 8, math.ceil(top * 8) / 8, True)
    low, high = (min(max(value, -_HUGE), _HUGE) for value in (low, high))
    size = max(abs(low), abs(high))
    if size < 1e-290:
        low, high = 0.0, 1.0
    elif high - low < size * 1e-9:
        low, high = low - size * 0.1, high + size * 0.1
    part = nice_step(high - low, _most_ticks(rows)) / 4
    return Scale(math.floor(low / part + 1e-6) * part, math.ceil(high / part - 1e-6) * part, False)


def y_ticks(scale: Scale, rows: int) -> list[float]:
    """Round values along the scale, lowest first, no more than there is room for."""
    most = _most_ticks(rows)
    if not scale.log:
        return _multiples(scale.low, scale.high, nice_step(scale.high - scale.low, most))
    powers = range(math.ceil(scale.low), math.floor(scale.high) + 1)
    if len(powers) > 2:
        return [10.0**power for power in powers[:: math.ceil(len(powers) / most)]]
    wide = range(math.floor(scale.low), math.ceil(scale.high) + 1)
    between = [part * 10.0**power for power in wide for part in (1, 2, 5)]
    between = [value for value in between if scale.low <= math.log10(value) <= scale.high]
    if len(between) > 1:
        return between[:: math.ceil(len(between) / most)]
    low, high = 10.0**scale.low, 10.0**scale.high
    return _multiples(low, high, nice_step(high - low, most))


def _most_ticks(rows: int) -> int:
    return max(2, min(8, rows // 2))


def _multiples(low: float, high: float, step: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [number * step for number in range(first, min(last, first + 50) + 1)]


def _positive(columns: Sequence[Column]) -> list[Column]:
    """The columns without their values of 0 and less; a mean or newest value among them gives way to the highest."""
    kept = []
    for column in columns:
        if column.low is None or column.high is None or column.low > 0:
            kept.append(column)
        elif column.high <= 0:
            kept.append(Column(gap=column.gap))
        else:
            last = column.last if column.last is not None and column.last > 0 else column.high
            kept.append(Column(min(last, column.high), column.high, last, column.gap, last))
    return kept


def _spans(columns: Sequence[Column], scale: Scale, pixels: int) -> list[_Span | None]:
    """What each pixel column fills, each joined to the one before it unless a gap lies between."""
    spans: list[_Span | None] = [None] * len(columns)
    before: tuple[int, int] | None = None

    def put(at: int, bottom: int, top: int, newest: int, coming_from: int) -> None:
        if coming_from < bottom - 1:
            bottom = coming_from + 1
        elif coming_from > top + 1:
            top = coming_from - 1
        spans[at] = _Span(bottom, top, newest)

    for at, column in enumerate(columns):
        if column.gap:
            before = None
        if column.low is None or column.high is None or column.last is None:
            continue
        bottom, top = scale.place(column.low, pixels), scale.place(column.high, pixels)
        newest = scale.place(column.last, pixels)
        row = min(max(before[1], bottom), top) if before else bottom
        if before:
            previous = before[1]
            for between in range(before[0] + 1, at):
                share = (between - before[0]) / (at - before[0])
                level = round(before[1] + (row - before[1]) * share)
                put(between, level, level, -1, previous)
                previous = level
            row = previous
        put(at, bottom, top, newest if bottom == top else -1, row)
        before = None if column.gap else (at, newest)
    return spans


def _raster(spans: Sequence[_Span | None], width: int, height: int, across: int, down: int) -> list[list[int]]:
    """Cells with a bit for each filled pixel, from the top, the left column's first; ascii gets a code instead."""
    grid = [[0] * width for _ in range(height)]
    pixels = height * down
    for pixel, span in enumerate(spans):
        if span is None:
            continue
        cell, side = divmod(pixel, across)
        first, last = pixels - 1 - span.top, pixels - 1 - span.bottom
        for row in range(first // down, last // down + 1):
            top, bottom = max(first - row * down, 0), min(last - row * down, down - 1)
            grid[row][cell] |= ((1 << bottom + 1) - (1 << top)) << side * down
        if down == 1:
            if span.at < 0 and span.top == span.bottom:
                grid[first][cell] = 2
            elif span.at >= 0:
                grid[pixels - 1 - span.at][cell] = 3
    return grid


def _characters(grid: list[list[int]], charset: Charset) -> list[str]:
    if charset == "ascii":
        return ["".join(" |.*"[code] for code in row) for row in grid]
    table = _BRAILLE if charset == "braille" else [" ", "▀", "▄", "█"]
    rows = ["".join([table[code] for code in row]) for row in grid]
    for dense in _DENSE[charset]:
        if sum(len(row.translate(_NARROW)) for row in rows) <= WIDE_CELLS:
            break
        rows = [row.translate(dense) for row in rows]
    return rows


def _labels(scale: Scale, height: int, down: int, width: int) -> tuple[str, ...]:
    ticks = y_ticks(scale, height)
    near = min((right - left for left, right in pairwise(ticks)), default=math.inf) / 100
    digits = next((d for d in range(2, 7) if all(abs(_rounded(t, d) - t) <= min(near, abs(t)) for t in ticks)), 6)
    labels = [""] * height
    for tick in ticks:
        row = height - 1 - scale.place(tick, height * down) // down
        short = next((text for d in range(digits, 0, -1) if len(text := compact(tick, d)) <= width), "")
        if short not in labels:
            labels[row] = short
    return tuple(labels)


def _cell(x: float, width: int, start: float, end: float, across: int) -> int:
    """The cell of x, -1 outside; the same rounding as the series' columns."""
    if not start <= x <= end:
        return -1
    return int((x - start) / (end - start) * (width * across - 1) + 0.5) // across if end > start else 0


def _axis(
    columns: Sequence[Column],
    width: int,
    start: float,
    end: float,
    across: int,
    charset: Charset,
    checkpoints: Sequence[float],
    evaluations: Sequence[float],
) -> tuple[str, tuple[int, ...]]:
    cells = ["-" if charset == "ascii" else "─"] * width
    marks: dict[int, str] = {}
    for marker, steps in ((POINT, evaluations), (CHECKPOINT, checkpoints)):
        marks.update({cell: marker for x in steps if (cell := _cell(x, width, start, end, across)) >= 0})
    marks.update({pixel // across: GAP for pixel, column in enumerate(columns) if column.gap})
    for cell, marker in marks.items():
        cells[cell] = marker
    return "".join(cells), tuple(sorted(marks))


def _x_labels(width: int, start: float, end: float) -> str:
    step = max(1.0, nice_step(end - start, max(1, width // 12))) if end > start else 1.0
    text = [" "] * width
    free = 0
    for x in _multiples(start, end, step) or [start]:
        label = compact(x, 6)
        at = min(max(0, _cell(x, width, start, end, 1) - len(label) // 2), width - len(label))
        if at >= free and len(label) <= width:
            text[at : at + len(label)] = label
            free = at + len(label) + 1
    return "".join(text)
