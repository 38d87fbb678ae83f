"""A base from the Hub: what it needs and nothing else, at one pinned commit, whole or not at all.

Files are fetched over plain HTTP into a staging folder that survives an interruption, so that a download goes
on in the middle of a file even days later; the client library throws a part of a file away when its process
ends.  Each file is checked against the hash that the Hub states, and the folder counts only once its
`phi-tui.json` is written, last.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from phi_tui import atomic
from phi_tui.errors import InputError

MANIFEST = "phi-tui.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONFIGS = ("config.json", "generation_config.json")
_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
_INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_ATTEMPTS = 5
_CHUNK = 1024 * 1024
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Held:
    """What of a Hub base lies on this machine: its commit, the name that was asked for, and files with their
    sizes."""

    id: str
    revision: str
    asked: str
    files: dict[str, int]

    def is_commit(self, revision: str) -> bool:
        """Say whether `revision` is this commit's hash or the first 7 or more digits of it."""
        return len(revision) >= 7 and self.revision.startswith(revision)

    def answers(self, revision: str) -> bool:
        """Say whether this is what `revision` names, as far as that is known without the Hub."""
        return not revision or revision == self.asked or self.is_commit(revision)

    def has(self, *, weights: bool, tokenizer: bool) -> bool:
        """Say whether the parts asked for are among the files."""
        whole = not weights or "model.safetensors" in self.files or _INDEX in self.files
        return whole and (not tokenizer or any(name in self.files for name in _TOKENIZER))


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its size in bytes, and its SHA-256 (large files) or Git blob hash."""

    name: str
    size: int
    sha256: str
    blob: str


def folder_of(repo: str, models: Path) -> Path:
    """Return the folder below `models` that holds the Hub base `repo`."""
    return models / repo.replace("/", "--")


def held(folder: Path) -> Held | None:
    """Return what the complete download in `folder` holds; None when there is none or a file of it changed
    its size."""
    try:
        table = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {str(name): int(size) for name, size in table["files"].items()}
        if any((folder / name).stat().st_size != size for name, size in files.items()):
            return None
        return Held(str(table["id"]), str(table["revision"]), str(table["asked"]), files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def fetch(
    repo: str,
    models: Path,
    revision: str = "",
    *,
    weights: bool = True,
    tokenizer: bool = True,
    check: Callable[[Path], None] | None = None,
    on_progress: Callable[[str], None] | None = None,
    not_found: str = "",
) -> tuple[Path, str]:
    """Return the folder of the Hub base `repo` ("org/name") and its commit, downloading what is not there
    yet.

    An empty `revision` takes what is there as it stands, else the newest commit.  `check` sees the folder
    once the small files are there and may refuse before the weights come; `not_found` is added to the message
    when there is no such model.  Raises InputError that says what to do: no network, no access, no such model
    or revision, no safetensors, a full disk.
    """
    folder = folder_of(repo, models)
    present = held(folder)
    complete = present is not None and present.has(weights=weights, tokenizer=tokenizer)
    if present and complete and (not revision or present.is_commit(revision)):
        return folder, present.revision
    if _is_offline():
        if present and complete and present.answers(revision):
            return folder, present.revision
        raise _unreachable(repo, folder, "offline mode is on (HF_HUB_OFFLINE)")
    # More of a base that is there in part comes from the same commit, or the parts would not fit together.
    asked = revision or (present.revision if present else "")
    try:
        commit, name, files = _look_up(repo, asked, not_found)
    except _NoNetwork as error:
        if present and complete and present.answers(revision):
            return folder, present.revision
        raise _unreachable(repo, folder, str(error)) from None
    if present and complete and present.revision == commit:
        return folder, commit
    chosen = _choose(repo, files, weights=weights, tokenizer=tokenizer)
    try:
        with _locked(models, folder):
            _download(name, commit, chosen, folder, revision, check, on_progress or (lambda _: None))
    except _NoNetwork as error:
        raise _unreachable(repo, folder, str(error)) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        raise InputError(
            f"the base cannot be written: {error.strerror}",
            where=str(models),
            fix="make room or choose another folder with --workspace, and start again: what is there is kept",
        ) from None
    return folder, commit


class _NoNetwork(Exception):
    """The Hub did not answer; the text says how."""


def _is_offline() -> bool:
    # The library reads these once, when it is imported; here they count whenever they are set.
    from huggingface_hub import constants

    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in ("1", "ON", "YES", "TRUE") or bool(constants.is_offline_mode())


def _endpoint() -> str:
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def _look_up(repo: str, revision: str, not_found: str) -> tuple[str, str, list[RemoteFile]]:
    """Return the commit that `revision` names, the repository's present id and its files."""
    from huggingface_hub import HfApi

    with _told(repo, revision, not_found):
        info = HfApi(endpoint=_endpoint()).model_info(
            repo, revision=revision or None, files_metadata=True, timeout=_TIMEOUT_SECONDS
        )
    files = [
        RemoteFile(
            sibling.rfilename,
            int(sibling.size or 0),
            str(sibling.lfs.sha256) if sibling.lfs else "",
            str(sibling.blob_id or ""),
        )
        for sibling in info.siblings or []
    ]
    if not _COMMIT.fullmatch(info.sha or ""):
        raise InputError(f"the Hub names no commit for {repo}", where="model.base", fix="try again later")
    return str(info.sha), str(info.id), files


