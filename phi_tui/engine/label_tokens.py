"""Rows with a label as tokens: the same rendering for training and for scoring a text in a chat.

The head reads the last token, so no end-of-text token is put behind a row, and what a template writes after the text
survives a row that is too long: the text is cut, not the template.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from phi_tui.engine.arrow_files import schema
from phi_tui.engine.labels import Labels
from phi_tui.engine.render import Encoder, Segment, Template, TemplateMismatch, prompt
from phi_tui.engine.token_rows import CHECKED, Made, Piece, RowTokens, lists, message, read
from phi_tui.schema import Project


def segments(row: dict[str, Any], template: Template, tokenizer: Any) -> list[Segment]:
    """Return a row's text, and behind it what the template writes after the text; raises TemplateMismatch."""
    turn = {"role": "user", "content": row["text"] if "text" in row else row["instruction"]}
    if row.get("input"):
        if template.name == "instruction":
            turn["input"] = row["input"]
        else:
            turn["content"] = "\n\n".join(part for part in (row["instruction"], row["input"]) if part)
    text = prompt([turn], template, tokenizer)
    last = turn.get("input") or turn["content"]
    place = text.rfind(last.strip())
    end = place + len(last.strip()) if place >= 0 else len(text)
    if template.name == "plain":
        end = len(text)
    return [Segment(text[:end], False), *([Segment(text[end:], True)] if text[end:] else [])]


def encode(encoder: Encoder, rows: Sequence[Sequence[Segment]], limit: int) -> list[tuple[list[int], int]]:
    """Return (input_ids, tokens cut off) for each row of `segments`, at most `limit` tokens long."""
    out: list[tuple[list[int], int]] = []
    for ids, marks in encoder.encode(rows):
        tail = sum(mark != -100 for mark in marks)  # what follows the text is the only stretch that is marked
        cut = max(0, len(ids) - limit)
        if cut and tail < limit:
            head = len(ids) - tail
            ids = ids[: head - cut] + ids[head:]
        out.append((ids[:limit], cut))
    return out


class LabelledTokens(RowTokens):
    """The rows of a project that trains a head, with the column `label`: an id, a 0 or 1 a class, or a number."""

    def __init__(self, labels: Labels, project: Project, template: Template, tokenizer: Any) -> None:
        super().__init__(project, template, tokenizer)
        self._labels = labels
        self._kind = {"classification": "int32", "multi-label": "list<int8>", "regression": "float64"}[labels.task]
        self.columns = {"input_ids": "list<int32>", "label": self._kind}

    def make(self, piece: Piece) -> Made:
        """Render, tokenise and check the rows of a piece."""
        import pyarrow

        rows = read(piece)
        made = Made(len(rows))
        rendered: list[list[Segment]] = []
        kept: list[tuple[Any, int]] = []
        for place, row in enumerate(rows):
            label = row.pop("label")
            try:
                rendered.append(segments(row, self.template, self.renderer))
                kept.append((label, place))
            except TemplateMismatch as error:
                made.find(place, "error", "template", str(error))
            self.looker.special(row, place, made)
            self.looker.joint(row, place, made)
        for text, (_, place) in zip(rendered, kept, strict=True):
            if place % CHECKED == 0:
                plain = segments(rows[place], self.template, self.tokenizer)
                self.check(plain, text, self.encoder.parts([text])[0])
        ids_out: list[bytes] = []
        labels_out: list[Any] = []
        for (ids, cut), (label, place) in zip(encode(self.encoder, rendered, self.data.max_length), kept, strict=True):
            if cut:
                made.cut_rows += 1
                made.cut_tokens += cut
                made.find(place, "info", "cut", f"{cut} of {cut + len(ids)} tokens cut off")
            if not ids:
                made.untrained += 1
                made.find(place, "error", "no-token", "its text has no token")
                continue
            made.lengths.append(len(ids))
            made.trained += 1
            ids_out.append(array("i", ids).tobytes())
            labels_out.append(self._labels.target(label))
        if ids_out:
            kind = schema(self.columns).types[1]
            made.batch = message(
                [lists(b"".join(ids_out), made.lengths, "int32"), pyarrow.array(labels_out, kind)], self.columns
            )
        return made
