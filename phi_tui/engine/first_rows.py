"""The first rows of data files as they are, before a project maps their columns, and what they look like.

A person sees here which columns there are and what phi-tui takes them for; a file that cannot be read says why
beside the others.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from phi_tui.engine.formats import Detected, detect
from phi_tui.engine.labels import TASKS
from phi_tui.engine.sources import Finding, Row, files_of, read
from phi_tui.engine.transforms import Transforms
from phi_tui.errors import InputError, PhiError
from phi_tui.schema import Project, Source

MAX_ROWS = 100
"""Rows shown of a file, and looked at to tell its format."""
_MAX_ITEMS = 5000
_MAX_COLUMNS = 200
_MAX_CHARACTERS = 500


def first_rows(
    paths: list[str], count: int, root: Path, check: Callable[[], None], of: tuple[Project, int] | None = None
) -> list[dict[str, Any]]:
    """Return for each file or folder its first `count` rows, columns and format, as plain tables; in the given order.

    Paths are relative to `root`.  `error` says what is wrong with a file, else it is None; `check` may raise to
    end it.  With `of`, a project and the place of a source in it, the rows are read and transformed as that source's.
    """
    return [_first(path, max(1, min(count, MAX_ROWS)), root, check, of) for path in paths]


def _first(
    path: str, count: int, root: Path, check: Callable[[], None], of: tuple[Project, int] | None
) -> dict[str, Any]:
    table: dict[str, Any] = {
        "name": path, "format": None, "columns": [], "mapping": {}, "rows": [], "error": None,
    }  # fmt: skip
    rows: list[Row] = []
    broken: list[Finding] = []
    try:
        if not path:
            raise InputError("is no path")
        source = of[0].data.sources[of[1]] if of else Source(path=path)
        files = files_of(source, root)
        items = itertools.chain.from_iterable(read(file, dialect=source) for file in files)
        for item in _transformed(itertools.islice(items, _MAX_ITEMS), of):
            check()
            if isinstance(item, Row):
                rows.append(item)
            elif item.severity == "error":
                broken.append(item)
            if len(rows) == MAX_ROWS:
                break
        columns = list(dict.fromkeys(str(column) for row in rows for column in row.fields))[:_MAX_COLUMNS]
        table["columns"] = columns
        table["rows"] = [{"line": row.line, "values": _values(row, columns)} for row in rows[:count]]
        if not rows and broken:
            raise InputError(broken[0].message, where=_place(path, broken[0]), fix=broken[0].fix)
        detected = _detected([row.fields for row in rows], path)
        table |= {"format": detected.format, "mapping": detected.columns}
    except PhiError as error:
        table["error"] = {"what": error.what, "where": error.where or path, "fix": error.fix}
    return table


def _detected(sample: list[dict[str, Any]], path: str) -> Detected:
    """The format that the columns fit; rows of a text and a label fit none of a language model's."""
    try:
        return detect(sample, where=path)
    except InputError:
        for task in TASKS:
            with contextlib.suppress(InputError):
                return detect(sample, named=task, where=path)
        raise


def _transformed(items: Iterator[Row | Finding], of: tuple[Project, int] | None) -> Iterator[Row | Finding]:
    if of is None:
        yield from items
        return
    with tempfile.TemporaryDirectory(prefix="phi-tui-") as scratch:
        yield from Transforms(of[0]).apply(of[1], items, Path(scratch))


def _values(row: Row, columns: list[str]) -> dict[str, str]:
    named = {str(column): value for column, value in row.fields.items()}
    return {column: _text(named[column]) for column in columns if column in named}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value[:_MAX_CHARACTERS]
    try:
        return json.dumps(value, ensure_ascii=False, default=str)[:_MAX_CHARACTERS]
    except (ValueError, TypeError, RecursionError):
        return type(value).__name__


def _place(path: str, finding: Finding) -> str:
    return f"{path}:{finding.line}" if finding.line else path
