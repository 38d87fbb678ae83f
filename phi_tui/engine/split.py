"""Dividing rows into training and validation, and mixing sources: seeded, exact, the same on every machine.

The split ranks rows by a keyed hash of their content, so it depends on the rows and the seed and not on their
order, and equal rows stay on one side.  The mix draws the source of each next row by weight.
"""

from __future__ import annotations

import hashlib
import json
import random
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from phi_tui import phi
from phi_tui.errors import Refusal


def row_key(row: dict[str, Any]) -> bytes:
    """Return 16 bytes that stand for a canonical row's content."""
    return hashlib.blake2b(json.dumps(row, sort_keys=True, ensure_ascii=False).encode(), digest_size=16).digest()


def rank(key: bytes, seed: int) -> bytes:
    """Return 16 bytes by whose order rows are put into training: equal for equal keys, and otherwise by lot."""
    return hashlib.blake2b(key, key=seed.to_bytes(8, "little"), digest_size=16).digest()


def split(keys: Sequence[bytes], share: float, seed: int) -> list[bool]:
    """Return for each row whether it trains; as near to `share` as groups of equal rows allow.

    Neither side is empty.  Raises Refusal when there are fewer than two different rows.
    """
    import numpy

    ranks = [rank(key, seed) for key in keys]
    pairs = numpy.frombuffer(b"".join(ranks), dtype=">u8").astype("u8").reshape(-1, 2)
    last = last_training(lambda: iter([pairs]), len(ranks), share)
    return [one <= last for one in ranks]


def last_training(ranks: Callable[[], Iterator[Any]], rows: int, share: float) -> bytes:
    """Return the rank up to which, and with which, rows train: as near to `share` as groups of equal ranks allow.

    `ranks` gives the ranks of all `rows` rows anew, in arrays of two 64-bit numbers a row, the first eight bytes before
    the last; of them only those near the answer are ever in memory.  Neither side is empty.  Raises Refusal when there
    are fewer than two different ones.
    """
    import numpy

    counts = numpy.zeros(1 << 16, dtype=numpy.int64)
    for pairs in ranks():
        counts += numpy.bincount(_bucket(pairs), minlength=1 << 16)
    wanted = phi.train_rows(rows, share)
    filled = numpy.flatnonzero(counts)
    upto = numpy.cumsum(counts)
    # Rows up to here are all taken, since each group brings the count nearer to what is wanted; which of this bucket
    # are is to be seen group by group.
    bucket = int(numpy.searchsorted(upto, wanted)) if wanted > 0 else -1
    bucket = min(max(bucket, int(filled[0])), int(filled[-1])) if len(filled) else 0
    before = int(upto[bucket] - counts[bucket]) if len(filled) else 0
    near = [numpy.zeros((0, 2), dtype="u8"), *(pairs[_bucket(pairs) == bucket] for pairs in ranks())]
    groups, sizes = numpy.unique(numpy.concatenate(near), axis=0, return_counts=True)
    if len(filled) < 2 and len(groups) < 2:
        raise Refusal(
            f"{rows} rows of one content cannot be split" if rows else "there are no rows to split",
            fix='add rows, or set data.split = "none"',
        )
    is_last = bucket == int(filled[-1])
    taken = before
    last: bytes | None = None
    for place, size in enumerate(int(size) for size in sizes):
        # A group goes to training while that brings the count nearer to what is wanted; each side gets one at least.
        nearer = abs(taken + size - wanted) <= abs(taken - wanted)
        if (is_last and place == len(groups) - 1) or not (nearer or not taken):
            break
        taken += size
        last = _bytes(groups[place])
    if last is None:  # the first group of the bucket is left out already
        earlier = int(filled[numpy.searchsorted(filled, bucket) - 1])
        rest = numpy.concatenate([pairs[_bucket(pairs) == earlier] for pairs in ranks()])
        last = _bytes(numpy.unique(rest, axis=0)[-1])
    return last


def _bucket(pairs: Any) -> Any:
    return (pairs[:, 0] >> 48).astype("int64")


def _bytes(pair: Any) -> bytes:
    return b"".join(int(half).to_bytes(8, "big") for half in pair)


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
    orders = [array("Q", range(size)) for size in sizes]  # shuffled as lists are, in a fifth of the room
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
