"""A thread that says when no step came for ten times the usual: a run that hangs says nothing itself.

It looks at what the trainer tells and touches nothing of it.  Whatever else is told meanwhile, such as the rows of an
evaluation, is a sign of life too.
"""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

Say = Callable[..., None]

TIMES = 10
"""How many times the usual is too long."""
LEAST = 20.0
"""Seconds that are never too long: a checkpoint or an answer takes some."""
_REMEMBERED = 50


@contextlib.contextmanager
def watching(say: Say, told: Say, *, least: float = LEAST) -> Iterator[Say]:
    """Give a `say` that is watched while the context lasts; the warning goes to `told`, from a thread."""
    steps: deque[float] = deque(maxlen=_REMEMBERED)
    ended = threading.Event()
    lock = threading.Lock()
    last = before = time.monotonic()
    warned = training = False

    def heard(kind: str, /, **payload: Any) -> None:
        nonlocal last, before, warned, training
        with lock:
            now = time.monotonic()
            if kind == "step":
                if training:
                    steps.append(now - before)
                before, training = now, True
            elif kind in ("eval", "sample", "checkpoint", "phase"):
                before = now  # what this took is no part of the next step
            last, warned = now, False
        say(kind, **payload)

    def watch() -> None:
        nonlocal warned
        while not ended.wait(min(1.0, least / 4)):
            with lock:
                silent = time.monotonic() - last
                usual = statistics.median(steps) if steps else 0.0
                late = bool(steps) and not warned and silent > max(least, TIMES * usual)
                warned = warned or late
            if late:
                said = f"no step came for {silent:.0f} s, and {usual:.2g} s are usual: the trainer may hang"
                with contextlib.suppress(OSError):
                    told("warning", message=f"{said}; phi-tui stop ends it after its step, and it can be resumed")

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        ended.set()
        thread.join()
