"""A line to type in that shows control characters instead of obeying them.

The library's own draws its value as it is: an escape sequence that is pasted, or that stands in a project file
whose value is edited, would reach the terminal.
"""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Input

from phi_tui.safe_text import clean


class LineInput(Input):
    """An Input whose value is drawn safe; what is typed or pasted into it is kept safe too."""

    def replace(self, text: str, start: int, end: int) -> None:
        """Insert text made visible."""
        super().replace(clean(text, one_line=True), start, end)

    @property
    def _value(self) -> Text:
        """The value as it is drawn: a sign for each control character, so that the cursor keeps its place."""
        return Text(clean(self.value, one_line=True), no_wrap=True, overflow="ignore", end="")
