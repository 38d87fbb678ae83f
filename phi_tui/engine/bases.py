"""The base model of a project: whatever names it, a local folder that loads without a network comes out.

A base is the embedded demo model, a local folder, a GGUF file or a model on the Hub.  Each is checked before
anything heavy happens: a causal language model, weights in safetensors, no code of its own; a mistake is told
in a second and not after a download of gigabytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from phi_tui import schema
from phi_tui.engine import gguf, hub
from phi_tui.engine.curated import by_size, curated, did_you_mean
from phi_tui.errors import InputError

__all__ = ["Base", "by_size", "check_architecture", "curated", "resolve", "weights_hash"]

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "vocab.txt")
_BUILTIN = {"builtin:phi-demo": Path(__file__).parent.parent / "demo" / "base"}
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True)
class Base:
    """A base that is on this machine: `id` as the project says it, `folder` loads offline.

    One of the kind "scratch" was made for its project, with weights that are still random.  `revision` is
    the commit of a Hub base, the SHA-256 of a GGUF file, else empty.
    """

    id: str
    kind: Literal["builtin", "folder", "gguf", "hub", "scratch"]
    folder: Path
    revision: str

    def weights_hash(self) -> str:
        """Return the SHA-256 over the weights; see `weights_hash`."""
        return weights_hash(self.folder)


def resolve(
    model: schema.Model,
    root: Path,
    models: Path,
    *,
    weights: bool = True,
    tokenizer: bool = True,
    on_progress: Callable[[str], None] | None = None,
    check: Callable[[Path], None] | None = None,
) -> Base:
    """Return the base that `model` names as a local folder, downloaded or converted into `models` if need be.

    Relative paths are relative to `root`.  `weights` and `tokenizer` say what must be there; `check` looks at the
    architecture of what stands there already in the place of `check_architecture`, which imports torch.  Raises
    InputError when the base does not exist, cannot be had, or is none that phi-tui trains.
    """
    name = model.base
    place = (root / Path(name).expanduser()).absolute()
    if name.startswith("builtin:"):
        base = _builtin(name)
    elif place.is_dir():
        base = Base(name, "folder", place, "")
    elif place.is_file() and (place.suffix.lower() == ".gguf" or gguf.is_gguf(place)):
        folder, digest = gguf.converted(place, models, on_progress)
        base = Base(name, "gguf", folder, digest)
    elif place.exists():
        raise InputError(
            "is neither a folder nor a GGUF file",
            where=str(place),
            fix="name the folder with config.json and the safetensors files",
        )
    elif _HUB_ID.fullmatch(name) and not name.lower().endswith(".gguf"):
        fix = did_you_mean(name)
        folder, revision = hub.fetch(
            name,
            models,
            model.revision,
            weights=weights,
            tokenizer=tokenizer,
            check=check_architecture,
            on_progress=on_progress,
            not_found=f"no folder of that name lies in {root} either{fix}",
        )
        base = Base(name, "hub", folder, revision)
    else:
        raise _missing(name, place)
    if base.kind != "hub" and model.revision not in ("", base.revision):
        raise InputError("only a base on the Hub has a revision", where="model.revision", fix='leave it empty: ""')
    (check or check_architecture)(base.folder)
    if weights:
        _check_weights(base.folder)
    if tokenizer and not any((base.folder / file).is_file() for file in _TOKENIZER_FILES):
        raise InputError(
            "holds no tokenizer",
            where=str(base.folder),
            fix=f"one of these files must be there: {', '.join(_TOKENIZER_FILES)}",
        )
    return base


def weights_hash(folder: Path) -> str:
    """Return the SHA-256 over the names and contents of `folder`'s safetensors files, in the names' order.

    Reads the files in pieces of 8 MiB; about a second for each 1.5 GB from a warm cache.
    """
    whole = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        whole.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while piece := stream.read(8 * 1024 * 1024):
                whole.update(piece)
    return whole.hexdigest()


def check_architecture(folder: Path) -> None:
    """Raise InputError unless `folder`'s config.json describes a causal language model without foreign code."""
    where = folder / "config.json"
    settings = _config(folder)
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    kind = str(settings.get("model_type", ""))
    if settings.get("auto_map") and (kind not in CONFIG_MAPPING_NAMES or kind not in CAUSAL):
        raise InputError(
            "the model brings Python code of its own (auto_map), and code of a stranger is not run",
            where=str(where),
            fix="choose a base of an architecture that transformers knows",
        )
    if kind not in CONFIG_MAPPING_NAMES:
        said = f"the model type {kind!r} is unknown" if kind else "no model_type is named"
        raise InputError(said, where=str(where), fix="a newer transformers may know it")
    named = settings.get("architectures") or []
    architectures = [str(name) for name in named] if isinstance(named, list) else [str(named)]
    causal = CAUSAL.get(kind)
    if settings.get("is_encoder_decoder") or causal is None or (architectures and causal not in architectures):
        raise InputError(
            f"is no causal language model but {', '.join(architectures) or kind}",
            where=str(where),
            fix="choose a model that continues text, such as "
            + ", ".join([base.id for base in by_size("1.3b") if not base.gated][:3]),
        )
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except Exception as error:  # each architecture checks its settings in its own way, with its own exceptions
        lines = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"cannot be read as a configuration: {lines[0][:300]}", where=str(where)) from error


