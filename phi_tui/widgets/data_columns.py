"""Which column holds what: the fields with their columns, changed one by one, beside the first rows of the file."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList, Static
from textual.widgets.option_list import Option

from phi_tui.safe_text import clean
from phi_tui.widgets.data_pane import VimList
from phi_tui.widgets.data_survey import error_words
from phi_tui.widgets.dialogs import AskText

FIELDS = ("instruction", "input", "output", "prompt", "completion", "messages", "text", "system", "label")
_ROWS = 5


def form_of(mapping: dict[str, str]) -> str:
    """The format that a mapping's fields make, or an empty text when they make none."""
    fields = set(mapping)
    for form, needed, allowed in (
        ("chat", {"messages"}, {"messages"}),
        ("instruction", {"instruction", "output"}, {"instruction", "output", "input", "system"}),
        ("prompt-completion", {"prompt", "completion"}, {"prompt", "completion", "system"}),
        ("text", {"text"}, {"text"}),
        ("text with a label", {"text", "label"}, {"text", "label"}),
        ("instruction with a label", {"instruction", "label"}, {"instruction", "input", "label"}),
    ):
        if needed <= fields <= allowed:
            return form
    return ""


class ColumnsDialog(ModalScreen[dict[str, str] | None]):
    """Returns the mapping to set, empty for what is detected; None when nothing is to change."""

    HORIZONTAL_BREAKPOINTS = [(0, "narrow"), (100, "wide")]
    BINDINGS = [
        Binding("escape", "cancel", "Cancel", id="columns.cancel", tooltip="Change nothing"),
        Binding("s", "save", "Save", id="columns.save", tooltip="Take this mapping"),
        Binding("right,l,enter,space", "turn(1)", "Next column", id="columns.next", tooltip="The next column"),
        Binding("left,h", "turn(-1)", "Column before", show=False, id="columns.previous", tooltip="The column before"),
        Binding("x,delete", "clear", "Empty", id="columns.clear", tooltip="No column for this field"),
        Binding("d", "detected", "As detected", id="columns.detected", tooltip="Go back to what is detected"),
        Binding("t", "type", "Type", id="columns.type", tooltip="Type a column's name"),
    ]

    def __init__(self, name: str, mapping: dict[str, str], found: dict[str, str]) -> None:
        """`mapping` is what the project names; `found` what the survey took."""
        super().__init__()
        self._source = name
        self._given = dict(mapping)
        self._detected = {} if mapping else dict(found)
        self.mapping = dict(mapping or found)
        self._columns: list[str] = list(dict.fromkeys(self.mapping.values()))
        self._rows: list[dict[str, Any]] = []
        self._words = "The first rows are being read."

    def compose(self) -> ComposeResult:
        """Fields at the left, first rows at the right or below."""
        with Vertical(classes="dialog data-dialog columns-dialog"):
            name = clean(self._source, one_line=True, limit=200)
            yield Label(
                f"Columns of {name}: right changes a field, x empties it, s saves",
                markup=False,
                classes="dialog-question",
            )
            with Horizontal(id="columns-split"):
                yield VimList(id="columns-fields", markup=False)
                with VerticalScroll(id="columns-scroll"):
                    yield Static("", id="columns-rows", markup=False)
            yield Static("", id="columns-verdict", markup=False)

    def on_mount(self) -> None:
        """Show what is known before the rows come."""
        self._draw()
        self.query_one("#columns-fields").focus()

    def take(self, payload: dict[str, Any]) -> None:
        """The first rows came."""
        files = [one for one in payload.get("files") or [] if isinstance(one, dict)]
        for file in files:
            self._columns = list(dict.fromkeys([*self._columns, *map(str, file.get("columns") or [])]))
            self._rows += [row for row in file.get("rows") or [] if isinstance(row, dict)]
            if not self._detected:
                self._detected = {str(name): str(column) for name, column in (file.get("mapping") or {}).items()}
        if not self.mapping:
            self.mapping = dict(self._detected)
        flaws = [error_words(file["error"]) for file in files if isinstance(file.get("error"), dict)]
        self._words = "\n".join(flaws)
        self._draw()

    def failed(self, payload: dict[str, Any]) -> None:
        """The first rows cannot be shown."""
        self._words = error_words(payload)
        self._draw()

    def _draw(self) -> None:
        if not self.query("#columns-verdict"):
            return  # the rows came before the dialog was up, which draws itself then
        fields = self.query_one("#columns-fields", VimList)
        at = fields.highlighted or 0
        fields.set_options(Option(self._field(name)) for name in FIELDS)
        fields.highlighted = at
        self.query_one("#columns-rows", Static).update(self._first_rows())
        form = form_of(self.mapping)
        verdict = Text()
        if form:
            verdict.append("reads as ", "bold")
            verdict.append(form)
        elif not self.mapping:
            verdict.append("nothing mapped: the columns are detected")
        else:
            verdict.append("fits no format  ", "bold")
            verdict.append("messages, or instruction and output (input), or prompt and completion, or text (label)")
        self.query_one("#columns-verdict", Static).update(verdict)

    def _field(self, name: str) -> Text:
        column = self.mapping.get(name, "")
        text = Text(f"{name:<12}", no_wrap=True, overflow="ellipsis", style="bold" if column else "")
        return text.append(clean(column, one_line=True, limit=80) if column else "-")

    def _first_rows(self) -> Text:
        text = Text()
        if self._words:
            text.append(clean(self._words, limit=600) + "\n")
        mapped = {column: name for name, column in self.mapping.items()}
        for row in self._rows[:_ROWS]:
            values = row.get("values") or {}
            text.append(f"line {row.get('line', '')}\n", "bold")
            for column, value in list(values.items())[:40]:
                used = str(column) in mapped
                text.append(f"  {clean(column, one_line=True, limit=40)}: ", "bold" if used else "dim")
                text.append(f"{clean(value, one_line=True, limit=160)}\n", "" if used else "dim")
        return text

    def _chosen(self) -> str:
        return FIELDS[self.query_one("#columns-fields", OptionList).highlighted or 0]

    @on(OptionList.OptionSelected, "#columns-fields")
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_turn(1)

    def action_turn(self, by: int) -> None:
        """Another column for the field: those that no other field has, and none."""
        name = self._chosen()
        mine = self.mapping.get(name, "")
        order = ["", *(column for column in self._columns if column == mine or column not in self.mapping.values())]
        column = order[(order.index(mine) + by) % len(order)]
        self._put(name, column)

    def action_clear(self) -> None:
        """No column for the field."""
        self._put(self._chosen(), "")

    def action_detected(self) -> None:
        """What the columns suggest by themselves."""
        self.mapping = dict(self._detected)
        self._given = {}
        self._draw()

    def action_type(self) -> None:
        """Ask for a column's name."""
        name = self._chosen()

        def typed(text: str | None) -> None:
            if text:
                if text not in self._columns:
                    self._columns.append(text)
                self._put(name, text)

        self.app.push_screen(AskText(f"The column that holds {name}.", self.mapping.get(name, "")), typed)

    def _put(self, name: str, column: str) -> None:
        self.mapping.pop(name, None)
        if column:  # a column serves one field
            self.mapping = {field: other for field, other in self.mapping.items() if other != column}
            self.mapping[name] = column
        self.mapping = {field: self.mapping[field] for field in FIELDS if field in self.mapping}
        self._draw()

    def action_save(self) -> None:
        """Take the mapping; one that no format fits is not taken."""
        if self.mapping and not form_of(self.mapping):
            self.query_one("#columns-verdict").add_class("bad")
            self.app.bell()
            return
        same = self.mapping == self._detected and not self._given
        self.dismiss({} if same else dict(self.mapping))

    def action_cancel(self) -> None:
        """Change nothing."""
        self.dismiss(None)
