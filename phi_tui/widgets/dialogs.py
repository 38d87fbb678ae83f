"""Small questions over a screen: one of several choices, or a line of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label

from phi_tui.safe_text import clean
from phi_tui.widgets.line_input import LineInput


class Ask(ModalScreen[str]):
    """A question with buttons; returns the chosen button's id, or an empty text when it is dismissed."""

    BINDINGS = [
        Binding("escape", "dismiss('')", "Cancel", id="dialog.cancel", tooltip="Change nothing"),
        Binding("left,h,up,k", "app.focus_previous", "Previous", show=False, id="dialog.previous"),
        Binding("right,l,down,j", "app.focus_next", "Next", show=False, id="dialog.next"),
    ]

    def __init__(
        self, question: str, choices: Sequence[tuple[str, str]], *, danger: str = "", column: bool = False
    ) -> None:
        """`choices` are (id, label) pairs, the first one focused; `danger` names the id drawn as dangerous.

        With `column` they stand below each other, as many or long ones need.
        """
        super().__init__()
        self._question, self._choices, self._danger, self._column = question, choices, danger, column

    def compose(self) -> ComposeResult:
        """The question above its buttons."""
        with Vertical(classes="dialog"):
            yield Label(clean(self._question), markup=False, classes="dialog-question")
            with (Vertical if self._column else Horizontal)(classes="dialog-buttons"):
                for name, label in self._choices:
                    yield Button(label, id=name, variant="error" if name == self._danger else "default")

    @on(Button.Pressed)
    def _chosen(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id or "")


class AskText(ModalScreen[str]):
    """A line of text; returns it, or an empty text when it is dismissed."""

    BINDINGS = [Binding("escape", "dismiss('')", "Cancel", id="dialog.cancel", tooltip="Change nothing")]

    def __init__(
        self, question: str, value: str = "", *, check: Callable[[str], str] | None = None, placeholder: str = ""
    ) -> None:
        """`check` returns what is wrong with the text, or nothing; a text that is wrong is not taken."""
        super().__init__()
        self._question, self._value, self._placeholder = question, value, placeholder
        self._check = check or (lambda text: "" if text.strip() else "type something, or press escape")

    def compose(self) -> ComposeResult:
        """The question, the line, and what is wrong with it."""
        with Vertical(classes="dialog"):
            yield Label(clean(self._question), markup=False, classes="dialog-question")
            yield LineInput(self._value, placeholder=self._placeholder)
            yield Label("", markup=False, classes="dialog-flaw")

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        if flaw := self._check(event.value):
            self.query_one(".dialog-flaw", Label).update(clean(flaw))
            return
        self.dismiss(event.value.strip())
