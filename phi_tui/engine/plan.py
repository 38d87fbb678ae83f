"""What will happen in numbers: the batch, the steps, the parameters and the memory, before anything is trained.

The plan is a pure function of the project, the lengths of the rows and the shape of the model, so `--dry-run`, the
form and the trainer agree.  Memory is an estimate with its parts; a GPU's batch is then tried out by `probe`.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phi_tui import phi
from phi_tui.engine import several
from phi_tui.engine.memory import Memory as Memory
from phi_tui.engine.memory import Shape as Shape
from phi_tui.engine.memory import estimate as estimate
from phi_tui.engine.ready import Tokens
from phi_tui.schema import Project


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows a batch, batches a step, steps in all, and what a step holds."""

    batch_size: int
    grad_accum: int
    steps_per_epoch: int
    steps: int
    warmup_steps: int
    rows_per_step: int
    tokens_per_step: int
    checkpointing: bool
    memory: Memory


def shape(config: Any, parameters: int, trainable: int) -> Shape:
    """Read the shape off a model's configuration; names differ by architecture and are mapped by transformers."""
    get = lambda *names: next((v for n in names if (v := getattr(config, n, None))), 0)  # noqa: E731
    hidden = get("hidden_size", "n_embd", "d_model")
    return Shape(
        parameters,
        trainable,
        get("num_hidden_layers", "n_layer", "num_layers"),
        hidden,
        get("intermediate_size", "n_inner", "ffn_dim") or 4 * hidden,
        get("vocab_size"),
    )


def make(
    project: Project,
    train: Tokens,
    model: Shape,
    *,
    on_gpu: bool,
    weight_bytes: int,
    available: int,
    evaluates: int = 0,
) -> Plan:
    """Return the plan; rows a step follow from `tokens_per_step` and the mean length where not set.

    `weight_bytes` is the size of one frozen weight, `available` the device's memory in bytes, `evaluates` the longest
    row of an evaluation (0 without one).  A step holds at most an eighth of an epoch, so that a small data set still
    gets steps to learn from.
    """
    settings = project.train
    mean = max(1.0, train.tokens / max(1, train.rows))
    wanted = max(1, min(round(settings.tokens_per_step / mean), max(1, train.rows // 8)))
    if settings.batch_size:
        batch = settings.batch_size
        accum = settings.grad_accum or max(1, math.ceil(wanted / batch))
    elif settings.grad_accum:
        accum = settings.grad_accum
        batch = max(1, round(wanted / accum))
    else:
        # On a CPU, batches of some hundred tokens are about as fast as larger ones and hold less memory; a tiny model
        # is bound by overhead and wants more.  So many tokens are `batch` of the longest rows: that is where a step's
        # rows are cut.  A GPU takes the whole step if it fits.
        budget = 65_536 if on_gpu else 1280 // weight_bytes if model.parameters > 50_000_000 else 4096
        batch = max(1, min(wanted, budget // max(1, train.p95 if on_gpu else train.longest)))
        accum = math.ceil(wanted / batch)
        batch = math.ceil(wanted / accum)
    processes = project.launch.processes
    batch, accum = several.share(batch, accum, processes)
    checkpointing = settings.gradient_checkpointing
    uneven = train.p95 < train.longest  # else the longest rows are of one length, and need no padding

    def held(checkpointing: bool) -> Memory:
        return estimate(
            model,
            batch,
            train.longest,
            weight_bytes,
            checkpointing=checkpointing,
            padded=uneven,
            evaluates=evaluates,
        )

    if checkpointing == "auto":
        checkpointing = held(False).total > 0.9 * available
    per_epoch = math.ceil(math.ceil(train.rows / (batch * processes)) / accum)
    steps = settings.max_steps or math.ceil(settings.epochs * per_epoch)
    return Plan(
        batch,
        accum,
        per_epoch,
        steps,
        phi.warmup_steps(settings.warmup, steps),
        batch * accum * processes,
        round(batch * accum * processes * mean),
        checkpointing,
        held(checkpointing),
    )


def probe(batch: int, try_batch: Callable[[int], None]) -> int:
    """Return the largest of batch, batch/2, ... that `try_batch` runs without running out of memory.

    `try_batch` makes a forward and backward pass of that many of the longest rows and must leave weights,
    gradients and random state as they were.  Raises the last error when not even one row fits.
    """
    while True:
        try:
            try_batch(batch)
            return batch
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or batch == 1:
                raise
        # Outside the handler, so that the failed pass's tensors are no longer referenced by the traceback.
        gc.collect()
        batch = max(1, batch // 2)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in the process."""
    import torch

    text = str(error).lower()
    return (
        isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
        or "out of memory" in text
        or "can't allocate memory" in text
        or "defaultcpuallocator: not enough memory" in text
    )
