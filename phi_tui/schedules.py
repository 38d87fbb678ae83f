"""The learning rate at every step, as a share of its peak: pure functions, for the trainer and for drawings.

Each agrees step by step with the schedule of the same name or shape in transformers; `phi_restarts` is ours.  The
first warm-up step has a rate of 0, as there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from phi_tui import phi

if TYPE_CHECKING:
    from phi_tui.schema import Train


def factor(
    name: str, step: int, steps: int, warmup: int, restarts: int, *, floor: float = 0.1, decay: float = 0.2
) -> float:
    """Return the share of the peak learning rate at `step` (from 0) of `steps`, the first `warmup` of them rising.

    `restarts` counts the fresh starts of cosine_with_restarts and phi_restarts; they have restarts + 1 periods.
    `floor` is what cosine_with_floor ends at, `decay` the share of the steps that warmup_stable_decay falls in, as
    1 - sqrt(x): the shape with the lowest loss of those that Haegele et al. 2024 (arXiv:2405.18392) compare.
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
    if name == "cosine_with_floor":
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2
    if name == "cosine_with_restarts":
        return 0.0 if progress >= 1 else (1 + math.cos(math.pi * ((progress * (restarts + 1)) % 1.0))) / 2
    if name == "phi_restarts":
        return phi.restart_factor(at, length, restarts)
    if name == "warmup_stable_decay":
        start = decay_start(steps, warmup, decay)
        return 1.0 if step < start else 1.0 - math.sqrt(min(1.0, (step - start) / max(1, steps - start)))
    raise ValueError(f"no schedule {name!r}")


def of(train: Train, step: int, steps: int, warmup: int) -> float:
    """Return the share of the peak learning rate at `step` of `steps` under a project's settings."""
    return factor(train.scheduler, step, steps, warmup, train.restarts, floor=train.floor, decay=train.decay)


def decay_start(steps: int, warmup: int, decay: float) -> int:
    """Return the step at which warmup_stable_decay begins to fall: the last `decay` of the steps, rounded up."""
    return max(warmup, steps - math.ceil(decay * steps))
