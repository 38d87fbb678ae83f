"""A run directory: made, opened, locked, listed, and asked to stop or save.

The directory is all that is ever known of a run.  Its state is read, never stored: the last words in the
journal, and whether a living process holds the lock.  The lock is an advisory lock of the kernel's, so a
process that dies lets go of it, however it dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from phi_tui import journal
from phi_tui.atomic import write_text
from phi_tui.errors import InputError, Refusal
from phi_tui.workspace import Workspace, checked_name, make_folder

if TYPE_CHECKING:
    from phi_tui.schema import Project

State = Literal["new", "running", "done", "stopped", "failed", "died"]
Request = Literal["stop", "quit", "save", "sample"]
"""stop: save and stop; quit: stop without another checkpoint; save: write a checkpoint and go on; sample: speak."""


WEIGHTS = ("adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json")
"""The file that stands for the weights of an adapter, or of a whole model, in one piece or in several."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run directory, `runs/<project>/<id>/`."""

    path: Path

    @property
    def id(self) -> str:
        """The run's name inside its project: the time it was made."""
        return self.path.name

    @property
    def journal(self) -> Path:
        """One event a line."""
        return self.path / "journal.jsonl"

    @property
    def console(self) -> Path:
        """What the libraries printed."""
        return self.path / "console.log"

    @property
    def checkpoints(self) -> Path:
        """Resume points, `step-N`, each written whole."""
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """The best adapter in PEFT's format."""
        return self.path / "adapter"

    @property
    def model(self) -> Path:
        """The best whole model, where a run trained every weight; it has no adapter then."""
        return self.path / "model"

    @property
    def result_folder(self) -> Path:
        """What the run gave: the folder of its whole model where there is one, else that of its adapter."""
        return self.model if self.model.is_dir() else self.adapter

    @property
    def has_result(self) -> bool:
        """Whether an adapter or a whole model is kept."""
        return any((self.result_folder / name).is_file() for name in WEIGHTS)

    def project(self) -> Project:
        """The frozen project of this run, with the base held as it was: "nf4" once meant what is "nf4-plain" now."""
        from phi_tui import project  # 0.1 s to import, and the app paints its first screen before

        frozen = project.load(self.path / "project.toml")
        if frozen.model.quantization == "nf4" and self._spared_nothing():
            return frozen.model_copy(update={"model": frozen.model.model_copy(update={"quantization": "nf4-plain"})})
        return frozen

    def _spared_nothing(self) -> bool:
        """Whether this run's lock is older than the layers that "nf4" spares, which it names ever since."""
        try:
            with open(self.path / "lock.toml", "rb") as file:
                return "spared" not in tomllib.load(file)["base"]
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def holder(self) -> int | None:
        """The process id that holds this run's lock, or None."""
        return _holder(self.path / "lock")

    def state(self) -> State:
        """new, running, done, stopped, failed, or died (no last words and nobody at it)."""
        if self.holder() is not None:
            return "running"
        events = journal.last(self.journal)
        if not events:
            return "new"
        for event in reversed(events):
            if event["kind"] in ("done", "stopped", "failed"):
                state: State = event["kind"]
                return state
            if event["kind"] in ("step", "phase", "resumed"):
                break
        return "died"

    def result(self) -> dict[str, Any] | None:
        """What the `done` event carries: the figures that `--json` prints."""
        for event in reversed(journal.last(self.journal)):
            if event["kind"] == "done":
                return {key: value for key, value in event.items() if key not in ("seq", "time", "kind")}
        return None

    @contextlib.contextmanager
    def locked(self, handle: int | None = None) -> Iterator[None]:
        """Hold the run's lock; Refusal when a living process holds it already.

        `handle` is the lock's open descriptor when whoever started this process took it already and passed it on.
        """
        if handle is None:
            with lock(self.path / "lock", f"run {self.id}"):
                yield
            return
        try:
            _sign(handle, os.getpid())
            yield
        finally:
            os.close(handle)

    def take(self) -> int:
        """Take the lock for a process that is about to start, and return its descriptor, to be passed on to it.

        The lock belongs to the open file and not to a process, so nobody sees the run unheld in between.
        """
        return _take(self.path / "lock", f"run {self.id}")

    def ask(self, request: Request) -> None:
        """Leave a request that the trainer picks up at its next step."""
        make_folder(self.path / "control")
        write_text(self.path / "control" / request, str(time.time()))

    def take_requests(self) -> set[str]:
        """Return and remove the requests that lie there; called by the trainer alone."""
        found: set[str] = set()
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.path / "control"):
                if name in get_args(Request):
                    found.add(name)
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self.path / "control" / name)
        return found


