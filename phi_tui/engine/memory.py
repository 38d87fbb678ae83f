"""What a run holds at its peak, estimated by part from the real architecture before anything is loaded.

Weights, adapter, gradients and optimiser state follow from counts of numbers; activations from a walk through the
model without content (`memory_trace`), or from a formula for an architecture that cannot be walked through; logits
from the loss (`head`).  Evaluation has a peak of its own, and the larger of the two counts.  What the allocator
wastes and the libraries' own buffers are measured constants (benchmarks/memory.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phi_tui.engine import head, rows_attention

if TYPE_CHECKING:
    from phi_tui.engine.memory_trace import Trace

EVAL_TOKENS = {"cpu": 4096, "mps": 8192, "cuda": 32_768}
"""Padded tokens an evaluation batch may hold, by device."""

_WASTE = {"cpu": 0.45, "mps": 0.10, "cuda": 0.05}
"""Share of what comes and goes in a step that the allocator's holes take on top; on a CPU glibc's heap, measured."""
_PINNED = {"cpu": 0.5, "mps": 0.0, "cuda": 0.0}
"""Share of what passes through a layer that stays behind as a hole between the inputs kept, where layers are
recomputed; on a CPU, measured."""
_PACKED_WASTE = (200_000_000, 0.18)
"""The most of that for rows that lie end to end on a CPU, bytes and a share: glibc maps what is larger than 32 MiB for
itself, and long packs are made of such; measured."""
_BUFFERS = {"cpu": 0, "mps": 100_000_000, "cuda": 70_000_000}
"""Bytes of code and buffers that the libraries bring in at the first step; on a CPU too few to be told apart."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a model: parameters in all, those an adapter trains, layers, width, vocabulary."""

    parameters: int
    trainable: int
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    quantised: int = 0
    """Of the parameters, those held in `quantised_bits` bits each; the others in the type of the weights."""
    quantised_bits: float = 0.0
    held: int = 0
    """Numbers that have a gradient and a state without being trained: the second half of an adapter's start."""
    whole: bool = False
    """Whether every parameter is trained, in place, and not an adapter beside them."""
    state_bytes: float = 8.0
    """Bytes of the optimiser's state for one trained number."""
    trace: Trace | None = None
    """What the layers hold, walked through; None: by the formula."""
    device: str = "cpu"
    in_blocks: bool = False
    """Whether many logits are taken a block at a time."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Estimated bytes by what they hold; on a CPU on top of what the process held before the model was loaded."""

    weights: int
    adapter: int
    """Trained numbers beside the weights, gradients, and the optimiser's state."""
    activations: int
    logits: int
    overhead: int = 0
    """What the allocator and the libraries take on top."""
    evaluation: int = 0
    """What an evaluation batch holds in the place of activations and logits; counted where it is more."""

    @property
    def total(self) -> int:
        """All of it at the peak."""
        step = max(self.activations + self.logits, self.evaluation)
        return self.weights + self.adapter + step + self.overhead

    def parts(self) -> dict[str, int]:
        """The parts that add up to the total, by name."""
        named = {"weights": self.weights, "adapter": self.adapter}
        if self.evaluation > self.activations + self.logits:
            named["evaluation"] = self.evaluation
        else:
            named |= {"activations": self.activations, "logits": self.logits}
        return named | ({"overhead": self.overhead} if self.overhead else {})


def estimate(
    model: Shape,
    batch: int,
    length: int,
    weight_bytes: int,
    *,
    checkpointing: bool,
    padded: bool = False,
    evaluates: int = 0,
) -> Memory:
    """Return the memory of the run in bytes, for `batch` rows of `length` tokens, every one of them trained.

    Weights: quantised ones by their bits.  Adapter: fp32 weight, gradient and the optimiser's state, 16 bytes a number
    under AdamW; where the whole model is trained its weights are counted as weights.  `padded` says that the rows of a
    batch differ in length, `evaluates` how long the longest row of an evaluation is, 0 without one.
    """
    trained = model.trainable + model.held
    weights = (model.parameters - model.quantised) * weight_bytes + round(model.quantised * model.quantised_bits / 8)
    adapter = round(trained * ((weight_bytes if model.whole else 8) + model.state_bytes))
    kept, passing = _activations(model, batch, length, weight_bytes, checkpointing, padded)
    logits = logit_bytes(model, batch * length)
    # The logits are gone before the layers' backward pass begins: the larger of the two is the peak.
    activations = kept + max(0, passing - logits)
    evaluation = _evaluation(model, evaluates, weight_bytes) if evaluates else 0
    moving = max(activations + logits, evaluation)
    waste = round(_WASTE[model.device] * moving)
    if model.trace and model.trace.packed and not checkpointing:
        waste = min(waste, round(_PACKED_WASTE[0] + _PACKED_WASTE[1] * moving))
    overhead = waste + _BUFFERS[model.device]
    if checkpointing:
        overhead += round(_PINNED[model.device] * model.layers * _passing(model, batch, length, weight_bytes))
    return Memory(weights, adapter, activations, logits, overhead, evaluation)


