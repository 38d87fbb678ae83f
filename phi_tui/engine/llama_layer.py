"""A decoder layer of the llama kind with LoRA on it, forward and backward in one piece.

Autograd over the library's layer keeps copies in fp32, calls some sixty small operations and computes what a
frozen weight never uses.  Here the frozen weights are constants, each input of adapted products is kept once, the
projections that share an input are one product, and the norms' and gates' intermediates are computed again.
The arithmetic is the library's: norms and softmax in fp32, the rest in the type of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import linear, silu

from phi_tui.engine import rows_attention
from phi_tui.engine.rows_attention import Block

ROLES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Frozen:
    """A layer's constants: weights as the library has them, q, k, v and gate, up laid end to end."""

    norm_1: torch.Tensor
    norm_2: torch.Tensor
    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    o: torch.Tensor
    o_bias: torch.Tensor | None
    gate_up: torch.Tensor
    down: torch.Tensor
    eps: float
    heads: int
    kv_heads: int
    head_dim: int
    scalings: tuple[float, ...]
    """LoRA's scale for each of ROLES; 0 where there is no adapter."""
    dropout: float


@dataclass(slots=True)
class Pack:
    """What all layers share of a batch: cosines and sines (tokens, head_dim), and the rows' blocks."""

    cos: torch.Tensor
    sin: torch.Tensor
    blocks: Sequence[Block]


