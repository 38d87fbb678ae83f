"""The learning rate over a run, drawn from the settings as they are typed: warm-up and restarts are marked.

The curve is that of the trainer, sampled: a schedule is a pure function of its step.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from phi_tui import phi
from phi_tui.form import spelled
from phi_tui.schedules import decay_start, factor
from phi_tui.schema import Project
from phi_tui.series import Column
from phi_tui.widgets import canvas
from phi_tui.widgets.canvas import Charset
from phi_tui.widgets.chart import charset_for

UNKNOWN_STEPS = 100
"""The steps that a curve is drawn over while nobody knows how many there will be."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What the curve depends on."""

    name: str
    peak: float
    steps: int
    warmup: int
    restarts: int
    known: bool
    """Whether `steps` is the number there will be, or stands for it."""
    floor: float = 0.1
    decay: float = 0.2


def schedule_of(project: Project, steps_per_epoch: int = 0) -> Schedule:
    """The schedule of a project; `steps_per_epoch` comes from the plan, 0 while it is not known."""
    train = project.train
    steps = train.max_steps or math.ceil(train.epochs * steps_per_epoch)
    warmup = phi.warmup_steps(train.warmup, steps or UNKNOWN_STEPS)
    return Schedule(
        train.scheduler,
        train.learning_rate,
        steps or UNKNOWN_STEPS,
        warmup,
        train.restarts,
        known=bool(steps),
        floor=train.floor,
        decay=train.decay,
    )


def restarts_at(schedule: Schedule) -> list[float]:
    """The steps at which a period starts anew, or the flat part ends."""
    length = max(0, schedule.steps - schedule.warmup)
    if schedule.name == "phi_restarts":
        ends = phi.restart_bounds(length, schedule.restarts)
    elif schedule.name == "cosine_with_restarts":
        ends = [length * (place + 1) / (schedule.restarts + 1) for place in range(schedule.restarts + 1)]
    elif schedule.name == "warmup_stable_decay":
        start = decay_start(schedule.steps, schedule.warmup, schedule.decay)
        return [float(start)] if schedule.warmup < start < schedule.steps else []
    else:
        return []
    return [schedule.warmup + end for end in ends[:-1]] if length else []


def columns(schedule: Schedule, count: int, *, samples: int = 4) -> list[Column]:
    """The rate in `count` columns over the run, a few steps of each looked at."""
    found = []
    last = max(1, schedule.steps - 1)
    for column in range(count):
        first, end = last * column / count, last * (column + 1) / count
        steps = {round(first + (end - first) * part / samples) for part in range(samples)}
        rates = [_rate(schedule, step) for step in sorted(steps)]
        found.append(Column(min(rates), max(rates), rates[-1], False, sum(rates) / len(rates)))
    return found


def formula(schedule: Schedule) -> str:
    """What the curve is, in a line."""
    warmup = f"{schedule.warmup:,} warm-up steps, then " if schedule.warmup else ""
    if schedule.name == "phi_restarts":
        return f"{warmup}{schedule.restarts + 1} cosine periods, T(k) = T(0) * phi^k"
    if schedule.name == "cosine_with_restarts":
        return f"{warmup}{schedule.restarts + 1} equal cosine periods"
    if schedule.name == "cosine_with_floor":
        return f"{warmup}half a cosine to {schedule.floor:g} of the peak"
    if schedule.name == "warmup_stable_decay":
        return f"{warmup}the peak, then 1 - sqrt(x) over the last {schedule.decay:g} of the steps"
    return warmup + {"constant": "the peak to the end", "linear": "a line to 0", "cosine": "half a cosine to 0"}.get(
        schedule.name, schedule.name
    )


def picture(schedule: Schedule, width: int, height: int, charset: Charset) -> list[str]:
    """The rows of text: the curve with its rates at the left, the axis with `^` at restarts and the end of the warm-up,
    the steps, and what the curve is."""
    gutter = 8
    wide, high = max(8, width - gutter), max(2, height - 3)
    marks = restarts_at(schedule)
    drawn = canvas.draw(
        columns(schedule, canvas.pixel_columns(charset, wide)),
        width=wide,
        height=high,
        start=0,
        end=max(1, schedule.steps - 1),
        charset=charset,
        label_width=gutter - 1,
        checkpoints=[*([float(schedule.warmup)] if schedule.warmup else []), *marks],
    )
    rows = [f"{label:>{gutter - 1}} {row}" for label, row in zip(drawn.labels, drawn.rows, strict=True)]
    steps = drawn.x_labels if schedule.known else "steps: not known yet"[:wide].ljust(wide)
    return [*rows, " " * gutter + drawn.axis, " " * gutter + steps, formula(schedule)]


def _rate(schedule: Schedule, step: int) -> float:
    try:
        share = factor(
            schedule.name,
            step,
            schedule.steps,
            schedule.warmup,
            schedule.restarts,
            floor=schedule.floor,
            decay=schedule.decay,
        )
    except (ValueError, OverflowError):  # a schedule that this drawing does not know
        return math.nan
    return share * schedule.peak


class ScheduleCurve(Widget):
    """The curve; drawn when it is shown something else or its size changes."""

    COMPONENT_CLASSES = {"schedule-curve--line", "schedule-curve--words"}
    help_text = (
        "The learning rate over the run; ^ on the axis marks the end of the warm-up, each restart and the decay."
    )

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.schedule: Schedule | None = None
        self.charset = charset_for(os.environ)
        self._drawn: tuple[object, list[str]] = (None, [])

    def show(self, schedule: Schedule) -> None:
        """Draw another schedule."""
        if schedule != self.schedule:
            self.schedule = schedule
            self.border_title = f"Learning rate  {schedule.name}, peak {spelled(schedule.peak)}"
            self.refresh()

    def render(self) -> RenderResult:
        """The picture, its words in another style."""
        if self.schedule is None or self.size.width < 20 or self.size.height < 4:
            return Text("")
        key = (self.schedule, self.size, self.charset)
        if self._drawn[0] != key:
            self._drawn = (key, picture(self.schedule, self.size.width, self.size.height, self.charset))
        rows = self._drawn[1]
        line = self.get_component_rich_style("schedule-curve--line", partial=True)
        words = self.get_component_rich_style("schedule-curve--words", partial=True)
        text = Text(no_wrap=True, overflow="crop")
        for place, row in enumerate(rows):
            text.append(row + "\n" * (place + 1 < len(rows)), line if place < len(rows) - 3 else words)
        return text
