"""Processes that are broken on purpose, and what became of them.

A `Zygote` is one process that has imported the engine and nothing else; each trial is a fork of it, so that a trial
costs a second and not ten.  A trial can be killed at the N-th system call that changes the file system inside a save
(the kernel stops it before each, by ptrace: no library escapes the count), after some time, or be given a file size
beyond which every write fails, or too little memory.  None of that is in the product: it is done to it from outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]

# Calls that change what is on the disk or promise that it is there, by number on x86_64 and on aarch64.
_CALLS = {
    "x86_64": {
        1: "write", 18: "pwrite64", 20: "writev", 296: "pwritev", 328: "pwritev2", 40: "sendfile",
        326: "copy_file_range", 2: "open", 257: "openat", 437: "openat2", 85: "creat", 74: "fsync", 75: "fdatasync",
        82: "rename", 264: "renameat", 316: "renameat2", 83: "mkdir", 258: "mkdirat", 84: "rmdir", 87: "unlink",
        263: "unlinkat", 86: "link", 265: "linkat", 88: "symlink", 266: "symlinkat", 76: "truncate", 77: "ftruncate",
        90: "chmod", 91: "fchmod", 268: "fchmodat", 285: "fallocate", 280: "utimensat", 26: "msync",
    },
    "aarch64": {
        64: "write", 68: "pwrite64", 66: "writev", 70: "pwritev", 287: "pwritev2", 71: "sendfile",
        285: "copy_file_range", 56: "openat", 437: "openat2", 82: "fsync", 83: "fdatasync", 38: "renameat",
        276: "renameat2", 34: "mkdirat", 35: "unlinkat", 37: "linkat", 36: "symlinkat", 45: "truncate",
        46: "ftruncate", 52: "fchmod", 53: "fchmodat", 47: "fallocate", 88: "utimensat", 227: "msync",
    },
}  # fmt: skip
_OPENS = {"open": 1, "openat": 2}
"""Which argument of a call holds the flags: an open that only reads changes nothing and is not counted."""
ENGINE = ("phi_tui.engine.pipeline", "phi_tui.engine.trainer", "phi_tui.cli", "datasets", "peft", "projects")
"""What a trial would import, and its fork finds imported."""

TRACED = sys.platform == "linux" and os.uname().machine in _CALLS
"""Whether system calls can be counted here."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: by a signal, with an error's class and text, or with what it returned."""

    signal: int = 0
    error: str = ""
    what: str = ""
    value: Any = None
    calls: list[str] = field(default_factory=list)
    """The counted system calls of the window, in order."""

    @property
    def done(self) -> bool:
        """Whether it returned."""
        return not self.signal and not self.error


