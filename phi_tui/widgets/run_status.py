"""What a run is at, in two lines and a bar: state, phase, step, epoch, time gone and left, loss and perplexity."""

from __future__ import annotations

import os

from rich.text import Text
from textual.geometry import Region
from textual.widget import Widget

from phi_tui import figures
from phi_tui.engine import scores
from phi_tui.metrics import Snapshot
from phi_tui.run import State
from phi_tui.safe_text import clean
from phi_tui.widgets.chart import charset_for

_WORDS: dict[str, tuple[str, str]] = {
    "new": ("○ not started", "dim"),
    "running": ("● running", "bold green"),
    "done": ("✓ done", "bold green"),
    "stopped": ("■ stopped", "bold yellow"),
    "failed": ("✗ failed", "bold red"),
    "died": ("✗ died", "bold red"),
}
_PHASES = {
    "journal": "reading its journal",
    "launch": "starting the trainer",
    "base": "looking for the base",
    "read": "reading the data",
    "tokenise": "tokenising",
    "preflight": "checking",
    "start": "starting",
    "load": "loading the base",
    "batch size": "finding the batch size",
    "evaluate": "evaluating",
    "train": "training",
}


class RunStatus(Widget):
    """Three lines; `show` draws them, and repaints only those that changed."""

    def __init__(self, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._lines: list[Text] = []
        self._shown: tuple[str, State, Snapshot, float | None, float | None] | None = None

    def show(self, name: str, state: State, shot: Snapshot, loss: float | None, perplexity: float | None) -> None:
        """Draw what is known; `loss` and `perplexity` are the newest ones."""
        self._shown = (name, state, shot, loss, perplexity)
        self._draw()

    def on_resize(self) -> None:
        """A finished run is shown once, maybe before the widget has its width."""
        self._draw()

    def _draw(self) -> None:
        width = self.size.width
        if self._shown is None or not width:
            return
        drawn = lines(*self._shown, width, plain=charset_for(os.environ) == "ascii")
        before, self._lines = self._lines, drawn
        if len(before) != len(drawn):
            self.refresh()
            return
        changed = [row for row, (new, old) in enumerate(zip(drawn, before, strict=True)) if new != old]
        if changed:
            self.refresh(*(Region(0, row, width, 1) for row in changed))

    def render(self) -> Text:
        """The lines as drawn last."""
        return Text("\n").join(self._lines)


def lines(
    name: str,
    state: State,
    shot: Snapshot,
    loss: float | None,
    perplexity: float | None,
    width: int,
    *,
    plain: bool = False,
) -> list[Text]:
    """Return the three lines for `width` cells."""
    words, style = _WORDS[state]
    if shot.phase is not None and shot.phase.name == "journal":
        words, style = "… not known yet", "dim"
    first = Text.assemble((words, style), "  ", (clean(name, one_line=True), "bold"), no_wrap=True)
    phase = _phase(shot) if state == "running" else clean(shot.message.partition("\n")[0], one_line=True, limit=300)
    if phase:
        first.append(f"  {phase}")
    first.truncate(width, overflow="ellipsis")
    share = shot.step / shot.steps if shot.steps else 0.0
    progress = f"step {shot.step:,}/{shot.steps:,}" if shot.steps else "no step yet"
    times = f"{figures.duration(shot.elapsed_seconds)} elapsed"
    if state == "running":
        times += f" · {figures.duration(shot.eta_seconds)} left" if shot.eta_seconds is not None else " · time left –"
    tail = f" {share:4.0%}  {progress}  epoch {shot.epoch:.2f}  {times}"
    second = Text(no_wrap=True)
    room = width - len(tail)
    if room >= 8:
        second.append(figures.bar(share, min(60, room), plain=plain), "green" if state != "failed" else "red")
    second.append(tail)
    second.truncate(width)
    third = Text(no_wrap=True)
    third.append(f"loss {figures.number(loss)}" if loss is not None else "loss –")
    if shot.scores is not None:
        third.append("  ").append(clean(scores.summary(shot.scores), one_line=True), "bold")
        before = scores.summary(shot.base_scores or {})
        third.append(f" (untrained {before})" if before and shot.scores is not shot.base_scores else "", "dim")
    elif perplexity is not None:
        base = f" (base {figures.number(shot.base_perplexity)})" if shot.base_perplexity is not None else ""
        third.append("  perplexity ").append(figures.number(perplexity), "bold").append(base, "dim")
    elif shot.base_perplexity is not None:
        third.append(f"  base perplexity {figures.number(shot.base_perplexity)}")
    if shot.tokens:
        third.append(f"  {shot.tokens:,} tokens seen", "dim")
    third.truncate(width)
    return [first, second, third]


def _phase(shot: Snapshot) -> str:
    phase = shot.phase
    if phase is None:
        return ""
    words = _PHASES.get(phase.name, clean(phase.name, one_line=True))
    if phase.total:
        words += f" {phase.done or 0:,}/{phase.total:,}"
    elif phase.done:
        words += f" {phase.done:,} rows"
    elif phase.detail and phase.name != "train":
        words += f": {clean(phase.detail, one_line=True, limit=80)}"
    return words
