"""Packed blocks: all texts of a part end to end, each closed by the end token, cut into blocks of one length.

It is how models are pretrained: no token is padding, and a block may begin in one text and end in another; what stands
before an end token is seen from behind it, and positions run through the block.  The last token of a block is the first
of the next, so that every token but a part's first is predicted exactly once.

A large corpus takes hours to tokenise, so blocks go to the disk in shards, and a preparation that was cut short goes
on behind the last whole one.  What comes out has the layout of `ready`: input_ids and labels, in Arrow.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from phi_tui.atomic import folder as atomic_folder
from phi_tui.atomic import write_text
from phi_tui.engine.ready import Ready, Tokens
from phi_tui.engine.render import Encoder, Template, TemplateMismatch, segments
from phi_tui.engine.sources import Finding
from phi_tui.errors import Refusal
from phi_tui.schema import Project

STAGE_VERSION = 1
SHARD_TOKENS = 16_000_000
"""Tokens after which a shard is closed: 128 MB, some ten seconds of work."""
_BATCH = 1000
_NOTE = "phi-tui.json"
_SHOWN = 5


def block_length(project: Project) -> int:
    """Return the length of a block in tokens: the new model's context, or data.max_length where that is less."""
    return min(project.scratch.context, project.data.max_length)


def fingerprint(project: Project, data_hash: str, tokenizer_hash: str, template: Template) -> str:
    """SHA-256 over everything that decides the blocks: the rows, the tokenizer, the template and three settings."""
    parts = ["stream", STAGE_VERSION, data_hash, tokenizer_hash, template.hash]
    parts += [block_length(project), project.data.train_on, project.data.skip_bad]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(slots=True)
class _Part:
    """How far a part has come: rows read, shards written, the tokens behind the last block, and the counts."""

    rows: int = 0
    shards: int = 0
    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    blocks: int = 0
    tokens: int = 0
    trained: int = 0
    untrained: int = 0
    left_over: int = 0
    longest: int = 0
    bad: int = 0
    shown: list[str] = field(default_factory=list)
    done: bool = False

    def counts(self, length: int) -> Tokens:
        """The counts as every other part of the engine knows them; what was left over stands as cut."""
        usual = length if self.blocks > 1 else self.longest
        return Tokens(
            rows=self.blocks,
            tokens=self.tokens,
            trained=self.trained,
            p50=usual,
            p95=usual,
            longest=self.longest,
            cut_rows=0,
            cut_tokens=self.left_over,
            untrained_rows=self.untrained,
        )


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
    """Pack `raw`/{train,validation}.jsonl into blocks at `target`, whole or not at all.

    Training keeps full blocks alone (one shorter one where there is no full one), validation its last, shorter one
    too.  Raises Refusal for rows that cannot be rendered unless data.skip_bad, and when no block is left; whatever else
    ends it leaves the shards, from which the next call goes on.
    """
    shards = target.with_name(f".{target.name}.shards")
    parts = _kept(shards, expected)
    length = block_length(project)

    def note() -> None:
        kept = {"expected": expected, "parts": {name: asdict(part) for name, part in parts.items()}}
        write_text(shards / _NOTE, json.dumps(kept))

    def progress() -> None:
        if on_progress:
            on_progress(sum(part.rows for part in parts.values()))

    for name, part in parts.items():
        maker = _Packer(project, shards, name, part, tokenizer, template, on_finding or (lambda finding: None))
        maker.run(raw, note, progress)
    bad = sum(part.bad for part in parts.values())
    if bad and not project.data.skip_bad:
        shown = [text for part in parts.values() for text in part.shown][:_SHOWN]
        more = f"\n  and {bad - len(shown)} more" if bad > len(shown) else ""
        shutil.rmtree(shards, ignore_errors=True)
        raise Refusal(
            f"{bad} rows cannot be trained on:\n  " + "\n  ".join(shown) + more,
            fix="mend them, or set data.skip_bad = true to leave them out",
        )
    counts = {name: part.counts(length) for name, part in parts.items()}
    if not counts["train"].rows:
        raise Refusal("no text is left to train on", fix="phi-tui doctor FILE says what is wrong with each row")
    _join(shards, parts, target, {"fingerprint": expected, "data_hash": data_hash, "template": template.name})
    shutil.rmtree(shards, ignore_errors=True)
    return Ready(target, expected, data_hash, counts["train"], counts["validation"])


