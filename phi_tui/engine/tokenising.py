"""Who turns a project's rows into tokens: this process where there are few, a crew where there are many.

What the rest of preparing has to know of the base's tokenizer (`Facts`) is little, and it is kept beside the tokens.
So an unchanged project is recognised, and a large one prepared, without loading a tokenizer here: that imports torch,
which takes seconds and 250 MB.  Whoever goes on to train needs both anyway.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phi_tui.engine import bases, labels, loading
from phi_tui.engine.arrow_files import head
from phi_tui.engine.crew import Crew, cores
from phi_tui.engine.render import Template
from phi_tui.engine.token_rows import FlatTokens, Made, Piece, RowTokens
from phi_tui.schema import Project

WORTH = 16_000_000
"""Bytes of rows from which on a crew pays for its start, some two seconds."""
_MOST = 16
"""Processes at most: one more adds less than what puts their results together takes."""
_FILES = ("*.json", "*.jinja", "*.model", "*.tiktoken", "vocab.txt", "merges.txt", "additional_chat_templates/*.jinja")
"""Files of a base that may have a say in what its tokenizer is."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is to be known of a tokenizer to choose a template for it."""

    eos_token: str | None
    chat_template: Any
    stops: tuple[int, ...]
    """The ids at which generation ends."""
    stop_tokens: tuple[str | None, ...]

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str | None]:
        """Return the tokens of stop ids."""
        return [self.stop_tokens[self.stops.index(one)] for one in ids]


def facts_of(folder: Path, tokenizer: Any) -> Facts:
    """Return what is to be known of a base's tokenizer."""
    stops = loading.stop_ids(folder, tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(list(stops))
    return Facts(tokenizer.eos_token, tokenizer.chat_template, stops, tuple(tokens))


def facts_key(folder: Path) -> str:
    """SHA-256 over all that decides what a base's tokenizer is: its small files and the libraries' versions."""
    from importlib.metadata import version

    digest = hashlib.sha256(f"{version('transformers')} {version('tokenizers')}".encode())
    found = {path for pattern in _FILES for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(found):
        digest.update(b"\0%s\0" % path.name.encode("utf-8", "surrogateescape"))
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def facts_from(table: Any, key: str) -> Facts | None:
    """Return the facts that `facts_table` made for the same key."""
    try:
        if table["key"] != key:
            return None
        return Facts(table["eos_token"], table["chat_template"], tuple(table["stops"]), tuple(table["stop_tokens"]))
    except (KeyError, TypeError):
        return None


def facts_table(facts: Facts, key: str) -> dict[str, Any]:
    """Return facts as a plain table, to be kept."""
    return {"key": key} | asdict(facts)


class Worker:
    """Holds a tokenizer and makes pieces of rows into tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._maker: RowTokens | None = None

    def begin(self, flat: bool, project: Project, template: Template, raw: Path) -> tuple[dict[str, str], bytes]:
        """Get ready for the rows in the folder `raw`; return the tokens' columns, and how their Arrow stream begins.

        `flat` lays rows end to end: then there are no Arrow rows.
        """
        if flat:
            self._maker = FlatTokens(project, template, self._tokenizer)
        elif labels.has_head(project):
            from phi_tui.engine.label_tokens import LabelledTokens

            self._maker = LabelledTokens(labels.read(raw), project, template, self._tokenizer)
        else:
            self._maker = RowTokens(project, template, self._tokenizer)
        return self._maker.columns, head(self._maker.columns)

    def make(self, piece: Piece) -> Made:
        """Make a piece into tokens."""
        assert self._maker
        return self._maker.make(piece)


def start(folder: Path) -> tuple[Worker, Facts]:
    """Make the object of a crew's processes, and what is to be known of it; a base is looked at before it is loaded."""
    bases.check_architecture(folder)
    tokenizer = loading.tokenizer(folder)
    return Worker(tokenizer), facts_of(folder, tokenizer)


class Tokeniser:
    """A base's tokenizer, here or in a crew, whichever the rows are worth; started when it is first needed."""

    def __init__(self, folder: Path, kept: Any = None, tokenizer: Any = None) -> None:
        self.folder, self.key = folder, facts_key(folder)
        self.crew: Crew | None = None
        self.loaded = tokenizer
        """The tokenizer, where it was loaded in this process."""
        self._facts = facts_from(kept, self.key)

    def __enter__(self) -> Tokeniser:
        return self

    def __exit__(self, *error: object) -> None:
        if self.crew:
            self.crew.close()

    def expect(self, size: int) -> None:
        """Get ready for about so many bytes of rows.  Raises InputError where the tokenizer cannot be loaded here."""
        if self.crew or self.loaded is not None:
            return
        if size >= WORTH:
            self.crew = Crew("phi_tui.engine.tokenising:start", self.folder, count=min(cores(), _MOST))
        else:
            self.loaded = loading.tokenizer(self.folder)

    def facts(self, size: int, waiting: Callable[[], None]) -> Facts:
        """Return what is known of the tokenizer; where nothing is yet, about `size` bytes of rows await it."""
        if self._facts is None:
            self.expect(size)
            self._facts = self.crew.made(waiting) if self.crew else facts_of(self.folder, self.loaded)
        assert self._facts
        return self._facts

    def table(self) -> dict[str, Any]:
        """Return what is known as a plain table, to be kept."""
        return facts_table(self._facts, self.key) if self._facts else {}
