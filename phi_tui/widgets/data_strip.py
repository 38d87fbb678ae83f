"""The parts of the Data screen in one line, each with the key that brings it up."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


class DataStrip(Widget):
    """One line; a click on a word brings its part up."""

    COMPONENT_CLASSES = {"data-strip--key", "data-strip--active"}

    class Chosen(Message):
        """A part's word was clicked."""

        def __init__(self, part: str) -> None:
            super().__init__()
            self.part = part

    active: reactive[str] = reactive("")

    def __init__(self, parts: Sequence[tuple[str, str, str]]) -> None:
        """`parts` are (name, key, word)."""
        super().__init__()
        self._parts = list(parts)

    def render(self) -> RenderResult:
        """The words, the active one marked."""
        text = Text(no_wrap=True, overflow="crop")
        key_style = self.get_component_rich_style("data-strip--key", partial=True)
        active = self.get_component_rich_style("data-strip--active", partial=True)
        for name, key, word in self._parts:
            if name == self.active:
                text.append(f" {key} {word} ", active)
            else:
                text.append(f" {key}", key_style)
                text.append(f" {word} ")
        return text

    def on_click(self, event: events.Click) -> None:
        """Find the word under the pointer."""
        at = 0
        for name, key, word in self._parts:
            at += len(f" {key} {word} ")
            if event.x < at:
                self.post_message(self.Chosen(name))
                return
