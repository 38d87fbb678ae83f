"""The models on this machine that can be a base: built in, brought into `models/`, lying in the workspace, cached.

The app calls this on a thread of its own process, so nothing heavy is imported: files are read by hand
(`model_facts`).  A folder that is broken is listed with the reason, since a person looks for it here.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phi_tui.engine import hub
from phi_tui.engine.curated import CuratedBase, Sized, curated, lora_bytes, qlora_bytes
from phi_tui.engine.model_facts import BrokenModel, NoModel, of_folder, of_gguf
from phi_tui.errors import InputError

Kind = Literal["builtin", "hub", "folder", "gguf", "cache"]

_DEMO = "builtin:phi-demo"
_DEMO_FOLDER = Path(__file__).parent.parent / "demo" / "base"
_CONVERTED = re.compile(r"(.+)-[0-9a-f]{12}")
_STAGING = re.compile(r"\.(.+?)--(.+)\.([0-9a-f]{12})\.partial")
_OURS = ("models", "runs", "datasets")
_MAX_FOLDERS = 1000
_MAX_ENTRIES = 5000


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on this machine; `base` is what a project writes, None stands for what its files do not say.

    `problem` is not empty for a model that cannot be used, and says why.  `bytes_on_disk` counts the weights' files;
    `place` is its folder, or the GGUF file itself.
    """

    base: str
    title: str
    kind: Kind
    place: Path
    parameters: int | None = None
    licence: str = ""
    context: int | None = None
    architecture: str = ""
    bytes_on_disk: int = 0
    chat: bool | None = None
    layers: int | None = None
    hidden: int | None = None
    vocab: int | None = None
    tied: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """Estimated GPU memory in bytes for training on a base, and whether it is there; None where it is unknown."""

    lora: int | None
    qlora: int | None
    lora_fits: bool | None
    qlora_fits: bool | None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A download that is not whole: the base, the first digits of its commit, and the bytes that are here.

    `live` says that a process is at it right now.
    """

    base: str
    revision: str
    folder: Path
    bytes: int
    live: bool


def local_models(workspace_root: Path) -> list[LocalModel]:
    """Return the models on this machine: built in, in `models/`, in the workspace, in the Hub's cache.  Never raises.

    The workspace is searched two levels deep; a folder with another kind of model in it is left out.
    """
    listed = itertools.chain(
        [_listed(_DEMO, "phi-demo", "builtin", _DEMO_FOLDER)],
        _brought(workspace_root / "models"),
        _lying(workspace_root),
        _cached(),
    )
    return [model for model in listed if model is not None]


def find(base: str, revision: str, root: Path, models: Path) -> LocalModel:
    """Return the model that a project names by `base`, as it lies on this machine, weights or not.

    Relative paths are relative to `root`.  Raises InputError when it is not here or is broken.
    """
    place = (root / os.path.expanduser(base)).absolute()
    folder = hub.folder_of(base, models)
    found: LocalModel | None
    if base == _DEMO:
        found = _listed(base, "phi-demo", "builtin", _DEMO_FOLDER)
    elif os.path.isdir(place):
        found = _listed(base, place.name, "folder", place, weights=False)
    elif os.path.isfile(place):
        found = _listed(base, place.name, "gguf", place)
    elif (held := hub.held(folder)) and held.answers(revision):
        found = _listed(base, base, "hub", folder, weights=False)
    else:
        raise InputError("is not on this machine", where=base, fix="fetch it first")
    if found is None:
        raise InputError("is no causal language model", where=base, fix="choose a model that continues text")
    if found.problem:
        raise InputError(found.problem, where=base, fix="copy or download it again")
    return found


def fits(base: CuratedBase | LocalModel, memory: int) -> Fit:
    """Return whether LoRA and QLoRA on `base` fit into `memory` bytes of a device, estimated."""
    sized = base if isinstance(base, CuratedBase) else _sized(base)
    if sized is None:
        return Fit(None, None, None, None)
    lora, qlora = lora_bytes(sized), qlora_bytes(sized)
    return Fit(lora, qlora, lora <= memory, qlora <= memory)


def interrupted(models: Path) -> list[Interrupted]:
    """Return the downloads into `models` that stopped on the way, or are on it; fetching goes on with them."""
    found = []
    for path in _entries(models):
        match = _STAGING.fullmatch(path.name)
        if match and os.path.isdir(path) and not os.path.islink(path):
            base = f"{match[1]}/{match[2]}"
            size = sum(_size(file) for file in _entries(path))
            found.append(Interrupted(base, match[3], path, size, _is_held(hub.lock_of(hub.folder_of(base, models)))))
    return found


@dataclass(frozen=True, slots=True)
class _Size:
    parameters: int
    layers: int
    hidden: int
    vocab: int
    tied: bool


def _sized(model: LocalModel) -> Sized | None:
    if not (model.parameters and model.layers and model.hidden and model.vocab):
        return None
    return _Size(model.parameters, model.layers, model.hidden, model.vocab, model.tied)


def _brought(models: Path) -> Iterator[LocalModel | None]:
    """What lies in `models/`: downloads that are whole, converted GGUF files, folders put there by hand."""
    for folder in _folders(models):
        if os.path.isfile(folder / hub.MANIFEST):
            held = hub.held(folder)
            if held is None:
                name = folder.name.replace("--", "/", 1)
                yield LocalModel(name, name, "hub", folder, problem="files changed since its download")
            elif held.has(weights=True, tokenizer=True):
                yield _listed(held.id, held.id, "hub", folder)
        elif match := _CONVERTED.fullmatch(folder.name):
            yield _listed(str(folder.absolute()), f"{match[1]} (converted)", "gguf", folder)
        else:
            yield from _lying_in(folder, folder.name)


def _lying(root: Path) -> Iterator[LocalModel | None]:
    """Folders and GGUF files in the workspace, two levels deep."""
    yield from _gguf_files(root)
    for folder in _folders(root):
        if folder.name not in _OURS:
            yield from _lying_in(folder, folder.name)
            for inner in _folders(folder):
                yield from _lying_in(inner, f"{folder.name}/{inner.name}")


def _lying_in(folder: Path, title: str) -> Iterator[LocalModel | None]:
    """The model that a folder is, if it is one, and the GGUF files in it."""
    if os.path.isfile(folder / "config.json") and any(_entries_like(folder, ".safetensors")):
        yield _listed(str(folder.absolute()), title, "folder", folder)
    yield from _gguf_files(folder)


def _gguf_files(folder: Path) -> Iterator[LocalModel | None]:
    for path in _entries_like(folder, ".gguf"):
        if os.path.isfile(path):
            yield _listed(str(path.absolute()), path.name, "gguf", path)


def _cached() -> Iterator[LocalModel | None]:
    """What the Hub's own cache holds, each by the snapshot that loads without a network."""
    for repository in _folders(_cache()):
        if not repository.name.startswith("models--"):
            continue
        title = repository.name.removeprefix("models--").replace("--", "/", 1)
        snapshots = [path for path in _folders(repository / "snapshots") if _entries_like(path, ".safetensors")]
        if not snapshots:
            continue
        main = ""
        with contextlib.suppress(OSError, ValueError):
            main = (repository / "refs" / "main").read_text("utf-8").strip()
        chosen = next((path for path in snapshots if path.name == main), snapshots[-1])
        yield _listed(str(chosen.absolute()), title, "cache", chosen)


