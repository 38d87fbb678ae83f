"""Runs side by side: their curves, the settings that differ, their figures, and whether they may be compared at all.

A loss says something about another loss only over the same rows, cut into the same tokens; so what the locks say
about data, base and device comes with the figures, and no best is named where there can be none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from phi_tui import journal
from phi_tui.engine import lockfile
from phi_tui.errors import PhiError
from phi_tui.journal import Event
from phi_tui.project import differences, keys
from phi_tui.run import Run, State
from phi_tui.schema import Project
from phi_tui.series import Series

Unit = Literal["count", "number", "bytes", "seconds"]
Row = tuple[str, tuple[Any, ...]]
"""A name and what each run has under it; MISSING where a run has nothing."""

MISSING = "-"

FIGURES: tuple[tuple[str, str, Unit, int], ...] = (
    ("steps", "steps", "count", 0),
    ("best_step", "best step", "count", 0),
    ("last_loss", "last loss", "number", -1),
    ("train_loss", "mean train loss", "number", -1),
    ("eval_loss", "eval loss", "number", -1),
    ("perplexity", "perplexity", "number", -1),
    ("base_perplexity", "base perplexity", "number", 0),
    ("tokens_per_second", "tokens/s", "count", 1),
    ("peak_memory_bytes", "peak memory", "bytes", -1),
    ("seconds", "time", "seconds", -1),
)
"""Key of a figure, its name, its unit, and whether less (-1) or more (1) of it is better, or neither (0)."""

_OF_ROWS = ("last_loss", "train_loss", "eval_loss", "perplexity")
_OF_DEVICE = ("tokens_per_second", "peak_memory_bytes", "seconds")


@dataclass(frozen=True, slots=True)
class Curves:
    """Loss and evaluation loss of a run, against its steps and against its epochs; constant memory."""

    loss: Series = field(default_factory=Series)
    eval_loss: Series = field(default_factory=Series)
    loss_by_epoch: Series = field(default_factory=Series)
    eval_loss_by_epoch: Series = field(default_factory=Series)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that is compared of one run."""

    run: Run
    state: State
    project: Project | None
    lock: dict[str, Any] | None
    curves: Curves
    figures: dict[str, float | None]

    @property
    def name(self) -> str:
        """project/id."""
        return f"{self.run.path.parent.name}/{self.run.id}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of each run, None where it has none, and the places of the best."""

    key: str
    name: str
    unit: Unit
    values: tuple[float | None, ...]
    best: tuple[int, ...]


class Cancelled(Exception):
    """The reading was not wanted any more."""


def read(run: Run, stopping: Callable[[], bool] = lambda: False) -> Reading:
    """Read all that is compared of a run, its journal as a stream.

    What is missing or damaged is left out: the project and the lock are None then.  Raises Cancelled soon after
    `stopping` is true.
    """
    told = _Told()
    for number, event in enumerate(journal.read(run.journal)):
        if not number % 1000 and stopping():
            raise Cancelled
        told.take(event)
    return Reading(run, run.state(), _project(run), _lock(run), told.curves, told.figures())


def settings(projects: Sequence[Project | None]) -> list[Row]:
    """The settings in which projects differ, in the schema's order, with the value of each; sources one by one."""
    known = [project for project in projects if project is not None]
    if len(known) < 2:
        return []
    order: dict[str, None] = {}
    changed: list[dict[str, Any]] = []
    for project in projects:
        found = {} if project is None else {key: value for key, _, value in differences(known[0], project)}
        changed.append(found)
        order |= dict.fromkeys(found)
    base = {key: left for project in known[1:] for key, left, _ in differences(known[0], project)}
    rows: list[Row] = []
    for key in sorted(order, key=list(keys()).index):
        values = tuple(
            MISSING if project is None else found.get(key, base[key])
            for project, found in zip(projects, changed, strict=True)
        )
        rows += _source_rows(values) if key == "data.sources" else [(key, values)]
    return rows


