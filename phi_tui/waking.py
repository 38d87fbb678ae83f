"""What the app does when its process is stopped from outside and goes on: it takes the terminal anew.

Textual knows how to go on after ctrl+z, which it handles itself.  After a bare SIGSTOP (`kill -STOP`, a debugger, a
frozen container) its handler would start reading keys a second time beside the first, and quitting would then hang.
"""

from __future__ import annotations

import contextlib
import signal
from typing import Any

from textual.app import App


def after_a_stop(app: App[Any]) -> None:
    """Handle SIGCONT for a running app; changes nothing where there is no such signal, or another kind of driver."""
    driver: Any = app._driver
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