def _choose(repo: str, files: list[RemoteFile], *, weights: bool, tokenizer: bool) -> list[RemoteFile]:
    """Return the files to fetch, small ones first; raises InputError when the repository does not hold what
    is needed."""
    table = {file.name: file for file in files}
    if "config.json" not in table:
        hint = "it is an adapter: name its base" if "adapter_config.json" in table else "choose another base"
        raise InputError(f"{repo} holds no config.json, so it is no base that can be loaded", fix=hint)
    names = [*_CONFIGS, *(_TOKENIZER if tokenizer else ())]
    if weights:
        # One file or shards with an index; a repository that has both has the same weights twice.
        shards = sorted(name for name in table if _SHARD.fullmatch(name))
        if "model.safetensors" in table:
            names.append("model.safetensors")
        elif _INDEX in table and shards:
            names += [_INDEX, *shards]
        elif any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in table):
            raise InputError(
                f"{repo} has its weights as a pickle only; a pickle can run any code while it is read, "
                "so that of a stranger is refused",
                where="model.base",
                fix="choose a base with model.safetensors, or a converted copy of this one",
            )
        elif any(name.endswith(".gguf") for name in table):
            raise InputError(
                f"{repo} holds GGUF files only",
                where="model.base",
                fix="download one of them and name the file",
            )
        else:
            raise InputError(f"{repo} holds no weights (model.safetensors)", where="model.base")
    return [table[name] for name in names if name in table]