def lock_rows(locks: Sequence[dict[str, Any] | None]) -> list[Row]:
    """What differs in what the runs ran on: base, data, template, device, plan, packages; MISSING without a lock."""
    flat = [_flat(lock) if lock is not None else None for lock in locks]
    known = [table for table in flat if table is not None]
    order = {"base": 0, "data": 1, "template": 2, "device": 3, "plan": 4}
    keys = dict.fromkeys(key for table in known for key in table)
    return [
        (key, tuple(MISSING if table is None else table.get(key, MISSING) for table in flat))
        for key in sorted(keys, key=lambda key: order.get(key.partition(".")[0], 9))
        if len({str(table.get(key, MISSING)) for table in known}) > 1
    ]


def warnings(locks: Sequence[dict[str, Any] | None]) -> list[str]:
    """Why the runs cannot simply be compared, the gravest first; empty when nothing is in the way."""
    found = []
    if _differ(locks, "data", "rows_sha256"):
        found.append("the data differs: losses and perplexities are of other rows and cannot be compared")
    elif _differ(locks, "data", "tokens_fingerprint"):
        found.append("the same rows became other tokens: losses and perplexities cannot be compared")
    if _differ(locks, "base", "weights_sha256") or _differ(locks, "base", "id"):
        found.append("the base differs: the runs began as different models")
    if _differ(locks, "template", "sha256"):
        found.append("the template differs: the same rows were worded differently")
    if _differ(locks, "device", "type") or _differ(locks, "device", "name"):
        found.append("the device differs: speed, time and memory cannot be compared")
    if any(lock is None for lock in locks):
        found.append("a run has no lock.toml: whether data and base are the same is not known")
    return found


def figures(readings: Sequence[Reading]) -> list[Figure]:
    """The figures that at least one run has, with the best of each where a best can be named.

    None is best where the runs saw other data or tokens (losses) or ran on other devices (speed, time, memory), and
    no time where they took other numbers of steps.
    """
    locks = [reading.lock for reading in readings]
    barred: set[str] = set()
    if _differ(locks, "data", "rows_sha256") or _differ(locks, "data", "tokens_fingerprint"):
        barred |= set(_OF_ROWS)
    if _differ(locks, "device", "type") or _differ(locks, "device", "name"):
        barred |= set(_OF_DEVICE)
    if len({reading.figures.get("steps") for reading in readings}) > 1:
        barred.add("seconds")
    table = []
    for key, name, unit, better in FIGURES:
        values = tuple(reading.figures.get(key) for reading in readings)
        known = [value for value in values if value is not None]
        if not known:
            continue
        best: tuple[int, ...] = ()
        if better and key not in barred and len(known) > 1 and len(set(known)) > 1:
            top = min(known) if better < 0 else max(known)
            best = tuple(place for place, value in enumerate(values) if value == top)
        table.append(Figure(key, name, unit, values, best))
    return table


def unfinished_figures(events: Sequence[Event]) -> dict[str, float | None]:
    """The figures of a run that is not done, as far as these events of its journal tell them."""
    told = _Told()
    for event in events:
        told.take(event)
    return told.figures()


