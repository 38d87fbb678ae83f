"""A small project that is prepared once and copied for each trial, and what its uninterrupted run comes to."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import projects
from trials import Zygote

from phi_tui import run
from phi_tui.run import Run
from phi_tui.workspace import Workspace

SETTINGS = "max_steps = 6\neval_every = 2\nsave_every = 2\nkeep_checkpoints = 1\nsamples = 0\n"
"""Six steps, of which every second one is evaluated and saved; one checkpoint stays, so that each save removes one."""


@dataclass(frozen=True)
class Place:
    """A prepared workspace, and the adapter that its run gives when nothing is in its way."""

    folder: Path
    adapter: bytes

    def copy(self, target: Path) -> Path:
        """Copy the workspace and return the copy's project file; times are kept, so that it counts as prepared."""
        shutil.copytree(self.folder, target, copy_function=shutil.copy2)
        return target / "toy.toml"


def make(folder: Path, zygote: Zygote, settings: str = SETTINGS, count: int = 24) -> Place:
    """Make the workspace in `folder` and run it once."""
    file = projects.make(folder / "template", count=count, settings=settings)
    outcome = zygote.run("execute", file=str(file))
    assert outcome.done, outcome.what
    adapter = adapter_of(file)
    shutil.rmtree(file.parent / "runs")
    return Place(file.parent, adapter)


def only_run(file: Path) -> Run:
    """The one run of a workspace."""
    (found,) = run.listed(Workspace(file.parent))
    return found


def adapter_of(file: Path) -> bytes:
    """The adapter that a workspace's newest run kept; nothing where there is none."""
    path = run.listed(Workspace(file.parent))[0].adapter / "adapter_model.safetensors"
    return path.read_bytes() if path.is_file() else b""


def litter(file: Path) -> list[str]:
    """What is left of something half-written, anywhere in a workspace."""
    return [str(path) for path in file.parent.rglob(".*") if path.name.endswith((".partial", ".old"))]


def broken_lines(file: Path) -> list[bytes]:
    """The lines of a run's journal that are no event, a torn last one aside."""
    lines = only_run(file).journal.read_bytes().split(b"\n")[:-1]
    return [line for line in lines if not _is_event(line)]


def _is_event(line: bytes) -> bool:
    try:
        return "kind" in json.loads(line)
    except ValueError:
        return False
