"""Keys and settings that a person brings: remapped keys work, broken files cost their settings and not the start."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from textual.pilot import Pilot
from walking import open_app, seen, shows, until

from phi_tui import preferences
from phi_tui.app import PhiApp

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the app's settings."""
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("PHI_TUI_CONFIG", str(folder))
    return folder


def _reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("key_reference", ROOT / "scripts" / "key_reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_keys_in_the_guide_are_those_of_the_bindings() -> None:
    text = (ROOT / "docs" / "app.md").read_text("utf-8")
    assert _reference().page(text) == text, "python scripts/key_reference.py rewrites them"


def test_every_key_that_the_guide_gives_in_keys_toml_is_of_a_binding(config: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "app.md").read_text("utf-8"), re.DOTALL)
    (config / "keys.toml").write_text(next(block for block in blocks if "app.quit" in block))
    loaded = preferences.load()
    known = {binding.id for binding in _reference().bindings()}
    assert loaded.flaws == () and len(loaded.keys) == 3 and set(loaded.keys) <= known


def test_keys_from_tables_and_from_dotted_names_take_the_place_of_the_old_ones(tmp_path: Path, config: Path) -> None:
    (config / "keys.toml").write_text('go.runs = "f9, z"\n[home]\nnew = "ctrl+o"\n')

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "New project", "^o New")
        await pilot.press("n", "7")
        await pilot.pause(0.2)
        assert app.current_mode == "home" and "Name of the project" not in seen(app)
        await pilot.press("ctrl+o")
        await shows(pilot, "Name of the project")
        await pilot.press("escape", "z")
        await until(pilot, lambda: app.current_mode == "runs", "the runs by their new key")
        await pilot.press("1")
        await until(pilot, lambda: app.current_mode == "home", "home by its old key")
        await pilot.press("f9")
        await until(pilot, lambda: app.current_mode == "runs", "the runs by their other new key")

    open_app(tmp_path / "w", (120, 40), work)


def test_a_remapped_key_is_the_one_that_help_names(tmp_path: Path, config: Path) -> None:
    (config / "keys.toml").write_text('[app]\nhelp = "f8"\n')

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "New project", "f8 Help")
        await pilot.press("f8")
        await shows(pilot, "A project is a TOML file")

    open_app(tmp_path / "w", (120, 40), work)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("keys.toml", "[train\nsave = ", "keys.toml"),
        ("keys.toml", "[train]\nsave = 7\n", "train.save must be a text"),
        ("config.toml", 'theme = "gold', "config.toml"),
    ],
)
def test_a_broken_file_is_told_and_the_app_starts(
    tmp_path: Path, config: Path, name: str, text: str, words: str
) -> None:
    (config / name).write_text(text)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "New project")
        assert any(words in notice.message for notice in app._notifications)
        await pilot.press("7")
        await until(pilot, lambda: app.current_mode == "runs", "the runs")

    open_app(tmp_path / "w", (120, 40), work)


def test_a_theme_that_is_not_there_is_the_first_one(tmp_path: Path, config: Path) -> None:
    (config / "config.toml").write_text('theme = "no such theme"\n')

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "New project")
        assert app.theme in ("golden", "ansi-dark")  # by what the terminal bears

    open_app(tmp_path / "w", (80, 24), work)


def test_names_without_a_binding_are_left_out_and_told() -> None:
    kept = preferences.without(preferences.Preferences(keys={"home.new": "x", "home.nwe": "y"}), {"home.nwe"})
    assert kept.keys == {"home.new": "x"} and "home.nwe" in kept.flaws[0]
