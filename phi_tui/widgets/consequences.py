"""What follows from the settings: the batch, the steps, parameters, memory, time, and what preflight says.

The figures come from the process that plans; while it computes, the last ones stay, dimmed and said to be old.
What differs from the defaults needs no process and is always up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.text import Text
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static

from phi_tui import form
from phi_tui.safe_text import clean
from phi_tui.schema import Project

State = Literal["none", "computing", "ready", "refused"]

_LABEL = 14
_PARTS = ("weights", "adapter", "activations", "logits")


@dataclass(frozen=True, slots=True)
class Consequences:
    """The last plan, whether it is of the settings as they stand, and what is said against them."""

    state: State = "none"
    plan: Mapping[str, Any] = field(default_factory=dict)
    against: tuple[str, ...] = ()
    """Each thing that is wrong, in the words of whoever refused."""
    fix: str = ""
    """Where, and what to do."""
    doing: str = ""
    """What is being done for the answer."""


def number(value: object) -> float:
    """A number out of a foreign answer; 0 for what is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def count(value: object) -> str:
    """A count in few characters: 812, 12,300, 2.8M, 1.3G."""
    amount = number(value)
    for unit, letter in ((1e9, "G"), (1e6, "M")):
        if amount >= unit:
            return f"{amount / unit:.3g}{letter}"
    return f"{amount:,.0f}"


def size(value: object) -> str:
    """Bytes in decimal units, three digits."""
    amount = number(value)
    for unit, letter in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if amount >= unit:
            return f"{amount / unit:.3g} {letter}"
    return f"{amount:.0f} B"


def duration(value: object) -> str:
    """Seconds as a person says them."""
    seconds = number(value)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def summary(found: Consequences) -> Text:
    """All of it in a line, for a small screen."""
    plan = found.plan
    line = Text(no_wrap=True, overflow="ellipsis")
    if found.state == "refused":
        line.append("! " + clean(found.against[0] if found.against else "refused", one_line=True, limit=200), "bold")
        line.append("  (p: more)")
        return line
    if found.state == "none":
        return Text("")
    if not plan:
        return Text(f"computing what follows: {clean(found.doing, one_line=True, limit=200)}".rstrip(": "))
    memory, device = plan.get("memory") or {}, plan.get("device") or {}
    parts = [
        f"{count(plan.get('tokens_per_step'))} tokens/step",
        f"{count(plan.get('steps'))} steps",
        f"{count(plan.get('trainable'))} trainable",
        f"{size(memory.get('total'))} of {size(device.get('memory'))}",
    ]
    if plan.get("seconds_estimate") is not None:
        parts.append(f"~{duration(plan['seconds_estimate'])}")
    notes = len(plan.get("notes") or ())
    if notes:
        parts.insert(0, f"{notes} note{'s'[: notes > 1]}")
    line.append(" · ".join(parts))
    if found.state == "computing":
        line.append("  (old: computing)")
    return line


def figures(plan: Mapping[str, Any], width: int) -> list[tuple[str, str]]:
    """(what, how much) for each figure of a plan."""
    memory, device = plan.get("memory") or {}, plan.get("device") or {}
    parameters, trainable = number(plan.get("parameters")), number(plan.get("trainable"))
    rows = number(plan.get("rows_per_step"))
    at_once = number(plan.get("batch_size"))
    rows_of = count(rows) if not at_once or at_once >= rows else f"{count(rows)}, up to {count(at_once)} at once"
    total, have = number(memory.get("total")), number(device.get("memory"))
    share = total / have if have else 0.0
    of_all = f" = {trainable / parameters:.2%}" if parameters else ""
    found = [
        ("Tokens a step", f"about {count(plan.get('tokens_per_step'))}"),
        ("Rows a step", rows_of),
        ("Steps", f"{count(plan.get('steps'))}, {count(plan.get('steps_per_epoch'))} an epoch"),
        ("Warm-up", f"{count(plan.get('warmup_steps'))} steps"),
        ("Trainable", f"{count(trainable)} of {count(parameters)}{of_all}"),
        ("Layers", f"{count(plan.get('layers'))} of width {count(plan.get('hidden'))}"),
        ("Number type", f"{plan.get('precision', '')}, weights {plan.get('weights', '')}"),
        ("Device", str(device.get("name", ""))),
        ("Memory", f"{size(total)} of {size(have)}, estimated"),
    ]
    if have:
        found.append(("", _bar(share, max(10, width - _LABEL - 14))))
    parts = memory.get("parts") or {part: memory[part] for part in _PARTS if part in memory}
    found += [(f"  {part}", f"{size(held):>8}") for part, held in parts.items()]
    if plan.get("checkpointing"):
        found.append(("", "activations are recomputed"))
    seconds = plan.get("seconds_estimate")
    found.append(("Time", f"about {duration(seconds)}" if seconds is not None else "not known before a run here"))
    return found


