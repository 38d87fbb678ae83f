"""Dividing rows into training and validation, and mixing sources: seeded, exact, the same on every machine.

The split ranks rows by a keyed hash of their content, so it depends on the rows and the seed and not on their
order, and equal rows stay on one side.  The mix draws the source of each next row by weight.
"""

from __future__ import annotations

import hashlib
import json
import random
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from phi_tui import phi
from phi_tui.errors import Refusal


def row_key(row: dict[str, Any]) -> bytes:
    """Return 16 bytes that stand for a canonical row's content."""
    return hashlib.blake2b(json.dumps(row, sort_keys=True, ensure_ascii=False).encode(), digest_size=16).digest()


def split(keys: Sequence[bytes], share: float, seed: int) -> list[bool]:
    """Return for each row whether it trains; as near to `share` as groups of equal rows allow.

    Neither side is empty.      Raises Refusal when there are fewer than two different rows.
    """
    counts = Counter(keys)
    if len(counts) < 2:
        raise Refusal(
            f"{len(keys)} rows of one content cannot be split" if keys else "there are no rows to split",
            fix='add rows, or set data.split = "none"',
        )
    secret = seed.to_bytes(8, "little")
    order = sorted(counts, key=lambda key: hashlib.blake2b(key, key=secret, digest_size=16).digest())
    wanted, taken = phi.train_rows(len(keys), share), 0
    trains: set[bytes] = set()
    for place, key in enumerate(order):
        # A group goes to training while that brings the count nearer to what is wanted; each side gets one at
        # least.
        nearer = abs(taken + counts[key] - wanted) <= abs(taken - wanted)
        if place < len(order) - 1 and (nearer or not place):
            trains.add(key)
            taken += counts[key]
        else:
            break
    return [key in trains for key in keys]


@dataclass(frozen=True, slots=True)
class MixPlan:
    """The order of mixed rows, as arrays of sources and rows, what each source gave, what ended the mix."""

    sources: array[int]
    rows: array[int]
    used: list[int]
    repeated: list[int]
    left_out: list[int]
    reason: str
    stopped_by: int | None = None
    """The source at which the mix ended."""

    @property
    def order(self) -> Iterator[tuple[int, int]]:
        """Yield (source, row within the source) in the order of training."""
        return zip(self.sources, self.rows, strict=True)


def mix(
    sizes: Sequence[int],
    weights: Sequence[float],
    seed: int,
    stop: Literal["first_exhausted", "all_exhausted"] = "first_exhausted",
) -> MixPlan:
    """Draw rows from sources of `sizes` by `weights` until a source runs out, or until each was seen whole.

    The rows of a source come in a seeded order; under all_exhausted a source that has been seen whole starts
    again in a new order, and its further rows count as repeated.
    """
    draw = random.Random(seed)
    orders = [list(range(size)) for size in sizes]
    for order in orders:
        draw.shuffle(order)
    at = [0] * len(sizes)
    seen_whole = [size == 0 for size in sizes]
    used, repeated = [0] * len(sizes), [0] * len(sizes)
    sources, rows = array("I"), array("Q")
    places = range(len(sizes))
    while True:
        source = draw.choices(places, weights)[0]
        if at[source] == sizes[source]:
            if stop == "first_exhausted" or not sizes[source]:
                reason = f"source {source + 1} ran out"
                break
            draw.shuffle(orders[source])
            at[source] = 0
        sources.append(source)
        rows.append(orders[source][at[source]])
        at[source] += 1
        used[source] += 1
        repeated[source] += seen_whole[source]
        seen_whole[source] = seen_whole[source] or at[source] == sizes[source]
        if stop == "all_exhausted" and all(seen_whole):
            reason = f"each source was seen whole, source {source + 1} last"
            break
    left = [size - (count - again) for size, count, again in zip(sizes, used, repeated, strict=True)]
    return MixPlan(sources, rows, used, repeated, left, reason, source)
