"""A line for a path, with the names that would complete it; Tab takes what they have in common, or the first.

Folders are read on a thread, since one on a network can take seconds; an answer that comes after the text went on is
dropped.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from phi_tui.safe_text import clean
from phi_tui.widgets.line_input import LineInput

_READ_AT_MOST = 5000
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What the line would hold, and how the name is shown: a folder ends in a slash."""

    text: str
    name: str


def is_data_file(name: str) -> bool:
    """Whether a name is that of a file that can be a source."""
    from phi_tui.engine.sources import SUFFIXES

    stem = name.lower().removesuffix(".gz")
    suffix = os.path.splitext(stem)[1]
    return suffix in SUFFIXES and not (suffix == ".parquet" and name.lower().endswith(".gz"))


def complete(text: str, root: Path, also: tuple[str, ...] = ()) -> list[Suggestion]:
    """The folders and data files (and names ending in `also`) that continue `text`; relative to `root`, ~ known.

    Hidden names come only when the last part begins with a dot; names that cannot be typed (control characters) never.
    What cannot be read gives nothing.
    """
    if text == "~":
        return [Suggestion("~/", "~/")]
    head, _, tail = text.rpartition("/")
    head = head + "/" if "/" in text else ""
    try:
        folder = root / os.path.expanduser(head)
        found: list[tuple[bool, str]] = []
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= _READ_AT_MOST:
                    break
                if not _begins(entry.name, tail) or (entry.name.startswith(".") and not tail.startswith(".")):
                    continue
                if clean(entry.name, one_line=True) != entry.name:
                    continue
                is_folder = _is_folder(entry)
                if is_folder or is_data_file(entry.name) or (also and entry.name.endswith(also)):
                    found.append((is_folder, entry.name))
    except (OSError, ValueError, RuntimeError):
        return []
    found.sort(key=lambda one: (one[0], one[1].lower()))
    names = [name + ("/" if is_folder else "") for is_folder, name in found[:_SHOWN]]
    return [Suggestion(head + name, name) for name in names]


def common(suggestions: list[Suggestion], text: str) -> str:
    """What Tab makes of `text`: the longest beginning that all suggestions share, else the first suggestion."""
    if not suggestions:
        return text
    shared = suggestions[0].text
    for one in suggestions:
        while not one.text.startswith(shared):
            shared = shared[:-1]
    return shared if len(shared) > len(text) else suggestions[0].text


def _begins(name: str, tail: str) -> bool:
    return name.lower().startswith(tail.lower())


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


class PathInput(LineInput):
    """An Input for a path; says `Suggested` whenever the completions of its text are known."""

    BINDINGS = [
        Binding("tab", "complete", "Complete", id="path.complete", tooltip="Take what the names have in common"),
    ]

    class Suggested(Message):
        """What would complete the text now in the line."""

        def __init__(self, text: str, suggestions: list[Suggestion]) -> None:
            super().__init__()
            self.text, self.suggestions = text, suggestions

    def __init__(self, root: Path, value: str = "", *, placeholder: str = "", id: str | None = None) -> None:  # noqa: A002
        super().__init__(value, placeholder=placeholder, id=id, select_on_focus=False)
        self._root = root
        self._suggestions: list[Suggestion] = []
        self._suggested_for: str | None = None
        self._pressed = False

    def on_mount(self) -> None:
        """Offer what lies in the project's folder."""
        self._look(self.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Look for what continues the text."""
        if event.input is self:
            self._look(event.value)

    def _look(self, text: str) -> None:
        def work() -> None:
            self.post_message(self.Suggested(text, complete(text, self._root)))

        threading.Thread(target=work, name="complete a path", daemon=True).start()

    def on_path_input_suggested(self, event: Suggested) -> None:
        """Keep the completions of the text as it is; those of an older text are dropped."""
        if event.text != self.value:
            event.stop()
            return
        self._suggestions, self._suggested_for = event.suggestions, event.text
        if self._pressed:
            self._pressed = False
            self._take()

    def action_complete(self) -> None:
        """Complete now, or as soon as the folder is read."""
        if self._suggested_for == self.value:
            self._take()
        else:
            self._pressed = True

    def _take(self) -> None:
        text = common(self._suggestions, self.value)
        if text != self.value:
            self.value = text
            self.cursor_position = len(text)
        elif not self._suggestions:
            self.app.bell()
