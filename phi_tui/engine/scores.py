"""How good the answers of a head are: accuracy, macro F1 and the confusion matrix, or the error of numbers.

Plain Python over plain lists, so that the screens can read the figures without anything heavy.  Formulas: accuracy is
right / rows; F1 = 2 tp / (2 tp + fp + fn), macro F1 its mean over the classes that occur in the rows or the answers;
Spearman's rho is the correlation of the ranks, ties sharing their mean rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from phi_tui.figures import finite

MOST_CLASSES = 50
"""Classes up to which the confusion matrix is kept: beyond, it would fill a journal."""
THRESHOLD = 0.5
"""Probability from which a class of a multi-label row counts as said."""

Figures = dict[str, Any]


def of_classes(right: Sequence[int], said: Sequence[int], names: Sequence[str]) -> Figures:
    """Return accuracy, macro_f1 and confusion (counts, a row for each true class, a column for each said one)."""
    counts: dict[tuple[int, int], int] = {}
    for pair in zip(right, said, strict=True):
        counts[pair] = counts.get(pair, 0) + 1
    sides = {place: [0, 0] for pair in counts for place in pair}
    for (true, answer), count in counts.items():
        sides[true][0] += count
        sides[answer][1] += count
    f1 = [2 * counts.get((place, place), 0) / (rows + answers) for place, (rows, answers) in sides.items()]
    hits = sum(count for (true, answer), count in counts.items() if true == answer)
    size = len(names)
    matrix = [[counts.get((true, answer), 0) for answer in range(size)] for true in range(size)]
    small = size <= MOST_CLASSES
    return {
        "accuracy": hits / len(right) if right else None,
        "macro_f1": math.fsum(f1) / len(f1) if f1 else None,
        "confusion": matrix if small else None,
        "classes": list(names) if small else None,
    }


def of_several(right: Sequence[Sequence[int]], said: Sequence[Sequence[int]], names: Sequence[str]) -> Figures:
    """Return the same for rows of several classes: accuracy counts rows whose classes are all right and no more.

    confusion has a matrix [[true negatives, false positives], [false negatives, true positives]] for each class.
    """
    matrices = []
    for place in range(len(names)):
        matrix = [[0, 0], [0, 0]]
        for true, answer in zip(right, said, strict=True):
            matrix[true[place]][answer[place]] += 1
        matrices.append(matrix)
    f1 = [2 * m[1][1] / total for m in matrices if (total := 2 * m[1][1] + m[0][1] + m[1][0])]
    hits = sum(list(true) == list(answer) for true, answer in zip(right, said, strict=True))
    small = len(names) <= MOST_CLASSES
    return {
        "accuracy": hits / len(right) if right else None,
        "macro_f1": math.fsum(f1) / len(f1) if f1 else None,
        "confusion": matrices if small else None,
        "classes": list(names) if small else None,
    }


def of_numbers(right: Sequence[float], said: Sequence[float]) -> Figures:
    """Return mae and rmse, in the labels' own unit, and spearman (None where either side is constant)."""
    errors = [answer - true for true, answer in zip(right, said, strict=True)]
    if not errors:
        return {"mae": None, "rmse": None, "spearman": None}
    return {
        "mae": math.fsum(map(abs, errors)) / len(errors),
        "rmse": math.sqrt(math.fsum(error * error for error in errors) / len(errors)),
        "spearman": spearman(right, said),
    }


def spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, or None where one side has a single value."""
    a, b = _ranks(left), _ranks(right)
    middle = (len(a) + 1) / 2
    above = math.fsum((x - middle) * (y - middle) for x, y in zip(a, b, strict=True))
    spread = [math.fsum((x - middle) ** 2 for x in ranks) for ranks in (a, b)]
    return above / math.sqrt(spread[0] * spread[1]) if all(spread) else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda place: values[place])
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            ranks[place] = (start + end) / 2 + 1
        start = end + 1
    return ranks


def scored(figures: Figures) -> bool:
    """Whether an event or the figures of a run are those of a head."""
    return "accuracy" in figures or "mae" in figures


def summary(figures: Figures) -> str:
    """The figures in a few words: "accuracy 96.7%, macro F1 0.966" or "MAE 0.31, Spearman 0.95"; empty without any."""
    accuracy, mae = finite(figures.get("accuracy")), finite(figures.get("mae"))
    if accuracy is not None:
        return f"accuracy {accuracy:.1%}, macro F1 {_short(figures.get('macro_f1'))}"
    if mae is not None:
        return f"MAE {mae:.4g}, Spearman {_short(figures.get('spearman'))}"
    return ""


def lines(figures: Figures) -> list[tuple[str, str]]:
    """What a finished run's head came to, as (name, text): before and after, mistakes, the matrix; [] without one."""
    if not (after := summary(figures)):
        return []
    before = summary({name.removeprefix("base_"): value for name, value in figures.items() if name.startswith("base_")})
    found = [("scores", f"{before} (untrained head) -> {after}" if before else after)]
    found += [("mistakes", text)] if (text := mistakes(figures)) else []
    return found + [("" if place else "is / said", line) for place, line in enumerate(table(figures))]


def mistakes(figures: Figures, most: int = 3) -> str:
    """The commonest mistakes: "a taken for b 12, ..."; empty where there is none, or no matrix of single labels."""
    names, matrix = _matrix(figures)
    found = [
        (count, true, answer)
        for true, row in enumerate(matrix)
        for answer, count in enumerate(row)
        if count and true != answer
    ]
    found.sort(key=lambda one: (-one[0], one[1], one[2]))
    return ", ".join(f"{names[true]} taken for {names[answer]} {count}" for count, true, answer in found[:most])


def table(figures: Figures, most: int = 12) -> list[str]:
    """The confusion matrix in lines, true classes down and said ones across; empty beyond `most` classes.

    Of several labels a row it has what was right, missed and wrongly said for each class.
    """
    names, matrix = _matrix(figures)
    several = _each(figures)
    names = names or [name for name, _ in several]
    if not names or len(names) > most:
        return []
    wide = min(16, max(len(name) for name in names))
    cut = [name if len(name) <= wide else name[: wide - 1] + "…" for name in names]
    if several:
        lines = [f"{'':<{wide}}  right  missed  wrongly said"]
        each = zip(cut, (one for _, one in several), strict=True)
        return lines + [f"{name:<{wide}}  {one[1][1]:>5}  {one[1][0]:>6}  {one[0][1]:>12}" for name, one in each]
    cell = max([4, *(len(str(count)) for row in matrix for count in row)])
    lines = [f"{'':<{wide}}  " + " ".join(f"{name[:cell]:>{cell}}" for name in cut)]
    rows = zip(cut, matrix, strict=True)
    return lines + [f"{name:<{wide}}  " + " ".join(f"{count:>{cell}}" for count in row) for name, row in rows]


def _matrix(figures: Figures) -> tuple[list[str], list[list[int]]]:
    """Names and counts of single labels; nothing for anything else that somebody may have written into a journal."""
    names, matrix = figures.get("classes"), figures.get("confusion")
    if not isinstance(names, list) or not _square(matrix, len(names)):
        return [], []
    assert isinstance(matrix, list)
    return [str(name) for name in names], matrix


def _each(figures: Figures) -> list[tuple[str, list[list[int]]]]:
    """The name and the two by two counts of each class where a row has several; nothing for anything else."""
    names, matrices = figures.get("classes"), figures.get("confusion")
    if not isinstance(names, list) or not isinstance(matrices, list) or len(names) != len(matrices):
        return []
    return (
        [(str(name), one) for name, one in zip(names, matrices, strict=True)]
        if all(_square(one, 2) for one in matrices)
        else []
    )


def _square(matrix: Any, size: int) -> bool:
    """Whether something is a matrix of that many rows and columns of counts."""
    return (
        size > 0
        and isinstance(matrix, list)
        and len(matrix) == size
        and all(isinstance(row, list) and len(row) == size and all(type(n) is int for n in row) for row in matrix)
    )


def _short(value: Any) -> str:
    number = finite(value)
    return "–" if number is None else f"{number:.3f}"
