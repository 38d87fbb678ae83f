"""Terminals as people have them: without colours, with sixteen, with few characters, small, large, and none at all."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import walking
from terminal import Terminal, environment, phi_tui

from phi_tui.themes import GOLDEN

pytestmark = pytest.mark.slow  # real terminals or whole trainings: minutes on two cores

_SGR = re.compile(rb"\x1b\[([0-9;]*)m")
_BRAILLE = re.compile("[\u2801-\u28ff]")
_WORDS = ("Projects", "Bases", "Sources", "Settings of", "step 40/40", "Question", "2 runs")
"""What each screen shows, in the order of their keys."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the demo and two runs of it."""
    folder = tmp_path_factory.mktemp("terminals")
    walking.a_run(folder, 1)
    walking.a_run(folder, 2, end="failed")
    return folder


def _open(place: Path, tmp_path: Path, *given: object, without: tuple[str, ...] = (), **more: object) -> Terminal:
    size = {name: more.pop(name) for name in ("columns", "rows") if name in more}
    env = environment(tmp_path, OMP_NUM_THREADS="1", **{key: str(value) for key, value in more.items()})
    env = {key: value for key, value in env.items() if key not in without}
    return Terminal(phi_tui(*(given or ("--workspace", place))), env=env, **size)  # type: ignore[arg-type]


def _visited(terminal: Terminal) -> Iterator[str]:
    """Go to every screen of an app that shows a finished run, and quit; yields each screen's text."""
    for key in (5, 1, 2, 3, 4, 7, 6):
        terminal.press(str(key))
        yield terminal.wait_for(_WORDS[key - 1], seconds=90)
    terminal.press("ctrl+q")
    assert terminal.end() == 0


def _styles(terminal: Terminal) -> set[bytes]:
    """The parameters of every style that was set."""
    return {part for found in _SGR.finditer(bytes(terminal.raw)) for part in _parts(found[1])}


def _parts(given: bytes) -> list[bytes]:
    """38;5;7;1 as 38;5 and 1: the kind of each colour, and all else."""
    parts, numbers = [], given.split(b";")
    while numbers:
        number = numbers.pop(0)
        if number in (b"38", b"48") and numbers:
            kind = numbers.pop(0)
            del numbers[: 3 if kind == b"2" else 1]
            parts.append(number + b";" + kind)
        else:
            parts.append(number)
    return parts


_COLOURS = {str(code).encode() for code in (*range(30, 38), *range(40, 48), *range(90, 98), *range(100, 108))}
_MANY = {b"38;5", b"48;5", b"38;2", b"48;2"}
_RUN = ("attach", "phi_demo/20260101-000001")


def test_no_color_means_no_colour_at_all_and_the_cursor_is_seen_all_the_same(place: Path, tmp_path: Path) -> None:
    with _open(place, tmp_path, *_RUN, "--workspace", place, NO_COLOR="1") as terminal:
        for number, _ in enumerate(_visited(terminal)):
            if number == 1:
                row = terminal.text.splitlines().index(next(x for x in terminal.text.splitlines() if " phi_demo" in x))
                terminal.until(
                    lambda row=row: terminal.screen.buffer[row][6].reverse, "the highlighted project reversed"
                )
        assert not _styles(terminal) & (_COLOURS | _MANY)


def test_a_terminal_of_sixteen_colours_gets_sixteen(place: Path, tmp_path: Path) -> None:
    given = (*_RUN, "--workspace", place)
    with _open(place, tmp_path, *given, TERM="xterm", without=("COLORTERM",)) as terminal:
        list(_visited(terminal))
        assert not _styles(terminal) & _MANY
        assert _styles(terminal) & _COLOURS


