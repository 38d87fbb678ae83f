"""What a run leaves for elsewhere: its adapter, its frozen project with its lock, and its metrics as CSV or JSON.

Nothing that stands is ever overwritten, and what is written is there whole or not at all: it is staged beside its
place and moved there last.  A journal is read as a stream, so that its length does not matter.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from phi_tui import journal
from phi_tui.atomic import sync_folder, sync_tree, write_text
from phi_tui.errors import InputError, PhiError
from phi_tui.journal import Event
from phi_tui.run import Run

METRICS = (
    "seq",
    "time",
    "kind",
    "step",
    "epoch",
    "loss",
    "lr",
    "grad_norm",
    "tokens",
    "tokens_per_second",
    "eval_loss",
    "perplexity",
    "base",
    "seconds",
)
"""The columns of the metrics: what step and eval events carry."""


def metrics_csv(run: Run, path: Path) -> int:
    """Write the run's steps and evaluations to a new CSV file and return how many; empty where there is no number.

    Raises InputError when something stands at `path`, or it cannot be written.
    """
    rows = 0
    with _new_file(path) as file:
        writer = csv.writer(file)
        writer.writerow(METRICS)
        for row in metrics(run):
            writer.writerow(["" if (value := row.get(key)) is None else value for key in METRICS])
            rows += 1
    return rows


def metrics_json(run: Run, path: Path) -> int:
    """Write the run's steps and evaluations to a new file as a JSON array of objects and return how many.

    Raises InputError when something stands at `path`, or it cannot be written.
    """
    rows = 0
    with _new_file(path) as file:
        file.write("[")
        for row in metrics(run):
            file.write((",\n" if rows else "\n") + json.dumps(row))
            rows += 1
        file.write("\n]\n")
    return rows


def metrics(run: Run) -> Iterator[Event]:
    """Yield the steps and evaluations that count, in order; those that a resume did again are left out.

    A value that is no finite number is None, whatever stands in the journal.
    """
    resumed = [
        (place, int(event["step"]))
        for place, event in enumerate(journal.read(run.journal))
        if event["kind"] == "resumed" and isinstance(event.get("step"), int)
    ]
    for place, event in enumerate(journal.read(run.journal)):
        while resumed and resumed[0][0] <= place:
            resumed.pop(0)
        if event["kind"] not in ("step", "eval"):
            continue
        step = event.get("step")
        if isinstance(step, (int, float)) and any(step > back for _, back in resumed):
            continue
        yield {key: event["kind"] if key == "kind" else _plain(event[key]) for key in METRICS if key in event}


def adapter(run: Run, folder: Path) -> Path:
    """Copy the run's adapter, in PEFT's format, or its whole model, to a new folder and return it.

    Raises InputError when there is no adapter, something stands at `folder`, or it cannot be written.
    """
    with _new_folder(folder) as staged:
        _copy_adapter(run, staged)
    return folder


def bundle(run: Run, folder: Path, *, with_adapter: bool = False) -> Path:
    """Copy what replays the run elsewhere to a new folder: NAME.toml and, if there is one, NAME.lock.toml beside it.

    `phi-tui --replay NAME.toml --locked` there takes both; with `with_adapter` the adapter lies in `adapter/`.
    Raises InputError when something stands at `folder`, or a part is missing or cannot be written.
    """
    from phi_tui import project

    frozen = run.project()
    name = frozen.name
    with _new_folder(folder) as staged:
        _copy_file(run.path / "project.toml", staged / f"{name}.toml")
        if project.load(run.path / "project.toml") != frozen:  # a word in it has another meaning by now
            write_text(staged / f"{name}.toml", project.text(frozen, defaults=True))
        if (run.path / "lock.toml").exists():
            _copy_file(run.path / "lock.toml", staged / f"{name}.lock.toml")
        if with_adapter:
            (staged / "adapter").mkdir(mode=0o700)
            _copy_adapter(run, staged / "adapter")
    return folder


def flaw_of(path: Path) -> str:
    """Why nothing can be written to `path`, as one sentence; empty when it can."""
    if os.path.lexists(path):
        return "that is there already; nothing is overwritten, so choose another name"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"the folder {path.parent} cannot be written to"
    return ""


def _copy_adapter(run: Run, target: Path) -> None:
    """Copy the adapter's files; again when a live run put a newer one in its place meanwhile."""
    source = run.result_folder
    if not source.is_dir():
        raise InputError(
            "this run has no adapter yet", where=str(run.path), fix="one is kept at the first evaluation, or at the end"
        )
    for _ in range(5):
        before = os.stat(source).st_ino
        try:
            _copy_tree(source, target)
            if os.stat(source).st_ino == before:
                return
        except FileNotFoundError:
            pass
        for entry in list(target.iterdir()):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    raise InputError("the adapter changes too often to be copied", where=str(source), fix="try again later")


def _copy_tree(source: Path, target: Path) -> None:
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            (target / entry.name).mkdir(mode=0o700)
            _copy_tree(Path(entry.path), target / entry.name)
        else:
            _copy_file(Path(entry.path), target / entry.name)


def _copy_file(source: Path, target: Path) -> None:
    """Copy a real file; a link could bring anything of this machine along, and a pipe would wait for ever."""
    if source.is_symlink() or (source.exists() and not source.is_file()):
        raise InputError("is no plain file, so it is not exported", where=str(source))
    shutil.copyfile(source, target)
    os.chmod(target, 0o600)


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `folder` in the end; gone again when something fails."""
    with _told(folder):
        staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".partial"))
        try:
            yield staged
            sync_tree(staged)
            if os.path.lexists(folder):
                raise FileExistsError(17, os.strerror(17), str(folder))
            os.rename(staged, folder)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        sync_folder(folder.parent)


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """Give a text file that becomes `path` in the end; gone again when something fails."""
    with _told(path):
        handle, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(staged, path)  # unlike a rename, a link never replaces what came there meanwhile
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                if os.path.lexists(path):
                    raise FileExistsError(17, os.strerror(17), str(path)) from None
                os.rename(staged, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(staged)
        sync_folder(path.parent)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Refuse what stands already; say what the system says as an InputError."""
    if flaw := flaw_of(path):
        raise InputError(flaw, where=str(path))
    try:
        yield
    except PhiError:
        raise
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror or error}; nothing was left behind", where=str(error.filename or path)
        ) from None


def _plain(value: Any) -> int | float | bool | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (bool, int, float)) else None
