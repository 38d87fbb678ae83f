"""What a project with a head learns to say: its task, the names of its classes, or the scale of its numbers.

Class ids are the places of the sorted names, so the same rows always give the same ids.  The labels of the split rows
are looked at once, when they are written: a class that only validation has, a single class or a constant number
would train to something that means nothing, and is refused there.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phi_tui import atomic
from phi_tui.engine.rows import Finding
from phi_tui.errors import InputError, Refusal
from phi_tui.schema import Project

TASKS = ("classification", "multi-label", "regression")
"""The tasks that put a head on the base in place of its output layer."""
FILE = "labels.json"
"""Lies beside the split rows."""
_SHOWN = 5
_IMBALANCE = 10.0
"""Rows of the largest class for each of the smallest one, from which accuracy says little."""


@dataclass(frozen=True, slots=True)
class Labels:
    """A task, its class names in the order of their ids, the training rows' mean and deviation, and counts.

    `train` and `validation` count the rows of each class, in the order of the names; `mean` and `std` are those of
    regression's numbers.
    """

    task: str
    names: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0
    train: tuple[int, ...] = ()
    validation: tuple[int, ...] = ()

    @property
    def outputs(self) -> int:
        """How many numbers the head gives."""
        return len(self.names) or 1

    def to_json(self) -> dict[str, Any]:
        """Return plain tables."""
        return asdict(self)

    @classmethod
    def from_json(cls, tables: dict[str, Any]) -> Labels:
        """Return the labels of `to_json`; raises KeyError, TypeError or ValueError for other tables."""
        task, names = str(tables["task"]), tuple(str(name) for name in tables["names"])
        if task not in TASKS or (task == "regression") == bool(names) or not float(tables["std"]) > 0:
            raise ValueError(f"labels of no task: {task}")
        counts = (tuple(int(count) for count in tables.get(part, ())) for part in ("train", "validation"))
        return cls(task, names, float(tables["mean"]), float(tables["std"]), *counts)

    def target(self, label: Any) -> Any:
        """Return what is stored for a row's label: an id, a 0 or 1 for each class, or the number."""
        if self.task == "regression":
            return float(label)
        if self.task == "classification":
            return self.names.index(label)
        return [int(name in label) for name in self.names]


def has_head(project: Project) -> bool:
    """Whether the project trains a head on labels instead of a language model."""
    return project.model.task in TASKS


def check(project: Project) -> None:
    """Raise InputError where the task and the settings of the data cannot go together."""
    data, task = project.data, project.model.task
    if not has_head(project):
        if data.labels:
            raise InputError(
                f'data.labels names classes, and model.task = "{task}" has none',
                where="data.labels",
                fix='set model.task = "classification" or "multi-label", or leave data.labels out',
            )
        return
    if project.model.init == "scratch":
        raise InputError(
            f'model.init = "scratch" makes a language model, and model.task is "{task}"',
            where="model.init",
            fix='train the new model first, then take it as model.base with model.init = "pretrained"',
        )
    if data.format not in ("auto", "text", "instruction"):
        raise InputError(
            f'data.format = "{data.format}" has no label: {task} reads rows of a text, or of an instruction and an '
            "input, with a label",
            where="data.format",
            fix='use "auto", "text" or "instruction"',
        )
    if data.template in ("summarisation", "qa"):
        raise InputError(
            f'data.template = "{data.template}" lays out answers in words, and {task} gives none',
            where="data.template",
            fix='use "auto", "plain", "chat" or "instruction"',
        )
    if task == "regression" and data.labels:
        raise InputError(
            "data.labels names classes, and regression learns numbers",
            where="data.labels",
            fix='leave data.labels out, or set model.task = "classification"',
        )
    if twice := [name for name, count in Counter(data.labels).items() if count > 1]:
        raise InputError(f"data.labels names {twice[0]!r} twice", where="data.labels", fix="name each class once")
    if len(data.labels) == 1 and task == "classification":
        raise InputError(
            "data.labels names a single class: there is nothing to tell apart",
            where="data.labels",
            fix="name every class, or leave it empty to take those of the training rows",
        )


