"""The Home screen by its keys."""

from __future__ import annotations

from pathlib import Path

import pytest
import walking
from textual.pilot import Pilot
from walking import HOSTILE, open_app, seen, shows, until

from phi_tui import project
from phi_tui.app import PhiApp

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)])


@pytest.fixture(autouse=True)
def own_preferences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "config"))


@SIZES
def test_an_empty_workspace_says_what_to_do_first(tmp_path: Path, size: tuple[int, int]) -> None:
    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "Nothing is in this workspace yet", "Demo", "New project", "No runs yet", "RAM")

    open_app(tmp_path / "w", size, work)


def test_a_new_project_is_named_saved_and_led_along_the_guide(tmp_path: Path) -> None:
    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "New project")
        await pilot.press("n")
        await shows(pilot, "Name of the project")
        await pilot.press(*"bad name", "enter")
        await shows(pilot, "Letters, digits")
        for _ in range(8):
            await pilot.press("backspace")
        await pilot.press(*"mine", "enter")
        await until(pilot, lambda: app.current_mode == "model", "the model screen")
        await shows(pilot, "Step 1 of 4")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: app.current_mode == "data", "the data screen")
        await shows(pilot, "Step 2 of 4")

    open_app(tmp_path / "w", (80, 24), work)
    assert project.load(tmp_path / "w" / "mine.toml").name == "mine"


@SIZES
def test_projects_and_runs_are_listed_with_what_came_out_and_broken_ones_with_their_flaw(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    walking.a_run(tmp_path)
    (tmp_path / "broken.toml").write_text('schema = 1\nname = "broken"\nrank = 8\n')

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "phi_demo", "✓ done", "perplexity", "! broken", "schema")

    open_app(tmp_path, size, work)


def test_a_broken_project_is_told_when_it_is_opened_and_nothing_changes(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text('schema = 1\nname = "broken"\n[lora]\nrnak = 8\n')

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "! broken")
        await pilot.press("enter")
        await shows(pilot, "rnak", "rank")
        assert app.current_mode == "home" and app.session.project is None

    open_app(tmp_path, (120, 40), work)
    assert "rnak" in file.read_text()


def test_a_project_is_duplicated_with_its_comments(tmp_path: Path) -> None:
    walking.demo(tmp_path)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "phi_demo")
        await pilot.press("D")
        await shows(pilot, "Name of the copy")
        await pilot.press(*"second", "enter")
        await until(pilot, lambda: app.current_mode == "hparams", "the settings of the copy")

    open_app(tmp_path, (80, 24), work)
    copy = tmp_path / "second.toml"
    assert project.load(copy).name == "second" and "# a Fibonacci number" in copy.read_text()


def test_enter_on_a_run_shows_it(tmp_path: Path) -> None:
    walking.a_run(tmp_path)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "✓ done")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.current_mode == "train", "the run")
        await shows(pilot, "step 40/40", "c to chat")

    open_app(tmp_path, (80, 24), work)


def test_foreign_words_in_names_and_journals_do_nothing(tmp_path: Path) -> None:
    walking.a_run(tmp_path, end="failed", words=HOSTILE)
    (tmp_path / f"{HOSTILE.replace('/', '')}.toml").write_text("schema = 1\n")

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "✗ failed")
        assert "\x1b" not in seen(app) and "\u202e" not in seen(app)
        assert app.is_running

    open_app(tmp_path, (120, 40), work)
