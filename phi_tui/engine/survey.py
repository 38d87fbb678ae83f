"""What the data screen shows of a project: its report, every finding, and how long its rows are in tokens.

The stages are those of training, but each tells its findings only while it works: a stage that stands already is
silent.  So the findings of the rows are read from where they were kept, and those of the tokens are noted here,
beside the tokens, together with what else takes a look at every row.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from phi_tui.atomic import write_text
from phi_tui.engine import loading, raw, ready
from phi_tui.engine.prepare import Prepared, prepare
from phi_tui.engine.row_lengths import histogram, lengths
from phi_tui.engine.service import Task
from phi_tui.engine.sources import Finding
from phi_tui.errors import InputError, PhiError, Refusal
from phi_tui.run import lock
from phi_tui.schema import Project
from phi_tui.workspace import Workspace, make_folder

MAX_SENT = 2000
"""Findings that are sent one by one; the others are counted."""
_NOTE = "survey.json"
_NAMES = ("severity", "code", "file", "line", "message", "fix")


class FindingFeed:
    """Sends findings to the front end, the first of them; counts all; keeps where rows were left out."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.counts: Counter[str] = Counter()
        self.errors = 0
        self._sent = 0

    def __call__(self, finding: Finding) -> None:
        """Take one finding; raises Cancelled when nobody wants to know any more."""
        self._task.check()
        self.counts[finding.code] += 1
        self.errors += finding.severity == "error"
        if self._sent < MAX_SENT:
            self._sent += 1
            self._task.tell("finding", **_fields(finding))

    def replay(self, note: Note) -> None:
        """Take what was noted of findings that were made before."""
        for finding in note.findings:
            self(Finding(**finding))
        self.counts += Counter(note.counts) - Counter(finding["code"] for finding in note.findings)


class Phases:
    """The `say` of a preparation: forwards phases, knows which one it is in, and ends it when it is cancelled."""

    def __init__(self, task: Task, total: int | None = None) -> None:
        self._task = task
        self._total = total
        self.name = ""

    def __call__(self, kind: str, /, **payload: Any) -> None:
        """Take one event of a stage."""
        self.name = str(payload.get("name", self.name))
        if self.name == "tokenise" and "done" in payload and self._total:
            payload["total"] = self._total
        self._task.tell(kind, **payload)


@dataclass(slots=True)
class Note:
    """What was found while the rows became tokens: findings, their number, the rows left out, the lengths."""

    fingerprint: str
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[tuple[str, int]] = field(default_factory=list)
    histogram: dict[str, list[int]] = field(default_factory=dict)
    lengths_are: str = ""

    def __call__(self, finding: Finding) -> None:
        """Take one finding."""
        self.counts[finding.code] = self.counts.get(finding.code, 0) + 1
        if len(self.findings) < MAX_SENT:
            self.findings.append(_fields(finding))
        if finding.severity == "error":
            self.dropped.append((finding.file, finding.line))


def survey(task: Task, project: Project, root: Path, workspace: Workspace) -> dict[str, Any]:
    """Prepare the data without the base's weights and return all that is known of it, as plain tables.

    Findings and phases are told as events.  Where the base cannot be had the rows are reported without tokens.
    Raises InputError or Refusal, after a `partial` event where rows were read.
    """
    found = FindingFeed(task)
    report = _read(task, project, root, workspace, found)
    rows = report["train_rows"] + report["validation_rows"]
    phases = Phases(task, rows)
    note = Note("")
    folder = workspace.ready(project.name)
    before = _identity(folder)

    def hear(finding: Finding) -> None:
        note(finding)
        found(finding)

    result: dict[str, Any] = {
        "report": report,
        "tokens": None,
        "template": None,
        "stops": [],
        "context": None,
        "max_length": project.data.max_length,
        "histogram": None,
        "lengths_are": None,
    }
    try:
        prepared = prepare(project, root, workspace, phases, weights=False, on_finding=hear)
    except PhiError as error:
        if _is_of_base(error, phases.name):
            return result | {
                "base_error": {"what": error.what, "where": error.where, "fix": error.fix},
                "findings": dict(found.counts),
            }
        if phases.name == "tokenise":
            _partial(task, sum(source["read"] for source in report["sources"]), found.errors)
        raise
    note.fingerprint = prepared.ready.fingerprint
    if _identity(folder) == before:  # nothing was tokenised, so nothing was said
        if kept := _noted(prepared):
            found.replay(kept)
        note = kept or _listened(task, project, workspace, prepared, found)
    if not note.histogram:
        _measure(task, project, workspace, prepared, note)
    return result | {
        "tokens": {"train": asdict(prepared.ready.train), "validation": asdict(prepared.ready.validation)},
        "template": prepared.template.name,
        "stops": list(prepared.template.stops),
        "context": getattr(loading.config(prepared.base.folder), "max_position_embeddings", None),
        "histogram": note.histogram,
        "lengths_are": note.lengths_are,
        "findings": dict(found.counts),
    }