def _builtin(name: str) -> Base:
    folder = _BUILTIN.get(name)
    if folder is None:
        raise InputError(f"there is no {name!r}", where="model.base", fix=f"built in: {', '.join(_BUILTIN)}")
    return Base(name, "builtin", folder, "")


def _config(folder: Path) -> dict[str, Any]:
    where = folder / "config.json"
    try:
        settings = json.loads(where.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (folder / "adapter_config.json").is_file():
            raise InputError(
                "is an adapter, not a base (adapter_config.json, but no config.json)",
                where=str(folder),
                fix="name the base that the adapter was trained on",
            ) from None
        files = sorted(folder.glob("*.gguf"))
        fix = f"did you mean the file {files[0].name}?" if files else "a base folder holds config.json and weights"
        raise InputError("holds no config.json", where=str(folder), fix=fix) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"is broken: {error}", where=str(where), fix="copy or download the base again") from None
    if not isinstance(settings, dict):
        raise InputError("is broken: not a JSON object", where=str(where), fix="copy or download the base again")
    return settings


def _check_weights(folder: Path) -> None:
    """Raise InputError unless `folder` holds whole safetensors files, all that its index names."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        shards = {"model.safetensors"}
    elif index.is_file():
        try:
            shards = {str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"is broken: {error}", where=str(index), fix="copy the base again") from None
    else:
        pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
        if pickles:
            raise InputError(
                f"its weights are a pickle ({pickles[0]}): a pickle can run any code while it is read, "
                "so weights from a stranger are read from safetensors alone",
                where=str(folder),
                fix="take a copy of the model with model.safetensors",
            )
        raise InputError("holds no weights (model.safetensors)", where=str(folder))
    for name in sorted(shards):
        file = folder / Path(name).name
        if not file.is_file():
            raise InputError(f"{name} is missing, which the index names", where=str(folder), fix="copy the base again")
        if not _is_whole(file):
            raise InputError("is cut short or damaged", where=str(file), fix="copy or download the base again")


def _is_whole(file: Path) -> bool:
    """Say whether a safetensors file is as long as its header says: 8 bytes of length, the header, the tensors."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > 100_000_000:
                return False
            header = json.loads(stream.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        return bool(ends) and file.stat().st_size == 8 + length + int(max(ends))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return False


def _missing(name: str, place: Path) -> InputError:
    if name.startswith(("/", "./", "../", "~")) or name.endswith("/") or name.count("/") > 1 or place.suffix == ".gguf":
        return InputError("does not exist", where=str(place), fix="name a folder, a .gguf file, or a Hub id (org/name)")
    return InputError(
        f"{name!r} is neither a folder beside the project nor a Hub id (org/name)",
        where="model.base",
        fix=f"look at the spelling{did_you_mean(name)}",
    )
