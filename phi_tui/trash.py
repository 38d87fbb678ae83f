"""Runs that were deleted, kept until the trash is emptied: a move that can be undone in place of a loss.

A run goes to `<workspace>/.trash/<project>--<run>--<time>/` by one rename, under the run's own lock, so that it is
either here or there and never while somebody trains in it.  Emptying removes only what was put there this way.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from phi_tui.atomic import sync_folder
from phi_tui.errors import InputError
from phi_tui.run import Run
from phi_tui.workspace import Workspace, make_folder

_ENTRY = re.compile(r".+--.+--\d{8}-\d{6}(-\d+)?")


@dataclass(frozen=True, slots=True)
class Trashed:
    """A run in the trash: where it stood, and where it lies now."""

    original: Path
    place: Path

    @property
    def name(self) -> str:
        """project/id, as lists name the run."""
        return f"{self.original.parent.name}/{self.original.name}"


def folder(workspace: Workspace) -> Path:
    """The trash of a workspace.  Raises InputError when a symbolic link stands in its place."""
    place = workspace.root / ".trash"
    if place.is_symlink():
        raise InputError("is a symbolic link", where=str(place), fix="runs are moved only into real folders")
    return place


def size(path: Path) -> int:
    """The bytes that the files below `path` take, links not followed; what cannot be read counts nothing."""
    total = 0
    for place, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def move(workspace: Workspace, run: Run) -> Trashed:
    """Move a run to the trash.  Raises Refusal while it is live, InputError when it cannot be moved."""
    original = run.path
    if original.is_symlink() or original.parent != workspace.runs(original.parent.name):
        raise InputError("is no run of this workspace", where=str(original))
    if not original.is_dir():
        raise InputError("is not there any more", where=str(original))
    bin_ = folder(workspace)
    make_folder(bin_)
    with run.locked():
        place = _free(bin_ / f"{original.parent.name}--{original.name}--{time.strftime('%Y%m%d-%H%M%S')}")
        _rename(original, place)
    return Trashed(original, place)


def restore(trashed: Trashed) -> Run:
    """Move a run back to where it stood.  Raises InputError when something else stands there, or it is gone."""
    if not trashed.place.is_dir():
        raise InputError("is not in the trash any more", where=str(trashed.place))
    if os.path.lexists(trashed.original):
        raise InputError("something else stands there now", where=str(trashed.original), fix="move it away first")
    make_folder(trashed.original.parent)
    _rename(trashed.place, trashed.original)
    return Run(trashed.original)


def entries(workspace: Workspace) -> list[Path]:
    """The runs in the trash; files and folders that somebody else put there are not among them."""
    place = folder(workspace)
    if not place.is_dir():
        return []
    return sorted(
        entry for entry in place.iterdir() if _ENTRY.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink()
    )


def empty(workspace: Workspace) -> int:
    """Remove the runs in the trash for good and return how many; InputError names what could not be removed."""
    removed = 0
    for entry in entries(workspace):
        try:
            shutil.rmtree(entry)
        except OSError as error:
            raise InputError(
                f"cannot be removed: {error.strerror or error}", where=str(error.filename or entry)
            ) from None
        removed += 1
    return removed


def _free(place: Path) -> Path:
    """`place`, or the first free one of `place-2`, `place-3`, ..."""
    number, free = 1, place
    while os.path.lexists(free):
        number += 1
        free = place.with_name(f"{place.name}-{number}")
    return free


def _rename(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        raise InputError(
            f"cannot be moved: {error.strerror or error}", where=str(source), fix=f"nothing was changed; see {target}"
        ) from None
    sync_folder(source.parent)
    sync_folder(target.parent)
