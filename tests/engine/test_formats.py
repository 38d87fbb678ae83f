"""Formats: the shape is found from the columns, rows become canonical, and what does not fit says why."""

from __future__ import annotations

from typing import Any

import pytest

from phi_tui.engine.formats import Detected, detect, normalise, remarks
from phi_tui.engine.sources import Finding, Row
from phi_tui.errors import InputError


def made(fields: dict[str, Any], detected: Detected | None = None) -> dict[str, Any] | Finding:
    return normalise(Row("f", 7, fields), detected or detect([fields]))


def broken(fields: dict[str, Any], detected: Detected) -> str:
    found = made(fields, detected)
    assert isinstance(found, Finding)
    assert (found.severity, found.file, found.line) == ("error", "f", 7)
    return found.message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "x", "id": 3}, {"text": "x"}),
        ({"content": "x"}, {"text": "x"}),
        ({"instruction": "i", "output": "o"}, {"instruction": "i", "input": "", "output": "o"}),
        (
            {"instruction": "i", "input": None, "output": "o"},
            {"instruction": "i", "input": "", "output": "o"},
        ),
        (
            {"instruction": "i", "input": "n", "output": "o", "text": "all"},
            {"instruction": "i", "input": "n", "output": "o"},
        ),
        (
            {"instruction": "i", "context": "c", "response": "o"},
            {"instruction": "i", "input": "c", "output": "o"},
        ),
        (
            {"instruction": "i", "context": "c", "output": "o"},
            {"instruction": "i", "input": "c", "output": "o"},
        ),
        ({"question": "q", "answer": "a"}, {"instruction": "q", "input": "", "output": "a"}),
        ({"instruction": "", "input": "n", "output": "o"}, {"instruction": "", "input": "n", "output": "o"}),
        (
            {"instruction": "i", "output": "o", "system": "s"},
            {"instruction": "i", "input": "", "output": "o", "system": "s"},
        ),
        ({"instruction": "i", "output": "o", "system": ""}, {"instruction": "i", "input": "", "output": "o"}),
        ({"prompt": "p", "completion": " c"}, {"prompt": "p", "completion": " c"}),
        ({"prompt": "p", "response": "c"}, {"prompt": "p", "completion": "c"}),
        ({"prompt": "p", "completion": "c", "question": "q"}, {"prompt": "p", "completion": "c"}),
    ],
)
def test_usual_columns_are_known(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert made(fields) == expected


def test_openai_and_sharegpt_conversations_become_the_same_messages() -> None:
    expected = {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "a"},
        ]
    }
    parts = [{"type": "text", "text": "u"}]
    openai = [("system", "s"), ("user", parts), ("assistant", "a")]
    sharegpt = [("system", "s"), ("human", "u"), ("gpt", "a")]
    merged = [{"role": None, "content": None, "from": name, "value": text} for name, text in sharegpt]
    assert made({"messages": [{"role": role, "content": text} for role, text in openai]}) == expected
    assert made({"conversations": [{"from": name, "value": text} for name, text in sharegpt]}) == expected
    assert made({"conversations": [{"role": role, "content": text} for role, text in openai]}) == expected
    assert made({"conversations": merged}) == expected


def test_what_the_project_says_wins_over_what_the_columns_suggest() -> None:
    sample = [{"text": "t", "instruction": "i", "output": "o", "frage": "f"}]
    assert detect(sample, named="text").format == "text"
    assert detect(sample, columns={"text": "frage"}).columns == {"text": "frage"}
    mapped = detect(sample, columns={"instruction": "frage"})
    assert (mapped.format, mapped.columns["instruction"], mapped.columns["output"]) == (
        "instruction",
        "frage",
        "output",
    )


@pytest.mark.parametrize(
    ("named", "columns"),
    [
        ("auto", {}),
        ("text", {}),
        ("auto", {"text": "missing"}),
        ("chat", {"text": "a"}),
        ("auto", {"prompt": "a", "output": "b"}),
    ],
)
def test_columns_that_fit_nothing_are_named_in_the_error(named: str, columns: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        detect([{"a": "1", "b": "2"}], named=named, columns=columns, where="file")
    assert "a, b" in caught.value.what


INSTRUCTION = Detected("instruction", {"instruction": "instruction", "output": "output", "input": "input"}, "")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"instruction": "i"}, "output"),
        ({"instruction": "i", "output": None}, "null"),
        ({"instruction": "i", "output": 5}, "the number 5"),
        ({"instruction": "i", "output": True}, "the truth value true"),
        ({"instruction": "i", "output": ["o"]}, "a list"),
        ({"instruction": "i", "output": " \n"}, "output is empty"),
        ({"instruction": " ", "output": "o", "input": ""}, "instruction is empty"),
        ({"instruction": "i", "output": "o", "input": 5}, "input is the number 5"),
    ],
)
def test_a_row_without_usable_text_says_which_field_and_why(fields: dict[str, Any], said: str) -> None:
    assert said in broken(fields, INSTRUCTION)


USER, ASSISTANT = {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ("text", "list"),
        (None, "messages"),
        ([], "nothing to learn"),
        (["x"], "message 1"),
        ([USER], "no assistant"),
        ([USER, ASSISTANT, USER], "ends without an answer"),
        ([{"role": "tool", "content": "x"}, ASSISTANT], "allowed: system, user, assistant"),
        ([{"content": "x"}, ASSISTANT], "role"),
        ([USER, {"role": "assistant", "content": None, "tool_calls": [{}]}], "message 2"),
        ([USER, {"role": "assistant", "content": " "}], "message 2"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, ASSISTANT], "message 1"),
        ([USER, {"role": "system", "content": "s"}, ASSISTANT], "system"),
    ],
)
def test_a_conversation_that_cannot_be_learnt_from_says_why(turns: Any, said: str) -> None:
    assert said in broken({"messages": turns}, Detected("chat", {"messages": "messages"}, ""))


def test_two_turns_of_one_role_are_a_warning_and_stay() -> None:
    row = Row("f", 7, {"messages": [USER, USER, ASSISTANT]})
    canonical = normalise(row, detect([row.fields]))
    assert isinstance(canonical, dict)
    assert len(canonical["messages"]) == 3
    (finding,) = remarks(row, canonical)
    assert finding.severity == "warning"
    assert "messages 1 and 2" in finding.message
    assert remarks(row, {"messages": [USER, ASSISTANT]}) == []


def test_text_is_never_changed() -> None:
    text = "\ufeff  kept \r\n\u2028 as it is "
    assert made({"text": text}) == {"text": text}
