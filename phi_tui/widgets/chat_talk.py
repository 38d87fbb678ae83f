"""A conversation with several voices as it grows on the screen: questions, and each voice's answer to each of them.

Plain data, changed by the screen alone and drawn by the widgets; nothing here knows the terminal.  What is given
to a model is made here: only a chat template carries earlier turns, with the others each question stands alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

from phi_tui.widgets import score_box
from phi_tui.widgets.voice_choice import Voice

State = Literal["waiting", "speaking", "done", "stopped", "failed"]


@dataclass(slots=True)
class Said:
    """One voice's answer to one question; `pace` is in tokens a second, `fault` says why there is none."""

    state: State = "waiting"
    text: str = ""
    tokens: int = 0
    ended: bool = False
    seconds: float = 0.0
    pace: float = 0.0
    fault: str = ""
    scores: dict[str, Any] | None = None
    """What a head said of the text, in the place of words."""
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    began: float = 0.0
    """When its first piece came, on the monotonic clock."""

    @property
    def open(self) -> bool:
        """Whether more may come."""
        return self.state in ("waiting", "speaking")

    def heard(self, kind: str, payload: dict[str, Any]) -> None:
        """Take in what came from the model: a piece, the end, a stop or a failure."""
        if not self.open:
            return
        if kind == "piece":
            self.state = "speaking"
            self.began = self.began or time.monotonic()
            self.text += str(payload.get("text", ""))
            self.tokens = int(payload.get("tokens") or self.tokens)
        elif kind == "result":
            self.state = "done"
            self.scores = payload if score_box.is_score(payload) else None
            self.text = score_box.plain(payload) if self.scores else str(payload.get("text", self.text))
            self.tokens = int(payload.get("tokens") or 0)
            self.ended = bool(payload.get("ended"))
            self.seconds = float(payload.get("seconds") or 0.0)
            self.pace = float(payload.get("tokens_per_second") or 0.0)
        elif kind == "stopped":
            self.text = str(payload.get("text", self.text))
            self.tokens = int(payload.get("tokens") or self.tokens)
        elif kind == "cancelled":
            self.state = "stopped"
        elif kind == "error":
            self.state = "failed"
            place = f"{payload['where']}: " if payload.get("where") else ""
            self.fault = place + str(payload.get("what") or "failed") + _also(payload.get("fix"))

    def words(self) -> str:
        """The line under the answer: how far it is, or how it ended."""
        if self.state == "waiting":
            return "waiting"
        if self.state == "speaking":
            took = max(time.monotonic() - self.began, 0.0)
            if self.tokens > 1 and took > 0.2:
                return f"speaking, {pace(self.tokens / took)} tokens/s"
            return f"speaking, {took:.1f} s"
        if self.state == "stopped":
            return f"stopped, {tokens(self.tokens)}" if self.tokens else "stopped"
        if self.state == "failed":
            return "failed"
        if self.scores:
            cut = int(self.scores.get("cut") or 0)
            return f"scored in {self.seconds:.2f} s, {tokens(self.tokens)} read" + (f", {cut:,} cut off" if cut else "")
        end = "ended by itself" if self.ended else "cut off at max_tokens"
        if not self.ended and self.tokens < int(self.settings.get("max_tokens") or 0):
            end = "cut off at the end of the model's context"
        speed = f", {pace(self.pace)} tokens/s" if self.tokens > 1 and self.pace else ""
        return f"done in {self.seconds:.1f} s, {tokens(self.tokens)}{speed}, {end}"


@dataclass(slots=True)
class Turn:
    """A question and the answers to it, by the key of the voice."""

    question: str
    answers: dict[str, Said] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether an answer is still to come."""
        return any(said.open for said in self.answers.values())


@dataclass(slots=True)
class Talk:
    """The conversation of one project: its columns, its turns, and what the screen has to remember of it."""

    voices: tuple[Voice, ...] = ()
    turns: list[Turn] = field(default_factory=list)
    met: dict[str, Voice] = field(default_factory=dict)
    """Every voice that was a column once, by its key."""
    chosen: bool = False
    """Whether a person chose the columns: then they stay when the screen's width changes."""
    editing: bool = False
    """Whether the next question takes the place of the last one."""
    draft: str = ""
    """What stood in the field when the project was left."""
    before: list[Turn] = field(default_factory=list)
    """The turns of the conversation before this one, so that a slip of the finger loses nothing."""
    seed: int | None = None
    """A seed of the conversation's own; None takes the project's."""

    def choose(self, voices: tuple[Voice, ...]) -> None:
        """Make `voices` the columns."""
        self.voices = voices
        self.met.update({voice.key: voice for voice in voices})

    def ask(self, question: str) -> Turn:
        """Add a question, or put it in the place of the last one when that is being edited."""
        if self.editing and self.turns:
            self.turns.pop()
        self.editing = False
        turn = Turn(question)
        self.turns.append(turn)
        return turn

    def start_over(self) -> bool:
        """Begin a new conversation; with an empty one the last one comes back.  Returns whether it came back."""
        back = not self.turns and bool(self.before)
        self.turns, self.before = (self.before, []) if back else ([], self.turns or self.before)
        self.editing = False
        return back

    def tries(self, seed: int) -> int:
        """How far above `seed` the last question's next try is seeded, so that it is not the same answer again."""
        answers = self.turns[-1].answers.values() if self.turns else ()
        return max([0, *(said.seed - seed + 1 for said in answers)])

    def last_answers(self) -> list[tuple[Voice, Said]]:
        """The answers to the last question that has any, in the order of the columns."""
        for turn in reversed(self.turns):
            answers = [(self.met[key], said) for key, said in turn.answers.items() if said.text]
            if answers:
                return answers
        return []

    def messages(self, key: str, turn: Turn, *, remembers: bool) -> list[dict[str, str]]:
        """What a voice is given: with a template that remembers, its own earlier answers; then the question."""
        given: list[dict[str, str]] = []
        for earlier in self.turns if remembers else []:
            if earlier is turn:
                break
            said = earlier.answers.get(key)
            if said and said.text and said.state in ("done", "stopped"):
                given += [
                    {"role": "user", "content": earlier.question},
                    {"role": "assistant", "content": said.text},
                ]
        return [*given, {"role": "user", "content": turn.question}]


def tokens(count: int) -> str:
    """A number of tokens in words."""
    return "1 token" if count == 1 else f"{count:,} tokens"


def pace(value: float) -> str:
    """A pace with two digits at least."""
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _also(fix: Any) -> str:
    return f"; {fix}" if fix else ""
