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


def show_log(log: RichLog, lines: tuple[Line, ...], last: Line | None) -> Line | None:
    """Write the lines that came after `last`, and return the last one that stands there now.

    `lines` holds the newest ones only; a batch is written as one text, since each write repaints.
    """
    known = next((place for place in range(len(lines) - 1, -1, -1) if lines[place] is last), -1)
    new = lines[known + 1 :]
    if new:
        text = Text("\n").join(_line(line) for line in new)
        follows = log.is_vertical_scroll_end  # who scrolled up to read is left there
        log.write(text, scroll_end=False)
        if follows:
            log.scroll_end(animate=False, immediate=True, x_axis=False)  # by itself it would repaint twice
    return lines[-1] if lines else None


def _line(line: Line) -> Text:
    try:
        clock = time.strftime("%H:%M:%S", time.localtime(line.time))
    except (OverflowError, ValueError, OSError):  # a time that no calendar has
        clock = "--:--:--"
    kind = f"{line.kind:<10} "
    return Text.assemble((clock, "dim"), " ", (kind, _STYLES.get(line.kind, "")), clean(line.text, limit=2000))
