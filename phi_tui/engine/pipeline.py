"""Prepare, preflight, train, evaluate: the stages of a replay in order, and the run directory they leave.

The app, the command line and every launcher come through `execute`.  Until preflight has passed nothing is created
but prepared data; from then on everything that happens is in the run's journal.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from phi_tui import journal, resume_rules, run
from phi_tui.atomic import write_text
from phi_tui.engine import lockfile, preflight, trackers, watchdog
from phi_tui.engine.preflight import Job
from phi_tui.engine.prepare import Prepared, prepare
from phi_tui.engine.sources import Finding
from phi_tui.engine.train import train
from phi_tui.engine.transforms import numbered
from phi_tui.errors import InputError, PhiError, Refusal, Stopped
from phi_tui.project import differences, text
from phi_tui.run import Run
from phi_tui.schema import Project
from phi_tui.workspace import Workspace, make_folder

Say = Callable[..., None]

_COUNTED_EVERY = 1.0
"""Seconds between two events that only count rows: an hour of tokenising must not fill a journal."""


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
    renew: bool = False,
    locked: dict[str, Any] | None = None,
    on_finding: Callable[[Finding], None] | None = None,
    on_run: Callable[[Run, Job], None] | None = None,
) -> dict[str, Any]:
    """Run a project from its file to its adapter and return the figures that `--json` prints.

    `say(kind, **payload)` hears every event; `on_run` gets the run once it exists.  With `resume` the newest
    unfinished run of the project goes on; with `renew` a new run goes on from the newest checkpoint of the newest one,
    under the settings as they are now; with `locked` any drift from those tables refuses.  Nothing but prepared data is
    made until preflight has passed; `into` is the way for whoever wants to be seen from the first second.
    """
    workspace.prepare()
    make_folder(workspace.runs(project.name))
    with run.lock(workspace.runs(project.name) / ".lock", f"a run of {project.name}"):
        older = _renewable(project, root, workspace) if renew else None
        going_on = _unfinished(project, root, workspace) if resume and not renew else None
        job = ready(project, root, workspace, until(stopping, say), on_finding)
        lock = preflight.lock(job)
        if locked is not None:
            _refuse_drift(lockfile.drift(locked, lock), "the lock")
        if stopping():
            raise Stopped("stopped before the first step", fix="nothing was trained; start again")
        if older is not None:
            from phi_tui import branch

            going_on, resume = branch.renewed(older, absolute(project, root), workspace), True
        if going_on is None:
            going_on = run.create(workspace, absolute(project, root))
            lockfile.write(going_on.path / "lock.toml", lock)
        elif not (going_on.path / "lock.toml").is_file():  # it died before it had one, or goes on under other settings
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
            with trackers.telling(going_on, tell) as heard, watchdog.watching(heard, tell) as watched:
                figures = train(job, going_on, lock, watched, stopping=stopping, resume=resume)
            tell("done", **figures)
        return figures


def into(
    going_on: Run,
    workspace: Workspace,
    say: Say,
    *,
    handle: int | None = None,
    stopping: Callable[[], bool] = lambda: False,
    resume: bool = False,
) -> dict[str, Any]:
    """Run the project that is frozen in a run directory made beforehand, and return its figures.

    Everything is in the run's journal from the first second: what is prepared, what the doctor finds, a refusal.
    `handle` is the run's lock where it was taken already; with `resume` the run goes on from its checkpoints.
    """
    with _journaled(going_on, say, handle) as tell:
        project = going_on.project()
        workspace.prepare()
        with run.lock(workspace.runs(project.name) / ".lock", f"a run of {project.name}"):
            findings = Findings(tell)

            def asked() -> bool:
                return stopping() or bool(going_on.take_requests() & {"stop", "quit"})

            job = ready(project, going_on.path, workspace, until(asked, tell), findings)
            findings.close()
            lock = preflight.lock(job)
            lock_file = going_on.path / "lock.toml"
            if resume and lock_file.is_file():
                drifted = lockfile.drift(lockfile.read(lock_file), lock)
                _refuse_drift([line for line in drifted if not line.startswith("packages.")], "the run")
            else:
                lockfile.write(lock_file, lock)
            tell("phase", name="start", run=going_on.id, steps=job.plan.steps, notes=job.notes)
            with trackers.telling(going_on, tell) as heard, watchdog.watching(heard, tell) as watched:
                figures = train(job, going_on, lock, watched, stopping=stopping, resume=resume)
            tell("done", **figures)
            return figures


class Findings:
    """Writes the first findings of each kind into the journal as warnings, and how many more there were."""

    def __init__(self, tell: Say, shown_each: int = 3) -> None:
        self._tell, self._shown_each = tell, shown_each
        self._seen: Counter[str] = Counter()

    def __call__(self, finding: Finding) -> None:
        """Take one finding."""
        self._seen[finding.code] += 1
        if finding.severity != "info" and self._seen[finding.code] <= self._shown_each:
            where = f"{finding.file}:{finding.line}" if finding.line else finding.file
            self._tell("warning", message=f"{where}: {finding.message}" + (f" ({finding.fix})" if finding.fix else ""))

    def close(self) -> None:
        """Count what was not told."""
        for code, count in self._seen.items():
            if count > self._shown_each:
                self._tell("warning", message=f"and {count - self._shown_each:,} more findings of the kind {code}")


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
    scratch = project.scratch
    if scratch.tokenizer and (root / scratch.tokenizer).is_dir():
        scratch = scratch.model_copy(update={"tokenizer": str((root / scratch.tokenizer).absolute())})
    return project.model_copy(
        update={
            "scratch": scratch,
            "data": project.data.model_copy(update={"sources": sources, "transforms": numbered(project)}),
            "model": project.model.model_copy(update={"base": base}),
        }
    )


@contextlib.contextmanager
def _journaled(going_on: Run, say: Say, handle: int | None = None) -> Iterator[Say]:
    """Hold the run and its journal; whatever ends it is its last word."""
    with going_on.locked(handle):
        book = journal.Journal(going_on.journal)
        counted = 0.0

        def tell(kind: Any, /, **payload: Any) -> None:
            nonlocal counted
            if kind == "phase" and payload.get("done", payload.get("total")) != payload.get("total"):
                now = time.monotonic()
                if now - counted < _COUNTED_EVERY:
                    say(kind, **payload)
                    return
                counted = now
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
                tell("failed", message=message[:16_384])
            raise
        finally:
            with contextlib.suppress(OSError):
                book.close()


def _unfinished(project: Project, root: Path, workspace: Workspace) -> Run:
    """The newest run to go on with; Refusal when it is finished or its settings differ."""
    newest = _newest(project, workspace)
    if newest.state() == "done":
        raise Refusal(
            f"run {newest.id} is done, there is nothing to resume",
            fix="leave --resume out to start a new run",
        )
    frozen = newest.project()
    now = absolute(project, root)
    if changed := resume_rules.mattering(differences(frozen, now)):
        raise Refusal(
            f"run {newest.id} cannot go on under other settings:\n  "
            + "\n  ".join(resume_rules.line(change) for change in changed),
            fix="put the settings back, start a new run from its newest checkpoint with --resume-as new, or leave "
            "--resume out to train anew",
        )
    if frozen != now:
        write_text(newest.path / "project.toml", text(now, defaults=True))
    return newest


def _renewable(project: Project, root: Path, workspace: Workspace) -> Run:
    """The newest run, finished or not, if a new one can go on from it under the settings as they are now."""
    from phi_tui import branch

    newest = _newest(project, workspace)
    branch.renewable(newest, absolute(project, root))
    return newest


def _newest(project: Project, workspace: Workspace) -> Run:
    runs = run.listed(workspace, project.name)
    if not runs:
        raise InputError(f"{project.name} has no run to resume", fix="leave --resume out to start one")
    return runs[0]


def _refuse_drift(lines: list[str], what: str) -> None:
    if lines:
        raise Refusal(
            f"this is not what {what} was made with:\n  " + "\n  ".join(lines),
            fix="install what it names and put the files back, or run without --locked"
            if what == "the lock"
            else "put it back, or leave --resume out to start a new run",
        )
