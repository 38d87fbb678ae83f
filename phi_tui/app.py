"""The full-screen app: which screens there are, keys, themes, and the few things that all screens share.

It owns nothing that outlives it: runs are processes of their own, projects are files.  Nothing here imports torch;
heavy work is done by child processes, and what they or threads find out comes back as messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.messages import ExitApp
from textual.screen import Screen
from textual.theme import Theme
from textual.widget import AwaitMount

from phi_tui import preferences, terminal
from phi_tui.child import Child
from phi_tui.errors import PhiError, Refusal
from phi_tui.run import Run
from phi_tui.run_list import Glance, RunList
from phi_tui.safe_text import clean
from phi_tui.session import Session
from phi_tui.sheet import Sheet
from phi_tui.start import end_of_start
from phi_tui.themes import GOLDEN, THEMES
from phi_tui.widgets.guide_bar import STEPS
from phi_tui.widgets.messages import Flawed, RunChanged, RunsSeen
from phi_tui.widgets.nav_bar import SCREENS, NavBar
from phi_tui.workspace import Workspace, place_of

if TYPE_CHECKING:
    from phi_tui.ahead import Ahead
    from phi_tui.follow import Follow
    from phi_tui.launch import Here

_STYLES = Path(__file__).parent / "styles"

_WATCH_SECONDS = 2.0
_PROJECT_SECONDS = 0.4
"""After so long the project of a run that is watched from the start is opened."""
_INSPECTOR_SECONDS = 30.0
"""How long a start waits for a look at the data to end."""


class PhiApp(App[int]):
    """phi-tui on a terminal."""

    TITLE = "phi-tui"
    CSS_PATH = [_STYLES / "base.tcss", _STYLES / "chart.tcss", _STYLES / "help.tcss"]
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS = [
        *[
            Binding(str(key), f"go('{name}')", word, show=False, id=f"go.{name}", tooltip=f"Go to the {word} screen")
            for key, (name, word) in enumerate(SCREENS, start=1)
        ],
        Binding("f1", "explain", "Help", id="app.help", priority=True, tooltip="What this screen and field are for"),
        Binding("question_mark", "explain", "Help", show=False, id="app.help-too", tooltip="The same as F1"),
        Binding("ctrl+p", "command_palette", "Commands", id="app.commands", priority=True, tooltip="Every command"),
        Binding("ctrl+q", "quit", "Quit", id="app.quit", priority=True, tooltip="Leave; background runs go on"),
        Binding(
            "ctrl+z",
            "suspend_process",
            "Suspend",
            show=False,
            id="app.suspend",
            tooltip="Back to the shell; fg brings the app back. A run inside this app stands still meanwhile",
        ),
        Binding("ctrl+n", "guide(1)", "Next step", show=False, id="guide.next", tooltip="The guide's next step"),
        Binding("ctrl+b", "guide(-1)", "Step back", show=False, id="guide.back", tooltip="The guide's last step"),
    ]

    def __init__(
        self,
        session: Session,
        *,
        guiding: bool = False,
        start_on: str = "home",
        autostart: bool = False,
        attach: Run | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        """`guiding` shows the wizard's line; `autostart` starts the open project's run once its screen is up.

        `attach` is a run to watch from the start; `ahead` reads its journal already.
        """
        # Under NO_COLOR the library greys its own colours, which are colours still; as native ones it drops them.
        super().__init__(ansi_color=True if os.environ.get("NO_COLOR") is not None else None)
        self.stylesheet = Sheet(variables=self.get_css_variables())
        self.session = session
        self.guiding = guiding
        self.start_on = start_on
        self.autostart = autostart
        self.attach_to = attach
        self._ahead = ahead
        self.live = 0
        """How many runs of the workspace are live."""
        self.glances: list[Glance] = []
        """The workspace's runs, as last read."""
        self.here: Here | None = None
        """The run that trains inside this process, if any."""
        self.follow: Follow | None = None
        """The run that the Train screen shows, if any."""
        self._ended = True
        self._shown: set[str] = set()
        self._at_once = False
        self._run_list = RunList()
        self._watching = threading.Event()
        self._look_now = threading.Event()
        handle, name = tempfile.mkstemp(prefix="phi-tui-", suffix=".log")
        os.close(handle)
        self.worker_log = Path(name)
        """What child processes and libraries print."""
        self.inspector = Child("phi_tui.engine.inspector", self.worker_log)
        """Prepares, checks, and looks at data and models."""
        self.speakers = Child("phi_tui.engine.speakers", self.worker_log)
        """Holds the models that chat."""
        self.register_theme(GOLDEN)
        self._preferences = preferences.load()
        self.set_keymap(self._preferences.keys)
        if os.environ.get("SSH_CONNECTION") and "TEXTUAL_ANIMATIONS" not in os.environ:
            self.animation_level = "none"
        self.theme = self._first_theme()

    # What the app starts and ends

    def on_mount(self) -> None:
        """Show the first screen and begin to look at the workspace's runs."""
        for name, _ in SCREENS:
            self.add_mode(name, self._maker(name))
        # Not yet: until all that is mounted now is ready, nothing is drawn, and what was drawn would be drawn again.
        self.call_later(self._first_screen)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM):
            # Off the main thread (a test's pilot may be) there are no signals to handle.
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, self._ended_from_outside)
        terminal.after_a_stop(self._driver)
        self.theme_changed_signal.subscribe(self, self._keep_theme)
        for flaw in self._preferences.flaws:
            self.say(flaw, severity="warning", title="settings")
        if self._preferences.keys:  # to know all bindings every screen is imported, which takes half a second
            threading.Thread(target=self._check_keys, name="keys.toml", daemon=True).start()

    def _first_screen(self) -> None:
        if self.attach_to is not None:
            self.watch_run(self.attach_to, self._ahead)
        else:
            self.switch_mode(self.start_on)
        self.call_after_refresh(self._painted)

    def _painted(self) -> None:
        """The first picture is there; only now is there time for what it did not need."""
        end_of_start()
        self._watching.set()
        threading.Thread(target=self._watch, name="runs of the workspace", daemon=True).start()

    def _check_keys(self) -> None:
        """A thread: bindings of keys.toml that do not exist are named."""
        from phi_tui import bound

        unknown = preferences.without(self._preferences, set(self._preferences.keys) - bound.ids(PhiApp.BINDINGS))
        for flaw in unknown.flaws[len(self._preferences.flaws) :]:
            self.post_message(Flawed(flaw))

    def on_flawed(self, event: Flawed) -> None:
        """Something in the settings does not fit."""
        self.say(event.flaw, severity="warning", title="settings")

    def on_unmount(self) -> None:
        """Let go of everything; background runs are not ours to end."""
        self._watching.clear()
        self._look_now.set()
        self.unwatch_run()
        self.inspector.close()
        self.speakers.close()
        if self.here is not None:
            self.here.stop_and_wait()
        with contextlib.suppress(OSError):
            if not self.worker_log.stat().st_size:
                self.worker_log.unlink()

    def _ended_from_outside(self) -> None:
        """SIGHUP or SIGTERM: leave at once; a run that trains here saves first."""
        if self.here is not None:
            self.here.stop()
        self.exit(130 if self.here is not None else 0)

    # Going around

    def action_go(self, name: str) -> None:
        """Jump to a screen."""
        if self.current_mode != name:
            self.switch_mode(name)

    def switch_mode(self, mode: str) -> AwaitMount:
        """Show a screen; drawing waits only for one that is made meanwhile, while another is to be seen."""
        self._at_once = not self._shown or mode in self._shown
        self._shown.add(mode)
        try:
            return super().switch_mode(mode)
        finally:
            self._at_once = False

    def delay_update(self, delay: float = 0.05) -> None:
        """Draw nothing for `delay` seconds; the library asks for it whenever another screen is shown."""
        if not self._at_once:
            super().delay_update(delay)

    def go(self, name: str) -> None:
        """Jump to a screen; what screens call."""
        self.action_go(name)

    def action_guide(self, by: int) -> None:
        """Go along the guided path."""
        if not self.guiding or self.current_mode not in STEPS:
            return
        place = STEPS.index(self.current_mode) + by
        if 0 <= place < len(STEPS):
            self.go(STEPS[place])

    def on_nav_bar_chosen(self, event: NavBar.Chosen) -> None:
        """A word in the bar was clicked."""
        self.go(event.screen)

    def action_explain(self) -> None:
        """Explain the screen and the focused widget."""
        from phi_tui.screens.help import Help

        if isinstance(self.screen, Help):
            self.screen.dismiss()
        else:
            self.push_screen(Help(self.screen, self.focused))

    def action_theme(self, name: str) -> None:
        """Take one of the themes offered."""
        self.theme = THEMES.get(name, name)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: jumps, themes, what the screen can do, quitting."""
        for key, (name, word) in enumerate(SCREENS, start=1):
            yield SystemCommand(f"Go to {word}", f"the same as {key}", lambda name=name: self.go(name))
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.description and active.enabled and not binding.action.startswith(("go(", "app.go(")):
                yield SystemCommand(
                    binding.description,
                    binding.tooltip or f"key {binding.key}",
                    lambda action=binding.action, node=active.node: self.call_later(self.run_action, action, node),
                )
        for name in THEMES:
            yield SystemCommand(f"Theme: {name}", "kept between starts", lambda name=name: self.action_theme(name))
        if self.guiding:
            yield SystemCommand("Leave the guide", "hide the guide's line", self._leave_guide)

    def _leave_guide(self) -> None:
        self.guiding = False
        self._show_project()

    # What screens share

    def say(self, text: object, *, severity: str = "information", title: str = "") -> None:
        """Show a notice; whatever the text holds, it is shown as it is and does nothing."""
        self.notify(
            clean(text, limit=600),
            title=clean(title),
            severity=severity if severity in ("warning", "error") else "information",  # type: ignore[arg-type]
            markup=False,
            timeout=10 if severity == "error" else 5,
        )

    def open(self, file: Path) -> bool:
        """Open a project; a flaw in it is told.  Returns whether it is open."""
        return self.tried(lambda: self.session.open(file))

    def set(self, **values: Any) -> bool:
        """Change settings of the open project, `train__epochs=3`; all or none, told when they do not fit."""
        return self.tried(lambda: self.session.set_many({key.replace("__", "."): v for key, v in values.items()}))

    def changed(self) -> None:
        """Tell the screen that the session's project changed."""
        self._show_project()

    def look_at_runs(self) -> None:
        """Read the list of runs again now; `RunsSeen` comes to the screen."""
        self._look_now.set()

    def tried(self, change: Any) -> bool:
        """Make a change; an error is told.  Returns whether it was made."""
        try:
            change()
        except PhiError as error:
            self.say(error, severity="error")
            return False
        except OSError as error:
            self.say(f"{error.filename or ''}: {error.strerror or error}", severity="error")
            return False
        self._show_project()
        return True

    def _show_project(self) -> None:
        from phi_tui.screens.frame import Frame

        for screen in self.screen_stack:
            if isinstance(screen, Frame) and screen.is_mounted:
                screen.on_screen_resume()

    def _watch(self) -> None:
        """A thread: the workspace's runs, every two seconds, or when asked."""
        while self._watching.is_set():
            if self.is_web and terminal.deserted():
                self.post_message(ExitApp())
                return
            glances = self._run_list.read(self.session.workspace)
            self.glances = glances
            self.post_message(RunsSeen(sum(glance.state == "running" for glance in glances)))
            self._look_now.wait(_WATCH_SECONDS)
            self._look_now.clear()

    def on_runs_seen(self, event: RunsSeen) -> None:
        """Pass the news on to the screen that is up."""
        from phi_tui.screens.frame import Frame

        self.live = event.live
        screen = self.screen_stack[-1] if self.screen_stack else None
        if isinstance(screen, Frame) and screen.composed:
            screen.refresh_bar()
            screen.runs_seen()

    # The run that is watched

    def watch_run(self, run: Run, ahead: Ahead | None = None) -> None:
        """Follow a run from its first event on, and show it on the Train screen; opens its project if it lies here.

        `ahead` reads its journal already.
        """
        from phi_tui.follow import Follow, clock_of_this_thread

        self.unwatch_run()
        if self._shown:
            self._open_project_of(run)
        else:  # the curve comes first: opening a project imports the schema, which takes 0.15 s
            self.set_timer(_PROJECT_SECONDS, lambda: self._open_project_of(run))

        def changed() -> None:
            self.post_message(RunChanged(run.id))

        self.follow = follow = Follow(run, changed, clock_of_this_thread(), ahead)
        self._ended = follow.state != "running"
        self.look_at_runs()
        self.go("train")
        self.call_later(self._show_followed)

    def _open_project_of(self, run: Run) -> None:
        name = run.path.parent.name
        if self.session.project is None or self.session.project.name != name:
            file = self.session.workspace.root / f"{name}.toml"
            if file.is_file() and (self.follow is None or self.follow.run is run):
                self.tried(lambda: self.session.open(file))

    def unwatch_run(self) -> None:
        """Follow no run any more; the run goes on."""
        if self.follow is not None:
            self.follow.close()
            self.follow = None

    def wait_for_inspector(self) -> None:
        """Return once nothing is asked of the inspector, or after a while; called on a thread.

        It may be preparing the rows that a run is about to prepare, and only one process can at a time.
        """
        deadline = time.monotonic() + _INSPECTOR_SECONDS
        while not self.inspector.idle and time.monotonic() < deadline:
            time.sleep(0.02)

    def start_engine(self, run: Run, workspace: Workspace, *, here: bool, resume: bool) -> Run:
        """Start the engine on a run directory; called on a thread, raises PhiError."""
        from phi_tui.launch import Here, background

        if here:
            if self.here is not None and self.here.alive:
                raise Refusal("a run trains inside this app already", fix="wait for it, or start this one outside")
            self.here = Here(run, workspace, resume=resume)
        else:
            background(run, workspace, resume=resume)
        if self.inspector.idle:  # it holds torch; it starts again when it is asked
            self.inspector.close()
        return run

    def on_run_changed(self, event: RunChanged) -> None:
        """Pass news of the followed run on; say on other screens that it ended."""
        follow = self.follow
        if follow is None or follow.run.id != event.run:
            return
        if self.current_mode == "train":
            self.get_screen_stack("train")[0].post_message(event)
        if follow.state == "running":
            self._ended = False
        elif not self._ended:
            self._ended = True
            self.look_at_runs()
            if self.current_mode != "train":
                self.say(f"The run of {follow.run.path.parent.name} is {follow.state}; 5 shows it.")

    def _show_followed(self) -> None:
        from phi_tui.screens.train import TrainScreen

        if isinstance(self.screen, TrainScreen):
            self.screen.fresh()
            self.screen.show_project(self.session.project)

    # Looks

    def _first_theme(self) -> str:
        """The theme kept, else golden, else one in the terminal's own colours where it has only sixteen."""
        if self._preferences.theme in self.available_themes:
            return self._preferences.theme
        return "ansi-dark" if self.console.color_system == "standard" else "golden"

    def _maker(self, name: str) -> Callable[[], Screen[Any]]:
        """Return a function that imports a screen when it is first shown."""

        def make() -> Screen[Any]:
            made = importlib.import_module(f"phi_tui.screens.{name}").SCREEN()
            made.fit(self.size)
            return made

        return make

    def _keep_theme(self, theme: Theme) -> None:
        with contextlib.suppress(OSError):
            preferences.keep_theme(theme.name)


def run_app(
    workspace: Path | None = None,
    project: Path | None = None,
    *,
    guiding: bool = False,
    start_on: str = "home",
    autostart: bool = False,
    attach: Run | None = None,
    ahead: Ahead | None = None,
) -> int:
    """Open the app on a workspace, on a project or on a run to watch, until it is left; return the exit code.

    `ahead` is a process that reads the journal of the run to watch already.
    """
    session = Session(place_of(workspace))
    if project:
        session.open(project)
    where = "train" if attach else start_on
    app = PhiApp(session, guiding=guiding, start_on=where, autostart=autostart, attach=attach, ahead=ahead)
    log = app.worker_log
    with terminal.own(log):
        code = app.run()
    return code or 0
