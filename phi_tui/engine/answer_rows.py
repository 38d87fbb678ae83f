"""Rows to be summarised and rows that answer a question, for data.template = "summarisation" and "qa".

The layout says what a row holds, so these formats are only looked for where it is named; else a row with a question and
an answer is an instruction, as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phi_tui.engine.formats import Detected
from phi_tui.engine.rows import Finding, Row
from phi_tui.errors import InputError

FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "summarisation": {
        "source": ("source", "document", "article", "text", "dialogue", "input", "content", "body"),
        "summary": ("summary", "highlights", "abstract", "target", "output"),
    },
    "qa": {
        "question": ("question", "query", "instruction"),
        "context": ("context", "passage", "paragraph", "document", "input"),
        "answer": ("answer", "answers", "output", "response"),
    },
}
"""The fields of each format, with the names of columns that are taken for them."""
_OPTIONAL = ("context",)


def detect(sample: Sequence[dict[str, Any]], named: str, *, columns: dict[str, str], where: str) -> Detected:
    """Find the columns of a summarisation or qa source; raises InputError, with the columns seen, when some lack."""
    fields = FIELDS[named]
    seen = list(dict.fromkeys(column for row in sample for column in row))
    for field, column in columns.items():
        if field not in fields:
            raise InputError(
                f'columns maps {field}, which data.template = "{named}" has not; it has {", ".join(fields)}',
                where=where,
            )
        if column not in seen:
            raise InputError(f"columns names {column}; the rows have {', '.join(seen)}", where=where)
    found: dict[str, str] = {}
    for field, names in fields.items():
        taken = (*columns.values(), *found.values())
        column = columns.get(field) or next((name for name in names if name in seen and name not in taken), "")
        if column:
            found[field] = column
        elif field not in _OPTIONAL:
            raise InputError(
                f"the rows have the columns {', '.join(seen) or 'none'}, and none is taken for the {field}",
                where=where,
                fix=f'map it, such as data.sources.columns = {{ {field} = "{(seen or ["column"])[-1]}" }}',
            )
    return Detected(named, found, f"as data.template names it: {', '.join(found.values())}")  # type: ignore[arg-type]


def normalise(row: Row, detected: Detected) -> dict[str, Any] | Finding:
    """Return {"source", "summary"} or {"context", "question", "answer"}, or the Finding that says why not."""
    made: dict[str, Any] = {}
    for field in FIELDS[detected.format]:
        column = detected.columns.get(field)
        value = row.fields.get(column) if column else ""
        if field == "answer":
            value = _first(value)
        if value is None and field in _OPTIONAL:
            value = ""
        if column and column not in row.fields and field not in _OPTIONAL:
            return _error(row, "missing-field", f"has no {column}")
        if not isinstance(value, str):
            return _error(row, "wrong-type", f"{column} is a {type(value).__name__}, where text belongs")
        if "\x00" in value:
            return _error(row, "nul", f"{column} holds a NUL character")
        if not value.strip() and field not in _OPTIONAL:
            tail = ", so there is nothing to learn" if field in ("answer", "summary") else ""
            return _error(row, "empty-field", f"{column} is empty{tail}")
        made[field] = value
    return made


def _first(value: Any) -> Any:
    """The first of several answers; SQuAD's rows hold {"text": [...], "answer_start": [...]}."""
    if isinstance(value, dict) and "text" in value:
        value = value["text"]
    if isinstance(value, (list, tuple)):
        return value[0] if value else ""
    return value


def _error(row: Row, code: str, message: str) -> Finding:
    return Finding("error", code, row.file, row.line, message)
