"""The rows of the Home screen's lists: a project with its newest run, a run with how far it is."""

from __future__ import annotations

import time

from rich.text import Text

from phi_tui import figures
from phi_tui.run_list import Glance
from phi_tui.safe_text import clean
from phi_tui.session import ProjectFile

MARKS = {
    "running": ("●", "bold green"),
    "done": ("✓", "green"),
    "stopped": ("■", "yellow"),
    "failed": ("✗", "red"),
    "died": ("✗", "red"),
    "new": ("○", "dim"),
}
"""A state's sign and colour; its word always stands beside it."""


def project_row(one: ProjectFile, newest: Glance | None, width: int) -> Text:
    """A project's name and what its newest run came to; a broken file says what is wrong."""
    name = clean(one.path.stem, one_line=True)
    row = Text(no_wrap=True)
    if one.project is None:
        row.append(f"! {name}  ", "bold red").append(clean(" ".join(one.flaw.split()), one_line=True, limit=200), "red")
    else:
        row.append(f"  {name}", "bold")
        if newest is not None:
            mark, style = MARKS[newest.state]
            row.append(f"  {mark} {newest.state}", style)
            row.append(f"  {_came_to(newest)}", "dim")
        else:
            base = clean(one.project.model.base, one_line=True, limit=60)
            row.append(f"  {base}, {len(one.project.data.sources)} sources, not trained", "dim")
    row.truncate(width, overflow="ellipsis")
    return row


def run_row(glance: Glance, width: int, now: float) -> Text:
    """A run: live ones with their progress, ended ones with their perplexity and when."""
    mark, style = MARKS[glance.state]
    row = Text(no_wrap=True)
    row.append(f"{mark} {glance.state:<8}", style)
    row.append(f"{clean(glance.project, one_line=True)} ", "bold")
    came_to, when = _came_to(glance), f"  {_when(now - glance.changed)}"
    if row.cell_len + len(came_to) + len(when) >= width:
        came_to = came_to.replace("perplexity ", "ppl ", 1)
    row.append(f" {came_to}").append(when, "dim")
    row.truncate(width, overflow="ellipsis")
    return row


def _came_to(glance: Glance) -> str:
    if glance.figures.get("perplexity") is not None:
        base = glance.figures.get("base_perplexity")
        start = f"{figures.number(base)} → " if base is not None else ""
        return f"perplexity {start}{figures.number(glance.figures['perplexity'])}"
    if glance.state == "running" and not glance.step:
        return clean(glance.phase or "starting", one_line=True)
    if glance.steps:
        loss = f", loss {figures.number(glance.loss)}" if glance.loss is not None else ""
        return f"step {glance.step:,}/{glance.steps:,}{loss}"
    return clean(glance.message, one_line=True, limit=120)


def _when(seconds: float) -> str:
    if seconds < 5:
        return "now"
    if seconds < 86_400 * 2:
        return f"{figures.duration(seconds).rsplit(' ', 2)[0] if seconds >= 60 else figures.duration(seconds)} ago"
    return time.strftime("%Y-%m-%d", time.localtime(time.time() - seconds))
