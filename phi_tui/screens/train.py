"""Train: preflight's words, then the run as it goes, and what came out.

The screen shows what a follower's thread read from the journal; it never talks to the trainer but through the run
directory, so it is the same screen for a run of this process, of another one, and of last week.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Horizontal, Vertical
from textual.widgets import Button, ContentSwitcher, Static

from phi_tui import figures, launch
from phi_tui.follow import Follow
from phi_tui.run import Run
from phi_tui.safe_text import clean
from phi_tui.screens.frame import Frame
from phi_tui.screens.train_actions import TrainActions
from phi_tui.widgets.load_panel import LoadPanel
from phi_tui.widgets.messages import Found, Replied, RunChanged
from phi_tui.widgets.preflight_panel import PreflightPanel
from phi_tui.widgets.run_charts import RunCharts
from phi_tui.widgets.run_log import RunLog
from phi_tui.widgets.run_outcome import RunOutcome
from phi_tui.widgets.run_status import RunStatus
from phi_tui.widgets.sample_list import SampleList

if TYPE_CHECKING:
    from phi_tui.schema import Project

PANES = ("log", "said", "load")


class TrainScreen(TrainActions, Frame):
    """Two faces: `preflight` before a run, `watching` while one is followed."""

    NAME = "train"
    HELP = """# Train

Before a run, preflight says what will happen, or why it would not be let start. **Enter** starts it.

A run in the background is a process of its own: quit the app, lose the line, come back, and it is still there.
*Inside this app* the run ends with the app, saved and resumable.

