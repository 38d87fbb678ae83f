"""Help: what the screen is for, what the focused field is, and every key that works now; made from the bindings."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Markdown, Static

from phi_tui.safe_text import clean


class Help(ModalScreen[None]):
    """A page over the screen it explains; any of escape, q and F1 closes it."""

    BINDINGS = [
        Binding("escape,q", "close", "Close", id="help.close", tooltip="Back to the screen"),
        Binding("j,down", "scroll(1)", "Down", show=False, id="help.down"),
        Binding("k,up", "scroll(-1)", "Up", show=False, id="help.up"),
        Binding("space,pagedown", "scroll(10)", "Page down", show=False, id="help.page"),
    ]

    def __init__(self, explained: Screen[Any], focused: Widget | None) -> None:
        super().__init__()
        self._explained, self._focused = explained, focused
        # Read now: once this page is up, the bindings that work are its own.
        self._keys = [
            (self._shown_key(active.binding), active.binding.description, active.binding.tooltip)
            for active in sorted(explained.active_bindings.values(), key=lambda active: not active.binding.id)
            if active.enabled and active.binding.description
        ]  # ours have ids, and come before the library's keys for scrolling and selecting

    def compose(self) -> ComposeResult:
        """The screen's own words, the field's, the keys."""
        with VerticalScroll(id="help"):
            yield Markdown(getattr(self._explained, "HELP", "") or "# phi-tui", id="help-screen")
            if words := self._field():
                yield Static(Text.assemble(("This field  ", "bold"), clean(words)), id="help-field", markup=False)
            yield Static(self._table(), id="help-keys", markup=False)

    def _field(self) -> str:
        node: Any = self._focused
        while node is not None and node is not self._explained:
            words = getattr(node, "help_text", "") or node.tooltip
            if words:
                return str(words)
            node = node.parent
        return ""

    def _table(self) -> Text:
        lines = Text()
        seen: dict[tuple[str, str], list[str]] = {}
        for key, description, tooltip in self._keys:
            seen.setdefault((description, tooltip or ""), []).append(key)
        for (description, tooltip), keys in seen.items():
            lines.append(f"{' '.join(dict.fromkeys(keys)):>14}  ", "bold")
            lines.append(f"{description:<18} ")
            lines.append(f"{tooltip if tooltip != description else ''}\n", "dim")
        lines.append("\nKeys can be changed in keys.toml in the configuration folder; see docs/app.md.\n", "dim")
        return lines

    def _shown_key(self, binding: Binding) -> str:
        return binding.key_display or self.app.get_key_display(binding)

    def action_close(self) -> None:
        """Back to the screen."""
        self.dismiss()

    def action_scroll(self, lines: int) -> None:
        """Scroll the page."""
        self.query_one("#help").scroll_relative(y=lines, animate=False)
