"""What the parts of the Runs screen share: the table, which view is shown, and how an error is told."""

from __future__ import annotations

from textual.widgets import ContentSwitcher

from phi_tui.errors import PhiError
from phi_tui.run_list import Glance
from phi_tui.screens.frame import Frame
from phi_tui.widgets.runs_table import RunsTable

LIST, COMPARE, FILE = "runs-list", "runs-compare", "runs-file"
"""The ids of the views."""

_FOCUSED = {LIST: "#runs-table", COMPARE: "#runs-tables-panel", FILE: "#runs-text-scroll"}


class RunsFrame(Frame):
    """One of three views at a time; the table is the first of them."""

    @property
    def table(self) -> RunsTable:
        """The table of runs."""
        return self.query_one("#runs-table", RunsTable)

    @property
    def view(self) -> str:
        """Which of the views is shown."""
        return self.query_one("#runs-views", ContentSwitcher).current or LIST

    def switch(self, view: str) -> None:
        """Show another view and focus what its keys work on."""
        self.query_one("#runs-views", ContentSwitcher).current = view
        self.call_after_refresh(self.focus_view)
        self.refresh_bindings()

    def focus_view(self) -> None:
        """Focus what the view's keys work on."""
        self.query_one(_FOCUSED[self.view]).focus()

    def is_live(self, glance: Glance) -> bool:
        """Whether a run is live now, whatever it was when it was looked at."""
        return any(one.run.path == glance.run.path and one.state == "running" for one in self.phi.glances)

    def tell(self, error: Exception) -> None:
        """Tell an error."""
        if isinstance(error, OSError) and not isinstance(error, PhiError):
            self.say(f"{error.filename or ''}: {error.strerror or error}", severity="error")
        else:
            self.say(error, severity="error")
