"""Reading data files and Hub data sets: a stream of rows, and of findings about what could not be read.

Every row knows the file and line it came from, since the doctor's findings are only useful with both.  Memory
stays flat whatever the file holds: lines are read with a limit, parquet in batches, the Hub as a stream (a
.json file is the exception: it is one value and has to be parsed as one).  What is broken inside a file is a
finding; a file that cannot be what its name says is an InputError.  Nothing here knows what the columns mean.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from phi_tui.errors import InputError
from phi_tui.schema import Source

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".parquet")
MAX_LINE = 8 * 1024 * 1024
"""Longest line, and longest CSV field, in bytes: far beyond any context window, and small enough to hold."""
_MAX_JSON = 512 * 1024 * 1024
_HEAD = 4096
_BATCH = 500
_KINDS = {
    b"PAR1": "parquet",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"%PDF": "PDF",
    b"SQLite format 3": "SQLite",
    b"ARROW1": "Arrow",
    b"\x89PNG": "PNG",
    b"\x7fELF": "program",
    b"\x80\x02": "pickle",
    b"\x80\x04": "pickle",
}
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r\f\x1b")
_SURROGATE = re.compile("[\ud800-\udfff]")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was read; `line` is the line of a text file on which it starts, else its number, from 1."""

    file: str
    line: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know about a row or, at line 0, a file; an error makes the row unusable."""

    severity: Literal["error", "warning", "info"]
    code: str
    file: str
    line: int
    message: str
    fix: str = ""


def files_of(source: Source, root: Path) -> list[Path]:
    """Return the data files of `source`, whose path is relative to `root`; a folder gives all in it, sorted.

    Raises InputError for what is missing, empty, unreadable, no regular file, of no known kind, or not text.
    """
    try:
        path = root / Path(source.path).expanduser()
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"cannot be opened: {_reason(error)}",
            where=source.path,
            fix=f"a path in data.sources is relative to the project file's folder, {root}",
        ) from None
    files = sorted(_below(path)) if is_folder else [path]
    if not files:
        raise InputError(
            "no data file is in this folder",
            where=source.path,
            fix=f"files ending in {', '.join(SUFFIXES)} are read",
        )
    for file in files:
        _check(file, name_of(file, root))
    return files


def name_of(path: Path, root: Path) -> str:
    """Return how a file is called in findings: relative to `root` where it lies below it, else as it is."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def read(path: Path, name: str = "") -> Iterator[Row | Finding]:
    """Stream the rows of one file, and a finding for each that cannot be read; `name` stands for it in both.

    Raises InputError for what `files_of` does, a broken .json or parquet, a broken header, a file without
    rows.
    """
    name = name or str(path)
    unreadable = _check(path, name)
    if unreadable:
        yield unreadable
        return
    suffix = _suffix(path)
    found = False
    try:
        with _open(path) as file:
            for item in _READERS[suffix](file, name):
                found = found or isinstance(item, Row) or item.severity == "error"
                yield item
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        found = True
        yield _bad_gzip(name, error)
    except OSError as error:
        raise InputError(f"cannot be read: {_reason(error)}", where=name) from None
    if not found:
        raise InputError("holds no row", where=name, fix="take it out of data.sources, or put rows into it")


def hub_name(source: Source) -> str:
    """Return how a Hub data set is called in findings."""
    return f"hub:{source.hub}[{source.hub_split}]"


def read_hub(source: Source) -> Iterator[Row | Finding]:
    """Stream the rows of a Hub data set.

    Raises InputError, with what to do, when it cannot be reached, does not exist, is gated, or lacks the
    split.
    """
    name = hub_name(source)
    if not _HUB_ID.fullmatch(source.hub):
        raise InputError("is no Hub id", where=source.hub, fix='write hub = "org/name", or path = "..." for a file')
    if os.path.exists(source.hub):  # the library would quietly read the folder instead
        raise InputError(
            "a local folder has the same name as this Hub data set",
            where=source.hub,
            fix="use path for the folder",
        )
    number = 0
    try:
        from datasets import load_dataset

        rows = load_dataset(
            source.hub,
            name=source.hub_config or None,
            split=source.hub_split,
            revision=source.revision or None,
            streaming=True,
        )
        iterator = iter(rows)
    except Exception as error:
        raise _hub_error(source, error, number) from error
    while True:
        try:
            fields = next(iterator)
        except StopIteration:
            break
        except Exception as error:
            raise _hub_error(source, error, number) from error
        number += 1
        yield Row(name, number, dict(fields))
    if not number:
        raise InputError("holds no row", where=name)


