"""Hyperparameters: the form, the learning rate as a curve, and what follows from the settings as they change.

What fits is saved at once; what follows is computed by the inspector, 0.4 s after the last change, and an older
request is cancelled.  The curve and the list of differences need no process and follow every keystroke.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Input, Static

from phi_tui import form, golden
from phi_tui.child import Reply
from phi_tui.errors import PhiError
from phi_tui.form import Field
from phi_tui.schema import Project
from phi_tui.screens.frame import Frame
from phi_tui.widgets.consequences import Consequences, ConsequencesPanel, number, summary
from phi_tui.widgets.dialogs import AskText
from phi_tui.widgets.form_list import FormList
from phi_tui.widgets.form_panel import FormPanel
from phi_tui.widgets.messages import Found, Replied
from phi_tui.widgets.schedule_curve import ScheduleCurve, schedule_of
from phi_tui.workspace import checked_name

PAUSE = 0.4
"""Seconds without a change after which what was typed is saved and what follows is computed."""


class HparamsScreen(Frame):
    """The form at the left, what follows at the right; on a small screen one at a time."""

    NAME = "hparams"
    AUTO_FOCUS = "#form"
    HELP = """\
# Hyperparameters

Every setting of the project but its data. **Enter** edits the value in its place; **left** and **right** go through
the values where there are a few. What fits is saved at once, into the project's file; what does not fit stays in its
field, marked `!`, with the reason, and is not saved.

`*` differs from the default, `φ` is a golden value: a heuristic with a formula, taken with **g**, and measured only
where this workspace has runs that differ in that alone.

