"""data.cut = "source": a row that is too long loses the end of its document, never its question or its answer.

The text is cut and the row rendered again, so what the model sees is what it would see of a shorter document, with
every delimiter in place, whatever the template and the tokenizer are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phi_tui.engine.render import Encoder, Template, segments

FIELDS = ("source", "context", "input")
"""The fields that may be cut: of a summary, of an answer to a question, of an instruction."""
SLACK = 64
"""A row whose source was cut is at most about so many tokens shorter than the limit."""
_ATTEMPTS = 12


def field_of(row: dict[str, Any]) -> str:
    """The field of a row that may be cut, filled or not; an empty text for rows that have none."""
    return next((field for field in FIELDS if field in row and "messages" not in row), "")


def shortened(
    row: dict[str, Any],
    limit: int,
    encoder: Encoder,
    template: Template,
    tokenizer: Any,
    train_on: str,
    renderer: Any = None,
) -> tuple[list[int], list[int]] | None:
    """Return (input_ids, labels) of a row with so much of its source that it has at most `limit` tokens.

    None where it is longer even without any.  `renderer` renders in the tokenizer's place.
    """
    field = field_of(row)
    text = str(row.get(field) or "")
    ends = _ends(text, tokenizer)
    keep = len(ends)
    for attempt in range(_ATTEMPTS):
        kept = text[: ends[keep - 1]].rstrip() if keep else ""
        ids, labels = encoder.encode([segments({**row, field: kept}, template, renderer or tokenizer, train_on)])[0]
        over = len(ids) - limit
        if over <= 0:
            return ids, labels
        if not keep:
            return None
        # Where a text ends decides how its last tokens fall, so a few attempts may be needed; the last one keeps none.
        keep = max(0, keep - over) if attempt < _ATTEMPTS - 2 else 0
    return None


def _ends(text: str, tokenizer: Any) -> Sequence[int]:
    """Where each token of a text ends, in characters; each character for a tokenizer that cannot tell."""
    if not getattr(tokenizer, "is_fast", False):
        return range(1, len(text) + 1)
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return [int(end) for _, end in offsets]


def against(cut: str, formats: Sequence[str]) -> list[str]:
    """Return why a source cannot be cut, for preflight: rows of these formats have none."""
    if cut != "source" or any(form in ("summarisation", "qa", "instruction") for form in formats):
        return []
    return [
        f'data.cut = "source", and rows of the format {" and ".join(dict.fromkeys(formats))} have no source, '
        'context or input to cut: set it to "end"'
    ]
