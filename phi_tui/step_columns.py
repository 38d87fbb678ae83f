"""The step events of a journal as arrays: some hundred thousand lines a second become millions.

The writer gives each step's line the same keys in the same order, so that the numbers stand between known words.  What
is not laid out like that (another event, a torn or foreign line) is left to the ordinary way.  For the process that
reads a long journal; numpy and pyarrow are loaded by it alone.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

CURVES = ("loss", "lr", "grad_norm", "tokens_per_second")

FEWEST = 200
"""Fewer steps in a row are read the ordinary way."""

_CACHED = 256 * 1024

_LONGEST = 26
"""Characters of a number; a float has 24 at the most."""


class OddError(Exception):
    """Something is laid out in another way than the first step of the piece."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of a journal, bytes `start` to `end` of what was read: steps with their columns, or anything."""

    start: int
    end: int
    lines: np.ndarray | None = None
    """Where each step's line starts; None where the lines are to be read one by one."""
    steps: np.ndarray | None = None
    curves: dict[str, np.ndarray] | None = None
    """Of each curve that the steps have, float64, NaN for null."""


def pieces(raw: bytes, start: int, end: int) -> list[Piece]:
    """Cut whole lines into pieces, in order; steps in short rows, and what is odd, are left to be read one by one."""
    try:
        return _pieces(raw, start, end)
    except OddError:
        return [Piece(start, end)]


def _pieces(raw: bytes, start: int, end: int) -> list[Piece]:
    keys = _keys(raw, start, end)
    text = np.frombuffer(raw, np.uint8, end - start, start)
    newline, colon = _places(text, "\n"), _places(text, ":")
    starts = np.append(0, newline[:-1] + 1)
    first = np.searchsorted(colon, starts)
    rows = np.flatnonzero(np.diff(first, append=len(colon)) == len(keys))
    if len(rows) < FEWEST:
        raise OddError
    colons = colon[first[rows] + np.arange(len(keys))[:, None]]
    kept = _laid_out(text, keys, colons, newline[rows])
    if not kept.all():
        rows, colons = rows[kept], colons[:, kept]
    wanted = ["step", *(name for name in CURVES if name in keys)]
    values = {}
    for name in wanted:
        place = keys.index(name)
        values[name] = _numbers(text, colons[place] + 2, _end(keys, place, colons, newline[rows]))
    steps = values["step"]
    kept = (np.abs(steps) <= 2**53) & (np.trunc(steps) == steps)
    for column in values.values():
        kept &= ~np.isinf(column)
    if not kept.all():
        rows, values = rows[kept], {name: column[kept] for name, column in values.items()}
    steps = values.pop("step")
    found, done = [], start
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(steps) <= 0)) + 1
    for begun, over in zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True):
        if over - begun < FEWEST:
            continue
        part = slice(begun, over)
        lines = starts[rows[part]] + start
        behind = start + int(newline[rows[over - 1]]) + 1
        if lines[0] > done:
            found.append(Piece(done, int(lines[0])))
        curves = {name: column[part] for name, column in values.items()}
        found.append(Piece(int(lines[0]), behind, lines, steps[part].astype(np.int64), curves))
        done = behind
    if done < end:
        found.append(Piece(done, end))
    return found


def _keys(raw: bytes, start: int, end: int) -> list[str]:
    """The keys of the first step, in order; OddError where there is none or it cannot be told apart by its colons."""
    at = raw.find(b'"kind": "step"', start, end)
    if at < 0:
        raise OddError
    line = raw[max(raw.rfind(b"\n", start, at) + 1, start) : raw.find(b"\n", at, end)]
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or "step" not in event or next(reversed(event)) == "kind":
        raise OddError
    if line.count(b":") != len(event) or not all(key.isidentifier() and key.isascii() for key in event):
        raise OddError
    return list(event)


def _laid_out(text: np.ndarray, keys: list[str], colons: np.ndarray, newline: np.ndarray) -> np.ndarray:
    """Which lines have the keys that are needed where they are needed, and commas and a brace where values end."""
    words = np.ndarray((len(text) - 7,), np.uint64, text, 0, (1,))  # eight bytes from each place on
    kept = colons[0] >= 8  # all but a first line whose first key is short
    colons = np.where(kept, colons, 8 + np.arange(len(keys))[:, None]) if not kept.all() else colons
    for place, name in enumerate(keys):
        if name not in ("kind", "step", *CURVES):
            continue
        tail = (f', "{name}"' if place else f'"{name}"').encode()[-8:]
        before = words[colons[place] - 8]
        if len(tail) < 8:
            before >>= np.uint64(8 * (8 - len(tail)))
        kept &= before == np.uint64(int.from_bytes(tail, "little"))
        closing = ord(",") if place + 1 < len(keys) else ord("}")
        kept &= text[_end(keys, place, colons, newline)] == closing
        if name == "kind":
            value = words[np.minimum(colons[place] + 2, len(words) - 1)]
            kept &= value == np.uint64(int.from_bytes(b'"step", ', "little"))
    return kept


def _places(text: np.ndarray, character: str) -> np.ndarray:
    """Where a character stands; looked for in parts that fit a core's cache."""
    parts = range(0, len(text), _CACHED)
    return np.concatenate([np.flatnonzero(text[at : at + _CACHED] == ord(character)) + at for at in parts])


def _end(keys: list[str], place: int, colons: np.ndarray, newline: np.ndarray) -> np.ndarray:
    """Where the values of a key end: before the comma, the blank and the quoted key that comes next, or the brace."""
    return colons[place + 1] - len(keys[place + 1]) - 4 if place + 1 < len(keys) else newline - 1


def _numbers(text: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Read the numbers that stand at start..end, as float64: NaN for null, an infinity for what is no number.

    Those of one length are read together, as strings that lie side by side in one block of memory.
    """
    length = np.clip(end - start, 0, _LONGEST + 1)
    found = np.full(len(start), np.inf)
    for width in np.flatnonzero(np.bincount(length)[: _LONGEST + 1]).tolist():
        if not width:
            continue
        rows = np.flatnonzero(length == width)
        block = np.ndarray((len(text) - width + 1,), f"V{width}", text, 0, (1,))[start[rows]]
        places = np.arange(0, width * (len(rows) + 1), width, dtype=np.int32)
        strings = pa.Array.from_buffers(pa.string(), len(rows), [None, pa.py_buffer(places), pa.py_buffer(block)])
        try:
            values = strings.cast(pa.float64()).to_numpy()
            found[rows] = np.where(np.isnan(values), np.inf, values)
        except pa.ArrowInvalid:
            found[rows] = [_number(value.tobytes()) for value in block]
    return found


def _number(value: bytes) -> float:
    """One value that may be anything."""
    try:
        number = json.loads(value)
    except (ValueError, RecursionError):
        return math.inf
    if number is None:
        return math.nan
    return float(number) if type(number) is float or (type(number) is int and abs(number) < 2**53) else math.inf
