"""The output layer and the loss of many positions, a block at a time, so that their logits are never held together.

A vocabulary of 50,000 words takes 200 KB of logits a position in fp32, their softmax and its gradient as much again: a
thousand positions fill what a small model's weights do.  Here the gradient of the hidden states is taken in the
forward pass, block by block; that costs no second product, and only that gradient is kept.  Few logits go the plain
way, number for number as ever.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BLOCK_BYTES = 32 * 1024 * 1024
"""Of logits in a block, in the type that they are computed in."""
CACHED_BYTES = 2 * 1024 * 1024
"""Of fp32 logits that a core takes at a time on their way to probabilities, so that they stay in its cache."""
PLAIN_BYTES = 128 * 1024 * 1024
"""Of fp32 logits, up to which they are all held at once."""

KINDS = frozenset(
    (
        *("gemma", "gpt2", "gpt_neo", "gpt_neox", "gptj", "llama", "mistral", "olmo", "olmo2", "opt", "phi", "phi3"),
        *("qwen2", "qwen3", "smollm3", "stablelm", "starcoder2"),
    )
)
"""Architectures whose logits are what the output layer gives, neither scaled nor capped afterwards."""


@dataclass(slots=True)
class PutOff:
    """What the model's own forward pass would have computed the output layer in; None: the layer's type."""

    dtype: Any = None


def in_blocks(model: Any, positions: int) -> Any:
    """Return the output layer when `positions` of logits are to be taken in blocks, else None.

    It has to be a frozen, plain linear layer; under fp16 the loss's scale is needed inside, so that goes the plain way.
    """
    import torch

    config = getattr(model, "config", None)
    small = positions * (getattr(config, "vocab_size", 0) or 0) * 4 <= PLAIN_BYTES
    if small or getattr(config, "model_type", "") not in KINDS:
        return None
    layer = model.get_output_embeddings()
    plain = type(layer) is torch.nn.Linear and not any(weight.requires_grad for weight in layer.parameters())
    return layer if plain and layer.weight.dtype != torch.float16 and not _fp16(layer.weight.device.type) else None


@contextlib.contextmanager
def put_off(layer: Any) -> Iterator[PutOff]:
    """Let `layer` pass on what it is given while the model runs, noting the type it would compute in; None: nothing."""
    import torch

    found = PutOff()
    if layer is None:
        yield found
        return

    def passed_on(hidden: Any) -> Any:
        device = hidden.device.type
        found.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        return hidden

    layer.forward = passed_on
    try:
        yield found
    finally:
        del layer.forward


def nll(hidden: Any, layer: Any, targets: Any, dtype: Any) -> Any:
    """Return the summed negative log-likelihood (nats, fp32 scalar) of `targets` (positions,).

    `hidden` (positions, width) goes through `layer` in `dtype`, a block of positions at a time.
    """
    return _function().apply(hidden, layer.weight, layer.bias, targets, dtype)


def _few_at_a_time(logits: Any, targets: Any) -> Iterator[tuple[Any, Any]]:
    """Views of logits (positions, words) and targets (positions,): a few rows each on a CPU, else all of them."""
    import torch

    rows = logits.shape[0]
    if logits.device.type == "cpu":
        rows = max(1, CACHED_BYTES * torch.get_num_threads() // (4 * logits.shape[1]))
    for start in range(0, logits.shape[0], rows):
        yield logits[start : start + rows], targets[start : start + rows]


def _nll(logits: Any, targets: Any) -> Any:
    """Return the summed negative log-likelihood of targets, in fp32."""
    import torch

    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum")


def _to_gradient(logits: Any, targets: Any) -> Any:
    """Return the same, and write its gradient, softmax less one-hot, over `logits`.

    The normaliser is the largest logit less the log of its probability, which cannot vanish.
    """
    import torch

    wide, wanted = logits.float(), targets[:, None]
    right, top = wide.gather(1, wanted), wide.amax(-1, keepdim=True)
    wide = torch.softmax(wide, -1)
    total = (top - wide.amax(-1, keepdim=True).log_() - right).sum()
    logits.copy_(wide.scatter_add_(1, wanted, torch.full_like(right, -1.0)))
    return total


@functools.cache
def _function() -> Any:
    """The autograd function, made where torch is there."""
    import torch

    class BlockwiseNll(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, hidden: Any, weight: Any, bias: Any, targets: Any, dtype: Any) -> Any:
            device = hidden.device.type
            with torch.autocast(device, enabled=False):
                weight = weight.to(dtype)
                bias = None if bias is None else bias.to(dtype)
                gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
                total = torch.zeros((), dtype=torch.float32, device=hidden.device)
                rows = max(1, BLOCK_BYTES // (weight.element_size() * weight.shape[0]))
                for start in range(0, hidden.shape[0], rows):
                    part = slice(start, start + rows)
                    logits = torch.nn.functional.linear(hidden[part].to(dtype), weight, bias)
                    if gradient is None:
                        total += sum(_nll(*few) for few in _few_at_a_time(logits, targets[part]))
                    else:
                        total += sum(_to_gradient(*few) for few in _few_at_a_time(logits, targets[part]))
                        gradient[part] = logits @ weight
                    del logits
            if gradient is not None:
                ctx.save_for_backward(gradient)
            return total

        @staticmethod
        def backward(ctx: Any, scale: Any) -> Any:
            (gradient,) = ctx.saved_tensors
            return (gradient.float() * scale).to(gradient.dtype), None, None, None, None

    return BlockwiseNll


def _fp16(device: str) -> bool:
    import torch

    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16
