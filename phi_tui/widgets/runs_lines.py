"""Several curves in one plot as characters: columns in, cells out.  Pure, so that it is tested without a terminal.

Which line is whose never depends on colour alone: each run has a letter that stands along its line, its evaluations
are that letter in lower case, and all lines but the first are broken in their own rhythm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from phi_tui.series import Column
from phi_tui.widgets.canvas import DOTS, Charset, Scale, compact, y_scale, y_ticks

LETTERS = "ABCD"
"""A run's letter; so many runs are drawn at the most."""

_DASHES = ((1, 0), (6, 3), (2, 3), (9, 6))  # pixels drawn and left out
_LEFT, _RIGHT = (0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)  # braille dots from the top
_BLOCKS = " ▀▄█"


@dataclass(frozen=True, slots=True)
class Cell:
    """A character and the number of the run it belongs to, -1 for none."""

    text: str = " "
    owner: int = -1


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn comparison: rows of cells, the label left of each row, and what a person must know of it."""

    rows: tuple[tuple[Cell, ...], ...]
    labels: tuple[str, ...]
    x_labels: str
    note: str = ""


def plot(
    lines: Sequence[Sequence[Column]],
    points: Sequence[Sequence[Column]],
    *,
    width: int,
    height: int,
    start: float,
    end: float,
    unit: str,
    charset: Charset = "braille",
    log: bool = False,
    label_width: int = 6,
) -> Plot:
    """Draw a line and points for each run in width x height cells.

    Each holds `pixel_columns(charset, width)` columns, or none, which stand for start..end in `unit`.
    """
    every = [column for group in (*lines, *points) for column in group]
    known = [
        value for column in every for value in (column.low, column.high) if value is not None and (value > 0 or not log)
    ]
    if not known or width < 1 or height < 1:
        empty = ((Cell(),) * max(0, width),) * max(0, height)
        return Plot(empty, ("",) * max(0, height), " " * max(0, width), "no finite value" if every else "")
    scale = y_scale(min(known), max(known), log=log, rows=height)
    grid = _Grid(width, height, charset, scale)
    for owner, line in enumerate(lines):
        grid.line(owner, line)
    for owner, group in enumerate(points):
        grid.points(owner, group, alone=not (owner < len(lines) and lines[owner]))
    for owner, line in enumerate(lines):
        grid.letters(owner, line, len(lines))
    note = "0 and below left out" if log and any(c.low is not None and c.low <= 0 for c in every) else ""
    return Plot(grid.rows(), _labels(scale, height, DOTS[charset][1], label_width), _x(width, start, end, unit), note)


class _Grid:
    """Cells while they are drawn."""

    def __init__(self, width: int, height: int, charset: Charset, scale: Scale) -> None:
        self.width, self.height, self.charset, self.scale = width, height, charset, scale
        self.across, self.down = DOTS[charset]
        self.bits = [[0] * width for _ in range(height)]
        self.owner = [[-1] * width for _ in range(height)]
        self.over: dict[tuple[int, int], str] = {}

    def line(self, owner: int, columns: Sequence[Column]) -> None:
        """Join the columns, broken in the owner's rhythm and where a value is no number."""
        drawn, left_out = _DASHES[owner % len(_DASHES)]
        before: tuple[int, int] | None = None
        for at, column in enumerate(columns):
            if column.gap:
                before = None
            if (levels := self._levels(column)) is None:
                continue
            low, high, last = levels
            for x in range(before[0] + 1 if before else at, at + 1):
                share = (x - before[0]) / (at - before[0]) if before else 1.0
                bottom, top = low, high
                if x < at and before:
                    bottom = top = round(before[1] + (last - before[1]) * share)
                elif before:
                    bottom, top = min(low, max(before[1], low)), max(high, min(before[1], high))
                if x % (drawn + left_out) < drawn:
                    for y in range(bottom, top + 1):
                        self._dot(owner, x, y)
            before = None if column.gap else (at, last)

    def points(self, owner: int, columns: Sequence[Column], *, alone: bool) -> None:
        """Put the small letter where a value is, on a line where there is none of the owner's already."""
        if alone:
            self.line(owner, columns)
        for at, column in enumerate(columns):
            if (levels := self._levels(column)) is not None:
                self._put(owner, at, levels[2], LETTERS[owner].lower())

    def letters(self, owner: int, columns: Sequence[Column], owners: int) -> None:
        """Put the letter along the line, each owner's at other columns, and at its end."""
        there = [(at, levels[2]) for at, column in enumerate(columns) if (levels := self._levels(column)) is not None]
        if not there:
            return
        free = [entry for entry in there if self._place(*entry) not in self.over] or there
        every = max(8 * owners, self.width // 3)
        wanted = range(int(every * (owner + 0.5) / owners), self.width, every)
        for cell in wanted:
            at, level = min(free, key=lambda entry: abs(entry[0] // self.across - cell))
            if abs(at // self.across - cell) <= 1:
                self._put(owner, at, level, LETTERS[owner])
        self._put(owner, *free[-1], LETTERS[owner])

    def rows(self) -> tuple[tuple[Cell, ...], ...]:
        """The cells, from the top."""
        return tuple(
            tuple(
                Cell(self.over.get((row, cell)) or self._character(bits), self.owner[row][cell])
                for cell, bits in enumerate(line)
            )
            for row, line in enumerate(self.bits)
        )

    def _levels(self, column: Column) -> tuple[int, int, int] | None:
        if column.low is None or column.high is None or column.last is None:
            return None
        if self.scale.log and column.high <= 0:
            return None
        pixels = self.height * self.down
        low, high, last = (
            self.scale.place(max(value, 1e-300) if self.scale.log and value > 0 else value, pixels)
            for value in (column.low if column.low > 0 or not self.scale.log else column.high, column.high, column.last)
        )
        return low, high, min(max(last, low), high)

    def _dot(self, owner: int, x: int, y: int) -> None:
        row, cell = self.height - 1 - y // self.down, x // self.across
        dot = self.down - 1 - y % self.down
        self.bits[row][cell] |= 1 << dot + (x % self.across) * self.down
        self.owner[row][cell] = owner

    def _place(self, x: int, y: int) -> tuple[int, int]:
        return self.height - 1 - y // self.down, x // self.across

    def _put(self, owner: int, x: int, y: int, text: str) -> None:
        row, cell = self._place(x, y)
        self.over[row, cell] = text
        self.owner[row][cell] = owner

    def _character(self, bits: int) -> str:
        if not bits:
            return " "
        if self.charset == "braille":
            return chr(0x2800 + sum((_LEFT + _RIGHT)[dot] for dot in range(8) if bits >> dot & 1))
        return _BLOCKS[bits] if self.charset == "blocks" else "."


def _labels(scale: Scale, height: int, down: int, width: int) -> tuple[str, ...]:
    ticks = y_ticks(scale, height)
    digits = next((d for d in range(2, 7) if all(compact(a, d) != compact(b, d) for a, b in pairwise(ticks))), 6)
    labels = [""] * height
    for tick in ticks:
        row = height - 1 - scale.place(tick, height * down) // down
        text = next((text for d in range(digits, 0, -1) if len(text := compact(tick, d)) <= width), "")
        if text not in labels:
            labels[row] = text
    return tuple(labels)


def _x(width: int, start: float, end: float, unit: str) -> str:
    """The first value at the left, the last one at the right, and what they count between them."""
    left, right = compact(start), compact(end)
    if len(left) + len(right) + 2 > width:
        return " " * width
    middle = unit if len(left) + len(right) + len(unit) + 4 <= width else ""
    return left + middle.center(width - len(left) - len(right)) + right
