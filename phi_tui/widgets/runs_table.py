"""The table of runs: live ones on top, as many columns as fit, a page of rows at a time, several of them marked.

A look at the runs every two seconds must not disturb who reads: while the rows stay the same ones, only the cells
that changed are written; else the table is filled anew and the cursor stays on its run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.coordinate import Coordinate
from textual.message import Message
from textual.widgets import DataTable

from phi_tui.run_list import Glance
from phi_tui.widgets import runs_rows
from phi_tui.widgets.runs_rows import Column, Extras

PAGE = 100
"""Rows shown at a time: a page takes some 10 ms to fill."""


class RunsTable(DataTable[Text]):
    """Posts `Highlighted` when the cursor comes to another run, `Opened` when one is chosen."""

    COMPONENT_CLASSES = {"runs-table--live", "runs-table--good", "runs-table--warn", "runs-table--bad"}
    BINDINGS = [
        Binding("j", "cursor_down", "Down", show=False, id="runs.down", tooltip="The next run"),
        Binding("k", "cursor_up", "Up", show=False, id="runs.up", tooltip="The run before"),
        Binding("g", "scroll_top", "Top", show=False, id="runs.top", tooltip="The first run"),
        Binding("G", "scroll_bottom", "Bottom", show=False, id="runs.bottom", tooltip="The last run"),
    ]

    class Highlighted(Message):
        """The cursor is on another run, or on none."""

        def __init__(self, glance: Glance | None) -> None:
            super().__init__()
            self.glance = glance

    class Opened(Message):
        """A run was chosen by enter or a click."""

        def __init__(self, glance: Glance) -> None:
            super().__init__()
            self.glance = glance

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(cursor_type="row", cell_padding=0, id=id)
        self.sort_key = runs_rows.SORTS[0]
        self.backwards = False
        self.filter = ""
        self.page = 0
        self.marked: set[Path] = set()
        self._glances: Sequence[Glance] = ()
        self._extras: Extras = {}
        self._rows: list[Glance] = []
        self._filled: list[Path] = []
        self._columns: list[Column] = []
        self._gap = 1
        self._told: Path | None = None

    @property
    def rows_left(self) -> int:
        """How many runs the filter leaves, on all pages."""
        return len(self._rows)

    @property
    def pages(self) -> int:
        """How many pages they make."""
        return max(1, -(-len(self._rows) // PAGE))

    @property
    def current(self) -> Glance | None:
        """The run under the cursor."""
        page = self._page_rows()
        return page[self.cursor_row] if 0 <= self.cursor_row < len(page) else None

    def chosen(self) -> list[Glance]:
        """The marked runs in the order shown, those that the filter hides last."""
        hidden = [glance for glance in self._glances if glance not in self._rows]
        return [glance for glance in [*self._rows, *hidden] if glance.run.path in self.marked]

    def show(self, glances: Sequence[Glance], extras: Extras) -> None:
        """Show these runs; marks of runs that are gone are dropped."""
        self._glances, self._extras = glances, extras
        self.marked &= {glance.run.path for glance in glances}
        self.rebuild()

    def rebuild(self, *, anew: bool = False) -> None:
        """Filter, sort and show; `anew` writes every cell, as after a change of theme."""
        here = self.current
        self._rows = runs_rows.ordered(
            runs_rows.filtered(self._glances, self.filter), self._extras, self.sort_key, reverse=self.backwards
        )
        self.page = min(self.page, self.pages - 1)
        page = self._page_rows()
        if not self.size.width:  # nothing is laid out yet: filled when it is
            return
        columns, gap = runs_rows.columns(
            self.size.width - 1,
            max((len(glance.project) for glance in self._rows), default=0),
            max((len(glance.run.id) for glance in self._rows), default=0),
        )
        if anew or (columns, gap) != (self._columns, self._gap) or [one.run.path for one in page] != self._filled:
            self._columns, self._gap = columns, gap
            self._fill(page, here)
        else:
            self._update(page)
        self._tell()

    def turn(self, by: int) -> None:
        """Go to another page."""
        self.page = min(max(0, self.page + by), self.pages - 1)
        self._fill(self._page_rows(), None)
        self._tell()

    def go_to(self, path: Path) -> None:
        """Put the cursor on a run that the page shows."""
        for row, glance in enumerate(self._page_rows()):
            if glance.run.path == path:
                self.move_cursor(row=row, animate=False)

    def sort_by(self, key: str, *, backwards: bool) -> None:
        """Sort by a column from now on."""
        self.sort_key, self.backwards, self.page = key, backwards, 0
        self.rebuild(anew=True)

    def mark(self) -> None:
        """Mark the run under the cursor or take its mark away, and go to the next one."""
        if (glance := self.current) is None:
            return
        self.marked ^= {glance.run.path}
        self._update(self._page_rows())
        self.action_cursor_down()

    def unmark_all(self) -> None:
        """Take all marks away."""
        self.marked.clear()
        self._update(self._page_rows())

    def on_resize(self, event: events.Resize) -> None:
        """Other columns may fit now."""
        self.call_after_refresh(self.rebuild)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """The cursor moved."""
        event.stop()
        self._tell()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter, or a click on the row under the cursor."""
        event.stop()
        if (glance := self.current) is not None:
            self.post_message(self.Opened(glance))

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """A click on a head sorts by it, a second one the other way round."""
        event.stop()
        key = str(event.column_key.value)
        if key in runs_rows.SORTS:
            self.sort_by(key, backwards=key == self.sort_key and not self.backwards)

    def _page_rows(self) -> list[Glance]:
        return self._rows[self.page * PAGE : (self.page + 1) * PAGE]

    def _tell(self) -> None:
        glance = self.current
        path = glance.run.path if glance else None
        if path != self._told:
            self._told = path
            self.post_message(self.Highlighted(glance))

    def _fill(self, page: Sequence[Glance], here: Glance | None) -> None:
        row = self.cursor_row
        self.clear(columns=True)
        self._filled = [glance.run.path for glance in page]
        for column in self._columns:
            text = runs_rows.head(column, self.sort_key, reverse=self.backwards)
            self.add_column(
                Text(runs_rows.padded(text, column, self._gap)), width=column.width + self._gap, key=column.key
            )
        now = runs_rows.today()
        for glance in page:
            self.add_row(*(self._cell(glance, column, now) for column in self._columns), key=str(glance.run.path))
        at = next((n for n, glance in enumerate(page) if here and glance.run.path == here.run.path), row if here else 0)
        if page:
            self.move_cursor(row=min(at, len(page) - 1), animate=False)

    def _update(self, page: Sequence[Glance]) -> None:
        now = runs_rows.today()
        for row, glance in enumerate(page):
            for place, column in enumerate(self._columns):
                text = self._cell(glance, column, now)
                if self.get_cell_at(Coordinate(row, place)) != text:
                    self.update_cell(str(glance.run.path), column.key, text)

    def _cell(self, glance: Glance, column: Column, now: float) -> Text:
        figures: Mapping[str, Any] = self._extras.get(glance.run.path, {})
        text = runs_rows.cell(glance, column.key, figures, marked=glance.run.path in self.marked, now=now)
        style = {
            "running": "runs-table--live",
            "done": "runs-table--good",
            "stopped": "runs-table--warn",
            "failed": "runs-table--bad",
            "died": "runs-table--bad",
        }.get(glance.state if column.key == "state" else "done" if column.key == "mark" else "")
        return Text(
            runs_rows.padded(text, column, self._gap),
            style=self.get_component_rich_style(style, partial=True) if style else "",
            no_wrap=True,
        )
