"""The lines of a text file, of which the readers of JSON lines and tables make rows, and .txt rows themselves.

A line is held to a limit, decoded and looked over for what a text must not hold; what breaks one line is a
finding in its place, and the lines behind it are read as if nothing had been.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO, Literal

from phi_tui.engine.rows import Finding, Row

MAX_LINE = 8 * 1024 * 1024
"""Longest line, and longest CSV field, in bytes: far beyond any context window, and small enough to hold."""


def lines(
    file: BinaryIO, name: str, *, keep_broken: bool = False, number: int = 0, offset: int = 0
) -> Iterator[tuple[int, str] | Finding]:
    """Yield (line number, text) for each line, or a finding in its place; both with `keep_broken`.

    `number` lines of `offset` bytes stand before the first one.
    """
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


def blank_lines(name: str, blank: int) -> Iterator[Finding]:
    """Yield the one finding about all the empty lines of a file, if it has any."""
    if blank:
        yield Finding("info", "blank-lines", name, 0, f"{blank:,} empty line{'s' * (blank > 1)} skipped")


def read_text(file: BinaryIO, name: str) -> Iterator[Row | Finding]:
    """Yield each line of a .txt file as a row with the one column `text`."""
    blank = 0
    for item in lines(file, name):
        if isinstance(item, Finding):
            yield item
            continue
        number, text = item
        if text.strip():
            yield Row(name, number, {"text": text.removesuffix("\n").removesuffix("\r")})
        else:
            blank += 1
    yield from blank_lines(name, blank)