The loss should fall; the evaluation loss (points) tells whether that helps on rows it has not seen. When it rises
while the loss still falls, the adapter learns the rows by heart: the best one is kept either way. A gap in a curve
is a value that was not finite.
"""
    BINDINGS = [
        Binding("m", "metric", "Chart", id="train.metric", tooltip="The next chart large"),
        Binding("v", "pane", "Pane", id="train.pane", tooltip="Log, samples, machine"),
        Binding("ctrl+s", "save", "Save now", id="train.save", tooltip="Write a checkpoint after this step"),
        Binding("a", "sample", "Ask it", id="train.sample", tooltip="Answer the sample prompts after this step"),
        Binding("x", "stop", "Stop", id="train.stop", tooltip="Save and stop, stop, or cancel"),
        Binding("d", "detach", "Detach", id="train.detach", tooltip="Leave the run alone and go home"),
        Binding("n", "new", "New run", id="train.new", tooltip="Back to preflight for another run"),
        Binding("r", "resume", "Resume", id="train.resume", tooltip="Go on with this run, or from a checkpoint"),
        Binding("c", "chat", "Chat", id="train.chat", tooltip="Talk to what was trained"),
        Binding("y", "chart('toggle_log')", "Log axis", show=False, id="train.log", tooltip="Logarithmic or linear"),
        Binding("s", "chart('cycle_smoothing')", "Smooth", show=False, id="train.smooth", tooltip="None, 0.6, 0.9"),
        Binding("w", "chart('cycle_window')", "Window", show=False, id="train.window", tooltip="All, last 1000, 100"),
    ]
    _SHOWN_WHEN: ClassVar[dict[str, str]] = {
        "save": "live", "sample": "live", "stop": "live", "detach": "live", "new": "over", "resume": "unfinished",
        "chat": "over", "metric": "watching", "pane": "watching", "chart": "watching",
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._request = 0
        self._planned = ""
        self._told_end = ""
        self.starting = False

    def body(self) -> ComposeResult:
        """Both faces; one is shown."""
        with ContentSwitcher(initial="preflight", id="faces"):
            yield PreflightPanel(id="preflight")
            with Vertical(id="watching"):
                yield RunStatus(id="status")
                yield RunOutcome(id="outcome", markup=False)
                with Container(id="middle"):
                    yield RunCharts()
                with Horizontal(id="panes"):
                    yield RunLog()
                    yield SampleList(id="said")
                    yield LoadPanel(id="load")

    def on_mount(self) -> None:
        """Show the log first, and the run that may be followed already."""
        self._show_pane("log")
        self.fresh()
        self.show_project(self.phi.session.project)

    # What is shown

    def show_project(self, project: Project | None) -> None:
        """Watch a live run of the project; else show preflight, unless a run is followed already."""
        if not self.query("#faces"):
            return  # not composed yet: on_mount comes here again
        follow = self.follow
        if follow is None and project is not None:
            live = next((g.run for g in self.phi.glances if g.project == project.name and g.state == "running"), None)
            if live is not None:
                self.phi.watch_run(live)
                follow = self.follow
        self.query_one("#faces", ContentSwitcher).current = "watching" if follow else "preflight"
        self.set_class(follow is not None, "is-watching")
        if follow is not None:
            self._draw()
        else:
            self._preflight(project)
        self.refresh_bindings()

    def _preflight(self, project: Project | None) -> None:
        panel = self.query_one(PreflightPanel)
        start = self.query_one("#start", Button)
        if project is None:
            panel.query_one("#preflight-what", Static).update(
                "No project is open. Press 1 to go home, and open or make one."
            )
            start.disabled = True
            return
        start.disabled = self.starting
        newest = next((g for g in self.phi.glances if g.project == project.name), None)
        last = f"{newest.run.id} {newest.state} {newest.message}" if newest else ""
        if newest and newest.figures.get("perplexity") is not None:
            last += f" perplexity {figures.number(newest.figures['perplexity'])}"
        panel.show_project(project, last)
        text = self.phi.session.text()
        if text != self._planned and not self.starting and not self.phi.autostart:
            self._planned = text
            if self._request:
                self.phi.inspector.cancel(self._request)
            panel.show_phase("starting")
            self._request = self.ask(
                self.phi.inspector,
                "plan",
                "plan",
                project=text,
                root=str(self.phi.session.root),
                workspace=str(self.phi.session.workspace.root),
            )
        if self.focused is None:
            start.focus()
        if self.phi.autostart:
            self.phi.autostart = False
            self.begin()

    def on_replied(self, event: Replied) -> None:
        """Preflight said something."""
        reply = event.reply
        if reply.id != self._request:
            return
        panel = self.query_one(PreflightPanel)
        if reply.kind == "phase":
            panel.show_phase(" ".join(str(reply.payload.get(k) or "") for k in ("name", "detail")))
        elif reply.kind == "result":
            panel.show_plan(reply.payload)
        elif reply.kind == "error":
            panel.show_refusal(reply.payload)
            self._planned = ""  # what was wrong may be mended outside the project file

    def runs_seen(self) -> None:
        """A run of this project may have been started elsewhere."""
        if self.follow is None and not self.starting:
            project = self.phi.session.project
            if project and any(g.project == project.name and g.state == "running" for g in self.phi.glances):
                self.show_project(project)

    def on_run_changed(self, event: RunChanged) -> None:
        """The follower read something new."""
        self._draw()

    def on_resize(self) -> None:
        """The lines depend on the width."""
        if self.follow is not None:
            self.call_after_refresh(self._draw)

    def fresh(self) -> None:
        """Another run is followed from now on."""
        if not self.query(RunCharts):
            return  # not composed yet: on_mount comes here again
        self.query_one(RunLog).fresh()
        self.query_one(RunCharts).show_store(self.follow.store if self.follow else None)

    def _draw(self) -> None:
        follow = self.follow
        if follow is None or not self.is_mounted:
            return
        shot = follow.snapshot()
        loss, perplexity = follow.store.loss.latest(), follow.store.perplexity.latest()
        self.query_one(RunStatus).show(
            f"{follow.run.path.parent.name}/{follow.run.id}",
            follow.state,
            shot,
            loss[1] if loss else None,
            perplexity[1] if perplexity else None,
        )
        self.query_one(RunOutcome).show(follow.state, shot, follow.printed)
        self.query_one(RunCharts).draw(shot)
        self.query_one(RunLog).show(shot.log)
        said, load = self.query_one(SampleList), self.query_one(LoadPanel)
        if said.display:
            said.show(shot.samples)
        if load.display:
            load.show(follow.load if follow.live else None)
        face = follow.state
        if face != self._told_end:
            self._told_end = face
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        when = self._SHOWN_WHEN.get(action)
        if when is None or not self.is_mounted:
            return True
        follow = self.follow
        if follow is None:
            return False
        live = follow.state == "running"
        return {"live": live, "over": not live, "watching": True, "unfinished": not live}[when]

    # Panes

    def action_pane(self) -> None:
        """Show the next pane; where there is room all three are seen."""
        shown = next((name for name in PANES if self.has_class(f"pane-{name}")), PANES[0])
        self._show_pane(PANES[(PANES.index(shown) + 1) % len(PANES)])

    def _show_pane(self, name: str) -> None:
        for other in PANES:
            self.set_class(other == name, f"pane-{other}")
        self.call_after_refresh(self._draw)

    def action_metric(self) -> None:
        """Show the next chart large."""
        self.query_one(RunCharts).next()

    def action_chart(self, change: str) -> None:
        """Change all charts alike: log axis, smoothing, window."""
        self.query_one(RunCharts).change(change)

    # Starting

    @on(Button.Pressed, "#start")
    def _start_pressed(self) -> None:
        self.begin()

    @on(Button.Pressed, "#where")
    def _where_pressed(self) -> None:
        project = self.phi.session.project
        if project:
            self.phi.set(launch__where="background" if project.launch.where == "here" else "here")

    def begin(self) -> None:
        """Start a run of the open project where its launch table says."""
        session = self.phi.session
        if self.starting or session.project is None:
            return
        self.starting = True
        self.query_one("#start", Button).disabled = True
        if self._request:  # what it would say is about to be seen, and it works on the same rows
            self.phi.inspector.cancel(self._request)
            self._planned = ""
        self.query_one(PreflightPanel).show_phase("starting the run")
        project, root, place = session.project, session.root, session.workspace

        def start() -> Any:
            self.phi.wait_for_inspector()
            made = launch.new(project, root, place)
            return self.phi.start_engine(made, place, here=project.launch.where == "here", resume=False)

        self.find_out("started", start)

    def on_found(self, event: Found) -> None:
        """A run was started, or was not."""
        self.starting = False
        self.query_one("#start", Button).disabled = False
        if isinstance(event.result, Exception):
            self.say(clean(event.result), severity="error")
            self.show_project(self.phi.session.project)
        elif isinstance(event.result, Run):
            self._planned = ""
            self.phi.watch_run(event.result)
            self.show_project(self.phi.session.project)


SCREEN = TrainScreen
