"""Runs side by side: warnings first, then their curves over each other, then figures, settings and what they ran on."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import Static

from phi_tui import compare
from phi_tui.compare import Reading
from phi_tui.safe_text import clean
from phi_tui.widgets import runs_rows
from phi_tui.widgets.runs_curves import RunCurves
from phi_tui.widgets.runs_lines import LETTERS


class RunCompare(Vertical):
    """Shows what `show_readings` gives it; until then, that it is being read."""

    COMPONENT_CLASSES = {"runs-compare--label", "runs-compare--best", "runs-compare--title"}
    BINDINGS = [
        Binding("m", "what", "Curves", id="runs.compare-what", tooltip="Loss and eval loss, or one of them"),
        Binding("x", "along", "Axis", id="runs.compare-axis", tooltip="Along the steps or the epochs"),
        Binding("y", "log", "Log", id="runs.compare-log", tooltip="Linear or logarithmic loss"),
        Binding("s", "smooth", "Smooth", id="runs.compare-smooth", tooltip="Smooth the loss: not at all, 0.6 or 0.9"),
        Binding("j,down", "scroll(1)", "Down", show=False, id="runs.compare-down", tooltip="A line down the tables"),
        Binding("k,up", "scroll(-1)", "Up", show=False, id="runs.compare-up", tooltip="A line up the tables"),
        Binding("space,pagedown", "scroll(8)", "Page down", show=False, id="runs.compare-page", tooltip="A page down"),
        Binding("pageup", "scroll(-8)", "Page up", show=False, id="runs.compare-page-up", tooltip="A page up"),
        Binding("g", "end(False)", "Top", show=False, id="runs.compare-top", tooltip="The tables' top"),
        Binding("G", "end(True)", "End", show=False, id="runs.compare-end", tooltip="The tables' end"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._readings: Sequence[Reading] = ()

    def compose(self) -> ComposeResult:
        """Warnings; curves and tables below or beside each other."""
        yield Static("", id="runs-warnings", classes="warn", markup=False)
        with Container(id="runs-side-by-side"):
            with Vertical(id="runs-curves-panel", classes="panel"):
                yield Static("", id="runs-legend", markup=False)
                yield RunCurves(id="runs-curves")
            with VerticalScroll(id="runs-tables-panel", classes="panel"):
                yield Static("", id="runs-tables", markup=False)

    def on_mount(self) -> None:
        """Name the panels."""
        self.query_one("#runs-curves-panel").border_title = "curves"
        self.query_one("#runs-tables-panel").border_title = "side by side"

    def show_reading(self, names: Sequence[str], read: int) -> None:
        """Say what is being read."""
        self._readings = ()
        self.set_class(len(names) > 2, "many")
        self.query_one("#runs-warnings", Static).update("")
        self.query_one("#runs-curves", RunCurves).show(())
        self.query_one("#runs-legend", Static).update(
            Text(f"reading {read + 1} of {len(names)}: {clean(names[read], one_line=True)} ...")
        )
        self.query_one("#runs-tables", Static).update("")

    def show_readings(self, readings: Sequence[Reading]) -> None:
        """Show these runs, four at the most."""
        self._readings = readings
        self.query_one("#runs-curves", RunCurves).show([reading.curves for reading in readings])
        self.refresh_texts()
        self.query_one("#runs-tables-panel").scroll_home(animate=False)

    def refresh_texts(self) -> None:
        """Write legend, warnings and tables, in the theme's colours."""
        readings = self._readings
        if not readings:
            return
        locks = [reading.lock for reading in readings]
        warnings = compare.warnings(locks)
        box = self.query_one("#runs-warnings", Static)
        box.update(Text("\n".join(f"Warning: {words}" for words in warnings)))
        box.display = bool(warnings)
        self.query_one("#runs-legend", Static).update(self._legend())
        self.query_one("#runs-tables", Static).update(self._tables(locks))

    def _legend(self) -> Text:
        curves = self.query_one("#runs-curves", RunCurves)
        one_project = len({reading.run.path.parent for reading in self._readings}) == 1
        legend, used = Text(), 0
        room = max(20, curves.size.width)
        for letter, reading in zip(LETTERS, self._readings, strict=False):
            name = clean(reading.run.id if one_project else reading.name, one_line=True, limit=60)
            style = curves.get_component_rich_style(f"runs-curves--{letter.lower()}", partial=True)
            entry = Text(f"{letter} {name}", style + Style(bold=True))
            if used:
                breaks = used + 2 + entry.cell_len > room
                legend.append("\n" if breaks else "  ")
                used = 0 if breaks else used + 2
            legend.append_text(entry)
            used += entry.cell_len
        return legend

    def _tables(self, locks: Sequence[dict[str, object] | None]) -> RenderableType:
        readings = self._readings
        rows: list[tuple[str, list[Text]]] = []
        best = self.get_component_rich_style("runs-compare--best", partial=True)
        rows.append(("state", [Text(f"{reading.state}  ") for reading in readings]))
        for figure in compare.figures(readings):
            cells = []
            for place, value in enumerate(figure.values):
                text = runs_rows.shown(value, figure.unit)
                cells.append(Text(f"{text} *", best) if place in figure.best else Text(f"{text}  "))
            rows.append((figure.name, cells))
        settings = compare.settings([reading.project for reading in readings])
        ran_on = compare.lock_rows(locks)
        return Group(
            self._table("figures, * the best", rows, "right"),
            Text(),
            self._table("settings that differ", self._plain(settings))
            if settings
            else self._title("no setting differs"),
            Text(),
            self._table("what they ran on, where it differs", self._plain(ran_on))
            if ran_on
            else self._title("they ran on the same: packages, base, data, device"),
        )

    def _plain(self, rows: Sequence[compare.Row]) -> list[tuple[str, list[Text]]]:
        return [(key, [Text(_value(key, value)) for value in values]) for key, values in rows]

    def _title(self, words: str) -> Text:
        return Text(words, self.get_component_rich_style("runs-compare--title", partial=True))

    def _table(self, title: str, rows: Sequence[tuple[str, list[Text]]], align: str = "left") -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True, show_edge=False)
        label = self.get_component_rich_style("runs-compare--label", partial=True)
        longest = max((len(key) for key, _ in rows), default=0)
        table.add_column(self._title(""), overflow="fold", width=min(longest, 26) if len(rows) else None)
        for letter in LETTERS[: len(self._readings)]:
            table.add_column(
                Text(letter + ("  " if align == "right" else "")),
                justify="right" if align == "right" else "left",
                overflow="fold",
                ratio=3,
            )
        for key, cells in rows:
            table.add_row(Text(clean(key, one_line=True, limit=100), label), *cells)
        return Group(self._title(title), table)

    def action_what(self) -> None:
        """Draw the other curves."""
        self.query_one("#runs-curves", RunCurves).cycle_what()

    def action_along(self) -> None:
        """Draw along the steps or the epochs."""
        curves = self.query_one("#runs-curves", RunCurves)
        curves.along = "epoch" if curves.along == "step" else "step"

    def action_log(self) -> None:
        """Switch the loss axis between linear and logarithmic."""
        curves = self.query_one("#runs-curves", RunCurves)
        curves.log_axis = not curves.log_axis

    def action_smooth(self) -> None:
        """Smooth the loss more, or not at all."""
        self.query_one("#runs-curves", RunCurves).cycle_smoothing()

    def action_scroll(self, lines: int) -> None:
        """Move the tables by lines."""
        self.query_one("#runs-tables-panel").scroll_relative(y=lines, animate=False)

    def action_end(self, last: bool) -> None:
        """To the tables' top or end."""
        panel = self.query_one("#runs-tables-panel")
        if last:
            panel.scroll_end(animate=False)
        else:
            panel.scroll_home(animate=False)


def _value(key: str, value: object) -> str:
    """A setting or a lock's value, made safe; hashes cut short."""
    if isinstance(value, list):
        value = ", ".join(str(part) for part in value) or "none"
    text = clean(value, one_line=True, limit=200)
    return text[:12] if key.endswith(("sha256", "fingerprint")) else text or '""'
