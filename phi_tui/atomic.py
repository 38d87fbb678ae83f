"""Files and folders that are written whole or not at all: staged beside their place, synced, then renamed.

A reader sees the old content or the new one, never a half of either, whenever the process dies.  What a process that
died left behind (`.NAME.….partial`, `.NAME.old`) is put right by `settle`, called by whoever holds the place's lock.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PARTIAL = ".partial"


def write_text(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace the file at `path` by `text` (UTF-8)."""
    write_bytes(path, text.encode("utf-8"), mode=mode)


def write_bytes(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace the file at `path` by `data`; an existing file keeps its permissions."""
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode & 0o777
    handle, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_PARTIAL)
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
    """Give an empty staging folder; on leaving without an error it is synced and becomes `target`, for its owner alone.

    An earlier `target` is exchanged for it in one step where the system can do that, and removed last; elsewhere it is
    moved aside first, so that one of the two always stands.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=_PARTIAL))
    try:
        yield staged
        _make_private(staged)
        sync_tree(staged)
        if target.exists() and _exchange(staged, target):
            sync_folder(target.parent)
            shutil.rmtree(staged, ignore_errors=True)
            return
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


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step (Linux, most file systems); False where that cannot be had."""
    import ctypes

    try:
        call = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(call(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def settle(place: Path, name: str = "") -> None:
    """Put right what processes that died left in the folder `place`: half-written things go, a moved one comes back.

    With `name` only what belongs to that entry is touched.  Nobody else may be writing there: the caller holds the lock
    that its writers hold.
    """
    ours = re.escape(name) if name else ".+"
    with contextlib.suppress(OSError):
        for entry in sorted(place.iterdir()):
            if re.fullmatch(rf"\.{ours}\.[a-z0-9_]{{8}}\.partial", entry.name):
                _remove(entry)
            elif found := re.fullmatch(rf"\.({ours})\.old", entry.name):
                target = place / found[1]
                if target.exists():
                    _remove(entry)
                else:  # it died between moving the old one aside and putting the new one in its place
                    os.rename(entry, target)
                    sync_folder(place)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _make_private(root: Path) -> None:
    """Files 0600 and folders 0700, whatever the library that wrote them made them."""
    for place, _, files in os.walk(root):
        os.chmod(place, 0o700)
        for name in files:
            path = os.path.join(place, name)
            if not os.path.islink(path):
                os.chmod(path, 0o600)


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
