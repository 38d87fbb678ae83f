"""The optimisers that a project can name: what the library calls them, what they hold, and where they run.

LoRA+ (Hayou et al. 2024) is a matter of parameter groups: the B matrices learn `plus_ratio` times as fast as the A
matrices.  The groups stand in the optimiser's state, so they survive a resume.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

from phi_tui.engine.device import Device

_NAMES = {
    "adamw_8bit": "adamw_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "paged_adamw": "paged_adamw_32bit",
    "adafactor": "adafactor",
}

_STATE_BYTES = {"adamw": 8.0, "paged_adamw": 8.0, "adamw_8bit": 2.1, "paged_adamw_8bit": 2.1, "adafactor": 0.1}


def library_name(setting: str) -> dict[str, str]:
    """Return the Trainer's argument for `setting`; none for "adamw", whose default is fused where torch can."""
    return {"optim": _NAMES[setting]} if setting in _NAMES else {}


def state_bytes(setting: str) -> float:
    """Return the bytes of state that the optimiser holds for one trained number.

    AdamW: two fp32 moments; in 8 bits two bytes and the scale of each block of 256.  Adafactor: one number for each
    row and column.
    """
    return _STATE_BYTES[setting]


def flaws(setting: str, device: Device) -> list[str]:
    """Return why the optimiser cannot run on this machine, in sentences; empty when it can."""
    said = f'train.optimizer = "{setting}"'
    if setting in ("adamw", "adafactor"):
        return []
    if sys.platform == "darwin" or device.type == "mps":
        return [f'{said} needs bitsandbytes, which has no optimisers on macOS: use "adamw" or "adafactor"']
    if importlib.util.find_spec("bitsandbytes") is None:
        return [f"{said} needs the package bitsandbytes: pip install bitsandbytes"]
    if setting.startswith("paged") and device.type != "cuda":
        plain = setting.removeprefix("paged_")
        return [f'{said} pages its state between a GPU and main memory, and this is {device.name}: use "{plain}"']
    return []


def with_faster_b(model: Any, kind: type[Any], settings: dict[str, Any], ratio: float, weight_decay: float) -> Any:
    """Return an optimiser of `kind` in which the adapter's B matrices learn `ratio` times as fast as the rest."""
    from peft.optimizers import create_loraplus_optimizer

    rate, more = settings["lr"], {key: value for key, value in settings.items() if key != "lr"}
    return create_loraplus_optimizer(
        model, kind, lr=rate, loraplus_lr_ratio=ratio, loraplus_weight_decay=weight_decay, **more
    )
