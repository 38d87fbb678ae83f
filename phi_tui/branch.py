"""A new run that goes on from a checkpoint of another: its history up to that step, under the same settings or others.

What the older run found later must not leak into the new one, its best adapter above all.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from phi_tui import journal, resume_rules, run
from phi_tui.atomic import write_text
from phi_tui.engine import checkpoints
from phi_tui.errors import InputError, Refusal
from phi_tui.launch import refuse_second
from phi_tui.project import differences
from phi_tui.run import Run
from phi_tui.schema import Project
from phi_tui.workspace import Workspace

_WEIGHTS, _INDEX = "*.safetensors", "*.safetensors.index.json"


def from_checkpoint(old: Run, step: int, workspace: Workspace) -> Run:
    """Make the new run, to be started with resume.  Raises InputError when the checkpoint is not whole."""
    source = old.checkpoints / f"step-{step}"
    flaw = checkpoints.flaw(source) if source.is_dir() else "is not there"
    if flaw:
        raise InputError(f"checkpoint step-{step} {flaw}", where=str(source), fix="choose another checkpoint")
    refuse_second(workspace, old.path.parent.name)
    made = run.create(workspace, old.project())
    shutil.copyfile(old.path / "lock.toml", made.path / "lock.toml")
    return _with_history(old, made, source, step)


def renewable(old: Run, project: Project) -> tuple[Path, int]:
    """Return the checkpoint, and its step, from which a new run under `project` can go on where `old` was.

    Raises Refusal for settings that cannot change even then, and where there is no whole checkpoint or no step left.
    """
    if fixed := resume_rules.fixed(differences(old.project(), project)):
        raise Refusal(
            f"no run can go on from run {old.id} under these settings:\n  "
            + "\n  ".join(resume_rules.line(change) for change in fixed),
            fix="put the settings back, or leave --resume-as out to train anew",
        )
    source, flaws = checkpoints.newest_whole(old.checkpoints)
    if source is None:
        raise Refusal(
            f"run {old.id} has no whole checkpoint to go on from" + "".join(f"\n  {flaw}" for flaw in flaws),
            fix="leave --resume-as out to train anew",
        )
    step = int(source.name.removeprefix("step-"))
    if 0 < project.train.max_steps <= step:
        raise Refusal(
            f"run {old.id} is at step {step} already, and train.max_steps is {project.train.max_steps}",
            fix="raise train.max_steps",
        )
    return source, step


def renewed(old: Run, project: Project, workspace: Workspace) -> Run:
    """Make a new run under `project` from the newest whole checkpoint of `old`, to be started with resume.

    The caller holds the project's lock.  Raises what `renewable` raises.
    """
    source, step = renewable(old, project)
    other_rows = any(key.startswith("data.") or key == "seed" for key, *_ in differences(old.project(), project))
    return _with_history(old, run.create(workspace, project), source, step, compares=not other_rows)


def _with_history(old: Run, made: Run, source: Path, step: int, *, compares: bool = True) -> Run:
    """Copy a checkpoint and what led to it; evaluations, and the best so far, only where they still compare."""
    target = made.checkpoints / source.name
    shutil.copytree(source, target)
    if compares:
        _best_so_far(old, made, target, step)
    else:
        _no_best_so_far(target)
    book = journal.Journal(made.journal)
    for event in journal.read(old.journal):
        kept = ("step", "eval", "sample") if compares else ("step",)
        if event["kind"] in kept and int(event.get("step") or 0) <= step:
            book.write(event["kind"], **{key: value for key, value in event.items() if key not in ("seq", "kind")})
    book.write("control", request=f"goes on from step {step} of run {old.id}")
    book.close()
    return made


def _no_best_so_far(checkpoint: Path) -> None:
    state_file = checkpoint / "trainer_state.json"
    state = json.loads(state_file.read_text("utf-8"))
    state["best_global_step"] = state["best_metric"] = None
    write_text(state_file, json.dumps(state, indent=2, sort_keys=True) + "\n")
    checkpoints.write_manifest(checkpoint)


def _best_so_far(old: Run, made: Run, checkpoint: Path, step: int) -> None:
    """Give the new run the adapter that was the best at `step`; where it is gone, the checkpoint counts as the best."""
    state_file = checkpoint / "trainer_state.json"
    state = json.loads(state_file.read_text("utf-8"))
    best = state.get("best_global_step")
    if best is None or not old.result_folder.is_dir():
        return
    result = made.path / old.result_folder.name
    evaluated = [event for event in journal.read(old.journal) if event["kind"] == "eval" and not event.get("base")]
    scored = [(event["eval_loss"], event["step"]) for event in evaluated if event["eval_loss"] is not None]
    shutil.copytree(old.result_folder, result)
    if scored and min(scored)[1] == best:
        return  # nothing later was better: the older run's adapter is the one
    kept = old.checkpoints / f"step-{best}"
    if not any(kept.glob(_WEIGHTS)):
        kept = checkpoint
        here = [loss for loss, at in scored if at == step]
        state["best_global_step"], state["best_metric"] = (step, here[0]) if here else (None, None)
        write_text(state_file, json.dumps(state, indent=2, sort_keys=True) + "\n")
        checkpoints.write_manifest(checkpoint)
    for file in [*result.glob(_WEIGHTS), *result.glob(_INDEX)]:
        file.unlink()
    for file in [*kept.glob(_WEIGHTS), *kept.glob(_INDEX)]:
        shutil.copyfile(file, result / file.name)