def _hub_error(source: Source, error: Exception, number: int) -> InputError:
    text = str(error)
    if number:
        what, fix = (
            f"broke off after {number:,} rows: {text}",
            "try again; a file on disk does not depend on the network",
        )
    elif "gated" in text or "403" in text or "401" in text:
        page = f"https://huggingface.co/datasets/{source.hub}"
        what, fix = (
            "is gated or private",
            f"ask for access at {page}, then log in with `hf auth login` or set HF_TOKEN",
        )
    elif isinstance(error, ConnectionError) or "Couldn't reach" in text:
        what = "the Hub cannot be reached"
        fix = "check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or download the files and use path"
    elif "Bad split" in text:
        splits = text.partition("Available splits:")[2].strip() or "unknown"
        what, fix = f'has no split "{source.hub_split}"', f"set hub_split to one of {splits}"
    elif "BuilderConfig" in text or "Config name is missing" in text:
        what, fix = "needs the name of one of its configurations", f"set hub_config: {text}"
    elif "Revision" in text:
        what, fix = f'has no revision "{source.revision}"', "set revision to a branch, tag or commit it has"
    elif isinstance(error, FileNotFoundError):
        what, fix = (
            "is not on the Hub, or is private",
            "check the name; for a private one log in with `hf auth login`",
        )
    else:
        what, fix = f"cannot be read: {type(error).__name__}: {text}", "download the files and use path"
    return InputError(what, where=hub_name(source), fix=fix)


# --- files ----------------------------------------------------------------------------------------


def _suffix(path: Path) -> str:
    stem = path.name.lower()
    suffix = os.path.splitext(stem.removesuffix(".gz"))[1]
    return suffix if suffix in SUFFIXES and not (suffix == ".parquet" and stem.endswith(".gz")) else ""


def _below(folder: Path) -> Iterator[Path]:
    """Yield the data files below a folder, each once, though links may lead to it, or round in a circle."""
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        if real in seen:
            continue
        seen.add(real)
        for name in sorted(files):
            path = Path(place, name)
            real = os.path.realpath(path)
            if not name.startswith(".") and _suffix(path) and real not in seen:
                seen.add(real)
                yield path


