"""Deleting runs, bringing them back, and emptying the trash: the part of the Runs screen that moves folders.

Every question names the size on disk, which takes a while to find out for a large run; so it is found out on a thread
and the question comes after it, unless somebody went elsewhere meanwhile.
"""

from __future__ import annotations

from typing import cast

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider

from phi_tui import trash
from phi_tui.errors import PhiError
from phi_tui.run import Run
from phi_tui.run_list import Glance
from phi_tui.widgets import runs_rows
from phi_tui.widgets.dialogs import Ask
from phi_tui.widgets.runs_frame import RunsFrame
from phi_tui.workspace import Workspace


class TrashCommands(Provider):
    """What can be done to the trash: in the palette alone, since it cannot be undone."""

    TITLE = "Empty the trash of deleted runs"
    HELP = "asks first, and names the size"

    async def discover(self) -> Hits:
        """Offered before anything is typed."""
        yield DiscoveryHit(self.TITLE, self._run, help=self.HELP)

    async def search(self, query: str) -> Hits:
        """Offered when the words fit."""
        score = self.matcher(query).match(self.TITLE)
        if score > 0:
            yield Hit(score, self.TITLE, self._run, help=self.HELP)

    def _run(self) -> None:
        cast("Deleting", self.screen).ask_to_empty_trash()


class Deleting(RunsFrame):
    """The keys that delete and bring back."""

    COMMANDS = {TrashCommands}
    BINDINGS = [
        Binding("delete,D", "delete", "Delete", show=False, id="runs.delete", tooltip="To the trash, after a question"),
        Binding("u", "undo", "Undo delete", show=False, id="runs.undo", tooltip="Bring back what was deleted last"),
    ]
    deleted: list[list[trash.Trashed]]
    """What was deleted since the app was started, the last one last."""

    def action_delete(self) -> None:
        """Ask, then move the marked runs, or the one under the cursor, to the trash."""
        glances = self.table.chosen() or [glance for glance in (self.table.current,) if glance]
        if live := [glance.name for glance in glances if self.is_live(glance)]:
            self.say(f"{live[0]} is live and is not deleted; stop it first", severity="error")
            return
        if glances:
            self.find_out("size", lambda: (glances, sum(trash.size(glance.run.path) for glance in glances)))

    def _ask_to_delete(self, glances: list[Glance], size: int) -> None:
        what = f"run {glances[0].name}" if len(glances) == 1 else f"the {len(glances)} marked runs"
        workspace = self.phi.session.workspace

        def answered(answer: str | None) -> None:
            if answer == "delete":
                self.find_out("deleted", lambda: _delete(workspace, [glance.run for glance in glances]))

        self.app.push_screen(
            Ask(
                f"Move {what} to the trash? That is {runs_rows.size(size)} on disk, adapter and checkpoints included; "
                "u brings it back, and the space is free when the trash is emptied.",
                (("keep", "Keep"), ("delete", "Move to trash")),
                danger="delete",
            ),
            answered,
        )

    def action_undo(self) -> None:
        """Bring back what was deleted last."""
        if not self.deleted:
            self.say("nothing was deleted since the app was started")
            return
        last = self.deleted.pop()
        self.find_out("restored", lambda: _restore(last))

    def ask_to_empty_trash(self) -> None:
        """Look how much there is, then ask."""
        workspace = self.phi.session.workspace
        self.find_out(
            "trash", lambda: (len(entries := trash.entries(workspace)), sum(trash.size(entry) for entry in entries))
        )

    def _ask_about_trash(self, count: int, size: int) -> None:
        if not count:
            self.say("the trash is empty")
            return
        workspace = self.phi.session.workspace

        def answered(answer: str | None) -> None:
            if answer == "empty":
                self.deleted.clear()
                self.find_out("emptied", lambda: trash.empty(workspace))

        runs = "1 run is" if count == 1 else f"{count} runs are"
        self.app.push_screen(
            Ask(
                f"{runs} in the trash, {runs_rows.size(size)}. Remove for good? This cannot be undone.",
                (("keep", "Keep"), ("empty", "Remove")),
                danger="empty",
            ),
            answered,
        )

    def _found_size(self, result: tuple[list[Glance], int]) -> None:
        if self.is_current:  # else somebody went elsewhere before the question came
            self._ask_to_delete(*result)

    def _found_deleted(self, result: tuple[list[trash.Trashed], Exception | None]) -> None:
        moved, error = result
        self.deleted += [moved] if moved else []
        self.table.marked -= {one.original for one in moved}
        if moved:
            what = moved[0].name if len(moved) == 1 else f"{len(moved)} runs"
            self.say(f"{what} is in the trash; u brings it back" if len(moved) == 1 else f"{what} are in the trash")
        if error:
            self.tell(error)
        self.phi.look_at_runs()

    def _found_restored(self, result: tuple[list[trash.Trashed], list[trash.Trashed], Exception | None]) -> None:
        back, left, error = result
        self.deleted += [left] if left else []
        if back:
            self.say(f"{back[0].name} is back" if len(back) == 1 else f"{len(back)} runs are back")
        if error:
            self.tell(error)
        self.phi.look_at_runs()

    def _found_trash(self, result: tuple[int, int]) -> None:
        if self.is_current:
            self._ask_about_trash(*result)

    def _found_emptied(self, count: int) -> None:
        self.say("1 run was removed for good" if count == 1 else f"{count} runs were removed for good")


def _delete(workspace: Workspace, runs: list[Run]) -> tuple[list[trash.Trashed], Exception | None]:
    """Move runs to the trash one by one; the first that cannot be moved ends it."""
    moved = []
    for run in runs:
        try:
            moved.append(trash.move(workspace, run))
        except (PhiError, OSError) as error:
            return moved, error
    return moved, None


def _restore(group: list[trash.Trashed]) -> tuple[list[trash.Trashed], list[trash.Trashed], Exception | None]:
    """Move runs back; return those that are, those that could not be, and why the last of them could not."""
    back: list[trash.Trashed] = []
    left: list[trash.Trashed] = []
    why: Exception | None = None
    for one in group:
        try:
            trash.restore(one)
            back.append(one)
        except (PhiError, OSError) as error:
            left.append(one)
            why = error
    return back, left, why
