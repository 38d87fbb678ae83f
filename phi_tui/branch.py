"""A new run that goes on from an older checkpoint of another: the same settings, its history up to that step.

What the older run found later must not leak into the new one, its best adapter above all.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from phi_tui import journal, run
from phi_tui.atomic import write_text
from phi_tui.engine import checkpoints
from phi_tui.errors import InputError
from phi_tui.launch import refuse_second
from phi_tui.run import Run
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
    target = made.checkpoints / source.name
    shutil.copytree(source, target)
    shutil.copyfile(old.path / "lock.toml", made.path / "lock.toml")
    _best_so_far(old, made, target, step)
    book = journal.Journal(made.journal)
    for event in journal.read(old.journal):
        if event["kind"] in ("step", "eval", "sample") and int(event.get("step") or 0) <= step:
            book.write(event["kind"], **{key: value for key, value in event.items() if key not in ("seq", "kind")})
    book.write("control", request=f"goes on from step {step} of run {old.id}")
    book.close()
    return made


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
