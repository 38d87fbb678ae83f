"""Prepare, preflight, train, evaluate: the stages of a replay in order, and the run directory they leave.

The app, the command line and every launcher come through `execute`.  Until preflight has passed nothing is created
but prepared data; from then on everything that happens is in the run's journal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from phi_tui import journal, run
from phi_tui.atomic import write_text
from phi_tui.engine import lockfile, preflight
from phi_tui.engine.preflight import Job
from phi_tui.engine.prepare import Prepared, prepare
from phi_tui.engine.sources import Finding
from phi_tui.engine.train import train
from phi_tui.errors import InputError, PhiError, Refusal, Stopped
from phi_tui.project import differences, text
from phi_tui.run import Run
from phi_tui.schema import Project
from phi_tui.workspace import Workspace, make_folder

Say = Callable[..., None]

FREE_TO_CHANGE = ("chat.", "launch.", "train.keep_checkpoints", "train.report_to")
"""Settings (by prefix) that may differ on a resume: they decide nothing of the result."""


def ready(
    project: Project,
    root: Path,
    workspace: Workspace,
    say: Say,
    on_finding: Callable[[Finding], None] | None = None,
) -> Job:
    """Prepare and check a project: everything before training, and nothing of it.  Raises InputError or Refusal."""
    prepared: Prepared = prepare(project, root, workspace, say, on_finding=on_finding)
    say("phase", name="preflight", detail="checking")
    return preflight.check(project, prepared, workspace)


def execute(
    project: Project,
    root: Path,
    workspace: Workspace,
    say: Say,
    *,
    stopping: Callable[[], bool] = lambda: False,
    resume: bool = False,
    locked: dict[str, Any] | None = None,
    on_finding: Callable[[Finding], None] | None = None,
    on_run: Callable[[Run, Job], None] | None = None,
) -> dict[str, Any]:
    """Run a project from its file to its adapter and return the figures that `--json` prints.

    `say(kind, **payload)` hears every event; `on_run` gets the run once it exists.  With `resume` the newest
    unfinished run of the project goes on; with `locked` any drift from those tables refuses.
    """
    workspace.prepare()
    make_folder(workspace.runs(project.name))
    with run.lock(workspace.runs(project.name) / ".lock", f"a run of {project.name}"):
        going_on = _unfinished(project, root, workspace) if resume else None
        job = ready(project, root, workspace, until(stopping, say), on_finding)
        lock = preflight.lock(job)
        if locked is not None:
            _refuse_drift(lockfile.drift(locked, lock), "the lock")
        if stopping():
            raise Stopped("stopped before the first step", fix="nothing was trained; start again")
        if going_on is None:
            going_on = run.create(workspace, absolute(project, root))
            lockfile.write(going_on.path / "lock.toml", lock)
        else:
            before = lockfile.read(going_on.path / "lock.toml")
            _refuse_drift(
                [line for line in lockfile.drift(before, lock) if not line.startswith("packages.")], "the run"
            )
        with _journaled(going_on, say) as tell:
            if on_run:
                on_run(going_on, job)
            tell("phase", name="start", run=going_on.id, steps=job.plan.steps, notes=job.notes)
            figures = train(job, going_on, lock, tell, stopping=stopping, resume=resume)
            tell("done", **figures)
        return figures


def until(stopping: Callable[[], bool], say: Say) -> Say:
    """Return a `say` that raises Stopped once a stop is asked for; preparing reports often, so it stops soon."""

    def heard(kind: str, /, **payload: Any) -> None:
        if stopping():
            raise Stopped("stopped before training; nothing was trained", fix="start again: what was prepared is kept")
        say(kind, **payload)

    return heard


def absolute(project: Project, root: Path) -> Project:
    """Return the project with its relative paths made absolute, as it is frozen into a run directory."""
    sources = tuple(
        source.model_copy(update={"path": str((root / source.path).absolute())}) if source.path else source
        for source in project.data.sources
    )
    base = project.model.base
    if not base.startswith("builtin:") and (root / base).exists():
        base = str((root / base).absolute())
    return project.model_copy(
        update={
            "data": project.data.model_copy(update={"sources": sources}),
            "model": project.model.model_copy(update={"base": base}),
        }
    )


@contextlib.contextmanager
def _journaled(going_on: Run, say: Say) -> Iterator[Say]:
    """Hold the run and its journal; whatever ends it is its last word."""
    with going_on.locked():
        book = journal.Journal(going_on.journal)

        def tell(kind: Any, /, **payload: Any) -> None:
            book.write(kind, **payload)
            if kind == "checkpoint":
                book.sync()
            say(kind, **payload)

        try:
            yield tell
        except Stopped as stop:
            tell("stopped", message=str(stop))
            raise
        except BaseException as error:
            message = str(error) if isinstance(error, PhiError) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(OSError):  # on a full disk the cause matters more than its record
                tell("failed", message=message)
            raise
        finally:
            with contextlib.suppress(OSError):
                book.close()


def _unfinished(project: Project, root: Path, workspace: Workspace) -> Run:
    """The newest run to go on with; Refusal when it is finished or its settings differ."""
    runs = run.listed(workspace, project.name)
    if not runs:
        raise InputError(f"{project.name} has no run to resume", fix="leave --resume out to start one")
    newest = runs[0]
    if newest.state() == "done":
        raise Refusal(
            f"run {newest.id} is done, there is nothing to resume",
            fix="leave --resume out to start a new run",
        )
    frozen = newest.project()
    now = absolute(project, root)
    changed = [d for d in differences(frozen, now) if not d[0].startswith(FREE_TO_CHANGE)]
    if changed:
        lines = [f"{key}: the run has {before}, the project {after}" for key, before, after in changed]
        raise Refusal(
            f"run {newest.id} cannot go on under other settings:\n  " + "\n  ".join(lines),
            fix="put the settings back, or leave --resume out to start a new run",
        )
    if frozen != now:
        write_text(newest.path / "project.toml", text(now, defaults=True))
    return newest


def _refuse_drift(lines: list[str], what: str) -> None:
    if lines:
        raise Refusal(
            f"this is not what {what} was made with:\n  " + "\n  ".join(lines),
            fix="install what it names and put the files back, or run without --locked"
            if what == "the lock"
            else "put it back, or leave --resume out to start a new run",
        )