class _Packer:
    """One part on its way to blocks."""

    def __init__(
        self,
        project: Project,
        shards: Path,
        name: str,
        part: _Part,
        tokenizer: Any,
        template: Template,
        find: Callable[[Finding], None],
    ) -> None:
        import datasets

        column = datasets.List(datasets.Value("int32"))
        self._schema = datasets.Features({"input_ids": column, "labels": column}).arrow_schema
        self._train_on = project.data.train_on
        self._length = block_length(project)
        self._shards, self._name, self._part = shards, name, part
        self._tokenizer, self._template, self._find = tokenizer, template, find
        self._encoder = Encoder(tokenizer, template)
        self._special = tuple(str(token) for token in tokenizer.all_special_tokens if token)

    def run(self, raw: Path, note: Callable[[], None], progress: Callable[[], None]) -> None:
        """Pack what is not packed yet, shard by shard; `note` writes down how far it has come, `progress` tells it."""
        import pyarrow

        part = self._part
        batches = _batches(raw / f"{self._name}.jsonl", raw / f"{self._name}.origins", part.rows)
        while not part.done:
            before = part.tokens
            path = self._shards / f"{self._name}-{part.shards:05d}.arrow"
            with pyarrow.ipc.new_stream(str(path), self._schema) as writer:
                # A batch without rows: a shard that stays empty is a data set all the same.
                writer.write_table(self._schema.empty_table())
                for batch in batches:
                    self._add(batch, writer)
                    progress()
                    if part.tokens - before >= SHARD_TOKENS:
                        break
                else:
                    self._end(writer)
                    part.done = True
            part.shards += 1
            note()

    def _add(self, batch: list[tuple[dict[str, Any], str, int]], writer: Any) -> None:
        """Render and tokenise one batch of (row, file, line), and write the blocks that are full."""
        import numpy

        rendered = []
        for row, file, line in batch:
            self._look_for_special(row, file, line)
            try:
                rendered.append(segments(row, self._template, self._tokenizer, self._train_on))
            except TemplateMismatch as error:
                self._find(Finding("error", "template", file, line, str(error)))
                self._part.bad += 1
                if len(self._part.shown) < _SHOWN:
                    self._part.shown.append(f"{file}:{line}: {error}")
        ids, labels = list(self._part.ids), list(self._part.labels)
        for row_ids, row_labels in self._encoder.encode(rendered):
            ids += row_ids
            labels += row_labels
        self._part.rows += len(batch)
        step = self._length - 1
        full = max(0, (len(ids) - 1) // step)
        if full:
            places = numpy.arange(self._length) + step * numpy.arange(full)[:, None]
            tokens, marks = numpy.asarray(ids, dtype=numpy.int32), numpy.asarray(labels, dtype=numpy.int32)
            self._write(tokens[places], marks[places], writer)
        self._part.ids, self._part.labels = ids[full * step :], labels[full * step :]

    def _end(self, writer: Any) -> None:
        """Deal with the tokens behind the last full block; the first of them stands in that block already."""
        import numpy

        part = self._part
        fresh = len(part.ids) - (1 if part.blocks or part.untrained else 0)
        if len(part.ids) > 1 and (self._name == "validation" or not part.blocks):
            self._write(numpy.asarray([part.ids]), numpy.asarray([part.labels]), writer)
        elif fresh > 0:
            part.left_over = fresh
        part.ids, part.labels = [], []

    def _write(self, ids: Any, labels: Any, writer: Any) -> None:
        """Write blocks, (blocks, length) each; those in which nothing is trained are left out."""
        import numpy
        import pyarrow

        trained = (labels[:, 1:] != -100).sum(axis=1)
        keep = trained > 0
        self._part.untrained += int((~keep).sum())
        ids, labels = ids[keep], labels[keep]
        if not len(ids):
            return
        self._part.blocks += len(ids)
        self._part.tokens += ids.size
        self._part.trained += int(trained.sum())
        self._part.longest = max(self._part.longest, ids.shape[1])
        offsets = pyarrow.array(numpy.arange(len(ids) + 1, dtype=numpy.int32) * ids.shape[1], pyarrow.int32())
        columns = [
            pyarrow.ListArray.from_arrays(offsets, pyarrow.array(values.reshape(-1), pyarrow.int32())).cast(kind)
            for values, kind in zip((ids, labels), self._schema.types, strict=True)
        ]
        writer.write_batch(pyarrow.record_batch(columns, schema=self._schema))

    def _look_for_special(self, row: dict[str, Any], file: str, line: int) -> None:
        own = [value for value in row.values() if isinstance(value, str)]
        own += [message["content"] for message in row.get("messages", ())]
        for token in self._special:
            if any(token in text for text in own):
                message = f"holds the model's special token {token} in its own text"
                self._find(Finding("warning", "special-token", file, line, message))


def _kept(shards: Path, expected: str) -> dict[str, _Part]:
    """What an earlier, unfinished call left for the same blocks, else a fresh start in an empty folder."""
    try:
        kept = json.loads((shards / _NOTE).read_text("utf-8"))
        if kept["expected"] == expected:
            parts = {name: _Part(**kept["parts"][name]) for name in ("train", "validation")}
            if all(_whole(shards, name, part) for name, part in parts.items()):
                return parts
    except (OSError, ValueError, KeyError, TypeError):
        pass
    shutil.rmtree(shards, ignore_errors=True)
    shards.mkdir(mode=0o700)
    return {"train": _Part(), "validation": _Part()}


def _whole(shards: Path, name: str, part: _Part) -> bool:
    return all((shards / f"{name}-{number:05d}.arrow").is_file() for number in range(part.shards))


def _join(shards: Path, parts: dict[str, _Part], target: Path, note: dict[str, Any]) -> None:
    """Write the shards as one DatasetDict; a part without blocks is left out, since it could not be loaded again."""
    import datasets

    with atomic_folder(target) as staged:
        whole = {}
        for name, part in parts.items():
            files = [str(shards / f"{name}-{number:05d}.arrow") for number in range(part.shards)]
            if part.blocks:
                whole[name] = datasets.concatenate_datasets([datasets.Dataset.from_file(file) for file in files])
        datasets.DatasetDict(whole).save_to_disk(str(staged / "set"))
        for path in (staged / "set").iterdir():
            path.rename(staged / path.name)
        (staged / "set").rmdir()
        longest = max(part.longest for part in parts.values())
        note |= {name: asdict(part.counts(longest)) for name, part in parts.items()}
        write_text(staged / _NOTE, json.dumps(note, indent=1))


def _batches(rows: Path, origins: Path, skip: int) -> Iterator[list[tuple[dict[str, Any], str, int]]]:
    """Yield lists of (row, file, line), from row `skip` on."""
    with open(rows, encoding="utf-8") as lines, open(origins, encoding="utf-8") as places:
        pairs = itertools.islice(zip(lines, places, strict=True), skip, None)
        while batch := list(itertools.islice(pairs, _BATCH)):
            out = []
            for text, place in batch:
                name, _, line = place.rstrip("\n").rpartition("\t")
                out.append((json.loads(text), json.loads(name), int(line)))
            yield out
