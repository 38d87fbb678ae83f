"""The field for the question: Enter sends, ctrl+j makes a new line, up and down bring earlier questions back."""

from __future__ import annotations

from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.widgets import TextArea

from phi_tui.safe_text import clean

MOST = 60_000
"""Characters of a question: more than a context of 16k tokens, and what the field still takes without a pause."""


class ChatPrompt(TextArea):
    """A question of one line or several; what is pasted is cleaned, so that what is seen is what is asked."""

    BINDINGS = [
        Binding("enter", "send", "Send", show=False, id="chat.send", tooltip="Ask every column"),
        Binding(
            "ctrl+j,alt+enter,shift+enter",
            "new_line",
            "New line",
            show=False,
            id="chat.new-line",
            tooltip="Go on below",
        ),
        Binding("up", "back", "Earlier", show=False, id="chat.earlier", tooltip="On the first line: earlier questions"),
        Binding("down", "forth", "Later", show=False, id="chat.later", tooltip="On the last line: later questions"),
    ]
    help_text = "Your question. Enter sends it to every column; ctrl+j makes a new line; up brings earlier ones back."

    class Sent(Message):
        """A question is to be asked."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Altered(Message):
        """A paste was changed before it went into the field; `why` says how."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    def __init__(self, *, id: str) -> None:  # noqa: A002  # the library's word
        super().__init__(id=id, compact=True, highlight_cursor_line=False, tab_behavior="focus")
        self._past: list[str] = []
        self._at = 0

    def remember(self, question: str) -> None:
        """Keep a question for the up key."""
        if not self._past or self._past[-1] != question:
            self._past = [*self._past, question][-100:]
        self._at = len(self._past)

    def put(self, text: str) -> None:
        """Replace what stands in the field; the cursor goes behind it."""
        self.text = text
        self.move_cursor(self.document.end)

    def action_send(self) -> None:
        """Hand the question over and empty the field; the screen puts back what it cannot ask now."""
        if question := self.text.strip():
            self.put("")
            self.post_message(self.Sent(question))

    async def _on_key(self, event: events.Key) -> None:
        # Here and not as a binding of priority: that would be obeyed before letters that came just ahead of it.
        if event.key == "enter":
            event.prevent_default()
            event.stop()
            self.action_send()

    def action_new_line(self) -> None:
        """A line break."""
        self._insert("\n")

    def action_back(self) -> None:
        """One line up, or from the first line to the question before."""
        if self.cursor_location[0] or not self._past:
            self.action_cursor_up()
            return
        self._recall(self._at - 1)

    def action_forth(self) -> None:
        """One line down, or from the last line to the question after."""
        if self.cursor_location[0] < self.document.line_count - 1 or self._at >= len(self._past):
            self.action_cursor_down()
            return
        self._recall(self._at + 1)

    def _recall(self, place: int) -> None:
        if 0 <= place <= len(self._past):
            self._at = place
            self.put(self._past[place] if place < len(self._past) else "")

    async def _on_paste(self, event: events.Paste) -> None:
        """Insert what is pasted without control characters, and not without end."""
        event.prevent_default()
        event.stop()
        room = max(0, MOST - len(self.text))
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        cleaned = clean(text[:room])
        if len(text) > room:
            self.post_message(self.Altered(f"a question has at most {MOST:,} characters: the rest was left out"))
        elif cleaned != text:
            self.post_message(self.Altered("control characters in what was pasted are shown as signs, and asked so"))
        self._insert(cleaned)

    def _insert(self, text: str) -> None:
        self.replace(text, *self.selection)
        self.scroll_cursor_visible()
