"""Home: the workspace's projects and runs, what is live, what this machine has, and what to do first."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from phi_tui import figures
from phi_tui.run_list import Glance
from phi_tui.safe_text import clean
from phi_tui.screens.frame import Frame
from phi_tui.session import ProjectFile
from phi_tui.widgets.dialogs import AskText
from phi_tui.widgets.home_rows import project_row, run_row
from phi_tui.widgets.messages import Found

if TYPE_CHECKING:
    from phi_tui.machine import Machine
    from phi_tui.schema import Project

_RUNS_SHOWN = 12


class HomeScreen(Frame):
    """Two lists and the machine; an empty workspace says what to do."""

    NAME = "home"
    HELP = """# Home

A **project** is a TOML file in the workspace: a base, data, settings. **Enter** opens one; a run of it, when one is
live, is shown at once. New here? **Enter** on the demo trains a small embedded model in about two minutes and lets
you talk to it. For your own data: **n** makes a project, then 2 (base), 3 (data), 4 (settings), 5 (train), 6 (chat).
"""
    BINDINGS = [
        Binding("n", "new", "New", id="home.new", tooltip="A new project"),
        Binding("o", "open", "Open", id="home.open", tooltip="A project file by its path"),
        Binding("D", "duplicate", "Duplicate", id="home.duplicate", tooltip="Copy the highlighted project"),
        Binding("t", "demo", "Demo", id="home.demo", tooltip="The embedded base on the embedded toy set"),
        Binding("j", "cursor(1)", "Down", show=False, id="home.down"),
        Binding("k", "cursor(-1)", "Up", show=False, id="home.up"),
        Binding("tab", "app.focus_next", "Other list", show=False, id="home.next"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._projects: list[ProjectFile] = []
        self._read = False
        self._shown: Any = None

    def body(self) -> ComposeResult:
        """Projects, runs, the machine."""
        with Horizontal(id="home"):
            with Vertical(id="home-left"):
                yield Static("", id="welcome", markup=False)
                projects = OptionList(id="projects", classes="panel", markup=False)
                projects.border_title = "Projects"
                projects.tooltip = "The project files of this workspace; Enter opens one"
                yield projects
            with Vertical(id="home-right"):
                runs = OptionList(id="runs", classes="panel", markup=False)
                runs.border_title = "Runs"
                runs.tooltip = "Live runs on top; Enter attaches to one or shows what came out"
                yield runs
                about = Static("", id="machine", classes="panel", markup=False)
                about.border_title = "This machine"
                yield about

    def on_mount(self) -> None:
        """Look at the workspace and the machine."""
        self.query_one("#projects").focus()
        self.call_after_refresh(lambda: self.find_out("machine", self._look_at_machine))

    def _look_at_machine(self) -> Machine:
        from phi_tui.machine import machine

        return machine(_existing(self.phi.session.workspace.root))

    def show_project(self, project: Project | None) -> None:
        """Read the project files again."""
        # After the first paint: reading project files imports the schema, which takes 0.1 s.
        self.call_after_refresh(lambda: self.find_out("projects", self.phi.session.projects))

    def runs_seen(self) -> None:
        """Show the runs; project rows carry their newest run's state."""
        self._show_runs()
        self._show_projects()

    def on_found(self, event: Found) -> None:
        """Something was read."""
        if isinstance(event.result, Exception):
            self.say(event.result, severity="error")
        elif event.what == "projects":
            self._projects, self._read = event.result, True
            self._show_projects()
            self._show_runs()
        elif event.what == "machine":
            self.query_one("#machine", Static).update(_machine(event.result, self.phi.session.workspace.root))

    def _show_projects(self) -> None:
        if not self._read:  # a row shown now would keep the cursor when the projects come
            return
        newest: dict[str, Glance] = {}
        for glance in sorted(self.phi.glances, key=lambda glance: glance.run.id):
            newest[glance.project] = glance
        width = max(30, self.query_one("#projects").size.width - 4)
        rows: list[tuple[str, Text]] = [
            (f"file:{number}", project_row(one, newest.get(one.project.name if one.project else ""), width))
            for number, one in enumerate(self._projects)
        ]
        if not any(one.path.name == "phi_demo.toml" for one in self._projects):
            rows.append(("demo", Text("▸ Demo: train a small embedded model, then talk to it", style="bold")))
        rows.append(("new", Text("+ New project from your own data", style="bold" if not self._projects else "")))
        _fill(self.query_one("#projects", OptionList), rows)
        welcome = self.query_one("#welcome", Static)
        welcome.display = not self._projects
        if not self._projects:
            welcome.update(_WELCOME)

    def _show_runs(self) -> None:
        width = max(24, self.query_one("#runs").size.width - 4)
        rows = [
            (f"run:{glance.name}", run_row(glance, width, time.time())) for glance in self.phi.glances[:_RUNS_SHOWN]
        ]
        if not rows:
            rows = [("none", Text("No runs yet.", style="dim"))]
        elif len(self.phi.glances) > _RUNS_SHOWN:
            rows.append(
                ("more", Text(f"{len(self.phi.glances) - _RUNS_SHOWN} more on the Runs screen (7)", style="dim"))
            )
        _fill(self.query_one("#runs", OptionList), rows)

    # What can be done

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        what, _, which = (event.option.id or "").partition(":")
        if what == "file":
            self._open(self._projects[int(which)].path)
        elif what == "demo":
            self.action_demo()
        elif what == "new":
            self.action_new()
        elif what == "more":
            self.phi.go("runs")
        elif what == "run":
            glance = next((one for one in self.phi.glances if one.name == which), None)
            if glance is not None:
                self.phi.watch_run(glance.run)

    def _open(self, file: Path) -> None:
        if not self.phi.open(file):
            return
        follow, project = self.phi.follow, self.phi.session.project
        assert project
        if follow is not None and follow.run.path.parent.name != project.name:
            self.phi.unwatch_run()
        live = any(glance.project == project.name and glance.state == "running" for glance in self.phi.glances)
        self.phi.go("train" if live or project.data.sources else "model")

    def action_demo(self) -> None:
        """Bring the demo in and go to where it starts."""
        try:
            self.phi.session.demo()
        except Exception as error:
            self.say(error, severity="error")
            return
        self.phi.go("train")

    def action_new(self) -> None:
        """Ask for a name; the guide's steps follow."""

        def named(name: str | None) -> None:
            if name and self.phi.tried(lambda: self.phi.session.new(name)):
                self.phi.unwatch_run()
                self.phi.guiding = True
                self.phi.go("model")

        self.app.push_screen(
            AskText("Name of the project (it names its folders)", check=self._flaw_of_name, placeholder="my_project"),
            named,
        )

    def action_open(self) -> None:
        """Ask for a path."""

        def named(path: str | None) -> None:
            if path:
                self._open(Path(os.path.expandvars(path)).expanduser())

        self.app.push_screen(AskText("Path of a project file (.toml); its folder becomes the workspace"), named)

    def action_duplicate(self) -> None:
        """Ask for the copy's name."""
        at = self.query_one("#projects", OptionList).highlighted
        if at is None or at >= len(self._projects) or self._projects[at].project is None:
            self.say("Highlight a project first.", severity="warning")
            return
        original = self._projects[at].path

        def named(name: str | None) -> None:
            if name and self.phi.tried(lambda: self.phi.session.duplicate(original, name)):
                self.phi.unwatch_run()
                self.phi.go("hparams")

        self.app.push_screen(AskText(f"Name of the copy of {original.stem}", check=self._flaw_of_name), named)

    def action_cursor(self, by: int) -> None:
        """Vim keys in whichever list has the focus."""
        if isinstance(self.focused, OptionList):
            (self.focused.action_cursor_down if by > 0 else self.focused.action_cursor_up)()

    def _flaw_of_name(self, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name.strip()):
            return "Letters, digits, dot, dash and underscore; not starting with a dot or dash."
        if (self.phi.session.workspace.root / f"{name.strip()}.toml").exists():
            return "There is a project of that name already."
        return ""


