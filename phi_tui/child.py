"""The front end's side of a child process that does heavy work; the other side is `engine.service`.

The process starts with the first request and ends with `close`, or with this process, however that dies: its
standard input ends then.  Replies come on a thread of their own; whoever draws passes them on as messages.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FINAL = ("result", "error", "cancelled")
"""The kinds after which nothing more comes for a request."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a child said about request `id`: an event's kind and what it carries."""

    id: int
    kind: str
    payload: dict[str, Any] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        """Whether this is the request's last reply."""
        return self.kind in FINAL


OnReply = Callable[[Reply], None]


class Child:
    """A process running `module` (one that calls `engine.service.serve`); its prints go to `log`."""

    def __init__(self, module: str, log: Path | None = None) -> None:
        self.module = module
        self._log = log
        self._numbers = itertools.count(1)
        self._open: dict[int, OnReply] = {}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id while it lives."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    @property
    def idle(self) -> bool:
        """Whether nothing is being asked."""
        return not self._open

    def ask(self, do: str, on_reply: OnReply, /, **arguments: Any) -> int:
        """Send a request and return its number; `on_reply` is called on the reader's thread, `final` last."""
        with self._lock:
            process = self._started()
            number = next(self._numbers)
            self._open[number] = on_reply
            self._send(process, {"id": number, "do": do, **arguments})
        return number

    def cancel(self, number: int) -> None:
        """Ask for request `number` to end; its last reply is `cancelled`, or what came before that."""
        with self._lock:
            if self._process and number in self._open:
                self._send(self._process, {"cancel": number})

    def close(self, *, wait: float = 0.0) -> None:
        """End the process; what it held (a model's memory) is free when it is gone."""
        with self._lock:
            process, self._process = self._process, None
            self._open.clear()
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.kill()
        if wait:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(wait)
        else:  # the reader's thread reaps it
            pass

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process and self._process.poll() is None:
            return self._process
        with open(self._log or os.devnull, "ab", opener=_private) as log:
            process = subprocess.Popen(
                # -P: a file in the current folder must not stand in for a module.
                [sys.executable, "-P", "-m", self.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self._process = process
        threading.Thread(target=self._read, args=(process,), name=f"replies of {self.module}", daemon=True).start()
        return process

    def _send(self, process: subprocess.Popen[bytes], request: dict[str, Any]) -> None:
        assert process.stdin
        with contextlib.suppress(OSError):  # it died: the reader tells every open request so
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        for line in process.stdout:
            try:
                payload = json.loads(line)
                reply = Reply(int(payload.pop("id")), str(payload.pop("kind")), payload)
            except (ValueError, KeyError, TypeError):
                continue
            with self._lock:
                on_reply = self._open.pop(reply.id, None) if reply.final else self._open.get(reply.id)
            if on_reply:
                on_reply(reply)
        code = process.wait()
        with self._lock:
            if self._process is process:
                self._process = None
                left, self._open = self._open, {}
            else:
                left = {}
        for number, on_reply in left.items():
            on_reply(Reply(number, "error", {"what": _ended(code), "where": "", "fix": "try again"}))


def _ended(code: int) -> str:
    if code == -9:
        return "the process that worked on this was killed, most likely because memory ran out"
    return f"the process that worked on this ended by itself (exit code {code})"


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
