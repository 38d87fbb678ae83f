"""Exporting a run: the question what of it, the question where to, and the thread that writes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from phi_tui import export
from phi_tui.run import Run
from phi_tui.run_list import Glance
from phi_tui.safe_text import clean
from phi_tui.widgets.dialogs import AskText
from phi_tui.widgets.runs_frame import RunsFrame

KINDS = (
    ("adapter", "Adapter", "a folder in PEFT's format"),
    ("bundle", "Project and lock", "a folder that replays the run elsewhere"),
    ("both", "All of these", "project, lock and adapter in a folder"),
    ("csv", "Metrics as CSV", "steps and evaluations"),
    ("json", "Metrics as JSON", "the same, an array of objects"),
)
"""Id, name and explanation of what can be exported."""

SUFFIXES = {"adapter": "-adapter", "bundle": "-replay", "both": "", "csv": ".csv", "json": ".json"}
"""What the name offered for each ends in."""


class ExportChoice(ModalScreen[str]):
    """Returns the id of what was chosen, or an empty text when it is dismissed."""

    BINDINGS = [
        Binding("escape", "dismiss('')", "Cancel", id="dialog.cancel", tooltip="Export nothing"),
        Binding("j", "move(1)", "Down", show=False, id="runs.export-down", tooltip="The next one"),
        Binding("k", "move(-1)", "Up", show=False, id="runs.export-up", tooltip="The one before"),
    ]

    def __init__(self, run: str, *, has_adapter: bool) -> None:
        super().__init__()
        self._run, self._has_adapter = run, has_adapter

    def compose(self) -> ComposeResult:
        """The question above the kinds."""
        with Vertical(classes="dialog"):
            yield Label(f"Export what of {clean(self._run, one_line=True)}?", markup=False, classes="dialog-question")
            yield OptionList(
                *(
                    Option(
                        f"{name:<17} {words if self._can(kind) else 'this run has no adapter yet'}",
                        id=kind,
                        disabled=not self._can(kind),
                    )
                    for kind, name, words in KINDS
                ),
                markup=False,
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """One was chosen."""
        self.dismiss(event.option_id or "")

    def action_move(self, by: int) -> None:
        """Go to another one."""
        options = self.query_one(OptionList)
        if by > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def _can(self, kind: str) -> bool:
        return self._has_adapter or kind not in ("adapter", "both")


class Exporting(RunsFrame):
    """The key that exports."""

    BINDINGS = [
        Binding("e", "export", "Export", id="runs.export", tooltip="Adapter, project and lock, or metrics"),
    ]

    def action_export(self) -> None:
        """Ask what, and where to."""
        if (glance := self.table.current) is None:
            return

        def chosen(kind: str | None) -> None:
            if kind:
                self._ask_place(glance, kind)

        self.app.push_screen(ExportChoice(glance.name, has_adapter=glance.run.result_folder.is_dir()), chosen)

    def _ask_place(self, glance: Glance, kind: str) -> None:
        root = self.phi.session.workspace.root
        offered = root / f"{glance.project}-{glance.run.id}{SUFFIXES[kind]}"

        def place(text: str) -> Path:
            return root / Path(text.strip()).expanduser()

        def check(text: str) -> str:
            if not text.strip():
                return "type a path, or press escape"
            try:
                return export.flaw_of(place(text))
            except (OSError, ValueError, RuntimeError) as error:
                return str(error)

        def named(text: str | None) -> None:
            if text:
                self.find_out("exported", partial(_export, glance.run, kind, place(text)))

        what = "file" if kind in ("csv", "json") else "folder"
        self.app.push_screen(AskText(f"Write to which new {what}?", str(offered), check=check), named)

    def _found_exported(self, result: str) -> None:
        self.say(result, title="exported")


def _export(run: Run, kind: str, path: Path) -> str:
    """Write it and say so in a sentence."""
    if kind in ("csv", "json"):
        count = export.metrics_csv(run, path) if kind == "csv" else export.metrics_json(run, path)
        return f"{count:,} steps and evaluations in {path}"
    if kind == "adapter":
        return f"the adapter is in {export.adapter(run, path)}"
    export.bundle(run, path, with_adapter=kind == "both")
    name = run.project().name
    return f"{path}: there, phi-tui --replay {name}.toml --locked; data and base are looked for where the file says"
