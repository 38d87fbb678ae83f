"""The process that looks at data, tokens, models and plans for the app: `python -m phi_tui.engine.inspector`.

One request at a time, as `engine.service` passes them on; each function here is one request, and its name is in
HANDLERS.  What was prepared last is kept, so that paging through rows and turning a number on the hyperparameter
screen do not load a tokenizer each time.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phi_tui import journal, run, schema
from phi_tui.engine import bases, hub_search, lockfile, model_list, preflight, pretrain, raw, ready, rows_on_disk
from phi_tui.engine import first_rows as first
from phi_tui.engine import survey as surveys
from phi_tui.engine import transform_preview as previews
from phi_tui.engine.download import Listener
from phi_tui.engine.preflight import Job
from phi_tui.engine.prepare import Prepared, prepare
from phi_tui.engine.service import Handler, Task, serve
from phi_tui.engine.token_view import Viewer
from phi_tui.errors import InputError, PhiError
from phi_tui.project import parse
from phi_tui.schema import Project
from phi_tui.workspace import Workspace

MAX_PAGE = 50
"""Rows of the token view in one answer."""
_BYTES_EVERY = 0.25
_RUNS_LOOKED_AT = 3
_PARTS = ("train", "validation")


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was prepared last, and what it was made from."""

    key: str
    prepared: Prepared
    viewer: Viewer
    dropped: set[tuple[str, int]]


_kept: _Kept | None = None


def survey(task: Task) -> dict[str, Any]:
    """Prepare a project's data without its base's weights: report, findings, tokens, lengths."""
    project, root, workspace = _project(task)
    return surveys.survey(task, pretrain.as_rows(project), root, workspace)


def rows(task: Task) -> dict[str, Any]:
    """A page of the rows as they are trained, token by token."""
    project, root, workspace = _project(task)
    part = _text(task, "part")
    if part not in _PARTS:
        raise InputError(f"there is no part {part!r}", fix=f"one of {', '.join(_PARTS)}")
    count, start = max(0, min(_number(task, "count"), MAX_PAGE)), _number(task, "start")
    kept = _prepared(task, pretrain.as_rows(project), root, workspace)
    return rows_on_disk.page(
        kept.prepared.ready.folder, workspace.raw(project.name), part, start, count, kept.viewer, kept.dropped
    )


def raw_rows(task: Task) -> dict[str, Any]:
    """The first rows of files, before anything is mapped; as the `source` (from 0) of `project` where it is named."""
    files = task.arguments.get("files")
    if not isinstance(files, list):
        raise InputError("the request names no files")
    root = Path(_text(task, "root"))
    of = None
    if "project" in task.arguments:
        project, number = parse(_text(task, "project")), _number(task, "source")
        if not 0 <= number < len(project.data.sources):
            raise InputError("the project has no such source")
        of = project, number
    return {"files": first.first_rows([str(file) for file in files], _number(task, "count"), root, task.check, of)}


def plan(task: Task) -> dict[str, Any]:
    """What a run would do, and whether it may: preflight without training and without the base's weights."""
    project, root, workspace = _project(task)
    prepared = _prepared(task, project, root, workspace).prepared
    task.tell("phase", name="preflight", detail="checking")
    job = preflight.check(project, prepared, workspace)
    made = job.plan
    return {
        "device": {"type": job.device.type, "name": job.device.name, "memory": job.device.memory},
        "precision": job.precision,
        "weights": job.weights,
        "parameters": job.shape.parameters,
        "trainable": job.shape.trainable,
        "layers": job.shape.layers,
        "hidden": job.shape.hidden,
        **{key: value for key, value in asdict(made).items() if key != "memory"},
        "memory": {**asdict(made.memory), "total": made.memory.total, "parts": made.memory.parts()},
        "notes": job.notes,
        "golden": preflight.golden(project),
        "targets": job.targets,
        "seconds_estimate": seconds(job, workspace),
    }


def seconds(job: Job, workspace: Workspace) -> float | None:
    """Return how long the steps of `job` will take, from the newest finished runs like it; None without one.

    Steps x tokens a step / the median of those runs' tokens a second; alike is what has the same base, device and
    number type.  Evaluations come on top.
    """
    speeds: list[float] = []
    looked_at = 0
    for one in run.listed(workspace):
        try:
            lock = lockfile.read(one.path / "lock.toml")
            here, base = lock["device"], lock["base"]
            alike = (here["name"], here["precision"], base["id"], base["revision"]) == (
                job.device.name, job.precision, job.prepared.base.id, job.prepared.base.revision,
            )  # fmt: skip
            if not alike or one.state() != "done":
                continue
        except (PhiError, OSError, KeyError, TypeError):
            continue
        found = (event.get("tokens_per_second") for event in journal.read(one.journal) if event["kind"] == "step")
        speeds += [speed for speed in found if isinstance(speed, (int, float)) and speed > 0]
        looked_at += 1
        if looked_at == _RUNS_LOOKED_AT:
            break
    if not speeds:
        return None
    return job.plan.steps * job.plan.tokens_per_step / statistics.median(speeds)


