"""The raw data stage: sources in, canonical train.jsonl and validation.jsonl out, whole or not at all.

Two passes.  The first reads each source, writes its good rows to a scratch file and keeps a key, a place and
an offset for each; the second copies them to their side in the order of the split and the mix.  So the text
of a data set is never in memory, and what is refused leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from phi_tui import atomic, phi
from phi_tui.engine import labels
from phi_tui.engine.doctor import DataReport, MixReport, Survey, in_both, lengths, read_all
from phi_tui.engine.formats import wanted
from phi_tui.engine.sources import Finding, Row, files_of, hub_name, name_of, read_hub
from phi_tui.engine.split import MixPlan, mix, split
from phi_tui.engine.transforms import Transforms, canonical
from phi_tui.errors import InputError, Refusal
from phi_tui.schema import Data, Project, Source

STAGE_VERSION = 1
"""Raised whenever the same sources and settings would give other rows than before."""
_REPORT = "report.json"
_DIALECT = {"delimiter": "", "quote": '"', "encoding": "", "header": True}
"""Keys that count where they are set: what was prepared before there were any is not prepared again."""
_FILES = ("train.jsonl", "validation.jsonl", "train.origins", "validation.origins", "findings.jsonl")
_PROGRESS_EVERY = 500
_SHOWN = 5
_encode = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": ")).encode


def fingerprint(project: Project, root: Path) -> str:
    """Return SHA-256 over the settings and source files that decide this stage's output.

    Raises InputError for a source that is not there.
    """
    data = project.data
    settings = data.model_dump(mode="json", include={"format", "split", "mix", "mix_stop", "skip_bad"})
    if labels.has_head(project):
        settings |= {"task": project.model.task, "labels": list(data.labels)}
    settings["format"] = wanted(data)
    if data.transforms:
        settings["transforms"] = canonical(project)
    sources = []
    for source in data.sources:
        # The path itself does not count, only what it leads to: a frozen project names the same files by
        # absolute paths.  Size and time stand for the content, since hashing a gigabyte takes seconds at
        # every start.
        tables = source.model_dump(mode="json", exclude={"path"})
        tables = {key: value for key, value in tables.items() if key not in _DIALECT or value != _DIALECT[key]}
        files = [] if source.hub else [_stamp(path, root) for path in files_of(source, root)]
        sources.append([tables, files])
    whole = json.dumps([STAGE_VERSION, project.seed, settings, sources], sort_keys=True)
    return hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()


def fresh(project: Project, root: Path, target: Path) -> bool:
    """Say whether `target` was built from these settings and source files as they are now.

    Raises InputError for a source that is not there.
    """
    expected = fingerprint(project, root)
    try:
        kept = json.loads((target / _REPORT).read_text("utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    files = (*_FILES, labels.FILE) if labels.has_head(project) else _FILES
    return bool(kept == expected) and all((target / name).is_file() for name in files)


def _stamp(path: Path, root: Path) -> tuple[str, int, int]:
    status = path.stat()
    return name_of(path, root), status.st_size, status.st_mtime_ns


def size(project: Project, root: Path) -> int:
    """Return how many bytes the project's source files have; what is read from the Hub, or is not there, counts none."""
    named = [source for source in project.data.sources if not source.hub]
    try:
        return sum(path.stat().st_size for source in named for path in files_of(source, root))
    except (OSError, InputError):
        return 0


