"""The base model of a project: whatever names it, a local folder that loads without a network comes out.

A base is the embedded demo model, a local folder, a GGUF file or a model on the Hub.  Each is checked before
anything heavy happens: a causal language model, weights in safetensors, no code of its own; a mistake is told
in a second and not after a download of gigabytes.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import math
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from phi_tui import schema
from phi_tui.engine import gguf, hub
from phi_tui.errors import InputError

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([mb])\s*", re.IGNORECASE)
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "vocab.txt")
_BUILTIN = {"builtin:phi-demo": Path(__file__).parent.parent / "demo" / "base"}
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_PICKLE_REASON = (
    "a pickle can run any code while it is read, so weights from a stranger are read from safetensors alone"
)


@dataclass(frozen=True)
class Base:
    """A base that is on this machine: `id` as the project says it, `folder` loads offline.

    `revision` is the commit of a Hub base, the SHA-256 of a GGUF file, else empty.
    """

    id: str
    kind: Literal["builtin", "folder", "gguf", "hub"]
    folder: Path
    revision: str

    def weights_hash(self) -> str:
        """Return the SHA-256 over the weights; see `weights_hash`."""
        return weights_hash(self.folder)


@dataclass(frozen=True)
class CuratedBase:
    """A base that phi-tui offers: facts from its page and configuration, and why one would take it."""

    id: str
    parameters: int
    licence: str
    context: int
    architecture: str
    layers: int
    hidden: int
    vocab: int
    tied: bool
    gated: bool
    chat: bool
    why: str

    @property
    def lora_gb(self) -> float:
        """GPU memory in GB (10^9 bytes) for LoRA of rank 8 in bf16 at batch 1 x 1,024 tokens, roughly.

        2 bytes a parameter, and what `_common_bytes` counts.
        """
        return round((2 * self.parameters + self._common_bytes) / 1e9, 1)

    @property
    def qlora_gb(self) -> float:
        """GPU memory in GB (10^9 bytes) for LoRA of rank 8 on an NF4 base at batch 1 x 1,024 tokens, roughly.

        4.5 bits a parameter of the layers (4 for NF4, 32 for the scale of each block of 64); embeddings and
        head are not quantised and are held in float32; and what `_common_bytes` counts.
        """
        embedding = self.vocab * self.hidden * (1 if self.tied else 2)
        layers = self.parameters - embedding
        return round((0.5625 * layers + 4 * embedding + self._common_bytes) / 1e9, 1)

    @property
    def _common_bytes(self) -> float:
        """Adapter, activations, logits and the device's own context, in bytes.

        Adapter: rank 8 on about 20 x hidden of inputs and outputs a layer, 16 bytes a number (float32 weight,
        gradient and AdamW's two moments).  Activations: about 40 bytes x hidden a token and layer without the
        attention matrix (Korthikanti et al. 2022 count 34), no recomputation.  Logits: 10 bytes (bf16,
        float32 and its gradient).
        """
        tokens = 1024
        adapter = 16 * 8 * 20 * self.hidden * self.layers
        return adapter + tokens * (40 * self.layers * self.hidden + 10 * self.vocab) + 0.5e9


@functools.cache
def curated() -> tuple[CuratedBase, ...]:
    """Return the bases that phi-tui offers, smallest first."""
    table = tomllib.loads((Path(__file__).parent / "bases.toml").read_text(encoding="utf-8"))
    return tuple(sorted((CuratedBase(**row) for row in table["base"]), key=lambda base: base.parameters))


def by_size(size: str) -> list[CuratedBase]:
    """Return the curated bases of about `size` ("125m", "1.3b"), nearest first: those within a factor of 1.3.

    When none is that near the nearest one is returned.  Raises InputError for a text that is no size.
    """
    match = _SIZE.fullmatch(size)
    number = float(match[1]) if match else 0.0
    if not match or not number:
        raise InputError(f"{size!r} is no model size", fix="for example 125m or 1.3b")
    wanted = number * (1e6 if match[2].lower() == "m" else 1e9)

    def distance(base: CuratedBase) -> float:
        return abs(math.log(base.parameters / wanted))

    nearest = sorted(curated(), key=distance)
    return [base for base in nearest if distance(base) <= math.log(1.3)] or nearest[:1]


def resolve(
    model: schema.Model,
    root: Path,
    models: Path,
    *,
    weights: bool = True,
    tokenizer: bool = True,
    on_progress: Callable[[str], None] | None = None,
) -> Base:
    """Return the base that `model` names as a local folder, downloading or converting it into `models` if
    need be.

    Relative paths are relative to `root`.  `weights` and `tokenizer` say what must be there.  Raises
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
        fix = _did_you_mean(name)
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
    check_architecture(base.folder)
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
    """Return the SHA-256 over the names and contents of the safetensors files of `folder`, in the names'
    order.

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
    """Raise InputError unless `folder`'s config.json describes a causal language model that needs no foreign
    code."""
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
                f"its weights are a pickle ({pickles[0]}): {_PICKLE_REASON}",
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
    """Say whether a safetensors file is as long as its header says: 8 bytes of length, the header, the
    tensors."""
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
        fix=f"look at the spelling{_did_you_mean(name)}",
    )


def _did_you_mean(name: str) -> str:
    """Return "; did you mean ...?" with the curated bases that read like `name`, else an empty text."""
    whole = {base.id.lower(): base.id for base in curated()}
    short = {base.id.partition("/")[2].lower(): base.id for base in curated()}
    table = whole if "/" in name else short
    near = [table[match] for match in difflib.get_close_matches(name.lower(), table, n=3, cutoff=0.7)]
    near = [base for base in near if base != name]
    return f"; did you mean {' or '.join(near)}?" if near else ""