class Zygote:
    """A process that has imported the engine, from which trials are forked, one at a time."""

    def __init__(self, *imports: str) -> None:
        imports = imports or ENGINE
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, *imports], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def run(
        self,
        action: str,
        *,
        kill_at: int = 0,
        kill_after: float = 0.0,
        count: bool = False,
        seconds: float = 120.0,
        **arguments: Any,
    ) -> Outcome:
        """Run one trial: `action` of this file with `arguments`; `seconds` is the most it may take.

        `kill_at` kills it at the start of that counted call of its window (from 1), `kill_after` after some seconds;
        `count` counts the calls of the window and kills nothing.
        """
        assert self._process.stdin and self._process.stdout
        order = {"action": action, "kill_at": kill_at, "kill_after": kill_after, "count": count, "seconds": seconds}
        self._process.stdin.write(json.dumps(order | {"arguments": arguments}).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the zygote ended"
        return Outcome(**json.loads(answer))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def execute(
    file: str,
    *,
    overrides: tuple[str, ...] = (),
    resume: bool = False,
    save: int = 0,
    room: int = -1,
    room_for: str = "save",
    oom: str = "",
    without: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Run a project and return its figures.

    `save` names the checkpoint (by step) whose writing is the window.  `room` is the size in bytes beyond which no file
    can grow: in that window, in the `journal` from that step on, or in `all` from the start.  `oom` runs out of memory
    at "step N ROWS" or "evaluation TOKENS".  `without` takes protections out, to show that the trial misses them.
    """
    import projects

    os.environ.update(environment or {})
    _take_out(without)
    if room >= 0 and room_for == "all":
        _limit(room)
    if save:
        _window(save, room, room_for)
    if oom:
        _run_out(oom)
    if resume and not any(Path(file).parent.glob("runs/*/*/project.toml")):
        resume = False  # killed before there was a run
    return projects.execute(Path(file), *overrides, resume=resume)


def command(given: list[str]) -> int:
    """Run the command line with its output in `out.txt` of the current folder, and return the exit code."""
    from phi_tui.cli import main

    with open("out.txt", "wb") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    return main(given)


def corpus(folder: str, given: list[str]) -> int:
    """The same inside `folder`."""
    os.chdir(folder)
    return command(given)


def on_small_disk(template: str, point: str, room: int, when: str) -> dict[str, Any]:
    """Run a project on a file system of its own that is full but for `room` bytes from its second save on, or from its
    preparing on, then go on with room enough; PermissionError where none can be mounted."""
    import places
    import projects

    from phi_tui.engine import checkpoints, trainer

    library = ctypes.CDLL(None, use_errno=True)
    for flags in (0x00020000, 0x10000000 | 0x00020000):  # a mount namespace of its own; with a user namespace
        if library.unshare(flags) == 0:
            break
    else:
        raise PermissionError("no namespace")
    private = 1 << 18 | 1 << 14
    library.mount(b"none", b"/", None, ctypes.c_ulong(private), None)
    if library.mount(b"tmpfs", point.encode(), b"tmpfs", ctypes.c_ulong(0), b"size=64m") != 0:
        raise PermissionError("no mount")
    file = Path(point) / "work" / "toy.toml"
    shutil.copytree(template, file.parent, copy_function=shutil.copy2)
    filler = Path(point) / "filler"

    def fill() -> None:
        free = os.statvfs(point).f_bavail * os.statvfs(point).f_frsize
        filler.write_bytes(b"x" * max(0, free - room))

    save = trainer.PhiTrainer._save_checkpoint

    def full(self: Any, *given: Any) -> None:
        if self.state.global_step == 4 and not filler.exists():
            fill()
        save(self, *given)

    found: dict[str, Any] = {"stopped": False, "what": "", "error": "", "flaws": []}
    if when == "save":
        trainer.PhiTrainer._save_checkpoint = full  # type: ignore[method-assign]
    else:
        shutil.rmtree(file.parent / "datasets")
        fill()
    try:
        projects.execute(file)
    except Exception as error:
        found |= {"stopped": True, "what": str(error), "error": type(error).__name__}
    found["litter"] = places.litter(file)
    resume = any(file.parent.glob("runs/*/*/project.toml"))
    if resume:
        newest, flaws = checkpoints.newest_whole(places.only_run(file).checkpoints)
        found["flaws"] = flaws + ([] if newest or when != "save" else ["no checkpoint is left"])
    trainer.PhiTrainer._save_checkpoint = save  # type: ignore[method-assign]
    filler.unlink()
    projects.execute(file, resume=resume)
    return found | {"adapter": hashlib.sha256(places.adapter_of(file)).hexdigest()}


ACTIONS: dict[str, Callable[..., Any]] = {"execute": execute, "on_small_disk": on_small_disk, "corpus": corpus}


def _window(save: int, room: int, room_for: str) -> None:
    """Mark the time in which the checkpoint of step `save`, and the best adapter of that step, are written."""
    from phi_tui import journal
    from phi_tui.engine import train, trainer

    state = {"step": 0}

    def marked(function: Callable[..., Any], step: Callable[[Any], int]) -> Callable[..., Any]:
        def inner(self: Any, *given: Any, **more: Any) -> Any:
            if step(self) != save:
                return function(self, *given, **more)
            with _limited(room) if room >= 0 and room_for == "save" else _told():
                return function(self, *given, **more)

        return inner

    class_ = trainer.PhiTrainer
    class_._save_checkpoint = marked(class_._save_checkpoint, lambda self: self.state.global_step)  # type: ignore[method-assign]
    write = journal.Journal.write

    def counted(self: journal.Journal, kind: Any, /, **payload: Any) -> None:
        if kind == "step":
            state["step"] = int(payload["step"])
            if room >= 0 and room_for == "journal" and state["step"] == save:
                _limit(self.path.stat().st_size + room)
        write(self, kind, **payload)

    journal.Journal.write = counted  # type: ignore[method-assign]
    training = train._Training
    training.keep_adapter = marked(training.keep_adapter, lambda self: state["step"])  # type: ignore[method-assign]


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell whoever traces this process that the window is open."""
    if not _told_to:
        yield
        return
    os.kill(os.getpid(), signal.SIGUSR1)
    try:
        yield
    finally:
        os.kill(os.getpid(), signal.SIGUSR2)


_told_to: list[bool] = []
"""Not empty in a process that is traced."""


def _limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@contextlib.contextmanager
def _limited(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    _limit(size)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _run_out(oom: str) -> None:
    """Let memory run out, as a GPU does, wherever more than LIMIT is asked for.

    "probe ROWS": when a step is measured; "step N ROWS": at the end of a backward pass, from step N on, so that garbage
    is left in the gradients; "evaluation TOKENS": in an evaluation.
    """
    import torch

    from phi_tui.engine import measured, train, trainer

    where, *numbers = oom.split()
    limit = int(numbers[-1])

    def check(asked: int) -> None:
        if asked > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    if where == "probe":
        made = measured.Rehearsal

        def rehearsal(rows: Callable[[int], None], evaluation: Any) -> Any:
            def checked(count: int) -> None:
                rows(count)
                check(count)

            return made(checked, evaluation)

        measured.Rehearsal = rehearsal  # type: ignore[assignment, misc]
        measured.WORTH_FROM = 1
    elif where == "evaluation":
        evaluate = train.evaluate

        def checked(*given: Any, token_budget: int, **more: Any) -> Any:
            check(token_budget)
            return evaluate(*given, token_budget=token_budget, **more)

        train.evaluate = checked
    else:
        compute = trainer.PhiTrainer.compute_loss

        def computed(self: Any, model: Any, inputs: dict[str, Any], *given: Any, **more: Any) -> Any:
            loss = compute(self, model, inputs, *given, **more)
            rows = len(inputs["row_lengths"]) if "row_lengths" in inputs else len(inputs["input_ids"])
            if rows > limit and self.state.global_step + 1 >= int(numbers[0]):
                loss.backward()
                check(rows)
            return loss

        trainer.PhiTrainer.compute_loss = computed  # type: ignore[method-assign]


def _take_out(without: tuple[str, ...]) -> None:
    """Take protections out of the product, in this process alone."""
    from phi_tui import atomic
    from phi_tui.engine import checkpoints

    if "staging" in without:  # files go where they will be read, at once

        @contextlib.contextmanager
        def folder(target: Path) -> Iterator[Path]:
            target.mkdir(parents=True, exist_ok=True)
            yield target

        from phi_tui.engine import ranks

        atomic.folder = ranks.atomic_folder = folder  # type: ignore[assignment]
    if "verifying" in without:
        checkpoints.flaw = lambda folder: None  # type: ignore[assignment]


def main(imports: list[str]) -> None:
    """Be the zygote."""
    import importlib

    for name in imports:
        importlib.import_module(name)
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)
        replies.write(json.dumps(_trial(**order)) + "\n")
        replies.flush()


def _trial(
    action: str, arguments: dict[str, Any], kill_at: int, kill_after: float, count: bool, seconds: float
) -> dict[str, Any]:
    traced = bool(kill_at) or count
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _be_the_trial(action, arguments, writing, traced=traced)
    os.close(writing)
    calls: list[str] = []
    late = threading.Timer(kill_after or seconds, os.kill, (child, signal.SIGKILL))
    late.start()
    status = _trace(child, kill_at, calls) if traced else os.waitpid(child, 0)[1]
    late.cancel()
    late.join()  # the next trial is a fork of a process with one thread
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status), "calls": calls}
    if not said:
        return {"error": "Ended", "what": f"exit code {os.WEXITSTATUS(status)} without a word", "calls": calls}
    return json.loads(said) | {"calls": calls}


