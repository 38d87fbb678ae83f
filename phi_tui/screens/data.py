"""Data: bring rows in, see what is wrong with them, how they are divided and cut, and what of each is trained.

The screen keeps one survey of the open project and gives it to five panes; each pane draws itself from it and changes
the project through the app.  A survey starts by itself when the settings that it depends on are others than before.
"""

from __future__ import annotations

from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.timer import Timer
from textual.widgets import Input, Static

from phi_tui.child import Reply
from phi_tui.safe_text import clean
from phi_tui.schema import Project
from phi_tui.screens.frame import Frame
from phi_tui.widgets.data_columns import ColumnsDialog
from phi_tui.widgets.data_figures import short
from phi_tui.widgets.data_findings import FindingsPane
from phi_tui.widgets.data_lengths import LengthsPane
from phi_tui.widgets.data_pane import Pane
from phi_tui.widgets.data_sources import SourcesPane
from phi_tui.widgets.data_split import SplitPane
from phi_tui.widgets.data_strip import DataStrip
from phi_tui.widgets.data_survey import Known, Survey, source_columns, survey_key
from phi_tui.widgets.data_tokens import PAGE, TokensPane
from phi_tui.widgets.data_transforms import PREVIEWED, TransformsPane
from phi_tui.widgets.messages import Replied

_PANES: tuple[type[Pane], ...] = (
    SourcesPane, TransformsPane, FindingsPane, SplitPane, LengthsPane, TokensPane,
)  # fmt: skip
_SETTLE = 0.4
"""Seconds without a change before a survey starts."""
_REDRAW = 0.2
"""Seconds between drawings while findings come in."""

_NO_PROJECT = (
    "No project is open, so there is no data to show.\n\n"
    "Press 1 for Home: open a project there, make a new one, or bring the demo in."
)


