"""The curves of two to four runs over each other, read from series that do not change while they are drawn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from rich.text import Text
from textual.app import RenderResult
from textual.reactive import reactive
from textual.widget import Widget

from phi_tui.compare import Curves
from phi_tui.series import Column, Series
from phi_tui.widgets import canvas
from phi_tui.widgets.chart import charset_for
from phi_tui.widgets.runs_lines import Plot, plot

What = Literal["both", "loss", "eval loss"]
Along = Literal["step", "epoch"]

WHATS: tuple[What, ...] = ("both", "loss", "eval loss")
SMOOTHINGS = (0.0, 0.6, 0.9)


class RunCurves(Widget):
    """The plot; how it is drawn is said on the line above it."""

    COMPONENT_CLASSES = {"runs-curves--a", "runs-curves--b", "runs-curves--c", "runs-curves--d", "runs-curves--axis"}

    what: reactive[What] = reactive[What]("both")
    along: reactive[Along] = reactive[Along]("step")
    log_axis: reactive[bool] = reactive(False)
    smoothing: reactive[float] = reactive(0.0)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._curves: Sequence[Curves] = ()
        self._charset = charset_for(os.environ)

    def show(self, curves: Sequence[Curves]) -> None:
        """Draw these runs from now on."""
        self._curves = curves
        self.refresh()

    def render(self) -> RenderResult:
        """A line that says what is drawn, the plot with labels at its left, and the x axis."""
        width, height = self.size
        gutter = 7
        drawn = self._plot(max(1, width - gutter), max(1, height - 2))
        axis = self.get_component_rich_style("runs-curves--axis")
        lines = Text(no_wrap=True, overflow="crop")
        lines.append(self._title(drawn), axis)
        styles = [self.get_component_rich_style(f"runs-curves--{letter}") for letter in "abcd"]
        for label, row in zip(drawn.labels, drawn.rows, strict=True):
            lines.append(f"\n{label:>{gutter - 1}} ", axis)
            begun = 0
            for at in range(1, len(row) + 1):
                if at == len(row) or row[at].owner != row[begun].owner:
                    text = "".join(cell.text for cell in row[begun:at])
                    lines.append(text, styles[row[begun].owner] if row[begun].owner >= 0 else "")
                    begun = at
        lines.append(f"\n{' ' * gutter}{drawn.x_labels}", axis)
        return lines

    def cycle_what(self) -> None:
        """Both losses, the loss alone, the evaluation loss alone."""
        self.what = WHATS[(WHATS.index(self.what) + 1) % len(WHATS)]

    def cycle_smoothing(self) -> None:
        """Take the next smoothing of the loss."""
        self.smoothing = SMOOTHINGS[(SMOOTHINGS.index(self.smoothing) + 1) % len(SMOOTHINGS)]

    def _title(self, drawn: Plot) -> str:
        words: list[str] = ["loss (A) and eval loss (a)" if self.what == "both" else self.what]
        words += ["log"] if self.log_axis else []
        words += [f"smoothed {self.smoothing:g}"] if self.smoothing and self.what != "eval loss" else []
        words += [drawn.note] if drawn.note else []
        return "  ".join(words)

    def _plot(self, width: int, height: int) -> Plot:
        losses, evaluations = self._series()
        extents = [extent for series in (*losses, *evaluations) if (extent := series.extent())]
        start = min((extent[0] for extent in extents), default=0.0)
        end = max((extent[1] for extent in extents), default=0.0)
        pixels = canvas.pixel_columns(self._charset, width)
        lines: list[list[Column]] = [series.window(start, end, pixels) for series in losses]
        if self.smoothing:
            lines = [canvas.smoothed(line, self.smoothing) for line in lines]
        return plot(
            lines,
            [series.window(start, end, pixels) for series in evaluations],
            width=width,
            height=height,
            start=start,
            end=end,
            unit=self.along + "s",
            charset=self._charset,
            log=self.log_axis,
        )

    def _series(self) -> tuple[list[Series], list[Series]]:
        by_epoch = self.along == "epoch"
        losses = [one.loss_by_epoch if by_epoch else one.loss for one in self._curves]
        evaluations = [one.eval_loss_by_epoch if by_epoch else one.eval_loss for one in self._curves]
        return ([] if self.what == "eval loss" else losses), ([] if self.what == "loss" else evaluations)