def told(found: Consequences, project: Project, width: int) -> Text:
    """Everything, as lines of text."""
    text = Text()
    old = "dim" if found.state in ("computing", "refused") else ""
    if found.state == "refused":
        text.append("A run with these settings is refused\n", "bold")
        for line in found.against:
            text.append(f"! {clean(line, limit=2000)}\n")
        if found.fix:
            text.append(f"{clean(found.fix, limit=600)}\n", "italic")
        text.append("\n")
    elif found.state == "computing":
        doing = clean(found.doing, one_line=True, limit=200)
        text.append(f"Computing{': ' if doing else ''}{doing}\n\n", "italic")
    if found.plan:
        if found.state == "refused":
            text.append("Before the last change\n", "dim")
        for what, much in figures(found.plan, width):
            text.append(f"{what:<{_LABEL}}", "dim")
            text.append(f"{clean(much, one_line=True, limit=200)}\n", old)
        if notes := found.plan.get("notes"):
            text.append("\nPreflight notes\n", "bold")
            for note in notes:
                text.append(f"- {clean(note, limit=1000)}\n", old)
    differing = form.changed(project)
    longest = max((len(one.key) for one, _ in differing), default=0) if width >= 44 else 0
    text.append("\n" * bool(text.plain) + "Differs from the defaults\n", "bold")
    for one, value in differing:
        text.append(f"{one.key:<{longest}}  ", "dim")
        now, was = (clean(form.spell(one, v), one_line=True, limit=60) for v in (value, one.default))
        text.append(f"{now}  (default {was or 'empty'})\n")
    if not differing:
        text.append("nothing\n", "dim")
    if found.plan:
        if golden := found.plan.get("golden"):
            text.append("\nGolden\n", "bold")
            for line in golden:
                text.append(f"φ {clean(line, limit=300)}\n", old)
        targets = [clean(target, one_line=True, limit=60) for target in found.plan.get("targets") or ()]
        if targets:
            text.append("\nTargets\n", "bold")
            text.append(_list(targets) + "\n", old)
    text.rstrip()
    return text


def _list(targets: list[str]) -> str:
    """Target modules, their last names once each with how often."""
    last: dict[str, int] = {}
    for target in targets:
        name = target.rpartition(".")[2]
        last[name] = last.get(name, 0) + 1
    return ", ".join(f"{name} x {times}" if times > 1 else name for name, times in last.items())


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "under 1%"


def _bar(share: float, width: int) -> str:
    filled = min(width, max(0, round(share * width)))
    return f"[{'#' * filled}{'.' * (width - filled)}] " + (
        f"{_percent(share)}, too much" if share > 1 else _percent(share)
    )


class ConsequencesPanel(VerticalScroll):
    """The text in a panel that scrolls."""

    help_text = "What follows from the settings, computed by the code that trains; it is new 0.4 s after a change."

    BINDINGS = [
        Binding("j", "scroll_down", "Down", show=False, id="consequences.down", tooltip="A line down"),
        Binding("k", "scroll_up", "Up", show=False, id="consequences.up", tooltip="A line up"),
    ]

    def compose(self) -> Any:
        """One text."""
        yield Static("", id="consequences-text", markup=False)

    def show(self, found: Consequences, project: Project) -> None:
        """Show what was found."""
        self.border_title = {
            "none": "What follows",
            "computing": "What follows  computing",
            "ready": "What follows",
            "refused": "What follows  ! refused",
        }[found.state]
        width = max(30, self.content_size.width)
        self.query_one(Static).update(told(found, project, width))
        self.set_class(found.state == "refused", "-refused")
