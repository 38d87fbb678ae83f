"""One setting of the form on one line: marks, name, value, and beside it what is wrong or what the default is.

The line is drawn by the row itself; while the value is edited an input lies over its place.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import set_cell_size
from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.binding import Binding
from textual.message import Message
from textual.widget import Widget

from phi_tui.form import Field
from phi_tui.safe_text import clean
from phi_tui.widgets.line_input import LineInput

MARKS = 2
NAME = 23
LONGEST = 4000
"""Characters that a text may have to be edited on one line."""


@dataclass(frozen=True, slots=True)
class RowView:
    """What a row shows."""

    value: str = ""
    differs: bool = False
    golden: bool = False
    error: str = ""
    default: str = ""
    cycles: bool = False
    """Whether left and right change the value."""
    here: bool = False
    """Whether the cursor is on this row."""


def value_width(width: int) -> int:
    """How wide the value's place is in a row of so many cells."""
    return max(16, min(44, (width - MARKS - NAME) * 55 // 100))


def beside(error: str) -> str:
    """The end of the schema's message, which says what is allowed; the value stands at its left anyway."""
    return error.rpartition("will not do; ")[2]


class FieldInput(LineInput):
    """The input over a value: control characters are shown, not kept, and up and down leave it."""

    BINDINGS = [
        Binding("enter", "submit", "Take", id="field.take", tooltip="Save what fits and close the field"),
        Binding("escape", "leave(0)", "Leave the field", id="field.leave", tooltip="What fits is saved"),
        Binding("up", "leave(-1)", "Setting above", show=False, id="field.up", tooltip="Leave the field upwards"),
        Binding("down,tab", "leave(1)", "Setting below", show=False, id="field.down", tooltip="Leave it downwards"),
        Binding("shift+tab", "leave(-1)", "Setting above", show=False, id="field.back", tooltip="Leave it upwards"),
    ]

    class Left(Message):
        """The person is done with the field and wants to go `by` rows on."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def _on_paste(self, event: events.Paste) -> None:
        lines = " ".join(event.text.splitlines())
        if lines:
            start, end = sorted(self.selection)
            self.replace(lines, start, end)
        event.prevent_default()
        event.stop()

    def action_leave(self, by: int) -> None:
        """Leave the field."""
        self.post_message(self.Left(by))

    def _on_blur(self, event: events.Blur) -> None:
        super()._on_blur(event)
        # A terminal that loses its focus blurs the field too; that is no reason to leave it.
        if self.app.app_focus:
            self.post_message(self.Left(0))


class FormRow(Widget):
    """A row; the list tells it what to show."""

    class Clicked(Message):
        """The row was clicked, on its value or elsewhere."""

        def __init__(self, field: Field, on_value: bool) -> None:
            super().__init__()
            self.field, self.on_value = field, on_value

    def __init__(self, field: Field, styled_by: Widget) -> None:
        """`styled_by` has the component classes: on fifty rows each, they would make a change of focus slow."""
        super().__init__()
        self.field, self.styled_by = field, styled_by
        self.view = RowView()
        self.input: FieldInput | None = None

    def show(self, view: RowView) -> None:
        """Show something else."""
        if view != self.view:
            self.view = view
            self.set_class(view.here, "-here")
            self.refresh()

    def edit(self, text: str) -> FieldInput:
        """Lay an input with this text over the value and give it the focus."""
        self.input = FieldInput(text, compact=True, max_length=LONGEST, select_on_focus=True)
        self.input.styles.width = value_width(self.size.width)
        self.input.styles.margin = (0, 0, 0, MARKS + NAME)
        self.mount(self.input)
        # At once, not with the next message: what is typed behind the key belongs to the field.
        self.screen.set_focus(self.input)
        return self.input

    def leave(self) -> None:
        """Take the input away."""
        if self.input is not None:
            self.input.remove()
            self.input = None
            self.refresh()

    def on_resize(self) -> None:
        """Keep the input over the value."""
        if self.input is not None:
            self.input.styles.width = value_width(self.size.width)

    def on_click(self, event: events.Click) -> None:
        """Tell the list."""
        if self.input is None:
            place = MARKS + NAME
            on_value = place <= event.x < place + value_width(self.size.width)
            self.post_message(self.Clicked(self.field, on_value))

    def render(self) -> RenderResult:
        """The line, cut to its width."""
        view, width = self.view, self.size.width
        style = lambda part: self.styled_by.get_component_rich_style(f"form-list--{part}", partial=True)  # noqa: E731
        room = value_width(width)
        value = clean(view.value, one_line=True, limit=200)
        if view.here and view.cycles:
            value = f"< {value} >"
        if len(value) >= room and Text(value).cell_len >= room:
            value = set_cell_size(value, room - 2) + "…"
        value_style = style("error" if view.error else "changed" if view.differs else "value")
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(">" if view.here else " ", style("golden"))
        line.append("!" if view.error else "*" if view.differs else " ", value_style)
        line.append(set_cell_size(self.field.name, NAME), style("here" if view.here else "name"))
        line.append(set_cell_size(value, room), value_style)
        line.append("φ " if view.golden else "  ", style("golden"))
        if view.error:
            line.append("! " + clean(beside(view.error), one_line=True, limit=200), style("error"))
        elif view.differs:
            line.append(f"default {clean(view.default, one_line=True, limit=60) or 'empty'}", style("note"))
        return line
