"""A base from a .gguf file, converted once into a folder of bf16 safetensors.

A model loaded from a GGUF file counts as quantised although its weights are not: it refuses to be saved, and
whatever asks "is it quantised?" is misled.  So its weights go into a fresh model of the same configuration,
and everything after that sees an ordinary folder.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from phi_tui import atomic
from phi_tui.errors import InputError

_MAGIC = b"GGUF"
_AGAIN = "download the file again"


def is_gguf(path: Path) -> bool:
    """Say whether `path` is a file that opens with GGUF's magic number."""
    try:
        with path.open("rb") as file:
            return file.read(4) == _MAGIC
    except OSError:
        return False


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; raises InputError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None


def converted(path: Path, models: Path, on_progress: Callable[[str], None] | None = None) -> tuple[Path, str]:
    """Return the folder below `models` that `path` was converted into, converting it the first time, and its
    SHA-256.

    The folder carries the first 12 digits of the hash, so that another file of the same name is another base.
    """
    digest = file_hash(path)
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", path.stem).lstrip(".-")[:80] or "base"
    target = models / f"{stem}-{digest[:12]}"
    if not (target / "config.json").is_file():
        convert(path, target, on_progress)
    return target, digest


def convert(path: Path, target: Path, on_progress: Callable[[str], None] | None = None) -> None:
    """Write the model, tokenizer and chat template of the GGUF file `path` into the folder `target`, whole or
    not at all.

    Weights are dequantised in float32 and rounded once to bfloat16; tied embeddings stay tied.  Raises
    InputError for a file that is not GGUF, is cut short, or holds an architecture that cannot be read.
    """
    tell = on_progress or (lambda _: None)
    _check(path)
    tell(f"reading {path.name}")
    model, tokenizer = _load(path)
    tell("converting to bfloat16")
    plain = _plain(model, tokenizer)
    tell(f"writing {target.name}")
    try:
        with atomic.folder(target) as staged:
            plain.save_pretrained(str(staged))
            tokenizer.save_pretrained(str(staged))
    except OSError as error:
        raise InputError(
            f"the converted base cannot be written: {error.strerror or error}", where=str(target)
        ) from None


def _check(path: Path) -> None:
    """Refuse what is no GGUF file, is cut short, or holds no causal language model that transformers can
    read."""
    if not path.is_file():
        raise InputError("does not exist", where=str(path))
    if not is_gguf(path):
        raise InputError('is not a GGUF file (it does not begin with "GGUF")', where=str(path), fix=_AGAIN)
    try:
        from gguf import GGUFReader
    except ImportError:
        raise InputError('reading GGUF needs the package "gguf"', where=str(path), fix="pip install gguf") from None
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    try:
        reader = GGUFReader(str(path))
        field = reader.fields.get("general.architecture")
        architecture = str(field.contents()) if field else ""
        ends = [int(tensor.data_offset) + int(tensor.n_bytes) for tensor in reader.tensors]
    except (
        ValueError,
        IndexError,
        KeyError,
        OSError,
        struct.error,
        OverflowError,
        MemoryError,
        TypeError,
    ) as error:
        raise InputError(f"is cut short or damaged: {_first_line(error)}", where=str(path), fix=_AGAIN) from error
    if not ends or max(ends) > path.stat().st_size:
        raise InputError("is cut short or damaged: tensors are missing", where=str(path), fix=_AGAIN)
    known = {name.replace("_", "") for name in GGUF_SUPPORTED_ARCHITECTURES}
    if re.sub("[-_]", "", architecture) not in known:
        raise InputError(
            f"holds an architecture that cannot be read: {architecture or 'none is named'}",
            where=str(path),
            fix="take the safetensors of the same model; readable as GGUF: " + ", ".join(sorted(known)),
        )


def _load(path: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source: dict[str, Any] = {
        "pretrained_model_name_or_path": str(path.parent),
        "gguf_file": path.name,
        "trust_remote_code": False,
        "local_files_only": True,
    }
    try:
        tokenizer = AutoTokenizer.from_pretrained(**source)
        model = AutoModelForCausalLM.from_pretrained(dtype=torch.float32, **source)
    except (ValueError, KeyError, TypeError, ImportError, RuntimeError, OSError, IndexError) as error:
        raise InputError(f"the model in it cannot be loaded: {_first_line(error)}", where=str(path)) from error
    return model, tokenizer


def _plain(model: Any, tokenizer: Any) -> Any:
    """Return the same weights in a model that was never quantised, in bfloat16, its special tokens the
    tokenizer's."""
    import copy

    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    settings = copy.deepcopy(model.config.to_dict())
    for name in ("quantization_config", "_model_name_or_path", "_name_or_path"):
        settings.pop(name, None)
    ids = {
        key: getattr(tokenizer, key)
        for key in ("bos_token_id", "eos_token_id", "pad_token_id")
        if getattr(tokenizer, key) is not None
    }
    config = AutoConfig.for_model(settings.pop("model_type"), **(settings | ids | {"dtype": "bfloat16"}))
    config.architectures = [type(model).__name__]
    config._name_or_path = ""
    # Made without memory and filled by assignment: a second copy of the weights would double the peak.
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    weights = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    plain.load_state_dict(weights, strict=True, assign=True)
    plain.tie_weights()
    plain.generation_config = GenerationConfig(**ids)
    return plain


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