class DataScreen(Frame):
    """The project's data."""

    NAME = "data"
    HELP = """# Data

Bring your rows in and see what the model will learn from them.

1. **Sources**: `a` adds a file by its path, `e` from the tree of folders, `u` from the Hub. The format and the
   columns are detected; `c` corrects them.
2. **Transforms**: what is done to the rows first: filters, templates, renamed columns. Rows before and after.
3. **Findings**: what is wrong with which line, and what to do. Broken rows stop a run, unless they are left out.
4. **Split & mix**: how many rows train and how many only measure. Golden shares are a heuristic; any share will do.
5. **Lengths**: rows longer than `max_length` tokens are cut.
6. **Tokens**: rows as they are trained. Only the tokens in colour, underlined, teach; look at a few before you train.

The data is checked by itself whenever a setting changes that matters to it; `ctrl+r` checks again, after an
edit of a file for example.
"""
    AUTO_FOCUS = "#source-list"
    COMPONENT_CLASSES = {"data--good", "data--bad"}
    BINDINGS = [
        *[
            Binding(
                pane.KEY,
                f"pane('{pane.NAME}')",
                pane.WORD,
                show=False,
                id=f"data.show-{pane.NAME}",
                tooltip=f"Show {pane.WORD.lower()}",
            )
            for pane in _PANES
        ],
        Binding("right_square_bracket", "beside(1)", "Next part", show=False, id="data.next", tooltip="The next part"),
        Binding("left_square_bracket", "beside(-1)", "Part before", show=False, id="data.previous", tooltip="Back"),
        Binding("ctrl+r", "check", "Check again", show=False, id="data.check", tooltip="Read the data again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._survey = Survey()
        self._active = "sources"
        self._second = "split"
        self._starting: Timer | None = None
        self._redrawing: Timer | None = None
        self._rows_asked = 0
        self._columns_asked = 0
        self._transforms_asked = 0
        self._columns: ColumnsDialog | None = None

    def body(self) -> ComposeResult:
        """The strip, the panes, the line on the survey."""
        yield DataStrip([(pane.NAME, pane.KEY, pane.WORD) for pane in _PANES])
        yield Static(_NO_PROJECT, id="data-none", markup=False)
        with Horizontal(id="data-panes"):
            for pane in _PANES:
                yield pane()
        yield Static("", id="data-state", markup=False)

    # What is shown

    def show_project(self, project: Project | None) -> None:
        """Draw, and start a survey when the one there is is of other settings."""
        self.query_one("#data-none").display = project is None
        self.query_one("#data-panes").display = project is not None
        self.query_one("#data-state").display = project is not None
        if project is None:
            self._end_survey()
            self._survey = Survey()
            return
        key = survey_key(project, self.phi.session.file)
        if key != self._survey.key:
            self._start(key)
        self._place()
        self._draw()
        if self.focused is None and self.is_current:
            self._pane(self._active).focus_main()

    def _draw(self) -> None:
        project = self.phi.session.project
        if project is None:
            return
        known = Known(project, self.phi.session.root, self._survey)
        for pane in self.query(Pane):
            pane.show(known)
        self._draw_state()

    def _draw_state(self) -> None:
        project = self.phi.session.project
        if project is not None:
            good, bad = (self.get_component_rich_style(f"data--{name}", partial=True) for name in ("good", "bad"))
            self.query_one("#data-state", Static).update(_state(self._survey, project, good, bad))

    def _draw_soon(self) -> None:
        if self._redrawing is None:
            self._redrawing = self.set_timer(_REDRAW, self._redraw)

    def _redraw(self) -> None:
        self._redrawing = None
        project = self.phi.session.project
        if project is not None:
            self.query_one(FindingsPane).show(Known(project, self.phi.session.root, self._survey))

    def _pane(self, name: str) -> Pane:
        return self.query_one(f"#pane-{name}", Pane)

    def _place(self) -> None:
        """Which panes are seen: the active one; with room for two, the sources and one more."""
        for pane in self.query(Pane):
            pane.set_class(self._active == pane.NAME, "-active")
            pane.set_class(self._second == pane.NAME, "-beside")
        self.query_one(DataStrip).active = self._active

    def action_pane(self, name: str) -> None:
        """Bring a part up and go to it."""
        self._active = name
        if name != "sources":
            self._second = name
        self._place()
        if self.phi.session.project:
            self._pane(name).focus_main()

    def action_beside(self, by: int) -> None:
        """Go to the part beside this one."""
        names = [pane.NAME for pane in _PANES]
        self.action_pane(names[(names.index(self._active) + by) % len(names)])

    def on_data_strip_chosen(self, event: DataStrip.Chosen) -> None:
        """A word of the strip was clicked."""
        self.action_pane(event.part)

    def on_descendant_focus(self) -> None:
        """With two parts side by side, the one with the focus is the active one."""
        for node in self.focused.ancestors_with_self if self.focused else ():
            if isinstance(node, Pane) and self._active != node.NAME:
                self._active = node.NAME
                self._place()

    def action_leave(self) -> None:
        """Leave a field for the part's list, in which the jump keys work."""
        if isinstance(self.focused, Input) or self.focused is None:
            self._pane(self._active).focus_main()

    # The survey

    def action_check(self) -> None:
        """Survey again, whatever is known."""
        project = self.phi.session.project
        if project:
            self._start(survey_key(project, self.phi.session.file))
            self._draw()

    def _start(self, key: str) -> None:
        """Forget the survey that is under way and ask for another one in a moment."""
        self._end_survey()
        before = self._survey
        self._survey = Survey(key=key)
        if _same_file(before.key, key) and before.result:
            self._survey.result, self._survey.stale = before.result, True
        project = self.phi.session.project
        if project and project.data.sources:
            self._survey.running = True
            first = not before.key
            self._starting = self.set_timer(0.01 if first else _SETTLE, self._ask_survey)

    def _end_survey(self) -> None:
        if self._starting is not None:
            self._starting.stop()
            self._starting = None
        if self._survey.running and self._survey.request:
            self.phi.inspector.cancel(self._survey.request)

    def _ask_survey(self) -> None:
        self._starting = None
        if self.phi.session.project is None:
            return
        self._survey.running = True
        self._survey.request = self.ask(self.phi.inspector, "survey", "survey", **self._place_of_project())

    def _place_of_project(self) -> dict[str, str]:
        session = self.phi.session
        return {"project": session.text(), "root": str(session.root), "workspace": str(session.workspace.root)}

    def on_replied(self, event: Replied) -> None:
        """Give a reply to whom it is for; what is no longer wanted is dropped."""
        reply = event.reply
        if event.tag == "survey" and self._survey.take(reply):
            if reply.kind == "phase":
                self._draw_state()
            elif reply.final:
                self._draw()
            else:
                self._draw_soon()
        elif event.tag == "rows" and reply.id == self._rows_asked:
            self._rows_came(reply)
        elif event.tag == "transforms" and reply.id == self._transforms_asked:
            pane = self.query_one(TransformsPane)
            if reply.kind == "result":
                pane.take(reply.payload)
            elif reply.kind == "error":
                pane.failed(reply.payload)
        elif event.tag == "columns" and reply.id == self._columns_asked and self._columns:
            if reply.kind == "result":
                self._columns.take(reply.payload)
            elif reply.kind == "error":
                self._columns.failed(reply.payload)

    # Rows and columns

    @on(TokensPane.Wanted)
    def _rows_wanted(self, event: TokensPane.Wanted) -> None:
        if self._rows_asked:
            self.phi.inspector.cancel(self._rows_asked)
        self._rows_asked = self.ask(
            self.phi.inspector,
            "rows",
            "rows",
            part=event.part,
            start=event.start,
            count=PAGE,
            **self._place_of_project(),
        )

    def _rows_came(self, reply: Reply) -> None:
        pane = self.query_one(TokensPane)
        if reply.kind == "result":
            pane.take(reply.payload)
        elif reply.kind == "error":
            pane.failed(reply.payload)

    @on(TransformsPane.Wanted)
    def _transforms_wanted(self) -> None:
        if self._transforms_asked:
            self.phi.inspector.cancel(self._transforms_asked)
        place = self._place_of_project()
        self._transforms_asked = self.ask(
            self.phi.inspector, "transform_preview", "transforms", count=PREVIEWED, **place
        )

    @on(SourcesPane.EditColumns)
    def _edit_columns(self, event: SourcesPane.EditColumns) -> None:
        project, number = self.phi.session.project, event.number
        if project is None or number >= len(project.data.sources):
            return
        source = project.data.sources[number]
        found = source_columns(Known(project, self.phi.session.root, self._survey), number)
        dialog = ColumnsDialog(source.path or source.hub, dict(source.columns), found)

        def answered(mapping: dict[str, str] | None) -> None:
            self._columns = None
            if mapping is not None and mapping != source.columns:
                self.query_one(SourcesPane).change(number, columns=mapping)

        self._columns = dialog
        self.phi.push_screen(dialog, answered)
        if source.path:
            self._columns_asked = self.ask(
                self.phi.inspector,
                "raw_rows",
                "columns",
                files=[source.path],
                count=5,
                root=str(self.phi.session.root),
                project=self.phi.session.text(),
                source=number,
            )
        else:
            what = "First rows of a Hub data set are not shown here; t types a column's name."
            self.call_after_refresh(dialog.failed, {"what": what})


def _same_file(one: str, other: str) -> bool:
    """Whether two survey keys are of the same project file."""
    return bool(one) and one.split(",", 1)[0] == other.split(",", 1)[0]


def _state(survey: Survey, project: Project, good: Style, bad: Style) -> Text:
    """One line: the phase, or what was found."""
    text = Text(no_wrap=True, overflow="ellipsis")
    if not project.data.sources:
        return text.append("no data yet: s, then a", "dim")
    if survey.running:
        return text.append("checking  ", "bold").append(clean(survey.phase or "starting", one_line=True, limit=200))
    if survey.error:
        text.append("not usable  ", bad)
        return text.append(clean(survey.error.get("what", ""), one_line=True, limit=300))
    report, tokens = survey.report, survey.tokens
    text.append("checked  ", good)
    text.append(f"{short(report.get('train_rows'))} rows train, {short(report.get('validation_rows'))} validate")
    if tokens:
        text.append(f", {short((tokens.get('train') or {}).get('trained'))} trained tokens")
    counts = survey.severities()
    for name in ("error", "warning"):
        if counts.get(name):
            text.append(f", {counts[name]:,} {name}{'s' * (counts[name] != 1)}", "bold")
    if survey.result.get("template"):
        text.append(f", template {clean(survey.result['template'], one_line=True, limit=40)}")
    return text


SCREEN = DataScreen
