"""A conversation with one to three voices side by side, and the files that it is kept in.

JSONL holds it as data: rows that the data screen can train on, every character as it was said.  Markdown is for
reading: what was said stands in fences that no text can close, its control characters made visible.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from phi_tui.atomic import write_text
from phi_tui.errors import InputError
from phi_tui.safe_text import clean
from phi_tui.workspace import checked_name, make_folder

FORMAT = 1
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
"""NUL and halves of surrogate pairs: no data set may hold them."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: who said it, and for an answer how long it took and whether the model ended it itself."""

    role: Literal["user", "assistant"]
    content: str
    voice: str = ""
    """What the voice that answered is called; empty for the user."""
    seconds: float | None = None
    tokens: int | None = None
    ended: bool = True
    edited: bool = False
    """Whether a person changed it after it was said."""


@dataclass(frozen=True, slots=True)
class Column:
    """What was said with one voice; `remembers` is off where the template makes each question stand alone."""

    key: str
    title: str
    turns: tuple[Turn, ...] = ()
    base: str = ""
    template: str = ""
    remembers: bool = True

    def messages(self) -> list[dict[str, str]]:
        """The messages to answer next: all of them, or where the voice does not remember the last one."""
        turns = self.turns if self.remembers else self.turns[-1:]
        return [{"role": turn.role, "content": turn.content} for turn in turns]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Columns side by side, with the system prompt and the sampling settings that they share."""

    columns: tuple[Column, ...]
    system: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None

    def column(self, key: str) -> Column:
        """The column of the voice `key`."""
        return next(column for column in self.columns if column.key == key)

    def asked(self, content: str, *keys: str) -> Conversation:
        """The conversation with a question put to the voices `keys`, or to all."""
        turn = Turn("user", content)
        keys = keys or tuple(column.key for column in self.columns)
        return self._each(lambda column: (*column.turns, turn) if column.key in keys else column.turns)

    def answered(self, key: str, turn: Turn) -> Conversation:
        """The conversation with an answer of the voice `key`."""
        return self._each(lambda column: (*column.turns, turn) if column.key == key else column.turns)

    def cut(self, key: str, place: int) -> Conversation:
        """The conversation without turn `place` of the voice `key` and all that follows: to ask again from there."""
        return self._each(lambda column: column.turns[:place] if column.key == key else column.turns)

    def edited(self, key: str, place: int, content: str) -> Conversation:
        """The conversation with another text in turn `place` of the voice `key`, marked as edited."""

        def change(column: Column) -> tuple[Turn, ...]:
            if column.key != key:
                return column.turns
            changed = replace(column.turns[place], content=content, edited=True)
            return (*column.turns[:place], changed, *column.turns[place + 1 :])

        return self._each(change)

    def _each(self, turns: Callable[[Column], tuple[Turn, ...]]) -> Conversation:
        return replace(self, columns=tuple(replace(column, turns=turns(column)) for column in self.columns))


def to_jsonl(conversation: Conversation) -> str:
    """Return a line for each voice, `{"messages": [...], "phi_tui": {...}}`, that trains as a conversation.

    A voice that does not remember has a line for each question, since that is what its model was given.  Questions
    without an answer are no training data: they lie under `left_out` in the metadata, as do empty answers; a voice
    that never answered has no line.
    """
    lines: list[str] = []
    for column in conversation.columns:
        pairs, left = _pairs(column.turns)
        chains = [[turn for pair in pairs for turn in pair]] if column.remembers else [list(pair) for pair in pairs]
        for place, turns in enumerate(chain for chain in chains if chain):
            lines.append(_line(conversation, column, turns, left if place == 0 else []))
    return "".join(line + "\n" for line in lines)


def to_markdown(conversation: Conversation) -> str:
    """Return the conversation for reading; a question put to several voices stands once, before their answers."""
    parts = ["# Conversation", ""]
    for column in conversation.columns:
        about = ", ".join(_code(text) for text in (column.base, f"template {column.template}") if text)
        parts.append(f"- {_code(column.title)}" + (f": {about}" if about else ""))
    said = [f"{name} = {value}" for name, value in conversation.settings.items() if name != "system"]
    said += [f"seed = {conversation.seed}"] if conversation.seed is not None else []
    parts += [f"- settings: {_code(', '.join(said))}"] if said else []
    parts += ["", "## System", "", _fenced(conversation.system)] if conversation.system else [""]
    for question, said_to in _questions(conversation.columns):
        shared = len(said_to) == len(conversation.columns)
        to = "" if shared else " to " + ", ".join(_code(column.title) for column, _ in said_to)
        parts += [f"## Question{to}", "", _fenced(question)]
        for column, answers in said_to:
            for turn in answers:
                parts += [f"### {_code(turn.voice or column.title)}{_figures(turn)}", "", _fenced(turn.content)]
    return "\n".join(parts)


def save(conversation: Conversation, folder: Path, name: str) -> tuple[Path, Path]:
    """Write the conversation to `name`.jsonl and `name`.md in `folder` and return both paths.

    Nothing is overwritten: where either stands already, the pair is called name-2, name-3 and so on.  Raises
    InputError when there is nothing to save, or the folder cannot be written to.
    """
    if not any(column.turns for column in conversation.columns):
        raise InputError("nothing was said yet, so there is nothing to save")
    checked_name(name)
    make_folder(folder)
    texts = to_jsonl(conversation), to_markdown(conversation)
    with _told_of_disk(folder):
        pair = _reserved(folder, name)
        try:
            for path, text in zip(pair, texts, strict=True):
                write_text(path, text)
        except BaseException:
            for path in pair:
                path.unlink(missing_ok=True)
            raise
    return pair


def _pairs(turns: tuple[Turn, ...]) -> tuple[list[tuple[Turn, Turn]], list[Turn]]:
    """The questions with their answers, and the turns that belong to no such pair."""
    pairs: list[tuple[Turn, Turn]] = []
    left: list[Turn] = []
    question: Turn | None = None
    for turn in turns:
        if turn.role == "user":
            left += [question] if question else []
            question = turn
        elif question and question.content.strip() and turn.content.strip():
            pairs.append((question, turn))
            question = None
        else:
            left += [question, turn] if question else [turn]
            question = None
    return pairs, left + ([question] if question else [])


def _questions(columns: tuple[Column, ...]) -> Iterator[tuple[str, list[tuple[Column, list[Turn]]]]]:
    """Each question with the columns it was put to and what they said, in an order that fits all of them.

    A column may lack an answer, or have come later than the others: a question that others meet further down waits.
    """
    waiting = [(column, _exchanges(column.turns)) for column in columns]
    while waiting := [(column, rest) for column, rest in waiting if rest]:
        later = {question for _, rest in waiting for question, _ in rest[1:]}
        heads = [rest[0][0] for _, rest in waiting]
        now = next((question for question in heads if question not in later), heads[0])
        met = [(column, rest.pop(0)[1]) for column, rest in waiting if rest[0][0] == now]
        yield now, met


def _exchanges(turns: tuple[Turn, ...]) -> list[tuple[str, list[Turn]]]:
    """Each question with what was said to it; what was said to none stands behind an empty one."""
    found: list[tuple[str, list[Turn]]] = []
    for turn in turns:
        if turn.role == "user":
            found.append((turn.content, []))
        else:
            if not found:
                found.append(("", []))
            found[-1][1].append(turn)
    return found


def _line(conversation: Conversation, column: Column, turns: list[Turn], left: list[Turn]) -> str:
    system = [{"role": "system", "content": conversation.system}] if conversation.system.strip() else []
    about: list[dict[str, Any] | None] = [None for _ in system]
    for turn in turns:
        facts = {key: value for key, value in asdict(turn).items() if key not in ("role", "content")}
        about.append(facts if turn.role == "assistant" or turn.edited else None)
    said = [*system, *({"role": turn.role, "content": turn.content} for turn in turns)]
    metadata = {
        "format": FORMAT,
        "key": column.key,
        "title": column.title,
        "base": column.base,
        "template": column.template,
        "settings": dict(conversation.settings),
        "seed": conversation.seed,
        "turns": about,
    } | ({"left_out": [asdict(turn) for turn in left]} if left else {})
    return json.dumps(_data({"messages": said, "phi_tui": metadata}), ensure_ascii=True, allow_nan=False)


def _data(value: Any) -> Any:
    """A value that a data set can hold: no NUL, no half of a surrogate pair, no number that is not finite."""
    if isinstance(value, str):
        return _NO_TEXT.sub("\ufffd", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(_data(key)): _data(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_data(inner) for inner in value]
    return value


def _fenced(text: str) -> str:
    """A block that ends where the text ends: its fence is longer than any run of its marks in the text."""
    shown = clean(text)
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}text\n{shown}\n{fence}\n"


def _code(text: str) -> str:
    """The text on one line, as code."""
    shown = clean(text, one_line=True)
    if not shown:
        return ""
    fence = "`" * (_longest_run(shown) + 1)
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown}{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _figures(turn: Turn) -> str:
    said = [f"{turn.tokens} tokens"] if turn.tokens is not None else []
    said += [f"{turn.seconds:.1f} s"] if turn.seconds is not None else []
    said += [] if turn.ended else ["cut off"]
    said += ["edited"] if turn.edited else []
    return f" ({', '.join(said)})" if said else ""


def _reserved(folder: Path, name: str) -> tuple[Path, Path]:
    """Make both files, empty, under the first number at which neither stands."""
    for number in itertools.count(1):
        stem = name if number == 1 else f"{name}-{number}"
        rows, text = folder / f"{stem}.jsonl", folder / f"{stem}.md"
        if not _made(rows):
            continue
        try:
            if _made(text):
                return rows, text
        except OSError:
            rows.unlink()
            raise
        rows.unlink()
    raise AssertionError("numbers do not end")


def _made(path: Path) -> bool:
    """Whether the file could be made; False where something of that name is there."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def _told_of_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(f"the conversation cannot be saved: {reason}", where=str(folder)) from None
