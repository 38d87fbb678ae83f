"""The settings of a project as a form: one description a setting, read off the schema, with no terminal in it.

Whatever key the schema has, the form has too: types, words, bounds and sentences come from the classes in
`schema`, and what is wrong with a value is said by the schema itself.  Only the order and what counts as advanced
are named here.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from phi_tui import project as projects
from phi_tui.errors import InputError
from phi_tui.safe_text import clean
from phi_tui.schema import Project

Kind = Literal["choice", "bool", "int", "float", "text", "list", "union"]

GROUPS = ("model", "scratch", "data", "lora", "train", "chat", "launch", "run")
"""The order of the groups; a table that is not named here comes before the last one."""

TOP = "run"
"""The group of the settings that stand in no table."""

_HIDDEN = frozenset({"schema"})
_SHOWN_ONLY = frozenset({"name"})
_ADVANCED = frozenset(
    {
        "model.revision",
        "model.dtype",
        "model.attention",
        "model.task",
        "model.init",
        "scratch.vocabulary",
        "scratch.layers",
        "scratch.hidden",
        "scratch.heads",
        "scratch.tokenizer",
        "scratch.packing",
        "train.beta2",
        "data.mix_stop",
        "data.skip_bad",
        "data.template",
        "data.cut",
        "train.grad_accum",
        "train.floor",
        "train.decay",
        "train.weight_decay",
        "train.max_grad_norm",
        "train.on_oom",
        "train.precision",
        "train.eval_every",
        "train.save_every",
        "train.keep_checkpoints",
        "train.gradient_checkpointing",
        "train.packing",
        "train.report_to",
        "train.samples",
        "train.sample_tokens",
        "train.score_rows",
        "train.score_tokens",
        "chat.top_p",
        "launch.processes",
    }
)

_NAMES = {bool: "bool", int: "int", float: "float", str: "text"}
_BOUNDS = {"ge": "at least {}", "gt": "over {}", "le": "at most {}", "lt": "below {}"}


@dataclass(frozen=True, slots=True)
class Field:
    """A setting: where it stands, what it takes, and what it is for."""

    key: str
    """Dotted, as in the project file."""
    group: str
    name: str
    """The key without its group."""
    words: tuple[Any, ...]
    """The fixed words (seldom: numbers) it takes."""
    types: tuple[str, ...]
    """What it takes beside the words: some of bool, int, float, text, list."""
    item_words: tuple[str, ...]
    """The words that a list's items are taken from; empty where any will do."""
    bounds: tuple[tuple[str, float], ...]
    """(ge, gt, le or lt; the bound)."""
    default: Any
    sentence: str
    advanced: bool
    editable: bool

    @property
    def kind(self) -> Kind:
        """The one type it takes, choice for words alone, union for more than one."""
        if self.words and not self.types:
            return "choice"
        if len(self.types) == 1 and not self.words:
            return self.types[0]  # type: ignore[return-value]  # `types` holds kinds alone
        return "union"

    @property
    def cycle(self) -> tuple[Any, ...]:
        """The values that left and right go through; none where the values are no short list."""
        return (*self.words, *((True, False) if "bool" in self.types else ()))

    @property
    def allowed(self) -> str:
        """What it takes, in words."""
        number = {"int": "a whole number", "float": "a number", "bool": "true or false", "text": "a text"}
        parts = [str(word) for word in self.words]
        for name in self.types:
            if name == "list":
                of = f"from {', '.join(self.item_words)}" if self.item_words else "of names"
                parts.append(f"a list {of}, with commas between")
            else:
                parts.append(number[name])
        limits = self._limits()
        return ", ".join(parts[:-1]) + (" or " if parts[:-1] else "") + parts[-1] + (f", {limits}" if limits else "")

    def _limits(self) -> str:
        bounds = dict(self.bounds)
        if "ge" in bounds and "le" in bounds:
            low, high = bounds["ge"], bounds["le"]
            return f"only {_grouped(low)}" if low == high else f"{_grouped(low)} to {_grouped(high)}"
        return " and ".join(_BOUNDS[name].format(_grouped(bound)) for name, bound in self.bounds)


@cache
def fields() -> tuple[Field, ...]:
    """Every setting of the schema but the data sources, by group, those that matter most first in each."""
    found = list(_walk(Project, ""))
    order = {group: place for place, group in enumerate(GROUPS)}
    between = order[TOP] - 0.5
    return tuple(sorted(found, key=lambda field: (order.get(field.group, between), field.group, field.advanced)))


def value_of(project: Project, key: str) -> Any:
    """The value of a setting; a list where the schema holds a tuple."""
    table: Any = projects.dump(project, defaults=True)
    for part in key.split("."):
        table = table[part]
    return table


def values(project: Project) -> dict[str, Any]:
    """The value of every setting by its dotted key."""
    found: dict[str, Any] = {}

    def walk(table: dict[str, Any], prefix: str) -> None:
        for name, value in table.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")
            else:
                found[prefix + name] = value

    walk(projects.dump(project, defaults=True), "")
    return found


def changed(project: Project) -> list[tuple[Field, Any]]:
    """The settings that differ from their defaults, with their values."""
    now = values(project)
    return [(field, now[field.key]) for field in fields() if field.editable and now[field.key] != field.default]


def with_value(project: Project, key: str, value: Any) -> Project:
    """The project with one setting changed; raises InputError when the value does not fit."""
    tables = projects.dump(project, defaults=True)
    table: Any = tables
    *parents, leaf = key.split(".")
    for part in parents:
        table = table[part]
    table[leaf] = list(value) if isinstance(value, tuple) else value
    return projects.validate(tables, key)