def _check(path: Path, name: str) -> Finding | None:
    """Raise InputError unless the first bytes of `path` fit its name; return what else bars reading it."""
    if not _suffix(path):
        raise InputError(
            "is of no known kind", where=name, fix=f"known: {', '.join(SUFFIXES)}, and .gz of the text ones"
        )
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("is no regular file", where=name, fix="copy what it gives into a file first")
        with _open(path) as file:
            head = file.read(_HEAD)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return _bad_gzip(name, error)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be opened: {_reason(error)}", where=name) from None
    if not head:
        raise InputError("is empty", where=name, fix="take it out of data.sources, or put rows into it")
    kind = next((kind for magic, kind in _KINDS.items() if head.startswith(magic)), "")
    if _suffix(path) == ".parquet":
        if kind != "parquet":
            raise InputError("is no parquet file", where=name, fix="it may have been cut off, or be named wrongly")
        return None
    half = len(head) // 2
    zeros = max(head[0::2].count(0), head[1::2].count(0))
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (half >= 8 and zeros > 0.4 * half):
        fix = f"convert it to UTF-8: iconv -f UTF-16 -t UTF-8 {path.name} > new{path.suffix}"
        return Finding("error", "utf-16", name, 0, "the file is in UTF-16, not UTF-8", fix)
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if kind or controls > max(8, len(head) // 10):
        raise InputError(
            f"holds {kind or 'binary'} data, not text",
            where=name,
            fix="unpack it or name it by what it holds",
        )
    return None


def _open(path: Path) -> BinaryIO:
    # Non-blocking, so that a pipe put in a file's place cannot hang us; no change for a regular file.
    raw = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    return _Unzipped(raw) if path.name.lower().endswith(".gz") else raw


class _Unzipped(io.BufferedReader):
    """A gzip stream that closes its file too, which GzipFile leaves to whoever opened it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._file = raw
        super().__init__(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw, mode="rb")), 1 << 17)

    def close(self) -> None:
        super().close()
        self._file.close()


def _bad_gzip(name: str, error: Exception) -> Finding:
    cut = isinstance(error, EOFError)
    message = "the gzip stream ends too early: the file is cut off" if cut else f"no sound gzip: {error}"
    return Finding("error", "gzip", name, 0, message, "copy or download it again; gzip -t tests it")


def _reason(error: Exception) -> str:
    return os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)


# --- text -----------------------------------------------------------------------------------------


def _lines(file: BinaryIO, name: str, *, keep_broken: bool = False) -> Iterator[tuple[int, str] | Finding]:
    """Yield (line number, text) for each line, or a finding in its place; both with `keep_broken`."""
    number = offset = 0
    while raw := file.readline(MAX_LINE + 1):
        number += 1
        start, offset = offset, offset + len(raw)
        broken: Finding | None = None
        if len(raw) > MAX_LINE:
            while not raw.endswith(b"\n") and (raw := file.readline(1 << 20)):
                offset += len(raw)
            size, limit = (offset - start) / 2**20, MAX_LINE // 2**20
            broken = Finding("error", "long-line", name, number, f"a line of {size:.1f} MB; the limit is {limit} MB")
            raw = b"\n"
        if codecs.BOM_UTF8 in raw:
            if raw.startswith(codecs.BOM_UTF8):
                raw, start = raw[3:], start + 3
                where = "the file starts with" if number == 1 else "the line starts with"
                severity: Literal["info", "warning"] = "info" if number == 1 else "warning"
                yield Finding(severity, "bom", name, number, f"{where} a byte order mark; it is left out")
            if codecs.BOM_UTF8 in raw:
                yield Finding("warning", "bom", name, number, "a byte order mark inside the text; it is kept")
        if b"\0" in raw:
            broken = Finding("error", "nul", name, number, f"a NUL byte at byte {start + raw.index(0)} of the file")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"invalid UTF-8 at byte {start + error.start} of the file (0x{raw[error.start]:02x})"
            broken = Finding("error", "encoding", name, number, message, "convert the file to UTF-8 with iconv")
            text = raw.decode("utf-8", "replace")
        if broken:
            yield broken
        if not broken or keep_broken:
            yield number, text


def _blank_lines(name: str, blank: int) -> Iterator[Finding]:
    if blank:
        yield Finding("info", "blank-lines", name, 0, f"{blank:,} empty line{'s' * (blank > 1)} skipped")


def _txt(file: BinaryIO, name: str) -> Iterator[Row | Finding]:
    blank = 0
    for item in _lines(file, name):
        if isinstance(item, Finding):
            yield item
        elif item[1].isspace() or not item[1]:
            blank += 1
        else:
            yield Row(name, item[0], {"text": item[1].removesuffix("\n").removesuffix("\r")})
    yield from _blank_lines(name, blank)


class _Repeating(dict[str, Any]):
    """An object in which a key stands twice."""

    twice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Constant:
    """A NaN or Infinity, which JSON does not have."""

    text: str


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
        for part in _parts(value) if self._marked else ():
            if isinstance(part, _Constant):
                yield Finding("error", "not-a-number", name, number, f"{part.text} is not JSON", "use null or a text")
                return
            twice += part.twice if isinstance(part, _Repeating) else ()
        if self._escapes and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
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


def _parts(value: Any) -> Iterator[Any]:
    """Yield a parsed value and all that is nested in it."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _jsonl(file: BinaryIO, name: str) -> Iterator[Row | Finding]:
    parser, blank = _Json(), 0
    for item in _lines(file, name):
        if isinstance(item, Finding):
            yield item
            continue
        number, text = item
        if text.isspace() or not text:
            blank += 1
            continue
        fix = ""
        try:
            yield from parser.row(parser.parse(text), name, number)
            continue
        except json.JSONDecodeError as error:
            message = f"broken JSON at column {error.colno}: {error.msg}"
            if text.strip() in ("{", "["):
                fix = "one object a line belongs here; if the whole file is one JSON value, name it .json"
        except RecursionError:
            message = "broken JSON: nested too deeply"
        except ValueError as error:  # an integer of thousands of digits
            message = f"broken JSON: {error}"
        yield Finding("error", "json", name, number, message, fix)
    yield from _blank_lines(name, blank)


def _json(file: BinaryIO, name: str) -> Iterator[Row | Finding]:
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
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1:
            yield Finding("info", "json-lines", name, 0, "one object a line, not one JSON value: read as .jsonl")
            yield from _jsonl(io.BytesIO(data), name)
            return
        where = f"{name}:{error.lineno}:{error.colno}"
        raise InputError(f"broken JSON: {error.msg}", where=where) from None
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"broken JSON: {reason}", where=name) from None
    del data, text
    for number, value in enumerate(rows, 1):
        yield from parser.row(value, name, number)


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


