"""Looking into a run's folder: its project file and the end of its log."""

from __future__ import annotations

from pathlib import Path

from textual.binding import Binding

from phi_tui.run_list import Glance
from phi_tui.widgets import runs_text
from phi_tui.widgets.runs_frame import FILE, RunsFrame
from phi_tui.widgets.runs_text import RunText


class Looking(RunsFrame):
    """The keys that open a file of a run."""

    BINDINGS = [
        Binding("l", "log", "Log", show=False, id="runs.log", tooltip="The end of what its libraries printed"),
        Binding("o", "folder", "Project file", show=False, id="runs.folder", tooltip="Its folder and its project file"),
    ]
    looked_at: tuple[Glance, bool] | None = None
    """The run whose file is shown, and whether it is its log."""

    def action_folder(self) -> None:
        """Show the run's folder and its project file."""
        self._open_file(log=False)

    def action_log(self) -> None:
        """Show the end of the run's log."""
        self._open_file(log=True)

    def _open_file(self, *, log: bool) -> None:
        if glance := self.table.current:
            self.looked_at = glance, log
            self.read_file("file")

    def read_file(self, what: str) -> None:
        if self.looked_at:
            glance, log = self.looked_at
            path = glance.run.console if log else glance.run.path / "project.toml"
            self.find_out(what, lambda: (path, runs_text.tail(path) if log else runs_text.whole(path)))

    def _show_file(self, path: Path, text: str, *, again: bool) -> None:
        if not self.looked_at:
            return
        glance, log = self.looked_at
        pane = self.query_one("#runs-file", RunText)
        at_end = pane.at_end if again else log
        title = f"{glance.name}: {'the end of its log' if log else 'project.toml'}"
        if not again:
            self.switch(FILE)
        pane.show_text(title, path, text or "it is empty", at_end=at_end)

    def _found_file(self, result: tuple[Path, str]) -> None:
        self._show_file(*result, again=self.view == FILE)

    def _found_log_again(self, result: tuple[Path, str]) -> None:
        if self.view == FILE and self.looked_at and self.looked_at[0].run.console == result[0]:
            self._show_file(*result, again=True)
