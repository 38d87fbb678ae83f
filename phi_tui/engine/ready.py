"""Tokenised rows on disk: a DatasetDict that plain `datasets.load_from_disk` opens, with input_ids and labels.

Rows are rendered and tokenised in pieces (`token_rows`), here or by several processes, and written straight to Arrow in
the order of the file, so memory stays flat and the bytes are the same whoever did it.  What the tokens reveal (cut
rows, rows in which nothing is left to train, special tokens inside a row's own text) is told with file and line; broken
rows stop the run unless the project says to leave them out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phi_tui.atomic import folder as atomic_folder
from phi_tui.atomic import write_text
from phi_tui.engine.arrow_files import PartFile, name_parts
from phi_tui.engine.crew import Alone, Crew
from phi_tui.engine.doctor import at_rank
from phi_tui.engine.labels import has_head
from phi_tui.engine.render import Template
from phi_tui.engine.rows_on_disk import place_of
from phi_tui.engine.sources import Finding
from phi_tui.engine.token_rows import Made, pieces, placed
from phi_tui.engine.tokenising import Worker
from phi_tui.errors import Refusal
from phi_tui.schema import Project

STAGE_VERSION = 1
_NOTE = "phi-tui.json"
_SHOWN = 5


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


def kept_facts(folder: Path) -> Any:
    """Return what the tokens at `folder` keep of their tokenizer, for `tokenising.Tokeniser`."""
    try:
        return json.loads((folder / _NOTE).read_text("utf-8")).get("tokenizer")
    except (OSError, ValueError, AttributeError):
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
    crew: Crew | None = None,
    facts: dict[str, Any] | None = None,
) -> Ready:
    """Tokenise `raw`/{train,validation}.jsonl into `target`, whole or not at all; a part without rows is left out.

    A `crew` does it in the place of `tokenizer`; `facts` are kept beside the tokens.  Raises Refusal when rows are left
    with no trained token and data.skip_bad is not set, or when none is left.
    """
    tell = on_finding or (lambda finding: None)
    progress = on_progress or (lambda done: None)
    bad = 0
    shown: list[str] = []

    def find(finding: Finding) -> None:
        nonlocal bad
        if finding.severity == "error":
            bad += 1
            if len(shown) < _SHOWN:
                shown.append(f"{finding.file}:{finding.line}: {finding.message}")
        tell(finding)

    done = 0

    def tick() -> None:
        progress(done)

    workers = crew or Alone(Worker(tokenizer))
    columns, head = workers.all("begin", False, project, template, raw)
    with atomic_folder(target) as staged:
        counts, written = {}, []
        for part in ("train", "validation"):
            count = counts[part] = Counts()
            with PartFile(staged, part, columns, head) as file, Origins(raw / f"{part}.origins") as origins:
                for made in workers.each("make", pieces(raw / f"{part}.jsonl"), tick):
                    origins.tell(made, find)
                    count.add(made)
                    if made.batch:
                        file.add(made.batch)
                    done += made.rows
                    tick()
            if file.describe(expected):
                written.append(part)
        if bad and not project.data.skip_bad:
            listed = "\n  ".join(shown)
            more = f"\n  and {bad - len(shown)} more" if bad > len(shown) else ""
            raise Refusal(
                f"{bad} rows cannot be trained on:\n  {listed}{more}",
                fix="mend them, raise data.max_length, or set data.skip_bad = true to leave them out",
            )
        if not counts["train"].lengths:
            raise Refusal("no row is left to train on", fix="phi-tui doctor FILE says what is wrong with each")
        name_parts(staged, written)
        tokens = {part: count.tokens() for part, count in counts.items()}
        note: dict[str, Any] = {"fingerprint": expected, "data_hash": data_hash, "template": template.name}
        note |= {part: asdict(one) for part, one in tokens.items()} | {"tokenizer": facts or {}}
        write_text(staged / _NOTE, json.dumps(note, indent=1))
    return Ready(target, expected, data_hash, tokens["train"], tokens["validation"])


class Counts:
    """What the pieces of a part add up to; of the lengths only how many rows have each."""

    def __init__(self) -> None:
        self.lengths: Counter[int] = Counter()
        self._trained = self._cut_rows = self._cut_tokens = self._untrained = self._source_cut_rows = 0

    def add(self, made: Made) -> None:
        """Add a piece."""
        self.lengths.update(made.lengths)
        self._trained += made.trained
        self._cut_rows += made.cut_rows
        self._cut_tokens += made.cut_tokens
        self._untrained += made.untrained
        self._source_cut_rows += made.source_cut_rows

    def tokens(self) -> Tokens:
        """The counts of what was added."""
        rows = self.lengths.total()
        return Tokens(
            rows=rows,
            tokens=sum(length * count for length, count in self.lengths.items()),
            trained=self._trained,
            p50=at_rank(self.lengths, int(0.5 * rows)),
            p95=at_rank(self.lengths, int(0.95 * rows)),
            longest=max(self.lengths, default=0),
            cut_rows=self._cut_rows,
            cut_tokens=self._cut_tokens,
            untrained_rows=self._untrained,
            source_cut_rows=self._source_cut_rows,
        )


class Origins:
    """The file that says where each row came from, read along with the pieces."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Origins:
        self._file = open(self._path, encoding="utf-8")  # closed by __exit__
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def skip(self, rows: int) -> None:
        """Pass over rows."""
        for _ in itertools.islice(self._file, rows):
            pass

    def tell(self, made: Made, tell: Callable[[Finding], None]) -> None:
        """Pass over the rows of a piece, and tell what was found in it with file and line."""
        if not made.found:
            self.skip(made.rows)
            return
        places = list(itertools.islice(self._file, made.rows))
        for place, finding in made.found:
            file, line = place_of(places[place])
            tell(placed(finding, file, line))
