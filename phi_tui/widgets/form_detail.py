"""What the focused setting is for: its sentence, what is wrong with its text, what it takes, its golden values."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from phi_tui.form import Field, spell
from phi_tui.golden import HEURISTIC, SUGGESTIONS, Measured, said
from phi_tui.safe_text import clean


def details(field: Field, value: Any, error: str, found: Measured | None) -> Text:
    """The words, the most pressing first."""
    text = Text()
    if error:
        text.append(f"! Not saved: {clean(error, limit=600)}\n", "bold")
    text.append(f"{field.sentence}\n")
    suggestion = SUGGESTIONS.get(field.key)
    if suggestion:
        golden = suggestion.holds(value)
        text.append("φ " if golden else "g takes ", "bold")
        text.append(f"{suggestion.formula(value if golden else suggestion.values[0])}. ")
        text.append(f"{said(suggestion, found)}\n")
    default = clean(spell(field, field.default), one_line=True, limit=60) or "empty"
    text.append(
        f"Takes {field.allowed}. Default: {default}.\n" if field.editable else "w saves under another name.\n", "dim"
    )
    if suggestion:
        text.append(f"{suggestion.sentence} {HEURISTIC}\n", "dim")
    text.rstrip()
    return text  # fmt: skip


class FormDetail(VerticalScroll, can_focus=False):
    """The words under the form."""

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static("", markup=False)

    def show(self, field: Field, value: Any, error: str, found: Measured | None) -> None:
        """Show a setting's words."""
        self.border_title = f" {field.key} "
        self.query_one(Static).update(details(field, value, error, found))
        self.set_class(bool(error), "-wrong")
        self.scroll_home(animate=False)
