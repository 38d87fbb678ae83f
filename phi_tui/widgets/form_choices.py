"""A small list over the screen: the values that a setting takes, the present one focused."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from phi_tui.safe_text import clean


class FormChoices(ModalScreen[int]):
    """Returns the place of the chosen value, or -1 when it is dismissed."""

    BINDINGS = [
        Binding("escape,q", "dismiss(-1)", "Cancel", id="choices.cancel", tooltip="Change nothing"),
        Binding("j", "move(1)", "Down", show=False, id="choices.down", tooltip="The next value"),
        Binding("k", "move(-1)", "Up", show=False, id="choices.up", tooltip="The value before"),
    ]

    def __init__(self, title: str, sentence: str, choices: list[str], chosen: int) -> None:
        super().__init__()
        self._title, self._sentence, self._choices, self._chosen = title, sentence, choices, chosen

    def compose(self) -> ComposeResult:
        """The values under the setting's sentence."""
        with Vertical(classes="dialog"):
            yield Label(clean(self._title), markup=False, classes="title")
            yield Label(clean(self._sentence), markup=False, classes="dialog-question")
            yield OptionList(*[Option(Text(clean(choice, one_line=True))) for choice in self._choices], markup=False)

    def on_mount(self) -> None:
        """Start at the present value."""
        choices = self.query_one(OptionList)
        choices.highlighted = max(0, self._chosen)
        choices.focus()

    def action_move(self, by: int) -> None:
        """Go up or down."""
        choices = self.query_one(OptionList)
        if by > 0:
            choices.action_cursor_down()
        else:
            choices.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_index)
