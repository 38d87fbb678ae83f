"""A prefix that rows share, computed once for all of them.

A chat template puts the same system prompt in front of every row, and often the same first words of a question
follow: for short rows that is half of all tokens.  A token's keys and values depend on what stands before it alone,
so rows with one prefix can lie behind one copy of it and look at its keys; the loss is that of the rows one by
one, and the gradients of all rows add up in the copy.  Only dropout differs, which draws once for the copy.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from phi_tui.engine import rows_attention

LEAST = 8
"""Tokens of a prefix that are worth a copy: each copy costs a block of attention of its own."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the tokens of rows lie in a pack."""

    positions: Any
    """(computed tokens,): each one's place in its row."""
    blocks: list[rows_attention.Block]
    places: Any
    """(tokens of all rows,): where each one is computed; None where that is its own place."""


def pack(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Lay rows end to end, a prefix that several share once.

    Returns input_ids (1, computed tokens), labels (1, tokens of all rows), row_lengths and groups, (tokens of the
    prefix, rows) in the order in which they lie.  A row's first token is predicted by nothing: its label is ignored.
    """
    import torch

    found = groups([row["input_ids"] for row in rows])
    order = [number for _, members in found for number in members]
    ids: list[int] = []
    for shared, members in found:
        ids += rows[members[0]]["input_ids"][:shared]
        for number in members:
            ids += rows[number]["input_ids"][shared:]
    lengths = [len(rows[number]["input_ids"]) for number in order]
    labels = torch.tensor([label for number in order for label in rows[number]["labels"]], dtype=torch.long)
    labels[torch.tensor([0, *lengths[:-1]]).cumsum(0)] = -100
    return {
        "input_ids": torch.tensor(ids, dtype=torch.long)[None],
        "labels": labels[None],
        "row_lengths": lengths,
        "groups": [(shared, len(members)) for shared, members in found],
    }


def groups(rows: Sequence[list[int]]) -> list[tuple[int, list[int]]]:
    """Return (tokens of the prefix, row numbers): each row in one group, so that the fewest tokens are computed.

    Each row keeps a token of its own.  Rows that share nothing worth a copy come last, as a group without prefix.
    """
    order = sorted(range(len(rows)), key=lambda number: rows[number])
    alike = [_in_common(rows[a], rows[b]) for a, b in itertools.pairwise(order)]
    found: list[tuple[int, list[int]]] = []
    alone: list[int] = []
    for shared, first, last in _cuts(alike, 0, len(order))[1]:
        if shared:
            found.append((shared, sorted(order[first:last])))
        else:
            alone += order[first:last]
    return [*found, (0, sorted(alone))] if alone else found


def _in_common(a: Sequence[int], b: Sequence[int]) -> int:
    """How long the prefix is that two rows share, leaving at least one token of each."""
    most = min(len(a), len(b)) - 1
    for place in range(most):
        if a[place] != b[place]:
            return place
    return max(0, most)


def _cuts(alike: Sequence[int], first: int, last: int) -> tuple[int, list[tuple[int, int, int]]]:
    """Return (tokens saved, groups) of sorted rows first..last: one group, or the best of the groups in it.

    `alike[n]` is the prefix of rows n and n + 1; a group is (tokens of the prefix, its first row, behind its last).
    """
    if last - first < 2:
        return 0, [(0, first, last)]
    shared = min(alike[first : last - 1])
    whole = (shared * (last - first - 1), [(shared, first, last)]) if shared >= LEAST else (0, [(0, first, last)])
    borders = [place + 1 for place in range(first, last - 1) if alike[place] == shared]
    if len(borders) == last - first - 1:
        return whole
    inner = [_cuts(alike, a, b) for a, b in zip([first, *borders], [*borders, last], strict=True)]
    saved = sum(each for each, _ in inner)
    return (saved, [group for _, part in inner for group in part]) if saved > whole[0] else whole


def layout(lengths: Sequence[int], groups: Sequence[tuple[int, int]], device: Any = None) -> Layout:
    """Return how rows of these lengths, in groups of (tokens of the prefix, rows), lie in a pack."""
    import torch

    positions, places, blocks = [], [], []
    at, row = 0, 0
    for shared, count in groups:
        front = (at, at + shared)
        if shared:
            blocks += rows_attention.cut(at, [shared], device)
            positions.append(torch.arange(shared))
        own = [length - shared for length in lengths[row : row + count]]
        blocks += rows_attention.blocks(own, device, start=front[1], front=front if shared else (0, 0))
        at = front[1]
        for length in own:
            if shared:
                places.append(torch.arange(*front))
            places.append(torch.arange(at, at + length))
            positions.append(torch.arange(shared, shared + length))
            at += length
        row += count
    moved = any(shared for shared, _ in groups)
    return Layout(
        positions=torch.cat(positions).to(device),
        blocks=blocks,
        places=torch.cat(places).to(device) if moved else None,
    )
