"""What libraries print goes to a file, whatever way they print it: Python streams, loggers, C code, subprocesses.

The file descriptors 1 and 2 are pointed at the log; the descriptors that a person sees are kept aside for whoever
draws.  Logging handlers bound to the old stderr write to descriptor 2 and are caught too.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from phi_tui.redaction import scrub_output


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what libraries print from the terminal for a while, such as the bars of a loading model."""
    console = Console()
    try:
        yield
    finally:
        console.restore()


class Console:
    """Redirects this process's output to a file until `restore`; `out` and `err` are the real streams meanwhile."""

    def __init__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._saved = os.dup(1), os.dup(2)
        self.out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        self.err: TextIO = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
        handle, name = tempfile.mkstemp(prefix="phi-tui-", suffix=".log")
        self.path = Path(name)
        self._temporary = True
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.close(handle)
        self._streams = sys.stdout, sys.stderr
        scrub_output()

    def move_to(self, path: Path) -> None:
        """Go on in `path` (appending), with what was printed so far."""
        sys.stdout.flush()
        sys.stderr.flush()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(handle, self.path.read_bytes())
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.close(handle)
        self._drop()
        self.path, self._temporary = path, False

    def keep(self) -> Path:
        """Keep the log even where no run took it over, and return its path."""
        self._temporary = False
        return self.path

    def restore(self) -> None:
        """Give the process its own output back."""
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = self._streams
        self.out.close()
        self.err.close()
        for number, saved in zip((1, 2), self._saved, strict=True):
            os.dup2(saved, number)
            os.close(saved)
        self._drop()

    def _drop(self) -> None:
        if self._temporary:
            self.path.unlink(missing_ok=True)
