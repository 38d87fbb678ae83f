"""Nothing foreign reaches the terminal: each screen, full of text that wants to be obeyed, in a real pty.

What the app writes is read byte by byte: only the library's own sequences may be in it.  Each test ends with keys
that still work, so an app that a text killed, or that a markup action quit, is found too.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import hostile
import pytest
from hostile import foreign
from terminal import Terminal, environment, phi_tui

pytestmark = pytest.mark.slow  # real terminals or whole trainings: minutes on two cores

NAME = "h␛]0;kanarienvogel␇�31m�"
"""How a hostile name looks when it was made safe."""
ACTION = "[@click=app.quit]"
TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace full of hostile text; the tests only look at it."""
    folder = tmp_path_factory.mktemp("hostile")
    hostile.workspace(folder)
    return folder


@pytest.fixture
def app(place: Path, tmp_path: Path) -> Iterator[Terminal]:
    """The app on the hostile project; when the test is done, its bytes are read."""
    with _opened(tmp_path, phi_tui(place / "hostile.toml")) as terminal:
        terminal.wait_for("Projects", "! key", "hostile")
        yield terminal
        _still_well(terminal)


def _opened(tmp_path: Path, argv: list[str], **more: str) -> Terminal:
    return Terminal(argv, env=environment(tmp_path, OMP_NUM_THREADS="1", **more), columns=132, rows=44)


def _still_well(terminal: Terminal) -> None:
    """The app answers keys, was obeyed by nobody else, and wrote nothing foreign, its last words included."""
    for _ in range(12):  # dialogs and fields on the way take an escape each
        terminal.press("escape", "1")
        with contextlib.suppress(AssertionError):
            terminal.wait_for("This machine", seconds=2)
            break
    terminal.wait_for("This machine")
    terminal.press("ctrl+q")
    assert terminal.end() == 0
    assert foreign(bytes(terminal.raw)) == []


def _left(terminal: Terminal, word: str) -> None:
    """Leave what shows `word` by escape; what is typed too soon behind an escape would be one key with it."""
    terminal.press("escape")
    terminal.until(lambda: word not in terminal.text, f"the end of {word!r}")


def _pressed(terminal: Terminal, key: str, *, gone: str) -> None:
    """Press a key that takes `gone` away, and wait for that: keys that come with it may be another widget's."""
    terminal.press(key)
    terminal.until(lambda: gone not in terminal.text, f"the end of {gone!r}")


def test_what_is_foreign_is_found_and_what_is_the_librarys_own_is_not() -> None:
    """Each text of the corpus but the harmless ones is found when it comes through unchanged."""
    assert foreign(b"\x1b[?1049h\x1b[1;1H\x1b[38;2;1;2;3mplain\x1b[0m\r\n\x1b]22;pointer\x07\x1b[?2026$p") == []
    harmless = {"action", "close", "open", "markdown", "emoji", "marks", "cjk", "narrow", "tags"}
    found = {name for name, text in hostile.TEXTS.items() if foreign(text.encode())}
    assert found == set(hostile.TEXTS) - harmless
    assert foreign(b"\x9b2J") and foreign(b"\x9d0;x\x9c")  # C1 as single bytes


PASTED = "/x\u009d0;kanarienvogel\x07\u202e[/y]"
SHOWN = "/x�0;kanarienvogel␇�[/y]"
"""The same as a field shows it."""


def _paste(text: str) -> str:
    return f"\x1b[200~{text}\x1b[201~"


def test_home_shows_names_flaws_and_last_words(app: Terminal) -> None:
    app.wait_for(f"! {NAME}{ACTION}", "✗ failed", "✓ done", "✗ died")
    for word in ("is not valid TOML", "unknown key"):  # opening a broken project tells its flaw in a notice
        app.press("enter", "down")
        app.wait_for(word)
    app.press("o")
    app.wait_for("Path of a project file")
    app.press(_paste(PASTED))
    app.wait_for(SHOWN)
    app.press("enter")
    app.wait_for("[/y]: ")
    app.press("ctrl+p")
    app.wait_for("Search for commands")
    app.press("[/foo] [bold")
    app.wait_for("[/foo] [bold")


def test_the_model_screen_shows_a_hostile_base(app: Terminal) -> None:
    app.press("2")
    app.wait_for("Bases", f"Base  {NAME}", "43,168")
    app.press("t")
    app.wait_for("Hub id")
    app.press(_paste(PASTED + ACTION), "enter")
    app.wait_for(SHOWN, "does not exist")
    _left(app, "does not exist")
    app.wait_for("d Download")
    _pressed(app, "/", gone="d Download")
    app.press("[/foo] [bold", "enter")
    app.wait_for(" 0 of ", "s Search")
    _pressed(app, "s", gone="s Search")
    app.press("[/foo] [bold [@click=app.quit]", "enter")
    app.wait_for("Hub   ", "on this machine")


