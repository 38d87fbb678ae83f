"""Several processes that share the work on a file: each takes the next piece, and the results come in order.

The processes are children of `engine.crew_member`, not copies of this one: a fork of a process with threads, or with
torch in it, may hang, and would carry all of its memory along.  On Linux one child sets itself up (which takes
seconds: it imports the tokenizer's library) and then makes the others out of itself, so that they share what it loaded.
They end when this process closes its ends of their sockets, or dies.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from phi_tui.errors import Refusal

_LOOK_UP = 0.2
"""Seconds after which a wait for a result is broken off to see whether to go on."""
_AHEAD = 3
"""Pieces handed out, for each process, beyond the one whose result is due."""


def cores() -> int:
    """Return how many cores this process may use."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Alone:
    """A crew of nobody but this process: the same calls, made here."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def all(self, method: str, *given: Any) -> Any:
        """Call a method."""
        return getattr(self._made, method)(*given)

    def each(self, method: str, pieces: Iterable[Any], waiting: Callable[[], None] = lambda: None) -> Iterator[Any]:
        """Call a method on each piece and yield the results."""
        return map(getattr(self._made, method), pieces)


class Crew:
    """Processes that all hold the object that `setup` ("module:function") makes of `given`, and call its methods."""

    def __init__(self, setup: str, *given: Any, count: int) -> None:
        ours, theirs = zip(*(socket.socketpair() for _ in range(count)), strict=True)
        self._members = [Connection(one.detach()) for one in ours]
        # One child makes the others out of itself; elsewhere than on Linux that is not safe, and each is started.
        groups = [theirs] if sys.platform == "linux" else [(one,) for one in theirs]
        self._processes = []
        handles = [one.fileno() for one in theirs]
        try:
            for group in groups:
                numbers = [one.fileno() for one in group]
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, "-P", "-m", "phi_tui.engine.crew_member", ",".join(map(str, numbers))],
                        pass_fds=numbers,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=None if os.environ.get("PHI_TUI_DEBUG") == "1" else subprocess.DEVNULL,
                        env={**os.environ, "TOKENIZERS_PARALLELISM": "false", "OPENBLAS_NUM_THREADS": "1"},
                    )
                )
            self._leaders = [self._members[handles.index(group[0].fileno())] for group in groups]
            for leader in self._leaders:
                leader.send((setup, given))
        except BaseException:
            self.close()
            raise
        finally:
            for one in theirs:
                one.close()
        self._made: Any = None
        self._is_up = False

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def made(self, waiting: Callable[[], None] = lambda: None) -> Any:
        """Return what `setup` tells of the object it made; `waiting` is called meanwhile, and may raise to end it."""
        if not self._is_up:
            for leader in self._leaders:
                while not leader.poll(_LOOK_UP):
                    waiting()
                self._made = self._result(leader)
            self._is_up = True
        return self._made

    def all(self, method: str, *given: Any) -> Any:
        """Call a method in every process and return what the first one answers."""
        self.made()
        for member in self._members:
            self._send(member, method, given)
        first, *_ = [self._result(member) for member in self._members]
        return first

    def each(self, method: str, pieces: Iterable[Any], waiting: Callable[[], None] = lambda: None) -> Iterator[Any]:
        """Call a method on each piece, as many at once as there are processes, and yield the results in order.

        Raises what the method raised, and Refusal where a process died.
        """
        self.made(waiting)
        todo = enumerate(pieces)
        idle = deque(self._members)
        busy: dict[Any, int] = {}
        done: dict[int, Any] = {}
        due = 0
        ended = False
        while True:
            while idle and not ended and len(done) + len(busy) < _AHEAD * len(self._members):
                number, piece = next(todo, (-1, None))
                if number < 0:
                    ended = True
                    break
                member = idle.popleft()
                self._send(member, method, (piece,))
                busy[member] = number
            while due in done:
                yield done.pop(due)
                due += 1
            if not busy:
                if ended:
                    return
                continue
            ready = wait(list(busy), _LOOK_UP)
            if not ready:
                waiting()
            for free in ready:
                assert isinstance(free, Connection)
                done[busy.pop(free)] = self._result(free)
                idle.append(free)

    def close(self) -> None:
        """End the processes, whatever they are at."""
        for member in self._members:
            member.close()
        for process in self._processes:
            # The others see their sockets close; this one may still be setting itself up.
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()

    def _send(self, member: Connection, method: str, given: tuple[Any, ...]) -> None:
        try:
            member.send((method, given))
        except OSError:
            raise self._died() from None

    def _result(self, member: Connection) -> Any:
        try:
            good, result = member.recv()
        except (EOFError, OSError):
            raise self._died() from None
        if not good:
            raise result
        return result

    def _died(self) -> Refusal:
        return Refusal(
            "a process that prepared the data was ended, most likely because memory ran out; nothing was changed",
            fix="start again, with less else in memory or with fewer cores (taskset -c 0 phi-tui ... uses one)",
        )
