"""How the command line brings the app up: at once."""

from __future__ import annotations

import gc
from typing import Any


def the_app() -> Any:
    """Import the app and return `app.run_app`.

    What an import makes is no garbage, and looking for some is a tenth of the start: the collector rests until the
    app has drawn its first picture.
    """
    gc.disable()
    from phi_tui.app import run_app

    return run_app


def end_of_start() -> None:
    """Let the collector work from now on, but for what is there: that stays, and need not be looked through."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
