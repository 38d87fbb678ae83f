"""The Runs screen: every run of the workspace, compared, exported, looked into, deleted and brought back.

It owns no run.  All that reads or moves files is done on threads; what they find comes back as messages, and an
answer that is not waited for any more is dropped.
"""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical
from textual.widgets import ContentSwitcher, Input, Static

from phi_tui import compare
from phi_tui.run import Run
from phi_tui.run_list import Glance
from phi_tui.safe_text import clean
from phi_tui.schema import Project
from phi_tui.widgets import runs_rows
from phi_tui.widgets.line_input import LineInput
from phi_tui.widgets.messages import Found
from phi_tui.widgets.runs_compare import RunCompare
from phi_tui.widgets.runs_deleting import Deleting
from phi_tui.widgets.runs_details import RunDetails
from phi_tui.widgets.runs_export import Exporting
from phi_tui.widgets.runs_facts import Facts, facts
from phi_tui.widgets.runs_frame import COMPARE, FILE, LIST
from phi_tui.widgets.runs_lines import LETTERS
from phi_tui.widgets.runs_looking import Looking
from phi_tui.widgets.runs_table import RunsTable
from phi_tui.widgets.runs_text import RunText

_ON_A_RUN = ("mark", "compare", "export", "delete", "folder", "log")


