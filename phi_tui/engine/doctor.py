"""What the doctor learns of a data set while its rows go by: counts, duplicates, lengths, and a report.

`Survey` watches one source for `phi-tui doctor FILE`.  Preparing a project (`gathering`) judges rows by the same
functions, so that the two can never disagree about one, but keeps on the disk what is held in memory here.
"""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from phi_tui.engine import labels
from phi_tui.engine.formats import Detected, detect, normalise, remarks
from phi_tui.engine.gathering import characters, written
from phi_tui.engine.sources import Finding, Row, files_of, name_of, read
from phi_tui.engine.transforms import Counts
from phi_tui.errors import InputError, PhiError
from phi_tui.schema import Source

_SAMPLE = 100
"""Rows looked at to tell the format."""
_SAMPLE_ITEMS = 5000
"""Rows and findings held back at most while that sample is gathered."""

Tell = Callable[[Finding], None]


@dataclass(frozen=True, slots=True)
class SourceReport:
    """One source: what was read of it, and on which side its rows went."""

    name: str
    role: str
    files: list[str]
    format: str
    columns: dict[str, str]
    reason: str
    read: int
    kept: int
    broken: int
    duplicates: int
    train: int
    validation: int


@dataclass(frozen=True, slots=True)
class MixReport:
    """One source's part in a mix, in rows: drawn, drawn again, never drawn."""

    source: str
    weight: float
    used: int
    repeated: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """The lengths of rows in characters, all their texts together."""

    p50: int = 0
    p95: int = 0
    max: int = 0


@dataclass(slots=True)
class DataReport:
    """All that is known of a project's data, as it stands in report.json."""

    sources: list[SourceReport]
    findings: dict[str, int]
    train_rows: int
    validation_rows: int
    in_both: int = 0
    """Validation rows that say the same as a training row."""
    split: float | None = None
    """The training share asked for; None where nothing was split."""
    split_reached: float | None = None
    mix: list[MixReport] = field(default_factory=list)
    mix_stopped: str = ""
    characters: dict[str, Lengths] = field(default_factory=dict)
    fingerprint: str = ""
    transforms: list[Counts] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Rows read, broken ones included."""
        return sum(source.read for source in self.sources)

    @property
    def broken(self) -> int:
        """Rows that could not be used."""
        return sum(source.broken for source in self.sources)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain tables."""
        return asdict(self)


