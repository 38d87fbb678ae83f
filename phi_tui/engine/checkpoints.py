"""Resume points: written whole or not at all, verified before they are trusted, thinned out by count.

A checkpoint is a folder `step-N` with a manifest of sizes and SHA-256 sums.  The Trainer looks at names and times
only; here a damaged one is passed over with a reason, and never counts when old ones are removed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from phi_tui.atomic import write_text

MANIFEST = "manifest.json"
_NAME = re.compile(r"step-(\d+)")


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
    if not {"trainer_state.json", "optimizer.pt", "scheduler.pt"} <= items.keys():
        return "does not hold the optimiser's, the scheduler's and the trainer's state"
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


def rotate(folder: Path, keep: int) -> None:
    """Remove all but the `keep` newest whole checkpoints; damaged ones never push a whole one out."""
    whole = [path for _, path in listed(folder) if flaw(path) is None]
    for path in whole[keep:]:
        shutil.rmtree(path, ignore_errors=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
