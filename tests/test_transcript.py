"""A saved conversation trains as data, reads as text, and overwrites nothing, whatever was said in it."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phi_tui.engine import formats, sources
from phi_tui.errors import InputError
from phi_tui.safe_text import clean
from phi_tui.transcript import Column, Conversation, Turn, save, to_jsonl, to_markdown

SAID = Turn("assistant", "1.618", voice="adapter of one", seconds=0.5, tokens=4)


def conversation(*columns: Column, **more: Any) -> Conversation:
    return Conversation(columns or (Column("a", "base"), Column("b", "adapter of one", template="chat")), **more)


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def read_as_data(folder: Path, talk: Conversation) -> list[dict[str, Any]]:
    """The rows that the data screen makes of the file; a finding fails the test."""
    path = folder / "talk.jsonl"
    path.write_text(to_jsonl(talk), "utf-8")
    read = list(sources.read(path))
    assert all(isinstance(row, sources.Row) for row in read), read
    found = formats.detect([row.fields for row in read])
    return [formats.normalise(row, found) for row in read]


def blocks(markdown: str) -> list[str]:
    """The contents of the fenced blocks as CommonMark finds them."""
    found: list[str] = []
    fence, inside = "", []
    for line in re.split("\r\n|\n|\r", markdown):
        mark = re.fullmatch(r" {0,3}(`{3,})\s*", line) if fence else re.fullmatch(r" {0,3}(`{3,})[^`]*", line)
        if not fence and mark:
            fence, inside = mark[1], []
        elif fence and mark and len(mark[1]) >= len(fence):
            found.append("\n".join(inside))
            fence = ""
        elif fence:
            inside.append(line)
    assert not fence
    return found


def test_each_voice_is_a_row_that_trains_with_its_facts_apart(tmp_path: Path) -> None:
    talk = conversation(system="Be brief.", settings={"temperature": 0.7}, seed=42).asked("phi?")
    talk = talk.answered("b", SAID).answered("a", Turn("assistant", "Greek.", ended=False))
    assert read_as_data(tmp_path, talk) == [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "phi?"},
                {"role": "assistant", "content": answer},
            ]
        }
        for answer in ("Greek.", "1.618")
    ]
    facts = rows(to_jsonl(talk))[1]["phi_tui"]
    assert facts == {
        "format": 1,
        "key": "b",
        "title": "adapter of one",
        "base": "",
        "template": "chat",
        "settings": {"temperature": 0.7},
        "seed": 42,
        "turns": [
            None,
            None,
            {"voice": "adapter of one", "seconds": 0.5, "tokens": 4, "ended": True, "edited": False},
        ],
    }


def test_a_voice_that_does_not_remember_has_a_row_for_each_question(tmp_path: Path) -> None:
    talk = conversation(Column("a", "base", remembers=False), system="Be brief.")
    for number in ("one", "two"):
        talk = talk.asked(number).answered("a", Turn("assistant", number.upper()))
    assert [[turn["content"] for turn in row["messages"]] for row in read_as_data(tmp_path, talk)] == [
        ["Be brief.", "one", "ONE"],
        ["Be brief.", "two", "TWO"],
    ]
    assert talk.asked("three").columns[0].messages() == [{"role": "user", "content": "three"}]


def test_what_cannot_train_is_left_out_and_kept_apart(tmp_path: Path) -> None:
    talk = conversation(Column("a", "base")).asked("failed").asked("empty").answered("a", Turn("assistant", " "))
    talk = talk.asked("phi?").answered("a", SAID).asked("still open")
    assert [len(row["messages"]) for row in read_as_data(tmp_path, talk)] == [2]
    left = rows(to_jsonl(talk))[0]["phi_tui"]["left_out"]
    assert [turn["content"] for turn in left] == ["failed", "empty", " ", "still open"]


def test_a_question_is_asked_again_from_where_it_was_changed() -> None:
    talk = conversation().asked("phi?").answered("a", SAID).answered("b", SAID).asked("more", "a")
    assert [len(column.turns) for column in talk.columns] == [3, 2]
    changed = talk.cut("a", 1).edited("a", 0, "pi?")
    assert changed.column("a").turns == (Turn("user", "pi?", edited=True),)
    assert changed.column("b") == talk.column("b")
    assert talk.column("a").messages()[-1] == {"role": "user", "content": "more"}


HOSTILE = [
    "\x1b]52;c;aGk=\x07\x1b[2J",
    "```\n# out\n````\n<script>",
    "~~~\n---\n",
    "a\r```\rb\x85```\x0b```\u2028```",
    "\u202eevil\u2066",
    "[x](javascript:alert(1)) [/bold] ![i](http://x)",
    "   ```   ",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_kept_as_data_and_stays_inside_its_fence(tmp_path: Path, text: str) -> None:
    talk = conversation(Column("a", text), system=text).asked(text).answered("a", Turn("assistant", text, voice=text))
    (row,) = read_as_data(tmp_path, talk)
    assert [turn["content"] for turn in row["messages"]] == [text] * 3
    markdown = to_markdown(talk)
    assert len(blocks(markdown)) == 3
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e\u2066]", markdown)


@given(st.text(max_size=60), st.text(alphabet="`~ \n\r\t#a", max_size=40))
def test_no_text_closes_its_fence_or_a_heading(text: str, marks: str) -> None:
    said = text + marks
    talk = conversation(Column("a", said)).asked(said).answered("a", Turn("assistant", said, voice="v"))
    markdown = to_markdown(talk)
    assert blocks(markdown) == [clean(said)] * 2
    assert markdown.split("\n")[0] == "# Conversation"
    assert markdown.split("\n")[2].startswith("- ")
    assert markdown.split("\n")[4] == "## Question"


def test_what_no_data_set_may_hold_is_replaced(tmp_path: Path) -> None:
    talk = (
        conversation(Column("a", "x\ud83d"))
        .asked("nul\x00")
        .answered("a", Turn("assistant", "half \ud83d", seconds=float("nan")))
    )
    (row,) = read_as_data(tmp_path, talk)
    assert [turn["content"] for turn in row["messages"]] == ["nul\ufffd", "half \ufffd"]
    assert to_markdown(talk).encode("utf-8")


def test_a_question_to_all_stands_once_before_their_answers() -> None:
    talk = conversation().asked("phi?").answered("a", Turn("assistant", "no")).answered("b", SAID)
    talk = talk.asked("only a", "a")
    text = to_markdown(talk)
    assert text.count("phi?") == 1
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Conversation",
        "## Question",
        "### `base`",
        "### `adapter of one` (4 tokens, 0.5 s)",
        "## Question to `base`",
    ]


def test_a_voice_that_failed_or_came_later_keeps_the_questions_together() -> None:
    talk = conversation(Column("late", "late"), Column("a", "base"), Column("b", "flaky"))
    talk = talk.asked("one", "a", "b").answered("a", SAID).asked("two")
    for key in ("late", "a", "b"):
        talk = talk.answered(key, Turn("assistant", f"two of {key}"))
    text = to_markdown(talk)
    assert [line for line in text.splitlines() if line.startswith("##")] == [
        "## Question to `base`, `flaky`",
        "### `adapter of one` (4 tokens, 0.5 s)",
        "## Question",
        "### `late`",
        "### `base`",
        "### `flaky`",
    ]
    assert blocks(text)[2:] == ["two", "two of late", "two of a", "two of b"]


def test_saving_never_overwrites(tmp_path: Path) -> None:
    folder = tmp_path / "talks"
    talk = conversation().asked("phi?").answered("a", SAID)
    first = save(talk, folder, "talk")
    assert [path.name for path in first] == ["talk.jsonl", "talk.md"]
    assert first[0].read_text("utf-8") == to_jsonl(talk)
    assert first[1].read_text("utf-8") == to_markdown(talk)
    assert [path.stat().st_mode & 0o777 for path in (*first, folder)] == [0o600, 0o600, 0o700]
    (folder / "talk-2.md").symlink_to(tmp_path / "elsewhere")
    assert [path.name for path in save(conversation().asked("other"), folder, "talk")] == ["talk-3.jsonl", "talk-3.md"]
    assert first[0].read_text("utf-8") == to_jsonl(talk)
    assert not (tmp_path / "elsewhere").exists()
    assert not (folder / "talk-2.jsonl").exists()


def test_what_cannot_be_saved_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = conversation().asked("phi?")
    for name in ("../up", "", "a/b", ".hidden"):
        with pytest.raises(InputError, match="is no name"):
            save(talk, tmp_path, name)
    with pytest.raises(InputError, match="nothing was said"):
        save(conversation(), tmp_path, "talk")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="No space left"):
        save(talk, tmp_path, "talk")
    assert list(tmp_path.iterdir()) == []
