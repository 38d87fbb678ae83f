"""How the rows of a source come to be batches: read here, or in stretches of its files by a crew.

Only plain files of JSON lines can be read in stretches, since a line of them is a line whatever stands before it; they
are what large data sets come in.  Transforms take rows one after the other, so a source that has some is read here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from phi_tui.engine.crew import Crew
from phi_tui.engine.doctor import look, read_all
from phi_tui.engine.formats import Detected
from phi_tui.engine.gathering import Batch, batches, numbered, stretches
from phi_tui.engine.rows import Finding, Row
from phi_tui.engine.sources import checked, files_of, is_lines, name_of, read_hub, unreadable
from phi_tui.engine.text_rows import blank_lines
from phi_tui.errors import InputError
from phi_tui.schema import Source

WORTH = 8_000_000
"""Bytes of JSON lines from which on a crew pays for its start, a quarter of a second."""

Put = Callable[[Batch, int], None]
"""Takes a batch, and how many lines of its file stand before it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the rows of a source are to be read as: its name, a format, which columns hold what, and the seed."""

    name: str
    form: str
    columns: dict[str, str]
    seed: int


def items(source: Source, root: Path) -> Iterator[Row | Finding]:
    """Stream the rows of a source."""
    return read_hub(source) if source.hub else read_all(files_of(source, root), root, source)


def in_stretches(source: Source, root: Path) -> list[Path]:
    """Return the files of a source that is worth a crew, else none."""
    if source.hub or source.encoding:
        return []
    files = files_of(source, root)
    return files if all(map(is_lines, files)) and sum(file.stat().st_size for file in files) >= WORTH else []


def here(waiting: Iterator[Row | Finding], wanted: Wanted, put: Put) -> Detected | None:
    """Pass a source's rows on in batches and return their format; InputError where the columns fit none."""

    def early(findings: list[Row | Finding]) -> None:
        for batch in batches(findings, None, wanted.seed):
            put(batch, 0)

    held, detected = look(waiting, wanted.columns, wanted.form, wanted.name, early)
    for batch in batches(itertools.chain(held, waiting), detected, wanted.seed):
        put(batch, 0)
    return detected


def by(crew: Crew, files: list[Path], root: Path, wanted: Wanted, put: Put) -> Detected | None:
    """Do what `here` does with a source of JSON lines, by a crew of `gathering.start`."""
    first = read_all(files, root)
    _, detected = look(first, wanted.columns, wanted.form, wanted.name, lambda findings: None)
    crew.all("begin", detected)
    for path in files:
        name = name_of(path, root)
        broken = checked(path, name)
        found = bool(broken)
        lines = blank = 0
        if broken:
            _tell([broken], put)
            continue
        try:
            for batch in crew.each("make", stretches(path, name), lambda: put(Batch(), 0)):
                found = found or bool(batch.read)
                batch.found = [(place, numbered(finding, lines)) for place, finding in batch.found]
                put(batch, lines)
                lines += batch.lines_read
                blank += batch.blank
        except OSError as error:
            raise unreadable(error, name) from None
        _tell(list(blank_lines(name, blank)), put)
        if not found:
            raise InputError("holds no row", where=name, fix="take it out of data.sources, or put rows into it")
    return detected


def _tell(findings: list[Finding], put: Put) -> None:
    for batch in batches(findings, None, 0):
        put(batch, 0)
