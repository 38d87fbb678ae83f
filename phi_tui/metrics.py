"""What is known of a run while it is watched: its curves, phase, samples and last words, fed from its journal.

A thread that follows the journal feeds the store, the app's thread reads it; one lock guards both.  Texts are kept as
they came: whoever shows them cleans them.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from phi_tui import answer_scores
from phi_tui.engine import scores
from phi_tui.journal import Event
from phi_tui.series import Contents, Series

State = Literal["new", "running", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Phase:
    """What the run is, or was, at."""

    name: str
    started: float
    """Seconds since the epoch."""
    detail: str = ""
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log; its kind is phase, evaluation, note or the name of the journal's event."""

    time: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A text that the model wrote at a step."""

    step: int
    prompt: str
    text: str
    wanted: str = ""
    """What the row has in its place."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is known of a run but its curves; nothing in it changes any more."""

    state: State = "new"
    phase: Phase | None = None
    phases: tuple[Phase, ...] = ()
    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    tokens: int = 0
    checkpoints: tuple[int, ...] = ()
    evaluations: tuple[int, ...] = ()
    log: tuple[Line, ...] = ()
    samples: tuple[Sample, ...] = ()
    base_perplexity: float | None = None
    scores: dict[str, Any] | None = None
    """The newest evaluation's event, where a head is trained; `base_scores` that of the untrained one."""
    base_scores: dict[str, Any] | None = None
    message: str = ""
    figures: dict[str, Any] | None = None
    eta_seconds: float | None = None
    elapsed_seconds: float = 0.0


