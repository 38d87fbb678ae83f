"""The runs of a workspace at a glance, read again cheaply: what has not changed on disk is not read twice."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi_tui import figures as shown
from phi_tui import journal, run
from phi_tui.errors import PhiError
from phi_tui.run import State
from phi_tui.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Glance:
    """A run as a list shows it: its state, how far it came, and its figures when it is done."""

    run: run.Run
    project: str
    state: State
    step: int
    steps: int
    loss: float | None
    phase: str
    message: str
    figures: dict[str, Any]
    changed: float
    """When its journal was written to last, in seconds since the epoch."""

    @property
    def name(self) -> str:
        """project/id, as `phi-tui attach` takes it."""
        return f"{self.project}/{self.run.id}"


class RunList:
    """Reads the runs of a workspace; safe to use from any thread."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[tuple[int, int, bool], Glance]] = {}
        self._lock = threading.Lock()

    def read(self, workspace: Workspace) -> list[Glance]:
        """The runs, live ones first, then the newest; a run directory that cannot be read is left out."""
        with self._lock:
            found = []
            try:
                runs = run.listed(workspace)
            except (OSError, PhiError):
                return []
            for one in runs:
                glance = self._glance(one)
                if glance is not None:
                    found.append(glance)
            kept = {glance.run.path for glance in found}
            self._seen = {path: entry for path, entry in self._seen.items() if path in kept}
        return sorted(found, key=lambda glance: (glance.state != "running",))

    def _glance(self, one: run.Run) -> Glance | None:
        try:
            stat = one.journal.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            changed = stat.st_mtime
        except FileNotFoundError:
            stamp, changed = (0, 0), 0.0
        except OSError:
            return None
        live = one.holder() is not None
        key = (*stamp, live)
        if one.path in self._seen and self._seen[one.path][0] == key:
            return self._seen[one.path][1]
        glance = _read(one, changed)
        self._seen[one.path] = key, glance
        return glance


def _read(one: run.Run, changed: float) -> Glance:
    state = one.state()
    step = steps = 0
    loss: float | None = None
    phase = message = ""
    figures: dict[str, Any] = {}
    for event in _newest(one, state):
        kind = event["kind"]
        if kind == "step":
            step, steps, loss = _whole(event, "step"), _whole(event, "steps"), _number(event.get("loss"))
            phase = "train"
        elif kind == "phase":
            phase = str(event.get("name", ""))
            steps = _whole(event, "steps") or steps
        elif kind in ("stopped", "failed"):
            message = str(event.get("message", ""))
        elif kind == "done":
            figures = {key: value for key, value in event.items() if key not in ("seq", "time", "kind")}
            step = steps = _whole(figures, "steps") or step
    return Glance(one, one.path.parent.name, state, step, steps, loss, phase, message, figures, changed)


def _newest(one: run.Run, state: State) -> list[journal.Event]:
    """The events that tell how a run stands; of a live one, read every other second, few if a step is among them."""
    if state == "running":
        few = journal.last(one.journal, 4096)
        if any(event["kind"] == "step" for event in few):
            return few
    return journal.last(one.journal)


def _whole(event: dict[str, Any], key: str) -> int:
    """A count from a journal, 0 for what is none: anybody may have written there."""
    number = _number(event.get(key))
    return int(number) if number is not None and abs(number) <= 2**53 else 0


def _number(value: Any) -> float | None:
    return shown.finite(value)
