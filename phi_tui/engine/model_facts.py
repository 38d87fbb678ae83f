"""What a model's files say about it, read by hand: config.json, safetensors headers, the header of a GGUF file.

The list of models is made in the app's own process, where the model library (two seconds to import) has no place,
and a header of some kilobytes says all that the list shows.  Nothing here trusts a file: sizes are bounded, and
whatever does not hold together raises BrokenModel with the reason.
"""

from __future__ import annotations

import json
import math
import mmap
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MAX_JSON = 16 * 1024 * 1024
_MAX_HEADER = 100_000_000
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "vocab.txt")
_CAUSAL = ("ForCausalLM", "LMHeadModel")
# Masks and frequencies that older checkpoints carry along: constants, not parameters.
_BUFFER = re.compile(r"(^|\.)((attn|attention|self_attn)\.(masked_)?bias|(rotary_emb\.)?inv_freq)$")
_HEADS = ("lm_head.weight", "embed_out.weight")
_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY = 8, 9
_MAX_ARRAY = 4_000_000


class BrokenModel(Exception):
    """A model whose files do not hold together; the text says why."""


class NoModel(Exception):
    """A folder or file that is no causal language model at all, which is no fault."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What files say of a model; None where they do not say it.  `bytes_on_disk` are those of the weights' files."""

    architecture: str
    parameters: int | None
    context: int | None
    layers: int | None
    hidden: int | None
    vocab: int | None
    tied: bool
    chat: bool | None
    licence: str
    bytes_on_disk: int


def of_folder(folder: Path, *, weights: bool = True) -> Facts:
    """Return what the model in `folder` is; raises NoModel for another kind of folder, BrokenModel for a broken one.

    Without `weights` a folder may lack them: the number of parameters is then unknown.
    """
    config = _json(folder / "config.json")
    kind = config.get("model_type")
    named = config.get("architectures")
    names = [str(name) for name in named] if isinstance(named, list) else []
    if not isinstance(kind, str) or config.get("is_encoder_decoder") is True:
        raise NoModel
    if names and not any(name.endswith(_CAUSAL) for name in names):
        raise NoModel
    inner = config.get("text_config")
    sizes = inner if isinstance(inner, dict) and "hidden_size" not in config else config
    try:
        tensors = _tensors(folder)
    except FileNotFoundError:
        if weights:
            raise BrokenModel("holds no weights (model.safetensors)") from None
        tensors = {}
    if weights and not any((folder / name).is_file() for name in _TOKENIZERS):
        raise BrokenModel("holds no tokenizer")
    counted = [math.prod(shape) for name, shape in tensors.items() if not _BUFFER.search(name)]
    tied = config.get("tie_word_embeddings")
    return Facts(
        architecture=kind,
        # Packed weights have other shapes than the parameters they stand for.
        parameters=sum(counted) if counted and "quantization_config" not in config else None,
        context=_whole(sizes, "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"),
        layers=_whole(sizes, "num_hidden_layers", "n_layer", "num_layers", "n_layers"),
        hidden=_whole(sizes, "hidden_size", "n_embd", "d_model"),
        vocab=_whole(sizes, "vocab_size"),
        tied=not any(name in _HEADS for name in tensors) if tensors else tied is not False,
        chat=_has_template(folder),
        licence=_licence(folder / "README.md"),
        bytes_on_disk=sum(file.stat().st_size for file in folder.glob("*.safetensors")),
    )


def of_gguf(file: Path) -> Facts:
    """Return what the GGUF file `file` holds; raises BrokenModel for one that is cut short or damaged."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            table, tensors = _gguf_header(view)
    except (OSError, ValueError, struct.error, IndexError, OverflowError) as error:
        raise BrokenModel(f"is cut short or damaged: {error}") from None
    kind = str(table.get("general.architecture", ""))
    sizes = {key.removeprefix(f"{kind}."): value for key, value in table.items()}
    vocab = _whole(sizes, "vocab_size") or _whole(table, "tokenizer.ggml.tokens")
    return Facts(
        architecture=kind,
        parameters=sum(math.prod(shape) for shape in tensors.values()) or None,
        context=_whole(sizes, "context_length"),
        layers=_whole(sizes, "block_count"),
        hidden=_whole(sizes, "embedding_length"),
        vocab=vocab,
        tied="output.weight" not in tensors,
        chat=bool(table.get("tokenizer.chat_template")),
        licence=str(table.get("general.license", ""))[:80],
        bytes_on_disk=size,
    )


def _json(path: Path) -> dict[str, Any]:
    """Read a JSON object; NoModel when there is none, BrokenModel when it is something else."""
    if not path.is_file():
        raise NoModel
    if path.stat().st_size > _MAX_JSON:
        raise BrokenModel(f"{path.name} is larger than {_MAX_JSON // 2**20} MB")
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenModel(f"{path.name} is broken: {error}") from None
    if not isinstance(table, dict):
        raise BrokenModel(f"{path.name} is broken: not a JSON object")
    return table


def _tensors(folder: Path) -> dict[str, list[int]]:
    """Return the shapes of a folder's tensors; FileNotFoundError where it has no weights."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return _header(whole)
    if not index.is_file():
        raise FileNotFoundError
    shards = _json(index).get("weight_map")
    if not isinstance(shards, dict):
        raise BrokenModel(f"{index.name} is broken: it names no files")
    tensors: dict[str, list[int]] = {}
    for name in sorted({Path(str(name)).name for name in shards.values()}):
        if not (folder / name).is_file():
            raise BrokenModel(f"{name} is missing, which the index names")
        tensors |= _header(folder / name)
    return tensors


def _header(file: Path) -> dict[str, list[int]]:
    """Return the shapes in a safetensors file: 8 bytes of length, a JSON header, the tensors."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(_MAX_HEADER, size):
                raise BrokenModel(f"{file.name} is cut short or damaged")
            table = json.loads(stream.read(length))
        entries = {str(name): entry for name, entry in table.items() if name != "__metadata__"}
        end = max(int(entry["data_offsets"][1]) for entry in entries.values())
        shapes = {name: [int(side) for side in entry["shape"]] for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError):
        raise BrokenModel(f"{file.name} is cut short or damaged") from None
    if size != 8 + length + end:
        raise BrokenModel(f"{file.name} is cut short or damaged")
    return shapes


def _has_template(folder: Path) -> bool | None:
    """Whether the tokenizer carries a chat template; None where it cannot be told."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        return bool(_json(folder / "tokenizer_config.json").get("chat_template"))
    except NoModel:
        return False
    except BrokenModel:
        return None


def _licence(card: Path) -> str:
    """The licence that a model card's first lines name, else an empty text."""
    try:
        if not card.is_file():
            return ""
        with card.open("rb") as stream:
            head = stream.read(8192).decode("utf-8", "replace")
    except OSError:
        return ""
    front = head.split("\n---", 1)[0] if head.startswith("---") else ""
    found = re.search(r"^license:[ \t]*[\"']?([A-Za-z0-9._-]{1,60})", front, re.MULTILINE)
    return found[1] if found else ""


def _whole(table: dict[str, Any], *names: str) -> int | None:
    """The first of `names` that holds a positive whole number."""
    for name in names:
        value = table.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53:
            return value
    return None


def _gguf_header(view: mmap.mmap) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Return a GGUF file's settings (of an array its length) and the shapes of its tensors.

    Layout: "GGUF", version, counts of tensors and settings, the settings (name, type, value), the tensors (name,
    dimensions, type, offset); all little-endian.  Raises ValueError or struct.error for anything else.
    """
    if view[:4] != b"GGUF":
        raise ValueError('it does not begin with "GGUF"')
    version, tensors, settings = struct.unpack_from("<IQQ", view, 4)
    if version not in (2, 3) or tensors > 1_000_000 or settings > 100_000:
        raise ValueError(f"its version is {version}, and 2 and 3 can be read")
    at = 24
    table: dict[str, Any] = {}
    for _ in range(settings):
        name, at = _gguf_text(view, at)
        (kind,) = struct.unpack_from("<I", view, at)
        table[name], at = _gguf_value(view, at + 4, kind)
    shapes: dict[str, tuple[int, ...]] = {}
    for _ in range(tensors):
        name, at = _gguf_text(view, at)
        (dimensions,) = struct.unpack_from("<I", view, at)
        if dimensions > 8:
            raise ValueError(f"the tensor {name[:40]!r} has {dimensions} dimensions")
        shapes[name] = struct.unpack_from(f"<{dimensions}Q", view, at + 4)
        at += 4 + 8 * dimensions + 12
    if at > len(view):
        raise ValueError("it ends inside its header")
    return table, shapes


def _gguf_text(view: mmap.mmap, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", view, at)
    if length > len(view) - at - 8:
        raise ValueError("a text is longer than the file")
    return view[at + 8 : at + 8 + length].decode("utf-8", "replace"), at + 8 + length


def _gguf_value(view: mmap.mmap, at: int, kind: int) -> tuple[Any, int]:
    """Read a value; of an array only its length, since a vocabulary is not shown."""
    if kind in _NUMBERS:
        (value,) = struct.unpack_from(_NUMBERS[kind], view, at)
        return value, at + struct.calcsize(_NUMBERS[kind])
    if kind == _TEXT:
        return _gguf_text(view, at)
    if kind != _ARRAY:
        raise ValueError(f"a setting is of the unknown kind {kind}")
    inner, length = struct.unpack_from("<IQ", view, at)
    at += 12
    if length > _MAX_ARRAY:
        raise ValueError(f"a list of {length} entries")
    if inner in _NUMBERS:
        return length, at + length * struct.calcsize(_NUMBERS[inner])
    if inner != _TEXT:
        raise ValueError(f"a list of the unknown kind {inner}")
    for _ in range(length):
        (size,) = struct.unpack_from("<Q", view, at)
        at += 8 + size
    return length, at