def _cache() -> Path:
    """The Hub's cache, by the variables that its client library reads."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    home = os.environ.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"


def _listed(base: str, title: str, kind: Kind, place: Path, *, weights: bool = True) -> LocalModel | None:
    """Return the entry of one model, with the reason where it is broken; None for what is no model."""
    try:
        facts = of_gguf(place) if os.path.isfile(place) else of_folder(place, weights=weights)
    except NoModel:
        return None
    except BrokenModel as error:
        return LocalModel(base, title, kind, place, problem=str(error))
    except OSError as error:
        return LocalModel(base, title, kind, place, problem=f"cannot be read: {error.strerror}")
    known = next((one.licence for one in curated() if one.id == title), "")
    return LocalModel(
        base,
        title,
        kind,
        place,
        parameters=facts.parameters,
        licence=known or facts.licence,
        context=facts.context,
        architecture=facts.architecture,
        bytes_on_disk=facts.bytes_on_disk,
        chat=facts.chat,
        layers=facts.layers,
        hidden=facts.hidden,
        vocab=facts.vocab,
        tied=facts.tied,
    )


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, bounded; nothing where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(Path(entry.path) for entry in itertools.islice(found, _MAX_ENTRIES))
    except OSError:
        return []


def _entries_like(folder: Path, suffix: str) -> list[Path]:
    return [path for path in _entries(folder) if path.suffix.lower() == suffix]


def _folders(folder: Path) -> Iterator[Path]:
    visible = (path for path in _entries(folder) if not path.name.startswith(".") and os.path.isdir(path))
    return itertools.islice(visible, _MAX_FOLDERS)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size if os.path.isfile(file) else 0
    except OSError:
        return 0


def _is_held(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
