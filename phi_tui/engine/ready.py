"""Tokenised rows on disk: a DatasetDict that plain `datasets.load_from_disk` opens, with input_ids and labels.

Rows are rendered and tokenised in batches and written straight to Arrow, so memory stays flat.  What the tokens
reveal (cut rows, rows in which nothing is left to train, special tokens inside a row's own text) is found here
and told with file and line; broken rows stop the run unless the project says to leave them out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phi_tui.atomic import folder as atomic_folder
from phi_tui.atomic import write_text
from phi_tui.engine import source_cut
from phi_tui.engine.labels import has_head
from phi_tui.engine.render import Encoder, Segment, Template, TemplateMismatch, segments
from phi_tui.engine.sources import Finding
from phi_tui.errors import Refusal
from phi_tui.schema import Project

STAGE_VERSION = 1
_BATCH = 1000
_NOTE = "phi-tui.json"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The lengths of one part of the data, in tokens after cutting."""

    rows: int
    tokens: int
    trained: int
    p50: int
    p95: int
    longest: int
    cut_rows: int
    cut_tokens: int
    untrained_rows: int
    source_cut_rows: int = 0
    """Of the rows cut, those that lost the end of their source and nothing else."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The tokenised data: where it lies, what it holds, and the fingerprint it was made from."""

    folder: Path
    fingerprint: str
    data_hash: str
    train: Tokens
    validation: Tokens


