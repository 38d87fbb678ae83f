"""How long the rows of a prepared data set are in tokens, before they were cut, and their histogram.

The tokens on disk are cut at data.max_length, and how far the rows reach beyond it is what a person wants to see.
Only rows that are as long as the limit can have been cut, so only those are tokenised again.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection
from pathlib import Path

from phi_tui.engine import source_cut
from phi_tui.engine.label_tokens import segments as label_segments
from phi_tui.engine.prepare import Prepared
from phi_tui.engine.ready import Tokens
from phi_tui.engine.render import Encoder, segments
from phi_tui.engine.rows_on_disk import Place, place_of
from phi_tui.engine.traced import Renderer
from phi_tui.schema import Project

MAX_AGAIN = 20_000
"""Rows that are tokenised a second time; about 10 s on one core."""
_BATCH = 200
_BINS = 40


def lengths(
    prepared: Prepared,
    raw: Path,
    part: str,
    tokens: Tokens,
    project: Project,
    dropped: Collection[Place],
    check: Callable[[], None],
) -> tuple[list[int], bool]:
    """Return the length of each row of a part in tokens, and whether those are the whole rows'.

    They are not where more than MAX_AGAIN rows may have been cut.  `dropped` are the rows that were left out, `check`
    may raise to end it.
    """
    import pyarrow.compute as compute
    from datasets import load_from_disk

    if not tokens.rows:
        return [], True
    column = load_from_disk(str(prepared.ready.folder))[part].data.column("input_ids")
    found: list[int] = compute.list_value_length(column).to_pylist()
    if not tokens.cut_rows:
        return found, True
    # A source is cut where a token ends, so such a row may be a little shorter than the limit.
    least = project.data.max_length - (source_cut.SLACK if project.data.cut == "source" else 0)
    full = [place for place, length in enumerate(found) if length >= least]
    if len(full) > MAX_AGAIN:
        return found, False
    encoder, renderer = Encoder(prepared.tokenizer, prepared.template), Renderer(prepared.tokenizer)
    wanted = set(full)
    with (
        open(raw / f"{part}.jsonl", encoding="utf-8") as texts,
        open(raw / f"{part}.origins", encoding="utf-8") as origins,
    ):
        kept = (text for text, origin in zip(texts, origins, strict=True) if place_of(origin) not in dropped)
        rows = (json.loads(text) for number, text in enumerate(kept) if number in wanted)
        again: list[int] = []
        while batch := list(itertools.islice(rows, _BATCH)):
            check()
            if prepared.labels:
                rendered = [label_segments(row, prepared.template, renderer) for row in batch]
            else:
                rendered = [segments(row, prepared.template, renderer, project.data.train_on) for row in batch]
            again += [len(ids) for ids, _ in encoder.encode(rendered)]
    for number, length in zip(full, again, strict=True):
        found[number] = length
    return found, True


def histogram(measured: dict[str, list[int]]) -> dict[str, list[int]]:
    """Return {"edges": n + 1 numbers, part: n counts, ...} over the lengths of all parts.

    Bin i holds lengths from edges[i] up to, not including, edges[i + 1].  All are of one width, but the last, which
    takes a long tail in.
    """
    every = sorted(length for found in measured.values() for length in found)
    longest = every[-1] if every else 0
    # One row of a hundred thousand tokens must not push all others into the first bin.
    usual = every[min(len(every) - 1, len(every) * 99 // 100)] if every else 0
    top = longest if longest <= 2 * usual else usual
    width = _round_width(top / _BINS)
    edges = list(range(0, top + width + 1, width))
    if longest >= edges[-1]:
        edges.append(longest + 1)
    table = {"edges": edges}
    for part, found in measured.items():
        counts = [0] * (len(edges) - 1)
        for length in found:
            counts[min(length // width, len(counts) - 1)] += 1
        table[part] = counts
    return table


def _round_width(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, ... that is not below `least`."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            if step * scale >= least:
                return step * scale
        scale *= 10
