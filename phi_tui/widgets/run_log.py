"""The run's log: warnings, checkpoints, requests, in the order they came."""

from __future__ import annotations

import time

from rich.text import Text
from textual.widgets import RichLog

from phi_tui.metrics import Line
from phi_tui.safe_text import clean

_STYLES = {
    "warning": "yellow",
    "failed": "bold red",
    "stopped": "yellow",
    "done": "bold green",
    "checkpoint": "dim",
    "phase": "dim",
}


class RunLog(RichLog):
    """The lines, wrapped to the width there is; a bar to scroll sideways costs 5 KB whenever it is drawn."""

    def __init__(self) -> None:
        super().__init__(id="log", markup=False, wrap=True, min_width=20, max_lines=600, auto_scroll=True)
        self._last: Line | None = None
        self._wrapped_at = 0

    def fresh(self) -> None:
        """Another run is followed from now on."""
        self._last = None
        self.clear()

    def show(self, lines: tuple[Line, ...]) -> None:
        """Write the lines that came after the last one written; all of them again where the width changed.

        `lines` holds the newest ones only; a batch is written as one text, since each write repaints.
        """
        width = self.outer_size.width
        if width != self._wrapped_at and width:
            self._wrapped_at = width
            self.fresh()
        known = next((place for place in range(len(lines) - 1, -1, -1) if lines[place] is self._last), -1)
        new = lines[known + 1 :]
        if new:
            text = Text("\n").join(_line(line) for line in new)
            follows = self.is_vertical_scroll_end  # who scrolled up to read is left there
            self.write(text, scroll_end=False)
            if follows:
                self.scroll_end(animate=False, immediate=True, x_axis=False)  # by itself it would repaint twice
        self._last = lines[-1] if lines else None


def _line(line: Line) -> Text:
    try:
        clock = time.strftime("%H:%M:%S", time.localtime(line.time))
    except (OverflowError, ValueError, OSError):  # a time that no calendar has
        clock = "--:--:--"
    kind = f"{line.kind:<10} "
    return Text.assemble((clock, "dim"), " ", (kind, _STYLES.get(line.kind, "")), clean(line.text, limit=2000))
