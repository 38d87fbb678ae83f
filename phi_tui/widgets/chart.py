"""A curve of a run against its steps, drawn from a store that another thread fills.

Made for a slow SSH link: a row of the plot has one style, and `refresh_points` repaints only the rows that came out
different.  The x axis moves in jumps and the y axis has rounded ends, so that most rows do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from phi_tui.safe_text import clean
from phi_tui.series import Column, Series
from phi_tui.widgets import canvas
from phi_tui.widgets.canvas import Charset, Picture

SMOOTHINGS = (0.0, 0.6, 0.9)
WINDOWS = (0, 1000, 100)

REDRAW_BYTES = 7900
"""What a whole redraw may cost.  Cells with a style of their own take their row's where it would cost more."""

ROW_BYTES, RUN_BYTES = 52, 84
"""What a row costs besides its text (cursor, colours, reset), and a run of cells in another style within it."""


def charset_for(environ: Mapping[str, str]) -> Charset:
    """Return the characters to draw with: PHI_TUI_CHARSET if it names a set, else what TERM and the locale bear."""
    asked = environ.get("PHI_TUI_CHARSET", "").strip().lower()
    for charset in canvas.DOTS:
        if asked == charset:
            return charset
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    speaks_utf8 = "utf8" in locale.lower().replace("-", "")
    return "braille" if speaks_utf8 and environ.get("TERM", "") not in ("linux", "dumb") else "ascii"


