"""The project's transforms: the list in their order, a line of TOML for each, and rows before and after them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from phi_tui import transform_line
from phi_tui.errors import InputError
from phi_tui.safe_text import clean
from phi_tui.schema import Transform
from phi_tui.widgets.data_pane import Pane, VimList
from phi_tui.widgets.data_survey import Known, error_words
from phi_tui.widgets.dialogs import Ask

PREVIEWED = 12
"""Rows asked for at once."""
_EMPTY = (
    "No transforms: the rows are used as the files have them.\n\n"
    "a  adds one: rename, drop, filter, cast, template, strip-html, normalise, deduplicate, sample, shuffle\n\n"
    "They are done in their order before anything else sees the rows; findings still name the line of the file."
)


class TransformsPane(Pane):
    """The list of [[data.transforms]] over a preview of what becomes of the first rows."""

    NAME, WORD, KEY, MAIN = "transforms", "Transforms", "i", "#transform-list"
    BINDINGS = [
        Binding("a", "add", "Add", id="transforms.add", tooltip="Add a transform behind this one"),
        Binding("enter,e", "edit", "Edit", id="transforms.edit", tooltip="Edit the transform as a line of TOML"),
        Binding("delete,d", "remove", "Remove", id="transforms.remove", tooltip="Take the transform out"),
        Binding("K,shift+up", "move(-1)", "Up", id="transforms.up", tooltip="Do it earlier"),
        Binding("J,shift+down", "move(1)", "Down", id="transforms.down", tooltip="Do it later"),
    ]

    class Wanted(Message):
        """The first rows before and after the transforms are wanted."""

    def __init__(self) -> None:
        super().__init__()
        self._key: tuple[str, int] = ("", 0)
        self._asked = False
        self._preview: dict[str, Any] = {}
        self._flaw = ""
        self._known: Known | None = None

    def compose(self) -> ComposeResult:
        """The list over the rows."""
        yield VimList(id="transform-list", markup=False)
        yield Static(_EMPTY, id="transform-empty", markup=False)
        with VerticalScroll(id="transform-scroll", can_focus=True):
            yield Static("", id="transform-rows", markup=False)

    def show(self, known: Known) -> None:
        """Draw the list; a preview of other settings is forgotten."""
        self._known = known
        if known.survey.key != self._key[0] or (known.survey.request != self._key[1] and not known.survey.running):
            self._key = known.survey.key, known.survey.request
            self._asked, self._preview, self._flaw = False, {}, ""
        transforms = known.project.data.transforms
        self.border_subtitle = f"{len(transforms)}" if transforms else ""
        listed = self.query_one("#transform-list", VimList)
        at = listed.highlighted
        counts = known.survey.report.get("transforms") or []
        listed.set_options(Option(_line(one, number, counts)) for number, one in enumerate(transforms))
        listed.display = bool(transforms)
        if transforms:
            listed.highlighted = min(at or 0, len(transforms) - 1)
        self.query_one("#transform-empty").display = not transforms
        self.query_one("#transform-scroll").display = bool(transforms)
        self._draw()
        self._ask()

    def focus_main(self) -> None:
        """Give the focus to the list, and have the rows looked at now that somebody does."""
        super().focus_main()
        self._ask()

    def _ask(self) -> None:
        known = self._known
        seen = self.has_class("-active") or self.has_class("-beside")
        if known and seen and not self._asked and known.project.data.transforms and known.project.data.sources:
            self._asked = True
            self.post_message(self.Wanted())

    def take(self, payload: dict[str, Any]) -> None:
        """The preview came."""
        self._preview, self._flaw = dict(payload), ""
        self._draw()

    def failed(self, payload: dict[str, Any]) -> None:
        """The rows could not be read."""
        self._flaw = error_words(payload)
        self._draw()

    def _draw(self) -> None:
        text = Text()
        error = self._preview.get("error")
        flaw = self._flaw or (error_words(error) if isinstance(error, dict) else "")
        if flaw:
            text.append(clean(flaw, limit=1000) + "\n\n", self.get_component_rich_style("pane--error", partial=True))
        rows = [row for row in self._preview.get("rows") or [] if isinstance(row, dict)]
        if rows:
            text.append(f"The first {len(rows)} rows, before (-) and after (+)\n", "bold")
            for row in rows:
                _append_row(text, row, self._transforms())
        elif not flaw:
            text.append("The first rows are being read." if self._asked else "")
        self.query_one("#transform-rows", Static).update(text)

    # Changing the list

    def _transforms(self) -> tuple[Transform, ...]:
        project = self.phi.session.project
        return project.data.transforms if project else ()

    def _at(self) -> int | None:
        at = self.query_one("#transform-list", OptionList).highlighted
        return at if at is not None and at < len(self._transforms()) else None

    def _take(self, transforms: list[Transform], at: int) -> None:
        plain = [one.model_dump(mode="json", exclude_defaults=True) for one in transforms]
        if self.phi.set(data__transforms=plain) and transforms:
            self.query_one("#transform-list", OptionList).highlighted = min(max(0, at), len(transforms) - 1)

    def action_add(self) -> None:
        """Ask for a line, and put it behind the one at the cursor."""
        if self.phi.session.project is None:
            return
        at = self._at()
        place = len(self._transforms()) if at is None else at + 1

        def taken(made: Transform | None) -> None:
            if made is not None:
                now = list(self._transforms())
                self._take([*now[:place], made, *now[place:]], place)

        self.phi.push_screen(TransformLine(""), taken)

    def action_edit(self) -> None:
        """Edit the line at the cursor."""
        at = self._at()
        if at is None:
            return
        before = self._transforms()[at]

        def taken(made: Transform | None) -> None:
            now = list(self._transforms())
            if made is not None and now[at : at + 1] == [before]:
                self._take([*now[:at], made, *now[at + 1 :]], at)

        self.phi.push_screen(TransformLine(transform_line.spell(before)), taken)

    @on(OptionList.OptionSelected, "#transform-list")
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_edit()

    def action_remove(self) -> None:
        """Ask, then take the transform out."""
        at = self._at()
        if at is None:
            return
        before = self._transforms()[at]

        def answered(answer: str | None) -> None:
            now = list(self._transforms())
            if answer == "remove" and now[at : at + 1] == [before]:
                self._take([*now[:at], *now[at + 1 :]], at)

        question = f"Take {clean(transform_line.spell(before), one_line=True, limit=200)} out?"
        self.phi.push_screen(Ask(question, [("keep", "Keep"), ("remove", "Remove")], danger="remove"), answered)

    def action_move(self, by: int) -> None:
        """Change places with the one before or behind."""
        at, now = self._at(), list(self._transforms())
        if at is None or not 0 <= at + by < len(now):
            return
        now[at], now[at + by] = now[at + by], now[at]
        self._take(now, at + by)


class TransformLine(ModalScreen[Transform | None]):
    """A line of TOML with what is wrong with it, over an example of each kind."""

    HORIZONTAL_BREAKPOINTS = [(0, "narrow"), (100, "wide")]
    BINDINGS = [
        Binding("escape", "cancel", "Cancel", id="transform.cancel", tooltip="Change nothing"),
        Binding("down", "to_list", "Examples", show=False, id="transform.list", tooltip="Choose among the examples"),
    ]

    class Looked(Message):
        """A line was looked at."""

        def __init__(self, text: str, made: Transform | None, flaw: str, take: bool) -> None:
            super().__init__()
            self.text, self.made, self.flaw, self.take = text, made, flaw, take

    def __init__(self, line: str) -> None:
        super().__init__()
        self._line = line

    def compose(self) -> ComposeResult:
        """The line, what is wrong with it, the examples."""
        with Vertical(classes="dialog data-dialog"):
            yield Label(
                "A transform as a line of TOML: do, and the keys of its kind. Down goes to the examples.",
                markup=False,
                classes="dialog-question",
            )
            yield Input(self._line, placeholder=transform_line.EXAMPLES["filter"], id="transform-line")
            yield Label("", markup=False, classes="dialog-flaw")
            yield VimList(*(Option(Text(line)) for line in transform_line.EXAMPLES.values()), id="transform-examples")

    @on(Input.Changed, "#transform-line")
    def _changed(self, event: Input.Changed) -> None:
        self._look(event.value, take=False)

    @on(Input.Submitted, "#transform-line")
    def _entered(self, event: Input.Submitted) -> None:
        self._look(event.value, take=True)

    def _look(self, text: str, *, take: bool) -> None:
        """Check a line on a thread: the first template or pattern loads what reads it."""
        if not text.strip():
            self.query_one(".dialog-flaw", Label).update("")
            return
        threading.Thread(target=_checked(text, take, self.post_message), name="check a transform", daemon=True).start()

    def on_transform_line_looked(self, event: Looked) -> None:
        """Say what is wrong with the line as it stands, or take it."""
        if event.text != self.query_one("#transform-line", Input).value:
            return
        self.query_one(".dialog-flaw", Label).update(clean(event.flaw, limit=500))
        if event.take and event.made is not None:
            self.dismiss(event.made)

    @on(OptionList.OptionSelected, "#transform-examples")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        line = self.query_one("#transform-line", Input)
        line.value = list(transform_line.EXAMPLES.values())[event.option_index]
        line.cursor_position = len(line.value)
        line.focus()

    def action_to_list(self) -> None:
        """Go to the examples."""
        examples = self.query_one("#transform-examples", VimList)
        examples.focus()
        examples.highlighted = examples.highlighted or 0

    def action_cancel(self) -> None:
        """Change nothing."""
        self.dismiss(None)


def _checked(text: str, take: bool, post: Callable[[Message], bool]) -> Callable[[], None]:
    def work() -> None:
        try:
            made, flaw = transform_line.parse(text), ""
        except InputError as error:
            made, flaw = None, error.what
        post(TransformLine.Looked(text, made, flaw, take))

    return work


def _line(transform: Transform, number: int, counts: list[Any]) -> Text:
    """One transform, and what it did to all the rows where that is known."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{number + 1} ", "bold")
    text.append(clean(transform_line.spell(transform), one_line=True, limit=300))
    found = counts[number] if number < len(counts) and isinstance(counts[number], dict) else {}
    if found.get("do") == transform.do:
        changed = f", {int(found.get('changed') or 0):,} changed" if found.get("changed") else ""
        broken = f", {int(found.get('broken') or 0):,} broken" if found.get("broken") else ""
        words = f"{int(found.get('rows_in') or 0):,} rows in, {int(found.get('rows_out') or 0):,} out{changed}{broken}"
        text.append(f"\n  {words}", "dim")
    return text


def _append_row(text: Text, row: dict[str, Any], transforms: tuple[Transform, ...]) -> None:
    """A row as it was and as it became, a line a column; what did not change stands once."""
    text.append(f"{clean(row.get('file', ''), one_line=True, limit=100)}:{row.get('line', '')}", "bold")
    number, broken = row.get("dropped_by"), row.get("broken")
    before, after = row.get("before") or {}, row.get("after")
    if isinstance(number, int):
        do = transforms[number - 1].do if 0 < number <= len(transforms) else ""
        words = f"  cannot be transformed: {clean(broken, one_line=True, limit=200)}" if broken else ""
        text.append(words or f"  left out by {number} {do}", "bold")
    text.append("\n")
    for name, value in before.items():
        if isinstance(after, dict) and after.get(name) == value:
            text.append(f"    {_cell(name, value)}\n", "dim")
        else:
            text.append(f"  - {_cell(name, value)}\n")
    for name, value in (after or {}).items():
        if before.get(name) != value:
            text.append(f"  + {_cell(name, value)}\n", "bold")


def _cell(name: Any, value: Any) -> str:
    return f"{clean(name, one_line=True, limit=40)}: {clean(value, one_line=True, limit=200)}"
