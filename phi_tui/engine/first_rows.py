"""The first rows of data files as they are, before a project maps their columns, and what they look like.

A person sees here which columns there are and what phi-tui takes them for; a file that cannot be read says why
beside the others.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from phi_tui.engine.formats import detect
from phi_tui.engine.sources import Finding, Row, files_of, read
from phi_tui.errors import InputError, PhiError
from phi_tui.schema import Source

MAX_ROWS = 100
"""Rows shown of a file, and looked at to tell its format."""
_MAX_ITEMS = 5000
_MAX_COLUMNS = 200
_MAX_CHARACTERS = 500


def first_rows(paths: list[str], count: int, root: Path, check: Callable[[], None]) -> list[dict[str, Any]]:
    """Return for each file or folder its first `count` rows, columns and format, as plain tables; in the given order.

    Paths are relative to `root`.  `error` says what is wrong with a file, else it is None; `check` may raise to
    end it.
    """
    return [_first(path, max(1, min(count, MAX_ROWS)), root, check) for path in paths]


def _first(path: str, count: int, root: Path, check: Callable[[], None]) -> dict[str, Any]:
    table: dict[str, Any] = {
        "name": path, "format": None, "columns": [], "mapping": {}, "rows": [], "error": None,
    }  # fmt: skip
    rows: list[Row] = []
    broken: list[Finding] = []
    try:
        if not path:
            raise InputError("is no path")
        items = itertools.chain.from_iterable(read(file) for file in files_of(Source(path=path), root))
        for item in itertools.islice(items, _MAX_ITEMS):
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
        detected = detect([row.fields for row in rows], where=path)
        table |= {"format": detected.format, "mapping": detected.columns}
    except PhiError as error:
        table["error"] = {"what": error.what, "where": error.where or path, "fix": error.fix}
    return table


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
