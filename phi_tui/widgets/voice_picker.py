"""The page on which the columns are chosen: for every run of the project its base, its adapter, its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from phi_tui.safe_text import clean
from phi_tui.widgets.voice_choice import MOST, Voice
from phi_tui.widgets.voice_head import perplexity


class VoiceList(OptionList, inherit_bindings=False):
    """A list whose Enter is the page's: a click chooses one voice, Enter takes all that are chosen."""

    BINDINGS = [
        Binding("j,down", "cursor_down", "Down", show=False, id="voices.down"),
        Binding("k,up", "cursor_up", "Up", show=False, id="voices.up"),
        Binding("g,home", "first", "First", show=False, id="voices.first"),
        Binding("G,end", "last", "Last", show=False, id="voices.last"),
        Binding("pagedown", "page_down", "Page down", show=False, id="voices.page-down"),
        Binding("pageup", "page_up", "Page up", show=False, id="voices.page-up"),
    ]


class VoicePicker(ModalScreen[tuple[Voice, ...]]):
    """Returns the chosen voices in the order in which they were chosen; none when the page is left."""

    BINDINGS = [
        Binding("space,x", "choose", "Choose", id="voices.choose", tooltip="Make it a column, or take it away"),
        Binding("enter", "done", "Done", id="voices.done", tooltip="Talk to the chosen ones"),
        Binding("escape,q", "leave", "Cancel", id="voices.cancel", tooltip="Keep the columns as they are"),
    ]

    def __init__(self, voices: Sequence[Voice], chosen: tuple[Voice, ...]) -> None:
        super().__init__()
        self._voices = list(voices)
        known = {voice.key for voice in voices}
        self._chosen = [voice.key for voice in chosen if voice.key in known]

    def compose(self) -> ComposeResult:
        """The list, what was chosen, and the keys."""
        with Vertical(id="voices", classes="dialog"):
            yield Static(f"Who answers? One to {MOST} columns", markup=False, classes="title")
            yield VoiceList(*self._options(), id="voice-list", markup=False)
            yield Static("", markup=False, id="voice-flaw", classes="bad")
            yield Static("space chooses   enter talks to them   escape keeps", markup=False, classes="dim")

    def on_mount(self) -> None:
        """Begin at the first column."""
        listed = self.query_one(OptionList)
        listed.focus()
        place = next((at for at, voice in enumerate(self._voices) if voice.key in self._chosen), 0)
        listed.highlighted = next(
            (at for at in range(listed.option_count) if listed.get_option_at_index(at).id == f"v{place}"), None
        )

    def action_choose(self) -> None:
        """Choose the voice under the cursor, or take it away."""
        listed = self.query_one(OptionList)
        place = self._under_cursor()
        if place is None:
            return
        key = self._voices[place].key
        flaw = ""
        if key in self._chosen:
            self._chosen.remove(key)
        elif len(self._chosen) < MOST:
            self._chosen.append(key)
        else:
            flaw = f"there is room for {MOST} columns: take one away first"
        self.query_one("#voice-flaw", Static).update(flaw)
        for at, voice in enumerate(self._voices):
            listed.replace_option_prompt(f"v{at}", self._line(voice))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click chooses."""
        event.stop()
        self.action_choose()

    def action_done(self) -> None:
        """Take the chosen voices, or with none chosen the one under the cursor."""
        if not self._chosen and (place := self._under_cursor()) is not None:
            self._chosen.append(self._voices[place].key)
        by_key = {voice.key: voice for voice in self._voices}
        self.dismiss(tuple(by_key[key] for key in self._chosen))

    def action_leave(self) -> None:
        """Change nothing."""
        self.dismiss(())

    def _under_cursor(self) -> int | None:
        listed = self.query_one(OptionList)
        if listed.highlighted is None:
            return None
        name = listed.get_option_at_index(listed.highlighted).id
        return int(name[1:]) if name else None

    def _options(self) -> list[Option]:
        options: list[Option] = []
        for place, voice in enumerate(self._voices):
            if not place or voice.run != self._voices[place - 1].run:
                options.append(Option(Content(self._run_line(voice)), disabled=True))
            options.append(Option(self._line(voice), id=f"v{place}"))
        return options

    def _run_line(self, voice: Voice) -> str:
        if not voice.run:
            return "nothing is trained yet"
        template = f"   template {clean(voice.template, one_line=True)}" if voice.template else ""
        return f"run {clean(voice.run_id, one_line=True)}{template}"

    def _line(self, voice: Voice) -> Content:
        mark = f"column {self._chosen.index(voice.key) + 1}" if voice.key in self._chosen else ""
        figure = f"perplexity {perplexity(voice.perplexity):>7}" if voice.perplexity is not None else ""
        return Content.assemble(f"  {voice.title:<12}{figure:<20}", (mark, "bold"))