class MetricStore:
    """The curves and everything else of one run, as its journal tells it; safe from any thread."""

    WARM_UP = 3
    """Steps of a session that no estimate of the time left is made from: the first ones are slow."""

    PACED = 50
    """The newest steps, from which it is made."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.loss = Series(lock=self._lock)
        self.eval_loss = Series(lock=self._lock)
        self.perplexity = Series(lock=self._lock)
        self.lr = Series(lock=self._lock)
        self.grad_norm = Series(lock=self._lock)
        self.tokens_per_second = Series(lock=self._lock)
        names = ("loss", "lr", "grad_norm", "tokens_per_second")
        self._stepped: tuple[tuple[str, Series], ...] = tuple((name, getattr(self, name)) for name in names)
        self._phases: deque[Phase] = deque(maxlen=200)
        self._checkpoints: deque[int] = deque(maxlen=1000)
        self._evaluations: deque[int] = deque(maxlen=1000)
        self._log: deque[Line] = deque(maxlen=500)
        self._samples: deque[Sample] = deque(maxlen=200)
        self._state: State = "new"
        self._step = self._steps = self._tokens = 0
        self._epoch = 0.0
        self._base_perplexity: float | None = None
        self._scores: dict[str, Any] | None = None
        self._base_scores: dict[str, Any] | None = None
        self._message = ""
        self._figures: dict[str, Any] | None = None
        self._before = 0.0  # seconds of earlier sessions
        self._began = self._newest = 0.0
        self._warming = 0
        self._pace: deque[tuple[float, int]] = deque(maxlen=self.PACED + 1)

    def feed(self, events: Iterable[Event]) -> bool:
        """Take events of the journal, in order, and return whether anything known came; odd ones are passed over."""
        changed = False
        for event in events:
            handler = getattr(self, f"_on_{event.get('kind')}", None)
            if handler is None:
                continue
            with self._lock:  # anew for each, so that a reader never waits for a whole journal
                time = _number(event.get("time")) or self._newest
                alive = event["kind"] in ("phase", "step", "eval", "resumed")
                starts = event["kind"] == "phase" and event.get("name") == "start"
                if starts or not self._began or (alive and self._state not in ("new", "running")):
                    self._begin_session(time)
                self._newest = max(self._newest, time)
                if alive or self._state == "new":
                    self._state = "running"
                handler(event, time)
            changed = True
        return changed

    def snapshot(self, now: float | None = None) -> Snapshot:
        """Return what is known; `now` (seconds since the epoch) makes the elapsed time of a live run go on."""
        with self._lock:
            until = max(now or 0.0, self._newest) if self._state == "running" else self._newest
            return Snapshot(
                state=self._state,
                phase=self._phases[-1] if self._phases else None,
                phases=tuple(self._phases),
                step=self._step,
                steps=self._steps,
                epoch=self._epoch,
                tokens=self._tokens,
                checkpoints=tuple(self._checkpoints),
                evaluations=tuple(self._evaluations),
                log=tuple(self._log),
                samples=tuple(self._samples),
                base_perplexity=self._base_perplexity,
                scores=self._scores,
                base_scores=self._base_scores,
                message=self._message,
                figures=dict(self._figures) if self._figures is not None else None,
                eta_seconds=self._eta(),
                elapsed_seconds=self._before + until - self._began,
            )

    def contents(self) -> dict[str, Any]:
        """Everything that is held, by the names of the attributes, for a store of another process."""
        with self._lock:
            kept = {name: value for name, value in vars(self).items() if name in _HELD}
            return {name: one.contents() if isinstance(one, Series) else one for name, one in kept.items()}

    def become(self, held: dict[str, Any]) -> None:
        """Hold what another store held; the curves stay the objects that they are."""
        with self._lock:
            for name, value in held.items():
                if isinstance(value, Contents):
                    getattr(self, name).become(value)
                else:
                    setattr(self, name, value)

    def _begin_session(self, time: float) -> None:
        self._before += self._newest - self._began
        self._began = self._newest = time
        self._message, self._figures = "", None
        self._forget_pace()

    def _forget_pace(self) -> None:
        self._pace.clear()
        self._warming = self.WARM_UP

    def _eta(self) -> float | None:
        if self._state != "running" or len(self._pace) < 2 or not self._steps:
            return None
        (began, first), (newest, last) = self._pace[0], self._pace[-1]
        if newest <= began or last <= first:
            return None
        return (newest - began) / (last - first) * max(0, self._steps - last)

    def _say(self, time: float, kind: str, text: object) -> None:
        self._log.append(Line(time, kind, str(text)))

    def _on_step(self, event: Event, time: float) -> None:
        step = _whole(event.get("step"))
        if step is None:
            return
        if step <= self._step:
            self._forget_pace()
        for name, series in self._stepped:
            if name in event:
                series.append(step, _number(event[name]))
        self._step = step
        self._steps = _whole(event.get("steps")) or self._steps
        self._epoch = _number(event.get("epoch")) or self._epoch
        self._tokens = _whole(event.get("tokens")) or self._tokens
        self._warming -= 1
        if self._warming <= 0:
            self._pace.append((time, step))
        if not self._phases or self._phases[-1].name != "train":  # after an evaluation nothing else says so
            self._phases.append(Phase("train", time))

    def _on_eval(self, event: Event, time: float) -> None:
        step = _whole(event.get("step"))
        if step is None:
            return
        perplexity = _number(event.get("perplexity"))
        self.eval_loss.append(step, _number(event.get("eval_loss")))
        if not scores.scored(event):
            self.perplexity.append(step, perplexity)
        _drop_from(self._evaluations, step)
        self._evaluations.append(step)
        base = bool(event.get("base"))
        what = "of the base: " if base else f"at step {step}: "
        good = scores.summary(event) or f"perplexity {_shown(perplexity)}"
        good += f", {said}" if (said := answer_scores.summary(event)) else ""
        self._say(time, "evaluation", f"{what}loss {_shown(event.get('eval_loss'))}, {good}")
        if scores.scored(event):
            self._scores, self._base_scores = event, event if base else self._base_scores
        elif base:
            self._base_perplexity = math.inf if perplexity is None else perplexity

    def _on_phase(self, event: Event, time: float) -> None:
        name, detail = str(event.get("name") or ""), str(event.get("detail") or "")
        phase = Phase(name, time, detail, _whole(event.get("done")), _whole(event.get("total")))
        before = self._phases[-1] if self._phases else None
        if before and before.name == name and ("done" in event or before.detail == detail):
            self._phases[-1] = Phase(name, before.started, detail or before.detail, phase.done, phase.total)
        else:
            self._phases.append(phase)
            if name not in ("train", "evaluate"):
                self._say(time, "phase", f"{name}: {detail}" if detail else name)
        self._steps = _whole(event.get("steps")) or self._steps
        notes = event.get("notes")
        for note in notes if isinstance(notes, list) else []:
            self._say(time, "note", note)

    def _on_checkpoint(self, event: Event, time: float) -> None:
        step = _whole(event.get("step"))
        if step is not None:
            _drop_from(self._checkpoints, step)
            self._checkpoints.append(step)
        self._say(time, "checkpoint", event.get("path", ""))

    def _on_warning(self, event: Event, time: float) -> None:
        self._say(time, "warning", event.get("message", ""))

    def _on_sample(self, event: Event, time: float) -> None:
        step = _whole(event.get("step"))
        at = self._step if step is None else step
        words = (str(event.get(key) or "") for key in ("prompt", "text", "wanted"))
        self._samples.append(Sample(at, *words))

    def _on_control(self, event: Event, time: float) -> None:
        self._say(time, "control", event.get("request", ""))

    def _on_resumed(self, event: Event, time: float) -> None:
        step = _whole(event.get("step")) or 0
        for series in (self.loss, self.lr, self.grad_norm, self.tokens_per_second, self.eval_loss, self.perplexity):
            series.cut(step + 1)
        _drop_from(self._checkpoints, step + 1)
        _drop_from(self._evaluations, step + 1)
        self._step = min(self._step, step)
        self._forget_pace()
        self._say(time, "resumed", f"from step {step}")

    def _on_stopped(self, event: Event, time: float) -> None:
        self._state, self._message = "stopped", str(event.get("message", ""))
        self._say(time, "stopped", self._message)

    def _on_failed(self, event: Event, time: float) -> None:
        self._state, self._message = "failed", str(event.get("message", ""))
        self._say(time, "failed", self._message)

    def _on_done(self, event: Event, time: float) -> None:
        self._state = "done"
        self._figures = {key: value for key, value in event.items() if key not in ("seq", "time", "kind")}
        self._say(time, "done", f"after {_whole(event.get('steps')) or self._step} steps")
        for line in scores.table(event):
            self._say(time, "matrix", line)


_HELD = frozenset(vars(MetricStore())) - {"_lock", "_stepped"}


def _shown(value: Any) -> str:
    number = _number(value)
    return "not finite" if number is None else f"{number:.4g}"


def _number(value: Any) -> float | None:
    if type(value) is float:  # nearly always; the rest is for journals that somebody else wrote
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _whole(value: Any) -> int | None:
    if type(value) is int:
        return value if abs(value) <= 2**53 else None
    number = _number(value)
    return None if number is None or abs(number) > 2**53 else int(number)


def _drop_from(steps: deque[int], step: int) -> None:
    while steps and steps[-1] >= step:
        steps.pop()
