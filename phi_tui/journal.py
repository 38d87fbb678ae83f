"""The events of a run: one JSON object a line, the only path from the trainer to any eye.

Each line is written by one system call and flushed, so that a reader sees whole lines; `sync` makes them safe
against a power cut.  Reading is tolerant: a torn last line is waited for, a broken one is skipped.  A writer
that opens a journal with a torn tail cuts the tail off first, so that no broken line stays in the middle.  Times never
run backwards, whatever the clock does, and what looks like a secret is struck out.
"""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from phi_tui.redaction import scrubbed

Kind = Literal[
    "phase",
    "step",
    "eval",
    "sample",
    "checkpoint",
    "warning",
    "control",
    "resumed",
    "stopped",
    "failed",
    "done",
]
"""`phase` names what the run is at; `stopped`, `failed` and `done` are last words."""

Event = dict[str, Any]


class Journal:
    """The writing end; one process holds it at a time (the run's lock sees to that), from any of its threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        end = _whole_lines_end(self._file)
        os.ftruncate(self._file, end)
        self._seq, self._time = _last_seq_and_time(self._file, end)
        self._lock = threading.Lock()

    def write(self, kind: Kind, /, **payload: Any) -> None:
        """Append one event; numbers that are not finite are written as null, so that each line is plain JSON."""
        with self._lock:
            now = max(round(time.time(), 3), self._time)
            event = {"seq": self._seq + 1, "time": now, "kind": kind, **payload}
            line = json.dumps(_plain(event), ensure_ascii=False, allow_nan=False) + "\n"
            data = line.encode("utf-8", "backslashreplace")
            written = os.write(self._file, data)
            if written != len(data):  # a full disk took a part: take it back rather than leave half a line
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            self._seq, self._time = self._seq + 1, now

    def sync(self) -> None:
        """Return once every event is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Sync and let go of the file."""
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1


class Follower:
    """The reading end: `poll` returns what was added since the last call, by byte offset."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self._offset = offset

    def poll(self, most: int = 1 << 62) -> list[Event]:
        """Return the new events; none while the file is missing or its last line is unfinished.

        At most `most` bytes are read: whoever follows a long journal shows its beginning while the rest is read.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(0, os.SEEK_END)
                if file.tell() < self._offset:  # a torn tail was cut off by a new writer
                    self._offset = file.tell()
                size = file.tell()
                file.seek(self._offset)
                data = file.read(min(most, size - self._offset) if size > self._offset else 0)
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self._offset += end
        return parse_all(data[:end])


def read(path: Path) -> Iterator[Event]:
    """Yield the events of a journal, skipping lines that are no event; a missing file has none."""
    try:
        with open(path, "rb") as file:
            for line in file:
                if (event := _parse(line)) is not None:
                    yield event
    except FileNotFoundError:
        return


def last(path: Path, bytes_read: int = 65_536) -> list[Event]:
    """Return the last events of a journal, cheaply: those in its last `bytes_read` bytes, or more for a long one."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            while True:
                file.seek(max(0, size - bytes_read))
                lines = file.read(bytes_read).splitlines()
                found = [event for line in lines if (event := _parse(line)) is not None]
                if found or bytes_read >= min(size, 16 * 1024 * 1024):
                    return found
                bytes_read *= 8
    except FileNotFoundError:
        return []


def parse_all(data: bytes) -> list[Event]:
    """Parse whole lines: as one array, which is twice as fast, or one by one where a line is broken."""
    try:
        found = json.loads(b"[" + data.rstrip(b"\n").replace(b"\n", b",") + b"]")
        if len(found) == data.count(b"\n"):  # a line with a comma of its own would make two of one
            return [event for event in found if isinstance(event, dict) and isinstance(event.get("kind"), str)]
    except (ValueError, RecursionError):
        pass
    return [event for line in data.splitlines() if (event := _parse(line)) is not None]


def _parse(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("kind"), str) else None


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return scrubbed(value)
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _whole_lines_end(handle: int) -> int:
    """The offset behind the last newline."""
    end = os.fstat(handle).st_size
    while end > 0:
        start = max(0, end - 65_536)
        newline = os.pread(handle, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _last_seq_and_time(handle: int, end: int) -> tuple[int, float]:
    """The number and the time of the last readable event; a megabyte of tail is more than any event takes."""
    tail = os.pread(handle, min(end, 1_048_576), max(0, end - 1_048_576))
    for line in reversed(tail.splitlines()):
        event = _parse(line)
        if event is not None and isinstance(event.get("seq"), int):
            then = event.get("time")
            return int(event["seq"]), float(then) if isinstance(then, int | float) else 0.0
    return 0, 0.0
