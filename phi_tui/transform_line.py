"""A transform as one line of TOML, such as `do = "filter", where = "len(text) > 20"`: how a person types and reads it.

What is wrong with a line is said by the schema itself, in the words it has for a project file.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from phi_tui import project as projects
from phi_tui.errors import InputError
from phi_tui.schema import Transform

EXAMPLES = {
    "filter": "do = \"filter\", where = \"len(text) > 20 and lower(lang) in ['en', 'de']\"",
    "rename": 'do = "rename", columns = { instruction = "title", output = "body" }',
    "drop": 'do = "drop", columns = ["id", "url"]',
    "cast": 'do = "cast", columns = { score = "float" }',
    "template": 'do = "template", column = "instruction", template = "{{ title }}: {{ body }}"',
    "strip-html": 'do = "strip-html", columns = ["body"]',
    "normalise": 'do = "normalise", columns = ["body"], form = "NFKC"',
    "deduplicate": 'do = "deduplicate", on = ["title"]',
    "sample": 'do = "sample", rows = 1000',
    "shuffle": 'do = "shuffle"',
}
"""A line of each kind, to begin with."""


def parse(line: str) -> Transform:
    """Return the transform that a line spells; raises InputError that says what is wrong with it."""
    bare = line.strip()
    if bare.startswith("{") and bare.endswith("}"):
        bare = bare[1:-1].strip()
    try:
        table = tomllib.loads(f"transform = {{ {bare} }}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        text = re.sub(r" \(at line.*\)$", "", str(error))
        raise InputError(f"{text}: write key = value, with commas between, such as {EXAMPLES['sample']}") from None
    found = table["transform"]
    try:
        tables: dict[str, Any] = {"name": "x", "data": {"transforms": [found]}}
        return projects.validate(tables, "").data.transforms[0]
    except InputError as error:
        lines = [
            re.sub(r"^data\.transforms\.0\.?([a-z.]*): (\{.*\} will not do; )?", _named, one.strip())
            for one in error.what.splitlines()[1:]
        ]
        raise InputError("; ".join(lines)) from None


def spell(transform: Transform) -> str:
    """Return the line that `parse` reads as this transform."""
    table = transform.model_dump(mode="json", exclude_defaults=True)
    return ", ".join(f"{_key(key)} = {_value(value)}" for key, value in table.items())


def _named(match: re.Match[str]) -> str:
    return f"{match[1]}: " if match[1] else ""


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        # What a terminal would act on is written as an escape, which TOML reads back.
        text = json.dumps(value, ensure_ascii=False)
        return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
    return json.dumps(value)
