"""Expressions over columns: what they come to, what is refused and where, and that nothing in them ever runs."""

from __future__ import annotations

import string
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phi_tui.expressions import FUNCTIONS, ExpressionError, TooSlow, parse

ROW: dict[str, Any] = {
    "text": "Hello World", "lang": "EN", "score": 3, "share": 0.5, "tags": ["a", "b"], "empty": "", "nothing": None,
    "odd name": 7, "ok": True, "nested": {"role": "user"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("len(text) > 5 and lower(lang) == 'en'", True),
        ("len(text)", 11),
        ("score * 2 + 1", 7),
        ("score / 2", 1.5),
        ("score // 2 + score % 2", 2),
        ("2 ** 10", 1024),
        ("-score", -3),
        ("1 < score < 4", True),
        ("1 < score < 3", False),
        ("lang in ['DE', 'EN']", True),
        ("'World' in text", True),
        ("'a' in tags", True),
        ("lang not in ('DE',)", True),
        ("contains(text, 'lo W') and not startswith(text, 'x')", True),
        ("endswith(text, 'World')", True),
        ("contains(tags, 'b')", True),
        ("strip(' a ')", "a"),
        ("upper(text)", "HELLO WORLD"),
        (r"matches(text, '^H\w+ W')", True),
        (r"matches(text, '\d')", False),
        (r"matches('2024-11-24', '^\d{4}-\d{2}-\d{2}$')", True),
        ("column('odd name') == 7", True),
        ("nothing == null and ok == true", True),
        ("missing > 3", False),
        ("len(missing) == 0", True),
        ("not empty", True),
        ("text + '!' == 'Hello World!'", True),
        ("score\n > 2", True),
        ("  score > 2", True),
    ],
)
def test_an_expression_comes_to_what_it_says(text: str, wanted: Any) -> None:
    assert parse(text).value(ROW) == wanted


def test_the_columns_it_names_are_known() -> None:
    assert parse("len(a) > 1 or column('b c') in [d, true]").columns == {"a", "b c", "d"}


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("text.upper()", 1),
        ("score > 1 and text.__class__", 15),
        ("__import__('os').system('true')", 1),
        ("open('/etc/passwd')", 1),
        ("[x for x in tags]", 1),
        ("(lambda: 1)()", 1),
        ("score if ok else 1", 1),
        ("tags[0]", 1),
        ("f'{score}'", 1),
        ("len(text, 2)", 1),
        ("len(*tags)", 5),
        ("lower(text=lang)", 1),
        ("score is None", 1),
        ("é == 1j", 6),
        ("b'a' == text", 1),
        ("{'a': 1}", 1),
        ("~score", 1),
        ("score << 2", 1),
        ("(score := 3)", 2),
        ("matches(text, lang)", 1),
        ("matches(text, '(')", 1),
        ("matches(text, '((((a{100}){100}){100}){100})')", 1),
        ("matches(text, 'a{999999999}')", 1),
        ("column(text)", 1),
        ("score >", 8),
        ("1 + " + "9" * 100, 5),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_place(text: str, position: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.position == position, caught.value


@pytest.mark.parametrize(
    "text", ["", "  ", "a" * 3000, "(" * 500, "-" * 1500 + "1", "not " * 400 + "1", "a\x00b", "1+" * 400 + "1"]
)
def test_what_is_empty_or_too_large_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    ["text > 3", "score + text", "lower(score)", "len(score)", "1 / (score - 3)", "9 ** 9 ** 9", "2 ** 300",
     "(0 - 8) ** 0.5", "score in 3", "score in text", "text * 3", "text % score", "10.0 ** 400", "tags < tags"],
)  # fmt: skip
def test_what_does_not_fit_the_values_of_a_row_is_told(text: str) -> None:
    expression = parse(text)
    with pytest.raises(ExpressionError):
        expression.value(ROW)


def test_a_type_error_names_the_column_and_the_place() -> None:
    with pytest.raises(
        ExpressionError, match=r"at character 10: \+ needs a number, and this is a list \(column tags\)"
    ):
        parse("score == tags + 1").value(ROW)


def test_a_pattern_that_would_run_for_ever_is_given_up() -> None:
    began = time.monotonic()
    with pytest.raises(TooSlow):
        parse(r"matches(text, '^(\w|\w\w|[a-z]+)+$')").value({"text": "a" * 60_000 + "!"})
    assert time.monotonic() - began < 10


def test_a_deeply_nested_value_is_an_error_and_no_crash() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    other: list[Any] = []
    for _ in range(100_000):
        other = [other]
    with pytest.raises(ExpressionError):
        parse("a == b").value({"a": deep, "b": other})


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers(), max_size=3)
)
LEAVES = st.sampled_from(["a", "b", "1", "0", "2.5", "-3", "'x'", "''", "null", "true", "[1, 'x']", "column('c d')"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(
        ["+", "-", "*", "/", "//", "%", "**", "<", "<=", "==", "!=", ">", ">=", "in", "not in", "and", "or", ",", "|"]
    )
    pairs = st.tuples(inner, signs, inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})")
    calls = st.tuples(st.sampled_from([*FUNCTIONS, "eval", "getattr"]), st.lists(inner, max_size=2)).map(
        lambda call: f"{call[0]}({', '.join(call[1])})"
    )
    return st.one_of(pairs, calls, inner.map(lambda one: f"(not {one})"), inner.map(lambda one: f"{one}.__class__"))


def _only_the_clear_error(text: str, row: dict[str, Any]) -> None:
    try:
        parse(text).holds(row)
    except ExpressionError as error:
        assert str(error)


@settings(max_examples=400, deadline=None)
@given(st.recursive(LEAVES, _grown, max_leaves=12), st.fixed_dictionaries({"a": VALUES, "b": VALUES, "c d": VALUES}))
def test_whatever_is_built_of_its_parts_ends_in_a_value_or_the_clear_error(text: str, row: dict[str, Any]) -> None:
    _only_the_clear_error(text, row)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text(string.printable, max_size=60)))
def test_whatever_is_typed_ends_in_a_value_or_the_clear_error(text: str) -> None:
    _only_the_clear_error(text, ROW)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_pattern_ends_in_an_answer_or_the_clear_error(pattern: str, text: str) -> None:
    _only_the_clear_error(f"matches(a, {pattern!r})", {"a": text})
