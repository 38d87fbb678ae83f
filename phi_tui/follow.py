"""Following a run: a thread reads its journal and its machine's load, and says when something changed.

It reads files and nothing else, so it follows a run of another process, of another terminal, or of this process
alike, and the run never waits for it.  What is drawn for it is paid by whoever trains on the same cores, so how often
it speaks of mere progress follows from what a redraw takes; a phase before the first step, a warning or an end is told
at once.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from phi_tui import last_words, machine, skimmed
from phi_tui.ahead import Ahead, begin
from phi_tui.errors import PhiError
from phi_tui.journal import Event, Follower
from phi_tui.machine import cores
from phi_tui.metrics import MetricStore, Phase, Snapshot
from phi_tui.run import Run, State

REDRAW_SECONDS = 1.0
"""Steps are drawn this often at the most, and a run that is over as it was found is looked at as often."""

LATEST_SECONDS = 5.0
"""Steps are drawn after this at the latest, however slow drawing is."""

REDRAW_SHARE = 0.002 * cores()
"""Of one core, what drawing steps may take: a fifth of a per cent of all.  A redraw takes 10 to 25 ms, and a step on
the CPU waits for the one of its threads that loses them: at one redraw a second a background run of the demo on two
cores lost 4%.
"""

_NEWS_SECONDS = 0.5
"""What is told at once is told this long after what was told before; a step after a pause is seen within this."""

_CHUNK = 4 * 1024 * 1024
_LOAD_SECONDS = 2.0


class Follow:
    """Follows `run` until closed; `changed` is called on the follower's thread.

    `spent` says how many seconds of a core whoever draws has used so far; this process unless given.  `ahead` is
    reading its journal already, if that is long.
    """

    def __init__(
        self,
        run: Run,
        changed: Callable[[], None],
        spent: Callable[[], float] = time.process_time,
        ahead: Ahead | None = None,
    ) -> None:
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
        self._ahead = ahead or begin(run.journal)
        self._changed = changed
        self._spent = spent
        self._told = -math.inf
        self._spent_then = 0.0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"follower of {run.id}", daemon=True)
        self._thread.start()

    def snapshot(self) -> Snapshot:
        """What is known of the run now; until its journal was read for the first time, it says so."""
        shot = self.store.snapshot(time.time() if self.live else None)
        if self.caught_up.is_set():
            return shot
        return replace(shot, message="reading its journal", phase=Phase("journal", time.time()))

    def close(self) -> None:
        """End the thread; the run is not touched."""
        self._closed.set()
        if self._ahead is not None:
            self._ahead.close()

    def _work(self) -> None:
        if self.live:
            machine.sample(self.run.holder() or None)  # shares of a CPU are counted from one look to the next
        read = self._read_ahead()
        follower = Follower(self.run.journal, read)
        self._catch_up(follower)
        sampled = time.monotonic()
        waiting = False  # whether something is known that was not told yet
        while not self._closed.is_set():
            pid = self.run.holder()
            news = (pid is not None) != self.live
            while events := follower.poll(_CHUNK):
                waiting = self.store.feed(events) or waiting
                news = news or any(map(_is_news, events))
                if self._closed.is_set():
                    return
            self.live = pid is not None
            now = time.monotonic()
            due = now >= self._told + self._pause()
            if self.live and due and now >= sampled + _LOAD_SECONDS:
                sampled = now
                self.load = machine.sample(pid or None)
                waiting = True
            if news or (waiting and due):
                self._tell()
                waiting = False
            self._closed.wait(_NEWS_SECONDS if self.live else REDRAW_SECONDS)

    def _read_ahead(self) -> int:
        """Learn what the process that reads a long journal found, and return how many bytes; until then, an outline."""
        if self._ahead is None:
            return 0
        self.store.become(skimmed.outline(self.run.journal))
        self._changed()
        read = self._ahead.result(self.store)
        if not read:  # it is read the ordinary way, from the start
            self.store.become(MetricStore().contents())
        return read

    def _catch_up(self, follower: Follower) -> None:
        """Read what the journal holds already; its beginning is shown while the rest is read."""
        while not self._closed.is_set() and (events := follower.poll(_CHUNK)):
            self.store.feed(events)
            if time.monotonic() > self._told + REDRAW_SECONDS:
                self._changed()
                self._told = time.monotonic()
        if self.live:
            # A share counted over the moment since the first look would mean nothing.
            self.load = replace(machine.sample(self.run.holder() or None), process_cpu=None)
        self.caught_up.set()
        self._tell()

    def _tell(self) -> None:
        """Say that something changed."""
        self.state = self._state()
        self.printed = last_words.printed(self.run) if self.state == "died" else []
        self._told, self._spent_then = time.monotonic(), self._spent()
        self._changed()

    def _pause(self) -> float:
        """Seconds from one redraw of steps to the next, from what was spent since the last one."""
        took = self._spent() - self._spent_then
        return min(max(REDRAW_SECONDS, took / REDRAW_SHARE), LATEST_SECONDS)

    def _state(self) -> State:
        if self.live:
            return "running"
        try:
            return self.run.state()
        except (OSError, PhiError):
            return "died"


def _is_news(event: Event) -> bool:
    """Whether an event is told at once: all but steps, what comes after every so many of them (small runs evaluate and
    write a checkpoint every few seconds), and how far a phase has come."""
    if event["kind"] == "phase":
        return "done" not in event and event.get("name") not in ("train", "evaluate")
    return event["kind"] not in ("step", "checkpoint", "eval", "sample")


def clock_of_this_thread() -> Callable[[], float]:
    """A function for any thread that says how many seconds of a core the calling thread has used so far.

    That of the whole process where the system tells no thread's time to another (macOS).
    """
    try:
        clock = time.pthread_getcpuclockid(threading.get_ident())
    except (AttributeError, OSError):
        return time.process_time
    return lambda: time.clock_gettime(clock)
