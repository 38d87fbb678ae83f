"""The Data screen by its keys, on a stand-in for the process that reads data: what a person does and sees."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Label, OptionList, Static

from phi_tui import phi
from phi_tui.app import PhiApp
from phi_tui.child import OnReply, Reply
from phi_tui.safe_text import clean
from phi_tui.screens.data import DataScreen
from phi_tui.session import Session
from phi_tui.widgets.data_add import AddPath, Browse, checked
from phi_tui.widgets.data_columns import ColumnsDialog, form_of
from phi_tui.widgets.data_findings import FindingsPane
from phi_tui.widgets.data_pane import Pane
from phi_tui.widgets.data_row import RowDialog, raw_line
from phi_tui.widgets.data_sources import hub_source
from phi_tui.widgets.data_survey import FINDINGS_KEPT, Survey
from phi_tui.widgets.data_tokens import TokensPane
from phi_tui.widgets.path_input import common, complete
from phi_tui.widgets.token_view import TokenView
from phi_tui.workspace import Workspace

HOSTILE = "\x1b]52;c;aGk=\x07 [/foo] [@click=app.quit]x[/] \u202egnp.exe 🎉 日本語"
ROWS = 100


class StandIn:
    """Answers requests from tables in place of a child process; what it was asked is kept."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str, dict[str, Any]]] = []
        self.cancelled: list[int] = []
        self.findings: list[dict[str, Any]] = []
        self.survey: dict[str, Any] | None = survey_result()
        self.error: dict[str, Any] | None = None
        self.silent = False
        self.open: dict[int, OnReply] = {}
        self._numbers = itertools.count(1)

    def ask(self, do: str, on_reply: OnReply, /, **arguments: Any) -> int:
        number = next(self._numbers)
        self.asked.append((number, do, arguments))
        self.open[number] = on_reply
        if not self.silent:
            getattr(self, f"_{do}")(number, on_reply, arguments)
        return number

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)
        if number in self.open:
            self.open.pop(number)(Reply(number, "cancelled"))

    def close(self, *, wait: float = 0.0) -> None:
        pass

    def of(self, do: str) -> list[dict[str, Any]]:
        return [arguments for _, name, arguments in self.asked if name == do]

    def _survey(self, number: int, tell: OnReply, arguments: dict[str, Any]) -> None:
        tell(Reply(number, "phase", {"name": "read", "done": 50}))
        for finding in self.findings:
            tell(Reply(number, "finding", finding))
        if self.error:
            tell(Reply(number, "partial", {"read": 10, "kept": 8, "broken": 2}))
            tell(Reply(number, "error", self.error))
        else:
            tell(Reply(number, "result", dict(self.survey or {})))

    def _rows(self, number: int, tell: OnReply, arguments: dict[str, Any]) -> None:
        part, start = arguments["part"], arguments["start"]
        total = 62 if part == "train" else 38
        rows = [token_row(part, at) for at in range(start, min(total, start + arguments["count"]))]
        tell(Reply(number, "result", {"part": part, "start": start, "total": total, "rows": rows}))

    def _raw_rows(self, number: int, tell: OnReply, arguments: dict[str, Any]) -> None:
        file = {
            "name": arguments["files"][0],
            "format": "instruction",
            "columns": ["question", "answer", "id"],
            "mapping": {"instruction": "question", "output": "answer"},
            "rows": [{"line": 1, "values": {"question": HOSTILE, "answer": "because", "id": "7"}}],
            "error": None,
        }
        tell(Reply(number, "result", {"files": [file]}))


def survey_result() -> dict[str, Any]:
    source = {
        "name": "train.jsonl", "role": "train", "files": ["train.jsonl"], "format": "instruction",
        "columns": {"instruction": "question", "output": "answer"}, "reason": "", "read": ROWS, "kept": ROWS,
        "broken": 0, "duplicates": 3, "train": 62, "validation": 38,
    }  # fmt: skip
    part = {
        "rows": 62, "tokens": 6200, "trained": 3100, "p50": 90, "p95": 200, "longest": 900,
        "cut_rows": 2, "cut_tokens": 300, "untrained_rows": 0,
    }  # fmt: skip
    return {
        "report": {
            "sources": [source], "findings": {}, "train_rows": 62, "validation_rows": 38, "in_both": 0,
            "split": phi.TRAIN_SHARE, "split_reached": 0.62, "mix": [], "mix_stopped": "",
        },
        "tokens": {"train": part, "validation": {**part, "rows": 38}},
        "template": "instruction", "stops": [2], "context": 2048, "max_length": 1024, "lengths_are": "whole",
        "histogram": {"edges": [0, 500, 1000, 2000], "train": [50, 10, 2], "validation": [30, 6, 2]},
        "findings": {},
    }  # fmt: skip


