"""Gradients that keep their place: the same numbers, in the same memory from step to step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import torch
from adapted_llama import adapted

from phi_tui.engine import trainer
from phi_tui.engine.trainer import PhiTrainer


def _loss(model: Any) -> Any:
    ids = torch.arange(12)[None]
    return model(input_ids=ids, labels=ids).loss


def _places(model: Any) -> list[int]:
    return [weight.grad.data_ptr() for weight in model.parameters() if weight.requires_grad]


def test_gradients_of_adapters_keep_their_memory_and_their_numbers() -> None:
    model, plain = adapted(), adapted()
    held = cast("PhiTrainer", SimpleNamespace(_gradients=None))
    seen = []
    for _ in range(3):
        model.zero_grad(set_to_none=True)
        plain.zero_grad(set_to_none=True)
        PhiTrainer._settled(held, model)
        for one in (model, plain):
            _loss(one).backward()
            _loss(one).backward()
        seen.append(_places(model))
        for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
            if ours.requires_grad:
                assert torch.equal(ours.grad, theirs.grad)
    assert seen[0] == seen[1] == seen[2]


def test_large_gradients_are_made_when_they_are_needed(monkeypatch: Any) -> None:
    monkeypatch.setattr(trainer, "_SETTLED_BYTES", 100)
    model = adapted()
    PhiTrainer._settled(cast("PhiTrainer", SimpleNamespace(_gradients=None)), model)
    assert all(weight.grad is None for weight in model.parameters())
