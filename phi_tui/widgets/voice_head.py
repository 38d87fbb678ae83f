"""The head of a column: which model it is, how well it does on the validation rows, and what it is doing."""

from __future__ import annotations

from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from phi_tui.safe_text import clean
from phi_tui.widgets.voice_choice import Voice


class VoiceHeads(Horizontal):
    """One head a column, each of two lines."""

    def show(self, voices: tuple[Voice, ...], states: list[str]) -> None:
        """Draw the heads; there are as many as voices."""
        heads = list(self.query(Static))
        if len(heads) != len(voices):
            self.remove_children()
            names = ["voice-head beside" if place else "voice-head" for place in range(len(voices))]
            heads = [Static("", markup=False, classes=name) for name in names]
            self.mount(*heads)
        runs = {voice.run for voice in voices}
        for head, voice, state in zip(heads, voices, states, strict=True):
            head.update(head_of(voice, state, name_run=len(runs) > 1 or voice.kind != "base"))


def head_of(voice: Voice, state: str, *, name_run: bool) -> Content:
    """Two lines: the voice's name with its run and perplexity, and its state."""
    more = [f"perplexity {perplexity(voice.perplexity)}"] if voice.perplexity is not None else []
    if voice.run_id and name_run:
        more.append(clean(voice.run_id, one_line=True))
    details = "  ".join(more)
    return Content.assemble(
        (f"{clean(voice.title)}  ", "bold $primary"), details, "\n", (clean(state, one_line=True), "dim")
    )


def perplexity(value: float) -> str:
    """As many digits as two runs may differ by."""
    for below, digits in ((10, 3), (100, 2), (1000, 1)):
        if value < below:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}" if value < 1e9 else f"{value:.1e}"
