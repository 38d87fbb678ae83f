"""Frozen weights held in 8 or 4 bits: what is loaded how, what that takes, and where it cannot be had.

Quantisation is bitsandbytes': NF4 with double quantisation (QLoRA, Dettmers et al. 2023) or LLM.int8 (Dettmers et al.
2022) on every linear layer but the output head; embeddings, norms and the head keep the type of the weights.  Nothing
is upcast to fp32 for training, as peft's preparation does: norms compute in fp32 by themselves and the head's
logits are cast, so the copy would cost memory and make the base of a chat another one than that trained on.

"nf4" keeps the layers that 4 bits cost most, for their size, in the type of the weights: those that end each MLP, and
the keys and values of a grouped-query base (docs/methods.md has the figures).  "nf4-plain" is QLoRA as published.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from typing import Any

from phi_tui.engine.device import Device

MLP_ENDS = ("down_proj", "dense_4h_to_h", "mlp.c_proj", "fc2")
"""What the projection that ends an MLP is called: llama and its kin, gpt_neox, gpt2 and gpt_neo, opt and phi."""
KEYS_AND_VALUES = ("k_proj", "v_proj")
"""What those projections are called; where each head has its own they are as wide as all others, and are not spared."""
HEADS = ("lm_head", "embed_out", "score")
"""What output layers are called: they are left as they are by themselves only where nothing is named."""
NF4_BITS = 4 + 8 / 64 + 32 / (64 * 256)
"""Bits a weight: 4, a byte of scale each 64 weights, and a float of scale each 256 such scales."""


def spared(kind: str, base: Any) -> tuple[str, ...]:
    """Return the endings of the names of linear layers, heads aside, that `kind` leaves in the type of the weights.

    `base` is the model's configuration.
    """
    if kind == "nf4-mixed":
        return MLP_ENDS
    if kind != "nf4":
        return ()
    text = base.get_text_config()
    heads = getattr(text, "num_attention_heads", None) or 0
    grouped = (getattr(text, "num_key_value_heads", None) or heads) < heads
    return (*MLP_ENDS, *KEYS_AND_VALUES) if grouped else MLP_ENDS


def config(kind: str, base: Any, dtype: Any) -> Any:
    """Return the library's configuration for `kind` (all but "none") of a model configured by `base`.

    Quantised weights are computed with in `dtype`.
    """
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    kept = spared(kind, base)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        # Named for int8, read for 4 bits too.
        llm_int8_skip_modules=[*HEADS, *kept] if kept else None,
    )


def settle(model: Any) -> Any:
    """Keep a freshly loaded model's weights as they were quantised, whether it trains or evaluates; return it.

    On a CPU with AVX512-BF16 the library repacks 4-bit weights at the first evaluation, rounding their scales, and
    the repacked layers pass no gradient back: an evaluation before training would end it without a word.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    # Told for every layer and step: that int8 products take their input in 16 bits.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    return model


def is_quantised(model: Any) -> bool:
    """Whether a loaded model, adapted or not, holds weights in 8 or 4 bits: it must then not be moved or cast."""
    return bool(getattr(model, "is_loaded_in_8bit", False) or getattr(model, "is_loaded_in_4bit", False))


def weight_bits(kind: str) -> float:
    """Return the bits that one quantised weight takes; 0 for "none".  int8 has a float a row on top, not counted."""
    return {"none": 0.0, "int8": 8.0}.get(kind, NF4_BITS)


def notes(kind: str, skeleton: Any, weights: str) -> list[str]:
    """Return what is to be known of weights of `kind`; `weights` is the type of those that are not quantised."""
    endings = spared(kind, skeleton.config)
    found = (name for name, _ in skeleton.named_modules() if endings and name.endswith(endings))
    kept = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in found))
    if not kept:
        return []
    less = (
        '"nf4-plain" holds every layer in 4 bits, in less memory, and learns less well'
        if kind == "nf4"
        else 'it is there for the runs that began so, "nf4" learns better'
    )
    return [f'model.quantization = "{kind}" leaves {kept} in {weights}; {less}']


def flaws(kind: str, device: Device) -> list[str]:
    """Return why weights of `kind` cannot be had on this machine, in sentences; empty when they can."""
    if kind == "none":
        return []
    said = f'model.quantization = "{kind}"'
    if sys.platform == "darwin" or device.type == "mps":
        return [f'{said} needs bitsandbytes, which does not quantise on macOS: set model.quantization = "none"']
    if importlib.util.find_spec("bitsandbytes") is None:
        return [f"{said} needs the package bitsandbytes: pip install bitsandbytes"]
    return []