def read(folder: Path) -> Labels:
    """Return the labels that were written beside the split rows in `folder`."""
    return Labels.from_json(json.loads((folder / FILE).read_text("utf-8")))


def examine(project: Project, folder: Path, tell: Callable[[Finding], None]) -> Labels:
    """Look at the labels of the split rows in `folder`, tell what is found, and write and return them.

    Raises Refusal for a class that only validation has or data.labels lacks, a single class, and numbers that are
    all the same.
    """
    train = [(row["label"], place) for row, place in _rows(folder, "train")]
    validation = [(row["label"], place) for row, place in _rows(folder, "validation")]
    task = project.model.task
    found = _numbers(train, tell) if task == "regression" else _classes(project, train, validation, tell)
    atomic.write_text(folder / FILE, json.dumps(found.to_json(), ensure_ascii=False, indent=1))
    return found


def look(task: str, values: list[Any], tell: Callable[[Finding], None]) -> None:
    """Tell what there is to know of the labels of a file's rows, before any project reads it."""
    try:
        if task == "regression":
            _numbers([(value, ":0") for value in values], tell)
            return
        counts = _counted([(value, "") for value in values])
        if len(counts) < 2:
            what = f'a single class, "{next(iter(counts))}"' if counts else "no label at all"
            raise Refusal(f"the rows have {what}: there is nothing to tell apart")
        names = tuple(sorted(counts, key=_order))
        _tell_of_classes(names, counts, Counter(), len(values), False, task == "classification", tell)
    except Refusal as error:
        tell(Finding("error", "labels", "labels", 0, error.what, error.fix))


Placed = list[tuple[Any, str]]
"""Labels with file and line of their rows."""


def _rows(folder: Path, part: str) -> Iterator[tuple[dict[str, Any], str]]:
    with (
        open(folder / f"{part}.jsonl", encoding="utf-8") as rows,
        open(folder / f"{part}.origins", encoding="utf-8") as origins,
    ):
        for text, origin in zip(rows, origins, strict=True):
            name, _, line = origin.rstrip("\n").rpartition("\t")
            yield json.loads(text), f"{json.loads(name)}:{line}"


def _numbers(train: Placed, tell: Callable[[Finding], None]) -> Labels:
    values = [float(value) for value, _ in train]
    mean = math.fsum(values) / len(values)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    if not math.isfinite(std) or std <= 1e-12 * max(1.0, abs(mean)):
        raise Refusal(
            f"every training row has the label {values[0]:g}" if std <= 1 else "the labels are too far apart to scale",
            fix="regression needs labels that differ, within what a float can hold",
        )
    text = f"labels from {min(values):g} to {max(values):g}, mean {mean:g}, deviation {std:g}"
    tell(Finding("info", "labels", "labels", 0, text))
    far = [(value, place) for value, place in train if abs(float(value) - mean) > 10 * std]
    for value, place in far[:_SHOWN]:
        file, _, line = place.rpartition(":")
        tell(Finding("warning", "label-far", file, int(line), f"its label {value:g} lies over 10 deviations away"))
    return Labels("regression", mean=mean, std=std)


