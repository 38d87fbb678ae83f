"""Rows with a label as tokens: the same rendering for training and for scoring a text in a chat.

The head reads the last token, so no end-of-text token is put behind a row, and what a template writes after the text
survives a row that is too long: the text is cut, not the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phi_tui.engine import ready
from phi_tui.engine.labels import Labels
from phi_tui.engine.render import Encoder, Segment, Template, TemplateMismatch, prompt
from phi_tui.engine.rows import Finding


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


class LabelledPart(ready._Part):
    """One part on its way to Arrow, with the column `label` in the place of trained tokens."""

    def __init__(self, labels: Labels, *given: Any) -> None:
        super().__init__(*given)
        self._labels = labels

    def writer(self, path: Any, datasets: Any) -> Any:
        """An Arrow stream writer for int32 input_ids and the label: an id, a 0 or 1 a class, or a number."""
        import pyarrow

        kinds = {
            "classification": datasets.Value("int32"),
            "multi-label": datasets.List(datasets.Value("int8")),
            "regression": datasets.Value("float64"),
        }
        columns = {"input_ids": datasets.List(datasets.Value("int32")), "label": kinds[self._labels.task]}
        self._schema = datasets.Features(columns).arrow_schema
        return pyarrow.ipc.new_stream(str(path), self._schema)

    def add(self, batch: list[tuple[dict[str, Any], str, int]], writer: Any) -> None:
        """Render, tokenise and write one batch of (row, file, line)."""
        import pyarrow

        rendered: list[list[Segment]] = []
        kept: list[tuple[Any, str, int]] = []
        for row, file, line in batch:
            try:
                rendered.append(segments(row, self._template, self._tokenizer))
                kept.append((row["label"], file, line))
            except TemplateMismatch as error:
                self._find(Finding("error", "template", file, line, str(error)))
            self._warn({key: value for key, value in row.items() if key != "label"}, file, line)
        ids_out, labels_out = [], []
        encoded = encode(self._encoder, rendered, self._data.max_length)
        for (ids, cut), (label, file, line) in zip(encoded, kept, strict=True):
            if cut:
                self._cut_rows += 1
                self._cut_tokens += cut
                self._find(Finding("info", "cut", file, line, f"{cut} of {cut + len(ids)} tokens cut off"))
            if not ids:
                self._untrained += 1
                self._find(Finding("error", "no-token", file, line, "its text has no token"))
                continue
            self._lengths.append(len(ids))
            self._trained += 1
            ids_out.append(ids)
            labels_out.append(self._labels.target(label))
        if ids_out:
            types = self._schema.types
            arrays = [pyarrow.array(ids_out, types[0]), pyarrow.array(labels_out, types[1])]
            writer.write_batch(pyarrow.record_batch(arrays, schema=self._schema))