def create(workspace: Workspace, frozen: Project) -> Run:
    """Make a new run directory with the frozen project, every default written out."""
    from phi_tui import project

    parent = workspace.runs(frozen.name)
    make_folder(parent)
    stem = time.strftime("%Y%m%d-%H%M%S")
    for attempt in itertools.count():
        path = parent / (stem if not attempt else f"{stem}-{attempt + 1}")
        try:
            path.mkdir(mode=0o700)
            break
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(
                f"the run directory cannot be made: {os.strerror(error.errno or 0)}", where=str(path)
            ) from None
    (path / "control").mkdir(mode=0o700)
    write_text(path / "project.toml", project.text(frozen, defaults=True))
    return Run(path)


def listed(workspace: Workspace, of: str | None = None) -> list[Run]:
    """The runs of a project, or of all projects, newest first."""
    root = workspace.root / "runs"
    folders = [workspace.runs(of)] if of else sorted(root.iterdir()) if root.is_dir() else []
    runs = [
        Run(path)
        for folder in folders
        if folder.is_dir() and not folder.is_symlink()
        for path in folder.iterdir()
        if path.is_dir() and not path.is_symlink() and (path / "project.toml").is_file()
    ]
    return sorted(runs, key=lambda run: (run.id, run.path.parent.name), reverse=True)


def find(workspace: Workspace, name: str) -> Run:
    """The run called `name`: its id, `project/id`, or a project's name for that project's newest run."""
    parts = [checked_name(part) for part in name.strip("/").split("/")]
    runs = listed(workspace)
    matching = [run for run in runs if run.id == parts[-1] and (len(parts) == 1 or run.path.parent.name == parts[0])]
    if not matching and len(parts) == 1:
        matching = [run for run in runs if run.path.parent.name == parts[0]][:1]
    if len(matching) > 1:
        raise InputError(
            f"{name!r} names several runs", fix=" or ".join(f"{r.path.parent.name}/{r.id}" for r in matching)
        )
    if not matching:
        raise InputError(f"no run {name!r} in {workspace.root}", fix="phi-tui runs lists them")
    return matching[0]


@contextlib.contextmanager
def lock(path: Path, what: str, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold an advisory lock on `path` for this process; Refusal names who has it.

    With `waiting` it is waited for instead: that is called ten times a second meanwhile, and may raise to give up.
    """
    while True:
        try:
            handle = _take(path, what)
            break
        except Refusal:
            if waiting is None:
                raise
            waiting()
            time.sleep(0.1)
    try:
        yield
    finally:
        os.close(handle)


def _take(path: Path, what: str) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held = _pid(handle)
        os.close(handle)
        raise Refusal(
            f"{what} is already at work" + (f" in process {held}" if held else ""),
            where=str(path.parent),
            fix="wait for it, watch it with phi-tui attach, or end it with phi-tui stop",
        ) from None
    _sign(handle, os.getpid())
    return handle


def _sign(handle: int, pid: int) -> None:
    """Write down who holds a lock; on a full disk it is held all the same, by nobody in particular."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{pid}\n".encode(), 0)


def _holder(path: Path) -> int | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _pid(handle) or 0
    finally:
        os.close(handle)
    return None


def _pid(handle: int) -> int | None:
    text = os.pread(handle, 32, 0).strip()
    return int(text) if text.isdigit() else None
