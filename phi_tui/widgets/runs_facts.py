"""What is told of the run under the cursor: what it was made of, its last words, and how to go on.

Read on a thread, since it opens the frozen project and the end of the log; pure but for reading.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from phi_tui.errors import PhiError
from phi_tui.run import Run, listed
from phi_tui.run_list import Glance
from phi_tui.safe_text import clean
from phi_tui.widgets.canvas import compact
from phi_tui.widgets.runs_text import tail
from phi_tui.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Facts:
    """Lines about a run, safe to show: what it was made of, what ended it, how to go on."""

    made_of: str = ""
    last_words: str = ""
    go_on: str = ""


def facts(glance: Glance, workspace: Workspace) -> Facts:
    """Read what there is to tell of a run."""
    try:
        return Facts(_made_of(glance.run), _last_words(glance), _go_on(glance, workspace))
    except OSError as error:
        return Facts(clean(f"cannot be read: {error.strerror or error}", one_line=True))


def _made_of(run: Run) -> str:
    try:
        project = run.project()
    except PhiError as error:
        return clean(f"its project cannot be read: {error.what}", one_line=True, limit=300)
    train, lora = project.train, project.lora
    length = f"{train.max_steps:,} steps" if train.max_steps else f"{train.epochs:g} epochs"
    words = [
        clean(project.model.base, one_line=True, limit=60),
        f"rank {lora.rank}, alpha {lora.alpha}",
        f"lr {compact(train.learning_rate)}",
        length,
    ]
    return " · ".join(words)


def _last_words(glance: Glance) -> str:
    if glance.state in ("failed", "stopped"):
        lines = (glance.message or "none in the journal").split("\n")
        return clean(" / ".join(line.strip() for line in lines if line.strip()), one_line=True, limit=1500)
    if glance.state != "died":
        return ""
    told = "none: the process was killed, or the machine went down"
    try:
        printed = next((line for line in reversed(tail(glance.run.console).split("\n")) if line.strip()), "")
    except OSError:
        printed = ""
    return f"{told} / its log ends: {clean(printed, one_line=True, limit=400)}" if printed else told


def _go_on(glance: Glance, workspace: Workspace) -> str:
    run = glance.run
    if glance.state == "done":
        what, place = ("model" if run.model.is_dir() else "adapter"), run.result_folder
        return f"{what} in {clean(place, one_line=True)}" if place.is_dir() else "its adapter is gone"
    if glance.state not in ("stopped", "failed", "died"):
        return ""
    try:
        newest = listed(workspace, glance.project)[:1]
        from_step = max((int(name[5:]) for name in _names(run) if name[5:].isdigit()), default=0)
    except (OSError, PhiError):
        return ""
    if newest and newest[0].path != run.path:
        return "a newer run of this project is there, so this one cannot be resumed"
    file = workspace.root / f"{glance.project}.toml"
    where = f"from step {from_step}" if from_step else "from the start, for want of a checkpoint"
    command = f"phi-tui --resume --replay {shlex.quote(str(file))}"
    return f"to resume {where}, on the Train screen or by\n{clean(command, one_line=True)}"


def _names(run: Run) -> list[str]:
    names = os.listdir(run.checkpoints) if run.checkpoints.is_dir() else []
    return [name for name in names if name.startswith("step-")]