def token_row(part: str, index: int) -> dict[str, Any]:
    tokens = [["Why", 11, "prompt"], [f" {part}{index}", 12, "trained"], [HOSTILE, 13, "trained"]]
    tokens.append(["</s>", 2, "special-trained"])
    return {"index": index, "file": "train.jsonl", "line": index + 1, "length": 4, "trained": 3, "tokens": tokens}


def finding(severity: str, line: int, message: str = "is broken", fix: str = "mend it") -> dict[str, Any]:
    return {
        "severity": severity, "code": "json", "file": "train.jsonl", "line": line, "message": message, "fix": fix,
    }  # fmt: skip


Walk = Callable[[Pilot[int], PhiApp, StandIn], Awaitable[None]]


def walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Walk, *, size: tuple[int, int] = (80, 24),
    sources: tuple[str, ...] = ("train.jsonl",), project: bool = True, child: StandIn | None = None,
) -> None:  # fmt: skip
    """Open the Data screen on a project with `sources` and do `steps`."""
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "config"))
    session = Session(Workspace(tmp_path))
    if project:
        tables = "".join(f'[[data.sources]]\npath = "{name}"\n' for name in sources)
        (tmp_path / "p.toml").write_text(f'schema = 1\nname = "p"\n{tables}')
        for name in sources:
            (tmp_path / name).write_text('{"question": "q", "answer": "a"}\n')
        session.open(tmp_path / "p.toml")

    async def run() -> None:
        app = PhiApp(session, start_on="data")
        stand_in = child or StandIn()
        app.inspector = stand_in  # type: ignore[assignment]
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: isinstance(app.screen, DataScreen))
            await steps(pilot, app, stand_in)

    asyncio.run(run())


async def until(pilot: Pilot[int], true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came to be"
        await pilot.pause(0.02)
    await pilot.pause()


def text_of(app: PhiApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


def data_screen(app: PhiApp) -> DataScreen:
    return next(screen for screen in app.screen_stack if isinstance(screen, DataScreen))


def picture(app: PhiApp) -> str:
    """Every character on the screen."""
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in lines)


async def checked_state(pilot: Pilot[int], app: PhiApp) -> None:
    await until(pilot, lambda: "checked" in text_of(app, "#data-state"))


def test_without_a_project_the_screen_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        assert "Press 1 for Home" in picture(app)
        await pilot.press("a", "t", "f", "p", "delete", "ctrl+r")
        assert isinstance(app.screen, DataScreen) and child.asked == []

    walk(tmp_path, monkeypatch, steps, project=False)


def test_a_project_without_data_says_how_to_add_some_and_asks_for_no_survey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        assert "No data yet" in picture(app)
        for key in "fxlt":
            await pilot.press(key)
            assert "No data yet" in picture(app), key
        assert child.of("survey") == []

    walk(tmp_path, monkeypatch, steps, sources=())


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_a_survey_runs_by_itself_and_its_counts_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)
        asked = child.of("survey")[0]
        assert asked["root"] == str(tmp_path) and 'path = "train.jsonl"' in asked["project"]
        shown = picture(app)
        assert "100 of 100 rows kept" in shown and "3 duplicates" in shown
        assert "instruction = question" in shown and "answer" in shown
        panes = [pane for pane in app.screen.query(Pane) if pane.display]
        assert len(panes) == (1 if size[0] < 100 else 2)

    walk(tmp_path, monkeypatch, steps, size=size)


