"""The form: every setting of the project on a line of its own, in groups, filtered, and edited in place.

The list owns what is typed and does not fit: such a text stays in its field, with what is wrong, until it fits or is
taken back.  It changes no project; it tells the screen what was taken.
"""

from __future__ import annotations

from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Input, Static

from phi_tui import form
from phi_tui.form import Field
from phi_tui.golden import SUGGESTIONS
from phi_tui.schema import Project
from phi_tui.widgets.form_choices import FormChoices
from phi_tui.widgets.form_row import LONGEST, FieldInput, FormRow, RowView


class FormList(VerticalScroll, can_focus=True, inherit_bindings=False):
    """The settings; the cursor is a row's, the focus the list's or that of the input over a value."""

    COMPONENT_CLASSES = {
        "form-list--name",
        "form-list--value",
        "form-list--changed",
        "form-list--golden",
        "form-list--error",
        "form-list--note",
        "form-list--here",
    }
    BINDINGS = [
        Binding("enter", "edit", "Edit", id="form.edit", tooltip="Type a value, or choose from a list"),
        Binding("space", "next_value", "Toggle", show=False, id="form.toggle", tooltip="The next of the values"),
        Binding("left,h", "cycle(-1)", "Value before", show=False, id="form.before", tooltip="The value before"),
        Binding("right,l", "cycle(1)", "Next value", show=False, id="form.after", tooltip="The next of the values"),
        Binding("g", "golden", "Golden", id="form.golden", tooltip="Take the setting's golden value, or its next one"),
        Binding("r", "reset", "Default", id="form.reset", tooltip="Take the setting's default"),
        Binding("D", "differing", "Diff", id="form.differing", tooltip="Only what differs from the defaults"),
        Binding("a", "advanced", "Fewer", show=False, id="form.advanced", tooltip="Hide or show what few need"),
        Binding("up,k", "move(-1)", "Up", show=False, id="form.up", tooltip="The setting above"),
        Binding("down,j", "move(1)", "Down", show=False, id="form.down", tooltip="The setting below"),
        Binding("pageup", "move(-10)", "Page up", show=False, id="form.page-up", tooltip="Ten settings up"),
        Binding("pagedown", "move(10)", "Page down", show=False, id="form.page-down", tooltip="Ten settings down"),
        Binding("home", "move(-999)", "First", show=False, id="form.first", tooltip="The first setting"),
        Binding("end,G", "move(999)", "Last", show=False, id="form.last", tooltip="The last setting"),
    ]

    class Moved(Message):
        """The cursor is on another setting, or what is known of this one changed."""

    class Typed(Message):
        """A text is being typed; `error` says why it does not fit, if so."""

        def __init__(self, field: Field, value: Any, error: str) -> None:
            super().__init__()
            self.field, self.value, self.error = field, value, error

    class Taken(Message):
        """A value that fits is to be saved."""

        def __init__(self, field: Field, value: Any) -> None:
            super().__init__()
            self.field, self.value = field, value

    class Selected(Message):
        """Other rows are shown: how many of how many."""

        def __init__(self, shown: int, of: int) -> None:
            super().__init__()
            self.shown, self.of = shown, of

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.fields = form.fields()
        self.project: Project | None = None
        self.values: dict[str, Any] = {}
        self.drafts: dict[str, tuple[str, str]] = {}
        """By key, a text that does not fit and what is wrong with it."""
        self.only_differing = False
        self.hide_advanced = False
        self.edits = 0
        """How often a field was opened or a value taken: what has one number is one edit."""
        self._words: list[str] = []
        self._at = 0
        self._shown = list(range(len(self.fields)))
        self._rows = [FormRow(field, self) for field in self.fields]
        self._heads: dict[str, Static] = {}
        self._editing: FormRow | None = None

    @property
    def field(self) -> Field:
        """The setting under the cursor."""
        return self.fields[self._at]

    @property
    def value(self) -> Any:
        """Its value in the project."""
        return self.values.get(self.field.key)

    @property
    def error(self) -> str:
        """What is wrong with the text in its field."""
        return self.drafts.get(self.field.key, ("", ""))[1]

    @property
    def editing(self) -> bool:
        """Whether a field is open."""
        return self._editing is not None

    @property
    def help_text(self) -> str:
        """What F1 says of the focused setting."""
        return f"{self.field.key}: {self.field.sentence} Takes {self.field.allowed}."

    def compose(self) -> ComposeResult:
        """Group by group."""
        for row in self._rows:
            if row.field.group not in self._heads:
                self._heads[row.field.group] = Static(row.field.group, classes="form-group", markup=False)
                yield self._heads[row.field.group]
            yield row

    def show(self, project: Project) -> None:
        """Show a project's values; what is being typed stays."""
        self.project, self.values = project, form.values(project)
        self._select()

    def forget(self) -> None:
        """Drop what was typed for another project."""
        self.leave()
        self.drafts.clear()

    def go_to(self, key: str) -> None:
        """Put the cursor on a setting, if it is shown."""
        self.leave()
        place = next((place for place in self._shown if self.fields[place].key == key), None)
        if place is not None:
            self._go(place)

    def keep(self, key: str, value: Any) -> None:
        """Keep a value that could not be saved as a draft, so that it can be saved again."""
        field = next(field for field in self.fields if field.key == key)
        self.drafts[key] = (form.spell(field, value), "could not be saved")
        if self.project is not None:
            self.show(self.project)

    def filter(self, text: str) -> None:
        """Show only the settings whose key or sentence holds every word."""
        self._words = text.lower().split()
        self._select()

    def leave(self) -> None:
        """Close the open field: a text that fits is taken, another one stays as a draft."""
        row, self._editing = self._editing, None
        if row is None or row.input is None:
            return
        field, text, had_focus = row.field, row.input.value, row.input.has_focus
        row.leave()
        value = form.parse(field, text)
        # Checked again: the last keystroke's message may still be under way.
        error = form.check(self.project, field.key, value) if self.project else ""
        if error:
            self.drafts[field.key] = (text, error)
        else:
            self.drafts.pop(field.key, None)
            self._tell(field, value)
        if had_focus or self.screen.focused is None:
            self.screen.set_focus(self)
        self._refresh_row(row)

    # Keys

    def action_move(self, by: int) -> None:
        """Go to another setting."""
        self.leave()
        if self._shown:
            place = self._shown.index(self._at) if self._at in self._shown else 0
            self._go(self._shown[min(max(0, place + by), len(self._shown) - 1)])

    def action_edit(self) -> None:
        """Open the field, or the list of its values."""
        field = self.field
        if self.project is None or not self._shown or self.editing:
            return
        if not field.editable:
            self._say(f"{field.key} is shown, not edited: w saves the project under another name")
        elif field.cycle and set(field.types) <= {"bool"}:
            self._choose()
        else:
            text = self.drafts[field.key][0] if field.key in self.drafts else form.spell(field, self.value)
            if len(text) > LONGEST:
                self._say(f"{field.key} has {len(text):,} characters, too many for one line: edit it in the file")
                return
            self.edits += 1
            self._editing = self._rows[self._at]
            self._editing.edit(text)

    def action_next_value(self) -> None:
        """The next value of a setting that takes a few."""
        self.action_cycle(1)

    def action_cycle(self, by: int) -> None:
        """The next or last of the values; a value that is none of them gives way to the first."""
        values = self.field.cycle
        if self.project is not None and values and self.field.editable and self._shown:
            place = _place(values, self.value)
            self._take(self.field, values[(place + by) % len(values)] if place >= 0 else values[0])

    def action_golden(self) -> None:
        """The golden value, or the next one."""
        suggestion = SUGGESTIONS.get(self.field.key)
        if suggestion is None:
            self._say(f"{self.field.key} has no golden value; those with one: {', '.join(SUGGESTIONS)}")
        elif self.project is not None and self._shown:
            if suggestion.after(self.value) == self.value and not self.error:
                self._say(f"{self.field.key} is golden already")
            self._take(self.field, suggestion.after(self.value))

    def action_reset(self) -> None:
        """The default."""
        if self.project is not None and self.field.editable and self._shown:
            self._take(self.field, self.field.default)

    def action_differing(self) -> None:
        """Show only what differs from the defaults, or everything."""
        self.only_differing = not self.only_differing
        self._select()

    def action_advanced(self) -> None:
        """Hide or show what few need."""
        self.hide_advanced = not self.hide_advanced
        self._select()

    # What the rows and the open field say

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        row = self._editing
        if row is None or row.input is not event.input or self.project is None:
            return
        field, text = row.field, event.value
        value = form.parse(field, text)
        error = form.check(self.project, field.key, value)
        if error:
            self.drafts[field.key] = (text, error)
        else:
            self.drafts.pop(field.key, None)
        self._refresh_row(row)
        self.post_message(self.Typed(field, value, error))
        self.post_message(self.Moved())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.leave()

    @on(FieldInput.Left)
    def _left(self, event: FieldInput.Left) -> None:
        event.stop()
        if self.editing:
            self.leave()
            if event.by:
                self.action_move(event.by)

    @on(FormRow.Clicked)
    def _clicked(self, event: FormRow.Clicked) -> None:
        event.stop()
        here = event.field == self.field
        self.leave()
        self._go(self.fields.index(event.field))
        if here and event.on_value:
            self.action_edit()

    def _choose(self) -> None:
        field, values = self.field, self.field.cycle
        words = [form.spelled(value) + ("  (default)" if value == field.default else "") for value in values]

        def chosen(place: int | None) -> None:
            if place is not None and place >= 0:
                self._take(field, values[place])

        self.app.push_screen(FormChoices(field.key, field.sentence, words, _place(values, self.value)), chosen)

    def _take(self, field: Field, value: Any) -> None:
        if self.drafts.pop(field.key, None) is not None:
            self._refresh_row(self._rows[self.fields.index(field)])
            self.post_message(self.Moved())
        self.edits += 1
        self._tell(field, value)

    def _tell(self, field: Field, value: Any) -> None:
        if not _same(value, self.values.get(field.key)):
            # Shown at once: a key that is pressed again must start from here, saved or not yet.
            self.values[field.key] = value
            self._refresh_row(self._rows[self.fields.index(field)])
            self.post_message(self.Moved())
            self.post_message(self.Taken(field, value))

    # Which rows are shown, and how

    def _go(self, place: int) -> None:
        before, self._at = self._at, place
        self._refresh_row(self._rows[before])
        row = self._rows[place]
        self._refresh_row(row)
        if self._shown and place == self._shown[0]:
            self.scroll_home(animate=False)
        else:
            self.scroll_to_widget(row, animate=False)
        self.post_message(self.Moved())

    def _select(self) -> None:
        shown = [place for place, field in enumerate(self.fields) if self._wanted(field)]
        groups = {self.fields[place].group for place in shown}
        if shown != self._shown or not self.is_mounted:
            for place, row in enumerate(self._rows):
                row.display = place in shown
            for group, head in self._heads.items():
                head.display = group in groups
        self._shown = shown
        if shown and self._at not in shown:
            before = [place for place in shown if place < self._at]
            self._go(before[-1] if before else shown[0])
        for row in self._rows:
            self._refresh_row(row)
        self.post_message(self.Selected(len(shown), len(self.fields)))
        self.post_message(self.Moved())

    def _wanted(self, field: Field) -> bool:
        if self._editing is not None and self._editing.field == field:
            return True
        text = f"{field.key} {field.sentence}".lower()
        if not all(word in text for word in self._words):
            return False
        differs = self._differs(field) or field.key in self.drafts
        if self.only_differing:
            return differs
        return differs or bool(self._words) or not (self.hide_advanced and field.advanced)

    def _differs(self, field: Field) -> bool:
        return field.editable and field.key in self.values and self.values[field.key] != field.default

    def _refresh_row(self, row: FormRow) -> None:
        field = row.field
        if field.key not in self.values:
            return
        draft, error = self.drafts.get(field.key, ("", ""))
        suggestion = SUGGESTIONS.get(field.key)
        row.show(
            RowView(
                value=draft if error else form.spell(field, self.values[field.key]),
                differs=self._differs(field),
                golden=bool(suggestion and suggestion.holds(self.values[field.key]) and not error),
                error=error,
                default=form.spell(field, field.default),
                cycles=bool(field.cycle) and field.editable,
                here=field == self.field,
            )
        )

    def _say(self, text: str) -> None:
        self.app.notify(text, markup=False, timeout=5)


def _place(values: tuple[Any, ...], value: Any) -> int:
    """Where a value stands among the values, -1 for nowhere."""
    return next((place for place, one in enumerate(values) if _same(one, value)), -1)


def _same(one: Any, other: Any) -> bool:
    """Equal, and not True for 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
