"""A long journal read by a process of its own, in the fraction of a second that the app takes to come up.

Only that process loads numpy and pyarrow, and nothing of it holds up the screen.  It hands over what a `MetricStore`
would hold that was fed event by event; where it fails, whoever waits for it reads the ordinary way.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phi_tui.metrics import MetricStore

LONG = 8 * 1024 * 1024
"""Bytes of a journal that take the app about as long as the process takes to start."""

_KEEPING_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "1000000000"}
"""For the C library: what was freed is used again and not given back.  Fresh pages are dear: a million steps took 1.8 s
of a core the first time that a process read them and 1.1 s the second time.
"""


class Ahead:
    """A process that reads a journal up to the end that it has now; `result` waits for it."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-P", "-m", "phi_tui.long_journal", str(path)]
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_KEEPING_MEMORY | os.environ,
            )

    def result(self, store: MetricStore) -> int:
        """Let the store hold what was read, and return how many bytes that was; 0 if the process did not end well."""
        from phi_tui.long_journal import Flat, whole

        if self._process is None:
            return 0
        told = self._process.communicate()[0]
        if self._process.returncode:
            return 0
        try:
            held, size = pickle.loads(told)  # noqa: S301 - from this very program, through a pipe
        except (pickle.UnpicklingError, EOFError):
            return 0
        store.become({name: whole(value) if isinstance(value, Flat) else value for name, value in held.items()})
        return int(size)

    def close(self) -> None:
        """End the process, and with it the wait for it."""
        if self._process is not None:
            self._process.kill()


def begin(path: Path) -> Ahead | None:
    """Begin to read a journal that is long enough for it."""
    with contextlib.suppress(OSError):
        if os.stat(path).st_size >= LONG:
            return Ahead(path)
    return None
