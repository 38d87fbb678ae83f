"""The loss of a pack of rows under a model of the llama kind with LoRA on it, without the library's forward pass.

The model stays what it is: generation, checkpoints and saving see the library's modules; only the loss, in training
and in evaluation, goes through here.  Where anything about a model is not known to be computed right (`unfit` says
what), the library's forward pass is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from phi_tui.engine import head, rows_attention, shared_prefix
from phi_tui.engine.llama_layer import ROLES, Frozen, LlamaLayer, Pack

KINDS = ("llama", "mistral", "qwen2")


def unfit(model: Any) -> str:
    """Return why a PEFT model cannot be computed here, or an empty text."""
    inner = _inner(model)
    config = inner.config
    if config.model_type not in KINDS:
        return f"the architecture {config.model_type}"
    if getattr(config, "hidden_act", "") != "silu":
        return "its activation"
    if getattr(config, "mlp_bias", False):
        return "biases in its MLP"
    if getattr(config, "sliding_window", None) and getattr(
        config, "use_sliding_window", config.model_type == "mistral"
    ):
        return "sliding windows"
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") not in ("default", "linear", "llama3"):
        return f"rotary positions of the kind {rope.get('rope_type')}"
    types = {weight.dtype for name, weight in model.named_parameters() if "lora_" not in name}
    if len(types) != 1 or types - {torch.float32, torch.bfloat16}:
        return "weights of several types"
    for layer in inner.model.layers:
        for role in ROLES:
            module = _module(layer, role)
            weight = getattr(module, "base_layer", module).weight
            if type(getattr(module, "base_layer", module)) is not torch.nn.Linear or weight.requires_grad:
                return f"{role}, which is no frozen linear layer"
            if getattr(module, "lora_variant", None) or len(getattr(module, "active_adapters", [])) > 1:
                return "a variant of LoRA"
            if any(getattr(module, "lora_bias", {}).values()):
                return "LoRA with biases"
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad and "lora_" not in name]
    if trained:
        return f"{trained[0]}, which is trained"
    return ""


class PackedLlama:
    """The layers' constants, taken from a PEFT model once; adapters are read from it at each call."""

    def __init__(self, model: Any) -> None:
        self._inner = _inner(model)
        self.width = int(self._inner.config.hidden_size)
        self.head_dim = int(self._inner.model.layers[0].self_attn.head_dim)
        self._layers = [(layer, _frozen(layer, self._inner.config)) for layer in self._inner.model.layers]

    def nll(
        self,
        ids: torch.Tensor,
        labels: torch.Tensor,
        lengths: Sequence[int],
        training: bool,
        groups: Sequence[tuple[int, int]] = (),
    ) -> torch.Tensor:
        """Return the summed negative log-likelihood (nats, fp32 scalar) of a pack's trained tokens.

        labels is (sum of lengths,): rows laid end to end, of these lengths.  ids is as long, or shorter where rows
        share a prefix: `groups` then names, in order, (tokens of the prefix, rows), and the ids of each group are
        its prefix, once, and the rest of each row.  A row's first token is predicted by nothing: the label
        behind a row's border is not that of its last token.
        """
        device = ids.device
        laid = shared_prefix.layout(lengths, groups or [(0, len(lengths))], device)
        targets = torch.full_like(labels, -100)
        targets[:-1] = labels[1:]
        targets[torch.tensor(lengths, device=device).cumsum(0) - 1] = -100
        x = self.hidden(ids, laid.positions, laid.blocks, training)
        kept = targets != -100
        hidden = x[kept] if laid.places is None else x.index_select(0, laid.places[kept])
        hidden = self._inner.model.norm(hidden)
        return head.nll(hidden, self._inner.lm_head, targets[kept], hidden.dtype)

    def hidden(
        self, ids: torch.Tensor, positions: torch.Tensor, blocks: Sequence[rows_attention.Block], training: bool
    ) -> torch.Tensor:
        """Return what the layers make of a pack, (tokens, hidden): ids and positions are (tokens,)."""
        base = self._inner.model
        x = base.embed_tokens(ids)
        cos, sin = base.rotary_emb(x[None], position_ids=positions[None])
        pack = Pack(cos[0], sin[0], blocks)
        for layer, frozen in self._layers:
            x = LlamaLayer.apply(x, frozen, pack, training, *_adapters(layer))
        return x


def _inner(model: Any) -> Any:
    """The library's causal model inside a PEFT model, or the model itself."""
    return model.base_model.model if hasattr(model, "peft_config") else model


def _module(layer: Any, role: str) -> Any:
    return getattr(layer.self_attn if role in ROLES[:4] else layer.mlp, role)


def _adapters(layer: Any) -> list[Any]:
    found: list[Any] = []
    for role in ROLES:
        module = _module(layer, role)
        active = [] if getattr(module, "disable_adapters", True) else module.active_adapters
        if active and active[0] in module.lora_A:
            found += [module.lora_A[active[0]].weight, module.lora_B[active[0]].weight]
        else:
            found += [None, None]
    return found


def _frozen(layer: Any, config: Any) -> Frozen:
    """A layer's constants.  Weights that are laid end to end stay the modules' own, as views: no memory is added."""
    attention = layer.self_attn
    plain = [getattr(_module(layer, role), "base_layer", _module(layer, role)) for role in ROLES]
    qkv, gate_up = _joined(plain[0:3]), _joined(plain[4:6])
    bias = torch.cat([one.bias for one in plain[0:3]]).detach() if plain[0].bias is not None else None
    scalings, rate = [], 0.0
    for role in ROLES:
        module = _module(layer, role)
        name = module.active_adapters[0] if getattr(module, "active_adapters", None) else None
        scalings.append(float(module.scaling[name]) if name in getattr(module, "scaling", {}) else 0.0)
        dropout = module.lora_dropout[name] if name in getattr(module, "lora_dropout", {}) else None
        rate = max(rate, float(getattr(dropout, "p", 0.0)))
    return Frozen(
        norm_1=layer.input_layernorm.weight.detach(),
        norm_2=layer.post_attention_layernorm.weight.detach(),
        qkv=qkv,
        qkv_bias=bias,
        o=plain[3].weight.detach(),
        o_bias=plain[3].bias.detach() if plain[3].bias is not None else None,
        gate_up=gate_up,
        down=plain[6].weight.detach(),
        eps=float(config.rms_norm_eps),
        heads=int(config.num_attention_heads),
        kv_heads=int(config.num_key_value_heads),
        head_dim=int(attention.head_dim),
        scalings=tuple(scalings),
        dropout=rate,
    )


def _joined(modules: Sequence[Any]) -> torch.Tensor:
    whole = torch.cat([module.weight.detach() for module in modules])
    start = 0
    for module in modules:
        rows = module.weight.shape[0]
        module.weight.data = whole[start : start + rows]
        start += rows
    return whole
