"""What a person can do with the run that is watched: save, ask, stop, detach, resume, go on to a chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phi_tui.engine import checkpoints
from phi_tui.run import Request, Run
from phi_tui.screens.frame import Frame
from phi_tui.widgets.dialogs import Ask

if TYPE_CHECKING:
    from phi_tui.follow import Follow

_SHOWN = 6


class TrainActions(Frame):
    """The actions of the Train screen."""

    starting: bool

    @property
    def follow(self) -> Follow | None:
        """The run that is followed, if any."""
        return self.phi.follow

    def action_save(self) -> None:
        """Ask for a checkpoint."""
        self._request_of_run("save", "a checkpoint is written after this step")

    def action_sample(self) -> None:
        """Ask the model to speak."""
        self._request_of_run("sample", "the sample prompts are answered after this step")

    def action_stop(self) -> None:
        """Ask how to stop."""
        choices = [("stop", "Save and stop"), ("quit", "Stop without saving"), ("cancel", "Cancel")]

        def chosen(name: str | None) -> None:
            if name == "stop":
                self._request_of_run("stop", "the run stops after this step, saved")
            elif name == "quit":
                self._request_of_run("quit", "the run stops after this step")

        self.app.push_screen(
            Ask("Stop the run? It can be resumed from its last checkpoint.", choices, danger="quit"), chosen
        )

    def action_detach(self) -> None:
        """Leave the run alone."""
        self.phi.unwatch_run()
        if self.phi.here is None or not self.phi.here.alive:
            self.say("The run goes on; Home and Runs show it.")
        self.phi.go("home")

    def action_new(self) -> None:
        """Go back to preflight."""
        self.phi.unwatch_run()
        self.show_project(self.phi.session.project)

    def action_chat(self) -> None:
        """Talk to the result."""
        self.phi.go("chat")

    def action_resume(self) -> None:
        """Go on from the newest checkpoint, or from one that is chosen, as a new run."""
        follow = self.follow
        if follow is None or follow.live:
            return
        found = checkpoints.listed(follow.run.checkpoints)
        unfinished = follow.state in ("stopped", "failed", "died")
        choices = [("resume", "This run, from its newest checkpoint")] if unfinished else []
        choices += [(f"step-{step}", f"A new run from step {step:,}") for step, _ in found[:_SHOWN]]
        if not choices:
            self.say("This run is done and kept no checkpoint to go on from.", severity="warning")
            return
        choices.append(("cancel", "Cancel"))
        run = follow.run

        def chosen(name: str | None) -> None:
            if name == "resume":
                self._go_on(run, 0)
            elif name and name.startswith("step-"):
                self._go_on(run, int(name.removeprefix("step-")))

        self.app.push_screen(Ask("Go on from where?", choices, column=True), chosen)

    def _go_on(self, run: Run, step: int) -> None:
        place = self.phi.session.workspace
        here = run.project().launch.where == "here"
        self.starting = True

        def start() -> Any:
            from phi_tui import branch

            self.phi.wait_for_inspector()
            going_on = branch.from_checkpoint(run, step, place) if step else run
            return self.phi.start_engine(going_on, place, here=here, resume=True)

        self.find_out("started", start)

    def _request_of_run(self, request: Request, words: str) -> None:
        follow = self.follow
        if follow is None or not follow.live:
            self.say("The run is not live.", severity="warning")
            return
        try:
            follow.run.ask(request)
        except OSError as error:
            self.say(f"{error.filename}: {error.strerror}", severity="error")
            return
        self.say(words)
