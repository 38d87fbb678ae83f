"""What the panes of the Data screen share: how they are told what is known, and lists that know vim's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import DataTable, OptionList

from phi_tui.safe_text import clean
from phi_tui.widgets.data_survey import Known, error_words

if TYPE_CHECKING:
    from phi_tui.app import PhiApp


class Pane(Vertical, can_focus=True):
    """One part of the Data screen; it takes the focus itself while its list is not shown."""

    COMPONENT_CLASSES = {"pane--error", "pane--warning", "pane--info"}
    NAME: ClassVar[str] = ""
    WORD: ClassVar[str] = ""
    """The part's word in the strip."""
    KEY: ClassVar[str] = ""
    """The key that brings it up."""
    MAIN: ClassVar[str] = ""
    """Selector of the widget that takes the focus."""

    def __init__(self) -> None:
        super().__init__(id=f"pane-{self.NAME}", classes="panel pane")
        self.border_title = self.WORD

    def show(self, known: Known) -> None:
        """Draw what is known."""

    @property
    def phi(self) -> PhiApp:
        """The app, typed."""
        return cast("PhiApp", self.app)

    def focus_main(self) -> None:
        """Give the focus to the part's list."""
        main = self.query_one(self.MAIN, Widget)
        (main if main.display else self).focus(scroll_visible=False)

    def on_focus(self) -> None:
        """Pass the focus on to the list, where it is shown."""
        main = self.query_one(self.MAIN, Widget)
        if main.display:
            main.focus(scroll_visible=False)

    def nothing_yet(self, known: Known) -> str:
        """Why there is nothing to show yet, or an empty text."""
        survey = known.survey
        if not known.project.data.sources:
            return "No data yet.  Press s, then a, to add a file."
        if survey.report:
            return ""
        if survey.error:
            return f"{clean(error_words(survey.error))}\nPress f for the findings, ctrl+r to check again."
        return "The data is being read."


class VimList(OptionList):
    """An OptionList in which j, k, g and G move."""

    BINDINGS = [
        Binding("j", "cursor_down", "Down", show=False, id="list.down", tooltip="Next line"),
        Binding("k", "cursor_up", "Up", show=False, id="list.up", tooltip="Line before"),
        Binding("g", "first", "First", show=False, id="list.first", tooltip="First line"),
        Binding("G", "last", "Last", show=False, id="list.last", tooltip="Last line"),
    ]


class PickList(VimList):
    """A list from which Enter takes something; its footer says so."""

    BINDINGS = [Binding("enter", "select", "Take", id="list.take", tooltip="Take what the cursor is on")]


class VimTable(DataTable[object]):
    """A DataTable in which j, k, g and G move."""

    BINDINGS = [
        Binding("j", "cursor_down", "Down", show=False, id="table.down", tooltip="Next row"),
        Binding("k", "cursor_up", "Up", show=False, id="table.up", tooltip="Row before"),
        Binding("g", "scroll_top", "First", show=False, id="table.first", tooltip="First row"),
        Binding("G", "scroll_bottom", "Last", show=False, id="table.last", tooltip="Last row"),
        Binding("enter", "select_cursor", "Open row", id="table.open", tooltip="Show the row"),
    ]