def test_coming_back_asks_for_no_second_survey_but_a_change_that_matters_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)
        app.set(lora__rank=13)
        await pilot.press("1", "3")
        await pilot.pause(0.6)
        assert len(child.of("survey")) == 1
        app.set(data__max_length=64)
        await until(pilot, lambda: len(child.of("survey")) == 2)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: len(child.of("survey")) == 3)

    walk(tmp_path, monkeypatch, steps)


def test_changes_in_quick_succession_cancel_the_survey_and_ask_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await until(pilot, lambda: len(child.of("survey")) == 1)
        late = child.open[1]
        await pilot.press("p", "p", "y")
        assert child.cancelled == [1]
        child.silent = False
        await until(pilot, lambda: len(child.of("survey")) == 2)
        await checked_state(pilot, app)
        late(Reply(1, "error", {"what": "an answer that comes too late"}))
        await pilot.pause()
        assert "too late" not in picture(app)
        assert 'train_on = "everything"' in child.of("survey")[1]["project"]

    child = StandIn()
    child.silent = True
    walk(tmp_path, monkeypatch, steps, child=child)


def test_refused_data_shows_what_is_wrong_in_every_part_and_skip_bad_is_a_key_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = StandIn()
    child.findings = [finding("warning", 3), finding("error", 2)]
    child.error = {"what": "2 of 10 rows cannot be used", "where": "", "fix": "mend them, or set data.skip_bad"}

    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await until(pilot, lambda: "not usable" in text_of(app, "#data-state"))
        for key in "xlt":
            await pilot.press(key)
            assert "2 of 10 rows cannot be used" in picture(app), key
        await pilot.press("f")
        shown = picture(app)
        assert "10 rows read, 8 can be used, 2 broken" in shown and "set data.skip_bad" in shown
        assert "1 warning, 1 error" in shown
        child.error = None
        await pilot.press("b")
        assert app.session.project and app.session.project.data.skip_bad is True
        await checked_state(pilot, app)

    walk(tmp_path, monkeypatch, steps, child=child)


def test_errors_come_first_and_enter_shows_the_raw_line_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = StandIn()
    child.findings = [finding("info", 1), finding("error", 2, HOSTILE, HOSTILE)]

    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        (tmp_path / "train.jsonl").write_bytes(b"{}\n" + HOSTILE.encode() + b"x" * 1_000_000 + b"\n")
        await checked_state(pilot, app)
        await pilot.press("f", "enter")
        await until(pilot, lambda: isinstance(app.screen, RowDialog))
        await until(pilot, lambda: "]52" in text_of(app, "#row-text"))
        shown = picture(app)
        assert "[@click=app.quit]x[/]" in shown and "[/foo]" in shown
        assert not any(sign in shown for sign in "\x1b\x07\u202e")
        await pilot.press("escape")
        assert isinstance(app.screen, DataScreen)

    walk(tmp_path, monkeypatch, steps, child=child)


def test_a_flood_of_findings_is_held_to_a_few_hundred_and_its_errors_stay() -> None:
    survey = Survey(request=1, running=True)
    for at in range(1000):
        survey.take(Reply(1, "finding", finding("info", at)))
    survey.take(Reply(1, "finding", finding("error", 5)))
    survey.take(Reply(2, "error", {"what": "of another request"}))
    assert len(survey.findings) == FINDINGS_KEPT and survey.total_findings == 1001
    assert survey.severities()["error"] == 1 and not survey.error


def test_enter_takes_phi_to_the_minus_five_in_full_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)
        await pilot.press("x")
        shown = picture(app)
        assert "38.2%" in shown and "9.0%" in shown and "5.6%" in shown and "heuristic" in shown
        await pilot.press("g", "j", "j", "j", "enter")
        assert app.session.project and app.session.project.data.split == 1 - phi.power(-5)
        assert str(1 - phi.power(-5)) in (tmp_path / "p.toml").read_text()
        await until(pilot, lambda: "91 rows" in picture(app))
        await pilot.press("p", *"0.8", "enter")
        await until(pilot, lambda: app.session.project is not None and app.session.project.data.split == 0.8)

    walk(tmp_path, monkeypatch, steps)


