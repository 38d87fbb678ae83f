"""One token at a time on a CPU: 16-bit weights by the kernel that streams them faster.

A step of generation reads every weight once for a single row, so memory is what it waits for.  oneDNN's matrix
product, made for many rows, reaches half of what torch's own product of a matrix and a vector does on some machines;
which is faster is measured once a model.  A prompt has many rows and goes through oneDNN as ever.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Iterator
from typing import Any

_WORTH = 1.2
"""How much faster torch's own product must be; the two differ in their last bit, so a tie is left to oneDNN."""
_BYTES = 64 * 1024 * 1024
"""Of the model's own weights that are measured: more than a cache holds."""
_TURNS = 5
"""Of each: one of them falls between what else the machine does."""

_known: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def one_row_at_a_time(model: Any) -> Iterator[None]:
    """Let `model` generate faster in here: its forward passes over one token in all take torch's own product."""
    speaks = model.get_base_model() if hasattr(model, "get_base_model") else model  # what the library's loop calls
    if not _is_faster(speaks):
        yield
        return

    def choose(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        ids = named.get("input_ids")
        _set(ids is None or ids.numel() > 1)

    hook = speaks.register_forward_pre_hook(choose, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
        _set(True)  # it was on, or nothing would have been changed


def _is_faster(model: Any) -> bool:
    """Whether a model's single tokens are to take torch's own product; measured once a model, in 0.1 s."""
    import torch

    weights = _weights(model)
    if not weights or not torch.backends.mkldnn.is_available() or not torch.backends.mkldnn.enabled:
        return False
    if model not in _known:
        _known[model] = _measured(weights)
    return _known[model]


def _weights(model: Any) -> list[Any]:
    """The first 16-bit weights on a CPU of a model's linear layers, up to _BYTES; adapters' small ones aside."""
    import torch

    found: list[Any] = []
    held = 0
    for module in model.modules():
        weight = getattr(module, "weight", None) if isinstance(module, torch.nn.Linear) else None
        if weight is None or weight.device.type != "cpu" or weight.dtype not in (torch.bfloat16, torch.float16):
            continue
        if min(weight.shape) >= 64:
            found.append(weight)
            held += weight.numel() * weight.element_size()
        if held >= _BYTES:
            break
    return found


def _measured(weights: list[Any]) -> bool:
    """Whether torch's own products of these weights and a row are faster than oneDNN's here: the best of turns."""
    import torch

    rows = {width: weights[0].new_ones(1, width) for width in {weight.shape[1] for weight in weights}}
    taken: dict[bool, list[float]] = {True: [], False: []}
    try:
        with torch.inference_mode():
            for turn in range(2 * _TURNS):
                enabled = turn % 2 == 0
                _set(enabled)
                started = time.perf_counter()
                for weight in weights:
                    torch.nn.functional.linear(rows[weight.shape[1]], weight)
                taken[enabled].append(time.perf_counter() - started)
    finally:
        _set(True)
    return min(taken[False]) * _WORTH < min(taken[True])


def _set(enabled: bool) -> None:
    import torch

    torch.backends.mkldnn.set_flags(enabled)
