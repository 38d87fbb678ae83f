"""The form with its filter above and the focused setting's words below; the screen hears of it what was taken."""

from __future__ import annotations

from collections.abc import Mapping

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from phi_tui.golden import Measured
from phi_tui.safe_text import clean
from phi_tui.schema import Project
from phi_tui.widgets.form_detail import FormDetail
from phi_tui.widgets.form_list import FormList
from phi_tui.widgets.line_input import LineInput


class FormPanel(Vertical):
    """Filter, settings, words."""

    def __init__(self, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._measured: Mapping[str, Measured] = {}
        self._project_name = ""

    def compose(self) -> ComposeResult:
        """The filter is hidden until it is asked for."""
        yield LineInput(placeholder="words of a name or a sentence; escape clears", id="form-filter", compact=True)
        yield FormList(id="form", classes="panel")
        yield FormDetail(id="form-detail")

    @property
    def list(self) -> FormList:
        """The settings."""
        return self.query_one(FormList)

    @property
    def box(self) -> Input:
        """The filter."""
        return self.query_one("#form-filter", Input)

    def show(self, project: Project) -> None:
        """Show a project's settings."""
        self._project_name = project.name
        self.list.show(project)

    def show_measured(self, measured: Mapping[str, Measured]) -> None:
        """Say what was measured of the golden values."""
        self._measured = measured
        self._on_moved()

    def open_filter(self) -> None:
        """Let the person type what to look for."""
        self.list.leave()
        self.box.display = True
        # At once, not with the next message: what is typed behind the key belongs to the filter.
        self.screen.set_focus(self.box)

    def step_out(self) -> bool:
        """Leave the open field, or clear the filter; return whether there was anything to leave."""
        if self.list.editing:
            self.list.leave()
        elif self.box.display and (self.box.has_focus or self.box.value):
            self.box.value, self.box.display = "", False
        else:
            return False
        self.screen.set_focus(self.list)
        return True

    def on_key(self, event: events.Key) -> None:
        """Down leaves the filter for the list."""
        if event.key in ("down", "tab") and self.box.has_focus:
            event.stop()
            event.prevent_default()
            self.screen.set_focus(self.list)

    @on(FormList.Moved)
    def _on_moved(self) -> None:
        here = self.list
        self.query_one(FormDetail).show(here.field, here.value, here.error, self._measured.get(here.field.key))

    @on(FormList.Selected)
    def _on_selected(self, event: FormList.Selected) -> None:
        title = f"Settings of {clean(self._project_name, one_line=True)}"
        if event.shown < event.of:
            title += f"  {event.shown} of {event.of}"
        chosen = (("differing", self.list.only_differing), ("fewer", self.list.hide_advanced))
        words = [word for word, holds in chosen if holds]
        text = self.box.value.strip()
        words += [f"/{clean(text, one_line=True, limit=30)}"] if text else []
        self.list.border_title = title + (f" ({', '.join(words)})" if words else "")
        self.list.border_subtitle = "* differs  φ golden  ! not saved" if event.shown else "nothing like that"

    @on(Input.Changed, "#form-filter")
    def _on_filter(self, event: Input.Changed) -> None:
        event.stop()
        self.list.filter(event.value)

    @on(Input.Submitted, "#form-filter")
    def _on_filtered(self, event: Input.Submitted) -> None:
        event.stop()
        self.screen.set_focus(self.list)
