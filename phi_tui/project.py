"""A project: its file read, checked, overridden and saved.

A file that does not fit the schema is refused with the key, what stands there and what is allowed.  Saving
writes what differs from the defaults into the text that is already there, so that a person's comments and
order survive; a file that cannot be read is never overwritten.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from phi_tui.errors import InputError
from phi_tui.schema import Project

__all__ = ["Project", "differences", "dump", "keys", "load", "override", "parse", "save"]

_MAX_BYTES = 4 * 1024 * 1024


def load(path: Path, overrides: tuple[str, ...] = ()) -> Project:
    """Read the project file at `path`, with `overrides` ("key=value") laid over it.

    Raises InputError for a file that cannot be read, is not TOML or does not fit the schema.
    """
    return parse(_read(path), where=str(path), overrides=overrides)


def parse(text: str, *, where: str = "project.toml", overrides: tuple[str, ...] = ()) -> Project:
    """Parse the text of a project file; `where` names it in errors."""
    return validate(override(_tables(text, where), overrides), where)


def validate(tables: dict[str, Any], where: str) -> Project:
    """Check nested tables against the schema and return the project; all errors are told at once."""
    try:
        return Project.model_validate(tables)
    except ValidationError as error:
        told = [_explain(detail, tables) for detail in error.errors()]
        raise InputError("\n  ".join(["does not fit the schema:", *dict.fromkeys(told)]), where=where) from None


def override(tables: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """Lay "a.b=value" texts over nested tables and return the tables.

    The value is read as TOML (3, 1e-4, true, ["a"], "text"); what is not TOML is taken as plain text.
    """
    for text in overrides:
        key, equals, value = text.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise InputError(f"--set {text!r} is not KEY=VALUE", fix="for example --set train.epochs=3")
        known = keys()
        if key.strip() not in known:
            raise InputError(f"--set: unknown key {key.strip()!r}{_near(key.strip(), list(known))}")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except (tomllib.TOMLDecodeError, KeyError):
            parsed = value.strip()
        table = tables
        for part in parts[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise InputError(f"--set {text!r}: {part!r} is not a table in the file")
        table[parts[-1]] = parsed
    return tables


def keys() -> dict[str, tuple[Any, str]]:
    """Return every dotted key of the schema with its default and its sentence, in the schema's order."""

    def walk(model: type[BaseModel], prefix: str) -> dict[str, tuple[Any, str]]:
        found: dict[str, tuple[Any, str]] = {}
        for name, field in model.model_fields.items():
            dotted = prefix + (field.alias or name)
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found |= walk(field.annotation, f"{dotted}.")
            else:
                found[dotted] = (field.get_default(call_default_factory=True), field.description or "")
        return found

    return walk(Project, "")


def dump(project: Project, *, defaults: bool = False) -> dict[str, Any]:
    """Return the project as plain tables: only what differs from the defaults, or everything."""
    whole = project.model_dump(mode="json", by_alias=True)
    full_sources = whole["data"]["sources"]
    whole["data"]["sources"] = [
        source.model_dump(mode="json", exclude_defaults=True) for source in project.data.sources
    ]
    full_transforms = whole["data"]["transforms"]
    whole["data"]["transforms"] = [
        transform.model_dump(mode="json", exclude_defaults=True) for transform in project.data.transforms
    ]
    if defaults:
        whole["data"]["sources"], whole["data"]["transforms"] = full_sources, full_transforms
        return whole
    standard = {key: _plain(default) for key, (default, _) in keys().items()}
    kept: dict[str, Any] = {"schema": whole["schema"], "name": whole["name"], "seed": whole["seed"]}
    for table, settings in whole.items():
        if isinstance(settings, dict):
            changed = {key: value for key, value in settings.items() if value != standard[f"{table}.{key}"]}
            if table == "model":
                changed = {"base": settings["base"], **changed}
            if changed:
                kept[table] = changed
    return kept


def text(project: Project, *, defaults: bool = False) -> str:
    """Return the project as the text of a TOML file."""
    import tomli_w

    return tomli_w.dumps(dump(project, defaults=defaults))


def differences(one: Project, other: Project) -> list[tuple[str, Any, Any]]:
    """Return (dotted key, value in one, value in other) for every setting in which two projects differ."""
    left, right = _flat(dump(one, defaults=True)), _flat(dump(other, defaults=True))
    return [(key, left[key], right[key]) for key in left if left[key] != right[key]]


