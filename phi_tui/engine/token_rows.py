"""Rows to tokens, a piece of a file at a time: what every process that tokenises does, alone or in a crew.

A piece is a stretch of whole lines of a file of split rows.  It is rendered, tokenised, cut, counted and looked over on
its own, so what comes of it does not depend on who does it or when.  Where its rows came from is known to whoever puts
the pieces together; here a row is known by its place in its piece.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from phi_tui.engine import source_cut
from phi_tui.engine.arrow_files import schema
from phi_tui.engine.render import Encoder, Segment, Template, TemplateMismatch, segments
from phi_tui.engine.rows import Finding
from phi_tui.engine.traced import Renderer
from phi_tui.errors import Refusal
from phi_tui.schema import Project

Piece = tuple[str, int, int, int]
"""A file, where in it the piece begins and ends in bytes, and how many lines that is."""
_ROWS = 1000
_BYTES = 4 << 20
"""Where a piece ends, whichever comes first: some 20 MB in memory on their way to tokens."""
_BLOCK = 1 << 20
CHECKED = 200
"""One row in so many is rendered and tokenised once more as the libraries do it by themselves, from end to end: the
short ways are exact by what they are made of, and this would show if they were not."""
_UNTRAINED = array("i", [-100]).tobytes()


@dataclass(slots=True)
class Made:
    """What became of a piece: an Arrow record batch as a message of its stream format, counts, and findings."""

    rows: int
    """Rows in the piece, whatever became of them."""
    batch: bytes = b""
    """Empty where no row is left."""
    lengths: array[int] = field(default_factory=lambda: array("i"))
    trained: int = 0
    cut_rows: int = 0
    cut_tokens: int = 0
    untrained: int = 0
    source_cut_rows: int = 0
    found: list[tuple[int, Finding]] = field(default_factory=list)
    """Findings without file and line, each with the place of its row in the piece."""

    def find(self, place: int, severity: Any, code: str, message: str, fix: str = "") -> None:
        """Note something about the row at a place of the piece."""
        self.found.append((place, Finding(severity, code, "", 0, message, fix)))


def pieces(path: Path) -> Iterator[Piece]:
    """Cut a file of lines into pieces; the same file is always cut in the same places."""
    start = end = rows = 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            at = 0
            while found := block.find(b"\n", at) + 1:
                rows, at = rows + 1, found
                if rows == _ROWS or end + at - start >= _BYTES:
                    yield str(path), start, end + at, rows
                    start, rows = end + at, 0
            end += len(block)
    if end > start:
        yield str(path), start, end, rows + (not _ends_in_newline(path))


def _ends_in_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, 2)
        return file.read() == b"\n"


def read(piece: Piece) -> list[dict[str, Any]]:
    """Return the rows of a piece."""
    path, start, end, _ = piece
    with open(path, "rb") as file:
        file.seek(start)
        text = file.read(end - start).decode("utf-8")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


class Looker:
    """Warns of what stands in a row's own text and will be read otherwise than it was meant."""

    def __init__(self, template: Template, tokenizer: Any) -> None:
        self._special = tuple(str(token) for token in tokenizer.all_special_tokens if token)
        self._starts = tuple(dict.fromkeys(token[0] for token in self._special))
        self._plain = template.name == "plain"

    def special(self, row: dict[str, Any], place: int, made: Made) -> None:
        """Tell of the model's special tokens in the texts of a row."""
        own = [value for value in row.values() if isinstance(value, str)]
        own += [message["content"] for message in row.get("messages", ())]
        # A model may have hundreds of them, nearly all of which begin with "<".
        if not any(start in text for start in self._starts for text in own):
            return
        for token in self._special:
            if any(token in text for text in own):
                made.find(place, "warning", "special-token", f"holds the model's special token {token} in its own text")

    def joint(self, row: dict[str, Any], place: int, made: Made) -> None:
        """Tell of a prompt and a completion that become one word."""
        if self._plain and "prompt" in row:
            joint = row["prompt"][-1:] + row["completion"][:1]
            if joint.isalnum() and len(joint) == 2:
                made.find(place, "warning", "run-together", "prompt and completion run together without a space")


