"""The rows of the runs table as data: what each column says, which runs a filter leaves, and in which order.

Pure, so that it is tested without a terminal.  What is not in a glance (the figures of a run that is not done) is read
from the first and the last events of its journal, on a thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from rich.cells import cell_len, set_cell_size

from phi_tui import journal
from phi_tui.compare import Unit, number, unfinished_figures
from phi_tui.run_list import Glance
from phi_tui.safe_text import clean
from phi_tui.widgets.canvas import compact

Extras = Mapping[Path, Mapping[str, float | None]]
"""Figures of runs that are not done, by run directory."""

MARK = "●"
NONE = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key, its head, its width in cells, where it stands, and how soon it gives way (0: never)."""

    key: str
    head: str
    width: int
    align: Literal["left", "right"] = "left"
    gives_way: int = 0


COLUMNS = (
    Column("mark", " ", 1),
    Column("project", "project", 12),
    Column("run", "run", 15),
    Column("state", "state", 7),
    Column("step", "step", 11, "right"),
    Column("loss", "loss", 6, "right"),
    Column("perplexity", "ppl", 6, "right"),
    Column("base", "base ppl", 8, "right", 2),
    Column("speed", "tok/s", 6, "right", 3),
    Column("time", "time", 6, "right", 4),
    Column("when", "when", 7, "right", 1),
)
"""Every column, in order from the left."""

SORTS = ("when", "project", "run", "state", "step", "loss", "perplexity", "base", "speed", "time")
"""The columns to sort by, in the order in which one key goes through them."""

_FALLING = ("when", "run", "step", "speed")
"""Columns that show the highest first."""


def columns(width: int, longest_project: int = 0, longest_run: int = 15) -> tuple[list[Column], int]:
    """The columns that a table of so many cells holds, and the gap between them; names get what is left over."""
    shown = list(COLUMNS)
    room = lambda gap: width - sum(column.width + gap for column in shown)  # noqa: E731
    while room(1) < 0 and (least := max(shown, key=lambda column: column.gives_way)).gives_way:
        shown.remove(least)
    gap = 2 if room(2) >= 0 else 1
    left = max(0, room(gap))
    wishes = {"run": longest_run, "project": longest_project}
    for place, column in enumerate(shown):
        if column.key in wishes:
            more = min(left, max(0, wishes[column.key] - column.width))
            shown[place] = Column(column.key, column.head, column.width + more, column.align, column.gives_way)
            left -= more
    return shown, gap


def padded(text: str, column: Column, gap: int) -> str:
    """A cell's text in the column's width, cut with an ellipsis, and the gap after it."""
    if cell_len(text) > column.width:
        text = set_cell_size(text, max(0, column.width - 1)) + "…"
    room = " " * (column.width - cell_len(text))
    return (room + text if column.align == "right" else text + room) + " " * gap


def cell(glance: Glance, key: str, figures: Mapping[str, float | None], *, marked: bool, now: float) -> str:
    """What a column says of a run; foreign text is made safe."""
    value = values(glance, figures).get(key)
    if key == "mark":
        return MARK if marked else " "
    if key in ("project", "run", "state"):
        return clean(value, one_line=True, limit=200)
    if key == "step":
        return progress(glance.step, glance.steps)
    if key == "when":
        return ago(now - glance.changed) if glance.changed else NONE
    if not isinstance(value, float):
        return NONE
    if key in ("time", "speed"):
        return duration(value) if key == "time" else shown(value, "count")
    return next((text for digits in (4, 3, 2) if len(text := compact(value, digits)) <= 6), compact(value, 1))


def values(glance: Glance, figures: Mapping[str, float | None]) -> dict[str, Any]:
    """What the columns sort by; numbers are finite floats, or None."""
    done = glance.figures
    one = lambda key: number(done.get(key)) if done else figures.get(key)  # noqa: E731
    return {
        "project": glance.project,
        "run": glance.run.id,
        "state": glance.state,
        "step": float(glance.step),
        "loss": number(glance.loss) if glance.loss is not None else figures.get("last_loss"),
        "perplexity": one("perplexity"),
        "base": one("base_perplexity"),
        "speed": one("tokens_per_second"),
        "time": one("seconds"),
        "when": glance.changed,
    }


def filtered(glances: Iterable[Glance], words: str) -> list[Glance]:
    """The runs whose project, id or state hold every one of the words, in any case."""
    wanted = words.lower().split()
    return [
        glance
        for glance in glances
        if all(word in f"{glance.project} {glance.run.id} {glance.state}".lower() for word in wanted)
    ]


def ordered(glances: Iterable[Glance], extras: Extras, sort: str, *, reverse: bool = False) -> list[Glance]:
    """The runs by a column, live ones on top, those without a value last; the newest first among equals."""
    rows = sorted(glances, key=lambda glance: (glance.run.id, glance.project), reverse=True)
    keyed = [(values(glance, extras.get(glance.run.path, {}))[sort], glance) for glance in rows]
    there = [entry for entry in keyed if entry[0] is not None]
    there.sort(key=lambda entry: entry[0], reverse=(sort in _FALLING) != reverse)
    found = [glance for _, glance in there] + [glance for value, glance in keyed if value is None]
    return sorted(found, key=lambda glance: glance.state != "running")


def head(column: Column, sort: str, *, reverse: bool) -> str:
    """A column's head, with an arrow on the one that sorts."""
    if column.key != sort:
        return column.head
    return column.head + ("↓" if (sort in _FALLING) != reverse else "↑")


def unfinished(glance: Glance) -> dict[str, float | None]:
    """The figures of a run that is not done so far: from the first and the last events of its journal."""
    first = list(islice(journal.read(glance.run.journal), 20))
    seen = {event.get("seq") for event in first}
    last = [event for event in journal.last(glance.run.journal) if event.get("seq") not in seen]
    return unfinished_figures([*first, *last])


def progress(step: int, steps: int) -> str:
    """12/340, with thousands as k where it would be long."""
    if not steps:
        return str(step) if step else NONE
    text = f"{step}/{steps}"
    return text if len(text) <= 11 else f"{compact(step)}/{compact(steps)}"


def shown(value: object, unit: Unit) -> str:
    """A figure for a person, with its unit; NONE when there is none."""
    if (finite := number(value)) is None:
        return NONE
    if unit == "bytes":
        return size(int(finite))
    if unit == "seconds":
        return duration(finite)
    if unit == "count":
        return f"{finite:,.0f}" if abs(finite) < 1e5 else compact(finite)
    return compact(finite, 4)


def size(count: int) -> str:
    """Bytes for a person: 1.2 MB."""
    for unit, letter in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {letter}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """Seconds for a person, in six characters: 42 s, 3m12s, 5h07m, 2d03h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 100 * 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def ago(seconds: float) -> str:
    """How long ago, in few characters: now, 3 min, 5 h, 12 d, 8 mo."""
    if seconds < 60:
        return "now"
    for most, unit, letter in ((3600, 60, "min"), (86400, 3600, "h"), (60 * 86400, 86400, "d")):
        if seconds < most:
            return f"{int(seconds // unit)} {letter}"
    return f"{int(seconds // (30 * 86400))} mo"


def newest_other(glances: Sequence[Glance], glance: Glance) -> Glance | None:
    """The newest other run of the same project."""
    others = [other for other in glances if other.project == glance.project and other.run.path != glance.run.path]
    return max(others, key=lambda other: other.run.id, default=None)


def today() -> float:
    """Now, in seconds since the epoch."""
    return time.time()
