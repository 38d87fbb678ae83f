"""The terminal that the app draws on: kept for the app alone, and taken anew when its process was stopped."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def deserted() -> bool:
    """Whether the server that shows this app in a browser is gone: then nobody else would end it."""
    poll = select.poll()
    poll.register(0, 0)
    return bool(poll.poll(0))


@contextlib.contextmanager
def own(log: Path) -> Iterator[None]:
    """Keep the terminal for the app: it draws on a descriptor of its own, and descriptor 2 goes to `log`.

    Libraries' log handlers, C code and subprocesses write to descriptor 2 and would tear the picture.
    """
    sys.stderr.flush()
    drawn = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
    before, kept = sys.__stderr__, os.dup(2)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(handle, 2)
    os.close(handle)
    sys.__stderr__ = drawn  # type: ignore[misc]  # the library's driver draws on this stream
    try:
        yield
    finally:
        sys.__stderr__ = before  # type: ignore[misc]
        os.dup2(kept, 2)
        os.close(kept)
        with contextlib.suppress(OSError):
            drawn.close()


def after_a_stop(driver: Any) -> None:
    """Let a textual driver that was stopped from outside go on; changes nothing for one that knows no SIGCONT.

    Textual knows how to go on after ctrl+z, which it handles itself.  After a bare SIGSTOP (`kill -STOP`, a debugger, a
    frozen container) its handler would start a second reader of keys beside the first, and with many of them the
    process does not end any more.
    """
    theirs = getattr(driver, "_sigcont_application", None)
    if theirs is None:
        return

    def woken(*_: object) -> None:
        if driver._auto_restart and not driver._must_signal_resume:
            driver.suspend_application_mode()
            driver._must_signal_resume = True
        theirs()

    with contextlib.suppress(ValueError):  # off the main thread there are no signals to handle
        signal.signal(signal.SIGCONT, woken)
