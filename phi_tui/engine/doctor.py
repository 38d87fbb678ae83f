"""What the doctor learns of a data set while its rows go by: counts, duplicates, lengths, and a report.

`Survey` watches one source; preparing a project and `phi-tui doctor FILE` both read through it, so that the
two can never disagree about a row.  Of each row only its 16-byte key, its place and its length are kept.
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
from phi_tui.engine.sources import Finding, Row, files_of, name_of, read
from phi_tui.engine.split import row_key
from phi_tui.engine.transforms import Counts
from phi_tui.errors import InputError, PhiError
from phi_tui.schema import Source

_KEY = 16
"""Bytes of a row's key."""
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
    """Watches the rows of one source and keeps, for each good one, its key, its place and its length."""

    def __init__(self, name: str, role: str = "train") -> None:
        self.name, self.role = name, role
        self.files: list[str] = []
        self.detected: Detected | None = None
        self.read = self.duplicates = 0
        self.lengths = array("Q")
        self._keys = bytearray()
        self._file_numbers = array("I")
        self._lines = array("Q")
        self._numbers: dict[str, int] = {}
        self._first: dict[bytes, int] = {}

    @property
    def kept(self) -> int:
        """Good rows so far."""
        return len(self._lines)

    def keys(self) -> list[bytes]:
        """Return the key of every good row, in order."""
        return [bytes(self._keys[at : at + _KEY]) for at in range(0, len(self._keys), _KEY)]

    def key(self, row: int) -> bytes:
        """Return the key of one good row."""
        return bytes(self._keys[row * _KEY : (row + 1) * _KEY])

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
        held: list[Row | Finding] = []
        sample: list[dict[str, Any]] = []
        for item in waiting:
            held.append(item)
            if isinstance(item, Row):
                sample.append(item.fields)
            if len(sample) == _SAMPLE or (sample and len(held) >= _SAMPLE_ITEMS):
                break
            if not sample and len(held) == _SAMPLE_ITEMS:  # nothing but findings: they need no format
                for finding in held:
                    self._hear(finding, tell)
                held = []
        detected: Detected | None = None
        if sample:
            detected = detect(sample, named=form, columns=dict(mapping or {}), where=self.name)
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
        key = row_key(row)
        first = self._first.setdefault(key, self.kept)
        if first != self.kept:
            self.duplicates += 1
            file, line = self.place(first)
            tell(Finding("warning", "duplicate", origin.file, origin.line, f"says the same as {file}:{line}"))
        self._keys += key
        self._file_numbers.append(number)
        self._lines.append(origin.line)
        self.lengths.append(_characters(row))

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


def _characters(row: dict[str, Any]) -> int:
    if "messages" in row:
        return sum(len(message["content"]) for message in row["messages"])
    return sum(len(value) for value in row.values() if isinstance(value, str))


def lengths(values: Iterable[int]) -> Lengths:
    """Return median, 95th percentile (nearest rank) and maximum."""
    ordered = sorted(values)
    if not ordered:
        return Lengths()
    last = len(ordered) - 1
    return Lengths(ordered[min(last, len(ordered) // 2)], ordered[min(last, len(ordered) * 95 // 100)], ordered[-1])


def in_both(train: Iterable[tuple[Survey, int]], validation: Iterable[tuple[Survey, int]], tell: Tell) -> int:
    """Count validation rows that say the same as a training row, with a warning for each that names both."""
    seen: dict[bytes, tuple[Survey, int]] = {}
    for survey, row in train:
        seen.setdefault(survey.key(row), (survey, row))
    count = 0
    for survey, row in validation:
        twin = seen.get(survey.key(row))
        if twin:
            count += 1
            (file, line), (other, at) = survey.place(row), twin[0].place(twin[1])
            message = f"stands in training too, at {other}:{at}: its loss says nothing about new rows"
            tell(Finding("warning", "in-both", file, line, message))
    return count


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
        characters={"train": lengths(length for survey in surveys for length in survey.lengths)},
    )
    return report, findings
