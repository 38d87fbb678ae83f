"""The Transforms part of the Data screen: what a person adds, mends, moves, removes, and rows before and after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Label, OptionList, Static

from phi_tui import transform_line
from phi_tui.app import PhiApp
from phi_tui.child import OnReply, Reply
from phi_tui.errors import InputError
from phi_tui.project import load
from phi_tui.schema import Transform
from phi_tui.session import Session
from phi_tui.widgets.data_transforms import TransformLine
from phi_tui.workspace import Workspace

HOSTILE = "\x1b]52;c;aGk=\x07 [/foo] [@click=app.quit]x[/]"
ROWS = [
    {"source": 1, "file": "a.jsonl", "line": 1, "before": {"q": HOSTILE, "n": "1"}, "after": {"q": "clean", "n": "1"},
     "dropped_by": None, "broken": ""},
    {"source": 1, "file": "a.jsonl", "line": 2, "before": {"q": "two"}, "after": None, "dropped_by": 1, "broken": ""},
    {"source": 1, "file": "a.jsonl", "line": 3, "before": {"q": "3"}, "after": None, "dropped_by": 1,
     "broken": "no int"},
]  # fmt: skip


class StandIn:
    """Answers in place of the process that reads data."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.error: dict[str, Any] | None = None

    def ask(self, do: str, on_reply: OnReply, /, **arguments: Any) -> int:
        self.asked.append((do, arguments))
        number = len(self.asked)
        counts = [{"number": 1, "do": "filter", "rows_in": 9, "rows_out": 7, "changed": 0, "broken": 1}]
        if do == "survey":
            on_reply(Reply(number, "result", {"report": {"transforms": counts}}))
        elif do == "transform_preview":
            on_reply(Reply(number, "result", {"rows": ROWS, "counts": counts, "error": self.error}))
        return number

    def cancel(self, number: int) -> None:
        pass

    def close(self, *, wait: float = 0.0) -> None:
        pass

    def previews(self) -> int:
        return sum(do == "transform_preview" for do, _ in self.asked)


Walk = Callable[[Pilot[int], PhiApp, StandIn], Awaitable[None]]


def walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Walk, transforms: str = "", size: tuple[int, int] = (80, 24)
) -> None:
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "config"))
    session = Session(Workspace(tmp_path))
    text = f'schema = 1\nname = "p"\n# mine\n[[data.sources]]\npath = "a.jsonl"\n{transforms}'
    (tmp_path / "p.toml").write_text(text)
    (tmp_path / "a.jsonl").write_text('{"q": "q", "a": "a"}\n')
    session.open(tmp_path / "p.toml")

    async def run() -> None:
        app = PhiApp(session, start_on="data")
        child = StandIn()
        app.inspector = child  # type: ignore[assignment]
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: bool(app.screen.query("#transform-list")))
            await pilot.press("i")
            await steps(pilot, app, child)

    asyncio.run(run())


async def until(pilot: Pilot[int], true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came to be"
        await pilot.pause(0.02)
    await pilot.pause()


def kept(tmp_path: Path) -> list[str]:
    return [transform_line.spell(one) for one in load(tmp_path / "p.toml").data.transforms]


def flaw(app: PhiApp) -> str:
    return str(app.screen.query_one(".dialog-flaw", Label).render())


ONE = '[[data.transforms]]\ndo = "filter"\nwhere = "len(q) > 1"\n'
TWO = ONE + '[[data.transforms]]\ndo = "shuffle"\n'


def test_a_transform_is_typed_refused_beside_the_line_and_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        assert "No transforms" in str(app.screen.query_one("#transform-empty", Static).render())
        assert child.previews() == 0
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, TransformLine))
        line = app.screen.query_one(Input)
        line.value = 'do = "filter", where = "q.upper()"'
        await until(pilot, lambda: "at character 1" in flaw(app))
        await pilot.press("enter")
        await pilot.pause(0.1)
        assert isinstance(app.screen, TransformLine)
        line.value = 'do = "filter", where = "len(q) > 2"'
        await until(pilot, lambda: flaw(app) == "")
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, TransformLine))
        assert kept(tmp_path) == ['do = "filter", where = "len(q) > 2"']
        assert "# mine" in (tmp_path / "p.toml").read_text()
        await until(pilot, lambda: child.previews() > 0)

    walk(tmp_path, monkeypatch, steps)


def test_an_example_begins_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, TransformLine))
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: app.screen.query_one(Input).value == transform_line.EXAMPLES["rename"])
        await pilot.press("escape")
        assert kept(tmp_path) == []

    walk(tmp_path, monkeypatch, steps)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_rows_are_shown_before_and_after_and_foreign_text_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await until(pilot, lambda: "before (-)" in str(app.screen.query_one("#transform-rows", Static).render()))
        shown = str(app.screen.query_one("#transform-rows", Static).render())
        assert "a.jsonl:1" in shown and "+ q: clean" in shown and "\n    n: 1" in shown
        assert "a.jsonl:2  left out by 1 filter" in shown
        assert "a.jsonl:3  cannot be transformed: no int" in shown
        assert "[@click=app.quit]x" in shown and "\x1b" not in shown and "\x07" not in shown
        listed = app.screen.query_one("#transform-list", OptionList)
        assert "9 rows in, 7 out, 1 broken" in str(listed.get_option_at_index(0).prompt)

    walk(tmp_path, monkeypatch, steps, ONE, size)


def test_the_order_changes_a_line_is_edited_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await pilot.press("J")
        assert kept(tmp_path) == ['do = "shuffle"', 'do = "filter", where = "len(q) > 1"']
        await pilot.press("K")
        assert kept(tmp_path)[1] == 'do = "shuffle"'
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, TransformLine))
        app.screen.query_one(Input).value = 'do = "sample", rows = 5'
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, TransformLine))
        assert kept(tmp_path)[1] == 'do = "sample", rows = 5'
        await pilot.press("d")
        await until(pilot, lambda: bool(app.screen.query("#remove")))
        await pilot.click("#remove")
        await until(pilot, lambda: not app.screen.query("#remove"))
        assert kept(tmp_path) == ['do = "filter", where = "len(q) > 1"']

    walk(tmp_path, monkeypatch, steps, TWO)


@pytest.mark.parametrize("line", list(transform_line.EXAMPLES.values()))
def test_each_example_is_a_transform_that_is_spelled_and_read_back(line: str) -> None:
    made = transform_line.parse(line)
    assert transform_line.parse(transform_line.spell(made)) == made
    assert transform_line.parse("{ " + line + " }") == made


def test_a_line_with_odd_characters_survives_and_cannot_move_a_terminal() -> None:
    made = Transform(do="template", column='a "b"', template="x\n\ty \x1b \u202e {{ q }} \\")
    line = transform_line.spell(made)
    assert line.isprintable()
    assert transform_line.parse(line) == made


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("filter", "write key = value"),
        ('do = "drop"', "takes columns"),
        ("do = 3", "do"),
        ('do = "sample", n = 1', "n: unknown key"),
    ],
)
def test_a_line_that_is_wrong_is_told_in_the_words_of_the_schema(line: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        transform_line.parse(line)
    assert told in caught.value.what
    assert "data.transforms" not in caught.value.what
