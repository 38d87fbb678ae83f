"""The findings of preparing: to whoever listens as they are made, and to findings.jsonl in the order of the rows.

That a row repeats an earlier one is known only once its source was read, so what else is found in a source waits in a
file, each finding with how many good rows stand before it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from phi_tui.engine.gathered import Gathered
from phi_tui.engine.rows import Finding

_SHOWN = 5
_NAMES = ("severity", "code", "file", "line", "message", "fix")


class Told:
    """Takes findings: into findings.jsonl, to whoever listens, and the first errors into memory."""

    def __init__(self, listener: Callable[[Finding], None] | None) -> None:
        self._listener = listener or (lambda finding: None)
        self.counts: Counter[str] = Counter()
        """How many of each code stand in the file; a code comes where its first one does."""
        self.errors: list[Finding] = []

    def begin(self, file: BinaryIO, waiting: Path) -> None:
        """Write to `file` from now on, and let findings wait in a file of their own."""
        self._file, self._path = file, waiting
        self._waiting: BinaryIO | None = None

    def __call__(self, finding: Finding) -> None:
        """Take a finding that comes behind all others."""
        self._write(finding.code, _line(finding))
        self._listener(finding)

    def hold(self, rows: int, finding: Finding) -> None:
        """Take a finding that stands behind `rows` good rows of the source that is being read."""
        if finding.severity == "error" and len(self.errors) < _SHOWN:
            self.errors.append(finding)
        if self._waiting is None:
            opened = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self._waiting = open(opened, "w+b", buffering=1 << 18)  # noqa: SIM115 - closed by `settle`
        self._waiting.write(b"%d\t%s\t%s" % (rows, finding.code.encode(), _line(finding)))
        self._listener(finding)

    def settle(self, rows: Gathered) -> int:
        """Put what was found in a source into the file, with which of its rows repeat one; return how many do."""
        repeated = rows.repeated()
        nxt = next(repeated, None)
        count = 0
        waiting, self._waiting = self._waiting, None

        def tell_until(place: int | None) -> None:
            nonlocal nxt, count
            while nxt is not None and (place is None or nxt[0] < place):
                (file, line), (other, at) = rows.place(nxt[0]), rows.place(nxt[1])
                self(Finding("warning", "duplicate", file, line, f"says the same as {other}:{at}"))
                count += 1
                nxt = next(repeated, None)

        if waiting is not None:
            with waiting:
                waiting.seek(0)
                for entry in waiting:
                    place, code, line = entry.split(b"\t", 2)
                    tell_until(int(place))
                    self._write(code.decode(), line)
            self._path.unlink()
        tell_until(None)
        return count

    def _write(self, code: str, line: bytes) -> None:
        self.counts[code] += 1
        self._file.write(line)


def _line(finding: Finding) -> bytes:
    # Names of files may hold bytes that are no UTF-8: ASCII escapes carry anything.
    return json.dumps({name: getattr(finding, name) for name in _NAMES}).encode() + b"\n"