class RowTokens:
    """The rows of a project as input_ids and labels, one Arrow row each."""

    columns: dict[str, str] = {"input_ids": "list<int32>", "labels": "list<int32>"}  # noqa: RUF012 - never changed

    def __init__(self, project: Project, template: Template, tokenizer: Any) -> None:
        self.data = project.data
        self.template, self.tokenizer = template, tokenizer
        plain = bool(os.environ.get("PHI_TUI_PLAIN_ROWS"))
        self.renderer = tokenizer if plain else Renderer(tokenizer)
        self.encoder = Encoder(tokenizer, template, plain=plain)
        self.looker = Looker(template, tokenizer)

    def make(self, piece: Piece) -> Made:
        """Render, tokenise and check the rows of a piece."""
        rows = read(piece)
        made = Made(len(rows))
        rendered: list[list[Segment]] = []
        places: list[int] = []
        for place, row in enumerate(rows):
            try:
                rendered.append(segments(row, self.template, self.renderer, self.data.train_on))
                places.append(place)
            except TemplateMismatch as error:
                made.find(place, "error", "template", str(error))
            self.looker.special(row, place, made)
            self.looker.joint(row, place, made)
        ids_out: list[bytes] = []
        labels_out: list[bytes] = []
        for text, parts, place in zip(rendered, self.encoder.parts(rendered), places, strict=True):
            if place % CHECKED == 0:
                self.check(self.plainly(rows[place]), text, parts)
            ids, labels = self._row(parts, rows[place], place, made)
            if ids:
                ids_out.append(ids)
                labels_out.append(labels)
        if ids_out:
            columns = (lists(b"".join(column), made.lengths, "int32") for column in (ids_out, labels_out))
            made.batch = message(list(columns), self.columns)
        return made

    def plainly(self, row: dict[str, Any]) -> list[Segment]:
        """Render a row without any short way."""
        return segments(row, self.template, self.tokenizer, self.data.train_on)

    def check(self, plain: list[Segment], text: list[Segment], parts: list[tuple[bytes, bool]]) -> None:
        """Hold a row's text and ids against its text as the tokenizer's own class renders it, and that text's ids.

        Raises Refusal where they differ.
        """
        if plain != text or self.encoder.plainly(plain) != parts:
            raise Refusal(
                "a row came out otherwise than its template and tokenizer give it; nothing was prepared",
                fix="set PHI_TUI_PLAIN_ROWS=1, which is slower and takes no short way, and report this base",
            )

    def _row(self, parts: list[tuple[bytes, bool]], row: dict[str, Any], place: int, made: Made) -> tuple[bytes, bytes]:
        """Return a row's ids and labels as int32, both empty where it cannot be trained on."""
        limit = self.data.max_length
        prefix = array("i", self.encoder.prefix).tobytes()
        ids = prefix + b"".join([part for part, _ in parts])
        length = len(ids) // 4
        if length > limit and self.data.cut == "source" and source_cut.field_of(row):
            return self._without_end_of_source(row, place, length, made)
        marks = [(len(prefix), False), *((len(part), trained) for part, trained in parts)]
        labels, at = [], 0
        trained_tokens = 0
        for size, trained in marks:
            labels.append(ids[at : at + size] if trained else _UNTRAINED * (size // 4))
            if trained:  # the first token of a row is predicted by none
                trained_tokens += max(0, min(at + size, 4 * limit) - max(at, 4)) // 4
            at += size
        cut = max(0, length - limit)
        if cut:
            made.cut_rows += 1
            made.cut_tokens += cut
            made.find(place, "info", "cut", f"{cut} of {length} tokens cut off")
        if not trained_tokens:
            made.untrained += 1
            reason = "its prompt alone fills data.max_length" if cut else "it has no token that is predicted"
            made.find(place, "error", "no-trained-token", f"no trained token: {reason}")
            return b"", b""
        made.lengths.append(length - cut)
        made.trained += trained_tokens
        return ids[: 4 * limit], b"".join(labels)[: 4 * limit]

    def _without_end_of_source(self, row: dict[str, Any], place: int, length: int, made: Made) -> tuple[bytes, bytes]:
        """Cut the source of a row that is too long, counted and told; nothing where that is not enough."""
        data, field_ = self.data, source_cut.field_of(row)
        shorter = source_cut.shortened(
            row, data.max_length, self.encoder, self.template, self.tokenizer, data.train_on, self.renderer
        )
        if shorter is None:
            made.untrained += 1
            message_ = f"without any of its {field_} it is longer than data.max_length"
            made.find(place, "error", "too-long", message_, "raise data.max_length")
            return b"", b""
        ids, labels = shorter
        cut = length - len(ids)
        made.cut_rows += 1
        made.source_cut_rows += 1
        made.cut_tokens += cut
        made.find(place, "info", "cut", f"{cut} of {length} tokens cut off, at the end of its {field_}")
        trained = sum(label != -100 for label in labels[1:])
        if not trained:
            made.untrained += 1
            reason = "it has no token that is predicted"
            made.find(place, "error", "no-trained-token", f"no trained token: {reason}")
            return b"", b""
        made.lengths.append(len(ids))
        made.trained += trained
        return array("i", ids).tobytes(), array("i", labels).tobytes()


class FlatTokens(RowTokens):
    """The rows of a project laid end to end: all ids in one stretch, and all labels in another."""

    def make(self, piece: Piece) -> Made:
        """Render and tokenise the rows of a piece; `batch` holds the ids, and behind them as many labels."""
        rows = read(piece)
        made = Made(len(rows))
        rendered: list[list[Segment]] = []
        for place, row in enumerate(rows):
            self.looker.special(row, place, made)
            try:
                rendered.append(segments(row, self.template, self.renderer, self.data.train_on))
            except TemplateMismatch as error:
                made.find(place, "error", "template", str(error))
        prefix = (array("i", self.encoder.prefix).tobytes(), False)
        encoded = self.encoder.parts(rendered)
        if len(rendered) == len(rows):
            for place in range(0, len(rows), CHECKED):
                self.check(self.plainly(rows[place]), rendered[place], encoded[place])
        stretches = [part for parts in encoded for part in (prefix, *parts)]
        ids = b"".join([part for part, _ in stretches])
        labels = b"".join([part if trained else _UNTRAINED * (len(part) // 4) for part, trained in stretches])
        made.batch = ids + labels
        return made


def lists(values: bytes, lengths: array[int], kind: str) -> Any:
    """An Arrow array of lists of `lengths` over packed values of a type of as many bytes as its name says."""
    import numpy
    import pyarrow

    ends = numpy.zeros(len(lengths) + 1, dtype=numpy.int32)
    numpy.cumsum(numpy.frombuffer(lengths, dtype=numpy.int32), out=ends[1:])
    flat = pyarrow.Array.from_buffers(pyarrow.type_for_alias(kind), int(ends[-1]), [None, pyarrow.py_buffer(values)])
    return pyarrow.ListArray.from_arrays(pyarrow.array(ends), flat)


def message(arrays: list[Any], columns: dict[str, str]) -> bytes:
    """Return a record batch as it stands in an Arrow stream."""
    import pyarrow

    kinds = schema(columns)
    return bytes(
        pyarrow.record_batch(
            [each.cast(kind) for each, kind in zip(arrays, kinds.types, strict=True)], schema=kinds
        ).serialize()
    )


def placed(finding: Finding, file: str, line: int) -> Finding:
    """Return a finding with the place of its row."""
    return replace(finding, file=file, line=line)
