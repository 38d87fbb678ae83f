"""Resume points: written whole or not at all, verified before they are trusted, thinned out by count.

A checkpoint is a folder `step-N` with a manifest of sizes and SHA-256 sums, written last.  The Trainer looks at names
and times only; here a damaged one is passed over with a reason, and never counts when old ones are removed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from phi_tui.atomic import write_text

MANIFEST = "manifest.json"
_NAME = re.compile(r"step-(\d+)")
_STATE = ("trainer_state.json", "optimizer.pt", "scheduler.pt")
_FULL = re.compile(
    r"os error (?:27|28|122)\b|no space left|file too large|disk quota|PytorchStreamWriter failed|unexpected pos", re.I
)
"""How libraries that raise no OSError say that a write failed."""


def write_manifest(folder: Path) -> None:
    """Write the sizes and sums of all files in `folder`."""
    entries = {
        str(path.relative_to(folder)): {"size": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    write_text(folder / MANIFEST, json.dumps(entries, indent=1))


def flaw(folder: Path) -> str | None:
    """Return why `folder` is not a whole checkpoint, or None when it is."""
    if folder.is_symlink():
        return "is a symbolic link"
    try:
        entries = json.loads((folder / MANIFEST).read_text())
        items = {str(name): (int(entry["size"]), str(entry["sha256"])) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "has no readable manifest"
    for name, (size, expected) in items.items():
        path = folder / name
        if not path.is_file() or path.is_symlink():
            return f"lacks {name}"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes in place of {size}"
        if sha256(path) != expected:
            return f"{name} is damaged: its SHA-256 differs"
    if not set(_STATE) <= items.keys():
        return "does not hold the optimiser's, the scheduler's and the trainer's state"
    if not any(name.startswith("rng_state") for name in items):
        return "does not hold the state of the random numbers"
    if not any(name.endswith(".safetensors") for name in items):
        return "does not hold the weights"
    return None


def listed(folder: Path) -> list[tuple[int, Path]]:
    """Return (step, path) of the checkpoints in `folder`, newest first, unverified."""
    if not folder.is_dir():
        return []
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return sorted(found, reverse=True)


def newest_whole(folder: Path) -> tuple[Path | None, list[str]]:
    """Return the newest checkpoint that verifies, and what is wrong with each newer one."""
    flaws: list[str] = []
    for _, path in listed(folder):
        found = flaw(path)
        if found is None:
            return path, flaws
        flaws.append(f"{path.name} {found}")
    return None, flaws


def rotate(folder: Path, keep: int, best: int | None = None) -> None:
    """Remove what is older than the `keep` newest whole checkpoints, but never that of the step `best`.

    Damaged ones never push a whole one out, and none is read where there are not too many.
    """
    found = listed(folder)
    whole = 0
    for step, path in found if len(found) > keep else ():
        if whole < keep:
            whole += flaw(path) is None
        elif step != best:
            shutil.rmtree(path, ignore_errors=True)


def size(folder: Path) -> int:
    """Return the bytes that the newest checkpoint in `folder` takes; 0 without one."""
    newest = listed(folder)[:1]
    return sum(path.stat().st_size for _, place in newest for path in place.rglob("*") if path.is_file())


def room(folder: Path, needed: int) -> None:
    """Raise OSError when `needed` bytes are not free where `folder` lies: no save is begun that cannot end."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        said = f"the disk is full: a checkpoint needs {needed / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free"
        raise OSError(errno.ENOSPC, said, str(folder))


def write_failed(error: BaseException) -> OSError | None:
    """Return an error of a save as the OSError that it is, whatever the library made of it; None for any other."""
    if isinstance(error, OSError):
        return error
    causes: Iterable[BaseException | None] = (error, error.__context__, error.__cause__)
    for one in causes:
        if isinstance(one, OSError):
            return one
        if one is not None and _FULL.search(str(one)):
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
