"""The first look at a source's rows, a batch at a time: each brought into canonical form, or told why not.

What is done to a batch depends on nothing but the batch, so several processes may do it; each then reads a stretch of
whole lines of the file itself.  Texts come out as one block of bytes, everything else as a number a row: a data set of
gigabytes has millions of rows, and an object for each would be more than the texts themselves.
"""

from __future__ import annotations

import hashlib
import io
import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, BinaryIO, cast

from phi_tui.engine.formats import Detected, normalise, remarks
from phi_tui.engine.json_rows import stretch
from phi_tui.engine.rows import Finding, Row
from phi_tui.engine.split import rank, row_key

_encode = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": ")).encode
_STRETCH = 2 << 20
"""Bytes of a file that are one batch: some 5,000 short rows."""
_LATER = 1 << 40
"""Stands for the lines before a stretch that does not begin its file; how many they are is known only afterwards."""

Stretch = tuple[str, str, int, int]
"""A file, what it is called, and where in it whole lines begin and end, in bytes."""


@dataclass(slots=True)
class Batch:
    """Good rows, one behind the other, and what was found on the way."""

    texts: bytearray = field(default_factory=bytearray)
    """The rows in canonical form, a line of JSON each."""
    ends: array[int] = field(default_factory=lambda: array("Q"))
    """Where each row ends in `texts`."""
    ranks: bytearray = field(default_factory=bytearray)
    """16 bytes a row that stand for its content."""
    files: list[str] = field(default_factory=list)
    file_numbers: array[int] = field(default_factory=lambda: array("I"))
    """Which of `files` each row is from."""
    lines: array[int] = field(default_factory=lambda: array("Q"))
    lengths: array[int] = field(default_factory=lambda: array("Q"))
    """Characters of each row, all its texts together."""
    read: int = 0
    """Rows read, broken ones included."""
    found: list[tuple[int, Finding]] = field(default_factory=list)
    """Findings, each with how many good rows of the batch stand before it."""
    lines_read: int = 0
    blank: int = 0
    """Of a stretch: how many lines it has, and how many of them are empty."""

    def take(self, item: Row | Finding, detected: Detected | None, seed: int) -> None:
        """Put a row or a finding behind what is there."""
        if isinstance(item, Finding):
            self.read += item.severity == "error"
            self.found.append((len(self.ends), item))
            return
        if detected is None:
            return
        self.read += 1
        row = normalise(item, detected)
        if isinstance(row, Finding):
            self.found.append((len(self.ends), row))
            return
        if "messages" in row:
            self.found += [(len(self.ends), finding) for finding in remarks(item, row)]
        text, key = written(row)
        self.texts += text
        self.ends.append(len(self.texts))
        self.ranks += rank(key, seed)
        if not self.files or self.files[-1] != item.file:
            self.files.append(item.file)
        self.file_numbers.append(len(self.files) - 1)
        self.lines.append(item.line)
        self.lengths.append(characters(row))


def written(row: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return a canonical row as a line of JSON, and its key (see `split.row_key`).

    Nearly all rows are texts by name, or messages: those are put together from their texts as JSON, which the line and
    the key have in common, and each text is encoded once.
    """
    parts = {}
    for name, value in row.items():
        if type(value) is str:
            parts[name] = (encoded := encode_basestring(value), encoded)
        elif name == "messages" and all(message.keys() == _TURN for message in value):
            turns = [(encode_basestring(turn["role"]), encode_basestring(turn["content"])) for turn in value]
            line = ", ".join([f'{{"role": {role}, "content": {content}}}' for role, content in turns])
            sortd = ", ".join([f'{{"content": {content}, "role": {role}}}' for role, content in turns])
            parts[name] = (f"[{line}]", f"[{sortd}]")
        else:
            return _encode(row).encode("utf-8") + b"\n", row_key(row)
    line = ", ".join([f'"{name}": {part[0]}' for name, part in parts.items()])
    sortd = ", ".join([f'"{name}": {parts[name][1]}' for name in sorted(parts)])
    return f"{{{line}}}\n".encode(), hashlib.blake2b(f"{{{sortd}}}".encode(), digest_size=16).digest()


_TURN = {"role": 0, "content": 0}.keys()


def characters(row: dict[str, Any]) -> int:
    """Return how many characters the texts of a canonical row have."""
    if "messages" in row:
        return sum(len(message["content"]) for message in row["messages"])
    return sum(len(value) for value in row.values() if isinstance(value, str))


def batches(items: Iterable[Row | Finding], detected: Detected | None, seed: int, size: int = 500) -> Iterator[Batch]:
    """Put rows and findings into batches of at most `size` of them."""
    batch, held = Batch(), 0
    for item in items:
        batch.take(item, detected, seed)
        held += 1
        if held == size:
            yield batch
            batch, held = Batch(), 0
    yield batch


def stretches(path: Path, name: str) -> Iterator[Stretch]:
    """Cut a file into stretches of whole lines; the same file is always cut in the same places."""
    size = path.stat().st_size
    start = 0
    with open(path, "rb") as file:
        while start < size:
            end = min(start + _STRETCH, size)
            file.seek(end)
            while end < size and (block := file.read(1 << 16)):
                if found := block.find(b"\n") + 1:
                    end += found
                    break
                end += len(block)
            yield str(path), name, start, min(end, size)
            start = end


class Gatherer:
    """Reads stretches of files of JSON lines; all that it holds is how the rows are to be understood."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._detected: Detected | None = None

    def begin(self, detected: Detected | None) -> None:
        """Get ready for the rows of a source."""
        self._detected = detected

    def make(self, piece: Stretch) -> Batch:
        """Read a stretch; lines are numbered from the stretch's first on, see `Batch.lines_read`."""
        path, name, start, end = piece
        batch = Batch()
        before = _LATER if start else 0
        with open(path, "rb") as file:
            file.seek(start)
            part = _Part(file, end - start)
            items = stretch(cast(BinaryIO, io.BufferedReader(part, 1 << 17)), name, before, start)
            while True:
                try:
                    batch.take(next(items), self._detected, self._seed)
                except StopIteration as done:
                    batch.blank = done.value
                    break
        batch.lines_read = part.newlines + (part.last not in (b"", b"\n"))
        if before:
            batch.lines = array("Q", [line - before for line in batch.lines])
        return batch


class _Part(io.RawIOBase):
    """The next `size` bytes of a file, as a file, with a count of the lines read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size
        self.newlines, self.last = 0, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._file.read(min(len(buffer), self._left))
        buffer[: len(block)] = block
        self._left -= len(block)
        self.newlines += block.count(b"\n")
        self.last = block[-1:] or self.last
        return len(block)


def numbered(finding: Finding, before: int) -> Finding:
    """Return a finding of a stretch that has `before` lines in front of it with the line it has in the file."""
    if finding.line <= 0:
        return finding
    line = finding.line - _LATER if finding.line > _LATER else finding.line
    return Finding(finding.severity, finding.code, finding.file, line + before, finding.message, finding.fix)


def start(seed: int) -> tuple[Gatherer, None]:
    """Make the object of a crew's processes."""
    return Gatherer(seed), None
