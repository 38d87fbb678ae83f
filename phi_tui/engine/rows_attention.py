"""Causal attention within each row of a pack, as plain batched products.

Rows lie end to end in one sequence; a token sees the earlier tokens of its own row and nothing else.  On a CPU
the library's fused kernel takes a third of a training step at row lengths of some hundred tokens, and a mask over
the whole pack costs the square of its length: rows are taken in blocks, long ones alone, short ones together
under a small mask, so that neither many tiny products nor much masked work is left.  Rows that share a prefix may lie
behind one copy of it, which each of them sees as its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

BLOCK = 128
"""Short rows are put into one block as long as it holds no more tokens than this: fewer calls, little masked work.
A longer row is cut into blocks of at most this, each of which looks at the tokens up to its own end alone: what a
causal mask would throw away of the others is not computed, and no large piece of memory is asked for."""


@dataclass(frozen=True, slots=True)
class Block:
    """Tokens start..end of a pack, which look at the tokens seen..end.

    `bias` (end - start, end - start) is over the last of those, the block's own: 0 where a token may look, and -inf
    where not.
    """

    start: int
    end: int
    bias: Any
    seen: int
    whole: bool = True
    """Whether it is all of its rows, and not a part of a long one."""
    front: tuple[int, int] = (0, 0)
    """Tokens that its rows see before their own, first to behind the last: the copy of the prefix they share."""

    @property
    def shared(self) -> int:
        """How long the prefix is."""
        return self.front[1] - self.front[0]


def blocks(
    lengths: Sequence[int], device: Any = None, *, start: int = 0, front: tuple[int, int] = (0, 0)
) -> list[Block]:
    """Return the blocks for rows of these lengths, laid end to end from `start` on, which all see `front`."""
    found: list[Block] = []
    group: list[int] = []
    for length in [*lengths, 0]:
        if group and (length == 0 or sum(group) + length > BLOCK):
            found += cut(start, group, device, front)
            start += sum(group)
            group = []
        if length:
            group.append(length)
    return found


def cut(start: int, group: Sequence[int], device: Any = None, front: tuple[int, int] = (0, 0)) -> list[Block]:
    """Return the blocks of rows that lie together from `start` on: one, or several of one long row."""
    length = sum(group)
    if length <= BLOCK:
        return [Block(start, start + length, _bias(group, device), start, front=front)]
    number = -(-length // BLOCK)
    ends = [start + length * (part + 1) // number for part in range(number)]
    return [
        Block(first, end, _bias([end - first], device), start, whole=False, front=front)
        for first, end in zip([start, *ends[:-1]], ends, strict=True)
    ]


def block_length(length: int) -> int:
    """Return how long the blocks of many rows of one length are, those of one row taken together."""
    return max(1, BLOCK // length) * length


def _bias(group: Sequence[int], device: Any) -> Any:
    import torch

    row = torch.tensor([number for number, length in enumerate(group) for _ in range(length)], device=device)
    seen = (row[:, None] == row[None, :]).tril()
    return torch.zeros(seen.shape, device=device).masked_fill_(~seen, float("-inf"))


def forward(q: Any, k: Any, v: Any, packed: Sequence[Block], scaling: float) -> Any:
    """Return the attention's output (tokens, heads * d).

    q is (tokens, heads, d), k and v (tokens, kv_heads, d); heads that share a key are folded into rows.
    """
    tokens, heads, d = q.shape
    shared = k.shape[1]
    out = q.new_empty(tokens, heads, d)
    for block in packed:
        queries, keys, values = _folded(q, block, shared), _across(k, block), _across(v, block)
        p = _probabilities(queries, keys, block, heads // shared, scaling)
        answer = p @ values
        length = block.end - block.start
        out[block.start : block.end] = (
            answer.view(shared, heads // shared, length, d).permute(2, 0, 1, 3).reshape(length, heads, d)
        )
    return out.view(tokens, heads * d)


def backward(
    grad: Any, out: Any, q: Any, k: Any, v: Any, packed: Sequence[Block], scaling: float
) -> tuple[Any, Any, Any]:
    """Return the gradients of q, k and v for that of the output, both (tokens, heads * d).

    Probabilities are computed again: kept, those of short rows are a sixth of what a layer keeps, and they take 2% of
    a step.
    """
    import torch

    tokens, heads, d = q.shape
    shared = k.shape[1]
    grad, out = grad.view(tokens, heads, d), out.view(tokens, heads, d)
    dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    # The row sums of P * dP, which softmax's gradient takes away, are those of O * dO (Dao et al. 2022).
    sums = (grad.float() * out.float()).sum(-1)
    row: list[Any] = []
    fronts: dict[tuple[int, int], list[Any]] = {}
    for block in reversed(packed):
        queries, keys, values = _folded(q, block, shared), _across(k, block), _across(v, block)
        p = _probabilities(queries, keys, block, heads // shared, scaling)
        dout = _folded(grad, block, shared)
        length = block.end - block.start
        ds = torch.bmm(dout, values.transpose(1, 2)).float()
        row_sums = sums[block.start : block.end].view(length, shared, heads // shared).permute(1, 2, 0)
        ds = ds.sub_(row_sums.reshape(shared, -1, 1)).mul_(p).mul_(scaling).to(q.dtype)
        back = (ds @ keys).view(shared, heads // shared, length, d)
        dq[block.start : block.end] = back.permute(2, 0, 1, 3).reshape(length, heads, d)
        on_keys = [torch.bmm(ds.transpose(1, 2), queries), torch.bmm(p.transpose(1, 2), dout)]
        if block.shared:
            before = [part[:, : block.shared] for part in on_keys]
            held = fronts.get(block.front)
            fronts[block.front] = _added(held, before) if held else [part.float() for part in before]
            on_keys = [part[:, block.shared :] for part in on_keys]
        if not block.whole:  # the blocks of a long row, its last one first, add to the same keys: summed in fp32
            row = _added(row, on_keys) if row else [part.float() for part in on_keys]
            if block.start > block.seen:
                continue
            on_keys, row = row, []
        for whole, part in zip((dk, dv), on_keys, strict=True):
            whole[block.seen : block.seen + part.shape[1]] = part.transpose(0, 1)
    for (first, end), sums_of_rows in fronts.items():
        for whole, part in zip((dk, dv), sums_of_rows, strict=True):
            whole[first:end] = (whole[first:end].float() + part.transpose(0, 1)).to(whole.dtype)
    return dq, dk, dv


def _added(sums: list[Any], parts: list[Any]) -> list[Any]:
    """Add (kv_heads, fewer tokens, d) to the first tokens of sums, in place."""
    for total, part in zip(sums, parts, strict=True):
        total[:, : part.shape[1]] += part
    return sums


def _probabilities(queries: Any, keys: Any, block: Block, group: int, scaling: float) -> Any:
    """Softmax in fp32 over (kv_heads, group * length, seen tokens), in the queries' type."""
    import torch

    length, seen = block.end - block.start, block.shared + block.end - block.seen
    scores = torch.bmm(queries, keys.transpose(1, 2)).float().mul_(scaling)
    scores.view(-1, group, length, seen)[..., seen - length :].add_(block.bias)
    return torch.softmax(scores, -1).to(queries.dtype)


def _folded(x: Any, block: Block, shared: int) -> Any:
    """(tokens, heads, d) of a block as (kv_heads, group * length, d)."""
    length, heads, d = block.end - block.start, x.shape[1], x.shape[2]
    part = x[block.start : block.end].view(length, shared, heads // shared, d)
    return part.permute(1, 2, 0, 3).reshape(shared, -1, d)


def _across(x: Any, block: Block) -> Any:
    """(tokens, kv_heads, d) of what a block sees as (kv_heads, seen tokens, d)."""
    import torch

    own = x[block.seen : block.end]
    return (torch.cat([x[slice(*block.front)], own]) if block.shared else own).transpose(0, 1)