def logit_bytes(model: Shape, positions: int, *, gradient: bool = True) -> int:
    """Return the most bytes that the output layer and the loss of `positions` hold.

    Plain: logits in the compute type and in fp32, their softmax, and its gradient, in fp32 and in the compute type.  In
    blocks: one block's, whatever the number of positions, and the gradient of the hidden states; beside it fp32 and its
    softmax, of the whole block on a GPU and of a few rows a core on a CPU.
    """
    whole = 4 * positions * model.vocabulary
    if model.in_blocks and whole > head.PLAIN_BYTES:
        fp32 = head.CACHED_BYTES * (os.cpu_count() or 1) if model.device == "cpu" else 2 * head.BLOCK_BYTES
        return head.BLOCK_BYTES + 2 * fp32 + 4 * positions * model.hidden
    return round(whole * (3 if gradient else 2.5))


def _activations(
    model: Shape, batch: int, length: int, weight_bytes: int, checkpointing: bool, padded: bool
) -> tuple[int, int]:
    """Bytes kept for the backward pass, and the most that it holds on top of them in a layer."""
    trace = model.trace
    if trace is None:
        # Attention's inputs and outputs, norms, gates; and twice that in fp32 by way of adapters and dropout.
        layer = (20 * model.hidden + 8 * model.intermediate) * weight_bytes * batch * length
        kept = (
            model.layers * model.hidden * weight_bytes * batch * length + layer
            if checkpointing
            else model.layers * layer
        )
        return round(kept), 0
    mask = trace.mask * batch * length**2 if padded and batch > 1 else 0.0
    rows, length = _blocks(batch, length) if trace.packed else (batch, length)
    layer_kept, outside = trace.layer.at(rows, length) + mask, trace.outside.at(rows, length)
    passing = (trace.backward.in_turn if trace.packed else trace.backward.at)(rows, length) + _unpacked(model)
    if checkpointing:
        inputs = outside + model.layers * trace.layer_input.at(rows, length)
        return round(inputs), round(layer_kept + passing)
    return round(outside + model.layers * layer_kept), round(passing)


def _blocks(rows: int, length: int) -> tuple[float, int]:
    """Attention's blocks of so many rows that lie end to end: how many, and how long."""
    block = rows_attention.block_length(length)
    return rows * length / block, block


def _evaluation(model: Shape, longest: int, weight_bytes: int) -> int:
    tokens = max(EVAL_TOKENS[model.device], longest)
    rows = max(1, tokens // longest)
    body = _passing(model, rows, longest, weight_bytes)
    if model.trace and not model.trace.packed:
        body += (1 + model.trace.mask) * rows * longest**2
    # Logits come when the layers' tensors are gone, but for the hidden states.
    return round(max(body + _unpacked(model), 4 * model.hidden * tokens + logit_bytes(model, tokens, gradient=False)))


def _passing(model: Shape, rows: int, length: int, weight_bytes: int) -> float:
    """Bytes that a layer's forward pass holds at the most when nothing is kept."""
    if model.trace is None:
        return float((10 * model.hidden + 4 * model.intermediate) * weight_bytes * rows * length)
    if model.trace.packed:
        return model.trace.evaluation.in_turn(*_blocks(rows, length))
    return model.trace.evaluation.at(rows, length)


def _unpacked(model: Shape) -> int:
    """Bytes of the largest quantised layer while it is computed with, in 16 bits."""
    return 2 * model.hidden * max(model.intermediate, model.hidden) if model.quantised else 0


def advice(model: Shape, length: int, weight_bytes: int, free: int, *, checkpointing: bool, quantization: str) -> str:
    """Return what would make one row of `length` tokens fit into `free` bytes: settings and values that were tried."""

    def fits(shorter: int, recompute: bool) -> bool:
        return estimate(model, 1, shorter, weight_bytes, checkpointing=recompute).total <= 0.9 * free

    if not checkpointing and fits(length, True):
        return "set train.gradient_checkpointing = true"
    shorter = length
    while shorter > 16:
        shorter //= 2
        if fits(shorter, True):
            with_it = "" if checkpointing else " and train.gradient_checkpointing = true"
            return f"set data.max_length = {shorter}{with_it}"
    if model.whole:
        return 'train an adapter (train.method = "lora")'
    if quantization == "nf4-plain":
        return "take a smaller base"
    return f'set model.quantization = "{"nf4" if quantization == "none" else "nf4-plain"}", or take a smaller base'
