"""Chat: the same question to one to three models side by side, streamed, in the template they were trained with."""

from __future__ import annotations

from textual.binding import Binding

from phi_tui.engine.labels import TASKS
from phi_tui.safe_text import clean
from phi_tui.widgets.chat_asking import ask_text
from phi_tui.widgets.chat_frame import ChatFrame
from phi_tui.widgets.chat_log import ChatLog
from phi_tui.widgets.chat_prompt import ChatPrompt
from phi_tui.widgets.chat_save import conversation, memory_of, save
from phi_tui.widgets.chat_settings import ChatSettings, Settled
from phi_tui.widgets.chat_talk import Turn
from phi_tui.widgets.chat_template import ChatTemplate, Given
from phi_tui.widgets.voice_choice import Voice, with_base
from phi_tui.widgets.voice_picker import VoicePicker


class ChatScreen(ChatFrame):
    """What the keys of the chat do."""

    NAME = "chat"
    HELP = """\
# Chat

The same question goes to each column: the bare base, the adapter that a run trained, or any checkpoint of a run.
So you see what training changed. **v** chooses the columns (**F2** while you type), **b** puts the base beside them.

The field at the bottom has the keys. **Enter** sends, **ctrl+j** makes a new line, **up** brings earlier questions
back. **escape** stops the answers; once more, it gives the jump keys back; **i** or **enter** returns to the field.

A model is asked in the template that it was trained with; **ctrl+t** shows the exact text. Only a *chat* template
carries earlier turns: with the others each question stands alone, as in training.

A project that trains a head (`model.task` other than causal-lm) has no conversation: each text is scored, and what
comes back is every class with its probability, or a number.

Copying goes out as OSC 52, which some terminals ignore: **ctrl+s** saves the conversation to a file.
"""

    BINDINGS = [
        Binding("v,f2", "voices", "Voices", id="chat.voices", tooltip="Who answers: base, adapters, checkpoints"),
        Binding("b,f3", "base", "Base", show=False, id="chat.base", tooltip="The base beside the others, or not"),
        Binding(
            "ctrl+r",
            "retry",
            "Retry",
            show=False,
            id="chat.retry",
            priority=True,
            tooltip="Ask the last question again",
        ),
        Binding(
            "ctrl+e", "edit", "Edit", show=False, id="chat.edit", priority=True, tooltip="Change the last question"
        ),
        Binding("ctrl+y", "copy", "Copy", id="chat.copy", priority=True, tooltip="Copy the last answer (OSC 52)"),
        Binding("ctrl+s", "save", "Save", id="chat.save", priority=True, tooltip="Save as JSONL and Markdown"),
        Binding("ctrl+t", "template", "Text", id="chat.template", priority=True, tooltip="What the model is given"),
        Binding("ctrl+g", "settings", "Set", id="chat.settings", priority=True, tooltip="Temperature, system prompt"),
        Binding("ctrl+l", "new", "New", show=False, id="chat.new", priority=True, tooltip="A new conversation"),
        Binding(
            "ctrl+x", "unload", "Unload", show=False, id="chat.unload", priority=True, tooltip="Free the models' memory"
        ),
        Binding("i,enter", "type", "Ask", show=False, id="chat.ask", tooltip="Back to the field"),
        Binding("j,down", "scroll(1)", "Down", show=False, id="chat.down"),
        Binding("k,up", "scroll(-1)", "Up", show=False, id="chat.up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="chat.page-down", priority=True),
        Binding("pageup", "page(-1)", "Page up", show=False, id="chat.page-up", priority=True),
        Binding("g", "edge(-1)", "First", show=False, id="chat.first"),
        Binding("G", "edge(1)", "Last", show=False, id="chat.last"),
    ]

    def action_leave(self) -> None:
        """Stop what is being said; with nothing being said, leave the field."""
        if self._exchange.asked:
            self._exchange.stop()
        elif self._talk.editing:
            self._talk.editing = False
            self.query_one(ChatPrompt).put("")
        else:
            self.set_focus(None)
        self._refresh()

    def action_type(self) -> None:
        """Back to the field."""
        self.query_one(ChatPrompt).focus()

    def action_voices(self) -> None:
        """Choose the columns."""
        if not self._voices:
            self.say("open a project first (1): its runs are the voices", severity="warning")
            return

        def chosen(voices: tuple[Voice, ...] | None) -> None:
            if voices:
                self._take(voices)

        self.app.push_screen(VoicePicker(self._voices, self._talk.voices), chosen)

    def action_base(self) -> None:
        """The base beside the others, or away."""
        project = self.phi.session.project
        if project is not None and project.model.task in TASKS:
            self.say("the bare base has no trained head to score a text with", severity="warning")
        elif self._talk.voices:
            self._take(with_base(self._talk.voices, self._voices))

    def _take(self, voices: tuple[Voice, ...]) -> None:
        gone = {voice.key for voice in self._talk.voices} - {voice.key for voice in voices}
        self._exchange.stop(frozenset(gone))
        self._exchange.fault = ""
        self._talk.chosen = True
        self._talk.choose(voices)
        self._refresh()

    def action_retry(self) -> None:
        """Ask the last question again; with randomness, under the next seed."""
        turns = self._talk.turns
        if not turns or turns[-1].open or self.phi.session.project is None:
            self.say("there is no answered question to ask again", severity="warning")
            return
        project = self.phi.session.project
        own = project.seed if self._talk.seed is None else self._talk.seed
        again = self._talk.tries(own) if project.chat.temperature else 0
        if not project.chat.temperature:
            self.say("at temperature 0 the answer will be the same again; ctrl+g sets it")
        self._answer(turns[-1], again=again)

    def action_edit(self) -> None:
        """Put the last question into the field; what is sent then takes its place."""
        if not self._talk.turns or self._talk.turns[-1].open:
            self.say("there is no answered question to change", severity="warning")
            return
        self._talk.editing = True
        prompt = self.query_one(ChatPrompt)
        if draft := prompt.text.strip():
            prompt.remember(draft)  # what was being typed comes back with the up key
        prompt.put(clean(self._talk.turns[-1].question))
        prompt.focus()
        self._refresh()

    def action_copy(self) -> None:
        """Copy the trained voice's last answer; once more, the next column's."""
        answers = self._talk.last_answers()
        if not answers:
            self.say("there is no answer to copy yet", severity="warning")
            return
        voice, said = answers[-1 - self._copied % len(answers)]
        self._copied += 1
        self.app.copy_to_clipboard(clean(said.text))
        more = "; ctrl+y again copies the next column's" if len(answers) > 1 else ""
        self.say(
            f"the answer of {voice.title} was sent to the clipboard{more}. It goes out as OSC 52, which some terminals "
            "ignore: ctrl+s saves to a file"
        )

    def action_save(self) -> None:
        """Write the conversation to the workspace's chats folder."""
        project = self.phi.session.project
        if not self._talk.turns or project is None:
            self.say("there is nothing to save yet", severity="warning")
            return
        exchange, root, name = self._exchange, self.phi.session.workspace.root, project.name
        names = {key: exchange.template(voice) for key, voice in self._talk.met.items()}
        said = conversation(self._talk, exchange.known, names)
        self.find_out("saved", lambda: save(said, root, name))

    def action_new(self) -> None:
        """A new conversation; from an empty one, back to the last."""
        self._exchange.stop()
        had = bool(self._talk.turns)
        back = self._talk.start_over()
        if back:
            self.say("the last conversation is back")
        elif had:
            self.say("a new conversation; ctrl+l again brings the last one back")
        self._refresh()

    def action_unload(self) -> None:
        """End the process that holds the models; a selection in the field is cut instead."""
        prompt = self.query_one(ChatPrompt)
        if prompt.has_focus and prompt.selected_text:
            prompt.action_cut()
            return
        pid = getattr(self.phi.speakers, "pid", None)
        if pid is None and not self._exchange.busy and not self._exchange.loaded:
            self.say("no model is loaded")
            return
        freed = memory_of(pid)
        self.phi.speakers.close()
        self._exchange.gone()
        self.say(
            f"the models are unloaded{f'; that frees {freed}' if freed else ''}; the next question loads them again"
        )
        self._refresh()

    def action_settings(self) -> None:
        """Temperature and the like."""
        project = self.phi.session.project
        if project is None:
            self.say("open a project first (1): the settings are its own", severity="warning")
            return
        seed = project.seed if self._talk.seed is None else self._talk.seed

        def keep(settled: Settled | None) -> None:
            if settled is None:
                return
            self._talk.seed = settled.seed if settled.seed != project.seed else None
            chat = settled.chat
            if chat != project.chat:
                self.phi.set(**{f"chat__{name}": value for name, value in chat.model_dump().items()})
            self._refresh()

        self.app.push_screen(ChatSettings(project.chat, seed), keep)

    def action_template(self) -> None:
        """Show the text that the models would be given for what stands in the field, or for the last question."""
        project, talk = self.phi.session.project, self._talk
        if project is None or not talk.voices:
            self.say("open a project first (1)", severity="warning")
            return
        typed = self.query_one(ChatPrompt).text.strip()
        turn = Turn(typed) if typed or not talk.turns else talk.turns[-1]
        turn = turn if turn.question else Turn("(your question)")
        if not self._exchange.loaded:
            self.say("the model is loaded first")
        self._load()

        def show(given: list[Given], fault: str) -> None:
            if fault:
                self.say(fault, severity="error")
            elif given and self.is_current:
                self.app.push_screen(ChatTemplate(given))

        ask_text(self._exchange, talk, turn, project.chat.system, show)

    def action_scroll(self, lines: int) -> None:
        """Scroll the turns."""
        self.query_one(ChatLog).scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll the turns by what is seen."""
        log = self.query_one(ChatLog)
        log.scroll_relative(y=pages * max(1, log.size.height - 1), animate=False)

    def action_edge(self, end: int) -> None:
        """To the first or the last turn."""
        log = self.query_one(ChatLog)
        if end > 0:
            log.scroll_end(animate=False)
        else:
            log.scroll_home(animate=False)


SCREEN = ChatScreen
