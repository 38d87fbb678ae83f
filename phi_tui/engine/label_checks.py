"""What preflight and the lock say of a project that trains a head: sizes, what cannot go together, what to know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from phi_tui.engine.labels import Labels
from phi_tui.engine.plan import Shape
from phi_tui.engine.scores import MOST_CLASSES
from phi_tui.schema import Project


def shape(model: Shape, labels: Labels) -> Shape:
    """Return the shape of a base with its head: a few outputs a row, trained whole, in the place of a vocabulary."""
    return replace(model, trainable=model.trainable + labels.outputs * model.hidden, vocabulary=labels.outputs)


def against(project: Project, targets: list[str]) -> list[str]:
    """Return the reasons against training such a head."""
    task, reasons = project.model.task, []
    if any(name.rpartition(".")[2] == "score" for name in (*targets, *project.lora.modules_to_save)):
        reasons.append("score is the head, which is trained whole anyway: leave it out of the [lora] table")
    if project.train.method != "lora":
        reasons.append(f'model.task = "{task}" trains a head beside an adapter: set train.method = "lora"')
    if project.train.score != "none":
        reasons.append(
            f'train.score = "{project.train.score}" scores answers in words, and {task} gives none: leave it out, '
            "since a head is scored by itself"
        )
    if project.data.cut != "end":
        reasons.append(f'data.cut = "{project.data.cut}" is for answers in words: leave it out for {task}')
    return reasons


def notes(project: Project, labels: Labels) -> list[str]:
    """Return what is to be known before a head is trained."""
    task, said = project.model.task, []
    if task == "regression":
        said.append(
            f"regression: labels of mean {labels.mean:g}, deviation {labels.std:g}; always saying the mean has a "
            "loss of 1"
        )
    else:
        rows = max(1, sum(labels.train))
        most = max(range(len(labels.names)), key=lambda place: labels.train[place])
        said.append(f"{task}: {len(labels.names)} classes, {', '.join(labels.names[:12])}")
        if task == "classification":
            share = labels.train[most] / rows
            said.append(f'always saying "{labels.names[most]}" would be right for {share:.1%} of the training rows')
        if len(labels.names) > MOST_CLASSES:
            said.append(f"the confusion matrix is kept for at most {MOST_CLASSES} classes")
    if project.data.train_on != "completion":
        said.append(f"data.train_on has no meaning for {task}")
    return said


def lock(labels: Labels) -> dict[str, Any]:
    """Return the table of the lock: what the ids or the scale of the labels are."""
    return {"task": labels.task, "names": list(labels.names), "mean": labels.mean, "std": labels.std}