class Chart(Widget, can_focus=True):
    """A series as a line, and perhaps a second one as points, over the steps of a run."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--title",
        "chart--line",
        "chart--second",
        "chart--axis",
        "chart--mark",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "y", "toggle_log", "Log axis", id="chart.log", tooltip="Switch the y axis between linear and logarithmic"
        ),
        Binding(
            "s", "cycle_smoothing", "Smooth", id="chart.smoothing", tooltip="Smooth the line: not at all, 0.6 or 0.9"
        ),
        Binding(
            "w",
            "cycle_window",
            "Window",
            id="chart.window",
            tooltip="Show the whole run, or its last 1000 or 100 steps",
        ),
    ]

    log_axis: reactive[bool] = reactive(False)
    """Whether the y axis is logarithmic.  (`log` is taken: every widget's logger.)"""
    smoothing: reactive[float] = reactive(0.0)
    """0..0.99: how much of the line comes from what was before; over the columns drawn, not over the steps."""
    window: reactive[int] = reactive(0)
    """How many of the newest steps are shown, up to an eighth more while the axis waits to move; 0 for all."""
    title: reactive[str] = reactive("")
    charset: reactive[Charset] = reactive[Charset]("braille")
    steps: reactive[int] = reactive(0)
    """How many steps the run will have, 0 while unknown: the x axis of the whole run ends there at the latest."""

    def __init__(
        self,
        series: Series | None = None,
        second: Series | None = None,
        *,
        title: str = "",
        second_title: str = "",
        log_axis: bool = False,
        charset: Charset = "braille",
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._series, self._second = series, second
        self._second_title = second_title
        self._checkpoints: Sequence[float] = ()
        self._evaluations: Sequence[float] = ()
        self._key: tuple[object, ...] = ()
        self._content: tuple[object, ...] = ()
        self._strips: list[Strip] = []
        self._styles_found: dict[str, Style] = {}
        self.set_reactive(Chart.title, title)
        self.set_reactive(Chart.log_axis, log_axis)
        self.set_reactive(Chart.charset, charset)

    def show_series(self, series: Series | None, second: Series | None = None) -> None:
        """Draw other series from now on."""
        self._series, self._second = series, second
        self.refresh_points()

    def set_marks(self, checkpoints: Sequence[float] = (), evaluations: Sequence[float] = ()) -> None:
        """Mark these steps on the x axis; seen with the next `refresh_points`."""
        self._checkpoints, self._evaluations = checkpoints, evaluations

    def refresh_points(self) -> int:
        """Draw anew and repaint the rows that differ from what was drawn last; return how many did."""
        if not self.is_mounted or not self.size:
            return 0
        key, content = self._drawing_key(), self._drawing_content()
        if key == self._key and content == self._content:
            return 0
        self._content = content
        strips = self._draw()
        if key != self._key or len(strips) != len(self._strips):
            self._key, self._strips = key, strips
            self.refresh()
            return len(strips)
        changed = [row for row, (new, old) in enumerate(zip(strips, self._strips, strict=True)) if new != old]
        self._strips = strips
        if changed:
            self.refresh(*(Region(0, row, self.size.width, 1) for row in changed))
        return len(changed)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return rows of what was drawn last; drawn anew when the size, the colours or a setting changed."""
        key = self._drawing_key()
        if key != self._key:
            self._key, self._content, self._strips = key, self._drawing_content(), self._draw()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Return a row of what was drawn last."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self._style("line"))

    def validate_smoothing(self, smoothing: float) -> float:
        """Keep it between 0 and 0.99."""
        return min(max(smoothing, 0.0), 0.99)

    def validate_window(self, window: int) -> int:
        """Keep it at 0 or more."""
        return max(0, window)

    def action_toggle_log(self) -> None:
        """Switch the y axis between linear and logarithmic."""
        self.log_axis = not self.log_axis

    def action_cycle_smoothing(self) -> None:
        """Take the next of the usual smoothings."""
        self.smoothing = _after(self.smoothing, SMOOTHINGS)

    def action_cycle_window(self) -> None:
        """Take the next of the usual windows."""
        self.window = _after(self.window, WINDOWS)

    def notify_style_update(self) -> None:
        """The library found other styles; looking each up anew was a sixth of a redraw."""
        super().notify_style_update()
        self._styles_found = {}

    def _style(self, part: str) -> Style:
        if part not in self._styles_found:
            self._styles_found[part] = self.get_component_rich_style(f"chart--{part}")
        return self._styles_found[part]

    def _drawing_key(self) -> tuple[object, ...]:
        """Everything but the points that the drawing depends on."""
        parts = tuple(self._style(part) for part in ("title", "line", "second", "axis", "mark"))
        settings = (self.log_axis, self.smoothing, self.window, self.title, self.charset, self.steps)
        return (self.size, parts, settings)

    def _drawing_content(self) -> tuple[object, ...]:
        """What tells whether the points or the marks are others than those that were drawn."""
        curves = tuple((id(series), series.changes if series else 0) for series in (self._series, self._second))
        return (curves, self._checkpoints, self._evaluations)

    def _draw(self) -> list[Strip]:
        """A title, the plot with labels at its left, the x axis with its marks, the steps; less where it is low."""
        width, height = self.size
        around = 3 if height >= 5 else 1 if height >= 3 else 0
        gutter = 7 if width >= 40 else 6 if width >= 16 else 0
        picture = self._picture(width - gutter, height - around, max(0, gutter - 1))
        line, second, axis, mark = (self._style(part) for part in ("line", "second", "axis", "mark"))
        labels = [f"{label:>{gutter - 1}} " if gutter else "" for label in picture.labels]
        rows = list(map(str.__add__, labels, picture.rows))
        below = [" " * gutter + picture.axis, " " * gutter + picture.x_labels] if around == 3 else []
        spare = REDRAW_BYTES - width - len("".join([*rows, *below]).encode()) - ROW_BYTES * height
        spare -= RUN_BYTES // 2 * sum(label != "" for label in picture.labels)
        points, marks = picture.points, picture.marks
        if spare < RUN_BYTES * sum(map(_runs, points)):
            points = ((),) * len(points)
        if spare < RUN_BYTES * (sum(map(_runs, points)) + _runs(marks)):
            marks = ()
        strips = [self._title(width, picture.note)] if around else []
        for text, label, cells in zip(rows, picture.labels, points, strict=True):
            cut = gutter if label else 0  # a row without a tick has one style from end to end
            body = _segments(text[cut:], [cell + gutter - cut for cell in cells], line, second)
            strips.append(Strip([Segment(text[:cut], axis), *body] if cut else body, width))
        for text, cells in zip(below, (marks, ()), strict=False):
            strips.append(Strip(_segments(text, [cell + gutter for cell in cells], axis, mark), width))
        return strips

    def _picture(self, width: int, height: int, label_width: int) -> Picture:
        start, end = self._span()
        columns = canvas.pixel_columns(self.charset, width)
        line = self._columns(self._series, start, end, columns)
        if self.smoothing:
            line = canvas.smoothed(line, self.smoothing)
        return canvas.draw(
            line,
            self._columns(self._second, start, end, columns),
            width=width,
            height=height,
            start=start,
            end=end,
            charset=self.charset,
            log=self.log_axis,
            label_width=label_width,
            checkpoints=self._checkpoints,
            evaluations=self._evaluations,
        )

    @staticmethod
    def _columns(series: Series | None, start: float, end: float, columns: int) -> list[Column]:
        return series.window(start, end, columns) if series else [Column()] * columns

    def _span(self) -> tuple[float, float]:
        """The first and the last step of the x axis."""
        extents = [extent for series in (self._series, self._second) if series and (extent := series.extent())]
        if not extents:
            return 0.0, 0.0
        first, newest = min(extent[0] for extent in extents), max(extent[1] for extent in extents)
        # Room for an eighth more at the most: while it fills up, only the rows with new points change.
        if self.window and newest - first >= self.window:
            room = max(1, self.window // 8)
            start = first + (newest - self.window + 1 - first) // room * room
            return start, start + self.window + room - 1
        room = 2 ** max(0, math.floor(math.log2(max(1.0, newest - first))) - 3)
        end = first + math.ceil((newest - first) / room) * room
        return first, max(newest, min(end, self.steps) if self.steps else end)

    def _title(self, width: int, note: str) -> Strip:
        """What is drawn, its newest value, and how it is drawn."""
        words = [clean(self.title, one_line=True)]
        for series, label in ((self._series, ""), (self._second, self._second_title)):
            if series and (latest := series.latest()) and (label or series is self._series):
                value = "not finite" if latest[1] is None else canvas.compact(latest[1], 4)
                words.append(f"{clean(label, one_line=True)} ({canvas.POINT}) {value}" if label else value)
        words += ["log"] if self.log_axis else []
        words += [f"smoothed {self.smoothing:g}"] if self.smoothing else []
        words += [f"last {self.window}"] if self.window else []
        words += [note] if note else []
        text = set_cell_size("  ".join(word for word in words if word), width)
        return Strip([Segment(text, self._style("title"))], width)


Choice = TypeVar("Choice", int, float)


def _after(value: Choice, choices: Sequence[Choice]) -> Choice:
    """The choice after `value`, the first one after any other value."""
    return choices[(choices.index(value) + 1) % len(choices)] if value in choices else choices[0]


def _runs(cells: Sequence[int]) -> int:
    """How many unbroken runs the rising cells make."""
    return sum(index == 0 or cell != cells[index - 1] + 1 for index, cell in enumerate(cells))


def _segments(text: str, cells: Sequence[int], style: Style, other: Style) -> list[Segment]:
    """`text` in `style`, and in `other` at `cells`."""
    if not cells:
        return [Segment(text, style)]
    there = set(cells)
    segments, begun = [], 0
    for at in range(1, len(text) + 1):
        if at == len(text) or (at in there) != (begun in there):
            segments.append(Segment(text[begun:at], other if begun in there else style))
            begun = at
    return segments
