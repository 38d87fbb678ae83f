"""The last line: which keys it shows where there is room for few, and that a click presses one."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from walking import open_app, shows, until

from phi_tui.app import PhiApp
from phi_tui.widgets.dialogs import AskText
from phi_tui.widgets.key_line import Entry, KeyLine, _fitting


def _entry(word: str, *, everywhere: bool = False) -> Entry:
    return Entry(word[0], word, "", word[0], True, everywhere)


def test_where_there_is_no_room_the_apps_own_keys_stay_and_the_screens_last_go() -> None:
    entries = [_entry("New"), _entry("Open"), _entry("Duplicate"), _entry("Help", everywhere=True)]
    whole = sum(len(f" {one.shown} {one.word} ") for one in entries)
    assert _fitting(entries, whole, False) == (entries, -1)
    kept, cut = _fitting(entries, whole - 2, False)
    assert [one.word for one in kept] == ["New", "Open", "Help"]
    assert cut == 2, "the ellipsis stands where a key was left out"
    assert [one.word for one in _fitting(entries, 12, False)[0]] == ["Help"]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_a_click_on_a_word_presses_its_key_and_the_pointer_says_what_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "config"))

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "New project", "Quit")
        line = app.screen.query_one(KeyLine)
        at = str(line.render()).index("New")
        await pilot.hover(KeyLine, offset=(at, 0))
        await until(pilot, lambda: "project" in str(line.tooltip), "the tooltip")
        await pilot.click(KeyLine, offset=(at, 0))
        await until(pilot, lambda: isinstance(app.screen, AskText), "the question for a name")

    open_app(tmp_path / "w", size, work)


def test_the_line_follows_the_focus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "config"))

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        await shows(pilot, "Download")
        line = app.screen.query_one(KeyLine)
        assert "Take" in str(line.render())
        await pilot.press("slash")
        await until(pilot, lambda: "Take" not in str(line.render()), "no list to take from")
        assert "Quit" in str(line.render())

    open_app(tmp_path / "w", (120, 40), work)
