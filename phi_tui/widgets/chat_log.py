"""The turns of a conversation, newest at the bottom; follows the end unless a person scrolled up."""

from __future__ import annotations

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from phi_tui.widgets.chat_talk import Talk, Turn
from phi_tui.widgets.chat_turn import ChatTurn
from phi_tui.widgets.voice_choice import Voice

MOST_TURNS = 40
"""Turns that are drawn; earlier ones are still given to the model and saved."""


class ChatLog(VerticalScroll, can_focus=False):
    """Draws a `Talk`, touching only what changed."""

    def __init__(self) -> None:
        super().__init__(id="chat-log")
        self._turns: list[Turn] = []
        self._voices: tuple[Voice, ...] = ()
        self._following = True

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling up ends the following, scrolling to the end takes it up again.

        The library's own anchor scrolls to a negative line while the turns are shorter than the screen.
        """
        super().watch_scroll_y(old_value, new_value)
        if new_value >= self.max_scroll_y:
            self._following = True
        elif new_value < old_value:
            self._following = False

    def show(self, talk: Talk, hint: Content) -> None:
        """Bring the turns up to date; `hint` stands where there is none yet."""
        turns = talk.turns[-MOST_TURNS:]
        same = self._voices == talk.voices and bool(self._turns) and len(turns) >= len(self._turns)
        if same and all(new is old for new, old in zip(turns, self._turns, strict=False)):
            added = turns[len(self._turns) :]
            self.mount_all([ChatTurn(turn, talk.voices) for turn in added])
        else:
            added = turns
            self.remove_children()
            older = len(talk.turns) - len(turns)
            if older:
                self.mount(Static(f"{older} earlier turns are not shown; ctrl+s saves them too", classes="dim"))
            if turns:
                self.mount_all([ChatTurn(turn, talk.voices) for turn in turns])
            else:
                self.mount(Static(hint, markup=False, classes="chat-hint"))
        self._turns, self._voices = list(turns), talk.voices
        if added:
            self._following = True
            self._follow()

    def bring_up(self) -> None:
        """Draw what came since: only the last turns can change."""
        for shown in list(self.query(ChatTurn))[-3:]:
            shown.bring_up()
        self._follow()

    def _follow(self) -> None:
        if self._following:
            self.call_after_refresh(self.scroll_end, animate=False)