def _classes(project: Project, train: Placed, validation: Placed, tell: Callable[[Finding], None]) -> Labels:
    counts, held = _counted(train), _counted(validation)
    allowed = project.data.labels
    for part, rows in (("training", train), ("validation", validation)):
        strange = [(name, place) for label, place in rows for name in _names(label) if allowed and name not in allowed]
        if strange:
            raise Refusal(
                f"{len(strange)} labels of {part} rows are not in data.labels: {_shown(strange)}",
                where="data.labels",
                fix=f"name them there, mend the rows, or leave data.labels empty; it has {', '.join(allowed)}",
            )
    lone = [(name, place) for label, place in validation for name in _names(label) if name not in counts]
    if lone and not allowed:
        raise Refusal(
            f"validation rows have a class that no training row has: {_shown(lone)}",
            fix="add training rows of it, leave it out of validation, or name every class in data.labels",
        )
    names = tuple(sorted(allowed or counts, key=_order))
    single = project.model.task == "classification"
    if len(counts) < (2 if single else 1):
        what = f'a single class, "{next(iter(counts))}"' if counts else "no label at all"
        raise Refusal(
            f"the training rows have {what}: there is nothing to tell apart",
            fix="add rows of the other classes; data.split may have put all of them into validation",
        )
    _tell_of_classes(names, counts, held, len(train), bool(validation), single, tell)
    return Labels(
        project.model.task,
        names,
        train=tuple(counts[name] for name in names),
        validation=tuple(held[name] for name in names),
    )


def _tell_of_classes(
    names: tuple[str, ...],
    counts: Counter[str],
    held: Counter[str],
    rows: int,
    validates: bool,
    single: bool,
    tell: Callable[[Finding], None],
) -> None:
    def say(severity: Any, code: str, text: str, fix: str = "") -> None:
        tell(Finding(severity, code, "labels", 0, text, fix))

    listed = ", ".join(f"{name} {counts[name]:,}" for name in names[:20]) + (", ..." if len(names) > 20 else "")
    say("info", "labels", f"{len(names)} classes in {rows:,} training rows: {listed}")
    seen = [name for name in names if counts[name]]
    largest, smallest = max(seen, key=lambda name: counts[name]), min(seen, key=lambda name: counts[name])
    if counts[largest] >= _IMBALANCE * counts[smallest]:
        times = counts[largest] / counts[smallest]
        text = f'"{largest}" has {times:.0f} times the training rows of "{smallest}" ({counts[smallest]})'
        say("warning", "imbalance", text, "accuracy says little here: go by macro F1, or add rows of the rare classes")
    for what, missing, so in (
        ("training", [name for name in names if not counts[name]], "it will never be the answer"),
        ("validation", [name for name in names if validates and not held[name]], "its mistakes are not seen"),
    ):
        if missing:
            shown = ", ".join(f'"{name}"' for name in missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
            say("warning", f"not-in-{what}", f"no {what} row has the class {shown}: {so}")
    alike = Counter(name.strip().casefold() for name in names)
    for name in names:
        if alike[name.strip().casefold()] > 1:
            say("warning", "label-alike", f"the class {name!r} differs from another one only in case or white space")
    if single and len(names) > 2 and all(_is_fraction(name) for name in names):
        say("warning", "label-numbers", "every class is a number with a fraction", 'is it model.task = "regression"?')
    elif single and len(names) > 20 and len(names) * 2 > rows:
        say("warning", "many-classes", f"{len(names)} classes for {rows} rows: most have one row", "is this the label?")


def _counted(rows: Placed) -> Counter[str]:
    return Counter(name for label, _ in rows for name in _names(label))


def _names(label: Any) -> list[str]:
    return [label] if isinstance(label, str) else list(label)


def _order(name: str) -> tuple[int, int, str]:
    """Whole numbers by value and before words: class 10 comes after class 9."""
    whole = name.isascii() and name.removeprefix("-").isdigit() and len(name) < 19
    return (0, int(name), name) if whole else (1, 0, name)


def _is_fraction(name: str) -> bool:
    try:
        return not float(name).is_integer()
    except (ValueError, OverflowError):
        return False


def _shown(found: list[tuple[str, str]]) -> str:
    first: dict[str, str] = {}
    for name, place in found:
        first.setdefault(name, place)
    shown = ", ".join(f'"{name}" ({place})' for name, place in list(first.items())[:_SHOWN])
    return shown + (f" and {len(first) - _SHOWN} more" if len(first) > _SHOWN else "")
