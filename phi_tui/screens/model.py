"""The Model screen: which base the project trains on, what is known of it, and whether it fits this machine.

Looking is free: lists are read on threads, and what needs the Hub or the model libraries is asked of a child process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from phi_tui.child import Reply
from phi_tui.engine.model_list import LocalModel, find, interrupted, local_models
from phi_tui.errors import PhiError
from phi_tui.machine import machine
from phi_tui.safe_text import clean
from phi_tui.schema import Project
from phi_tui.screens.frame import Frame
from phi_tui.widgets.dialogs import AskText
from phi_tui.widgets.line_input import LineInput
from phi_tui.widgets.messages import Found, Replied
from phi_tui.widgets.model_bases import ModelBases, heads
from phi_tui.widgets.model_detail import ModelDetail
from phi_tui.widgets.model_download import ModelDownload, told
from phi_tui.widgets.model_entries import Entry, filtered, from_place, of_found, typed
from phi_tui.widgets.model_known import Known

_FOUND = 30
"""How many models a search of the Hub brings."""


class ModelScreen(Frame):
    """Choose the base."""

    NAME = "model"
    AUTO_FOCUS = "#model-bases"
    """Else it would be the filter for a moment, and a jump key that comes in it a letter."""
    HELP = """\
# Model: the base that is trained

The list has what is on this machine first, then the bases that phi-tui offers by size, then what a search of the Hub
found.  Beside it: what is known of the highlighted one, and an estimate of the memory that **LoRA** and **QLoRA**
need on it against what this machine has.  Above 85% it is called *tight*; *QLoRA* in the list means that LoRA does not
fit and QLoRA does.

