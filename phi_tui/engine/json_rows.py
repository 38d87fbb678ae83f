"""Rows from JSON: one object a line (.jsonl, .ndjson), or one value that holds a list of them (.json).

The standard parser lets pass what other readers choke on: keys that stand twice, NaN, half of a surrogate
pair.  Here each is told with the row it stands in.  A .json file has to be parsed whole, so its size has a limit.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from phi_tui.engine.rows import Finding, Row
from phi_tui.engine.text_rows import blank_lines, lines
from phi_tui.errors import InputError

_MAX_JSON = 512 * 1024 * 1024
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_lines(file: BinaryIO, name: str) -> Iterator[Row | Finding]:
    """Yield the object on each line as a row, and a finding for each line that holds none."""
    blank = yield from stretch(file, name)
    yield from blank_lines(name, blank)


def stretch(file: BinaryIO, name: str, number: int = 0, offset: int = 0) -> Generator[Row | Finding, None, int]:
    """Yield what `read_lines` does of lines that have `number` lines of `offset` bytes before them.

    Returns how many were empty.
    """
    parser, blank = _Json(), 0
    for item in lines(file, name, number=number, offset=offset):
        if isinstance(item, Finding):
            yield item
            continue
        number, text = item
        if not (stripped := text.strip()):
            blank += 1
            continue
        try:
            value = parser.parse(text)
        except (ValueError, RecursionError) as error:
            column = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            fix = "one object a line belongs here; if the whole file is one JSON value, name it .json"
            message = f"broken JSON{column}: {_flaw(error)}"
            yield Finding("error", "json", name, number, message, fix if stripped in ("{", "[") else "")
        else:
            yield from parser.row(value, name, number)
    return blank


def read_array(file: BinaryIO, name: str) -> Iterator[Row | Finding]:
    """Yield the objects of a .json file's list as rows; a file of one object a line is read as that.

    Raises InputError for a file that is no JSON, holds no list of rows, or is too large to parse as one value.
    """
    data = file.read(_MAX_JSON + 1)
    if len(data) > _MAX_JSON:
        limit = _MAX_JSON // 2**20
        raise InputError(
            f"is larger than {limit} MB", where=name, fix="jq -c '.[]' FILE > rows.jsonl makes lines of it"
        )
    parser = _Json()
    try:
        text = data.decode("utf-8")
        if text.startswith("\ufeff"):
            yield Finding("info", "bom", name, 1, "the file starts with a byte order mark; it is left out")
        rows = _array(parser.parse(text.removeprefix("\ufeff")), name)
    except UnicodeDecodeError as error:
        fix = "convert the file to UTF-8 with iconv"
        raise InputError(f"invalid UTF-8 at byte {error.start} of the file", where=name, fix=fix) from None
    except (ValueError, RecursionError) as error:
        where = name
        if isinstance(error, json.JSONDecodeError):
            if error.msg == "Extra data" and error.lineno > 1:
                yield Finding("info", "json-lines", name, 0, "one object a line, not one JSON value: read as .jsonl")
                yield from read_lines(io.BytesIO(data), name)
                return
            where = f"{name}:{error.lineno}:{error.colno}"
        raise InputError(f"broken JSON: {_flaw(error)}", where=where) from None
    del data, text
    for number, value in enumerate(rows, 1):
        yield from parser.row(value, name, number)


def _flaw(error: ValueError | RecursionError) -> str:
    """Return what the parser objects to; the plain ValueError is an integer of thousands of digits."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _array(value: Any, name: str) -> list[Any]:
    """Return the rows of a .json file: its array, or the one array of objects that its object holds."""
    fix = 'a .json file holds a list of objects, [{"text": "..."}, ...], or an object with one such list'
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise InputError("holds no list of rows", where=name, fix=fix)
    lists = [key for key, part in value.items() if isinstance(part, list) and part and isinstance(part[0], dict)]
    if len(lists) != 1 or lists[0] in ("messages", "conversations"):
        found = f"holds several lists of objects: {', '.join(lists)}" if len(lists) > 1 else "holds no list of rows"
        raise InputError(found, where=name, fix=fix)
    return cast(list[Any], value[lists[0]])


class _Json:
    """A JSON parser that marks what the standard one lets pass: repeated keys, NaN, half surrogate pairs."""

    def __init__(self) -> None:
        self._marked = self._escapes = False
        self._decode = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant).decode

    def parse(self, text: str) -> Any:
        self._marked = False
        self._escapes = "\\ud" in text or "\\uD" in text
        return self._decode(text)

    def row(self, value: Any, name: str, number: int) -> Iterator[Row | Finding]:
        """Yield a part of the value parsed last as a row, or why it is none."""
        if not isinstance(value, dict):
            names = {list: "a list", str: "a text", type(None): "null", bool: "true or false"}
            message = f"{names.get(type(value), 'a number')}, not an object"
            yield Finding("error", "not-an-object", name, number, message, 'rows look like {"text": "..."}')
            return
        twice: list[str] = []
        halved = False
        for part in _parts(value) if self._marked or self._escapes else ():
            if isinstance(part, _Constant):
                yield Finding("error", "not-a-number", name, number, f"{part.text} is not JSON", "use null or a text")
                return
            if isinstance(part, _Repeating):
                twice += part.twice
            elif isinstance(part, str) and _SURROGATE.search(part):
                halved = True
        if halved:
            message = "half of a surrogate pair (such as \\ud83d) stands alone: no character"
            yield Finding("error", "surrogate", name, number, message)
            return
        for key in dict.fromkeys(twice):
            yield Finding("warning", "repeated-key", name, number, f'the key "{key}" stands twice; the last one counts')
        yield Row(name, number, value)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        self._marked = True
        marked = _Repeating(made)
        names = [key for key, _ in pairs]
        marked.twice = tuple(key for key in made if names.count(key) > 1)
        return marked

    def _constant(self, text: str) -> _Constant:
        self._marked = True
        return _Constant(text)


class _Repeating(dict[str, Any]):
    """An object in which a key stands twice."""

    twice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Constant:
    """A NaN or Infinity, which JSON does not have."""

    text: str


def _parts(value: Any) -> Iterator[Any]:
    """Yield a parsed value and all that is nested in it, keys too."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, dict):
            waiting += part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
