"""Rows with a label: which column holds it, and the row brought into one shape.

That is {"text", "label"} or {"instruction", "input", "label"}.  A canonical label is a class name, a list of class
names, or a number, as the task has it.  What does not fit says so and names the task that it would fit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from phi_tui.engine.formats import Detected
from phi_tui.engine.rows import Finding, Row
from phi_tui.errors import InputError

_TEXT = ("text", "content", "sentence", "review")
_INSTRUCTION = ("instruction", "question", "query")
_INPUT = ("input", "context")
_LABEL = {
    "classification": ("label", "class", "category", "target"),
    "multi-label": ("labels", "label", "tags", "categories"),
    "regression": ("label", "score", "rating", "value", "target"),
}
_LONGEST_NAME = 200


def detect(
    sample: Sequence[dict[str, Any]], task: str, *, named: str = "auto", columns: dict[str, str], where: str = ""
) -> Detected:
    """Find the columns of the text and of the label; what the project maps wins over the columns' names.

    Raises InputError, with the columns seen, when there is no text or no label.
    """
    seen = list(dict.fromkeys(column for row in sample for column in row))
    if lacking := [column for column in columns.values() if column not in seen]:
        raise InputError(f"columns names {', '.join(lacking)}; the rows have {', '.join(seen)}", where=where)
    if odd := [field for field in columns if field not in ("text", "instruction", "input", "label", "labels")]:
        raise InputError(
            f"columns maps {', '.join(odd)}, and {task} reads text (or instruction and input) and a label", where=where
        )
    label = columns.get("label") or columns.get("labels") or _first(_LABEL[task], seen, ())
    text = columns.get("text") or ("" if "instruction" in columns else _first(_TEXT, seen, (label,)))
    found: dict[str, str] = {}
    if text and named != "instruction":
        found["text"] = text
    elif named != "text" and (instruction := columns.get("instruction") or _first(_INSTRUCTION, seen, (label,))):
        found["instruction"] = instruction
        if given := columns.get("input") or _first(_INPUT, seen, (label,)):
            found["input"] = given
    has = f"the rows have the columns {', '.join(seen) or 'none'}"
    if not found:
        raise InputError(
            f"{has}, and {task} needs one with the text",
            where=where,
            fix='name it, such as data.sources.columns = { text = "comment", label = "mood" }',
        )
    if not label:
        raise InputError(
            f"{has}, and {task} needs one with the label",
            where=where,
            fix='name it, such as data.sources.columns = { label = "mood" }',
        )
    found["label"] = label
    return Detected(task, found, f"as model.task has it: {', '.join(found.values())}")  # type: ignore[arg-type]


def normalise(row: Row, detected: Detected) -> dict[str, Any] | Finding:
    """Return the canonical form of a row, or the Finding that says why it has none."""
    out: dict[str, Any] = {}
    for field, column in detected.columns.items():
        if field == "label":
            continue
        value = row.fields.get(column)
        if value is None and field == "input":
            value = ""
        if value is None:
            return _error(row, "missing-field", f"has no {column}")
        if not isinstance(value, str):
            return _error(row, "wrong-type", f"{column} is {_kind(value)}, where text belongs")
        if "\x00" in value:
            return _error(row, "nul", f"{column} holds a NUL character")
        out[field] = value
    if not any(value.strip() for value in out.values()):
        return _error(row, "empty-field", f"{next(iter(detected.columns.values()))} is empty: there is nothing to read")
    if "instruction" in out:
        out = {"instruction": out["instruction"], "input": out.get("input", "")}
    column = detected.columns["label"]
    value = row.fields.get(column)
    if value is None or (isinstance(value, str) and not value.strip() and detected.format != "multi-label"):
        return _error(row, "no-label", f"has no label: {column} is {'missing' if value is None else 'empty'}")
    label = {"classification": _class, "multi-label": _several, "regression": _number}[detected.format](value)
    if isinstance(label, _Flaw):
        return _error(row, label.code, f"{column} is {label.message}", label.fix)
    return out | {"label": label}


class _Flaw:
    """Why a value is no label."""

    def __init__(self, code: str, message: str, fix: str = "") -> None:
        self.code, self.message, self.fix = code, message, fix


def _class(value: Any) -> str | _Flaw:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return _Flaw("label-nan", "NaN: the row has no label", "give it one, or leave the row out")
        return _Flaw("label-type", f"the number {value:g}, where a class belongs", 'is it model.task = "regression"?')
    if isinstance(value, (list, tuple)):
        return _Flaw("label-type", "a list, where one label is expected", 'is it model.task = "multi-label"?')
    if not isinstance(value, str):
        return _Flaw("label-type", f"{_kind(value)}, where a class belongs")
    if value.strip().lower() == "nan":
        return _Flaw("label-nan", "NaN: the row has no label", "give it one, or leave the row out")
    if "\x00" in value or len(value) > _LONGEST_NAME:
        return _Flaw("label-type", f"no class name: it has {len(value):,} characters or a NUL", "is this the label?")
    return value


def _several(value: Any) -> list[str] | _Flaw:
    if isinstance(value, str) and value.lstrip().startswith("["):  # a table's cell holds no list
        try:
            value = json.loads(value)
        except ValueError:
            return _Flaw("label-type", "a broken list", 'a list in a cell looks like ["one", "two"]')
    if isinstance(value, str):
        value = [value] if value.strip() else []
    if not isinstance(value, (list, tuple)):
        return _Flaw("label-type", f"{_kind(value)}, where a list of classes belongs", 'such as ["one", "two"]')
    names: set[str] = set()
    for item in value:
        name = _class(item)
        if isinstance(name, _Flaw):
            return _Flaw(name.code, f"a list that holds {name.message}", "" if "multi" in name.fix else name.fix)
        names.add(name)
    return sorted(names)


def _number(value: Any) -> float | _Flaw:
    if isinstance(value, (list, tuple, dict, bool)):
        return _Flaw("label-type", f"{_kind(value)}, where regression needs a number")
    try:
        number = float(value)  # a table's cells are texts
    except (ValueError, TypeError):
        fix = 'is it model.task = "classification"?'
        return _Flaw("label-type", f"the text {str(value)[:40]!r}, where regression needs a number", fix)
    except OverflowError:
        number = math.inf
    if math.isnan(number):
        return _Flaw("label-nan", "NaN: the row has no label", "give it one, or leave the row out")
    if not math.isfinite(number):
        return _Flaw("label-type", "beyond what a number can hold")
    return number


def _first(names: Sequence[str], seen: Sequence[str], taken: Sequence[str]) -> str:
    return next((name for name in names if name in seen and name not in taken), "")


def _kind(value: Any) -> str:
    """What a value is, in words for a person."""
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    names: dict[type, str] = {list: "a list", tuple: "a list", dict: "an object", bytes: "binary data"}
    return names.get(type(value), f"a {type(value).__name__}")


def _error(row: Row, code: str, message: str, fix: str = "") -> Finding:
    return Finding("error", code, row.file, row.line, message, fix)
