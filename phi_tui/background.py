"""The process of a background run: `python -m phi_tui.background RUN WORKSPACE LOCK [--resume]`, made by `launch`.

It belongs to a session of its own, so no terminal's end reaches it; SIGTERM and SIGINT finish the step, save and
exit with 130, a second one ends at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from phi_tui.errors import PhiError
from phi_tui.redaction import scrub_output
from phi_tui.run import Run
from phi_tui.workspace import Workspace


def main(given: list[str]) -> int:
    """Run what is frozen in the run directory and return the exit code."""
    stop = threading.Event()

    def caught(number: int, frame: Any) -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, caught)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    scrub_output()
    from phi_tui.engine import pipeline

    try:
        pipeline.into(
            Run(Path(given[0])),
            Workspace(Path(given[1])),
            _nobody,
            handle=int(given[2]),
            stopping=stop.is_set,
            resume="--resume" in given[3:],
        )
    except PhiError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except Exception:
        import traceback

        traceback.print_exc()
        return 4
    return 0


def _nobody(kind: str, /, **payload: Any) -> None:
    """The journal is the only listener."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