def save(project: Project, path: Path) -> None:
    """Write the project to `path`, whole or not at all.

    An existing file keeps its comments, order and spelling; only settings that changed are touched.  Raises
    InputError when the file that stands there is not a project of ours, so that nothing foreign is overwritten.
    """
    import tomlkit

    from phi_tui.atomic import write_text

    if not path.exists():
        write_text(path, text(project))
        return
    document = tomlkit.parse(_read(path))
    before = validate(document.unwrap(), str(path))
    for key, _, value in differences(before, project):
        table: Any = document
        *parents, leaf = key.split(".")
        for part in parents:
            if part not in table:
                table[part] = tomlkit.table()
            table = table[part]
        if key in ("data.sources", "data.transforms"):
            value = dump(project).get("data", {}).get(key.removeprefix("data."), [])
        table[leaf] = value
    written = tomlkit.dumps(document)
    if parse(written, where=str(path)) != project:
        raise InputError("could not be updated in place", where=str(path), fix="save under another name")
    write_text(path, written)


def _flat(tables: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": leaf for inner, leaf in value.items()}
        else:
            flat[key] = value
    return flat


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _read(path: Path) -> str:
    try:
        if path.is_dir():
            raise InputError("is a folder, not a project file", where=str(path), fix="name the .toml in it")
        with open(path, "rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(
            "no such project file", where=str(path), fix="check the name, or make one with phi-tui wizard"
        ) from None
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise InputError(f"cannot be read: {reason}", where=str(path)) from None
    if len(raw) > _MAX_BYTES:
        raise InputError("is larger than 4 MB, so it is hardly a project file", where=str(path))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", where=str(path)) from None


def _tables(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not valid TOML: {error}", where=where) from None
    except RecursionError:
        raise InputError("is nested too deeply", where=where) from None


def _explain(detail: Any, tables: dict[str, Any]) -> str:
    """One line for one pydantic error: the key, what is wrong with it, what is allowed."""
    loc = [part for part in detail["loc"] if not _is_branch(part)]
    key = ".".join(str(part) for part in loc)
    kind = detail["type"]
    if kind == "extra_forbidden":
        siblings = _siblings(loc[:-1])
        return f"{key}: unknown key{_near(str(loc[-1]), siblings)}"
    if kind == "missing":
        return f"{key}: is missing"
    if key == "name" and kind == "string_pattern_mismatch":
        return f"name: {detail['input']!r} is no name; letters, digits, dot, dash and underscore, 100 at most"
    message = str(detail["msg"]).removeprefix("Value error, ")
    allowed = _allowed(loc)
    if allowed and not message.startswith("allowed"):
        message = f"allowed: {allowed}"
    shown = repr(detail["input"])
    shown = shown if len(shown) <= 80 else shown[:79] + "\u2026"
    return f"{key}: {shown} will not do; {message[:1].lower()}{message[1:]}"


def _is_branch(part: object) -> bool:
    """Pydantic puts the branch of a union into the location of an error; it is no key of the file."""
    return isinstance(part, str) and (
        "[" in part or part in ("float", "int", "bool", "str", "constrained-float", "dict", "tuple")
    )


def _siblings(loc: list[Any]) -> list[str]:
    model: Any = Project
    for part in loc:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        candidates = [] if field is None else [field.annotation, *get_args(field.annotation)]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if model is None:
            return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _allowed(loc: list[Any]) -> str:
    """The allowed words of a key that takes a fixed set of them, else an empty text."""
    model: Any = Project
    for part in loc:
        if isinstance(part, int):
            continue
        fields = getattr(model, "model_fields", {})
        field = fields.get(part)
        if field is None:
            return ""
        model = field.annotation
        nested = [c for c in get_args(model) if isinstance(c, type) and issubclass(c, BaseModel)]
        if nested:
            model = nested[0]
    words: list[str] = []
    others: list[str] = []

    def walk(annotation: Any) -> None:
        if isinstance(annotation, str):
            words.append(f'"{annotation}"')
        elif annotation in (bool, int, float):
            others.append({bool: "true or false", int: "a whole number", float: "a number"}[annotation])
        else:
            for part in get_args(annotation):
                walk(part)

    walk(model)
    return ", ".join(words + others) if words else ""


def _near(word: str, choices: list[str]) -> str:
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; allowed: {', '.join(choices)}" if choices else ""