def _be_the_trial(action: str, arguments: dict[str, Any], writing: int, *, traced: bool) -> None:
    """Never returns."""
    said: dict[str, Any]
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        if traced:
            _told_to.append(True)
            _ptrace(_TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
        said = {"value": ACTIONS[action](**arguments)}
    except BaseException as error:
        text = str(error) if type(error).__module__ == "phi_tui.errors" else traceback.format_exc()
        said = {"error": type(error).__name__, "what": text}
    with contextlib.suppress(BaseException):
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
        os.write(writing, json.dumps(said).encode())
    os._exit(0)


_TRACEME, _CONT, _SYSCALL, _SETOPTIONS, _SYSCALL_INFO = 0, 7, 24, 0x4200, 0x420E
_OPTIONS = 0x1 | 0x100000 | 0x8 | 0x2  # syscall stops told apart, killed with the tracer, threads and forks followed
_WALL = 0x40000000


def _ptrace(request: int, child: int, address: int = 0, data: Any = 0) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.restype = ctypes.c_long
    given = ctypes.c_void_p(data) if isinstance(data, int) else data
    found = library.ptrace(ctypes.c_long(request), ctypes.c_long(child), ctypes.c_void_p(address), given)
    if found < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request}: {os.strerror(ctypes.get_errno())}")
    return int(found)


def _trace(child: int, kill_at: int, calls: list[str]) -> int:
    """Let `child` run, stopping it at each call while its window is open; kill it at the `kill_at`-th that counts."""
    names = _CALLS[os.uname().machine]
    os.waitpid(child, _WALL)
    _ptrace(_SETOPTIONS, child, 0, _OPTIONS)
    _ptrace(_CONT, child)
    how = _CONT
    info = (ctypes.c_char * 88)()
    while True:
        thread, status = os.waitpid(-1, _WALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if thread == child:
                return status
            continue
        stopped, passed = os.WSTOPSIG(status), 0
        if stopped == signal.SIGTRAP | 0x80:
            _ptrace(_SYSCALL_INFO, thread, 88, info)
            if info.raw[0] == 1:  # entering
                number, *given = struct.unpack_from("7Q", info.raw, 24)
                name = names.get(number, "")
                if name and not (name in _OPENS and not given[_OPENS[name]] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                    calls.append(name)
                    if len(calls) == kill_at:
                        os.kill(child, signal.SIGKILL)  # before the call is made; its threads are waited for too
                        continue
        elif stopped == signal.SIGUSR1:
            how = _SYSCALL
        elif stopped == signal.SIGUSR2:
            how = _CONT
        elif stopped not in (signal.SIGTRAP, signal.SIGSTOP):
            passed = stopped
        with contextlib.suppress(OSError):
            _ptrace(how, thread, 0, passed)


if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]
    main(sys.argv[1:])
