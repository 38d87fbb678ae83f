"""A page of the tokenised rows: read from where the trainer reads them, with the file and line of each.

Tokenising may leave rows out, so a row's number on disk is not its number among the rows that were read; those that
were left out are known by file and line, since whether a row is left out depends on what it says alone.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from phi_tui.engine.token_view import MAX_SHOWN, Viewer

Place = tuple[str, int]
"""File and line of a row."""


def page(
    ready: Path, raw: Path, part: str, start: int, count: int, viewer: Viewer, dropped: Collection[Place]
) -> dict[str, Any]:
    """Return `count` rows of a part from row `start` on, each token as [text, id, kind], as plain tables.

    A row of more than MAX_SHOWN tokens is shown up to there, `cut_shown` says so; `length` and `trained` count all.
    """
    from datasets import load_from_disk

    parts = load_from_disk(str(ready))
    rows = parts.get(part, [])  # a part without rows is not written
    total = len(rows)
    start = min(max(0, start), total)
    origins = itertools.islice(places(raw, part, dropped), start, start + count)
    shown = []
    for index, (file, line) in zip(range(start, min(start + count, total)), origins, strict=False):
        row = rows[index]
        ids = row["input_ids"]
        labels = row["labels"] if "labels" in row else [-100] * len(ids)
        tokens = viewer.tokens(ids[:MAX_SHOWN], labels[:MAX_SHOWN])
        shown.append(
            {
                "index": index,
                "file": file,
                "line": line,
                "length": len(ids),
                "trained": sum(label != -100 for label in labels[1:]),
                "tokens": [[token.text, token.id, token.kind] for token in tokens],
                "cut_shown": len(ids) > MAX_SHOWN,
            }
        )
    return {"part": part, "start": start, "total": total, "rows": shown}


def places(raw: Path, part: str, dropped: Collection[Place]) -> Iterator[Place]:
    """Yield file and line of each row of a part as it was tokenised: those of `raw`, without the dropped ones."""
    with open(raw / f"{part}.origins", encoding="utf-8") as lines:
        for text in lines:
            if (place := place_of(text)) not in dropped:
                yield place


def place_of(origin: str) -> Place:
    """Parse a line of an origins file: the file's name as JSON, a tab, the line's number."""
    name, _, line = origin.rstrip("\n").rpartition("\t")
    return json.loads(name), int(line)
