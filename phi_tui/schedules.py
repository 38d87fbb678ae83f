"""The learning rate at every step, as a share of its peak: pure functions, for the trainer and for drawings.

Each agrees step by step with the schedule of the same name in transformers; `phi_restarts` is ours.  The first
warm-up step has a rate of 0, as there.
"""

from __future__ import annotations

import math

from phi_tui import phi


def factor(name: str, step: int, steps: int, warmup: int, restarts: int) -> float:
    """Return the share of the peak learning rate at `step` (from 0) of `steps`, the first `warmup` of them rising.

    `restarts` counts the fresh starts of cosine_with_restarts and phi_restarts; they have restarts + 1 periods.
    """
    if step < warmup:
        return step / max(1, warmup)
    at, length = step - warmup, max(1, steps - warmup)
    progress = min(1.0, at / length)
    if name == "constant":
        return 1.0
    if name == "linear":
        return 1.0 - progress
    if name == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    if name == "cosine_with_restarts":
        return 0.0 if progress >= 1 else (1 + math.cos(math.pi * ((progress * (restarts + 1)) % 1.0))) / 2
    if name == "phi_restarts":
        return phi.restart_factor(at, length, restarts)
    raise ValueError(f"no schedule {name!r}")
