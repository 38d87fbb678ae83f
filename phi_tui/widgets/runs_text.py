"""A pane that shows a file of a run as plain text: its project, or the end of what its libraries printed."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from phi_tui.last_words import tail as tail
from phi_tui.safe_text import clean

_LINE = 2000


def whole(path: Path, most: int = 262_144) -> str:
    """A text file, made safe and cut after `most` bytes.  Raises OSError when it cannot be read."""
    with open(path, "rb") as file:
        raw = file.read(most + 1)
    text = raw[:most].decode("utf-8", "replace") + ("\n…" if len(raw) > most else "")
    return clean("\n".join(line if len(line) <= _LINE else line[: _LINE - 1] + "…" for line in text.split("\n")))


class RunText(Vertical):
    """A titled text; `show_text` fills it."""

    BINDINGS = [
        Binding("j,down", "scroll(1)", "Down", show=False, id="runs.text-down", tooltip="A line down"),
        Binding("k,up", "scroll(-1)", "Up", show=False, id="runs.text-up", tooltip="A line up"),
        Binding("space,pagedown", "scroll(15)", "Page down", show=False, id="runs.text-page", tooltip="A page down"),
        Binding("pageup", "scroll(-15)", "Page up", show=False, id="runs.text-page-up", tooltip="A page up"),
        Binding("g,home", "end(False)", "Top", show=False, id="runs.text-top", tooltip="To the top"),
        Binding("G,end", "end(True)", "End", show=False, id="runs.text-end", tooltip="To the end"),
    ]

    def compose(self) -> ComposeResult:
        """The path above the text."""
        yield Static("", id="runs-text-path", markup=False)
        with VerticalScroll(id="runs-text-scroll", classes="panel"):
            yield Static("", id="runs-text", markup=False)

    def show_text(self, title: str, path: Path, text: str, *, at_end: bool = False) -> None:
        """Show `text`, which is safe already, under a title; from its end with `at_end`."""
        scroll = self.query_one("#runs-text-scroll", VerticalScroll)
        scroll.border_title = Text(clean(title, one_line=True, limit=100))  # a str would be read as markup
        self.query_one("#runs-text-path", Static).update(Text(clean(path, one_line=True), style="dim"))
        self.query_one("#runs-text", Static).update(Text(text))
        if at_end:
            scroll.scroll_end(animate=False)
        else:
            scroll.scroll_home(animate=False)

    @property
    def at_end(self) -> bool:
        """Whether the last line is in sight."""
        scroll = self.query_one("#runs-text-scroll", VerticalScroll)
        return scroll.scroll_offset.y >= scroll.max_scroll_y - 1

    def action_scroll(self, lines: int) -> None:
        """Move the text by lines."""
        self.query_one("#runs-text-scroll").scroll_relative(y=lines, animate=False)

    def action_end(self, last: bool) -> None:
        """To the first or the last line."""
        scroll = self.query_one("#runs-text-scroll", VerticalScroll)
        if last:
            scroll.scroll_end(animate=False)
        else:
            scroll.scroll_home(animate=False)
