"""A long journal skimmed: its beginning, its end, and lines spread evenly between them, in some 50 ms.

What a person sees while the whole of it is read, a second or two on a million events: the curves in outline.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from phi_tui.journal import Event, parse_all
from phi_tui.metrics import MetricStore

LINES = 2000
"""Lines taken between the beginning and the end: a dozen for each column of dots of a chart."""

_ENDS = 64 * 1024
_LONGEST = 1024
"""Bytes read for one line; a longer one, which is no step, is passed over."""

_OUTLINE = ("loss", "lr", "grad_norm", "tokens_per_second", "_step", "_steps", "_epoch", "_tokens")


def outline(path: Path) -> dict[str, Any]:
    """Return what a `MetricStore` can become for the time being; nothing where the journal cannot be read.

    The curves go through steps that the journal holds; what came between them, and all that is no step, is not there.
    """
    store, newest = MetricStore(), 0
    with contextlib.suppress(OSError):
        for event in _events(path):
            step = event.get("step")
            if event["kind"] != "step" or type(step) is not int:
                continue
            if step <= newest:  # it was resumed from before: what came after is taken back
                store.feed([{"kind": "resumed", "step": step - 1}])
            store.feed([event])
            newest = step
    return {name: value for name, value in store.contents().items() if name in _OUTLINE}


def _events(path: Path) -> list[Event]:
    """The skimmed events, in the journal's order."""
    with open(path, "rb") as file:
        handle = file.fileno()
        size = os.fstat(handle).st_size
        first, last = min(_ENDS, size), max(0, size - _ENDS)
        lines = [_whole(os.pread(handle, first, 0), from_start=True)]
        for place in range(1, LINES):
            at = first + (last - first) * place // LINES
            if at > first:
                line = _whole(os.pread(handle, _LONGEST, at))
                lines.append(line[: line.find(b"\n") + 1])
        lines.append(_whole(os.pread(handle, _ENDS, max(first, last))))
    return parse_all(b"".join(lines))


def _whole(raw: bytes, *, from_start: bool = False) -> bytes:
    """The whole lines of what was read, which may begin and end within one."""
    start = 0 if from_start else raw.find(b"\n") + 1
    return raw[start : raw.rfind(b"\n") + 1]
