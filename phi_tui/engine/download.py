"""One file of the Hub: streamed over plain HTTP, taken up where it stopped, and checked against its hash.

The part that has come stays on disk between attempts and between processes, so that gigabytes get through a
weak line; the client library throws a part of a file away when its process ends.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phi_tui.engine.hub_errors import NoNetwork, endpoint, explained
from phi_tui.errors import InputError

TIMEOUT_SECONDS = 30.0
"""How long the Hub may stay silent before it counts as not there."""
_ATTEMPTS = 5
_CHUNK = 64 * 1024
"""Bytes between two looks at whether the download is still wanted: on a slow line a megabyte takes minutes."""
_TELL_EVERY = 8 * 1024 * 1024


@dataclass(frozen=True)
class Listener:
    """Hears how a download goes, in words and in bytes; whatever any of the three raises ends it.

    `text` gets lines for a person; `heard` gets a file's name, the bytes that are here and the bytes of all files
    together; `check` is called while nothing moves.  What has come stays on disk for the next attempt.
    """

    text: Callable[[str], None]
    heard: Callable[[str, int, int], None]
    check: Callable[[], None]

    def __call__(self, line: str) -> None:
        """Take a line, so that a listener can stand wherever a plain function of a line can."""
        self.text(line)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its size in bytes, and its SHA-256 (large files) or Git blob hash."""

    name: str
    size: int
    sha256: str
    blob: str


def fetch_file(
    repo: str,
    commit: str,
    file: RemoteFile,
    staging: Path,
    tell: Callable[[str], None],
    count: Callable[[int], None] = lambda have: None,
) -> None:
    """Fetch one file into `staging`, going on where an earlier attempt stopped, unless it is there already.

    `count` hears how many bytes of it are here, and ends the download by raising.  Raises InputError for a
    refusal or a hash that is not the Hub's, NoNetwork when no attempt gets further.
    """
    from huggingface_hub import hf_hub_url

    if (staging / file.name).is_file():
        count(file.size)
        return
    url = hf_hub_url(repo, file.name, revision=commit, endpoint=endpoint())
    part = staging / f"{file.name}.part"
    failures = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        if before > file.size:
            part.unlink()
            before = 0
        try:
            with explained(repo, commit, ""):
                _stream(url, file, part, tell, count)
            break
        except NoNetwork as error:
            # Whatever came through counts as progress, so that a weak line gets there in the end.
            failures = 0 if part.is_file() and part.stat().st_size > before else failures + 1
            if failures >= _ATTEMPTS:
                raise
            tell(f"{file.name}: {error}; trying again")
            time.sleep(0.2 * 2**failures)
    if not _is_intact(part, file):
        part.unlink(missing_ok=True)
        raise InputError(
            f"{file.name} of {repo} arrived damaged (its hash is not the Hub's)",
            where="model.base",
            fix="start again; the damaged file was thrown away",
        )
    os.replace(part, staging / file.name)


def _stream(url: str, file: RemoteFile, part: Path, tell: Callable[[str], None], count: Callable[[int], None]) -> None:
    """Append what is missing of the file at `url` to `part`."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    have = part.stat().st_size if part.is_file() else 0
    if have == file.size and have:
        return
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_SECONDS) as response:
        hf_raise_for_status(response)
        if have and response.status_code != 206:
            have = 0
        with part.open("ab" if have else "wb") as stream:
            told = have
            for chunk in response.iter_bytes(_CHUNK):
                stream.write(chunk)
                have += len(chunk)
                count(have)
                if have - told >= _TELL_EVERY or have == file.size:
                    told = have
                    tell(f"{file.name}: {have / 1e6:,.1f} of {file.size / 1e6:,.1f} MB")
    if have < file.size:
        raise NoNetwork("the connection ended early")


def _is_intact(path: Path, file: RemoteFile) -> bool:
    if path.stat().st_size != file.size:
        return False
    if file.sha256:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
    # Small files are plain Git blobs: SHA-1 over "blob <size>\0" and the content.
    blob = hashlib.sha1(b"blob %d\0" % file.size + path.read_bytes(), usedforsecurity=False)
    return not file.blob or blob.hexdigest() == file.blob