def check(project: Project, key: str, value: Any) -> str:
    """What the schema says against a value, or an empty text."""
    try:
        with_value(project, key, value)
    except InputError as error:
        at = re.compile(rf"{re.escape(key)}(\.\d+)*: ")
        lines = [at.sub("", line.strip(), count=1) for line in error.what.splitlines()]
        return "; ".join(lines[1:] or lines)
    if isinstance(value, str) and not _encodes(value):
        return "holds half a character, which no file can hold"
    return ""


def parse(field: Field, text: str) -> Any:
    """The value that a text stands for; a text that stands for none comes back as it is, for `check` to refuse.

    A text in double quotes is read as TOML reads it, escapes and all; a list is read with commas between its items or
    as a TOML array.
    """
    bare = text.strip()
    for word in field.words:
        if bare == str(word):
            return word
    for name in ("bool", "int", "float"):
        if name in field.types:
            value = _number(name, bare)
            if value is not None:
                return value
    if "list" in field.types:
        return _list(field, bare)
    if "text" in field.types:
        quoted = _toml(bare) if len(bare) > 1 and bare[0] == bare[-1] == '"' else None
        return quoted if isinstance(quoted, str) else bare
    return bare


def spell(field: Field, value: Any) -> str:
    """The text that `parse` reads as this value; nothing in it can move a terminal."""
    if isinstance(value, list):
        plain = all(item and not set(item) & set(',"[]') and item == _safe(item).strip() for item in value)
        # A single name that is a word of the field would be read as that word.
        if plain and not (len(value) == 1 and value[0] in (*field.words, field.default)) and value:
            return ", ".join(value)
        return "[" + ", ".join(_quoted(item) for item in value) + "]" if value else ""
    if isinstance(value, str) and "text" in field.types:
        return value if value == _safe(value).strip() and value[:1] != '"' else _quoted(value)
    return spelled(value)


def spelled(value: Any) -> str:
    """A value as a person would write it: 2e-4, 0.05, true, phi."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)
        if 0 < abs(value) < 1e-2 and "e" not in text:
            digits = text.lstrip("-0.")
            power = -(len(text.partition(".")[2]) - len(digits)) - 1
            text = f"{'-' if value < 0 else ''}{digits[0]}{'.' + digits[1:] if digits[1:] else ''}e{power}"
        text = text.replace("e-0", "e-").replace("e+", "e")
        return text.removesuffix(".0") if "e" not in text else text
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _grouped(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else spelled(bound)


def _walk(model: type[BaseModel], prefix: str) -> Iterator[Field]:
    for name, info in model.model_fields.items():
        key = prefix + (info.alias or name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _walk(info.annotation, f"{key}.")
        elif key not in _HIDDEN and not _holds_tables(info.annotation):
            yield _described(key, info)


def _described(key: str, info: FieldInfo) -> Field:
    words: list[Any] = []
    types: dict[str, None] = {}
    items: list[str] = []
    bounds = _bounds(info.metadata)
    for part, metadata in _parts(info.annotation):
        bounds += _bounds(metadata)
        if get_origin(part) is Literal:
            words += get_args(part)
        elif get_origin(part) in (tuple, list):
            types["list"] = None
            inner = get_args(part)[0]
            items += get_args(inner) if get_origin(inner) is Literal else ()
        elif part in _NAMES:
            types[_NAMES[part]] = None
    default = info.get_default(call_default_factory=True)
    if isinstance(default, str) and "list" in types and "text" in types:
        words.insert(0, default)  # a text beside a list is a word that stands for a list
        del types["text"]
    group, _, name = key.rpartition(".")
    return Field(
        key,
        group.partition(".")[0] or TOP,
        name if "." not in group else f"{group.partition('.')[2]}.{name}",
        tuple(words),
        tuple(types) or (() if words else ("text",)),
        tuple(items),
        tuple(bounds),
        "" if info.is_required() else list(default) if isinstance(default, tuple) else default,
        (info.description or "").strip(),
        key in _ADVANCED,
        key not in _SHOWN_ONLY,
    )


def _parts(annotation: Any, metadata: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The members of a union, each with what Annotated says about it."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        yield from _parts(inner, (*metadata, *more))
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _parts(part, metadata)
    else:
        yield annotation, metadata


def _bounds(metadata: Any) -> list[tuple[str, float]]:
    found = []
    for one in metadata:
        if isinstance(one, FieldInfo):
            found += _bounds(one.metadata)
        found += [(name, value) for name in _BOUNDS if isinstance(value := getattr(one, name, None), int | float)]
    return found


def _holds_tables(annotation: Any) -> bool:
    """Whether a setting is made of tables, or is a table of free keys: such things have a screen of their own."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return get_origin(annotation) is dict or any(_holds_tables(part) for part in get_args(annotation))


def _number(name: str, text: str) -> Any:
    if name == "bool":
        return {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(text.lower())
    try:
        return int(text)
    except ValueError:
        try:
            number = float(text)
        except ValueError:
            return None
    return int(number) if name == "int" and number.is_integer() else number


def _list(field: Field, text: str) -> Any:
    if text.startswith("["):
        array = _toml(text)
        return array if isinstance(array, list) else text
    return [item.strip() for item in text.split(",") if item.strip()]


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError, RecursionError):
        return None


def _safe(text: str) -> str:
    return clean(text, one_line=True)


def _quoted(text: str) -> str:
    """A TOML string of visible characters alone."""
    body = json.dumps(text, ensure_ascii=False)[1:-1]
    return '"' + "".join(c if _safe(c) == c else f"\\U{ord(c):08x}" for c in body) + '"'


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