_WELCOME = Text.assemble(
    ("Fine-tune a language model here, and talk to it.\n", "bold"),
    "Nothing is in this workspace yet. Enter on the demo shows the whole way in about two minutes, ",
    "with no download. F1 explains any screen.",
)


def _machine(found: Machine, root: Path) -> Text:
    """What this machine has, in lines."""
    text = Text()
    for device in found.devices:
        name = clean(device.name, one_line=True, limit=60)
        text.append(f"{'GPU' if device.kind != 'cpu' else 'CPU'}    ", "dim").append(name)
        free = f"  {figures.size(device.memory_free)} of {figures.size(device.memory_total)} free"
        text.append(free if device.kind != "cpu" else f"  {found.cores} cores").append("\n")
    text.append("RAM    ", "dim").append(f"{figures.size(found.ram_free)} of {figures.size(found.ram_total)} free\n")
    text.append("disk   ", "dim").append(f"{figures.size(found.disk_free)} free\n")
    text.append("folder ", "dim").append(clean(root, one_line=True, limit=200))
    return text


def _fill(options: OptionList, rows: list[tuple[str, Text]]) -> None:
    """Show rows, keeping the highlighted one; an unchanged list is not touched, so that nothing is redrawn."""
    before = [(option.id, option.prompt) for option in options.options]
    if before == [(name, text) for name, text in rows]:
        return
    at = options.highlighted
    kept = options.get_option_at_index(at).id if at is not None and at < options.option_count else None
    options.clear_options()
    options.add_options([Option(text, id=name) for name, text in rows])
    names = [name for name, _ in rows]
    options.highlighted = names.index(kept) if kept in names else 0


def _existing(path: Path) -> Path:
    return path if path.exists() else Path.home()


SCREEN = HomeScreen