def _download(
    repo: str,
    commit: str,
    files: list[RemoteFile],
    folder: Path,
    asked: str,
    check: Callable[[Path], None] | None,
    tell: Callable[[str], None],
) -> None:
    """Fetch `files` into a staging folder of this commit, then join them to `folder` or put them in its
    place."""
    present = held(folder)
    kept = present.files if present and present.revision == commit else {}
    staging = folder.with_name(f".{folder.name}.{commit[:12]}.partial")
    staging.mkdir(parents=True, exist_ok=True, mode=0o700)
    missing = [file for file in files if kept.get(file.name) != file.size]
    needed = sum(file.size for file in missing if not (staging / file.name).is_file())
    started = sum(part.stat().st_size for part in staging.glob("*.part"))
    if shutil.disk_usage(staging).free < needed - started:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    small = [file for file in missing if not file.name.endswith(".safetensors")]
    for file in small:
        _fetch_file(repo, commit, file, staging, tell)
    if check:
        try:
            check(staging if (staging / "config.json").is_file() else folder)
        except InputError:
            shutil.rmtree(staging, ignore_errors=True)  # of a base that is refused nothing is kept
            raise
    for file in missing[len(small) :]:
        _fetch_file(repo, commit, file, staging, tell)
    for other in folder.parent.glob(f".{folder.name}.*.partial"):
        if other != staging:  # another commit that was never finished
            shutil.rmtree(other, ignore_errors=True)
    sizes = kept | {file.name: file.size for file in missing}
    manifest = {"id": repo, "revision": commit, "asked": asked, "files": sizes}
    atomic.sync_tree(staging)
    if kept:
        for file in missing:
            os.replace(staging / file.name, folder / file.name)
        atomic.sync_folder(folder)
        atomic.write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        shutil.rmtree(staging, ignore_errors=True)
        return
    atomic.write_text(staging / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(staging, folder)
    atomic.sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _fetch_file(repo: str, commit: str, file: RemoteFile, staging: Path, tell: Callable[[str], None]) -> None:
    """Fetch one file, going on where an earlier attempt stopped, and check its hash."""
    from huggingface_hub import hf_hub_url

    if (staging / file.name).is_file():
        return
    url = hf_hub_url(repo, file.name, revision=commit, endpoint=_endpoint())
    part = staging / f"{file.name}.part"
    failures = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        if before > file.size:
            part.unlink()
            before = 0
        try:
            with _told(repo, commit, ""):
                _stream(url, file, part, tell)
            break
        except _NoNetwork as error:
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


def _stream(url: str, file: RemoteFile, part: Path, tell: Callable[[str], None]) -> None:
    """Append what is missing of the file at `url` to `part`."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    have = part.stat().st_size if part.is_file() else 0
    if have == file.size and have:
        return
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT_SECONDS) as response:
        hf_raise_for_status(response)
        if have and response.status_code != 206:
            have = 0
        with part.open("ab" if have else "wb") as stream:
            told = have
            for chunk in response.iter_bytes(_CHUNK):
                stream.write(chunk)
                have += len(chunk)
                if have - told >= 8 * _CHUNK or have == file.size:
                    told = have
                    tell(f"{file.name}: {have / 1e6:,.1f} of {file.size / 1e6:,.1f} MB")
    if have < file.size:
        raise _NoNetwork("the connection ended early")


def _is_intact(path: Path, file: RemoteFile) -> bool:
    if path.stat().st_size != file.size:
        return False
    if file.sha256:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
    # Small files are plain Git blobs: SHA-1 over "blob <size>\0" and the content.
    blob = hashlib.sha1(b"blob %d\0" % file.size + path.read_bytes(), usedforsecurity=False)
    return not file.blob or blob.hexdigest() == file.blob


@contextlib.contextmanager
def _told(repo: str, revision: str, not_found: str) -> Iterator[None]:
    """Turn the client library's exceptions into what a person can act on; the token is in none of the
    texts."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HfHubHTTPError as error:
        _explain(error, repo, revision, not_found)
    except errors.OfflineModeIsEnabled as error:
        raise _NoNetwork("offline mode is on (HF_HUB_OFFLINE)") from error
    except errors.HFValidationError:
        raise InputError(f"{repo!r} is no Hub id", where="model.base", fix="a Hub id is org/name") from None
    except errors.HTTPError as error:  # the transport's own: refused, no such host, timed out, cut off
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise _NoNetwork(f"{_endpoint()} does not answer: {lines[0][:200]}") from error


def _explain(error: Any, repo: str, revision: str, not_found: str) -> NoReturn:
    from huggingface_hub import errors

    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError) or status == 403:
        raise InputError(
            f"{repo} is gated: its authors want their licence accepted first (the Hub answered {status})",
            where="model.base",
            fix=f"accept it on {_endpoint()}/{repo}, then `hf auth login` or set HF_TOKEN",
        ) from None
    if isinstance(error, errors.RevisionNotFoundError):
        raise InputError(
            f"{repo} has no revision {revision!r}",
            where="model.revision",
            fix='a commit, a tag, or "" for the newest',
        ) from None
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        more = f"; {not_found}" if not_found else ""
        raise InputError(
            f"there is no model {repo} on the Hub, or it is private{more}",
            where="model.base",
            fix="look at the spelling; for a private one `hf auth login` or set HF_TOKEN",
        ) from None
    if status == 401:
        raise InputError(
            "the Hub refuses the token", where="model.base", fix="`hf auth login` again, or correct HF_TOKEN"
        ) from None
    raise _NoNetwork(f"the Hub answered {status}") from error


def _unreachable(repo: str, folder: Path, reason: str) -> InputError:
    return InputError(
        f"{repo} is not complete on this machine and cannot be fetched: {reason}",
        where="model.base",
        fix=f"start again with a network, copy {folder} from a machine that has it, or name a local folder",
    )


@contextlib.contextmanager
def _locked(models: Path, folder: Path) -> Iterator[None]:
    """Let one process at a time fetch a base; the second waits and then finds the work done."""
    models.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (models / f".{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
