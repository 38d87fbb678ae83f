"""The doctor's findings as a table, the whole of the highlighted one under it, and the row itself on Enter."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import DataTable, Static

from phi_tui.safe_text import clean
from phi_tui.widgets.data_pane import Pane, VimTable
from phi_tui.widgets.data_survey import FINDINGS_KEPT, Known, error_words

_ORDER = {"error": 0, "warning": 1, "info": 2}


class FindingsPane(Pane):
    """What is wrong with which row, and what to do."""

    NAME, WORD, KEY, MAIN = "findings", "Findings", "f", "#findings"
    BINDINGS = [
        Binding("b", "skip_bad", "Skip bad rows", id="findings.skip-bad", tooltip="Leave broken rows out, or refuse"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._known: Known | None = None
        self._shown: list[dict[str, Any]] = []
        self._drawn: tuple[int, int, int] = (-1, -1, -1)

    def compose(self) -> ComposeResult:
        """The summary, the table, the highlighted finding in full."""
        yield Static("", id="findings-summary", markup=False)
        yield VimTable(id="findings", cursor_type="row", zebra_stripes=False)
        yield Static("", id="finding-detail", markup=False)

    def show(self, known: Known) -> None:
        """Draw the findings; errors come first."""
        self._known = known
        survey = known.survey
        total = survey.total_findings
        self.border_subtitle = f"{total:,} finding{'s' * (total != 1)}" if total else ""
        self.query_one("#findings-summary", Static).update(self._summary(known))
        self._shown = sorted(survey.findings, key=lambda one: _ORDER.get(str(one.get("severity")), 3))
        self._fill()
        table = self.query_one("#findings")
        table.display = bool(self._shown)
        if self.has_focus and self._shown:
            table.focus(scroll_visible=False)
        self._detail()

    def on_resize(self) -> None:
        """The columns take the new width."""
        self._fill()

    def _fill(self) -> None:
        width = self.size.width
        survey = self._known.survey if self._known else None
        drawn = (width, survey.request if survey else 0, len(self._shown))
        if drawn == self._drawn or not self._known:
            return
        self._drawn = drawn
        table = self.query_one("#findings", VimTable)
        at = table.cursor_row
        table.clear(columns=True)
        longest = max((cell_len(_place(finding, 300).plain) for finding in self._shown), default=0)
        where = max(8, min(longest, width // 3))
        message = max(10, width - where - 7 - 6 - 2)  # the severity, the columns' padding, the scroll bar
        table.add_column("", key="severity", width=7)
        table.add_column("where", key="where", width=where)
        table.add_column("what", key="what", width=message)
        for finding in self._shown:
            severity = str(finding.get("severity", ""))
            table.add_row(
                Text(clean(severity, one_line=True), style=self._style(severity)),
                _place(finding, where),
                Text(clean(finding.get("message", ""), one_line=True, limit=400), no_wrap=True, overflow="ellipsis"),
            )
        if self._shown:
            table.move_cursor(row=min(max(at, 0), len(self._shown) - 1))

    def _summary(self, known: Known) -> Text:
        survey = known.survey
        if not known.project.data.sources:
            return Text(self.nothing_yet(known))
        text = Text()
        if survey.error:
            text.append("error  ", self._style("error"))
            text.append(clean(error_words(survey.error), limit=1200))
            text.append("\n")
        if survey.base_error:
            text.append("base  ", self._style("error"))
            text.append(clean(error_words(survey.base_error), limit=800))
            text.append("\n")
        if survey.counts:
            read, kept, broken = (survey.counts.get(name, 0) for name in ("read", "kept", "broken"))
            text.append(f"{read:,} rows read, {kept:,} can be used, {broken:,} broken\n")
        counts = survey.severities()
        total = survey.total_findings
        if not total:
            text.append("The data is being read." if survey.running else "" if survey.error else "Nothing was found.")
        else:
            text.append(", ".join(f"{count:,} {_plural(name, count)}" for name, count in counts.items()))
            if total > len(survey.findings):
                text.append(f" of {total:,}; the first {FINDINGS_KEPT} are shown; phi-tui doctor FILE lists all")
            if counts.get("error"):
                skip = known.project.data.skip_bad
                text.append("\nBroken rows are left out; b: refuse them" if skip else "\nb: leave broken rows out")
        return text

    @on(DataTable.RowHighlighted, "#findings")
    def _detail(self) -> None:
        finding = self._highlighted()
        text = Text()
        if finding:
            text.append(f"{finding.get('code', '')}  ", "bold")
            text.append(clean(finding.get("message", ""), limit=600))
            if finding.get("fix"):
                text.append(f"\n{clean(finding['fix'], limit=400)}", "italic")
        detail = self.query_one("#finding-detail", Static)
        detail.display = bool(finding)
        detail.update(text)

    def _highlighted(self) -> dict[str, Any] | None:
        at = self.query_one("#findings", VimTable).cursor_row
        return self._shown[at] if 0 <= at < len(self._shown) else None

    @on(DataTable.RowSelected, "#findings")
    def action_open(self) -> None:
        """Show the row that the finding is about."""
        from phi_tui.widgets.data_row import RowDialog

        finding = self._highlighted()
        if finding and self._known:
            self.phi.push_screen(RowDialog(finding, self._known.root))

    def _style(self, severity: str) -> Style:
        known = severity if severity in _ORDER else "info"
        return self.get_component_rich_style(f"pane--{known}", partial=True)

    def action_skip_bad(self) -> None:
        """Leave broken rows out, or refuse them."""
        if self._known:
            self.phi.set(data__skip_bad=not self._known.project.data.skip_bad)


def _place(finding: dict[str, Any], width: int) -> Text:
    """file:line, cut at its beginning where it is too long, so that the line stays."""
    file = clean(finding.get("file", ""), one_line=True, limit=300)
    place = f"{file}:{finding['line']}" if finding.get("line") else file
    return Text(place if len(place) <= width else "…" + place[-(width - 1) :], no_wrap=True)


def _plural(word: str, count: int) -> str:
    return word if count == 1 or word == "info" else f"{word}s"