def test_the_mix_is_refused_for_one_source_and_shown_for_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = StandIn()
    assert child.survey
    child.survey["report"]["mix"] = [
        {"source": "train.jsonl", "weight": 0.618, "used": 40, "repeated": 0, "left_out": 5},
        {"source": HOSTILE, "weight": 0.382, "used": 20, "repeated": 7, "left_out": 0},
    ]
    child.survey["report"]["mix_stopped"] = "train.jsonl: ran out"

    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)
        await pilot.press("m")
        assert app.session.project and app.session.project.data.mix == "none"
        (tmp_path / "more.jsonl").write_text("{}\n")
        app.set(data__sources=[{"path": "train.jsonl"}, {"path": "more.jsonl"}])
        await pilot.press("m", "x")
        assert app.session.project.data.mix == "phi"
        await checked_state(pilot, app)
        shown = picture(app)
        assert "0.618" in shown and "ran out" in shown and "left out" in shown
        await pilot.press("w")
        assert app.session.project.data.mix_stop == "all_exhausted"

    walk(tmp_path, monkeypatch, steps, child=child)


def test_the_length_of_rows_is_drawn_and_changed_by_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)
        await pilot.press("l")
        shown = picture(app)
        assert "max_length 1,024" in shown and "p95" in shown and "keeps" in shown
        await pilot.press("g", "enter")
        assert app.session.project and app.session.project.data.max_length == 256
        await pilot.press("plus")
        assert app.session.project.data.max_length == 512
        await pilot.press("minus", "minus")
        assert app.session.project.data.max_length == 128
        await pilot.press("o", "backspace", "backspace", "backspace", *"77", "enter")
        await until(pilot, lambda: app.session.project is not None and app.session.project.data.max_length == 77)

    walk(tmp_path, monkeypatch, steps)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_rows_are_paged_by_keys_and_shown_token_by_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)
        await pilot.press("t")
        await until(pilot, lambda: "4 tokens, 3 trained" in text_of(app, "#token-row"))
        shown = picture(app)
        assert "train row 1 of 62" in shown and "train.jsonl:1" in shown and "·train0" in shown and "</s>" in shown
        assert "[@click=app.quit]x[/]" in shown and "\x1b" not in shown and "\u202e" not in shown
        await pilot.press("n", "j")
        assert "train row 3 of 62" in picture(app)
        await pilot.press("p", "k", "k")
        assert "train row 1 of 62" in picture(app)
        await pilot.press("right", "right")
        await until(pilot, lambda: "id 12" in text_of(app, "#token-name"))
        await pilot.press("o", *"55", "enter")
        await until(pilot, lambda: "·train54" in picture(app))
        await pilot.press("v")
        await until(pilot, lambda: "·validation0" in picture(app))
        assert [asked["start"] for asked in child.of("rows")] == [0, 50, 0]

    walk(tmp_path, monkeypatch, steps, size=size)


def test_rows_that_cannot_be_read_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)
        child.silent = True
        await pilot.press("t")
        await until(pilot, lambda: bool(child.of("rows")))
        number = child.asked[-1][0]
        child.open[number](Reply(number, "error", {"what": HOSTILE, "where": "", "fix": "try again"}))
        await until(pilot, lambda: "try again" in picture(app))
        assert "\x1b" not in picture(app)

    walk(tmp_path, monkeypatch, steps)


def test_a_base_that_cannot_be_used_leaves_the_rows_on_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = StandIn()
    assert child.survey
    child.survey |= {"tokens": None, "histogram": None, "base_error": {"what": "no such base", "fix": "choose another"}}

    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)
        assert "100 of 100 rows kept" in picture(app)
        for key in "lt":
            await pilot.press(key)
            assert "no such base" in picture(app) and "choose another" in picture(app), key
        await pilot.press("n", "v", "o", "s")
        assert isinstance(app.screen, DataScreen)

    walk(tmp_path, monkeypatch, steps, child=child)


def test_a_path_is_typed_with_tab_and_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "answers.jsonl").write_text('{"text": "a"}\n')
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, AddPath))
        await pilot.press("f", "o", "tab")
        line = app.screen.query_one(Input)
        await until(pilot, lambda: line.value == "folder/")
        await pilot.press("tab")
        await until(pilot, lambda: line.value == "folder/answers.jsonl")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DataScreen))
        assert app.session.project
        assert [source.path for source in app.session.project.data.sources] == ["train.jsonl", "folder/answers.jsonl"]

    walk(tmp_path, monkeypatch, steps)