class RunsScreen(Deleting, Exporting, Looking):
    """Table and details; the comparison and a file of a run take their place, and escape brings them back."""

    NAME = "runs"
    AUTO_FOCUS = ""
    """`show_project` does: the first field is the filter, which is hidden."""
    HELP = """# Runs

Every run of this workspace: live ones on top, then the newest. **ppl** is the perplexity on the validation rows,
**base ppl** that of the base before training; of a run that is not done, what is known so far.

1. **Enter** shows a run's curves on the Train screen, live or not.
2. Mark runs with **space** and press **c** to compare two to four of them: curves over each other, figures, settings,
   and whether data and base were the same. With nothing marked, the run under the cursor is compared with the newest
   other one of its project.
3. **e** copies the adapter, or project and lock for a replay elsewhere, or the metrics as CSV or JSON. Nothing is
   overwritten.
4. **delete** moves a run to the trash, **u** brings it back. The command palette empties the trash.
"""
    BINDINGS = [
        Binding("space", "mark", "Mark", id="runs.mark", tooltip="Mark this run, or take its mark away"),
        Binding("c", "compare", "Compare", id="runs.compare", tooltip="Compare the marked runs, four at most"),
        Binding("slash", "filter", "Filter", key_display="/", id="runs.filter", tooltip="By project, run, state"),
        Binding("s", "sort", "Sort", show=False, id="runs.sort", tooltip="Sort by the next column"),
        Binding("S", "reverse", "Reverse", show=False, id="runs.reverse", tooltip="Sort the other way round"),
        Binding("U", "unmark", "Unmark all", show=False, id="runs.unmark", tooltip="Take all marks away"),
        Binding("right_square_bracket", "page(1)", "Next page", show=False, id="runs.next-page"),
        Binding("left_square_bracket", "page(-1)", "Page before", show=False, id="runs.page-before"),
        Binding("r", "again", "Read again", show=False, id="runs.again", tooltip="Read runs, curves or file again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._extras: dict[Path, dict[str, float | None]] = {}
        self._extras_of: dict[Path, float] = {}
        self._reading_extras = False
        self._facts: dict[Path, tuple[object, Facts]] = {}
        self.deleted = []
        self._comparing: list[Run] = []
        self._readings: list[compare.Reading] = []
        self._stop_reading = threading.Event()

    # What is shown

    def body(self) -> ComposeResult:
        """Three views, one at a time."""
        with ContentSwitcher(id="runs-views", initial=LIST):
            with Vertical(id=LIST):
                yield LineInput(placeholder="words of project, run or state", id="runs-filter")
                yield Static("", id="runs-status", markup=False)
                yield Static("", id="runs-empty", markup=False)
                with Container(id="runs-list-split"):
                    yield RunsTable(id="runs-table")
                    yield RunDetails(id="runs-details")
            yield RunCompare(id=COMPARE)
            yield RunText(id=FILE)

    def on_mount(self) -> None:
        """Colours are written into cells, so a new theme needs them written anew."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self.call_after_refresh(self._recolour))

    def on_unmount(self) -> None:
        """Nobody waits for what is being read."""
        self._stop_reading.set()

    def show_project(self, project: Project | None) -> None:
        """Runs are the workspace's, whatever project is open."""
        self.runs_seen()
        if self.focused is None:
            self.focus_view()

    def runs_seen(self) -> None:
        """Show what the runs are like now."""
        glances = self.phi.glances
        self.table.show(glances, self._extras)
        self._show_status()
        self._show_details()
        if not self._reading_extras:
            wanted = [one for one in glances if not one.figures and self._extras_of.get(one.run.path) != one.changed]
            if wanted:
                self._reading_extras = True
                self.find_out("extras", partial(_extras, wanted))
        if self.view == FILE and self.looked_at and self.looked_at[1] and self.is_live(self.looked_at[0]):
            self.read_file("log again")

    def _show_status(self) -> None:
        table, glances = self.table, self.phi.glances
        arrow = "backwards" if table.backwards else ""
        words = [f"{len(glances)} run{'s' if len(glances) != 1 else ''}"]
        words += [f"{self.phi.live} live"] if self.phi.live else []
        words += [f"{table.rows_left} match {clean(table.filter, one_line=True, limit=30)!r}"] if table.filter else []
        words += [f"{len(table.marked)} marked"] if table.marked else []
        words += [f"sorted by {table.sort_key} {arrow}".rstrip()]
        words += [f"page {table.page + 1} of {table.pages}, [ and ] turn"] if table.pages > 1 else []
        self.query_one("#runs-status", Static).update(" · ".join(words))
        empty = self.query_one("#runs-empty", Static)
        empty.display = not table.rows_left
        self.query_one("#runs-list-split").display = bool(table.rows_left)
        if not glances:
            empty.update(
                "No runs in this workspace yet.\n\n"
                "Open a project or the demo on Home (1), then start a run on Train (5).\n"
                "A run stays here whether it ends well or not: its curves, its adapter, its log.\n\n"
                f"workspace  {clean(self.phi.session.workspace.root, one_line=True)}"
            )
        elif not table.rows_left:
            empty.update("No run has all of these words in its project, its id or its state.\n\nescape clears them.")

    def _show_details(self) -> None:
        glance = self.table.current
        known = self._facts.get(glance.run.path) if glance else None
        self.query_one("#runs-details", RunDetails).show(glance, known[1] if known else None)
        if glance and (known is None or known[0] != _stamp(glance)):
            self.set_timer(0.05, partial(self._look_into, glance))

    def _look_into(self, glance: Glance) -> None:
        """Read the facts of a run, unless the cursor has left it meanwhile."""
        if (current := self.table.current) and current.run.path == glance.run.path:
            self.find_out("facts", lambda: (glance.run.path, _stamp(glance), facts(glance, self.phi.session.workspace)))

    def _recolour(self) -> None:
        self.table.rebuild(anew=True)
        self.query_one("#runs-compare", RunCompare).refresh_texts()
        self._show_details()

    # Going around

    @on(RunsTable.Highlighted)
    def _highlighted(self) -> None:
        self._show_details()

    @on(RunsTable.Opened)
    def _opened(self, event: RunsTable.Opened) -> None:
        self.phi.go("train")
        self.phi.call_later(self._watch, event.glance.run)

    def _watch(self, run: Run) -> None:
        """Follow a run once the Train screen is composed, which it is when it takes its first message."""
        self.phi.screen.call_later(self.phi.watch_run, run)

    def action_leave(self) -> None:
        """Back to the table; on the table itself, drop the filter, then the marks."""
        box, table = self.query_one("#runs-filter", Input), self.table
        if self.view != LIST:
            self._stop_reading.set()
            self.switch(LIST)
        elif box.has_focus:
            box.display = bool(box.value)
            table.focus()
        elif table.filter:
            box.value = ""
            box.display = False
        elif table.marked:
            self.action_unmark()
        else:
            table.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The table's keys work on the table, those of a run where there is one."""
        here = not self.is_mounted or self.view == LIST
        if action in _ON_A_RUN:
            return here and (not self.is_mounted or self.table.current is not None)
        if action in ("filter", "sort", "reverse", "undo", "unmark", "page"):
            return here
        return super().check_action(action, parameters)

    def action_filter(self) -> None:
        """Ask for words."""
        box = self.query_one("#runs-filter", Input)
        box.display = True
        self.set_focus(box)  # at once: what is typed behind the key belongs to the line

    @on(Input.Changed, "#runs-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self.table.filter, self.table.page = event.value, 0
        self.table.rebuild()
        self._show_status()
        self._show_details()

    @on(Input.Submitted, "#runs-filter")
    def _filter_kept(self) -> None:
        self.query_one("#runs-filter").display = bool(self.table.filter)
        self.table.focus()

    def action_sort(self) -> None:
        """Sort by the next column."""
        place = runs_rows.SORTS.index(self.table.sort_key) + 1
        self.table.sort_by(runs_rows.SORTS[place % len(runs_rows.SORTS)], backwards=False)
        self._show_status()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self.table.sort_by(self.table.sort_key, backwards=not self.table.backwards)
        self._show_status()

    def action_page(self, by: int) -> None:
        """Turn the page."""
        self.table.turn(by)
        self._show_status()

    def action_mark(self) -> None:
        """Mark a run."""
        self.table.mark()
        self._show_status()

    def action_unmark(self) -> None:
        """Take all marks away."""
        self.table.unmark_all()
        self._show_status()

    def action_again(self) -> None:
        """Read again what is shown."""
        if self.view == COMPARE:
            self._compare(self._comparing)
        elif self.view == FILE:
            self.read_file("file")
        else:
            self.phi.look_at_runs()

    # Comparing

    def action_compare(self) -> None:
        """Compare the marked runs, or the one under the cursor with another of its project."""
        chosen, current = self.table.chosen(), self.table.current
        if len(chosen) < 2 and current and current not in chosen:
            chosen.append(current)
        if len(chosen) == 1 and (other := runs_rows.newest_other(self.phi.glances, chosen[0])):
            chosen.append(other)
        if len(chosen) < 2:
            self.say("there is no other run of this project; mark two runs with space", severity="warning")
            return
        if len(chosen) > len(LETTERS):
            self.say(f"{len(chosen)} runs are marked; the first {len(LETTERS)} are compared", severity="warning")
        self._compare([glance.run for glance in chosen[: len(LETTERS)]])

    def _compare(self, runs: list[Run]) -> None:
        self._stop_reading.set()
        self._stop_reading = threading.Event()
        self._comparing, self._readings = runs, []
        self.switch(COMPARE)
        self._read_next()

    def _read_next(self) -> None:
        place, stop = len(self._readings), self._stop_reading
        names = [f"{run.path.parent.name}/{run.id}" for run in self._comparing]
        self.query_one("#runs-compare", RunCompare).show_reading(names, place)
        run = self._comparing[place]
        self.find_out("reading", lambda: (stop, _read(run, stop)))

    # What threads found out

    def on_found(self, event: Found) -> None:
        """Pass a result on; an exception is told."""
        result = event.result
        if event.what == "extras":
            self._reading_extras = False
        if isinstance(result, Exception):
            self.tell(result)
            return
        getattr(self, f"_found_{event.what.replace(' ', '_')}")(result)

    def _found_extras(self, result: list[tuple[Glance, dict[str, float | None]]]) -> None:
        paths = {glance.run.path for glance in self.phi.glances}
        self._extras = {path: figures for path, figures in self._extras.items() if path in paths}
        for glance, figures in result:
            self._extras[glance.run.path] = figures
            self._extras_of[glance.run.path] = glance.changed
        self.table.show(self.phi.glances, self._extras)

    def _found_facts(self, result: tuple[Path, object, Facts]) -> None:
        path, stamp, found = result
        self._facts[path] = stamp, found
        if (current := self.table.current) and current.run.path == path:
            self.query_one("#runs-details", RunDetails).show(current, found)

    def _found_reading(self, result: tuple[threading.Event, compare.Reading | OSError | None]) -> None:
        stop, reading = result
        if stop is not self._stop_reading or stop.is_set() or reading is None:
            return
        if isinstance(reading, OSError):
            self.tell(reading)
            self.switch(LIST)
            return
        self._readings.append(reading)
        if len(self._readings) < len(self._comparing):
            self._read_next()
        else:
            self.query_one("#runs-compare", RunCompare).show_readings(self._readings)


def _read(run: Run, stop: threading.Event) -> compare.Reading | OSError | None:
    """A run's reading, or why there is none; nothing when it was not waited for."""
    try:
        return compare.read(run, stop.is_set)
    except compare.Cancelled:
        return None
    except OSError as error:
        return error


def _stamp(glance: Glance) -> object:
    """What the facts of a run depend on."""
    return glance.state, glance.changed


def _extras(glances: list[Glance]) -> list[tuple[Glance, dict[str, float | None]]]:
    found = []
    for glance in glances:
        with contextlib.suppress(OSError):
            found.append((glance, runs_rows.unfinished(glance)))
    return found


SCREEN = RunsScreen
