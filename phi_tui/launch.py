"""Starting a run from the app: in a process of its own session, or on a thread of this process.

Either way the run directory is made first and its lock is taken before the engine starts, so that whoever looks
sees the run live from the first moment and its phases as they come.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phi_tui import journal, run
from phi_tui.errors import PhiError, Refusal
from phi_tui.run import Run
from phi_tui.workspace import Workspace, make_folder

if TYPE_CHECKING:
    from phi_tui.schema import Project


def new(project: Project, root: Path, workspace: Workspace) -> Run:
    """Make the run directory for a project; Refusal while another run of it is at work."""
    from phi_tui.engine.pipeline import absolute

    workspace.prepare()
    refuse_second(workspace, project.name)
    return run.create(workspace, absolute(project, root))


def background(started: Run, workspace: Workspace, *, resume: bool = False) -> int:
    """Run what is frozen in a run directory in a process that outlives this one and its terminal; return its id.

    The process has a session of its own: no hang-up reaches it.  What it prints goes to the run's console.log.
    """
    refuse_second(workspace, started.path.parent.name)
    handle = started.take()
    try:
        _first_word(started, "background", resume=resume)
        command = [
            sys.executable,
            "-P",
            "-m",
            "phi_tui.background",
            str(started.path),
            str(workspace.root),
            str(handle),
        ]
        with open(started.console, "ab", opener=_private) as console:
            process = subprocess.Popen(
                [*command, "--resume"] if resume else command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=(handle,),
                start_new_session=True,
            )
    finally:
        os.close(handle)
    threading.Thread(target=process.wait, name=f"end of {started.id}", daemon=True).start()
    return process.pid


class Here:
    """A run on a thread of this process, for debuggers, job schedulers and notebooks.

    It stops at its next step and saves when asked to, and `stop_and_wait` must come before the process ends: a
    thread inside torch must not outlive the interpreter.
    """

    def __init__(self, started: Run, workspace: Workspace, *, resume: bool = False) -> None:
        refuse_second(workspace, started.path.parent.name)
        self.run = started
        self._stop = threading.Event()
        handle = started.take()
        _first_word(started, "here", resume=resume)
        self._thread = threading.Thread(target=self._work, args=(workspace, handle, resume), name="training")
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the run is still at work."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask for a stop after this step, with everything saved."""
        self._stop.set()

    def stop_and_wait(self) -> None:
        """Stop and return once the run is on disk."""
        self._stop.set()
        self._thread.join()

    def _work(self, workspace: Workspace, handle: int, resume: bool) -> None:
        from phi_tui.engine import pipeline

        with contextlib.suppress(PhiError):  # its last words are in the journal, where the screen reads them
            try:
                pipeline.into(self.run, workspace, _nobody, handle=handle, stopping=self._stop.is_set, resume=resume)
            except PhiError:
                raise
            except BaseException:
                import traceback

                with open(self.run.console, "a", encoding="utf-8", errors="replace", opener=_private) as console:
                    traceback.print_exc(file=console)


def _first_word(started: Run, where: str, *, resume: bool) -> None:
    book = journal.Journal(started.journal)
    book.write("phase", name="launch", where=where, detail="starting again" if resume else "starting")
    book.close()


def refuse_second(workspace: Workspace, project: str) -> None:
    """Two runs of one project at a time would prepare over each other."""
    folder = workspace.runs(project)
    make_folder(folder)
    with run.lock(folder / ".lock", f"a run of {project}"):
        pass
    for one in run.listed(workspace, project)[:5]:
        if one.holder() is not None:
            raise Refusal(f"run {one.id} of {project} is live", fix="watch it, or stop it first")


def _nobody(kind: str, /, **payload: Any) -> None:
    """The journal is the only listener."""


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
