"""A base from the Hub: what it needs and nothing else, at one pinned commit, whole or not at all.

Files come into a staging folder that survives an interruption, so that a download goes on in the middle of a
file even days later, and the folder counts only once its `phi-tui.json` is written, last.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from phi_tui import atomic
from phi_tui.engine.download import TIMEOUT_SECONDS, Listener, RemoteFile, fetch_file
from phi_tui.engine.hub_errors import NoNetwork, endpoint, explained
from phi_tui.errors import InputError

MANIFEST = "phi-tui.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONFIGS = ("config.json", "generation_config.json")
_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
_LEFTOVER = re.compile(r"\.(.+?)\.(?:[0-9a-f]{12}\.partial|old)")
STALE_SECONDS = 14 * 24 * 3600
"""Age from which an unfinished download is taken for forgotten."""
_INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


@dataclass(frozen=True)
class Held:
    """What of a Hub base lies on this machine: its commit, the name that was asked for, and its files' sizes."""

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


def folder_of(repo: str, models: Path) -> Path:
    """Return the folder below `models` that holds the Hub base `repo`."""
    return models / repo.replace("/", "--")


def held(folder: Path) -> Held | None:
    """Return what the complete download in `folder` holds; None when there is none or a file changed its size."""
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
    """Return the folder of the Hub base `repo` ("org/name") and its commit, downloading what is not there yet.

    An empty `revision` takes what is there as it stands, else the newest commit.  `check` sees the folder once
    the small files are there and may refuse before the weights come; `not_found` is added to the message when
    there is no such model.  `on_progress` hears lines, or bytes too and may end the download where it is a
    Listener; what has come is kept.  Raises InputError that says what to do: no network, no access, no such model or
    revision, no safetensors, a full disk.
    """
    folder = folder_of(repo, models)
    clean_up(models)
    present = held(folder)
    complete = present if present and present.has(weights=weights, tokenizer=tokenizer) else None
    if complete and (not revision or complete.is_commit(revision)):
        return folder, complete.revision
    if is_offline():
        if complete and complete.answers(revision):
            return folder, complete.revision
        raise _unreachable(repo, folder, "offline mode is on (HF_HUB_OFFLINE)")
    # More of a base that is there in part comes from the same commit, or the parts would not fit together.
    asked = revision or (present.revision if present else "")
    try:
        commit, name, files = _look_up(repo, asked, not_found)
    except NoNetwork as error:
        if complete and complete.answers(revision):
            return folder, complete.revision
        raise _unreachable(repo, folder, str(error)) from None
    if complete and complete.revision == commit:
        return folder, commit
    chosen = _choose(repo, files, weights=weights, tokenizer=tokenizer)
    tell = on_progress or (lambda _: None)
    try:
        with _locked(models, folder, tell):
            _download(name, commit, chosen, folder, revision, check, tell)
    except NoNetwork as error:
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


def clean_up(models: Path, now: float | None = None) -> None:
    """Remove what killed processes left in `models`: downloads untouched for two weeks, and bases already replaced.

    A younger one is kept, for it goes on where it was, and so is one that a living process is at.
    """
    before = (time.time() if now is None else now) - STALE_SECONDS
    for left in (path for path in models.glob(".*") if _LEFTOVER.fullmatch(path.name) and path.is_dir()):
        folder = left.with_name(_LEFTOVER.sub(r"\1", left.name))
        with contextlib.suppress(OSError), lock_of(folder).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A base was moved aside and its successor never came: it is put back, whatever its age.
            if left.name.endswith(".old") and not folder.exists():
                os.rename(left, folder)
            elif left.name.endswith(".old") or _newest(left) < before:
                shutil.rmtree(left, ignore_errors=True)


def _newest(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))


def is_offline() -> bool:
    """Say whether the environment forbids asking the Hub."""
    # The library reads these once, when it is imported; here they count whenever they are set.
    from huggingface_hub import constants

    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in ("1", "ON", "YES", "TRUE") or bool(constants.is_offline_mode())


def _look_up(repo: str, revision: str, not_found: str) -> tuple[str, str, list[RemoteFile]]:
    """Return the commit that `revision` names, the repository's present id and its files."""
    from huggingface_hub import HfApi

    with explained(repo, revision, not_found):
        info = HfApi(endpoint=endpoint()).model_info(
            repo, revision=revision or None, files_metadata=True, timeout=TIMEOUT_SECONDS
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
    """Return the files to fetch, small ones first; raises InputError when the repository lacks what is needed."""
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
    """Fetch `files` into a staging folder of this commit, then join them to `folder` or put them in its place."""
    present = held(folder)
    kept = present.files if present and present.revision == commit else {}
    if present and kept:
        asked = asked or present.asked  # more of the same: the name that it was asked for by stays known
    staging = folder.with_name(f".{folder.name}.{commit[:12]}.partial")
    staging.mkdir(parents=True, exist_ok=True, mode=0o700)
    missing = [file for file in files if kept.get(file.name) != file.size]
    needed = sum(file.size for file in missing if not (staging / file.name).is_file())
    started = sum(part.stat().st_size for part in staging.glob("*.part"))
    if shutil.disk_usage(staging).free < needed - started:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    small = [file for file in missing if not file.name.endswith(".safetensors")]
    counts = _counts(missing, staging, tell)
    for file in small:
        fetch_file(repo, commit, file, staging, tell, counts(file))
    if check:
        try:
            check(staging if (staging / "config.json").is_file() else folder)
        except InputError:
            shutil.rmtree(staging, ignore_errors=True)  # of a base that is refused nothing is kept
            raise
    for file in missing:
        if file not in small:
            fetch_file(repo, commit, file, staging, tell, counts(file))
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


def _counts(
    files: list[RemoteFile], staging: Path, tell: Callable[[str], None]
) -> Callable[[RemoteFile], Callable[[int], None]]:
    """Return what makes, of the bytes of one file, the bytes of all, for a listener that wants them."""
    # What an earlier attempt brought counts from the start, or it would look like an enormous rate.
    have = {}
    for file in files:
        parts = (staging / file.name, staging / f"{file.name}.part")
        have[file.name] = next((part.stat().st_size for part in parts if part.is_file()), 0)
    total = sum(file.size for file in files)

    def counter(file: RemoteFile) -> Callable[[int], None]:
        def count(bytes_here: int) -> None:
            have[file.name] = bytes_here
            if isinstance(tell, Listener):
                tell.heard(file.name, sum(have.values()), total)

        return count

    return counter


def _unreachable(repo: str, folder: Path, reason: str) -> InputError:
    return InputError(
        f"{repo} is not complete on this machine and cannot be fetched: {reason}",
        where="model.base",
        fix=f"start again with a network, copy {folder} from a machine that has it, or name a local folder",
    )


@contextlib.contextmanager
def _locked(models: Path, folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Let one process at a time fetch a base; the second waits, while it is wanted, and then finds the work done."""
    models.mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock_of(folder).open("w") as file:
        waited = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waited:
                    tell("another process fetches this base; waiting for it")
                waited = True
                if isinstance(tell, Listener):
                    tell.check()
                time.sleep(0.1)
        yield


def lock_of(folder: Path) -> Path:
    """Return the file whose lock a process holds while it fetches the base in `folder`."""
    return folder.with_name(f".{folder.name}.lock")