class Survey:
    """Watches the rows of one source for `phi-tui doctor`; keeps key, place and length of each good one."""

    def __init__(self, name: str, role: str = "train") -> None:
        self.name, self.role = name, role
        self.files: list[str] = []
        self.detected: Detected | None = None
        self.read = self.duplicates = 0
        self.lengths = array("Q")
        self._file_numbers = array("I")
        self._lines = array("Q")
        self._numbers: dict[str, int] = {}
        self._first: dict[bytes, int] = {}

    @property
    def kept(self) -> int:
        """Good rows so far."""
        return len(self._lines)

    def place(self, row: int) -> tuple[str, int]:
        """Return file and line of one good row."""
        return self.files[self._file_numbers[row]], self._lines[row]

    def rows(
        self,
        items: Iterable[Row | Finding],
        mapping: Mapping[str, str] | None = None,
        form: str = "auto",
        tell: Tell = lambda finding: None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the good rows of `items` in canonical shape; everything found on the way goes to `tell`.

        Raises InputError when the columns fit no format.
        """
        waiting = iter(items)

        def early(findings: list[Row | Finding]) -> None:
            for finding in findings:
                self._hear(finding, tell)

        held, detected = look(waiting, mapping, form, self.name, early)
        self.detected = detected
        for item in itertools.chain(held, waiting):
            if isinstance(item, Finding) or detected is None:
                self._hear(item, tell)
                continue
            self.read += 1
            row = normalise(item, detected)
            if isinstance(row, Finding):
                tell(row)
                continue
            for finding in remarks(item, row) if "messages" in row else ():
                tell(finding)
            self._keep(row, item, tell)
            yield row
        self._first.clear()

    def _hear(self, item: Row | Finding, tell: Tell) -> None:
        if isinstance(item, Finding):
            self.read += item.severity == "error"
            tell(item)

    def _keep(self, row: dict[str, Any], origin: Row, tell: Tell) -> None:
        number = self._numbers.setdefault(origin.file, len(self.files))  # a shuffle goes to and fro between files
        if number == len(self.files):
            self.files.append(origin.file)
        key = written(row)[1]
        first = self._first.setdefault(key, self.kept)
        if first != self.kept:
            self.duplicates += 1
            file, line = self.place(first)
            tell(Finding("warning", "duplicate", origin.file, origin.line, f"says the same as {file}:{line}"))
        self._file_numbers.append(number)
        self._lines.append(origin.line)
        self.lengths.append(characters(row))

    def report(self, train: int, validation: int) -> SourceReport:
        """Return what was seen, with the rows that went to either side."""
        detected = self.detected
        return SourceReport(
            name=self.name,
            role=self.role,
            files=list(dict.fromkeys(self.files)),
            format=detected.format if detected else "unknown",
            columns=dict(detected.columns) if detected else {},
            reason=detected.reason if detected else "",
            read=self.read,
            kept=self.kept,
            broken=self.read - self.kept,
            duplicates=self.duplicates,
            train=train,
            validation=validation,
        )


def look(
    waiting: Iterator[Row | Finding],
    mapping: Mapping[str, str] | None,
    form: str,
    name: str,
    early: Callable[[list[Row | Finding]], None],
) -> tuple[list[Row | Finding], Detected | None]:
    """Take as many of the rows of a source as it needs to tell their format; return what was taken, and the format.

    Findings by the thousand before any row go to `early` and are not returned.  Raises InputError when the columns fit
    no format.
    """
    held: list[Row | Finding] = []
    sample: list[dict[str, Any]] = []
    for item in waiting:
        held.append(item)
        if isinstance(item, Row):
            sample.append(item.fields)
        if len(sample) == _SAMPLE or (sample and len(held) >= _SAMPLE_ITEMS):
            break
        if not sample and len(held) == _SAMPLE_ITEMS:  # nothing but findings: they need no format
            early(held)
            held = []
    detected = detect(sample, named=form, columns=dict(mapping or {}), where=name) if sample else None
    return held, detected


def lengths(counts: Mapping[int, int]) -> Lengths:
    """Return median, 95th percentile (nearest rank) and maximum of lengths, given how often each occurs."""
    rows = sum(counts.values())
    if not rows:
        return Lengths()
    return Lengths(at_rank(counts, rows // 2), at_rank(counts, rows * 95 // 100), max(counts))


def at_rank(counts: Mapping[int, int], rank: int) -> int:
    """Return the value at a rank, from 0, of values of which it is known how often each occurs; the last one beyond."""
    value = 0
    for value in sorted(counts):
        rank -= counts[value]
        if rank < 0:
            break
    return value


def read_all(files: Sequence[Path], root: Path, dialect: Source | None = None) -> Iterator[Row | Finding]:
    """Stream the rows of several files, one after the other; `dialect` is the source that says how to read them."""
    for path in files:
        yield from read(path, name_of(path, root), dialect)


def examine(paths: list[Path], task: str = "") -> tuple[DataReport, list[Finding]]:
    """Read every row of the files (or folders) `paths`, each a source, and return the report and all
    findings.

    With a `task` that trains a head, rows are read as a text and a label, and the labels are looked at too.

    Nothing inside a file raises: what is wrong with it as a whole is a finding at line 0.  Raises InputError
    for a path that cannot be opened at all.
    """
    findings: list[Finding] = []
    surveys: list[Survey] = []
    root = Path.cwd()
    for path in paths:
        if not path.exists():
            raise InputError("no such file or folder", where=str(path))
        survey = Survey(str(path))
        surveys.append(survey)
        try:
            files = files_of(Source(path=str(path)), root)
            rows = survey.rows(read_all(files, root), form=task or "auto", tell=findings.append)
            said = [row["label"] for row in rows if "label" in row]  # by reading them they are examined
            if said:
                labels.look(task, said, findings.append)
        except PhiError as error:
            message = error.what if error.where in ("", str(path)) else f"{error.where}: {error.what}"
            findings.append(Finding("error", "file", str(path), 0, message, error.fix))
    report = DataReport(
        sources=[survey.report(survey.kept, 0) for survey in surveys],
        findings=dict(Counter(finding.code for finding in findings)),
        train_rows=sum(survey.kept for survey in surveys),
        validation_rows=0,
        characters={"train": lengths(Counter(length for survey in surveys for length in survey.lengths))},
    )
    return report, findings