@pytest.mark.parametrize("more", [{"TERM": "linux"}, {"LANG": "C", "LC_ALL": "C"}], ids=["the console", "the C locale"])
def test_charts_are_drawn_in_ascii_where_the_font_or_the_locale_has_no_more(
    place: Path, tmp_path: Path, more: dict[str, str]
) -> None:
    with _open(place, tmp_path, *_RUN, "--workspace", place, without=("COLORTERM",), **more) as terminal:
        for text in _visited(terminal):
            assert not _BRAILLE.search(text), text
        assert not _BRAILLE.search(bytes(terminal.raw).decode())


def test_charts_are_drawn_in_braille_where_they_can_be(place: Path, tmp_path: Path) -> None:
    with _open(place, tmp_path, *_RUN, "--workspace", place) as terminal:
        terminal.until(lambda: _BRAILLE.search(terminal.text), "a curve in braille")
        terminal.press("ctrl+q")
        assert terminal.end() == 0


def test_a_terminal_that_cannot_place_a_cursor_gets_the_plain_overview(place: Path, tmp_path: Path) -> None:
    with _open(place, tmp_path, TERM="dumb", without=("COLORTERM",)) as terminal:
        assert terminal.end() == 0
        terminal.until(lambda: "20260101-000001" in terminal.text, "the runs")
        assert "workspace" in terminal.text
        assert b"\x1b" not in bytes(terminal.raw)


@pytest.mark.parametrize("size", [(40, 10), (200, 50), (24, 4)], ids=str)
def test_every_screen_comes_up_on_small_and_large_terminals(place: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    columns, rows = size
    with _open(place, tmp_path, *_RUN, "--workspace", place, columns=columns, rows=rows) as terminal:
        for key in "1234576":  # in the last one a field has the keys
            terminal.wait_for("Ho")
            before = terminal.text
            terminal.press(key)
            if columns >= 40:
                terminal.until(lambda before=before: terminal.text != before, f"another screen behind {key}", 60)
        terminal.resize(120, 40)
        terminal.wait_for("Question", "7 Runs")
        terminal.press("ctrl+q")
        assert terminal.end() == 0


def test_a_theme_is_kept_from_one_start_to_the_next(place: Path, tmp_path: Path) -> None:
    golden = GOLDEN.background.removeprefix("#") if GOLDEN.background else ""
    with _open(place, tmp_path) as terminal:
        terminal.wait_for("Projects", "phi_demo")
        terminal.until(lambda: terminal.screen.buffer[20][40].bg == golden, "the golden ground")
        terminal.press("ctrl+p")
        terminal.wait_for("Search for commands")
        terminal.press("theme: light")
        terminal.wait_for("kept between starts")
        terminal.press("enter")
        terminal.until(lambda: "Search for commands" not in terminal.text, "the end of the palette")
        terminal.until(lambda: terminal.screen.buffer[20][40].bg not in ("default", golden), "another ground")
        light = terminal.screen.buffer[20][40].bg
        terminal.press("ctrl+q")
        assert terminal.end() == 0
    with _open(place, tmp_path) as terminal:
        terminal.wait_for("Projects", "phi_demo")
        terminal.until(lambda: terminal.screen.buffer[20][40].bg == light, "the same ground")
        terminal.press("ctrl+q")
        assert terminal.end() == 0
    assert 'theme = "textual-light"' in (tmp_path / "config" / "config.toml").read_text()


def test_a_workspace_of_two_hundred_runs_comes_up_at_once(tmp_path: Path) -> None:
    workspace = tmp_path / "many"
    first = walking.a_run(workspace).path
    for number in range(1, 200):
        shutil.copytree(first, first.parent / f"20260102-{number:06}")
    with _open(workspace, tmp_path) as terminal:
        began = time.monotonic()
        terminal.wait_for("Projects")
        shown = time.monotonic() - began
        terminal.wait_for("188 more on the Runs screen")
        assert shown < 15, shown  # far above what it takes, which the benchmarks measure; a stall is what is looked for
        terminal.press("7")
        terminal.wait_for("200 runs", "page 1 of 2")
        terminal.press("ctrl+q")
        assert terminal.end() == 0
