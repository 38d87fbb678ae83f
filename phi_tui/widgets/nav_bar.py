"""The line at the top: the screens with their jump keys, the open project, and how many runs are live."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from phi_tui.safe_text import clean

SCREENS = (
    ("home", "Home"),
    ("model", "Model"),
    ("data", "Data"),
    ("hparams", "Params"),
    ("train", "Train"),
    ("chat", "Chat"),
    ("runs", "Runs"),
)
"""Name of each screen and its word in the bar; its place is its jump key."""


class NavBar(Widget):
    """One line; a click on a word jumps there."""

    COMPONENT_CLASSES = {"nav-bar--tab", "nav-bar--active", "nav-bar--project", "nav-bar--live"}

    class Chosen(Message):
        """A screen's word was clicked."""

        def __init__(self, screen: str) -> None:
            super().__init__()
            self.screen = screen

    active: reactive[str] = reactive("home")
    project: reactive[str] = reactive("")
    live: reactive[int] = reactive(0)

    def render(self) -> RenderResult:
        """The line, cut to the width there is."""
        tabs, words = self._tabs()
        width = self.size.width
        right = Text(no_wrap=True)
        if self.live:
            right.append(f" ● {self.live} live", self.get_component_rich_style("nav-bar--live"))
        if self.project:
            name = clean(self.project, one_line=True)
            room = max(4, width - words - right.cell_len - 1)
            name = name if len(name) <= room else name[: room - 1] + "…"
            right.append(f" {name}", self.get_component_rich_style("nav-bar--project"))
        if words + right.cell_len < width:
            right.append(" ")
        gap = max(0, width - tabs.cell_len - right.cell_len)
        return Text.assemble(tabs, " " * gap, right, no_wrap=True, overflow="crop")

    def _tabs(self) -> tuple[Text, int]:
        tab = self.get_component_rich_style("nav-bar--tab")
        active = self.get_component_rich_style("nav-bar--active")
        line = Text("φ ", no_wrap=True, style=self.get_component_rich_style("nav-bar--project"))
        for key, (name, word) in enumerate(SCREENS, start=1):
            line.append(f" {key} {word} ", active if name == self.active else tab)
        return line, line.cell_len

    def on_click(self, event: events.Click) -> None:
        """Find the word under the pointer."""
        at = 2
        for key, (name, word) in enumerate(SCREENS, start=1):
            width = len(f" {key} {word} ")
            if at <= event.x < at + width:
                self.post_message(self.Chosen(name))
                return
            at += width