# --- tables ---------------------------------------------------------------------------------------


class _Feed:
    """Lines for the csv module; the findings about them wait until the record they belong to is whole."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._items = _lines(file, name, keep_broken=True)
        self.number = 0
        self.findings: list[Finding] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        for item in self._items:
            if isinstance(item, Finding):
                self.findings.append(item)
            else:
                self.number = item[0]
                return item[1]
        raise StopIteration

    def taken(self) -> tuple[list[Finding], Finding | None]:
        """Return the remarks about the lines of a record, and the first thing that breaks it."""
        found, self.findings = self.findings, []
        broken = [finding for finding in found if finding.severity == "error"]
        return [finding for finding in found if finding.severity != "error"], broken[0] if broken else None


def _table(file: BinaryIO, name: str, delimiter: str = ",") -> Iterator[Row | Finding]:
    csv.field_size_limit(MAX_LINE)  # process-wide; the standard 128 KB is less than some documents
    feed = _Feed(file, name)
    records = csv.reader(feed, delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        start = feed.number + 1
        message = ""
        cells: list[str] = []
        try:
            cells = next(records)
        except StopIteration:
            break
        except csv.Error as error:
            message = _csv_message(str(error), start, feed.number)
        remarks, broken = feed.taken()
        yield from remarks
        if not header:
            if cells and not message and not broken:
                header = _header(cells, name, start, delimiter)
            elif message or broken:
                raise InputError(f"broken header: {message or (broken and broken.message)}", where=f"{name}:{start}")
        elif broken:
            yield broken
        elif message:
            yield Finding("error", "csv", name, start, message)
        elif cells and len(cells) != len(header):
            count = f"{len(cells)} field{'s' * (len(cells) > 1)} where the header has {len(header)}"
            yield Finding("error", "ragged", name, start, count, "put quotes around a field that holds a separator")
        elif cells:
            yield Row(name, start, dict(zip(header, cells, strict=True)))


def _csv_message(text: str, start: int, end: int) -> str:
    if text == "unexpected end of data":
        return f"a quote that is opened in this row is never closed; lines {start} to {end} are lost"
    if "field larger than" in text:
        limit = MAX_LINE // 2**20
        return f"a field larger than {limit} MB, or a quote never closed; lines {start} to {end} are lost"
    return f"broken CSV: {text}"


def _header(cells: list[str], name: str, line: int, delimiter: str) -> list[str]:
    twice = sorted({cell for cell in cells if cell and cells.count(cell) > 1})
    if twice:
        raise InputError(f"two columns are named {twice[0]!r}", where=f"{name}:{line}", fix="rename one in the header")
    other = next((mark for mark in ";\t," if mark != delimiter and len(cells) == 1 and mark in cells[0]), "")
    if other:
        kind = {";": "semicolons", "\t": "tabs", ",": "commas"}[other]
        fix = "save it with commas as .csv, or with tabs as .tsv"
        raise InputError(f"the columns are separated by {kind}", where=f"{name}:{line}", fix=fix)
    return cells


def _parquet(file: BinaryIO, name: str) -> Iterator[Row | Finding]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=_BATCH):
                try:
                    rows: list[Any] = batch.to_pylist()
                except UnicodeDecodeError:
                    rows = [_one(batch, place) for place in range(batch.num_rows)]
                for fields in rows:
                    number += 1
                    if fields is None:
                        yield Finding("error", "encoding", name, number, "invalid UTF-8 in this row")
                    else:
                        yield Row(name, number, fields)
    except (pyarrow.lib.ArrowException, OSError) as error:
        raise InputError(f"is no sound parquet file: {error}", where=name, fix="copy or download it again") from None


def _one(batch: Any, place: int) -> dict[str, Any] | None:
    try:
        return cast(dict[str, Any], batch.slice(place, 1).to_pylist()[0])
    except UnicodeDecodeError:
        return None


_READERS: dict[str, Callable[[BinaryIO, str], Iterator[Row | Finding]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _table,
    ".tsv": lambda file, name: _table(file, name, "\t"),
    ".txt": _txt,
    ".parquet": _parquet,
}
