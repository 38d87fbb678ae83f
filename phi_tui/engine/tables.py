"""Rows from tables: .csv and .tsv, whose first record names the columns, and .parquet.

A record of a CSV file may span lines, so what is wrong with a line waits until its record is whole and is told
at the line where that starts.  Parquet comes in batches, so that memory stays flat.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from phi_tui.engine import text_rows
from phi_tui.engine.rows import Finding, Row
from phi_tui.errors import InputError

_BATCH = 500


def read_delimited(
    file: BinaryIO, name: str, delimiter: str = ",", *, quote: str = '"', named: bool = True
) -> Iterator[Row | Finding]:
    """Yield each record under the header as a row, numbered by the line on which it starts.

    Without a `quote` no field is quoted; where the file is not `named`, the columns are column1, column2, ...

    Raises InputError for a header that is broken, names a column twice, or has another delimiter.
    """
    csv.field_size_limit(text_rows.MAX_LINE)  # process-wide; the standard 128 KB is less than some documents
    feed = _Feed(file, name)
    quotes: dict[str, Any] = {"quotechar": quote} if quote else {"quotechar": None, "quoting": csv.QUOTE_NONE}
    records = csv.reader(feed, delimiter=delimiter, strict=True, **quotes)
    header: list[str] = []
    while True:
        start = feed.number + 1
        message = ""
        cells: list[str] = []
        try:
            cells = next(records)
        except StopIteration:
            break
        except csv.Error as error:
            message = _csv_message(str(error), start, feed.number)
        remarks, broken = feed.taken()
        yield from remarks
        if not header:
            if flaw := message or (broken.message if broken else ""):
                raise InputError(f"broken header: {flaw}", where=f"{name}:{start}")
            if named or not cells:
                header = _header(cells, name, start, delimiter)
                continue
            header = [f"column{number}" for number in range(1, len(cells) + 1)]
        if broken:
            yield broken
        elif message:
            yield Finding("error", "csv", name, start, message)
        elif cells and len(cells) != len(header):
            count = f"{len(cells)} field{'s' * (len(cells) > 1)} where the header has {len(header)}"
            yield Finding("error", "ragged", name, start, count, "put quotes around a field that holds a separator")
        elif cells:
            yield Row(name, start, dict(zip(header, cells, strict=True)))


def _csv_message(text: str, start: int, end: int) -> str:
    if text == "unexpected end of data":
        return f"a quote that is opened in this row is never closed; lines {start} to {end} are lost"
    if "field larger than" in text:
        limit = text_rows.MAX_LINE // 2**20
        return f"a field larger than {limit} MB, or a quote never closed; lines {start} to {end} are lost"
    return f"broken CSV: {text}"


def _header(cells: list[str], name: str, line: int, delimiter: str) -> list[str]:
    twice = sorted({cell for cell in cells if cell and cells.count(cell) > 1})
    if twice:
        raise InputError(f"two columns are named {twice[0]!r}", where=f"{name}:{line}", fix="rename one in the header")
    other = next((mark for mark in ";\t," if mark != delimiter and len(cells) == 1 and mark in cells[0]), "")
    if other:
        kind = {";": "semicolons", "\t": "tabs", ",": "commas"}[other]
        fix = "save it with commas as .csv, or with tabs as .tsv"
        raise InputError(f"the columns are separated by {kind}", where=f"{name}:{line}", fix=fix)
    return cells


class _Feed:
    """Lines for the csv module; the findings about them wait until the record they belong to is whole."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._items = text_rows.lines(file, name, keep_broken=True)
        self.number = 0
        self.findings: list[Finding] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        for item in self._items:
            if isinstance(item, Finding):
                self.findings.append(item)
            else:
                self.number = item[0]
                return item[1]
        raise StopIteration

    def taken(self) -> tuple[list[Finding], Finding | None]:
        """Return the remarks about the lines of a record, and the first thing that breaks it."""
        found, self.findings = self.findings, []
        broken = [finding for finding in found if finding.severity == "error"]
        return [finding for finding in found if finding.severity != "error"], broken[0] if broken else None


def read_parquet(file: BinaryIO, name: str) -> Iterator[Row | Finding]:
    """Yield the rows of a parquet file, numbered from 1; raises InputError for a damaged one."""
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=_BATCH):
                try:
                    rows: list[Any] = batch.to_pylist()
                except UnicodeDecodeError:
                    rows = [_one(batch, place) for place in range(batch.num_rows)]
                for fields in rows:
                    number += 1
                    if fields is None:
                        yield Finding("error", "encoding", name, number, "invalid UTF-8 in this row")
                    else:
                        yield Row(name, number, fields)
    except (pyarrow.lib.ArrowException, OSError) as error:
        raise InputError(f"is no sound parquet file: {error}", where=name, fix="copy or download it again") from None


def _one(batch: Any, place: int) -> dict[str, Any] | None:
    try:
        return cast(dict[str, Any], batch.slice(place, 1).to_pylist()[0])
    except UnicodeDecodeError:
        return None
