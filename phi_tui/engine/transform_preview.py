"""The first rows of a project's sources before and after its transforms, for a person who writes one.

They pass the very steps that preparing passes them through, one transform at a time, so that it can be said which of
them dropped a row.  What looks at all rows (deduplicate, sample, shuffle) sees here the first ones alone.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from phi_tui.engine.doctor import read_all
from phi_tui.engine.rows import Finding, Row
from phi_tui.engine.sources import files_of, read_hub
from phi_tui.engine.transforms import Transforms
from phi_tui.errors import InputError, PhiError
from phi_tui.schema import Project

MAX_ROWS = 50
_MAX_ITEMS = 2000
"""Rows and findings of a source that are looked at for its first rows."""
_MAX_CHARACTERS = 500
_MAX_COLUMNS = 40

Place = tuple[str, int]


def preview(project: Project, root: Path, count: int, check: Callable[[], None]) -> dict[str, Any]:
    """Return {rows: [{source, file, line, before, after, dropped_by, broken}], counts, error} as plain tables.

    About `count` rows, shared evenly among the sources.  `after` is None for a row that is left out, by the transform
    numbered `dropped_by`; `broken` says why where it could not be transformed.  `error` is what is wrong with a
    transform as a whole, else None; `check` may raise to end it.
    """
    count = max(1, min(count, MAX_ROWS))
    sources = project.data.sources
    each = max(1, -(-count // max(1, len(sources))))
    shown: list[dict[str, Any]] = []
    error: dict[str, str] | None = None
    transforms: Transforms | None = None
    try:
        transforms = Transforms(project)
        with tempfile.TemporaryDirectory(prefix="phi-tui-") as scratch:
            for number, source in enumerate(sources):
                check()
                items = read_hub(source) if source.hub else read_all(files_of(source, root), root, source)
                rows = [item for item in itertools.islice(items, _MAX_ITEMS) if isinstance(item, Row)][:each]
                table = [_entry(number, row) for row in rows]
                shown += table  # those of a source that breaks are shown with what came before
                _pass(transforms, number, rows, table, Path(scratch))
        transforms.finish()
    except PhiError as flaw:
        error = {"what": flaw.what, "where": flaw.where, "fix": flaw.fix}
    counts = [asdict(one) for one in transforms.counts] if transforms else []
    return {"rows": shown, "counts": counts, "error": error}


def _entry(source: int, row: Row) -> dict[str, Any]:
    return {
        "source": source + 1, "file": row.file, "line": row.line, "before": _values(row), "after": None,
        "dropped_by": None, "broken": "",
    }  # fmt: skip


def _pass(transforms: Transforms, source: int, rows: list[Row], table: list[dict[str, Any]], scratch: Path) -> None:
    """Pass the rows of a source through its transforms and note in their entries what became of each."""
    entries: dict[Place, dict[str, Any]] = {(entry["file"], entry["line"]): entry for entry in table}
    for place in transforms.steps(source):
        before = {(row.file, row.line) for row in rows}
        after = list(transforms.one(place, source, iter(rows), scratch))
        rows = [item for item in after if isinstance(item, Row)]
        for item in after:
            if isinstance(item, Finding):
                entries[item.file, item.line]["broken"] = item.message[:_MAX_CHARACTERS]
        for gone in before - {(row.file, row.line) for row in rows}:
            entries[gone]["dropped_by"] = place + 1
    for row in rows:
        entries[row.file, row.line]["after"] = _values(row)


def _values(row: Row) -> dict[str, str]:
    """The columns of a row as short texts."""
    return {str(name): _text(value) for name, value in itertools.islice(row.fields.items(), _MAX_COLUMNS)}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value[:_MAX_CHARACTERS]
    try:
        return json.dumps(value, ensure_ascii=False, default=str)[:_MAX_CHARACTERS]
    except (ValueError, TypeError, RecursionError):
        return type(value).__name__


def requested(task: Any, project: Project, root: Path) -> dict[str, Any]:
    """Answer the request `transform_preview`."""
    count = task.arguments.get("count", MAX_ROWS)
    if not isinstance(count, int) or isinstance(count, bool):
        raise InputError("the request names no number count")
    return preview(project, root, count, task.check)
