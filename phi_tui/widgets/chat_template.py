"""The page that shows the exact text a model is given, special tokens and line ends made visible."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from phi_tui.safe_text import clean

MOST_SHOWN = 40_000
"""Characters of a prompt that are drawn."""

_SPECIAL = r"<\|[^|<>\n]{1,60}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|<bos>|<eos>"


@dataclass(frozen=True, slots=True)
class Given:
    """What one voice is given: who it is, the template's name and Jinja text, the prompt, its tokens, the stops."""

    title: str
    template: str
    jinja: str
    text: str
    tokens: int
    context: int
    stops: tuple[str, ...]


class ChatTemplate(ModalScreen[None]):
    """A page to read; the same text for several voices is shown once."""

    BINDINGS = [
        Binding("escape,q,ctrl+t", "leave", "Close", id="chat-template.close", tooltip="Back to the conversation"),
        Binding("j,down", "scroll(1)", "Down", show=False, id="chat-template.down"),
        Binding("k,up", "scroll(-1)", "Up", show=False, id="chat-template.up"),
        Binding("space,pagedown", "scroll(12)", "Page down", show=False, id="chat-template.page"),
        Binding("pageup", "scroll(-12)", "Page up", show=False, id="chat-template.page-up"),
    ]

    def __init__(self, given: Sequence[Given]) -> None:
        super().__init__()
        self._given = list(given)

    def compose(self) -> ComposeResult:
        """Each text with its head, then how the template is written."""
        with VerticalScroll(id="given", classes="dialog"):
            yield Static("The text that the model is given, to the letter", markup=False, classes="title")
            for titles, one in _merged(self._given):
                share = f" of {one.context:,}" if one.context else ""
                head = f'{titles}: template "{one.template}", {one.tokens:,} tokens{share}'
                yield Static(clean(head), markup=False, classes="given-head")
                yield Static(visible(one.text, one.stops), markup=False, classes="given-text")
                stops = "  ".join(clean(stop, one_line=True) for stop in one.stops)
                yield Static(f"an answer ends at  {stops}", markup=False, classes="dim")
                yield Static(clean(f"as Jinja: {one.jinja}", limit=4_000), markup=False, classes="given-jinja dim")
            yield Static("↵ is a line end; j and k scroll, escape closes", markup=False, classes="dim")

    def action_leave(self) -> None:
        """Back to the conversation."""
        self.dismiss()

    def action_scroll(self, lines: int) -> None:
        """Scroll the page."""
        self.query_one("#given").scroll_relative(y=lines, animate=False)


def visible(text: str, stops: Sequence[str]) -> Content:
    """The text with special tokens in colour and reversed, and a sign at each line end."""
    known = "|".join([*(re.escape(stop) for stop in stops if stop), _SPECIAL])
    parts: list[tuple[str, str]] = []
    at = 0
    if len(text) > MOST_SHOWN:
        text = f"… {len(text) - MOST_SHOWN:,} characters before …\n" + text[-MOST_SHOWN:]
    for match in re.finditer(known, text):
        parts += [*_lines(text[at : match.start()]), (clean(match.group()), "$accent reverse")]
        at = match.end()
    return Content.assemble(*parts, *_lines(text[at:]), ("▏", "dim"))


def _lines(text: str) -> list[tuple[str, str]]:
    parts: list[tuple[str, str]] = []
    lines = text.split("\n")
    for place, line in enumerate(lines):
        if line:
            parts.append((clean(line), ""))
        if place < len(lines) - 1:
            parts.append(("↵\n", "dim"))
    return parts


def _merged(given: Sequence[Given]) -> list[tuple[str, Given]]:
    """Voices that are given the same text, under their titles joined."""
    by_text: dict[tuple[str, str], list[Given]] = {}
    for one in given:
        by_text.setdefault((one.text, one.template), []).append(one)
    return [(", ".join(dict.fromkeys(one.title for one in ones)), ones[0]) for ones in by_text.values()]
