"""The chat screen without its keys: the open project's conversation, its columns, what is asked, how it is drawn."""

from __future__ import annotations

from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Static, TextArea

from phi_tui import project as projects
from phi_tui.engine.labels import TASKS
from phi_tui.schema import Chat, Lora, Project, Train
from phi_tui.screens.frame import Frame
from phi_tui.widgets import chat_words
from phi_tui.widgets.chat_asking import ask_all
from phi_tui.widgets.chat_exchange import Exchange
from phi_tui.widgets.chat_log import ChatLog
from phi_tui.widgets.chat_prompt import ChatPrompt
from phi_tui.widgets.chat_talk import Talk, Turn
from phi_tui.widgets.messages import Found, Replied
from phi_tui.widgets.voice_choice import Voice, first_choice, found
from phi_tui.widgets.voice_head import VoiceHeads

REDRAW_SECONDS = 0.15
"""How often a growing answer is drawn: often enough to read along, rarely enough for a slow link."""


class ChatFrame(Frame):
    """Columns of answers above a field for the question."""

    AUTO_FOCUS = ""

    def __init__(self) -> None:
        super().__init__()
        self._talks: dict[Path, Talk] = {}
        self._talk = Talk()
        self._file: Path | None = None
        self._voices: list[Voice] = []
        self._looked = 0
        self._seen: object = None
        self._copied = 0
        self._ticker: Timer | None = None
        self._exchange = Exchange(
            lambda do, tag, **arguments: self.ask(self.phi.speakers, do, tag, **arguments),
            lambda number: self.phi.speakers.cancel(number),
        )

    def body(self) -> ComposeResult:
        """Heads, turns, what is to be known, the field."""
        yield VoiceHeads(id="voice-heads")
        yield ChatLog()
        yield Static("", markup=False, id="chat-note")
        with Vertical(id="chat-ask", classes="panel"):
            yield ChatPrompt(id="chat-prompt")

    def on_mount(self) -> None:
        """A clock that ticks while something is under way."""
        self._ticker = self.set_interval(REDRAW_SECONDS, self._tick, pause=True)

    # The project and its voices

    def show_project(self, project: Project | None) -> None:
        """Take up the conversation of the open project."""
        prompt = self.query_one(ChatPrompt)
        if self.phi.session.file != self._file:
            self._exchange.elsewhere()
            self._talk.draft = prompt.text
            self._file = self.phi.session.file
            self._talk = self._talks.setdefault(self._file, Talk()) if self._file else Talk()
            prompt.put(self._talk.draft)
            self._voices = []
        self._looked += 1
        if project is not None:
            self._look_for_voices(project)
        prompt.disabled = project is None
        if project is not None and self.focused is None:
            prompt.focus()
        self._refresh()

    def runs_seen(self) -> None:
        """A run that began, ended or was evaluated may bring voices; its steps do not."""
        seen = [(glance.name, glance.state, glance.phase) for glance in self.phi.glances]
        project = self.phi.session.project
        if seen != self._seen and project is not None:
            self._seen = seen
            self._look_for_voices(project)

    def _look_for_voices(self, project: Project) -> None:
        self._looked += 1
        workspace = self.phi.session.workspace
        self.find_out(f"voices {self._looked}", lambda: found(workspace, project.name))

    def on_found(self, event: Found) -> None:
        """What a thread found out."""
        if event.what == f"voices {self._looked}":
            if isinstance(event.result, Exception):
                self.say(event.result, severity="error")
                return
            self._voices = event.result
            self._choose_first()
            self._refresh()
        elif event.what == "saved":
            if isinstance(event.result, Exception):
                self.say(event.result, severity="error", title="not saved")
            else:
                self.say(f"saved as {event.result}", title="conversation")

    def _choose_first(self) -> None:
        """Set the columns that nobody chose, and let go of voices whose run is gone."""
        if not self._voices:
            return
        talk = self._talk
        by_key = {voice.key: voice for voice in self._voices}
        kept = tuple(by_key[voice.key] for voice in talk.voices if voice.key in by_key)
        if not kept or not (talk.chosen or talk.turns):
            kept = first_choice(self._voices, wide=self.size.width >= 100)
        talk.choose(kept)

    def on_resize(self) -> None:
        """One column or two, where nobody chose."""
        self._choose_first()
        self._refresh()

    # Asking

    def on_chat_prompt_sent(self, event: ChatPrompt.Sent) -> None:
        """Ask every column, or say why not and put the question back."""
        event.stop()
        prompt, talk = self.query_one(ChatPrompt), self._talk
        flaw = ""
        if not talk.voices:
            flaw = "there is nobody to ask yet: open a project first (1)"
        elif talk.turns and talk.turns[-1].open:
            flaw = "the last question is still being answered; escape stops it"
        if flaw:
            prompt.put(event.text + prompt.text)
            self.say(flaw, severity="warning")
            return
        prompt.remember(event.text)
        self._answer(talk.ask(event.text), again=0)

    def on_chat_prompt_altered(self, event: ChatPrompt.Altered) -> None:
        """Say how what was pasted was changed."""
        self.say(event.why, severity="warning")

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Whoever types will ask: load meanwhile, unless a run needs the machine."""
        if event.text_area.text and not self.phi.live and not self._exchange.fault and event.text_area.has_focus:
            self._load()

    def _load(self) -> None:
        session = self.phi.session
        if session.project is None or not self._talk.voices:
            return
        # Of a project only the model and the data decide how a voice speaks: other changes load nothing anew.
        bare = session.project.model_copy(update={"chat": Chat(), "lora": Lora(), "train": Train()})
        place = {"project": projects.text(bare), "root": str(session.root), "workspace": str(session.workspace.root)}
        self._exchange.ready(self._talk.voices, place)
        self._run_clock()

    def _answer(self, turn: Turn, *, again: int) -> None:
        project, talk = self.phi.session.project, self._talk
        assert project is not None
        self._copied = 0
        self._load()
        seed = (project.seed if talk.seed is None else talk.seed) + again
        ask_all(self._exchange, talk, turn, project.chat.model_dump(), seed)
        self._refresh()

    def on_replied(self, event: Replied) -> None:
        """News from the models."""
        failed = event.tag == "load" and event.reply.kind == "error"
        before = self._exchange.fault
        self._exchange.heard(event.reply.id, event.reply.kind, event.reply.payload)
        if failed and self._exchange.fault != before:
            self.say(chat_words.fault(event.reply.payload), severity="error", title="not loaded")
        if event.reply.final:
            self._refresh()

    def _tick(self) -> None:
        """Draw what came since the last tick."""
        self.query_one(ChatLog).bring_up()
        self._show_heads()
        if not self._exchange.busy and self._ticker:
            self._ticker.pause()

    def _run_clock(self) -> None:
        if self._ticker:
            self._ticker.resume()

    # Drawing

    def _refresh(self) -> None:
        """Draw everything that may have changed."""
        if not self.is_mounted:
            return
        project, talk = self.phi.session.project, self._talk
        self.set_class(len(talk.voices) > 1 and self.size.width < 100, "stacked")
        log = self.query_one(ChatLog)
        log.show(talk, chat_words.hint(project is not None, talk.voices, project.model.task if project else ""))
        log.bring_up()
        self._show_heads()
        note = chat_words.note(
            project, talk, self._voices, [self._exchange.template(voice) for voice in talk.voices], live=self.phi.live
        )
        self.query_one("#chat-note", Static).update(note)
        field = self.query_one("#chat-ask")
        asked = "text" if project and project.model.task in TASKS else "question"
        field.border_title = f"Change the last {asked}" if talk.editing else asked.capitalize()
        field.border_subtitle = "escape stops" if self._exchange.busy else "enter sends, ctrl+j new line, escape leaves"
        self._run_clock()

    def _show_heads(self) -> None:
        talk, exchange = self._talk, self._exchange
        last = talk.turns[-1] if talk.turns else None
        states = []
        for voice in talk.voices:
            said = last.answers.get(voice.key) if last else None
            states.append(chat_words.state(voice, said, exchange))
        self.query_one(VoiceHeads).show(talk.voices, states)