- **Enter** takes the base for the project.  **t** types one by hand: a Hub id, a folder, a `.gguf` file.
- **d** downloads it now, in the background; **x** stops that, and **d** goes on where it stopped.
- **/** filters by name, licence, type, or a word such as `chat`, `gated`, `fits`.  **s** searches the Hub.
- **i** looks closer at what a search found: its configuration and tokenizer come, some megabytes, but no weights.

A *chat model* answers questions before any training; a plain base continues text, and learns your format whole.
A gated base wants its licence accepted on its page on the Hub, and your token in `HF_TOKEN` or by `hf auth login`.
"""
    BINDINGS = [
        Binding("d", "download", "Download", id="model.download", tooltip="Bring the highlighted base to this machine"),
        Binding("x", "stop", "Stop", id="model.stop", tooltip="Stop the download; what came is kept"),
        Binding("slash", "filter", "Filter", id="model.filter", tooltip="Show the bases that hold some words"),
        Binding("s", "search", "Search", id="model.search", tooltip="Look for models on the Hub"),
        Binding("t", "type", "Type", id="model.type", tooltip="Name a Hub id, a folder or a .gguf file by hand"),
        Binding(
            "i", "look", "Look closer", show=False, id="model.look", tooltip="Fetch its configuration, not its weights"
        ),
        Binding("r", "again", "Read again", show=False, id="model.again", tooltip="Look at this machine again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._known = Known()
        self._searching = self._looking = self._reading = 0
        self._looked_at = ""

    # What is drawn

    def body(self) -> ComposeResult:
        """Two lines to type in, what the project has, the list and the panel beside it, the download."""
        with Horizontal(id="model-lines"):
            yield LineInput(placeholder="/ filter", id="model-filter", tooltip="Words that a base must hold, all")
            yield LineInput(placeholder="s search the Hub", id="model-search", tooltip="Words to look for on the Hub")
        yield Static("", id="model-state", markup=False)
        with Horizontal(id="model-panes"):
            with Vertical(id="model-list", classes="panel"):
                yield Static("", id="model-heads", markup=False)
                yield ModelBases(id="model-bases")
            with Vertical(id="model-side", classes="panel"):
                yield ModelDetail(id="model-detail")
        yield ModelDownload(id="model-download")

    def on_mount(self) -> None:
        """Name the panels and put the keys on the list."""
        self.query_one("#model-list").border_title = "Bases"
        self.query_one(ModelBases).focus()

    def show_project(self, project: Project | None) -> None:
        """Show the project's base and read again what is on this machine."""
        known = self._known
        base, root = project.model.base if project else None, self.phi.session.root
        moved = (base, root) != (known.base, known.root)
        known.base, known.root = base, root
        known.revision = project.model.revision if project else ""
        if base and moved:
            self._put(base)
        self._draw(point_at=known.chosen_entry() if moved else "")
        self.action_again()

    def action_again(self) -> None:
        """Read again what is on this machine, off the event loop."""
        self._reading += 1
        root, models = self.phi.session.workspace.root, self.phi.session.workspace.models
        self.find_out(f"local {self._reading}", lambda: (local_models(root), interrupted(models), machine(root)))

    def _draw(self, point_at: str = "") -> None:
        """Show the list again from what is known."""
        known, transfer = self._known, self.query_one(ModelDownload).transfer
        groups = known.groups((transfer.base, transfer.done) if transfer and transfer.live else None)
        entries = [entry for group in groups for entry in group.entries]
        chosen = frozenset(entry.base for entry in entries if known.is_chosen(entry))
        words = self.query_one("#model-filter", Input).value
        shown = filtered(groups, words, known.memory)
        self.query_one(ModelBases).show(shown, chosen, known.memory, point_at)
        count = sum(len(group.entries) for group in shown)
        self.query_one("#model-list").border_subtitle = f"{count} of {len(entries)}" if words.strip() else f"{count}"
        self._show_state()
        self._show_detail()

    def _show_state(self) -> None:
        """A line each: what the project has, what comes of that, what the Hub said to a search."""
        known, lines = self._known, []
        if known.base is None:
            lines.append(Content("No project is open: look around, or go to Home with 1 to open or make one."))
        else:
            base = f"{known.base}@{known.revision}" if known.revision else known.base
            lines.append(Content.assemble(("Base  ", "dim"), (clean(base, one_line=True, limit=200), "bold")))
            if known.machine and known.is_away(known.base):
                words = "      not on this machine: training will download it, or d on it now"
                lines.append(Content.styled(words, "$warning"))
        if known.hub_note:
            lines.append(Content.assemble(("Hub   ", "dim"), clean(known.hub_note, one_line=True, limit=200)))
        self.query_one("#model-state", Static).update(Content("\n").join(lines))

    def _show_detail(self) -> None:
        entry, known = self.query_one(ModelBases).entry, self._known
        chosen = entry is not None and known.is_chosen(entry)
        looking = entry is not None and known.looks.get(entry.base) == {}
        self.query_one("#model-side").border_title = "● The project's base" if chosen else "Highlighted"
        self.query_one(ModelDetail).show(entry, known.machine, looking=looking)

    def on_resize(self) -> None:
        """The headings are as wide as the lines of the list."""
        self.call_after_refresh(self._show_heads)

    def _show_heads(self) -> None:
        width = self.query_one(ModelBases).room
        self.query_one("#model-heads", Static).update(Content.styled(heads(width), "dim"))

    def on_model_bases_pointed(self, event: ModelBases.Pointed) -> None:
        """Show the highlighted base; where the list was filled anew, its lines may be shorter by a scrollbar."""
        self._show_heads()
        self._show_detail()

    # What threads and child processes find out

    def _put(self, base: str) -> None:
        """Put a base that a person or a project names into the list; a place on this machine is looked at."""
        root, models, revision = self._known.root, self.phi.session.workspace.models, self._known.revision
        if self._known.name(base):
            self.find_out(f"named {base}", lambda: find(base, revision, root, models))

    def on_found(self, event: Found) -> None:
        """A thread found something out."""
        what, _, about = event.what.partition(" ")
        known = self._known
        if what == "local" and about == str(self._reading):
            if isinstance(event.result, Exception):
                self.say(f"this machine cannot be looked at: {event.result}", severity="error")
                return
            first = known.machine is None
            known.local, known.halves, known.machine = event.result
            self._draw(point_at=known.chosen_entry() if first else "")
        elif what == "named" and about in known.named:
            result = event.result
            if isinstance(result, LocalModel):
                known.named[about] = from_place(result, about)
            else:
                problem = result.what if isinstance(result, PhiError) else str(result)
                known.named[about] = Entry(about, about, "typed", problem=problem)
            self._draw()

    def on_replied(self, event: Replied) -> None:
        """A child process answered; what was not asked for last is not heard."""
        reply = event.reply
        if event.tag == "search" and reply.id == self._searching and reply.final:
            self._show_search(reply)
        elif event.tag in ("look", "describe") and reply.id == self._looking and reply.final:
            self._show_look(event.tag, reply)

    def _about(self, base: str) -> dict[str, Any]:
        """What a request about a base carries."""
        session = self.phi.session
        revision = self._known.revision if self._known.base == base else ""
        return {"base": base, "revision": revision, "root": str(session.root), "workspace": str(session.workspace.root)}

    def action_look(self) -> None:
        """Fetch the configuration and tokenizer of the highlighted base, so that its memory can be told."""
        entry = self.query_one(ModelBases).entry
        if entry is None or not entry.on_hub or entry.layers:
            self.say("All that can be known of it is shown already.")
            return
        if self._looking:
            self.phi.inspector.cancel(self._looking)
            self._known.looks.pop(self._looked_at, None)
        self._looked_at = entry.base
        self._known.looks[entry.base] = {}
        self._looking = self.ask(self.phi.inspector, "fetch", "look", weights=False, **self._about(entry.base))
        self._show_detail()

    def _show_look(self, step: str, reply: Reply) -> None:
        base = self._looked_at
        if reply.kind == "result" and step == "look":
            self._looking = self.ask(self.phi.inspector, "describe", "describe", **self._about(base))
            return
        self._looking = 0
        self._known.looks.pop(base, None)
        if reply.kind == "result":
            self._known.looks[base] = reply.payload
        elif reply.kind == "error":
            self._known.looks[base] = {"problem": _told(reply)}
        self._draw()

    # Filter and search

    def action_filter(self) -> None:
        """Go to the filter."""
        self.set_focus(self.query_one("#model-filter", Input))  # at once: what is typed behind the key is the line's

    def action_search(self) -> None:
        """Go to the search line."""
        self.set_focus(self.query_one("#model-search", Input))

    def action_leave(self) -> None:
        """Back to the list; once more clears the filter."""
        words = self.query_one("#model-filter", Input)
        if not isinstance(self.focused, Input) and words.value:
            words.value = ""
        self.query_one(ModelBases).focus()

    @on(Input.Changed, "#model-filter")
    def _filtered(self) -> None:
        self._draw()

    @on(Input.Submitted, "#model-filter")
    def _filter_done(self) -> None:
        self.query_one(ModelBases).focus()

    @on(Input.Submitted, "#model-search")
    def _ask_hub(self, event: Input.Submitted) -> None:
        query = event.value.strip()
        self.query_one(ModelBases).focus()
        if self._searching:
            self.phi.inspector.cancel(self._searching)
            self._searching = 0
        known = self._known
        known.found, known.hub_title = [], f"the Hub: {query[:60]}" if query else ""
        known.hub_note = "asking the Hub ..." if query else ""
        if query:
            self._searching = self.ask(self.phi.inspector, "search", "search", query=query[:200], limit=_FOUND)
        self.query_one("#model-filter", Input).value = ""
        self._draw()

    def _show_search(self, reply: Reply) -> None:
        self._searching = 0
        known = self._known
        known.hub_note = ""
        if reply.kind == "result":
            answers = reply.payload.get("models") or []
            known.found = [of_found(one) for one in answers if isinstance(one, dict) and one.get("id")]
            known.hub_note = "" if known.found else "nothing of that name that continues text and has safetensors"
        elif reply.kind == "error":
            known.hub_note = str(reply.payload.get("what") or "the Hub did not answer")
        shown = {entry.base for group in known.groups()[:-1] for entry in group.entries}
        self._draw(point_at=next((one.base for one in known.found if one.base not in shown), ""))

    # Taking

    def on_model_bases_taken(self, event: ModelBases.Taken) -> None:
        """Take a base for the project."""
        entry = event.entry
        if entry.problem:
            self.say(f"{entry.title}: {entry.problem}", severity="error")
            return
        self._take(self.phi.session.relative(Path(entry.base)) if entry.is_path else entry.base)

    def _take(self, base: str, revision: str = "") -> None:
        project = self.phi.session.project
        if project is None:
            self.say("No project is open: go to Home with 1 to open or make one.", severity="warning")
            return
        if (project.model.base, project.model.revision) == (base, revision or project.model.revision):
            self.say(f"{base} is the project's base already.")
            return
        if self.phi.set(model__base=base, model__revision=revision):
            self.say(f"{project.name} trains on {base}.")

    def action_type(self) -> None:
        """Ask for a base by hand."""
        root = self.phi.session.root

        def flaw(text: str) -> str:
            try:
                typed(text, root)
            except ValueError as error:
                return str(error)
            return ""

        def take(text: str | None) -> None:
            if not text:
                return
            kind, base, revision = typed(text, root)
            base = self.phi.session.relative(Path(base)) if kind == "path" else base
            self._put(base)
            if self.phi.session.project:
                self._take(base, revision)
            self._draw(point_at=self._known.listed(base))

        question = "Which base? A Hub id (org/name, or org/name@revision), a folder, or a .gguf file."
        self.phi.push_screen(AskText(question, check=flaw, placeholder="org/name"), take)

    # Downloading

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One download at a time: while something comes the key is to stop it."""
        if action in ("stop", "download"):
            return any(download.live for download in self.query(ModelDownload)) == (action == "stop")
        return True

    def action_download(self) -> None:
        """Download the highlighted base, or go on with it."""
        entry, download = self.query_one(ModelBases).entry, self.query_one(ModelDownload)
        if entry is None:
            return
        if entry.here:
            self.say(f"{entry.title} is on this machine already.")
        elif not entry.on_hub:
            self.say(f"{entry.title} is no model on the Hub.", severity="warning")
        else:
            download.start(entry.base, entry.partial or 0, self.phi.worker_log, self._about(entry.base))
            self.refresh_bindings()
            self._draw(point_at=self._known.listed(entry.base))

    def action_stop(self) -> None:
        """Stop the download; what came stays."""
        self.query_one(ModelDownload).stop()
        self.refresh_bindings()

    def on_model_download_moved(self, event: ModelDownload.Moved) -> None:
        """The download came further, or ended."""
        transfer = event.transfer
        if transfer.live:
            return
        self.refresh_bindings()
        if self.phi.screen is not self:  # on this screen the line below the list says it
            failed = transfer.state == "failed"
            self.say(told(transfer, 80), severity="error" if failed else "information", title="Model")
        self._draw()
        self.action_again()


def _told(reply: Reply) -> str:
    """An error as one line."""
    said = reply.payload
    fix = f" ({said['fix']})" if said.get("fix") else ""
    return f"{said.get('what') or 'no reason was given'}{fix}"


SCREEN = ModelScreen
