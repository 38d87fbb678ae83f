"""The page with the settings of a chat: system prompt, temperature, top-p, longest answer, seed.

All but the seed are the project's; the seed is the conversation's own, as the project's also decides how its rows
are split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static, TextArea

from phi_tui.safe_text import clean
from phi_tui.schema import Chat
from phi_tui.widgets.line_input import LineInput

FIELDS = (
    ("temperature", "Temperature", "0: always the likeliest token; 0.7 varies"),
    ("top_p", "Top-p", "1: from all tokens; 0.9: the likeliest 90%"),
    ("max_tokens", "Max tokens", "where an answer is cut off"),
    ("seed", "Seed", "of this conversation alone; is not saved"),
)
"""Name, label and a few words for each field of one line."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What the page returns: the project's chat settings, and the seed."""

    chat: Chat
    seed: int


def settled(texts: dict[str, str]) -> tuple[Settled | None, str]:
    """Read what was typed; without a value, the reason why it will not do."""
    values: dict[str, Any] = {"system": texts["system"].strip()}
    for name, label, _ in FIELDS:
        try:
            typed = texts[name].strip().replace(",", ".") if name in ("temperature", "top_p") else texts[name].strip()
            values[name] = float(typed) if name in ("temperature", "top_p") else int(typed)
        except ValueError:
            kind = "a number" if name in ("temperature", "top_p") else "a whole number"
            return None, f"{label}: {texts[name]!r} is not {kind}"
    seed = values.pop("seed")
    if not 0 <= seed < 2**32:
        return None, "Seed: from 0 to 4,294,967,295"
    try:
        return Settled(Chat.model_validate(values), seed), ""
    except ValidationError as error:
        first = error.errors()[0]
        label = next((label for name, label, _ in FIELDS if name == first["loc"][0]), "System prompt")
        return None, f"{label}: {str(first['msg'])[:1].lower()}{str(first['msg'])[1:]}"


class _Prompt(TextArea):
    """The system prompt; what is pasted into it is made visible."""

    async def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        self.replace(clean(event.text.replace("\r\n", "\n").replace("\r", "\n")), *self.selection)


class ChatSettings(ModalScreen[Settled | None]):
    """Returns the settings, or None when the page is left."""

    BINDINGS = [
        Binding("ctrl+s", "keep", "Save", id="chat-settings.save", tooltip="Save to the project"),
        Binding("escape", "leave", "Cancel", id="chat-settings.cancel", tooltip="Change nothing"),
    ]

    def __init__(self, chat: Chat, seed: int) -> None:
        super().__init__()
        self._chat, self._seed = chat, seed

    def compose(self) -> ComposeResult:
        """A field each, with what it does."""
        values = {
            "temperature": f"{self._chat.temperature:g}",
            "top_p": f"{self._chat.top_p:g}",
            "max_tokens": str(self._chat.max_tokens),
            "seed": str(self._seed),
        }
        with Vertical(id="chat-settings", classes="dialog"):
            yield Static("How the answers are made", markup=False, classes="title")
            yield Label("System prompt", markup=False)
            yield _Prompt(clean(self._chat.system), id="set-system", compact=True, tab_behavior="focus")
            for name, label, words in FIELDS:
                with Horizontal(classes="set-row"):
                    yield Label(label, markup=False, classes="set-label")
                    yield LineInput(values[name], id=f"set-{name}", compact=True, select_on_focus=True)
                    yield Label(words, markup=False, classes="set-words dim")
            yield Static("", markup=False, id="set-flaw", classes="bad")
            yield Static("enter or ctrl+s saves to the project   tab goes on   escape cancels", markup=False)

    def on_mount(self) -> None:
        """Begin with what is changed most."""
        self.query_one("#set-temperature", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in any line saves."""
        event.stop()
        self.action_keep()

    def action_keep(self) -> None:
        """Check and return what was typed."""
        texts = {name: self.query_one(f"#set-{name}", Input).value for name, _, _ in FIELDS}
        system = self.query_one("#set-system", TextArea).text
        # A system prompt that was not touched is kept as it is, control characters and all.
        texts["system"] = self._chat.system if system == clean(self._chat.system) else clean(system)
        found, flaw = settled(texts)
        if found is None:
            self.query_one("#set-flaw", Static).update(clean(flaw))
            return
        self.dismiss(found)

    def action_leave(self) -> None:
        """Change nothing."""
        self.dismiss(None)
