"""Files and folders that are written whole or not at all: staged beside their place, synced, then renamed.

A reader sees the old content or the new one, never a half of either, whenever the process dies.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def write_text(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace the file at `path` by `text` (UTF-8)."""
    write_bytes(path, text.encode("utf-8"), mode=mode)


def write_bytes(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace the file at `path` by `data`; an existing file keeps its permissions."""
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode & 0o777
    handle, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(staged, mode)
        os.replace(staged, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(staged)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def folder(target: Path) -> Iterator[Path]:
    """Give an empty staging folder; on leaving without an error it is synced and becomes `target`.

    An earlier `target` is moved aside first and removed last, so that one of the two always stands.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial"))
    try:
        yield staged
        sync_tree(staged)
        old = target.with_name(f".{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            os.rename(target, old)
        os.rename(staged, target)
        sync_folder(target.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def sync_tree(root: Path) -> None:
    """Sync every file and folder below `root`, and `root` itself, to the disk."""
    for place, _, files in os.walk(root):
        for name in files:
            handle = os.open(os.path.join(place, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(place))


def sync_folder(path: Path) -> None:
    """Sync a folder's entries, where the file system lets us."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