def test_the_data_screen_shows_rows_findings_and_tokens(app: Terminal) -> None:
    app.press("3")
    app.wait_for("checked  ", seconds=240)
    app.press("f")
    app.wait_for("half of a surrogate pair")
    for _ in range(4):
        app.press("enter")
        app.wait_for("error  ", f"│  {NAME}")
        _left(app, f"│  {NAME}")
        app.press("down")
    app.press("x", "l", "t")
    app.wait_for("train row 1 of", "trained  h")
    seen: set[str] = set()
    for row in range(1, 31):
        text = app.wait_for(f"train row {row} of", "tokens,")
        seen |= {word for word in ("␛", ACTION, "[/foo]", "漢", "�") if word in text.split("Tokens", 1)[1]}
        app.press("\x1b[C", "n")
    assert seen >= {"␛", ACTION, "�"}, seen
    app.press("s")
    app.wait_for("c Map")
    app.press("c")
    app.wait_for(f"Columns of {NAME}", "reads as ")


def test_the_settings_show_hostile_values(app: Terminal) -> None:
    app.press("4")
    app.wait_for("Settings of hostile", r'"h\u001b]0;kanarienvogel\…')
    app.press("enter")
    app.wait_for("Leave the field")
    app.press(_paste(PASTED))
    app.wait_for(SHOWN)


@pytest.mark.parametrize("number", [1, 2, 4], ids=["done", "failed", "died"])
def test_the_train_screen_shows_a_hostile_journal(place: Path, tmp_path: Path, number: int) -> None:
    argv = phi_tui("attach", f"hostile/20260101-00000{number}", "--workspace", place)
    with _opened(tmp_path, argv) as app:
        app.wait_for("step 30/40", "hostile/20260101", "bbbbbbb")
        if number == 1:
            app.wait_for("adapter ␛]52")
        app.press("\x1b[A")
        app.press("v")
        app.wait_for("→", "step 20")
        app.press("v", "m", "y", "s", "w", "m", "f1")
        app.wait_for("Before a run")
        _left(app, "Before a run")
        if number == 2:
            app.press("r")
            app.wait_for("Go on from where?")
        _still_well(app)


def test_runs_shows_compares_and_opens_hostile_logs(app: Terminal) -> None:
    app.press("7")
    app.wait_for("4 runs", "last words  none", ACTION)
    app.press("down", "down")
    app.wait_for("last words  ␛]52")
    app.press(" ", " ", "c")
    app.wait_for("side by side", "figures, * the best")
    app.press("s", "x", "y", "m")
    _left(app, "side by side")
    app.press("l")
    app.wait_for("the end of its log")
    app.press("G")
    app.wait_for(ACTION)
    _left(app, "the end of its log")
    app.press("/")
    app.wait_for("words of project")
    app.press("[/foo] [bold")
    app.wait_for("0 match", "[/foo] [bold")
    app.press("enter")
    _left(app, "0 match")
    app.press("e")
    app.wait_for("Export")


def test_chat_shows_what_a_hostile_model_says(place: Path, tmp_path: Path) -> None:
    """The screens and the child's protocol are the real ones; only the model's words are put into its mouth."""
    swap = (
        "import sys, phi_tui.child as child\n"
        "class Swapped(child.Child):\n"
        "    def __init__(self, module, log=None):\n"
        "        super().__init__('hostile' if module.endswith('speakers') else module, log)\n"
        "child.Child = Swapped\n"
        "from phi_tui.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    argv = [sys.executable, "-c", swap, str(place / "hostile.toml")]
    with _opened(tmp_path, argv, PYTHONPATH=f"{TESTS}:{TESTS.parent}") as app:
        app.wait_for("Projects", "✗ died")
        app.press("6")
        app.wait_for("Question", "is loaded when you ask", 'Template "␛]52')
        app.press("hello [/foo] " + ACTION)
        app.press("enter")
        app.wait_for("99 tokens", "ended by itself", "漢字", seconds=120)
        app.press("\x14")  # ctrl+t: the exact text
        app.wait_for("to the letter", "kanarienvogel")
        _left(app, "to the letter")
        app.press("\x07")  # ctrl+g: the settings, with the hostile system prompt
        app.wait_for("System prompt", "␛]52")
        app.press(_paste(PASTED))  # into a line, which is short
        app.wait_for(SHOWN[-6:])
        for _ in range(20):  # and into the field above it, once that has the focus
            app.press("\x1b[Z", _paste(PASTED))
            with contextlib.suppress(AssertionError):
                app.wait_for(f"│ {SHOWN}", seconds=2)
                break
        app.wait_for(f"│ {SHOWN}")
        _left(app, "System prompt")
        app.press(_paste(PASTED))
        app.wait_for("control characters in what was pasted")
        app.press("enter")
        app.press("ctrl+s")
        app.wait_for("saved as")
        _still_well(app)
