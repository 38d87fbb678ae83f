"""One question with the answers of all columns under it, side by side, or one below the other on a narrow screen.

Answers are foreign text: cleaned, drawn without markup, and cut for the eye when they are very long, as a terminal
that wraps a megabyte at every word stands still; what is saved is whole.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from phi_tui.safe_text import clean
from phi_tui.widgets import score_box
from phi_tui.widgets.chat_talk import Said, Turn
from phi_tui.widgets.voice_choice import Voice

MOST_SHOWN = 24_000
"""Characters of an answer that are drawn: some 6,000 tokens."""


class Answer(Vertical):
    """One voice's answer: whose it is, what it says, how it ended."""

    def __init__(self, voice: Voice, said: Said | None) -> None:
        super().__init__(classes="answer")
        self.voice, self.said = voice, said
        self._drawn: tuple[str, int, str] | None = None

    def compose(self) -> ComposeResult:
        """Name (seen where answers are stacked), text, state."""
        yield Static(clean(self.voice.title), markup=False, classes="answer-name")
        yield Static("", markup=False, classes="answer-text")
        yield Static("", markup=False, classes="answer-state")

    def on_mount(self) -> None:
        """Show what there is by now."""
        self.bring_up()

    def bring_up(self) -> None:
        """Draw what is new."""
        if not self.children:
            return
        said = self.said
        words = said.words() if said else "not asked"
        state = said.state if said else "absent"
        drawn = (state, len(said.text) if said else 0, words)
        if drawn == self._drawn:
            return
        before, self._drawn = self._drawn, drawn
        line = self.query_one(".answer-state", Static)
        line.update(Content(words))
        for name in ("waiting", "speaking", "done", "stopped", "failed", "absent"):
            line.set_class(name == state, name)
        if before is None or before[:2] != drawn[:2]:
            text = self.query_one(".answer-text", Static)
            text.update(score_box.content(said.scores) if said and said.scores else Content(shown(said)))
            text.set_class(state == "failed", "bad")


class ChatTurn(Vertical):
    """A question and its answers."""

    def __init__(self, turn: Turn, voices: tuple[Voice, ...]) -> None:
        super().__init__(classes="turn")
        self.turn, self.voices = turn, voices

    def compose(self) -> ComposeResult:
        """The question across the width, the answers below."""
        question = clean(self.turn.question, limit=MOST_SHOWN)
        yield Static(Content.assemble(("> ", "bold $primary"), question), markup=False, classes="question")
        with Horizontal(classes="answers"):
            for place, voice in enumerate(self.voices):
                answer = Answer(voice, self.turn.answers.get(voice.key))
                answer.set_class(place > 0, "beside")
                yield answer

    def bring_up(self) -> None:
        """Draw what is new in any answer."""
        for answer in self.query(Answer):
            answer.said = self.turn.answers.get(answer.voice.key)
            answer.bring_up()


def shown(said: Said | None) -> str:
    """An answer as it is drawn: cleaned, and cut where it is very long."""
    if said is None:
        return ""
    if said.state == "failed":
        return clean(said.fault, limit=2_000)
    text = clean(said.text[:MOST_SHOWN])
    if len(said.text) > MOST_SHOWN:
        text += f"\n… {len(said.text) - MOST_SHOWN:,} more characters; ctrl+s saves all of them"
    if not text and said.state == "done":
        return "(an empty answer)"
    return text