def fingerprint(project: Project, data_hash: str, tokenizer_hash: str, template: Template) -> str:
    """SHA-256 over everything that decides the tokens: the rows, the tokenizer, the template and three settings."""
    parts = [STAGE_VERSION, data_hash, tokenizer_hash, template.hash]
    parts += [project.data.max_length, project.data.train_on, project.data.skip_bad]
    if has_head(project):
        parts += [project.model.task, list(project.data.labels)]
    if project.data.cut != "end":
        parts.append(project.data.cut)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def tokenizer_hash(base: Path) -> str:
    """SHA-256 over the tokenizer's files in a base's folder."""
    digest = hashlib.sha256()
    for path in sorted(base.glob("*")):
        if path.is_file() and ("token" in path.name or path.name in ("vocab.json", "merges.txt")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def opened(folder: Path, expected: str) -> Ready | None:
    """Return what stands at `folder` if it was made from `expected`, else None."""
    try:
        note = json.loads((folder / _NOTE).read_text())
        if note["fingerprint"] != expected or not (folder / "dataset_dict.json").is_file():
            return None
        return Ready(folder, expected, note["data_hash"], Tokens(**note["train"]), Tokens(**note["validation"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def build(
    project: Project,
    raw: Path,
    target: Path,
    tokenizer: Any,
    template: Template,
    *,
    data_hash: str,
    expected: str,
    on_finding: Callable[[Finding], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Ready:
    """Tokenise `raw`/{train,validation}.jsonl into `target`, whole or not at all; a part without rows is left out.

    Raises Refusal when rows are left with no trained token and data.skip_bad is not set, or when none is left.
    """
    import datasets

    tell = on_finding or (lambda finding: None)
    encoder = Encoder(tokenizer, template)
    special = tuple(str(token) for token in tokenizer.all_special_tokens if token)
    bad: list[Finding] = []

    def find(finding: Finding) -> None:
        if finding.severity == "error":
            bad.append(finding)
        tell(finding)

    done = 0
    with atomic_folder(target) as staged:
        parts, counts = {}, {}
        for part in ("train", "validation"):
            scratch = staged / f".{part}.arrow"
            maker = _maker(project, raw, encoder, template, tokenizer, special, find)
            with maker.writer(scratch, datasets) as writer:
                maker.begin(writer)
                for batch in _batches(raw / f"{part}.jsonl", raw / f"{part}.origins"):
                    maker.add(batch, writer)
                    done += len(batch)
                    if on_progress:
                        on_progress(done)
            parts[part] = datasets.Dataset.from_file(str(scratch))
            counts[part] = maker.tokens()
        if bad and not project.data.skip_bad:
            shown = "\n  ".join(f"{found.file}:{found.line}: {found.message}" for found in bad[:5])
            more = f"\n  and {len(bad) - 5} more" if len(bad) > 5 else ""
            raise Refusal(
                f"{len(bad)} rows cannot be trained on:\n  {shown}{more}",
                fix="mend them, raise data.max_length, or set data.skip_bad = true to leave them out",
            )
        if not counts["train"].rows:
            raise Refusal("no row is left to train on", fix="phi-tui doctor FILE says what is wrong with each")
        # The library cannot load a part without rows again, so an empty validation part is left out.
        datasets.DatasetDict({part: rows for part, rows in parts.items() if len(rows)}).save_to_disk(
            str(staged / "set")
        )
        for path in (staged / "set").iterdir():
            path.rename(staged / path.name)
        (staged / "set").rmdir()
        for part in parts:
            (staged / f".{part}.arrow").unlink()
        note: dict[str, Any] = {"fingerprint": expected, "data_hash": data_hash, "template": template.name}
        note |= {part: asdict(count) for part, count in counts.items()}
        write_text(staged / _NOTE, json.dumps(note, indent=1))
    return Ready(target, expected, data_hash, counts["train"], counts["validation"])


def _maker(project: Project, raw: Path, *given: Any) -> _Part:
    """The way to tokens of a project: to labels where it trains a head on them."""
    if has_head(project):
        from phi_tui.engine import labels as labelled
        from phi_tui.engine.label_tokens import LabelledPart

        return LabelledPart(labelled.read(raw), project, *given)
    return _Part(project, *given)


class _Part:
    """One part on its way to Arrow, with the counts that go into the report."""

    def __init__(
        self,
        project: Project,
        encoder: Encoder,
        template: Template,
        tokenizer: Any,
        special: tuple[str, ...],
        find: Callable[[Finding], None],
    ) -> None:
        self._data = project.data
        self._encoder, self._template, self._tokenizer = encoder, template, tokenizer
        self._special = special
        self._find = find
        self._lengths: list[int] = []
        self._trained = self._cut_rows = self._cut_tokens = self._untrained = self._source_cut_rows = 0

    def writer(self, path: Path, datasets: Any) -> Any:
        """An Arrow stream writer for int32 input_ids and labels."""
        import pyarrow

        column = datasets.List(datasets.Value("int32"))
        self._schema = datasets.Features({"input_ids": column, "labels": column}).arrow_schema
        return pyarrow.ipc.new_stream(str(path), self._schema)

    def begin(self, writer: Any) -> None:
        """Write a batch without rows: a part that stays empty is a data set all the same."""
        writer.write_table(self._schema.empty_table())

    def add(self, batch: list[tuple[dict[str, Any], str, int]], writer: Any) -> None:
        """Render, tokenise, check and write one batch of (row, file, line)."""
        import pyarrow

        rendered: list[list[Segment]] = []
        places: list[tuple[dict[str, Any], str, int]] = []
        for row, file, line in batch:
            try:
                rendered.append(segments(row, self._template, self._tokenizer, self._data.train_on))
                places.append((row, file, line))
            except TemplateMismatch as error:
                self._find(Finding("error", "template", file, line, str(error)))
            self._warn(row, file, line)
        ids_out, labels_out = [], []
        limit = self._data.max_length
        for (ids, labels), (row, file, line) in zip(self._encoder.encode(rendered), places, strict=True):
            if len(ids) > limit and self._data.cut == "source" and source_cut.field_of(row):
                shorter = self._without_end_of_source(row, file, line, len(ids))
                if shorter is None:
                    continue
                ids, labels = shorter
            cut = max(0, len(ids) - limit)
            ids, labels = ids[:limit], labels[:limit]
            trained = sum(label != -100 for label in labels[1:])
            if cut:
                self._cut_rows += 1
                self._cut_tokens += cut
                self._find(Finding("info", "cut", file, line, f"{cut} of {cut + len(ids)} tokens cut off"))
            if not trained:
                self._untrained += 1
                reason = "its prompt alone fills data.max_length" if cut else "it has no token that is predicted"
                self._find(Finding("error", "no-trained-token", file, line, f"no trained token: {reason}"))
                continue
            self._lengths.append(len(ids))
            self._trained += trained
            ids_out.append(ids)
            labels_out.append(labels)
        if ids_out:
            writer.write_batch(
                pyarrow.record_batch(
                    [
                        pyarrow.array(ids_out, self._schema.types[0]),
                        pyarrow.array(labels_out, self._schema.types[1]),
                    ],
                    schema=self._schema,
                )
            )

    def tokens(self) -> Tokens:
        """The counts of what was added."""
        ordered = sorted(self._lengths) or [0]
        at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]  # noqa: E731
        return Tokens(
            rows=len(self._lengths),
            tokens=sum(self._lengths),
            trained=self._trained,
            p50=at(0.5),
            p95=at(0.95),
            longest=ordered[-1],
            cut_rows=self._cut_rows,
            cut_tokens=self._cut_tokens,
            untrained_rows=self._untrained,
            source_cut_rows=self._source_cut_rows,
        )

    def _without_end_of_source(
        self, row: dict[str, Any], file: str, line: int, length: int
    ) -> tuple[list[int], list[int]] | None:
        """Cut the source of a row that is too long, counted and told; None where that is not enough."""
        data = self._data
        made = source_cut.shortened(row, data.max_length, self._encoder, self._template, self._tokenizer, data.train_on)
        if made is None:
            self._untrained += 1
            message = f"without any of its {source_cut.field_of(row)} it is longer than data.max_length"
            self._find(Finding("error", "too-long", file, line, message, "raise data.max_length"))
            return None
        cut = length - len(made[0])
        self._cut_rows += 1
        self._source_cut_rows += 1
        self._cut_tokens += cut
        message = f"{cut} of {length} tokens cut off, at the end of its {source_cut.field_of(row)}"
        self._find(Finding("info", "cut", file, line, message))
        return made

    def _warn(self, row: dict[str, Any], file: str, line: int) -> None:
        own = [row[key] for key in row if isinstance(row[key], str)]
        own += [message["content"] for message in row.get("messages", ())]
        for token in self._special:
            if any(token in text for text in own):
                message = f"holds the model's special token {token} in its own text"
                self._find(Finding("warning", "special-token", file, line, message))
        if self._template.name == "plain" and "prompt" in row:
            joint = row["prompt"][-1:] + row["completion"][:1]
            if joint.isalnum() and len(joint) == 2:
                message = "prompt and completion run together without a space"
                self._find(Finding("warning", "run-together", file, line, message))


def _batches(rows: Path, origins: Path) -> Iterator[list[tuple[dict[str, Any], str, int]]]:
    """Yield lists of (row, file, line)."""
    batch: list[tuple[dict[str, Any], str, int]] = []
    with open(rows, encoding="utf-8") as lines, open(origins, encoding="utf-8") as places:
        for text, place in zip(lines, places, strict=True):
            name, _, line = place.rstrip("\n").rpartition("\t")
            batch.append((json.loads(text), json.loads(name), int(line)))
            if len(batch) == _BATCH:
                yield batch
                batch = []
    if batch:
        yield batch
