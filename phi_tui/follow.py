"""Following a run: a thread reads its journal and its machine's load, and says at most once a second that
something changed.

It reads files and nothing else, so it follows a run of another process, of another terminal, or of this process
alike, and the run never waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from phi_tui import last_words, machine
from phi_tui.errors import PhiError
from phi_tui.journal import Follower
from phi_tui.metrics import MetricStore, Snapshot
from phi_tui.run import Run, State

REDRAW_SECONDS = 1.0
"""A chart over SSH is redrawn once a second at the most: a redraw takes some 10 ms of a core, and a run on the CPU
waits for the one of its threads that loses them.
"""
_LOOK_SECONDS = 0.5
"""A step that comes after a pause is seen within this."""

_CHUNK = 4 * 1024 * 1024
_LOAD_SECONDS = 2.0
_IDLE_SECONDS = 1.0


class Follow:
    """Follows `run` until closed; `changed` is called on the follower's thread."""

    def __init__(self, run: Run, changed: Callable[[], None]) -> None:
        self.run = run
        self.store = MetricStore()
        self.caught_up = threading.Event()
        """Set once everything that the journal held at the start was read."""
        self.live = run.holder() is not None
        self.state: State = "running" if self.live else "new"
        self.load: machine.Sample | None = None
        """The machine's load, while the run is live."""
        self.printed: list[str] = []
        """The end of its log, where it died without a last word."""
        self._changed = changed
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"follower of {run.id}", daemon=True)
        self._thread.start()

    def snapshot(self) -> Snapshot:
        """What is known of the run now."""
        return self.store.snapshot(time.time() if self.live else None)

    def close(self) -> None:
        """End the thread; the run is not touched."""
        self._closed.set()

    def _work(self) -> None:
        follower = Follower(self.run.journal)
        sampled = 0.0
        while not self._closed.is_set():
            pid = self.run.holder()
            told = False
            began = time.monotonic()
            while events := follower.poll(_CHUNK):
                told = self.store.feed(events) or told
                if self._closed.is_set():
                    return
                if not self.caught_up.is_set() and time.monotonic() - began > REDRAW_SECONDS:
                    began = time.monotonic()
                    self._changed()
            first = not self.caught_up.is_set()
            self.caught_up.set()
            if told or first or (pid is not None) != self.live:
                self.live = pid is not None
                self.state = self._state()
                self.printed = last_words.printed(self.run) if self.state == "died" else []
                told = True
            if self.live and time.monotonic() - sampled >= _LOAD_SECONDS:
                sampled = time.monotonic()
                self.load = machine.sample(pid or None)
                told = True
            if told:
                self._changed()
            self._closed.wait((REDRAW_SECONDS if told else _LOOK_SECONDS) if self.live else _IDLE_SECONDS)

    def _state(self) -> State:
        if self.live:
            return "running"
        try:
            return self.run.state()
        except (OSError, PhiError):
            return "died"
