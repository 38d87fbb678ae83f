"""What a row holds: its format found from its columns, and the row brought into one canonical form.

Canonical rows are {"text"}, {"instruction", "input", "output"}, {"prompt", "completion"} or {"messages":
[{"role", "content"}]}, with "system" beside an instruction that has one.  Nothing is repaired silently: a row
that does not fit is a finding that says which field and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from phi_tui.engine.labels import TASKS
from phi_tui.engine.sources import Finding, Row
from phi_tui.errors import InputError
from phi_tui.schema import Data

Format = Literal[
    "text",
    "instruction",
    "prompt-completion",
    "chat",
    "classification",
    "multi-label",
    "regression",
    "summarisation",
    "qa",
]

ANSWERS = ("summarisation", "qa")
"""The formats that data.template names."""

_ALIASES: dict[str, tuple[str, ...]] = {
    "instruction": ("instruction", "question", "query"),
    "input": ("input", "context"),
    "output": ("output", "response", "answer", "completion"),
    "prompt": ("prompt",),
    "completion": ("completion", "response", "output", "answer"),
    "messages": ("messages", "conversations", "conversation"),
    "text": ("text", "content"),
    "system": ("system", "system_prompt"),
}
_NEEDED: dict[Format, tuple[str, ...]] = {
    "chat": ("messages",),
    "instruction": ("instruction", "output"),
    "prompt-completion": ("prompt", "completion"),
    "text": ("text",),
}
_OPTIONAL: dict[Format, tuple[str, ...]] = {
    "chat": (),
    "instruction": ("input", "system"),
    "prompt-completion": ("system",),
    "text": (),
}
_ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
          "bot": "assistant", "model": "assistant"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Detected:
    """A source's format, which column holds which field, and why it was taken for that."""

    format: Format
    columns: dict[str, str]
    reason: str


def wanted(data: Data) -> str:
    """What the rows of a project are: as data.format says, or as the layout for summaries or questions demands."""
    return data.template if data.template in ANSWERS else data.format


def detect(
    sample: Sequence[dict[str, Any]],
    *,
    named: str = "auto",
    columns: dict[str, str] | None = None,
    where: str = "",
) -> Detected:
    """Find the format of rows from a sample of them; what the project names wins over what the columns
    suggest.

    Raises InputError, with the columns seen, when nothing fits.
    """
    given = columns or {}
    if named in TASKS:
        from phi_tui.engine import label_rows

        return label_rows.detect(sample, named, columns=given, where=where)
    if named in ANSWERS:
        from phi_tui.engine import answer_rows

        return answer_rows.detect(sample, named, columns=given, where=where)
    if "label" in given or "labels" in given:
        raise InputError(
            'columns maps a label, and model.task = "causal-lm" reads none',
            where=where,
            fix='set model.task = "classification", "multi-label" or "regression"',
        )
    seen = list(dict.fromkeys(column for row in sample for column in row))
    lacking = [column for column in given.values() if column not in seen]
    if lacking:
        raise InputError(f"columns names {', '.join(lacking)}; the rows have {', '.join(seen)}", where=where)
    formats: list[Format] = list(_NEEDED) if named == "auto" else [named]  # type: ignore[list-item]
    for exact in (True, False):
        for form in formats:
            found = _mapping(form, seen, given, exact=exact)
            if found:
                how = "as named" if named != "auto" or given else "by its columns"
                return Detected(form, found, f"{how}: {', '.join(found.values())}")
    wanted = " or ".join("/".join(_NEEDED[form]) for form in formats)
    raise InputError(
        f"the rows have the columns {', '.join(seen) or 'none'}, and {wanted} is wanted",
        where=where,
        fix='map them, such as data.sources.columns = { instruction = "question", output = "answer" }',
    )


def _mapping(form: Format, seen: list[str], given: dict[str, str], *, exact: bool) -> dict[str, str] | None:
    """The columns of `form`, or None; a column serves one field only."""
    found: dict[str, str] = {}
    for field in (*_NEEDED[form], *_OPTIONAL[form]):
        names = _ALIASES[field][:1] if exact and field in _NEEDED[form] else _ALIASES[field]
        column = given.get(field) or next((n for n in names if n in seen and n not in found.values()), None)
        if column:
            found[field] = column
        elif field in _NEEDED[form]:
            return None
    if any(field not in found for field in given):  # the project maps a field that this format does not have
        return None
    return found


def normalise(row: Row, detected: Detected) -> dict[str, Any] | Finding:
    """Return the canonical form of a row, or the Finding that says why it has none."""
    if detected.format in TASKS:
        from phi_tui.engine import label_rows

        return label_rows.normalise(row, detected)
    if detected.format in ANSWERS:
        from phi_tui.engine import answer_rows

        return answer_rows.normalise(row, detected)
    if detected.format == "chat":
        return _messages(row, row.fields.get(detected.columns["messages"]))
    out: dict[str, Any] = {}
    for field, column in detected.columns.items():
        optional = field in _OPTIONAL[detected.format]
        if column not in row.fields:
            if optional:
                continue
            return _error(row, "missing-field", f"has no {column}")
        value = row.fields[column]
        if value is None and optional:
            continue
        if not isinstance(value, str):
            return _error(row, "wrong-type", f"{column} is {_kind(value)}, where text belongs")
        if "\x00" in value:
            return _error(row, "nul", f"{column} holds a NUL character")
        out[field] = value
    if detected.format == "instruction":
        out = {"instruction": out["instruction"], "input": out.get("input", ""), "output": out["output"]} | (
            {"system": out["system"]} if out.get("system") else {}
        )
        if not out["instruction"].strip() and not out["input"].strip():
            return _error(row, "empty-field", f"{detected.columns['instruction']} is empty")
    elif detected.format == "prompt-completion":
        out = {key: out[key] for key in ("prompt", "completion", "system") if out.get(key) or key != "system"}
    answer = {"instruction": "output", "prompt-completion": "completion", "text": "text"}[detected.format]
    if not out[answer].strip():
        return _error(row, "empty-field", f"{detected.columns[answer]} is empty, so there is nothing to learn")
    return out


def _messages(row: Row, value: Any) -> dict[str, Any] | Finding:
    if value is None:
        return _error(row, "missing-field", "has no messages")
    if not isinstance(value, list):
        return _error(row, "wrong-type", f"messages is a {type(value).__name__}, where a list belongs")
    turns: list[dict[str, str]] = []
    for place, turn in enumerate(value, 1):
        if not isinstance(turn, dict):
            return _error(row, "wrong-type", f"message {place} is a {type(turn).__name__}, where an object belongs")
        # A parquet struct has every name, null where a turn lacks it.
        role = turn["from"] if turn.get("role") is None and "from" in turn else turn.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            return _error(row, "role", f"message {place} has the role {role!r}; allowed: system, user, assistant")
        said = turn.get("content")
        content = _content(turn.get("value") if said is None else said)
        if content is None:
            return _error(row, "wrong-type", f"the content of message {place} is no text")
        if "\x00" in content:
            return _error(row, "nul", f"message {place} holds a NUL character")
        if not content.strip() and _ROLES[role] != "system":
            return _error(row, "empty-field", f"message {place} ({role}) is empty")
        turns.append({"role": _ROLES[role], "content": content})
    if not any(turn["role"] == "assistant" for turn in turns):
        return _error(row, "no-answer", "has no assistant message, so there is nothing to learn")
    if turns[-1]["role"] != "assistant":
        return _error(row, "no-answer", "ends without an answer: its last message is not the assistant's")
    if any(turn["role"] == "system" for turn in turns[1:]):
        return _error(row, "role", "has a system message that is not the first")
    return {"messages": turns}


def remarks(row: Row, canonical: dict[str, Any]) -> list[Finding]:
    """Return warnings about a usable row: two turns of one role together, an answer that nothing asks for."""
    roles = [message["role"] for message in canonical.get("messages", ())]
    told = [
        f"messages {place} and {place + 1} are both by the {roles[place]}"
        for place in range(1, len(roles))
        if roles[place] == roles[place - 1]
    ]
    if roles and "user" not in roles[: roles.index("assistant")]:
        told.append("the assistant speaks before any user")
    return [Finding("warning", "turns", row.file, row.line, message) for message in told]


def _kind(value: Any) -> str:
    """What a value is, in words for a person."""
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    names = {type(None): "null", list: "a list", dict: "an object", bytes: "binary data"}
    return names.get(type(value), f"a {type(value).__name__}")


def _content(value: Any) -> str | None:
    """The text of a message; OpenAI's list of text parts is joined."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        parts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in value]
        if all(isinstance(part, str) for part in parts):
            return "".join(part for part in parts if part)
    return None


def _error(row: Row, code: str, message: str) -> Finding:
    return Finding("error", code, row.file, row.line, message)