def test_a_path_that_is_no_data_is_not_taken_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, AddPath))
        await pilot.press(*"no", "enter")

        def flaw() -> str:
            return str(app.screen.query_one(".dialog-flaw", Label).render())

        await until(pilot, lambda: "cannot be opened" in flaw())
        await pilot.press("escape")
        assert app.session.project and len(app.session.project.data.sources) == 1

    walk(tmp_path, monkeypatch, steps)


def test_a_file_is_found_in_the_tree_which_shows_data_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        (tmp_path / "notes.md").write_text("no data")
        (tmp_path / "more [red]\x1b[31m.csv").write_text("text\na\n")
        (tmp_path / "zoo.jsonl").write_text('{"text": "a"}\n')
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Browse))
        await until(pilot, lambda: "zoo.jsonl" in picture(app))
        shown = picture(app)
        assert "notes.md" not in shown and "\x1b" not in shown and "more [red]␛[31m.csv" in shown
        await pilot.press("down", "down", "j")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DataScreen))
        assert app.session.project and app.session.project.data.sources[-1].path == "zoo.jsonl"

    walk(tmp_path, monkeypatch, steps)


def test_a_hub_data_set_is_added_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await pilot.press("u", *"no", "enter")
        assert "org/name" in picture(app)
        await pilot.press("slash", *"robots default test", "enter")
        await until(pilot, lambda: app.session.project is not None and len(app.session.project.data.sources) == 2)
        assert app.session.project and app.session.project.data.sources[1] == hub_source("no/robots default test")

    walk(tmp_path, monkeypatch, steps)


def test_removing_asks_first_and_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await pilot.press("delete", "enter")
        assert app.session.project and len(app.session.project.data.sources) == 1
        await pilot.press("delete", "right", "enter")
        await until(pilot, lambda: app.session.project is not None and not app.session.project.data.sources)
        assert (tmp_path / "train.jsonl").exists() and "No data yet" in picture(app)

    walk(tmp_path, monkeypatch, steps)


def test_the_role_of_a_source_changes_and_keeps_the_place_in_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await pilot.press("j", "r")
        assert app.session.project
        assert [source.role for source in app.session.project.data.sources] == ["train", "validation"]
        assert app.screen.query_one("#source-list", OptionList).highlighted == 1
        await pilot.press("r")
        assert app.session.project.data.sources[1].role == "train"

    walk(tmp_path, monkeypatch, steps, sources=("train.jsonl", "held.jsonl"))


def test_columns_are_mapped_beside_the_first_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, ColumnsDialog) and "because" in picture(app))
        shown = picture(app)
        assert "reads as instruction" in shown and "\x1b" not in shown and "[/foo]" in shown
        await pilot.press("j", "right")  # input: the only column that no field has
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, DataScreen))
        assert app.session.project
        assert app.session.project.data.sources[0].columns == {
            "instruction": "question", "output": "answer", "input": "id",
        }  # fmt: skip
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, ColumnsDialog) and "because" in picture(app))
        await pilot.press("d", "s")
        await until(pilot, lambda: app.session.project is not None and not app.session.project.data.sources[0].columns)

    walk(tmp_path, monkeypatch, steps)


def test_a_mapping_that_no_format_fits_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert form_of({"text": "a", "output": "b"}) == "" and form_of({"prompt": "a", "completion": "b"})

    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)
        await pilot.press("c", "x", "s")
        await pilot.pause()
        assert isinstance(app.screen, ColumnsDialog) and "fits no format" in picture(app)
        await pilot.press("escape")
        assert app.session.project and not app.session.project.data.sources[0].columns

    walk(tmp_path, monkeypatch, steps)


def test_a_change_that_cannot_be_saved_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)
        (tmp_path / "p.toml").write_text("this is [not TOML")
        await pilot.press("p", "r")
        assert len(app._notifications) == 2
        assert app.session.project and app.session.project.data.split == "phi"
        assert (tmp_path / "p.toml").read_text() == "this is [not TOML"

    walk(tmp_path, monkeypatch, steps)


