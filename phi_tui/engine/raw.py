"""The raw data stage: sources in, canonical train.jsonl and validation.jsonl out, whole or not at all.

Two passes.  The first reads each source, where it is large by several processes, and writes its good rows to scratch
files (`gathered`): texts, and a key, a place and an offset for each; the second copies them to their side in the order
of the split and the mix (`sides`).  So a data set is never in memory, and what is refused leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from phi_tui import atomic
from phi_tui.engine import labels
from phi_tui.engine.crew import Crew, cores
from phi_tui.engine.doctor import DataReport
from phi_tui.engine.formats import wanted
from phi_tui.engine.gathered import Gathered
from phi_tui.engine.gathering import Batch
from phi_tui.engine.reading import Wanted, by, here, in_stretches, items
from phi_tui.engine.sides import Part, create, divide
from phi_tui.engine.sources import Finding, files_of, hub_name, name_of
from phi_tui.engine.told_rows import Told
from phi_tui.engine.transforms import Transforms, canonical
from phi_tui.errors import InputError, Refusal
from phi_tui.schema import Data, Project

STAGE_VERSION = 1
"""Raised whenever the same sources and settings would give other rows than before."""
_REPORT = "report.json"
_DIALECT = {"delimiter": "", "quote": '"', "encoding": "", "header": True}
"""Keys that count where they are set: what was prepared before there were any is not prepared again."""
_FILES = ("train.jsonl", "validation.jsonl", "train.origins", "validation.origins", "findings.jsonl")
_MOST = 16
"""Processes at most that read a source."""


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
    """Return how many bytes the project's source files have; 0 where one is not there.  The Hub's count none."""
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
    tell = Told(on_finding)
    parts: list[Part] = []
    transforms = Transforms(project)
    form = project.model.task if labels.has_head(project) else wanted(data)
    try:
        with atomic.folder(target) as staged, contextlib.ExitStack() as open_files:
            tell.begin(open_files.enter_context(create(staged / "findings.jsonl")), staged / ".findings")
            crew: Crew | None = None
            for number, source in enumerate(data.sources):
                part = Part(
                    source, hub_name(source) if source.hub else source.path, Gathered(staged / f".source-{number}")
                )
                open_files.callback(part.rows.close)
                put = _putter(parts, part, tell, on_progress)
                asked = Wanted(part.name, form, source.columns, project.seed)
                files = [] if transforms.steps(number) else in_stretches(source, root)
                if files:
                    if crew is None:
                        count = min(cores(), _MOST)
                        crew = open_files.enter_context(
                            Crew("phi_tui.engine.gathering:start", project.seed, count=count)
                        )
                    part.detected = by(crew, files, root, asked, put)
                else:
                    rows = transforms.apply(number, items(source, root), staged)
                    part.detected = here(rows, asked, put)
                part.rows.finish()
                part.duplicates = tell.settle(part.rows)
                parts.append(part)
            transforms.finish()
            if fingerprint(project, root) != before:
                raise InputError("a source changed while it was read", where="data.sources", fix="start again")
            _refuse_broken(parts, data, tell)
            sides = divide(project, parts)
            sides.write(staged)
            if labels.has_head(project):
                labels.examine(project, staged, tell)
            report = sides.report(tell)
            report.fingerprint = before
            report.transforms = transforms.counts
            open_files.close()
            text = json.dumps(report.to_json(), ensure_ascii=False, indent=1)
            atomic.write_text(staged / _REPORT, text)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(f"the rows cannot be written: {reason}", where=str(target)) from error
    return report


def _putter(
    parts: Sequence[Part], part: Part, tell: Told, on_progress: Callable[[int], None] | None
) -> Callable[[Batch, int], None]:
    """Return what takes the batches of a source: rows and findings are put away, and how many there are is told."""
    earlier = sum(one.read for one in parts)

    def put(batch: Batch, before: int) -> None:
        for place, finding in batch.found:
            tell.hold(part.rows.rows + place, finding)
        part.rows.add(batch, before)
        part.read += batch.read
        if on_progress:
            on_progress(earlier + part.read)

    return put


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


def _refuse_broken(parts: Sequence[Part], data: Data, tell: Told) -> None:
    read = sum(part.read for part in parts)
    broken = read - sum(part.rows.rows for part in parts)
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
        if not part.rows.rows:
            raise Refusal(f"no row of this source can be used:{shown}{more}", where=part.name)
