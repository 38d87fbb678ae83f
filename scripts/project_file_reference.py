"""Write docs/project-file.md from the schema, so that the reference cannot drift from what is parsed.

`python scripts/project_file_reference.py` rewrites the page; a test compares it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from phi_tui.schema import Project, Source, Transform

PAGE = Path(__file__).parent.parent / "docs" / "project-file.md"

HEAD = """# The project file

One TOML file describes a fine-tune.  Only what differs from the defaults has to stand in it; an unknown key or a value
that is not allowed is an error that names the key and what would do.  `--set table.key=value` changes a setting for one
run.  Relative paths are relative to the file.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [HEAD]
    top = {name: field for name, field in Project.model_fields.items() if not _is_table(field.annotation)}
    parts.append("## Top level\n\n" + _table(top))
    for name, field in Project.model_fields.items():
        if _is_table(field.annotation):
            parts.append(f"## `[{name}]`\n\n" + _table(field.annotation.model_fields))
            if name == "data":
                parts.append("### `[[data.sources]]`\n\n" + _table(Source.model_fields))
                parts.append("### `[[data.transforms]]`\n\n" + _table(Transform.model_fields))
    return "\n".join(parts)


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _table(fields: Any) -> str:
    lines = ["| key | default | allowed | what |", "| --- | --- | --- | --- |"]
    for name, field in fields.items():
        default = "required" if field.is_required() else f"`{_toml(field.get_default(call_default_factory=True))}`"
        what = " ".join((field.description or "").split()).replace("|", "\\|")
        lines.append(f"| `{field.alias or name}` | {default} | {_allowed(field)} | {what} |")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _allowed(field: Any) -> str:
    words: list[str] = []
    kinds: list[str] = []

    def walk(annotation: Any) -> None:
        if isinstance(annotation, str):
            words.append(f'"{annotation}"')
        elif annotation in (bool, int, float, str):
            kinds.append({bool: "true, false", int: "whole number", float: "number", str: "text"}[annotation])
        else:
            for part in get_args(annotation):
                walk(part)

    walk(field.annotation)
    bounds = [
        f"{sign} {getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
        if getattr(rule, name, None) is not None
    ]
    if field.annotation is str and not words:
        kinds = ["text"]
    return ", ".join([*words, *dict.fromkeys(kinds), *bounds]) or "a table or list"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