class _Told:
    """What the events of a journal add up to."""

    def __init__(self) -> None:
        self.curves = Curves()
        self._done: dict[str, Any] = {}
        self._step = 0
        self._losses = self._speeds = 0
        self._loss_sum = self._speed_sum = 0.0
        self._last_loss: float | None = None
        self._eval: tuple[float, float | None, int] | None = None
        self._base: float | None = None
        self._began = self._newest = self._before = 0.0
        self._going_back = False

    def take(self, event: Event) -> None:
        kind = event["kind"]
        time = number(event.get("time")) or self._newest
        if not self._began or (kind == "phase" and event.get("name") == "start"):
            self._before += self._newest - self._began
            self._began = time
        self._newest = time
        if kind == "step":
            self._take_step(event)
        elif kind == "eval":
            self._take_eval(event)
        elif kind == "resumed":
            step = number(event.get("step")) or 0.0
            self.curves.loss.cut(step + 1)
            self.curves.eval_loss.cut(step + 1)
            self._going_back = True
        elif kind == "done":
            self._done = event

    def _take_step(self, event: Event) -> None:
        step, epoch, loss = number(event.get("step")), number(event.get("epoch")), number(event.get("loss"))
        if step is None:
            return
        self._step = int(step)
        self.curves.loss.append(step, loss)
        if epoch is not None:
            if self._going_back:
                self.curves.eval_loss_by_epoch.cut(epoch)
            self.curves.loss_by_epoch.append(epoch, loss)
        self._going_back = False
        self._last_loss = loss
        if loss is not None:
            self._losses += 1
            self._loss_sum += loss
        if (speed := number(event.get("tokens_per_second"))) is not None:
            self._speeds += 1
            self._speed_sum += speed

    def _take_eval(self, event: Event) -> None:
        step, loss, perplexity = (number(event.get(key)) for key in ("step", "eval_loss", "perplexity"))
        if event.get("base"):
            self._base = perplexity
        elif loss is not None and (self._eval is None or loss < self._eval[0]):
            self._eval = loss, perplexity, int(step or 0)
        if step is not None:
            self.curves.eval_loss.append(step, loss)
        if (epoch := number(event.get("epoch"))) is not None:
            self.curves.eval_loss_by_epoch.append(epoch, loss)

    def figures(self) -> dict[str, float | None]:
        """The figures of the `done` event, else the same ones of what was done so far."""
        if self._done:
            found = {key: number(self._done.get(key)) for key, *_ in FIGURES}
            return found | {"last_loss": self._last_loss}
        loss, perplexity, step = self._eval if self._eval else (None, None, None)
        return {
            "steps": self._step or None,
            "best_step": step,
            "last_loss": self._last_loss,
            "train_loss": self._loss_sum / self._losses if self._losses else None,
            "eval_loss": loss,
            "perplexity": perplexity,
            "base_perplexity": self._base,
            "tokens_per_second": self._speed_sum / self._speeds if self._speeds else None,
            "peak_memory_bytes": None,
            "seconds": self._before + self._newest - self._began or None,
        }


def number(value: object) -> float | None:
    """A finite number, or None for whatever else stands in a journal."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        whole = float(value)
    except OverflowError:
        return None
    return whole if math.isfinite(whole) else None


def _project(run: Run) -> Project | None:
    try:
        return run.project()
    except PhiError:
        return None


def _lock(run: Run) -> dict[str, Any] | None:
    try:
        return lockfile.read(run.path / "lock.toml")
    except PhiError:
        return None


def _flat(tables: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, table in tables.items():
        if isinstance(table, dict):
            flat |= {f"{name}.{key}": value for key, value in table.items()}
        else:
            flat[name] = table
    return flat


def _differ(locks: Sequence[dict[str, Any] | None], table: str, key: str) -> bool:
    flat = [_flat(lock) for lock in locks if lock is not None]
    return len({str(values.get(f"{table}.{key}", MISSING)) for values in flat}) > 1


def _source_rows(values: tuple[Any, ...]) -> list[Row]:
    """The data sources apart, number by number and key by key, those that differ."""
    tables = [
        {f"data.sources {place}.{key}": inner for place, source in enumerate(value, 1) for key, inner in source.items()}
        if isinstance(value, list)
        else {}
        for value in values
    ]
    known = [table for table, value in zip(tables, values, strict=True) if value != MISSING]
    keys = dict.fromkeys(key for table in tables for key in table)
    return [
        (key, tuple(table.get(key, MISSING) for table in tables))
        for key in keys
        if len({str(table.get(key, MISSING)) for table in known}) > 1
    ]
