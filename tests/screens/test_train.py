"""The Train screen by its keys: preflight, a run as its journal tells it, and what can be done with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import walking
from textual.pilot import Pilot
from textual.widgets import Button, RichLog
from walking import HOSTILE, StandIn, open_app, seen, shows, until

from phi_tui import journal, launch, run
from phi_tui.app import PhiApp
from phi_tui.run import Run
from phi_tui.widgets.chart import Chart
from phi_tui.workspace import Workspace

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)])


@pytest.fixture(autouse=True)
def own_preferences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "config"))


@SIZES
def test_preflight_says_what_will_happen_and_the_start_has_the_focus(tmp_path: Path, size: tuple[int, int]) -> None:
    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "272 of 11 rows", "fits", "rank 8, a Fibonacci number", "one note", "1 min 15 s")
        assert isinstance(app.focused, Button) and app.focused.id == "start"

    open_app(tmp_path, size, work, file=walking.demo(tmp_path), start_on="train")


def test_a_refusal_is_told_whole_and_asked_anew_when_one_comes_back(tmp_path: Path) -> None:
    refusal: dict[str, Any] = {"what": "lora.targets: no layer " + HOSTILE, "where": "", "fix": "spell it right"}
    inspector = StandIn({"plan": [("phase", {"name": "preflight", "detail": "checking"}), ("error", refusal)]})

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "would not be let start", "no layer", "spell it right")
        assert "\x1b" not in seen(app)
        await pilot.press("1", "5")
        await until(pilot, lambda: len(inspector.asked) == 2, "preflight asked again")

    open_app(tmp_path, (80, 24), work, file=walking.demo(tmp_path), start_on="train", inspector=inspector)


def test_without_a_project_it_says_where_to_go(tmp_path: Path) -> None:
    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "No project is open")

    open_app(tmp_path, (80, 24), work, start_on="train")


@SIZES
def test_a_finished_run_shows_its_curves_its_figures_and_the_way_to_chat(tmp_path: Path, size: tuple[int, int]) -> None:
    done = walking.a_run(tmp_path)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "✓ done", "246.8 → 1.039", "step 40/40", "c to chat")
        assert app.screen.query_one("#large", Chart).title == "loss"
        await pilot.press("m")
        await shows(pilot, "learning rate")
        await pilot.press("v")
        await shows(pilot, "What is a mole?")
        assert "x Stop" not in seen(app) and "New run" in seen(app)
        await pilot.press("n")
        await shows(pilot, "Start training")

    open_app(tmp_path, size, work, attach=done)


@pytest.mark.parametrize(
    ("end", "words"), [("stopped", "■ stopped"), ("failed", "✗ failed"), ("died", "without a last word")]
)
def test_a_run_that_did_not_finish_says_why_and_how_to_go_on(tmp_path: Path, end: str, words: str) -> None:
    ended = walking.a_run(tmp_path, end=end)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, words, "r to go on")
        await pilot.press("r")
        await shows(pilot, "Go on from where?", "This run, from its newest checkpoint")
        await pilot.press("escape")

    open_app(tmp_path, (80, 24), work, attach=ended)


def test_a_live_run_is_saved_asked_and_stopped_through_its_directory(tmp_path: Path) -> None:
    live = walking.a_run(tmp_path, end="none")
    handle = live.take()

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "● running", "Stop")
        await pilot.press("ctrl+s", "a")
        await until(pilot, lambda: {"save", "sample"} <= _asked(live), "the requests")
        await pilot.press("x")
        await shows(pilot, "Save and stop", "Stop without saving", "Cancel")
        await pilot.press("right", "right", "enter")
        assert _asked(live) == {"save", "sample"}
        await pilot.press("x")
        await shows(pilot, "Save and stop")
        await pilot.press("enter")
        await until(pilot, lambda: "stop" in _asked(live), "the stop")
        book = journal.Journal(live.journal)
        book.write("step", step=41, steps=80, epoch=4.1, loss=0.1, lr=1e-3, grad_norm=1.0, tokens=1, tokens_per_second=1.0)
        await shows(pilot, "step 41/80")
        book.write("stopped", message="stopped at step 41")
        book.close()
        os.close(handle)
        await shows(pilot, "■ stopped")

    open_app(tmp_path, (120, 40), work, attach=live)


def test_detaching_leaves_the_run_alone_and_the_screen_finds_it_again(tmp_path: Path) -> None:
    live = walking.a_run(tmp_path, end="none")
    handle = live.take()

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "● running")
        await pilot.press("d")
        await until(pilot, lambda: app.current_mode == "home", "home")
        assert app.follow is None and live.holder() == os.getpid()
        await pilot.press("5")
        await shows(pilot, "● running")

    open_app(tmp_path, (80, 24), work, attach=live)
    os.close(handle)


def test_starting_makes_the_run_directory_and_follows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Run] = []

    def background(one: Run, place: Workspace, *, resume: bool = False) -> int:
        started.append(one)
        book = journal.Journal(one.journal)
        book.write("phase", name="launch", detail="starting")
        book.write("failed", message="there is no " + HOSTILE)
        book.close()
        return 0

    monkeypatch.setattr(launch, "background", background)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: isinstance(app.focused, Button), "the button")
        await pilot.press("enter")
        await shows(pilot, "✗ failed", "there is no")
        assert "\x1b" not in seen(app)
        assert started == run.listed(Workspace(tmp_path))

    open_app(tmp_path, (80, 24), work, file=walking.demo(tmp_path), start_on="train")


def test_a_run_that_goes_live_elsewhere_is_shown_without_a_key(tmp_path: Path) -> None:
    file = walking.demo(tmp_path)
    live = walking.a_run(tmp_path, end="none")

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: isinstance(app.focused, Button), "the button")
        handle = live.take()
        try:
            await shows(pilot, "● running")
        finally:
            os.close(handle)

    open_app(tmp_path, (80, 24), work, file=file, start_on="train")


def test_a_journal_of_foreign_words_does_nothing(tmp_path: Path) -> None:
    hostile = walking.a_run(tmp_path, end="failed", words=HOSTILE)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "✗ failed")
        for _ in range(3):
            await pilot.press("v")
            await pilot.pause(0.1)
            assert "\x1b" not in seen(app) and "\u202e" not in seen(app)
        assert app.screen.query_one("#log", RichLog).lines

    open_app(tmp_path, (120, 40), work, attach=hostile)


def test_the_where_button_changes_the_project(tmp_path: Path) -> None:
    file = walking.demo(tmp_path)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: isinstance(app.focused, Button), "the button")
        await pilot.press("tab", "enter")
        await shows(pilot, "Inside this app")

    open_app(tmp_path, (80, 24), work, file=file, start_on="train")
    assert 'where = "here"' in file.read_text()


def _asked(one: Run) -> set[str]:
    return {path.name for path in (one.path / "control").iterdir()} if (one.path / "control").is_dir() else set()
