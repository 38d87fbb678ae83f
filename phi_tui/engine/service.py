"""A process that does heavy work for a front end: requests in, events out, one JSON object a line.

The app must not import torch (two seconds during which nothing is drawn) and must not share an interpreter with a
model that speaks, so both happen in children.  A request is `{"id": 1, "do": "survey", ...arguments}`; what comes
back carries the same id: any number of events, then one `result` or one `error`.  `{"cancel": 1}` asks a request to
end; the end of standard input, which comes with the front end's death too, ends the process.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

from phi_tui.errors import PhiError


class Cancelled(Exception):
    """The front end no longer wants the answer."""


class Task:
    """One request: its arguments, a way to tell how it goes, and whether it is still wanted."""

    def __init__(self, number: int, arguments: dict[str, Any], write: Callable[[dict[str, Any]], None]) -> None:
        self.id = number
        self.arguments = arguments
        self.cancelled = threading.Event()
        self._write = write

    def tell(self, kind: str, /, **payload: Any) -> None:
        """Send an event; raises Cancelled when the request is no longer wanted."""
        self.check()
        self._write({"id": self.id, "kind": kind, **payload})

    def check(self) -> None:
        """Raise Cancelled when the request is no longer wanted."""
        if self.cancelled.is_set():
            raise Cancelled


Handler = Callable[[Task], dict[str, Any]]
"""Does a request and returns what its `result` carries; a PhiError becomes its `error`."""


def serve(handlers: dict[str, Handler]) -> int:
    """Answer requests from standard input, one after another, until it ends; return the exit code.

    Standard output is kept for answers alone: what libraries print goes to standard error, which the front end
    points at a log.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)
    writing = threading.Lock()

    def write(message: dict[str, Any]) -> None:
        with writing:
            out.write(json.dumps(_plain(message), ensure_ascii=True) + "\n")
            out.flush()

    waiting: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
    known: dict[int, Task] = {}
    threading.Thread(target=_read, args=(waiting, known, write), name="requests", daemon=True).start()
    while (task := waiting.get()) is not None:
        try:
            write({"id": task.id, "kind": "result", **_done(task, handlers)})
        except Cancelled:
            write({"id": task.id, "kind": "cancelled"})
        except PhiError as error:
            write({"id": task.id, "kind": "error", "what": error.what, "where": error.where, "fix": error.fix})
        except Exception as error:
            import traceback

            traceback.print_exc()
            write({"id": task.id, "kind": "error", "what": _said(error), "where": "", "fix": ""})
        finally:
            known.pop(task.id, None)
    return 0


def _done(task: Task, handlers: dict[str, Handler]) -> dict[str, Any]:
    task.check()
    handler = handlers.get(str(task.arguments.pop("do", "")))
    if handler is None:
        raise PhiError("the process does not know this request")
    return handler(task)


def _read(
    waiting: queue.SimpleQueue[Task | None], known: dict[int, Task], write: Callable[[dict[str, Any]], None]
) -> None:
    """Take requests in; a cancel reaches its task while it runs."""
    for line in sys.stdin:
        try:
            request = json.loads(line)
        except ValueError:
            continue
        if "cancel" in request:
            if task := known.get(int(request["cancel"])):
                task.cancelled.set()
            continue
        number = int(request.pop("id"))
        known[number] = Task(number, request, write)
        waiting.put(known[number])
    # The front end is gone: whatever runs now runs for nobody.
    os._exit(0)


def _said(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return f"{type(error).__name__}: {error}"


def _plain(value: Any) -> Any:
    """Values as plain JSON: what is not finite becomes null, tuples become lists."""
    import math

    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    return str(value)
