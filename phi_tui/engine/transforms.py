"""[[data.transforms]]: what is done to the rows of a source before anything else looks at them.

Each transform is a stream of rows into a stream of rows, so memory stays flat: rows to be drawn or shuffled wait in a
scratch file, and of those seen before only a hash is kept.  A row keeps the file and line it came from whatever becomes
of it, so that every later finding points to where the person can mend it.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import random
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from phi_tui.engine.rows import Finding, Row
from phi_tui.engine.text_cleaning import normalise, strip_html
from phi_tui.errors import InputError
from phi_tui.expressions import Expression, ExpressionError, TooSlow, parse
from phi_tui.row_templates import RowTemplate, TemplateFlaw
from phi_tui.schema import Project, Source, Transform

Items = Iterator[Row | Finding]
_ANSWERS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_MAX_DIGITS = 300


class _Broken(ValueError):
    """Why a transform cannot be done to a row."""


@dataclass(slots=True)
class Counts:
    """What one transform did, as it stands in the data report."""

    number: int
    do: str
    rows_in: int = 0
    rows_out: int = 0
    changed: int = 0
    """Rows that came out otherwise than they went in."""
    broken: int = 0

    def words(self) -> str:
        """One line for a person."""
        parts = [f"{self.rows_in:,} rows in, {self.rows_out:,} out"]
        parts += [f"{self.changed:,} changed"] if self.changed else []
        parts += [f"{self.broken:,} broken"] if self.broken else []
        return f"{self.number} {self.do}: {', '.join(parts)}"


@dataclass(slots=True)
class _Step:
    """One transform at work: its settings, its counts, the columns it names and those of them that were seen."""

    transform: Transform
    counts: Counts
    where: str
    named: frozenset[str] = frozenset()
    seen: set[str] = field(default_factory=set)
    other: set[str] = field(default_factory=set)
    """Some of the columns that rows have, for the message when those named are not among them."""
    hashes: set[bytes] = field(default_factory=set)


class Transforms:
    """All transforms of a project; one object serves all its sources, in turn."""

    def __init__(self, project: Project) -> None:
        """Raises InputError for a transform whose source is not there."""
        self._seed = project.seed
        self._sources = project.data.sources
        self._steps = [
            _Step(transform, Counts(number, transform.do), f"data.transforms {number} ({transform.do})")
            for number, transform in enumerate(project.data.transforms, 1)
        ]
        self._of = [
            None if not step.transform.source else source_number(step.transform, self._sources, step.where)
            for step in self._steps
        ]

    @property
    def counts(self) -> list[Counts]:
        """What each transform did so far, in order."""
        return [step.counts for step in self._steps]

    def steps(self, source: int) -> list[int]:
        """The places of the transforms that apply to a source (from 0)."""
        return [place for place, of in enumerate(self._of) if of is None or of == source]

    def apply(self, source: int, items: Items, scratch: Path) -> Items:
        """Pass the rows of a source (from 0) through its transforms; rows that wait do so in the folder `scratch`."""
        for place in self.steps(source):
            items = self.one(place, source, items, scratch)
        return items

    def one(self, place: int, source: int, items: Items, scratch: Path) -> Items:
        """Pass rows through one transform.

        Raises InputError for what is wrong with the transform and not with one row.
        """
        step = self._steps[place]
        transform = step.transform
        draw = f"{self._seed}:{place}:{source}"
        if transform.do == "sample":
            return _sample(step, items, draw, scratch)
        if transform.do == "shuffle":
            return _shuffle(step, items, draw, scratch)
        return _each(step, items, _WORK[transform.do](step))

    def finish(self) -> None:
        """Raise InputError where a transform names a column that no row had: a misspelt name changes nothing."""
        for step in self._steps:
            lacking = sorted(step.named - step.seen)
            if lacking and step.counts.rows_in:
                raise InputError(
                    f"names the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}, which no row has",
                    where=step.where,
                    fix=f"the rows have {', '.join(sorted(step.other)[:30]) or 'no column'} at this place",
                )


def source_number(transform: Transform, sources: Sequence[Source], where: str = "data.transforms") -> int:
    """Return the number, from 0, of the one source that a transform names by number or by path."""
    named = transform.source
    if isinstance(named, int):
        if named <= len(sources):
            return named - 1
        raise InputError(f"source {named} is not there; there are {len(sources)}", where=where)
    found = [place for place, one in enumerate(sources) if named in (one.path, one.hub)]
    if len(found) == 1:
        return found[0]
    what = f"no source has the path {named!r}" if not found else f"{len(found)} sources have the path {named!r}"
    raise InputError(what, where=where, fix="name it by its number, from 1")


def canonical(project: Project) -> list[dict[str, Any]]:
    """Return the transforms as plain tables in which one source is named by its number, wherever it lies."""
    return [one.model_dump(mode="json") for one in numbered(project)]


def numbered(project: Project) -> tuple[Transform, ...]:
    """Return the transforms with a source that is named by its path named by its number."""
    return tuple(
        one.model_copy(update={"source": source_number(one, project.data.sources) + 1})
        if isinstance(one.source, str)
        else one
        for one in project.data.transforms
    )


# One row at a time

_Work = Callable[[Row], Row | None]


def _each(step: _Step, items: Items, work: _Work) -> Items:
    counts = step.counts
    for item in items:
        if isinstance(item, Finding):
            yield item
            continue
        _take(step, item)
        try:
            made = work(item)
        except _Broken as broken:
            counts.broken += 1
            yield Finding("error", "transform", item.file, item.line, f"{step.where}: {broken}")
            continue
        if made is not None:
            counts.rows_out += 1
            counts.changed += made is not item and made.fields != item.fields
            yield made


def _take(step: _Step, row: Row) -> None:
    step.counts.rows_in += 1
    if len(step.seen) < len(step.named):
        step.seen |= step.named & row.fields.keys()
        if len(step.other) < 50:
            step.other |= {str(name) for name in row.fields}


def _rename(step: _Step) -> _Work:
    names = _mapping(step)
    step.named = frozenset(names.values())
    news = {old: new for new, old in names.items()}

    def work(row: Row) -> Row:
        if not news.keys() & row.fields.keys():
            return row
        made = {news.get(name, name): value for name, value in row.fields.items()}
        if len(made) < len(row.fields):
            twice = next(new for old, new in news.items() if new in row.fields and new not in news)
            raise InputError(
                f"the rows have a column {twice!r} already", where=step.where, fix="drop or rename it first"
            )
        return replace(row, fields=made)

    return work


def _drop(step: _Step) -> _Work:
    names = step.named = frozenset(step.transform.columns)

    def work(row: Row) -> Row:
        if not names & row.fields.keys():
            return row
        return replace(row, fields={name: value for name, value in row.fields.items() if name not in names})

    return work


def _filter(step: _Step) -> _Work:
    expression = _expression(step)
    step.named = expression.columns

    def work(row: Row) -> Row | None:
        try:
            return row if expression.holds(row.fields) else None
        except TooSlow as error:
            raise InputError(str(error), where=f"{step.where}, {row.file}:{row.line}", fix="simplify it") from None
        except ExpressionError as error:
            raise _Broken(str(error)) from None

    return work


def _expression(step: _Step) -> Expression:
    try:
        return parse(step.transform.where)
    except ExpressionError as error:
        raise InputError(str(error), where=step.where) from None


def _cast(step: _Step) -> _Work:
    kinds = _mapping(step)
    step.named = frozenset(kinds)

    def work(row: Row) -> Row:
        made = dict(row.fields)
        for name, kind in kinds.items():
            if made.get(name) is not None:
                made[name] = _as(made[name], kind, name)
        return replace(row, fields=made) if _differ(made, row.fields, kinds) else row

    return work


def _differ(made: dict[str, Any], before: dict[str, Any], names: dict[str, str]) -> bool:
    """Whether a value is another one or of another type: 1, 1.0 and true are equal."""
    return any(
        type(made[name]) is not type(before[name]) or made[name] != before[name] for name in names if name in made
    )


def _as(value: Any, kind: str, name: str) -> Any:
    try:
        if kind == "text":
            return _text(value)
        if kind == "bool":
            return value if isinstance(value, bool) else _ANSWERS[_text(value).strip().lower()]
        if isinstance(value, str) and len(value) > _MAX_DIGITS:
            raise ValueError
        if kind == "float":
            return float(value)
        number = float(value) if isinstance(value, float) else int(value)
        if number != int(number):
            raise ValueError
        return int(number)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise _Broken(f"{name} is {_text(value)[:60]!r}, which is no {kind}") from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _template(step: _Step) -> _Work:
    try:
        template = RowTemplate(step.transform.template)
    except TemplateFlaw as flaw:
        raise InputError(str(flaw), where=step.where) from None
    column = step.transform.column

    def work(row: Row) -> Row:
        try:
            return replace(row, fields={**row.fields, column: template.render(row.fields)})
        except TemplateFlaw as flaw:
            raise _Broken(str(flaw)) from None

    return work


def _texts(step: _Step, clean: Callable[[str], str]) -> _Work:
    names = step.transform.columns
    step.named = frozenset(names)

    def work(row: Row) -> Row:
        made = {
            name: clean(row.fields[name]) for name in names if isinstance(row.fields.get(name), str)
        }  # what is no text is left for the doctor to tell
        return replace(row, fields={**row.fields, **made}) if made else row

    return work


def _deduplicate(step: _Step) -> _Work:
    names = step.transform.on
    step.named = frozenset(names)

    def work(row: Row) -> Row | None:
        key = _hash([row.fields.get(name) for name in names] if names else row.fields, b"")
        if key in step.hashes:
            return None
        step.hashes.add(key)
        return row

    return work


def _mapping(step: _Step) -> dict[str, str]:
    columns = step.transform.columns
    assert isinstance(columns, dict)  # the schema saw to it
    return columns


_WORK: dict[str, Callable[[_Step], _Work]] = {
    "rename": _rename,
    "drop": _drop,
    "filter": _filter,
    "cast": _cast,
    "template": _template,
    "strip-html": lambda step: _texts(step, strip_html),
    "normalise": lambda step: _texts(step, lambda text: normalise(text, step.transform.form)),
    "deduplicate": _deduplicate,
}


# All rows of a source


def _sample(step: _Step, items: Items, draw: str, scratch: Path) -> Items:
    """Keep the rows whose keyed hash is lowest: the same rows in whatever order they come, still in their order.

    Drawing more keeps those that were drawn before.
    """
    key = hashlib.blake2b(draw.encode(), digest_size=16).digest()
    ranks = array("Q")
    with _Waiting(scratch) as waiting:
        for item in items:
            if isinstance(item, Finding):
                yield item
                continue
            _take(step, item)
            ranks.append(int.from_bytes(_hash(item.fields, key)[:8], "big"))
            waiting.add(item)
        wanted = step.transform.rows or max(1, round(step.transform.share * len(ranks)))
        chosen = _lowest(ranks, wanted)
        for place in range(len(ranks)):
            if chosen is None or chosen[place]:
                step.counts.rows_out += 1
                yield waiting.row(place)


def _lowest(ranks: array[int], wanted: int) -> bytearray | None:
    """Mark the places of the `wanted` lowest ranks, the first ones of equals; None for all."""
    if wanted >= len(ranks):
        return None
    import numpy

    marks = numpy.zeros(len(ranks), dtype=numpy.uint8)
    marks[numpy.argsort(numpy.frombuffer(ranks, dtype=numpy.uint64), kind="stable")[:wanted]] = 1
    return bytearray(marks.tobytes())


def _shuffle(step: _Step, items: Items, draw: str, scratch: Path) -> Items:
    with _Waiting(scratch) as waiting:
        for item in items:
            if isinstance(item, Finding):
                yield item
                continue
            _take(step, item)
            waiting.add(item)
        order = array("Q", range(len(waiting)))
        random.Random(draw).shuffle(order)
        for place in order:
            step.counts.rows_out += 1
            yield waiting.row(place)


class _Waiting:
    """Rows in a file without a name, read back by number; only where each lies is held in memory."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=1 << 18)  # noqa: SIM115 - closed by __exit__
        self._offsets = array("Q")
        self._end = 0
        self._names: dict[str, str] = {}

    def __enter__(self) -> _Waiting:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._offsets)

    def add(self, row: Row) -> None:
        """Put a row at the end."""
        self._names.setdefault(row.file, row.file)
        self._offsets.append(self._end)
        self._file.seek(self._end)
        # Any value that a parquet file holds comes back as it was; nobody else ever writes to this file.
        self._end += self._file.write(pickle.dumps((row.file, row.line, row.fields), protocol=5))

    def row(self, place: int) -> Row:
        """Read one row back."""
        self._file.seek(self._offsets[place])
        file, line, fields = pickle.load(self._file)  # noqa: S301 - written by `add` to a file without a name
        return Row(self._names[file], line, fields)


def _hash(value: Any, key: bytes) -> bytes:
    """16 bytes that stand for a value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16, key=key).digest()
