"""What is left of a run that ended without a word: the end of its log, and how to go on.

A trainer that the kernel kills says nothing, so whoever lists or shows runs says it for it.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from phi_tui.run import Run
from phi_tui.safe_text import clean

_TAIL_BYTES = 131_072
_TAIL_LINES = 400
_LINE = 2000
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
DIED = "the trainer ended without a last word: killed, or the machine went down"


def tail(path: Path, lines: int = _TAIL_LINES) -> str:
    """The end of a log as a terminal would have left it, made safe: bars that overwrote themselves show how they ended.

    Raises OSError when it cannot be read.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
    found = text.replace("\r\n", "\n").split("\n")
    if size > _TAIL_BYTES:
        found = found[1:] or found
    settled = [_COLOURS.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in found]
    while settled and not settled[-1].strip():
        settled.pop()
    cut = (line if len(line) <= _LINE else line[: _LINE - 1] + "…" for line in settled[-lines:])
    return clean("\n".join(cut)).strip("\n")


def printed(run: Run, lines: int = 5) -> list[str]:
    """The last lines of a run's log that say anything, made safe; none where there is no log."""
    try:
        return [line for line in tail(run.console, 40).split("\n") if line.strip()][-lines:]
    except OSError:
        return []


def resume_command(run: Run) -> str:
    """The command line that goes on with a run, as far as its project file is where its workspace says; made safe."""
    file = run.path.parents[2] / f"{run.path.parent.name}.toml"
    named = shlex.quote(str(file)) if file.is_file() else "PROJECT.toml"
    return clean(f"phi-tui --replay {named} --resume", one_line=True)
