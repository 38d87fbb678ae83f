"""Small models of the llama kind with LoRA on them, and their gradients."""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)


def adapted(kind: str = "llama", targets: Any = "all-linear", dropout: float = 0.0, **more: Any) -> Any:
    torch.manual_seed(0)
    made = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "mistral": (MistralConfig, MistralForCausalLM),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    }[kind]
    settings = {"sliding_window": None} if kind == "mistral" else {}
    config = made[0](
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        vocab_size=99,
        **(settings | more.pop("config", {})),
    )
    model = made[1](config).float()
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.1)
    settings = {"r": 4, "lora_alpha": 8, "lora_dropout": dropout, "target_modules": targets} | more
    with_lora = get_peft_model(model, LoraConfig(**settings))
    for name, weight in with_lora.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return with_lora


def gradients(model: Any) -> dict[str, Any]:
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return found


def assert_same_gradients(model: Any, wanted: dict[str, Any]) -> None:
    """Hold a model's gradients against others, and clear them."""
    found = gradients(model)
    assert found.keys() == wanted.keys()
    for name, grad in wanted.items():
        assert torch.allclose(found[name], grad, rtol=1e-4, atol=1e-5 * float(grad.abs().max())), name
