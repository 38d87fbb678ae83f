"""Adapters that start from the base's own weights: PiSSA (Meng et al. 2024) and OLoRA (Buyukakyuz 2024).

Both take a start B0 A0 out of a weight W and train the rest on top: W - s B0 A0 + s B A.  Done literally, that rewrites
the base, so the adapter fits no other copy of it, and rounds what is rewritten.  Here the start stays in the
adapter instead, as a second half that is not trained: W + s [B, -B0] [A; A0].  It computes the same, the base is never
touched (in any number type, quantised too), and what is saved is a plain LoRA adapter of twice the rank.
"""

from __future__ import annotations

import math
from typing import Any

_SWEEPS = 16
"""Power iterations of the randomised decomposition: enough for the leading directions of a weight matrix."""


def settings(rank: int, alpha: int, rslora: bool) -> dict[str, Any]:
    """Return LoRA's rank and alpha for both halves; the scale of the update stays that of `rank` and `alpha`.

    LoRA's scale is alpha / rank, rsLoRA's alpha / sqrt(rank).
    """
    return {"r": 2 * rank, "lora_alpha": alpha * math.sqrt(2) if rslora else 2 * alpha}


def put(model: Any, init: str) -> None:
    """Give every adapted layer of `model` the start called `init` ("pissa" or "olora"), in both halves.

    The update is B A - B0 A0 = 0 until the first step.  Draws from torch's random state.
    """
    import torch

    for layer in _layers(model):
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        rank = a.shape[0] // 2
        first_b, first_a = _factors(_weight(layer), rank, init, layer.scaling["default"])
        with torch.no_grad():
            a.copy_(torch.cat([first_a, first_a]))
            b.copy_(torch.cat([first_b, -first_b], dim=1))


def hold(model: Any, optimizer: Any) -> None:
    """Keep the second half of every adapted layer as it is, whatever the optimiser does.

    Its gradient is zero, so that it counts in no norm and no moment; weight decay is undone after each step.
    """
    import torch

    halves: list[tuple[Any, Any]] = []
    for layer in _layers(model):
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        rank = a.shape[0] // 2
        a.register_hook(_without(slice(rank, None), None))
        b.register_hook(_without(slice(None), slice(rank, None)))
        halves += [(a, slice(rank, None)), (b, (slice(None), slice(rank, None)))]
    kept: list[Any] = []

    def before(*_: Any) -> None:
        if not kept:  # at the first step, when a resume has put its weights back
            kept.extend(weight.detach()[half].clone() for weight, half in halves)

    def after(*_: Any) -> None:
        with torch.no_grad():
            for (weight, half), value in zip(halves, kept, strict=True):
                weight[half] = value

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)


def _without(rows: slice, columns: slice | None) -> Any:
    place = rows if columns is None else (rows, columns)

    def masked(gradient: Any) -> Any:
        gradient = gradient.clone()
        gradient[place] = 0
        return gradient

    return masked


def _factors(weight: Any, rank: int, init: str, scale: float) -> tuple[Any, Any]:
    """Return B0 (out x rank) and A0 (rank x in) for a weight (out x in, fp32)."""
    import torch

    if init == "olora":
        q, r = torch.linalg.qr(weight)
        return q[:, :rank], r[:rank]
    wide = min(rank + 16, *weight.shape)
    u, s, v = torch.svd_lowrank(weight, q=wide, niter=_SWEEPS)
    root = torch.sqrt(s[:rank] / scale)
    return u[:, :rank] * root, root[:, None] * v[:, :rank].T


def _weight(layer: Any) -> Any:
    """The layer's frozen weight as (out, in) in fp32, dequantised where it is held in fewer bits."""
    import torch
    from peft.utils.integrations import dequantize_module_weight

    base = layer.get_base_layer()
    quantised = type(base.weight).__name__ in ("Params4bit", "Int8Params")
    weight = (dequantize_module_weight(base) if quantised else base.weight).detach().to(torch.float32)
    return weight.T if layer.fan_in_fan_out else weight


def _layers(model: Any) -> list[Any]:
    from peft.tuners.lora import LoraLayer

    return [module for module in model.modules() if isinstance(module, LoraLayer) and "default" in module.lora_A]