def build(
    project: Project,
    root: Path,
    target: Path,
    *,
    on_finding: Callable[[Finding], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> DataReport:
    """Read, split and mix the project's sources into the folder `target`, and return the report.

    `on_finding` hears each finding as it is made, `on_progress` the number of rows read so far.  Raises
    InputError for settings and files that are wrong, Refusal for broken rows (unless data.skip_bad), for a
    source without a good row, and for rows that cannot be split; `target` is then as it was before.
    """
    data = project.data
    _check(data)
    before = fingerprint(project, root)
    tell = _Findings(on_finding)
    try:
        with atomic.folder(target) as staged, contextlib.ExitStack() as open_files:
            tell.file = open_files.enter_context(_create(staged / "findings.jsonl"))
            parts: list[_Part] = []
            transforms = Transforms(project)
            for number, source in enumerate(data.sources):
                scratch = staged / f".source-{number}"
                form = project.model.task if labels.has_head(project) else wanted(data)
                items = transforms.apply(number, _read(source, root), staged)
                parts.append(_gather(source, form, items, scratch, tell, _counted(parts, on_progress)))
            transforms.finish()
            if fingerprint(project, root) != before:
                raise InputError("a source changed while it was read", where="data.sources", fix="start again")
            _refuse_broken(parts, data, tell)
            sides = _sides(project, parts)
            for name, rows in (("train", sides.train), ("validation", sides.validation)):
                _write(parts, rows, staged, name)
            if labels.has_head(project):
                labels.examine(project, staged, tell)
            report = _report(project, parts, sides, tell)
            report.fingerprint = before
            report.transforms = transforms.counts
            for number in range(len(parts)):
                (staged / f".source-{number}").unlink()
            text = json.dumps(report.to_json(), ensure_ascii=False, indent=1)
            atomic.write_text(staged / _REPORT, text)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(f"the rows cannot be written: {reason}", where=str(target)) from error
    return report


def _check(data: Data) -> None:
    """Raise InputError where the sources and settings cannot go together."""
    training = [source for source in data.sources if source.role == "train"]
    if not data.sources:
        example = '[[data.sources]]\n  path = "train.jsonl"'
        raise InputError("no [[data.sources]]: there is no data to train on", fix=f"add one:\n  {example}")
    if not training:
        raise InputError('every source has role = "validation"; none is left to train on', where="data.sources")
    if data.mix == "phi" and len(training) < 2:
        raise InputError(
            'data.mix = "phi" needs two sources to train on; there is one',
            where="data.mix",
            fix='add a source, or set data.mix = "none"',
        )


class _Findings:
    """Takes findings: into findings.jsonl, to whoever listens, and the first errors into memory."""

    def __init__(self, listener: Callable[[Finding], None] | None) -> None:
        self._listener = listener
        self.file: BinaryIO | None = None
        self.counts: Counter[str] = Counter()
        self.errors: list[Finding] = []

    def __call__(self, finding: Finding) -> None:
        self.counts[finding.code] += 1
        if finding.severity == "error" and len(self.errors) < _SHOWN:
            self.errors.append(finding)
        if self.file:
            names = ("severity", "code", "file", "line", "message", "fix")
            # Names of files may hold bytes that are no UTF-8: ASCII escapes carry anything.
            self.file.write(json.dumps({name: getattr(finding, name) for name in names}).encode() + b"\n")
        if self._listener:
            self._listener(finding)


@dataclass(frozen=True, slots=True)
class _Part:
    """One source after the first pass: what was seen, and where each good row lies in its scratch file."""

    source: Source
    survey: Survey
    scratch: Path
    offsets: array[int]


def _gather(
    source: Source,
    form: str,
    items: Iterator[Row | Finding],
    scratch: Path,
    tell: _Findings,
    count: Callable[[int], None],
) -> _Part:
    survey = Survey(hub_name(source) if source.hub else source.path, source.role)
    offsets = array("Q", [0])
    end = 0
    with _create(scratch) as file:
        for row in survey.rows(items, source.columns, form, tell):
            end += file.write(_encode(row).encode("utf-8") + b"\n")
            offsets.append(end)
            if len(offsets) % _PROGRESS_EVERY == 0:
                count(survey.read)
    count(survey.read)
    return _Part(source, survey, scratch, offsets)


def _read(source: Source, root: Path) -> Iterator[Row | Finding]:
    return read_hub(source) if source.hub else read_all(files_of(source, root), root, source)


def _counted(done: Sequence[_Part], on_progress: Callable[[int], None] | None) -> Callable[[int], None]:
    before = sum(part.survey.read for part in done)
    return lambda rows: on_progress(before + rows) if on_progress else None


def _refuse_broken(parts: Sequence[_Part], data: Data, tell: _Findings) -> None:
    read = sum(part.survey.read for part in parts)
    broken = read - sum(part.survey.kept for part in parts)
    shown = "".join(
        f"\n  {error.file}{f':{error.line}' if error.line else ''}: {error.message}" for error in tell.errors
    )
    more = f"\n  and {broken - len(tell.errors):,} more" if broken > len(tell.errors) else ""
    if broken and not data.skip_bad:
        raise Refusal(
            f"{broken:,} of {read:,} rows cannot be used:{shown}{more}",
            fix="mend them, or set data.skip_bad = true to leave them out; `phi-tui doctor FILE` lists each",
        )
    for part in parts:
        if not part.survey.kept:
            raise Refusal(f"no row of this source can be used:{shown}{more}", where=part.survey.name)


@dataclass(frozen=True, slots=True)
class _Sides:
    """The rows of either side in the order they are written, as (source, row) pairs."""

    train: Callable[[], Iterator[tuple[int, int]]]
    validation: Callable[[], Iterator[tuple[int, int]]]
    trains: list[array[int]]
    validates: list[array[int]]
    share: float | None
    mixed: MixPlan | None


def _sides(project: Project, parts: Sequence[_Part]) -> _Sides:
    data = project.data
    share = {"phi": phi.TRAIN_SHARE, "none": None}[data.split] if isinstance(data.split, str) else data.split
    if any(part.source.role == "validation" for part in parts):
        share = None
    trains, validates = [], []
    for part in parts:
        everything = array("I", range(part.survey.kept))
        sides = {"train": everything, "validation": array("I")}
        if part.source.role == "validation":
            sides = {"train": array("I"), "validation": everything}
        elif share is not None:
            try:
                chosen = split(part.survey.keys(), share, project.seed)
            except Refusal as error:
                raise Refusal(error.what, where=part.survey.name, fix=error.fix) from None
            sides["train"] = array("I", (row for row in everything if chosen[row]))
            sides["validation"] = array("I", (row for row in everything if not chosen[row]))
        trains.append(sides["train"])
        validates.append(sides["validation"])

    def joined(side: list[array[int]]) -> Iterator[tuple[int, int]]:
        return ((number, row) for number, rows in enumerate(side) for row in rows)

    mixed = None
    training = [number for number, part in enumerate(parts) if part.source.role == "train"]
    if data.mix == "phi":
        sizes = [len(trains[number]) for number in training]
        mixed = mix(sizes, phi.mix_weights(len(training)), project.seed, data.mix_stop)

    def train() -> Iterator[tuple[int, int]]:
        if mixed is None:
            return joined(trains)
        return ((training[place], trains[training[place]][row]) for place, row in mixed.order)

    return _Sides(train, lambda: joined(validates), trains, validates, share, mixed)


def _write(parts: Sequence[_Part], rows: Callable[[], Iterator[tuple[int, int]]], staged: Path, name: str) -> None:
    """Copy rows from the scratch files into `name`.jsonl, and their places into `name`.origins."""
    quoted: dict[str, bytes] = {}
    with contextlib.ExitStack() as open_files:
        scratch = [open_files.enter_context(_mapped(part.scratch)) for part in parts]
        texts = open_files.enter_context(_create(staged / f"{name}.jsonl"))
        origins = open_files.enter_context(_create(staged / f"{name}.origins"))
        for number, row in rows():
            part = parts[number]
            texts.write(scratch[number][part.offsets[row] : part.offsets[row + 1]])
            file, line = part.survey.place(row)
            if file not in quoted:
                quoted[file] = json.dumps(file).encode()
            origins.write(b"%s\t%d\n" % (quoted[file], line))


def _report(project: Project, parts: Sequence[_Part], sides: _Sides, tell: _Findings) -> DataReport:
    both = in_both(
        ((parts[number].survey, row) for number, row in sides.train()),
        ((parts[number].survey, row) for number, row in sides.validation()),
        tell,
    )
    trained = sum(map(len, sides.trains))
    validated = sum(map(len, sides.validates))
    names = [part.survey.name for part in parts if part.source.role == "train"]
    plan = sides.mixed
    mixed: list[MixReport] = []
    stopped = ""
    if plan is not None:
        columns: Any = zip(names, phi.mix_weights(len(names)), plan.used, plan.repeated, plan.left_out, strict=True)
        mixed = [MixReport(*column) for column in columns]
        stopped = plan.reason if plan.stopped_by is None else f"{names[plan.stopped_by]}: {plan.reason}"
    return DataReport(
        sources=[
            part.survey.report(len(sides.trains[number]), len(sides.validates[number]))
            for number, part in enumerate(parts)
        ],
        findings=dict(tell.counts),
        train_rows=len(plan.rows) if plan is not None else trained,
        validation_rows=validated,
        in_both=both,
        split=sides.share,
        split_reached=None if sides.share is None else trained / (trained + validated),
        mix=mixed,
        mix_stopped=stopped,
        characters={
            "train": lengths(parts[number].survey.lengths[row] for number, row in sides.train()),
            "validation": lengths(parts[number].survey.lengths[row] for number, row in sides.validation()),
        },
    )


def _create(path: Path) -> BinaryIO:
    return open(path, "wb", buffering=1 << 18, opener=lambda name, flags: os.open(name, flags, 0o600))


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped
