"""The bases that phi-tui offers: read from bases.toml, found by size or by a name that reads alike.

Each row holds facts from the model's page and configuration, from which the memory that LoRA needs is worked
out, so that a person can tell before a download whether a base fits.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from phi_tui.errors import InputError

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([mb])\s*", re.IGNORECASE)


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
        """GPU memory in GB (10^9 bytes) for LoRA, as `lora_bytes` counts it."""
        return round(lora_bytes(self) / 1e9, 1)

    @property
    def qlora_gb(self) -> float:
        """GPU memory in GB (10^9 bytes) for LoRA on an NF4 base, as `qlora_bytes` counts it."""
        return round(qlora_bytes(self) / 1e9, 1)


class Sized(Protocol):
    """What an estimate of memory needs to know of a base."""

    @property
    def parameters(self) -> int:
        """Numbers in all; a tied output head counts once."""

    @property
    def layers(self) -> int:
        """Transformer layers."""

    @property
    def hidden(self) -> int:
        """Width of the residual stream."""

    @property
    def vocab(self) -> int:
        """Rows of the embedding."""

    @property
    def tied(self) -> bool:
        """Whether the output head is the embedding."""


def lora_bytes(base: Sized) -> int:
    """Return the GPU memory in bytes for LoRA of rank 8 in bf16 at batch 1 x 1,024 tokens, roughly.

    2 bytes a parameter, and what `_common_bytes` counts.
    """
    return round(2 * base.parameters + _common_bytes(base))


def qlora_bytes(base: Sized) -> int:
    """Return the GPU memory in bytes for LoRA of rank 8 on an NF4 base at batch 1 x 1,024 tokens, roughly.

    A byte a parameter of the layers: 4.127 bits where they are quantised, and 16 for the quarter or third that
    "nf4" spares.  Embeddings and head stay in 16 bits; and what `_common_bytes` counts.
    """
    embedding = base.vocab * base.hidden * (1 if base.tied else 2)
    layers = base.parameters - embedding
    return round(layers + 2 * embedding + _common_bytes(base))


def _common_bytes(base: Sized) -> float:
    """Adapter, activations, logits and the device's own context, in bytes.

    Adapter: rank 8 on about 20 x hidden of inputs and outputs a layer, 16 bytes a number (float32 weight,
    gradient and AdamW's two moments).  Activations: about 40 bytes x hidden a token and layer without the
    attention matrix (Korthikanti et al. 2022 count 34), no recomputation.  Logits: 10 bytes (bf16,
    float32 and its gradient).
    """
    tokens = 1024
    adapter = 16 * 8 * 20 * base.hidden * base.layers
    return adapter + tokens * (40 * base.layers * base.hidden + 10 * base.vocab) + 0.5e9


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


def did_you_mean(name: str) -> str:
    """Return "; did you mean ...?" with the curated bases that read like `name`, else an empty text."""
    whole = {base.id.lower(): base.id for base in curated()}
    short = {base.id.partition("/")[2].lower(): base.id for base in curated()}
    table = whole if "/" in name else short
    near = [table[match] for match in difflib.get_close_matches(name.lower(), table, n=3, cutoff=0.7)]
    near = [base for base in near if base != name]
    return f"; did you mean {' or '.join(near)}?" if near else ""
