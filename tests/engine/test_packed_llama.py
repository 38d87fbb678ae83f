"""Packs of rows under llama-like models: the same loss and gradients as the library's own, row by row."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from adapted_llama import adapted, assert_same_gradients, gradients
from torch.nn.functional import linear, scaled_dot_product_attention, silu

from phi_tui.engine import rows_attention
from phi_tui.engine.llama_layer import LlamaLayer, Pack, _dropped, _mask, _rotated
from phi_tui.engine.loss import nll
from phi_tui.engine.packed_llama import PackedLlama, _adapters, _frozen, unfit

LENGTHS = [5, 9, 300, 3, 17, 190, 2]


def _rows() -> tuple[Any, Any]:
    torch.manual_seed(1)
    ids = torch.randint(0, 99, (sum(LENGTHS),))
    return ids, torch.where(torch.rand(len(ids)) < 0.4, -100, ids)


def _row_by_row(model: Any, ids: Any, labels: Any) -> Any:
    total, start = torch.zeros(()), 0
    for length in LENGTHS:
        part = slice(start, start + length)
        mask = torch.ones(1, length, dtype=torch.long)
        total = total + nll(model, {"input_ids": ids[None, part], "labels": labels[None, part], "attention_mask": mask})
        start += length
    return total


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2"])
@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj", "down_proj"], ["up_proj", "o_proj"]])
def test_loss_and_gradients_are_the_librarys_row_by_row(kind: str, targets: Any) -> None:
    model = adapted(kind, targets)
    assert unfit(model) == ""
    ids, labels = _rows()
    expected = _row_by_row(model, ids, labels)
    expected.backward()
    wanted = gradients(model)
    found = PackedLlama(model).nll(ids, labels, LENGTHS, True)
    found.backward()
    assert float(found) == pytest.approx(float(expected), rel=1e-6)
    assert_same_gradients(model, wanted)


def test_the_library_still_computes_the_same_after_its_weights_became_views() -> None:
    model = adapted()
    ids, labels = _rows()
    with torch.no_grad():
        before = float(_row_by_row(model, ids, labels))
        PackedLlama(model)
        assert float(_row_by_row(model, ids, labels)) == before


def test_the_bare_base_is_computed_while_adapters_are_disabled() -> None:
    model = adapted()
    ids, labels = _rows()
    packed = PackedLlama(model)
    with torch.inference_mode(), model.disable_adapter():
        assert float(packed.nll(ids, labels, LENGTHS, False)) == pytest.approx(
            float(_row_by_row(model, ids, labels)), rel=1e-6
        )


def test_a_row_does_not_see_its_neighbours() -> None:
    model = adapted()
    ids, labels = _rows()
    packed = PackedLlama(model)
    only = torch.full_like(labels, -100)
    only[14:314] = labels[14:314]  # the third row
    with torch.no_grad():
        before = float(packed.nll(ids, only, LENGTHS, False))
        ids[:14] = 7
        ids[314:] = 7
        assert float(packed.nll(ids, only, LENGTHS, False)) == before


def test_in_bf16_the_loss_is_that_of_fp32_to_two_digits() -> None:
    model = adapted()
    ids, labels = _rows()
    exact = float(PackedLlama(model).nll(ids, labels, LENGTHS, False))
    half = model.to(torch.bfloat16)
    for name, weight in half.named_parameters():
        if "lora_" in name:
            weight.data = weight.data.float()
    found = PackedLlama(half).nll(ids, labels, LENGTHS, True)
    found.backward()
    assert float(found) == pytest.approx(exact, rel=5e-3)
    assert all(g.dtype == torch.float32 and bool(g.isfinite().all()) for g in gradients(half).values())


def test_dropout_drops_its_share_and_its_gradients_are_those_of_the_same_masks() -> None:
    model = adapted(dropout=0.25)
    layer = model.base_model.model.model.layers[0]
    frozen = _frozen(layer, model.config)
    lengths = [7, 150]
    x = torch.randn(157, 48, requires_grad=True)
    cos, sin = model.base_model.model.model.rotary_emb(
        x[None], position_ids=torch.cat([torch.arange(n) for n in lengths])[None]
    )
    pack = Pack(cos[0], sin[0], rows_attention.blocks(lengths))
    tangent = torch.randn(157, 48)
    results = []
    for forward in (LlamaLayer.apply, _by_autograd):
        torch.manual_seed(5)
        y = forward(x, frozen, pack, True, *_adapters(layer))
        (y * tangent).sum().backward()
        results.append((y.detach(), x.grad.clone(), gradients(layer)))
        x.grad = None
    assert torch.allclose(results[0][0], results[1][0], atol=1e-5)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-4)
    for name, grad in results[1][2].items():
        assert torch.allclose(results[0][2][name], grad, rtol=1e-3, atol=1e-4), name


def _by_autograd(x: Any, f: Any, pack: Pack, training: bool, *low: Any) -> Any:
    """The layer by plain operations and autograd, dropout masks drawn in the same order."""
    d, tokens, rate = f.head_dim, x.shape[0], f.dropout

    def norm(z: Any, weight: Any) -> Any:
        return z * torch.rsqrt(z.pow(2).mean(-1, keepdim=True) + f.eps) * weight

    def adapted(z: Any, role: int) -> Any:
        return linear(linear(z, low[2 * role]), low[2 * role + 1]) * f.scalings[role]

    n1 = norm(x, f.norm_1)
    z = _dropped(n1, _mask(n1, rate, [low[0]]), rate)
    qkv = linear(n1, f.qkv) + torch.cat([adapted(z, 0), adapted(z, 1), adapted(z, 2)], 1)
    q, k, v = qkv.split([f.heads * d, f.kv_heads * d, f.kv_heads * d], 1)
    q, k, v = (part.view(tokens, -1, d) for part in (q, k, v))
    cos, sin = pack.cos[:, None], pack.sin[:, None]

    def turned(z: Any) -> Any:
        return z * cos + torch.cat([-z[..., d // 2 :], z[..., : d // 2]], -1) * sin

    assert torch.allclose(turned(q), _rotated(q, pack), atol=1e-6)
    bias = torch.full((tokens, tokens), float("-inf"))
    for block in pack.blocks:
        bias[block.start : block.end, block.seen : block.start] = 0
        bias[block.start : block.end, block.start : block.end] = block.bias
    heads = [part.transpose(0, 1)[None] for part in (turned(q), turned(k), v)]
    attended = (
        scaled_dot_product_attention(*heads, attn_mask=bias, enable_gqa=True)[0].transpose(0, 1).reshape(tokens, -1)
    )
    h = x + linear(attended, f.o) + adapted(_dropped(attended, _mask(attended, rate, [low[6]]), rate), 3)
    n2 = norm(h, f.norm_2)
    z = _dropped(n2, _mask(n2, rate, [low[8]]), rate)
    gate, up = (linear(n2, f.gate_up) + torch.cat([adapted(z, 4), adapted(z, 5)], 1)).chunk(2, 1)
    a = silu(gate) * up
    return h + linear(a, f.down) + adapted(_dropped(a, _mask(a, rate, [low[12]]), rate), 6)


def test_a_mask_keeps_the_share_it_should() -> None:
    torch.manual_seed(0)
    x = torch.zeros(999, 333)
    for rate in (0.05, 0.5):
        mask = _mask(x, rate, [x])
        assert mask is not None and mask.shape == x.shape
        assert float(mask.float().mean()) == pytest.approx(1 - rate, abs=0.003)
    assert _mask(x, 0.0, [x]) is None and _mask(x, 0.5, [None]) is None


def test_blocks_cover_all_rows_and_long_rows_are_cut() -> None:
    found = rows_attention.blocks([60, 50, 18, 1, 300, 3])
    assert [(one.seen, one.start, one.end, one.whole) for one in found] == [
        (0, 0, 128, True),
        (128, 128, 129, True),
        (129, 129, 229, False),
        (129, 229, 329, False),
        (129, 329, 429, False),
        (429, 429, 432, True),
    ]
    assert found[0].bias[80, 59] == float("-inf") and found[0].bias[80, 60] == 0 == found[0].bias[80, 80]
    assert found[0].bias[80, 81] == float("-inf") and found[3].bias[0, 1] == float("-inf")


@pytest.mark.parametrize(
    ("why", "settings"),
    [
        ("a variant of LoRA", {"use_dora": True}),
        ("its activation", {"config": {"hidden_act": "gelu"}}),
        ("which is trained", {"modules_to_save": ["lm_head"]}),
        ("biases in its MLP", {"config": {"mlp_bias": True}}),
    ],
)
def test_what_is_not_known_to_be_right_is_left_to_the_library(why: str, settings: dict[str, Any]) -> None:
    assert why in unfit(adapted(**settings))


def test_sliding_windows_are_left_to_the_library() -> None:
    assert "sliding" in unfit(adapted("mistral", config={"sliding_window": 8}))