def fetch(task: Task) -> dict[str, Any]:
    """Bring a base into the workspace; what has come stays when the request is cancelled."""
    model = _model(task)
    heard = _Download(task)
    listener = Listener(lambda line: task.tell("phase", name="download", detail=line), heard, task.check)
    workspace = Workspace(Path(_text(task, "workspace")))
    workspace.prepare()
    weights = bool(task.arguments.get("weights", True))
    base = bases.resolve(model, Path(_text(task, "root")), workspace.models, weights=weights, on_progress=listener)
    return {"folder": str(base.folder), "revision": base.revision}


def search(task: Task) -> dict[str, Any]:
    """Models on the Hub whose name holds a text."""
    return {"models": hub_search.search(_text(task, "query", empty=True), _number(task, "limit"))}


def describe(task: Task) -> dict[str, Any]:
    """The facts of a base that is on this machine; `base_kind` says what it is, since `kind` is every reply's own."""
    model = _model(task)
    models = Workspace(Path(_text(task, "workspace"))).models
    found = model_list.find(model.base, model.revision, Path(_text(task, "root")), models)
    fit = model_list.fits(found, 0)
    return {
        "base_kind": found.kind,
        "parameters": found.parameters,
        "licence": found.licence or None,
        "context": found.context,
        "architecture": found.architecture,
        "layers": found.layers,
        "hidden": found.hidden,
        "vocab": found.vocab,
        "chat": bool(found.chat),
        "on_disk": found.bytes_on_disk,
        "folder": str(found.place),
        "lora_bytes": fit.lora,
        "qlora_bytes": fit.qlora,
    }


def transform_preview(task: Task) -> dict[str, Any]:
    """The first rows before and after the project's transforms."""
    project, root, _ = _project(task)
    return previews.requested(task, project, root)


HANDLERS: dict[str, Handler] = {
    "transform_preview": transform_preview,
    "survey": survey,
    "rows": rows,
    "raw_rows": raw_rows,
    "plan": plan,
    "fetch": fetch,
    "search": search,
    "describe": describe,
}


def main() -> int:
    """Answer requests until standard input ends."""
    return serve(HANDLERS)


class _Download:
    """Turns bytes into events, at most four a second, with the rate of this attempt and the time that is left."""

    def __init__(self, task: Task, clock: Callable[[], float] = time.monotonic) -> None:
        self._task = task
        self._clock = clock
        self._began: tuple[float, int] | None = None
        self._told = 0.0
        self._last = 0

    def __call__(self, file: str, done: int, total: int) -> None:
        """Take the bytes that are here; raises Cancelled when the download is no longer wanted."""
        self._task.check()
        now = self._clock()
        if self._began is None or done < self._last:  # what lay here before came at no rate; a server may start over
            self._began = now, done
        self._last = done
        if now - self._told < _BYTES_EVERY and done < total:
            return
        self._told = now
        since, before = self._began
        rate = (done - before) / (now - since) if now > since else None
        eta = (total - done) / rate if rate else None
        self._task.tell("bytes", file=file, done=done, total=total, rate=rate, eta=eta)


def _prepared(task: Task, project: Project, root: Path, workspace: Workspace) -> _Kept:
    """Return what the project is prepared to, from the last time where nothing it depends on has changed."""
    global _kept
    parts = [project.name, project.seed, project.model.model_dump(mode="json"), project.data.model_dump(mode="json")]
    parts += [project.scratch.model_dump(mode="json")] if pretrain.from_scratch(project) else []
    key = json.dumps([str(root), str(workspace.root), raw.fingerprint(project, root), *parts])
    if _kept and _kept.key == key:
        made, base = _kept.prepared.ready, _kept.prepared.base
        hashed = ready.tokenizer_hash(base.folder)
        fingerprint, _ = pretrain.token_stage(project)
        expected = fingerprint(project, made.data_hash, hashed, _kept.prepared.template)
        if raw.fresh(project, root, workspace.raw(project.name)) and ready.opened(made.folder, expected):
            return _kept
    _kept = None
    prepared = prepare(project, root, workspace, surveys.Phases(task), weights=False)
    # Blocks are no rows: which of them were left out is asked where rows are shown, as they are.
    dropped = set() if pretrain.packs(project) else surveys.left_out(task, project, workspace, prepared)
    _kept = _Kept(key, prepared, Viewer(prepared.tokenizer), dropped)
    return _kept


def _project(task: Task) -> tuple[Project, Path, Workspace]:
    project = parse(_text(task, "project"))
    return project, Path(_text(task, "root")), Workspace(Path(_text(task, "workspace")))


def _model(task: Task) -> schema.Model:
    return schema.Model(base=_text(task, "base"), revision=_text(task, "revision", empty=True))


def _text(task: Task, name: str, *, empty: bool = False) -> str:
    """A text among the arguments; InputError when it is not there."""
    value = task.arguments.get(name, "" if empty else None)
    if not isinstance(value, str) or not (value or empty):
        raise InputError(f"the request names no {name}")
    return value


def _number(task: Task, name: str) -> int:
    value = task.arguments.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"the request names no number {name}")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
