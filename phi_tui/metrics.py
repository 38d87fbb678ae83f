"""What is known of a run while it is watched: its curves, phase, samples and last words, fed from its journal.

A thread that follows the journal feeds the store, the app's thread reads it; one lock guards both.  However long a
run is, a curve keeps a fixed number of buckets, each with the first, lowest, highest and last point in it, so that
memory and the cost of drawing stay the same.  Texts are kept as they came: whoever shows them cleans them.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from phi_tui import answer_scores
from phi_tui.engine import scores
from phi_tui.journal import Event

BUCKETS = 4096
RECENT = 2048

Point = tuple[float, float]


class Column(NamedTuple):
    """What a series holds in one column of a drawing; the numbers are None where it holds no finite value."""

    low: float | None = None
    high: float | None = None
    last: float | None = None
    gap: bool = False
    """Whether a value that is not finite was reported here: the line breaks."""
    mean: float | None = None


@dataclass(slots=True)
class _Bucket:
    """Neighbouring entries of a series: a real point each for first, low, high and last, and their sum."""

    first_x: float
    last_x: float
    entries: int = 1
    count: int = 0
    total: float = 0.0
    first: Point | None = None
    low: Point | None = None
    high: Point | None = None
    last: Point | None = None
    gap_x: float | None = None

    @classmethod
    def of(cls, x: float, y: float | None) -> _Bucket:
        if y is None:
            return cls(x, x, gap_x=x)
        point = (x, y)
        return cls(x, x, 1, 1, y, point, point, point, point)

    def add(self, x: float, y: float | None) -> None:
        """Take one more entry; what `take` does with a bucket of one, without making it."""
        self.last_x = x
        self.entries += 1
        if y is None:
            self.gap_x = x
            return
        self.count += 1
        self.total += y
        self.last = point = (x, y)
        if self.first is None:
            self.first = point
        if self.low is None or y < self.low[1]:
            self.low = point
        if self.high is None or y > self.high[1]:
            self.high = point

    def take(self, later: _Bucket) -> None:
        """Merge the bucket that comes right after this one into it."""
        self.last_x = later.last_x
        self.entries += later.entries
        if later.gap_x is not None:
            self.gap_x = later.gap_x
        if later.first is None or later.low is None or later.high is None:
            return
        self.count += later.count
        self.total += later.total
        self.first = self.first or later.first
        if self.low is None or later.low[1] < self.low[1]:
            self.low = later.low
        if self.high is None or later.high[1] > self.high[1]:
            self.high = later.high
        self.last = later.last

    def points(self) -> list[Point]:
        """The points known one by one, in order of x, each once."""
        if self.count == 1:
            return [self.first] if self.first else []
        return sorted({point for point in (self.first, self.low, self.high, self.last) if point is not None})


class Series:
    """One curve, y over a rising x, in constant memory; every method takes the lock."""

    def __init__(self, *, buckets: int = BUCKETS, recent: int = RECENT, lock: threading.RLock | None = None) -> None:
        self._lock = lock or threading.RLock()
        self._most = max(2, buckets)
        self._width = 1
        self._buckets: list[_Bucket] = []
        self._recent: deque[tuple[float, float | None]] = deque(maxlen=max(1, recent))
        self._gaps = 0

    def append(self, x: float, y: float | None) -> None:
        """Add a point; None or a value that is not finite is a gap.  An x that goes back cuts what it repeats."""
        if y is not None and not math.isfinite(y):
            y = None
        with self._lock:
            buckets = self._buckets
            if buckets and x <= buckets[-1].last_x:
                self._cut(x)
            self._recent.append((x, y))
            self._gaps += y is None
            if buckets and buckets[-1].entries < self._width:
                buckets[-1].add(x, y)
                return
            if len(buckets) >= self._most:
                self._halve()
            if buckets and buckets[-1].entries < self._width:  # an odd one was left over
                buckets[-1].add(x, y)
            else:
                buckets.append(_Bucket.of(x, y))

    def cut(self, x: float) -> None:
        """Drop everything at or after x.

        A bucket that x falls into is rebuilt from the recent points or, where they no longer reach back so far,
        keeps those of its first, lowest, highest and last points that lie before x.
        """
        with self._lock:
            self._cut(x)

    def window(
        self, start: float | None = None, end: float | None = None, columns: int = 80, *, last: int = 0
    ) -> list[Column]:
        """Return what lies in start..end, both included and None for the series' own, in that many columns.

        `last`, if not 0, is the number of steps back from the newest instead of `start`.  Read from the recent
        points, and so exact in every column, where they reach back to `start`; else from the buckets, whose lowest
        and highest points are exact and lie in the column of their own x.  `mean` is for smoothing: a moving
        average is taken over the columns that are drawn, by whoever draws them, and not kept here.
        """
        with self._lock:
            if not self._buckets or columns < 1:
                return [Column()] * max(0, columns)
            first, newest = self._buckets[0].first_x, self._buckets[-1].last_x
            end = newest if end is None else end
            if last:
                start = max(first, newest - last + 1)
            start = first if start is None else start
            filling = _Filling(start, end, columns)
            if self._recent and (start >= self._recent[0][0] or self._recent[0][0] == first):
                for x, y in self._recent:
                    filling.add(x, y)
            else:
                for bucket in self._buckets[bisect_left(self._buckets, start, key=lambda b: b.last_x) :]:
                    if bucket.first_x > end:
                        break
                    filling.add_bucket(bucket)
        return filling.columns()

    def extent(self) -> tuple[float, float] | None:
        """The first and the last x, gaps included; None while empty."""
        with self._lock:
            return (self._buckets[0].first_x, self._buckets[-1].last_x) if self._buckets else None

    def latest(self) -> tuple[float, float | None] | None:
        """The newest x with its y, None for a gap; None while empty."""
        with self._lock:
            if self._recent:
                return self._recent[-1]
            return (self._buckets[-1].last_x, (self._buckets[-1].last or (0.0, None))[1]) if self._buckets else None

    def gaps(self) -> int:
        """How many entries were not finite; after a cut beyond the recent points, at most that many."""
        with self._lock:
            return self._gaps

    def size(self) -> int:
        """How many buckets are held: at most the number given at the start."""
        with self._lock:
            return len(self._buckets)

    def clear(self) -> None:
        """Forget everything."""
        self.cut(-math.inf)

    def _halve(self) -> None:
        merged = self._buckets[::2]
        for left, right in zip(merged, self._buckets[1::2], strict=False):
            left.take(right)
        self._buckets[:] = merged
        self._width *= 2

    def _cut(self, x: float) -> None:
        while self._recent and self._recent[-1][0] >= x:
            self._recent.pop()
        buckets = self._buckets
        split: _Bucket | None = None
        while buckets and buckets[-1].last_x >= x:
            split = buckets.pop()
        if split is not None and split.first_x < x:
            if self._recent and self._recent[0][0] <= split.first_x:
                kept = [entry for entry in self._recent if entry[0] >= split.first_x]
            else:
                kept = [(at, y) for at, y in split.points() if at < x]
                if split.gap_x is not None and split.gap_x < x:
                    kept = sorted([*kept, (split.gap_x, None)], key=lambda entry: entry[0])
            if kept:
                whole = _Bucket.of(*kept[0])
                for entry in kept[1:]:
                    whole.take(_Bucket.of(*entry))
                buckets.append(whole)
        if not buckets:
            self._width = 1
        self._gaps = sum(bucket.entries - bucket.count for bucket in buckets)


class _Filling:
    """Columns while they are filled, oldest entry first."""

    def __init__(self, start: float, end: float, columns: int) -> None:
        self.start, self.end, self.most = start, end, columns - 1
        self.scale = self.most / (end - start) if end > start else 0.0
        self.low: list[float | None] = [None] * columns
        self.high: list[float | None] = [None] * columns
        self.last: list[float | None] = [None] * columns
        self.gap = [False] * columns
        self.total = [0.0] * columns
        self.count = [0] * columns

    def place(self, x: float) -> int:
        """The column of x, -1 outside."""
        return int((x - self.start) * self.scale + 0.5) if self.start <= x <= self.end else -1

    def add(self, x: float, y: float | None, weight: int = 1) -> None:
        at = self.place(x)
        if at < 0:
            return
        if y is None:
            self.gap[at] = True
            return
        low, high = self.low[at], self.high[at]
        if low is None or y < low:
            self.low[at] = y
        if high is None or y > high:
            self.high[at] = y
        self.last[at] = y
        self.total[at] += y * weight
        self.count[at] += weight

    def add_bucket(self, bucket: _Bucket) -> None:
        if bucket.gap_x is not None:
            self.add(bucket.gap_x, None)
        if bucket.count == 1:
            self.add(*bucket.points()[0])
            return
        for x, y in bucket.points():
            self.add(x, y, 0)
        if bucket.last is not None and (at := self.place(bucket.last[0])) >= 0:
            self.total[at] += bucket.total
            self.count[at] += bucket.count

    def columns(self) -> list[Column]:
        means = (
            total / count if count and math.isfinite(total) else last  # a sum of huge values may overflow
            for total, count, last in zip(self.total, self.count, self.last, strict=True)
        )
        return list(map(Column, self.low, self.high, self.last, self.gap, means))


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
        self._pace: deque[tuple[float, int]] = deque(maxlen=51)

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
