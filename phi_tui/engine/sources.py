"""Data files: which of them a source means, whether each is what its name says, and a stream of its rows.

Memory stays flat whatever a file holds: lines are read with a limit and parquet in batches (a .json file is
the exception: it is one value and has to be parsed as one).  What is broken inside a file is a finding; a file
that cannot be what its name says is an InputError.  Nothing here knows what the columns mean.
"""

from __future__ import annotations

import codecs
import functools
import gzip
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from phi_tui.engine.encodings import decoded
from phi_tui.engine.hub_rows import hub_name, read_hub
from phi_tui.engine.json_rows import read_array, read_lines
from phi_tui.engine.rows import Finding, Row
from phi_tui.engine.tables import read_delimited, read_parquet
from phi_tui.engine.text_rows import read_text
from phi_tui.errors import InputError
from phi_tui.schema import Source

__all__ = [
    "SUFFIXES", "Finding", "Row", "checked", "files_of", "hub_name", "is_lines", "name_of", "read", "read_hub",
    "unreadable",
]  # fmt: skip

_READERS: dict[str, Callable[[BinaryIO, str], Iterator[Row | Finding]]] = {
    ".jsonl": read_lines,
    ".ndjson": read_lines,
    ".json": read_array,
    ".csv": read_delimited,
    ".tsv": lambda file, name: read_delimited(file, name, "\t"),
    ".txt": read_text,
    ".parquet": read_parquet,
}
SUFFIXES = tuple(_READERS)
_HEAD = 4096
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
_BAD_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)


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
        checked(file, name_of(file, root), source.encoding)
    return files


def name_of(path: Path, root: Path) -> str:
    """Return how a file is called in findings: relative to `root` where it lies below it, else as it is."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def read(path: Path, name: str = "", dialect: Source | None = None) -> Iterator[Row | Finding]:
    """Stream the rows of one file, and a finding for each that cannot be read; `name` stands for it in both.

    `dialect` is the source that says how its tables are written and its texts encoded.

    Raises InputError for what `files_of` does, a broken .json or parquet, a broken header, a file without rows.
    """
    name = name or str(path)
    suffix = _suffix(path)
    encoding = dialect.encoding if dialect and suffix != ".parquet" else ""
    broken = checked(path, name, encoding)
    if broken:
        yield broken
        return
    found = False
    try:
        with _open(path) as file:
            if encoding:
                file = decoded(file, encoding, name)
            for item in _reader(suffix, dialect)(file, name):
                found = found or isinstance(item, Row) or item.severity == "error"
                yield item
    except _BAD_GZIP as error:
        found = True
        yield _bad_gzip(name, error)
    except OSError as error:
        raise unreadable(error, name) from None
    if not found:
        raise InputError("holds no row", where=name, fix="take it out of data.sources, or put rows into it")


def _reader(suffix: str, dialect: Source | None) -> Callable[[BinaryIO, str], Iterator[Row | Finding]]:
    if dialect is None or suffix not in (".csv", ".tsv"):
        return _READERS[suffix]
    mark = dialect.delimiter or {".csv": ",", ".tsv": "\t"}[suffix]
    return functools.partial(read_delimited, delimiter=mark, quote=dialect.quote, named=dialect.header)


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


def is_lines(path: Path) -> bool:
    """Whether a file holds one JSON object a line, and is not packed."""
    return _suffix(path) in (".jsonl", ".ndjson") and not path.name.lower().endswith(".gz")


def unreadable(error: OSError, name: str) -> InputError:
    """Return what to say where reading a file failed."""
    return InputError(f"cannot be read: {_reason(error)}", where=name)


def checked(path: Path, name: str, encoding: str = "") -> Finding | None:
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
    except _BAD_GZIP as error:
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
    if encoding and not kind:
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
