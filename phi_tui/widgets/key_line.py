"""The last line: the keys that do something here, each with its word.

One widget that draws one line.  The library's footer is a widget for each key, made anew whenever the focus moves: some
30 ms each time, and as much before the first picture.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.screen import Screen
from textual.widget import Widget


@dataclass(frozen=True, slots=True)
class Entry:
    """A key as it is shown, its word, what is said of it, the key that a click presses, and whether it works now."""

    shown: str
    word: str
    about: str
    key: str
    enabled: bool
    everywhere: bool
    """Whether it is the app's own: it stays when there is no room for all."""


class KeyLine(Widget):
    """Keys and words; a click presses the key, the pointer shows what it does."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES = {"key-line--key", "key-line--word", "key-line--under-pointer", "key-line--off"}

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[Entry] = []
        self._places: list[tuple[int, int, Entry]] = []
        self._pointer: int | None = None

    def on_mount(self) -> None:
        """Follow what the focused widget and the screen bind."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        entries = _entries(screen)
        if entries != self._entries:
            self._entries = entries
            self.refresh()

    def render(self) -> RenderResult:
        """The line; where not all fit, the screen's last ones are left out and an ellipsis says so."""
        narrow = self.size.width < 100
        entries, cut = _fitting(self._entries, self.size.width, narrow)
        key, word = self.get_component_rich_style("key-line--key"), self.get_component_rich_style("key-line--word")
        under = self.get_component_rich_style("key-line--under-pointer")
        off = self.get_component_rich_style("key-line--off")
        line, self._places = Text(" " if narrow else "", no_wrap=True, overflow="crop"), []
        for at, entry in enumerate(entries):
            if at == cut:
                line.append("… ", word)
            start = line.cell_len
            keys, words = _parts(entry, narrow)
            end = start + cell_len(keys + words)
            pointed = self._pointer is not None and start <= self._pointer < end
            line.append(keys, under if pointed else key if entry.enabled else off)
            line.append(words, under if pointed else word if entry.enabled else off)
            self._places.append((start, end, entry))
        return line

    def _at(self, x: int) -> Entry | None:
        return next((entry for start, end, entry in self._places if start <= x < end), None)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Say what the key under the pointer does."""
        before = self._at(self._pointer) if self._pointer is not None else None
        now = self._at(event.x)
        self._pointer = event.x
        if now != before:
            self.tooltip = now.about if now else None
            self.refresh()

    def on_leave(self) -> None:
        """The pointer is elsewhere."""
        if self._pointer is not None:
            self._pointer = None
            self.refresh()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press the key that was clicked."""
        entry = self._at(event.x)
        if entry is None:
            return
        if entry.enabled:
            self.app.simulate_key(entry.key)
        else:
            self.app.bell()


def _entries(screen: Screen[object]) -> list[Entry]:
    """What is bound and shown now, an action once, in the order of the library: focused widget, screen, app."""
    found: dict[str, Entry] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.show and binding.action not in found:
            about = active.tooltip or binding.description
            shown = screen.app.get_key_display(binding)
            everywhere = active.node is screen.app
            found[binding.action] = Entry(shown, binding.description, about, binding.key, active.enabled, everywhere)
    return list(found.values())


def _parts(entry: Entry, narrow: bool) -> tuple[str, str]:
    """The key and the word; on a narrow screen there is a space less around each."""
    return f"{'' if narrow else ' '}{entry.shown} ", f"{entry.word} "


def _fitting(entries: list[Entry], width: int, narrow: bool) -> tuple[list[Entry], int]:
    """What fits, and before which of it something is left out (-1: nowhere)."""
    cells = [cell_len("".join(_parts(entry, narrow))) for entry in entries]
    left = width - (1 if narrow else 0)
    if sum(cells) - 1 <= left:
        return entries, -1
    kept, room = set(), left - 2
    for wanted in (True, False):
        for at, entry in enumerate(entries):
            if entry.everywhere is wanted:
                if cells[at] > room:
                    break
                kept.add(at)
                room -= cells[at]
    first = next((at for at in range(len(entries)) if at not in kept), len(entries))
    return [entry for at, entry in enumerate(entries) if at in kept], sum(at in kept for at in range(first))