def test_parts_are_reached_by_their_keys_and_brackets_and_jump_keys_still_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(pilot: Pilot[int], app: PhiApp, child: StandIn) -> None:
        await checked_state(pilot, app)

        def seen() -> list[str]:
            return [pane.NAME for pane in app.screen.query(Pane) if pane.display]

        for key, name in zip(
            "ifxlts", ("transforms", "findings", "split", "lengths", "tokens", "sources"), strict=True
        ):
            await pilot.press(key)
            assert seen() == [name]
            assert app.focused is not None and any(
                getattr(n, "NAME", "") == name for n in app.focused.ancestors_with_self
            )
        await pilot.press("right_square_bracket")
        assert seen() == ["transforms"]
        await pilot.press("left_square_bracket", "left_square_bracket")
        assert seen() == ["tokens"]
        await pilot.press("escape", "1")
        assert app.current_mode == "home"

    walk(tmp_path, monkeypatch, steps)


def test_every_binding_has_an_id_a_tooltip_and_no_key_of_the_apps() -> None:
    taken = {*"1234567", "f1", "ctrl+p", "ctrl+q", "ctrl+n", "ctrl+b"}
    owners: list[Any] = [DataScreen, AddPath, Browse, ColumnsDialog, RowDialog, TokenView, FindingsPane, TokensPane]
    for owner in [*owners, *Pane.__subclasses__()]:
        for binding in owner.BINDINGS:
            assert binding.id and binding.tooltip, binding
            assert not taken & set(binding.key.split(",")), binding


def test_completion_knows_folders_data_files_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("train.jsonl", "train2.csv.gz", "train.md", ".hidden.jsonl", "bad\x1b[31m.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "trains").mkdir()
    assert [one.text for one in complete("tr", tmp_path)] == ["train.jsonl", "train2.csv.gz", "trains/"]
    assert common(complete("tr", tmp_path), "tr") == "train"
    assert common(complete("train.", tmp_path), "train.") == "train.jsonl"
    assert next(one.text for one in complete("~/tr", Path("/"))) == "~/train.jsonl"
    assert [one.text for one in complete(f"{tmp_path}/.h", Path("/"))] == [f"{tmp_path}/.hidden.jsonl"]
    assert not any("bad" in one.text for one in complete("", tmp_path))
    assert complete("nowhere/x", tmp_path) == [] and complete("a\x00b/", tmp_path) == []


def test_a_typed_path_is_stored_relative_to_the_project(tmp_path: Path) -> None:
    session = Session(Workspace(tmp_path))
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    source, flaw = checked(str(tmp_path / "a.jsonl"), session)
    assert source and source.path == "a.jsonl" and not flaw
    assert checked("  ", session)[0] is None
    (tmp_path / "empty").mkdir()
    assert "no data file" in checked("empty", session)[1]
    assert "cannot be opened" in checked("missing.jsonl", session)[1]


def test_a_raw_line_is_read_with_a_limit_from_plain_and_zipped_files(tmp_path: Path) -> None:
    whole = b"one\n" + b"x" * 3_000_000 + b"\nthree \xff\n"
    (tmp_path / "a.jsonl").write_bytes(whole)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(whole))
    for name in ("a.jsonl", "a.jsonl.gz"):
        assert raw_line(tmp_path / name, 1) == "one"
        assert len(raw_line(tmp_path / name, 2)) < 9000 and "goes on" in raw_line(tmp_path / name, 2)
        assert raw_line(tmp_path / name, 3) == "three \ufffd"
        assert "no line 4" in raw_line(tmp_path / name, 4)
    assert "parquet" in raw_line(tmp_path / "b.parquet", 3)
    assert "cannot be read" in raw_line(tmp_path / "missing.jsonl", 3)
    (tmp_path / "torn.csv.gz").write_bytes(gzip.compress(whole)[:40])
    assert "cannot be read" in raw_line(tmp_path / "torn.csv.gz", 3)


def test_the_stand_in_speaks_json_as_the_real_process_does() -> None:
    assert json.loads(json.dumps(survey_result())) == survey_result()
    assert clean(HOSTILE) != HOSTILE
