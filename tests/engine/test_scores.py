"""The figures of a head against their definitions, and against what a foreign journal may hold."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from phi_tui.engine import scores

NAMES = ["a", "b", "c"]
PAIRS = some.lists(some.tuples(some.integers(0, 2), some.integers(0, 2)), min_size=1, max_size=40)


def test_accuracy_macro_f1_and_the_matrix_of_a_worked_example() -> None:
    right, said = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0]
    found = scores.of_classes(right, said, NAMES)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["confusion"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert found["macro_f1"] == pytest.approx((2 * 2 / (3 + 3) + 2 * 2 / (2 + 3) + 0.0) / 3)
    assert scores.mistakes(found) == "a taken for b 1, c taken for a 1"
    assert scores.table(found)[1].split() == ["a", "2", "1", "0"]
    assert scores.summary(found).startswith("accuracy 66.7%, macro F1 0.")


def test_a_class_that_nobody_has_and_nobody_says_does_not_pull_macro_f1_down() -> None:
    assert scores.of_classes([0, 1], [0, 1], NAMES)["macro_f1"] == 1.0


@given(PAIRS)
def test_the_matrix_holds_every_row_and_its_diagonal_is_the_accuracy(pairs: list[tuple[int, int]]) -> None:
    right, said = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = scores.of_classes(right, said, NAMES)
    assert sum(map(sum, found["confusion"])) == len(pairs)
    assert found["accuracy"] == pytest.approx(sum(found["confusion"][n][n] for n in range(3)) / len(pairs))
    assert 0.0 <= found["macro_f1"] <= 1.0


def test_beyond_fifty_classes_there_is_no_matrix_but_the_figures() -> None:
    names = [str(number) for number in range(51)]
    found = scores.of_classes(list(range(51)), list(range(51)), names)
    assert found["confusion"] is None and found["classes"] is None
    assert found["accuracy"] == found["macro_f1"] == 1.0
    assert scores.of_classes([0], [0], names[:50])["confusion"] is not None


def test_several_classes_a_row_count_as_right_only_when_all_are() -> None:
    right, said = [[1, 0], [1, 1], [0, 0]], [[1, 0], [1, 0], [0, 0]]
    found = scores.of_several(right, said, ["x", "y"])
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["confusion"] == [[[1, 0], [0, 2]], [[2, 0], [1, 0]]]
    assert found["macro_f1"] == pytest.approx((1.0 + 0.0) / 2)
    assert scores.table(found)[1].split() == ["x", "2", "0", "0"]
    assert scores.mistakes(found) == ""


def test_numbers_have_their_errors_and_the_correlation_of_their_ranks() -> None:
    found = scores.of_numbers([1.0, 2.0, 3.0], [1.5, 2.0, 30.0])
    assert found["mae"] == pytest.approx(27.5 / 3)
    assert found["rmse"] == pytest.approx(math.sqrt((0.25 + 27.0**2) / 3))
    assert found["spearman"] == pytest.approx(1.0)
    assert scores.spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert scores.spearman([1, 1, 2], [1, 2, 3]) == pytest.approx(1.5 / math.sqrt(1.5 * 2.0))  # ties share a rank
    assert scores.spearman([1, 1], [1, 2]) is None


def test_spearman_does_not_change_under_a_rising_function() -> None:
    numbers = random.Random(0)
    left = [numbers.random() for _ in range(50)]
    right = [value + 0.3 * numbers.random() for value in left]
    assert scores.spearman(left, right) == pytest.approx(scores.spearman(left, [math.exp(5 * v) for v in right]) or 0)


@pytest.mark.parametrize(
    "foreign",
    [
        {"accuracy": "high", "confusion": 3, "classes": "abc"},
        {"accuracy": None, "mae": math.nan, "classes": ["a"], "confusion": [[1, 2]]},
        {"accuracy": 0.5, "macro_f1": "x", "classes": ["a", 3], "confusion": [["1", 2], [3, 4]]},
        {"classes": ["a"], "confusion": [[[1, 2], [3]]]},
        {"classes": [], "confusion": []},
    ],
)
def test_what_a_foreign_journal_says_is_no_error(foreign: dict[str, Any]) -> None:
    assert isinstance(scores.summary(foreign), str)
    assert scores.mistakes(foreign) == ""
    assert scores.table(foreign) == []
    scores.lines(foreign)
