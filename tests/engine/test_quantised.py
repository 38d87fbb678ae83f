"""What 4 bits cost a real, small base: the loss after the same steps, and the bytes that its weights take."""

from __future__ import annotations

import json
import pydoc_data.topics
from pathlib import Path
from typing import Any

import projects
import pytest
import real_base
from engine.test_merge import tensors

from phi_tui.engine import loading


def paragraphs(count: int) -> list[str]:
    """Paragraphs of English prose of some hundred characters: Python's own language reference."""
    found = [
        " ".join(paragraph.split())
        for _, topic in sorted(pydoc_data.topics.topics.items())
        for paragraph in topic.split("\n\n")
    ]
    return [text for text in dict.fromkeys(found) if 200 < len(text) < 700][:count]


def bytes_held(model: Any) -> int:
    """Bytes of a model's weights, scales of quantised ones included."""
    held = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    for module in model.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        held += sum(tensor.numel() * tensor.element_size() for tensor in tensors(state))
    return held


@pytest.mark.slow
@pytest.mark.parametrize("seed", [42, 43])
def test_an_nf4_base_learns_within_a_twentieth_of_a_plain_one_in_less_than_two_fifths_of_the_memory(
    tmp_path: Path, seed: int
) -> None:
    """SmolLM2-135M, in the type that this machine is fast in; the memory is that of bf16 weights in any case."""
    import torch

    base = real_base.gguf()
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in paragraphs(420)), "utf-8")
    file = tmp_path / "toy.toml"
    file.write_text(
        f'schema = 1\nname = "toy"\nseed = {seed}\n[model]\nbase = "{base}"\n[data]\nsplit = 0.9\n'
        'max_length = 256\nformat = "text"\ntrain_on = "everything"\n[[data.sources]]\npath = "rows.jsonl"\n'
        "[train]\nmax_steps = 60\nbatch_size = 4\ngrad_accum = 1\nsamples = 0\n",
        "utf-8",
    )
    losses: dict[str, tuple[float, float]] = {}
    for kind in ("none", "nf4"):
        figures = projects.execute(file, f"model.quantization={kind}")
        folder = next((tmp_path / "models").iterdir())  # what the .gguf was converted to, once: numbers of bf16
        whole = 4 * sum(weight.numel() for weight in loading.base(folder, torch.bfloat16).parameters())
        held = bytes_held(loading.base(folder, torch.bfloat16, quantization=kind))
        losses[kind] = figures["train_loss"], figures["eval_loss"]
        print(
            f"{kind}: train loss {figures['train_loss']:.4f}, validation {figures['eval_loss']:.4f}, weights "
            f"{held / 1e6:.0f} MB ({held / whole:.1%} of fp32's), {figures['tokens_per_second']:.0f} tokens/s"
        )
    assert held < 0.4 * whole
    assert all(after < 1.05 * before for before, after in zip(losses["none"], losses["nf4"], strict=True))
