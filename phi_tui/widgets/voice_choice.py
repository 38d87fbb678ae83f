"""Which voices there are to talk to, and which come up first: plain functions over run directories.

A voice is the bare base, a run's best adapter, or one of its checkpoints.  A base belongs to a run too, as it is
asked through the template of that run: only then is the difference between two answers what training did.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi_tui import journal, run
from phi_tui.engine import checkpoints
from phi_tui.errors import PhiError
from phi_tui.figures import finite
from phi_tui.workspace import Workspace

MOST = 3
"""Columns that are still readable side by side."""

MOST_RUNS = 60
"""Runs that the picker offers, the newest ones; older runs can still be asked with `phi-tui chat --run`."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One model to talk to; `run` is a run's directory or empty, `template` is empty until it is known."""

    kind: str
    run: str = ""
    step: int = 0
    perplexity: float | None = None
    template: str = ""

    @property
    def key(self) -> str:
        """What tells it from all other voices."""
        return f"{self.kind} {self.step} {self.run}"

    @property
    def title(self) -> str:
        """What a column is called."""
        return f"step {self.step}" if self.kind == "checkpoint" else self.kind

    @property
    def run_id(self) -> str:
        """The run's name inside its project, or empty."""
        return Path(self.run).name if self.run else ""

    def asked(self) -> dict[str, Any]:
        """What the process that holds the models is told."""
        return {"key": self.key, "kind": self.kind, "run": self.run, "step": self.step}


def found(workspace: Workspace, project: str) -> list[Voice]:
    """Return the voices of a project, the newest run's first; the bare base alone where nothing is trained."""
    voices: list[Voice] = []
    try:
        runs = run.listed(workspace, project)[:MOST_RUNS]
    except PhiError:
        runs = []
    for one in runs:
        voices += _of_run(one)
    return voices or [Voice("base")]


def first_choice(voices: Sequence[Voice], *, wide: bool) -> tuple[Voice, ...]:
    """Return the columns that come up: base beside the newest adapter, on a narrow screen the adapter alone."""
    adapter = next((voice for voice in voices if voice.kind == "adapter"), None)
    if adapter is None:
        return (next((voice for voice in voices if voice.kind == "base"), Voice("base")),)
    base = base_of(adapter, voices)
    return (base, adapter) if wide and base in voices else (adapter,)  # a bare base has no head to score with


def base_of(voice: Voice, voices: Iterable[Voice]) -> Voice:
    """Return the base as the run of `voice` asks it."""
    same = (one for one in voices if one.kind == "base" and one.run == voice.run)
    return next(same, Voice("base", voice.run, template=voice.template))


def with_base(chosen: tuple[Voice, ...], voices: Iterable[Voice]) -> tuple[Voice, ...]:
    """Put the base beside the chosen voices, or take it away when it is there; at least one voice stays."""
    without = tuple(voice for voice in chosen if voice.kind != "base")
    if len(without) < len(chosen):
        return without or chosen
    return (base_of(chosen[-1], voices), *chosen[-(MOST - 1) :]) if chosen else (Voice("base"),)


def _of_run(one: run.Run) -> list[Voice]:
    """Base, adapter and checkpoints of a run; nothing where the run has neither adapter nor checkpoint."""
    trained = one.has_result
    steps = [
        step
        for step, folder in checkpoints.listed(one.checkpoints)
        if any((folder / name).is_file() for name in run.WEIGHTS) and not folder.is_symlink()
    ]
    if not trained and not steps:
        return []
    by_step, figures = _perplexities(one)
    (template, scores), place = _template(one), str(one.path)
    voices = [Voice("base", place, 0, _number(figures.get("base_perplexity")) or by_step.get(0), template)]
    voices = [] if scores else voices
    if trained:
        voices.append(Voice("adapter", place, 0, _number(figures.get("perplexity")), template))
    return voices + [Voice("checkpoint", place, step, by_step.get(step), template) for step in steps]


def _perplexities(one: run.Run) -> tuple[dict[int, float], dict[str, Any]]:
    """Perplexity by step, and the figures of a run that is done, from the journal's end."""
    by_step: dict[int, float] = {}
    figures: dict[str, Any] = {}
    try:
        events = journal.last(one.journal, 262_144)
    except OSError:
        return by_step, figures
    for event in events:
        if event["kind"] == "eval" and (value := _number(event.get("perplexity"))) is not None:
            by_step[int(_number(event.get("step")) or 0)] = value
        elif event["kind"] == "done":
            figures = event
    return by_step, figures


def _template(one: run.Run) -> tuple[str, bool]:
    """The name of the template that the run trained with, from the note beside its adapter; whether it has a head."""
    try:
        with open(one.result_folder / "phi-tui.json", encoding="utf-8") as file:
            note = json.loads(file.read(1_048_576))
        return str(note["template"])[:40], "labels" in note
    except (OSError, ValueError, KeyError, TypeError):
        return "", False


def _number(value: Any) -> float | None:
    return finite(value)
