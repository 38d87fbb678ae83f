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
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from phi_tui.atomic import folder as atomic_folder
from phi_tui.atomic import write_text
from phi_tui.engine.arrow_files import schema
from phi_tui.engine.crew import Alone, Crew
from phi_tui.engine.ready import Origins, Ready, Tokens
from phi_tui.engine.render import Template
from phi_tui.engine.sources import Finding
from phi_tui.engine.token_rows import Made, Piece, pieces
from phi_tui.engine.tokenising import Worker
from phi_tui.errors import Refusal
from phi_tui.schema import Project

STAGE_VERSION = 1
SHARD_TOKENS = 16_000_000
"""Tokens after which a shard is closed: 128 MB, some ten seconds of work."""
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
    crew: Crew | None = None,
    facts: dict[str, Any] | None = None,
) -> Ready:
    """Pack `raw`/{train,validation}.jsonl into blocks at `target`, whole or not at all.

    Training keeps full blocks alone (one shorter one where there is no full one), validation its last, shorter one
    too.  A `crew` tokenises in the place of `tokenizer`; `facts` are kept beside the tokens.  Raises Refusal for rows
    that cannot be rendered unless data.skip_bad, and when no block is left; whatever else ends it leaves the shards,
    from which the next call goes on.
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

    workers = crew or Alone(Worker(tokenizer))
    columns, _ = workers.all("begin", True, project, template, raw)
    for name, part in parts.items():
        maker = _Packer(shards, name, part, length, schema(columns), workers, on_finding or (lambda finding: None))
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
    about = {"fingerprint": expected, "data_hash": data_hash, "template": template.name, "tokenizer": facts or {}}
    _join(shards, parts, target, about)
    shutil.rmtree(shards, ignore_errors=True)
    return Ready(target, expected, data_hash, counts["train"], counts["validation"])


class _Packer:
    """One part on its way to blocks."""

    def __init__(
        self,
        shards: Path,
        name: str,
        part: _Part,
        length: int,
        kinds: Any,
        workers: Crew | Alone,
        find: Callable[[Finding], None],
    ) -> None:
        self._schema, self._length = kinds, length
        self._shards, self._name, self._part = shards, name, part
        self._workers, self._find = workers, find

    def run(self, raw: Path, note: Callable[[], None], progress: Callable[[], None]) -> None:
        """Pack what is not packed yet, shard by shard; `note` writes down how far it has come, `progress` tells it."""
        import pyarrow

        part = self._part
        rows = raw / f"{self._name}.jsonl"
        # Shards end where pieces do, so an unfinished preparation goes on with a whole piece.
        self._seen = 0
        left = itertools.dropwhile(self._is_done, pieces(rows))
        with Origins(raw / f"{self._name}.origins") as origins:
            origins.skip(part.rows)
            every = self._workers.each("make", left, progress)
            while not part.done:
                before = part.tokens
                path = self._shards / f"{self._name}-{part.shards:05d}.arrow"
                with pyarrow.ipc.new_stream(str(path), self._schema) as writer:
                    # A batch without rows: a shard that stays empty is a data set all the same.
                    writer.write_table(self._schema.empty_table())
                    for made in every:
                        self._tell(made, origins)
                        self._add(made, writer)
                        progress()
                        if part.tokens - before >= SHARD_TOKENS:
                            break
                    else:
                        self._end(writer)
                        part.done = True
                part.shards += 1
                note()

    def _is_done(self, piece: Piece) -> bool:
        """Whether the rows of a piece are in blocks already; called for each piece from the first on."""
        self._seen += piece[3]
        return self._seen <= self._part.rows

    def _tell(self, made: Made, origins: Origins) -> None:
        """Tell what was found in a piece, and note the rows that are left out."""

        def find(finding: Finding) -> None:
            self._find(finding)
            if finding.severity == "error":
                self._part.bad += 1
                if len(self._part.shown) < _SHOWN:
                    self._part.shown.append(f"{finding.file}:{finding.line}: {finding.message}")

        origins.tell(made, find)

    def _add(self, made: Made, writer: Any) -> None:
        """Put the tokens of a piece behind those that are left over, and write the blocks that are full."""
        import numpy

        new = numpy.frombuffer(made.batch, dtype=numpy.int32).reshape(2, -1)
        old = numpy.asarray([self._part.ids, self._part.labels], dtype=numpy.int32)
        ids, labels = numpy.concatenate([old, new], axis=1)
        self._part.rows += made.rows
        step = self._length - 1
        full = max(0, (len(ids) - 1) // step)
        if full:
            places = numpy.arange(self._length) + step * numpy.arange(full)[:, None]
            self._write(ids[places], labels[places], writer)
        self._part.ids, self._part.labels = ids[full * step :].tolist(), labels[full * step :].tolist()

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