class LlamaLayer(torch.autograd.Function):
    """y = layer(x); x is (tokens, hidden), adapters are A and B of each of ROLES in turn, or None."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, frozen: Frozen, pack: Pack, training: bool, *adapters: Any) -> torch.Tensor:
        dtype, tokens = x.dtype, x.shape[0]
        low = [None if one is None else one.to(dtype) for one in adapters]
        rate = frozen.dropout if training else 0.0
        f, d = frozen, frozen.head_dim
        nq, nk = f.heads * d, f.kv_heads * d

        n1, rstd_1 = _rms(x, f.norm_1, f.eps)
        mask_1 = _mask(n1, rate, low[0:6:2])
        qkv = linear(n1, f.qkv, f.qkv_bias)
        h_qkv = _adapt(qkv, (nq, nk, nk), _dropped(n1, mask_1, rate), low[0:6], f.scalings[0:3])
        q = _rotated(qkv[:, :nq].view(tokens, f.heads, d), pack)
        k = _rotated(qkv[:, nq : nq + nk].view(tokens, f.kv_heads, d), pack)
        v = qkv[:, nq + nk :].contiguous().view(tokens, f.kv_heads, d)  # a view would keep all of qkv
        scaling = d**-0.5
        attended = rows_attention.forward(q, k, v, pack.blocks, scaling)
        mask_o = _mask(attended, rate, low[6:8:2])
        h = linear(attended, f.o, f.o_bias)
        h_o = _adapt(h, (h.shape[1],), _dropped(attended, mask_o, rate), low[6:8], f.scalings[3:4])
        h += x

        n2, rstd_2 = _rms(h, f.norm_2, f.eps)
        mask_2 = _mask(n2, rate, low[8:12:2])
        gate_up = linear(n2, f.gate_up)
        width = gate_up.shape[1] // 2
        h_gate_up = _adapt(gate_up, (width, width), _dropped(n2, mask_2, rate), low[8:12], f.scalings[4:6])
        a = silu(gate_up[:, :width]).mul_(gate_up[:, width:])
        mask_d = _mask(a, rate, low[12:14:2])
        y = linear(a, f.down)
        h_d = _adapt(y, (y.shape[1],), _dropped(a, mask_d, rate), low[12:14], f.scalings[6:7])
        y += h

        ctx.frozen, ctx.pack, ctx.rate, ctx.low = f, pack, rate, low
        ctx.kept = (rstd_1, q, k, v, attended, h, rstd_2, gate_up, h_qkv, h_o, h_gate_up, h_d)
        ctx.masks = (mask_1, mask_o, mask_2, mask_d)
        ctx.types = [None if one is None else one.dtype for one in adapters]
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (dy,) = grads
        (x,) = ctx.saved_tensors
        f, pack, rate, low = ctx.frozen, ctx.pack, ctx.rate, ctx.low
        rstd_1, q, k, v, attended, h, rstd_2, gate_up, h_qkv, h_o, h_gate_up, h_d = ctx.kept
        mask_1, mask_o, mask_2, mask_d = ctx.masks
        ctx.kept = ctx.masks = None
        found: list[Any] = [None] * 14
        width = gate_up.shape[1] // 2
        gate, up = gate_up[:, :width], gate_up[:, width:]

        # y = h + down(silu(gate) * up)
        activated = silu(gate)
        a = activated * up
        da = dy @ f.down
        _adapted_back(da, dy, (dy.shape[1],), _dropped(a, mask_d, rate), mask_d, rate, low, h_d, f.scalings, found, 6)
        del a
        d_gate_up = torch.empty_like(gate_up)
        d_gate_up[:, :width] = torch.ops.aten.silu_backward(da * up, gate)
        torch.mul(da, activated, out=d_gate_up[:, width:])
        del da, activated
        n2 = _normed(h, rstd_2, f.norm_2)
        dn2 = d_gate_up @ f.gate_up
        back = (width, width)
        dropped = _dropped(n2, mask_2, rate)
        _adapted_back(dn2, d_gate_up, back, dropped, mask_2, rate, low, h_gate_up, f.scalings, found, 4)
        dh = _rms_back(dn2, h, rstd_2, f.norm_2).add_(dy)

        # h = x + o(attention(q, k, v))
        d_attended = dh @ f.o
        dropped = _dropped(attended, mask_o, rate)
        _adapted_back(d_attended, dh, (dh.shape[1],), dropped, mask_o, rate, low, h_o, f.scalings, found, 3)
        scaling = f.head_dim**-0.5
        dq, dk, dv = rows_attention.backward(d_attended, attended, q, k, v, pack.blocks, scaling)
        tokens, nq, nk = x.shape[0], f.heads * f.head_dim, f.kv_heads * f.head_dim
        d_qkv = torch.cat(
            [_rotated_back(dq, pack).view(tokens, nq), _rotated_back(dk, pack).view(tokens, nk), dv.view(tokens, nk)], 1
        )
        wanted = ctx.needs_input_grad[0]
        dn1 = d_qkv @ f.qkv if wanted else None
        dropped = _dropped(_normed(x, rstd_1, f.norm_1), mask_1, rate)
        _adapted_back(dn1, d_qkv, (nq, nk, nk), dropped, mask_1, rate, low, h_qkv, f.scalings, found, 0)
        dx = _rms_back(dn1, x, rstd_1, f.norm_1).add_(dh) if dn1 is not None else None
        found = [None if g is None else g.to(t) for g, t in zip(found, ctx.types, strict=True)]
        return (dx, None, None, None, *found)


def _rms(x: torch.Tensor, weight: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """weight * (x / sqrt(mean(x^2) + eps)), the mean in fp32; and the reciprocal root, (tokens, 1) in fp32."""
    wide = x.float()
    rstd = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return wide.mul_(rstd).to(x.dtype).mul_(weight) if x.dtype != torch.float32 else x * rstd * weight, rstd


def _normed(x: torch.Tensor, rstd: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (x.float() * rstd).to(x.dtype).mul_(weight)


def _rms_back(dy: torch.Tensor, x: torch.Tensor, rstd: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """dx = r (w dy - n mean(n w dy)), n = x r."""
    normed = x.float() * rstd
    scaled = dy.float() * weight.float()
    mean = torch.linalg.vecdot(normed, scaled).div_(x.shape[-1]).unsqueeze(-1)
    return scaled.sub_(normed.mul_(mean)).mul_(rstd).to(x.dtype)


def _rotated(x: torch.Tensor, pack: Pack) -> torch.Tensor:
    """Rotary positions: x cos + rotate_half(x) sin; x is (tokens, heads, d)."""
    half = x.shape[-1] // 2
    cos, sin = pack.cos[:, None], pack.sin[:, None]
    out = x * cos
    out[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
    out[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return out


def _rotated_back(dy: torch.Tensor, pack: Pack) -> torch.Tensor:
    half = dy.shape[-1] // 2
    cos, sin = pack.cos[:, None], pack.sin[:, None]
    out = dy * cos
    out[..., :half].addcmul_(dy[..., half:], sin[..., half:])
    out[..., half:].addcmul_(dy[..., :half], sin[..., :half], value=-1)
    return out


def _mask(x: torch.Tensor, rate: float, adapters: Sequence[Any]) -> torch.Tensor | None:
    """Which elements dropout keeps, as bytes; None without dropout or adapters.

    A draw of 64 bits gives four elements of 16, six times as fast as one draw an element; the rate is exact to
    1/65,536.
    """
    if not rate or all(one is None for one in adapters):
        return None
    count = x.numel()
    drawn = torch.empty((count + 3) // 4, dtype=torch.int64, device=x.device).random_(-(2**63), None)
    return (drawn.view(torch.int16)[:count] >= round(rate * 65_536) - 32_768).view(x.shape)


def _dropped(x: torch.Tensor, mask: torch.Tensor | None, rate: float) -> torch.Tensor:
    return x if mask is None else (x * mask).mul_(1 / (1 - rate))


def _adapt(
    y: torch.Tensor, widths: Sequence[int], z: torch.Tensor, low: Sequence[Any], scalings: Sequence[float]
) -> list[Any]:
    """Add each adapter's part to its columns of y, in place; returns z A^T of each."""
    kept: list[Any] = []
    start = 0
    for place, width in enumerate(widths):
        a, b = low[2 * place], low[2 * place + 1]
        if a is None:
            kept.append(None)
        else:
            h = linear(z, a)
            y[:, start : start + width].addmm_(h, b.t(), alpha=scalings[place])
            kept.append(h)
        start += width
    return kept


def _adapted_back(
    dz: torch.Tensor | None,
    dy: torch.Tensor,
    widths: Sequence[int],
    z: torch.Tensor,
    mask: torch.Tensor | None,
    rate: float,
    low: Sequence[Any],
    kept: Sequence[Any],
    scalings: Sequence[float],
    found: list[Any],
    role: int,
) -> None:
    """Write the gradients of the adapters into `found`, and add what flows through them to dz, in place."""
    start = 0
    through: torch.Tensor | None = None
    for place, width in enumerate(widths):
        at = 2 * (role + place)
        a, b, h = low[at], low[at + 1], kept[place]
        if a is not None:
            part = dy[:, start : start + width]
            dh = (part @ b).mul_(scalings[role + place])
            found[at] = dh.t() @ z
            found[at + 1] = (part.t() @ h).mul_(scalings[role + place])
            if dz is not None:
                if mask is None:
                    dz.addmm_(dh, a)
                elif through is None:
                    through = dh @ a
                else:
                    through.addmm_(dh, a)
        start += width
    if dz is not None and through is not None and mask is not None:
        dz.add_(through.mul_(mask), alpha=1 / (1 - rate))
