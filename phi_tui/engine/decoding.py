"""One token at a time on a CPU: 16-bit weights by the kernel that streams them faster.

A step of generation reads every weight once for a single row, so memory is what it waits for.  oneDNN's matrix
product, made for many rows, reaches half of what torch's own product of a matrix and a vector does on some machines;
which is faster is measured once a process.  A prompt has many rows and goes through oneDNN as ever.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator
from typing import Any

_WORTH = 1.2
"""How much faster torch's own product must be; the two differ in their last bit, so a tie is left to oneDNN."""


@contextlib.contextmanager
def one_row_at_a_time(model: Any) -> Iterator[None]:
    """Let `model` generate faster in here: its forward passes over one token in all take torch's own product."""
    if not _is_faster(next(model.parameters())):
        yield
        return

    def choose(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        ids = named.get("input_ids")
        _set(ids is None or ids.numel() > 1)

    speaks = model.get_base_model() if hasattr(model, "get_base_model") else model  # what the library's loop calls
    hook = speaks.register_forward_pre_hook(choose, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
        _set(True)  # it was on, or nothing would have been changed


def _is_faster(weight: Any) -> bool:
    import torch

    if weight.device.type != "cpu" or weight.dtype not in (torch.bfloat16, torch.float16):
        return False
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled) and _measured(weight.dtype)


def _set(enabled: bool) -> None:
    import torch

    torch.backends.mkldnn.set_flags(enabled)


@functools.cache
def _measured(dtype: Any) -> bool:
    """Whether torch's own product of 32 MB of weights and a row is faster than oneDNN's here."""
    import torch

    weight, row = torch.ones(8192, 2048, dtype=dtype), torch.ones(1, 2048, dtype=dtype)

    def best() -> float:
        taken = []
        for _ in range(4):
            started = time.perf_counter()
            torch.nn.functional.linear(row, weight)
            taken.append(time.perf_counter() - started)
        return min(taken)

    with torch.inference_mode():
        library = best()
        with torch.backends.mkldnn.flags(enabled=False):
            return best() * _WORTH < library