def left_out(task: Task, project: Project, workspace: Workspace, prepared: Prepared) -> set[tuple[str, int]]:
    """Return file and line of the rows that were read but have no token to train, and so are not among the tokens."""
    made = prepared.ready
    if (made.train.rows, made.validation.rows) == (prepared.report["train_rows"], prepared.report["validation_rows"]):
        return set()
    note = _noted(prepared) or _listened(task, project, workspace, prepared, lambda finding: task.check())
    return set(note.dropped)


def _listened(
    task: Task, project: Project, workspace: Workspace, prepared: Prepared, tell: Callable[[Finding], None]
) -> Note:
    """Note what is found in tokens that stand already: the rows are tokenised once more, and that thrown away."""
    note = Note(prepared.ready.fingerprint)

    def hear(finding: Finding) -> None:
        note(finding)
        tell(finding)

    phases = Phases(task, prepared.report["train_rows"] + prepared.report["validation_rows"])
    again = prepared.ready.folder.with_name(f".{project.name}.again")
    with _working(workspace, project, task):
        phases("phase", name="tokenise", detail="looking at the rows once more")
        try:
            ready.build(
                project,
                workspace.raw(project.name),
                again,
                prepared.tokenizer,
                prepared.template,
                data_hash=prepared.ready.data_hash,
                expected=prepared.ready.fingerprint,
                on_finding=hear,
                on_progress=lambda done: phases("phase", name="tokenise", done=done),
            )
        finally:
            shutil.rmtree(again, ignore_errors=True)
    _measure(task, project, workspace, prepared, note)
    return note


def _read(task: Task, project: Project, root: Path, workspace: Workspace, found: FindingFeed) -> dict[str, Any]:
    """Read the sources, or what was kept of them when they are unchanged, and return the report's tables."""
    workspace.prepare()
    rows = workspace.raw(project.name)
    make_folder(rows.parent)
    phases, read = Phases(task), 0

    def progress(done: int) -> None:
        nonlocal read
        read = done
        phases("phase", name="read", done=done)

    with _working(workspace, project, task):
        if raw.fresh(project, root, rows):
            with open(rows / "findings.jsonl", encoding="utf-8") as lines:
                for line in lines:
                    found(Finding(**json.loads(line)))
        else:
            phases("phase", name="read", detail="reading the sources")
            try:
                raw.build(project, root, rows, on_finding=found, on_progress=progress)
            except PhiError:
                if read:
                    _partial(task, read, found.errors)
                raise
        report: dict[str, Any] = json.loads((rows / "report.json").read_text("utf-8"))
    return report


def _working(workspace: Workspace, project: Project, task: Task) -> Any:
    """The lock under which `prepare` works: one process at a time prepares a project, others wait."""
    folder = workspace.raw(project.name).parent
    return lock(folder / f".{project.name}.lock", f"preparing {project.name}", waiting=task.check)


def _is_of_base(error: PhiError, phase: str) -> bool:
    """Whether a preparation failed for want of the base or its template, and not for the data.

    The rows are read before, so what is refused in the phase that reads is the choice of a template.
    """
    return (phase == "base" and isinstance(error, InputError)) or (phase == "read" and isinstance(error, Refusal))


def _partial(task: Task, read: int, broken: int) -> None:
    task.tell("partial", read=read, kept=max(0, read - broken), broken=broken)


def _measure(task: Task, project: Project, workspace: Workspace, prepared: Prepared, note: Note) -> None:
    """Put the lengths into the note, and the note beside the tokens."""
    whole = {}
    measured = {}
    for part, tokens in (("train", prepared.ready.train), ("validation", prepared.ready.validation)):
        measured[part], whole[part] = lengths(
            prepared, workspace.raw(project.name), part, tokens, project, set(note.dropped), task.check
        )
    if all(whole.values()):
        note.lengths_are = "whole"
    else:  # one scale for both parts
        note.lengths_are = "cut"
        measured = {part: [min(one, project.data.max_length) for one in found] for part, found in measured.items()}
    note.histogram = histogram(measured)
    # Only a shortcut for the next time: where it cannot be written, it is worked out again.
    with suppress(OSError):
        write_text(prepared.ready.folder / _NOTE, json.dumps(asdict(note)))


def _noted(prepared: Prepared) -> Note | None:
    try:
        table = json.loads((prepared.ready.folder / _NOTE).read_text("utf-8"))
        note = Note(**table)
        note.dropped = [(str(file), int(line)) for file, line in note.dropped]
    except (OSError, ValueError, TypeError):
        return None
    return note if note.fingerprint == prepared.ready.fingerprint else None


def _identity(folder: Path) -> tuple[int, int] | None:
    """What changes when a folder is replaced."""
    try:
        status = (folder / "phi-tui.json").stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _fields(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in _NAMES}
