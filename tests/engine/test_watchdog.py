"""A run that hangs is told of; one that is only slow, or evaluates, is not."""

import threading
from typing import Any

from phi_tui.engine import watchdog


class _Heard:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.came = threading.Event()

    def __call__(self, kind: str, /, **payload: Any) -> None:
        if kind == "warning":
            self.warnings.append(payload["message"])
            self.came.set()


def test_a_run_that_hangs_is_told_of_once(monkeypatch: Any) -> None:
    heard = _Heard()
    with watchdog.watching(heard, heard, least=0.1) as say:
        for step in range(5):
            say("step", step=step)
        assert heard.came.wait(5)
        heard.came.clear()
        assert not heard.came.wait(0.3)
        assert len(heard.warnings) == 1 and "no step came for" in heard.warnings[0]
        say("step", step=5)
        assert heard.came.wait(5)  # it went on and hangs again


def test_signs_of_life_keep_it_quiet() -> None:
    heard = _Heard()
    with watchdog.watching(heard, heard, least=0.3) as say:
        for step in range(3):
            say("step", step=step)
        for done in range(8):
            heard.came.wait(0.1)
            say("phase", name="evaluate", done=done)
    assert not heard.warnings


def test_nothing_is_said_before_the_first_steps() -> None:
    heard = _Heard()
    with watchdog.watching(heard, heard, least=0.05) as say:
        say("phase", name="load")
        assert not heard.came.wait(0.4)
