"""The good rows of a source between reading and writing: on the disk, a number a row where others keep an object.

Texts lie in one file, one behind the other; where each ends, what it hashes to, where it came from and how long it is
in columns of fixed width beside it.  What has to be known of all rows together is worked out in passes over those
columns, so that memory does not grow with the rows: a hash decides into which part of a pass a row falls, and equal
rows have equal hashes.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from phi_tui.engine.gathering import Batch

_COLUMNS = {"rank": (">u8", 16), "end": ("u8", 8), "line": ("u8", 8), "file": ("u4", 4), "length": ("u8", 8)}
"""The type and the bytes a row of each column; a rank is two numbers, so that they sort as its bytes do."""
_ROWS = 32_768
"""Rows of a column read at once."""
_AT_ONCE = 131_072
"""Rows, about, that are looked at together for equal ones: some 10 MB."""
_TEXT = 4 << 20
"""Bytes of texts copied at once, unless one row has more."""


class Gathered:
    """One source's good rows, in files whose names begin with `stem`."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._open = ExitStack()
        self._files = {name: self._create(name) for name in ("texts", *_COLUMNS)}
        self._read: dict[str, int] = {}
        self.rows = self._end = 0
        self.files: list[str] = []
        """The files that rows came from, by their first row."""
        self._numbers: dict[str, int] = {}

    def _create(self, name: str) -> BinaryIO:
        path = self._path(name)
        file = open(path, "wb", buffering=1 << 18, opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
        return self._open.enter_context(file)

    def _path(self, name: str) -> Path:
        return self._stem.with_name(f"{self._stem.name}.{name}")

    def add(self, batch: Batch, before: int = 0) -> None:
        """Put a batch behind what is there; `before` lines stand in its file in front of it."""
        numbers = []
        for file in batch.files:
            if file not in self._numbers:
                self._numbers[file] = len(self.files)
                self.files.append(file)
            numbers.append(self._numbers[file])
        self._files["texts"].write(batch.texts)
        self._files["rank"].write(batch.ranks)
        self._files["end"].write(array("Q", [self._end + end for end in batch.ends]))
        self._files["line"].write(array("Q", [before + line for line in batch.lines]) if before else batch.lines)
        self._files["file"].write(array("I", [numbers[number] for number in batch.file_numbers]))
        self._files["length"].write(batch.lengths)
        self.rows += len(batch.ends)
        self._end += len(batch.texts)

    def finish(self) -> None:
        """Nothing more is added: from here on rows are read."""
        for file in self._files.values():
            file.close()
        for name in self._files:
            self._read[name] = handle = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
            self._open.callback(os.close, handle)

    def close(self) -> None:
        """Close and remove the files."""
        self._open.close()
        for name in self._files:
            self._path(name).unlink(missing_ok=True)

    def chunks(self, *names: str) -> Iterator[tuple[int, list[Any]]]:
        """Yield (number of the first row, an array for each of the columns named) for all rows."""
        for first in range(0, self.rows, _ROWS):
            yield first, [self._column(name, first, min(_ROWS, self.rows - first)) for name in names]

    def _column(self, name: str, first: int, count: int) -> Any:
        import numpy

        kind, size = _COLUMNS[name]
        found = numpy.frombuffer(os.pread(self._read[name], size * count, size * first), dtype=kind)
        return found.astype("u8").reshape(-1, 2) if name == "rank" else found

    def ranks(self) -> Iterator[Any]:
        """Yield the ranks of all rows, two numbers a row."""
        for _, (ranks,) in self.chunks("rank"):
            yield ranks

    def place(self, row: int) -> tuple[str, int]:
        """Return file and line of a row."""
        file, line = self.numbers(row)
        return self.files[file], line

    def numbers(self, row: int) -> tuple[int, int]:
        """Return which of `files` a row is from, and its line."""
        files, lines = self.origins(row, 1)
        return int(files[0]), int(lines[0])

    def origins(self, first: int, count: int) -> tuple[Any, Any]:
        """Return which of `files` each of some rows is from, and its line, as arrays."""
        return self._column("file", first, count), self._column("line", first, count)

    def text(self, row: int) -> bytes:
        """Return a row as a line of JSON."""
        end = int(self._column("end", row, 1)[0])
        start = int(self._column("end", row - 1, 1)[0]) if row else 0
        return os.pread(self._read["texts"], end - start, start)

    def texts(self) -> Iterator[tuple[int, Any, Any]]:
        """Yield (number of the first row, the rows' sizes in bytes, those bytes as an array) for all rows."""
        import numpy

        start = 0
        for first, (ends,) in self.chunks("end"):
            done = 0
            while done < len(ends):
                upto = max(done + 1, int(numpy.searchsorted(ends, start + _TEXT, side="right")))
                part = ends[done:upto].astype("i8")
                end = int(part[-1])
                text = numpy.frombuffer(os.pread(self._read["texts"], end - start, start), dtype="u1")
                yield first + done, numpy.diff(part, prepend=start), text
                done, start = upto, end

    def repeated(self) -> Iterator[tuple[int, int]]:
        """Yield (a row, the first row that says the same) for each row that repeats an earlier one, in order."""
        import numpy

        found = [numpy.zeros((0, 2), dtype="i8")]
        for ranks, rows in _alike([self], lambda number, rows: rows):
            is_first = numpy.ones(len(rows), dtype=bool)
            is_first[1:] = (ranks[1:] != ranks[:-1]).any(axis=1)
            firsts = rows[is_first][numpy.cumsum(is_first) - 1]
            found.append(numpy.stack([rows, firsts], axis=1)[~is_first])
        whole = numpy.concatenate(found)
        for row, first in whole[numpy.argsort(whole[:, 0], kind="stable")]:
            yield int(row), int(first)


def _alike(sources: Sequence[Gathered], number: Callable[[int, Any], Any]) -> Iterator[tuple[Any, Any]]:
    """Yield (ranks, numbers) of rows, sorted by both; rows of equal rank come together.

    `number` gives the numbers of a source's rows (a source's place, row numbers); negative ones are left out.
    """
    import numpy

    shares = max(1, sum(source.rows for source in sources) // _AT_ONCE)
    bits = max(0, (shares - 1).bit_length())
    for share in range(1 << bits):
        ranks, numbers = [numpy.zeros((0, 2), dtype="u8")], [numpy.zeros(0, dtype="i8")]
        for place, source in enumerate(sources):
            for first, (chunk,) in source.chunks("rank"):
                own = number(place, numpy.arange(first, first + len(chunk)))
                mine = own >= 0 if not bits else (own >= 0) & (chunk[:, 0] >> numpy.uint64(64 - bits) == share)
                ranks.append(chunk[mine])
                numbers.append(own[mine])
        every, named = numpy.concatenate(ranks), numpy.concatenate(numbers)
        order = numpy.lexsort((named, every[:, 1], every[:, 0]))
        yield every[order], named[order]


def twins(
    sources: Sequence[Gathered], trains: Callable[[int, Any], Any], validates: Callable[[int, Any], Any]
) -> list[tuple[int, int]]:
    """Return (a validation row's number, the first training row's) for validation rows that training has too, in order.

    `trains` and `validates` give rows the number at which they come (a source's place, row numbers), or -1.
    """
    import numpy

    found = [numpy.zeros((0, 2), dtype="i8")]
    least = numpy.iinfo("i8").max

    def both(place: int, rows: Any) -> Any:
        """Training rows by even numbers, validation rows by odd ones; no row is both."""
        one, other = trains(place, rows), validates(place, rows)
        return numpy.where(one >= 0, 2 * one, numpy.where(other >= 0, 2 * other + 1, -1))

    for ranks, numbers in _alike(sources, both):
        if not len(numbers):
            continue
        starts = numpy.ones(len(numbers), dtype=bool)
        starts[1:] = (ranks[1:] != ranks[:-1]).any(axis=1)
        group = numpy.cumsum(starts) - 1
        first = numpy.full(int(group[-1]) + 1, least)
        trained = numbers % 2 == 0
        numpy.minimum.at(first, group[trained], numbers[trained] // 2)
        held = ~trained & (first[group] < least)
        found.append(numpy.stack([numbers[held] // 2, first[group[held]]], axis=1))
    whole = numpy.concatenate(found)
    return [(int(row), int(twin)) for row, twin in whole[numpy.argsort(whole[:, 0], kind="stable")]]