The rank and the learning rate matter most; the defaults are good. What follows from the settings (steps, memory, time,
what preflight says) stands beside the form, or behind **p** on a small screen.
"""
    BINDINGS = [
        Binding(
            "slash", "filter", "Filter", id="hparams.filter", tooltip="Only settings whose name or sentence has it"
        ),
        Binding(
            "p",
            "follows",
            "Plan",
            id="hparams.follows",
            tooltip="Go to what follows from the settings, or back",
        ),
        Binding("w", "save_as", "Save as", show=False, id="hparams.save-as", tooltip="Copy the project under a new name"),
        Binding("u", "undo", "Undo", show=False, id="hparams.undo", tooltip="Take the last change back"),
        Binding(
            "ctrl+s", "saved", "Where saved", show=False, id="hparams.saved", tooltip="Everything is saved at once"
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.found = Consequences()
        self._file: Path | None = None
        self._typed: tuple[Field, Any] | None = None
        self._undo: list[tuple[str, Any, int]] = []
        self._timer: Timer | None = None
        self._request: int | None = None
        self._asked = ""
        self._measured_for: object = None

    def body(self) -> ComposeResult:
        """Form, words and summary; curve and consequences."""
        yield Static(
            "No project is open, so there is nothing to set.\n\nGo to Home with 1: make a new project, open one, or "
            "take the demo.",
            id="hparams-empty",
            markup=False,
        )
        with Horizontal(id="hparams-main"):
            with Vertical(id="hparams-form"):
                yield FormPanel(id="hparams-panel")
                yield Static("", id="hparams-summary", markup=False)
            with Vertical(id="hparams-follows"):
                yield ScheduleCurve(id="hparams-curve", classes="panel")
                yield ConsequencesPanel(id="hparams-consequences", classes="panel")

    def show_project(self, project: Project | None) -> None:
        """Show the settings and ask what follows from them, unless that is known."""
        self.query_one("#hparams-empty").display = project is None
        self.query_one("#hparams-main").display = project is not None
        if project is None:
            return
        if self.phi.session.file != self._file:
            self._file = self.phi.session.file
            self._cancel()
            self._typed, self._asked, self.found = None, "", Consequences()
            self._undo.clear()
            self._form.forget()
        self.query_one(FormPanel).show(project)
        self._show_figures()
        self._look_at_runs()
        self._soon()

    def runs_seen(self) -> None:
        """A run may have finished: look again what was measured, and how long this one will take."""
        if self._look_at_runs():
            self._soon()

    def on_screen_suspend(self) -> None:
        """Another screen comes up: save what was typed, and leave the inspector to it."""
        if not self._form.is_mounted or self.phi.session.project is None:
            return
        self._form.leave()
        self._save_typed()
        if self._timer is not None:
            self._timer.stop()
        self._cancel()
        self._asked = ""  # files may change meanwhile: ask again on coming back

    # The form

    @on(FormList.Typed)
    def _on_typed(self, event: FormList.Typed) -> None:
        project = self.phi.session.project
        if project is None or (self._typed is None and event.value == form.value_of(project, event.field.key)):
            return  # the field was opened, and nothing typed yet
        self._typed = None if event.error else (event.field, event.value)
        self._show_figures()
        if not event.error:
            self._later()

    @on(FormList.Taken)
    def _on_taken(self, event: FormList.Taken) -> None:
        self._typed = None
        self._set(event.field.key, event.value)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A slash that is typed into a field is no filter."""
        return not (action == "filter" and isinstance(self.focused, Input))

    def action_filter(self) -> None:
        """Type what to look for."""
        if self.phi.session.project is not None:
            self.remove_class("-following")
            self.query_one(FormPanel).open_filter()

    def action_leave(self) -> None:
        """Close what is open, last the filter; the list keeps the focus, under which the jump keys work."""
        if not self.query_one(FormPanel).step_out() and self.has_class("-following"):
            self.action_follows()
        self.set_focus(self._form)

    def action_follows(self) -> None:
        """Go to what follows, or back to the form; on a small screen one takes the other's place."""
        self._form.leave()
        self.toggle_class("-following")
        there = self.query_one(ConsequencesPanel) if self.has_class("-following") else self._form
        self.call_after_refresh(self.set_focus, there)

    def action_undo(self) -> None:
        """Take the last change back."""
        self._form.leave()
        if not self._undo:
            self.say("nothing was changed here")
            return
        key, value, _ = self._undo.pop()
        if self.phi.set(**{key.replace(".", "__"): value}):
            self.say(f"{key} is {form.spelled(value) or 'empty'} again")

    def action_saved(self) -> None:
        """Say where everything is saved."""
        self._form.leave()
        self._save_typed()
        session = self.phi.session
        if session.file is None:
            self.say("no project is open", severity="warning")
        elif drafts := self._form.drafts:
            self.say(
                f"saved in {session.file}, but for what does not fit: {', '.join(drafts)}",
                severity="warning",
                title="saved",
            )
        else:
            self.say(f"every change is saved at once in {session.file}", title="saved")

    def action_save_as(self) -> None:
        """Copy the project under a new name and go on with the copy."""
        self._form.leave()
        self._save_typed()
        session = self.phi.session
        file, project = session.file, session.project
        if file is None or project is None:
            self.say("no project is open", severity="warning")
            return

        def check(name: str) -> str:
            try:
                checked_name(name.strip())
            except PhiError as error:
                return f"{error.what}: {error.fix}"
            return "there is a project of that name already" if (file.parent / f"{name.strip()}.toml").exists() else ""

        def named(name: str | None) -> None:
            if not name:
                return
            try:
                session.duplicate(file, name)
            except (PhiError, OSError) as error:
                self.say(error, severity="error")
                return
            self.say(f"{name} is open now; {file.name} stays as it was")
            self.phi.changed()

        self.phi.push_screen(AskText("Name of the copy", f"{project.name}_2", check=check), named)

    # Saving and what follows

    def _set(self, key: str, value: Any) -> None:
        project = self.phi.session.project
        if project is None:
            return
        before = form.value_of(project, key)
        if value == before and isinstance(value, bool) == isinstance(before, bool):
            return
        if not self.phi.set(**{key.replace(".", "__"): value}):
            self._form.keep(key, value)
            return
        # One edit of a field is one step back, however often a pause saved it.
        if not self._undo or self._undo[-1][0] != key or self._undo[-1][2] != self._form.edits:
            self._undo.append((key, before, self._form.edits))

    def _save_typed(self) -> None:
        typed, self._typed = self._typed, None
        if typed is not None:
            self._set(typed[0].key, typed[1])

    def _soon(self) -> None:
        """Compute after a pause, unless what is known is of these very settings."""
        if self.phi.session.project is not None and self.phi.session.text() != self._asked:
            self._later()

    def _later(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._cancel()
        self._asked = ""
        self.found = replace(self.found, state="computing", doing="")
        self._timer = self.set_timer(PAUSE, self._settle)
        self._show_found()

    def _settle(self) -> None:
        self._save_typed()
        session = self.phi.session
        if session.project is None or self not in self.phi.screen_stack:
            return
        if self._timer is not None:
            self._timer.stop()
        self._cancel()
        self._asked = session.text()
        try:
            self._request = self.ask(
                self.phi.inspector,
                "plan",
                "plan",
                project=self._asked,
                root=str(session.root),
                workspace=str(session.workspace.root),
            )
        except OSError as error:
            self.found = replace(self.found, state="refused", against=(f"the inspector does not start: {error}",))
            self._show_found()

    def on_replied(self, event: Replied) -> None:
        """What follows, or how far it is; an answer to an older question is dropped."""
        reply = event.reply
        if event.tag != "plan" or reply.id != self._request:
            return
        if reply.kind == "result":
            self.found = Consequences("ready", reply.payload)
        elif reply.kind == "error":
            self.found = replace(self.found, state="refused", against=_reasons(reply), fix=_fix(reply))
        elif reply.kind != "cancelled":
            doing = " ".join(str(reply.payload[key]) for key in ("name", "detail", "text") if reply.payload.get(key))
            self.found = replace(self.found, doing=doing)
        if reply.final:
            self._request = None
        self._show_figures()

    def _cancel(self) -> None:
        if self._request is not None:
            self.phi.inspector.cancel(self._request)
            self._request = None

    def _look_at_runs(self) -> bool:
        workspace = self.phi.session.workspace
        done = sorted(glance.name for glance in self.phi.glances if glance.state == "done")
        new = (workspace, done) != self._measured_for
        if new:
            self._asked = ""  # the estimate of the time is made from runs
            self._measured_for = (workspace, done)
            self.find_out("measured", lambda: golden.measured(workspace))
        return new

    def on_found(self, event: Found) -> None:
        """The runs were compared."""
        if event.what == "measured" and isinstance(event.result, dict):
            self.query_one(FormPanel).show_measured(event.result)

    # Drawing

    @property
    def _form(self) -> FormList:
        return self.query_one(FormList)

    @property
    def _project(self) -> Project | None:
        """The project with what is being typed, where that fits."""
        project = self.phi.session.project
        if project is None or self._typed is None:
            return project
        try:
            return form.with_value(project, self._typed[0].key, self._typed[1])
        except PhiError:
            return project

    def _show_figures(self) -> None:
        project = self._project
        if project is not None:
            per_epoch = int(number(self.found.plan.get("steps_per_epoch")))
            self.query_one(ScheduleCurve).show(schedule_of(project, per_epoch))
            self._show_found()

    def _show_found(self) -> None:
        project = self._project
        if project is not None:
            self.query_one(ConsequencesPanel).show(self.found, project)
            self.query_one("#hparams-summary", Static).update(summary(self.found))


def _reasons(reply: Reply) -> tuple[str, ...]:
    """The reasons of a refusal, one a line."""
    what = [line.strip().removeprefix("- ") for line in str(reply.payload.get("what", "")).splitlines() if line.strip()]
    return tuple(what[1:] if len(what) > 1 and what[0].endswith(":") else what) or ("no reason was given",)


def _fix(reply: Reply) -> str:
    """Where it is, and what to do."""
    return ": ".join(str(reply.payload[key]) for key in ("where", "fix") if reply.payload.get(key))


SCREEN = HparamsScreen
