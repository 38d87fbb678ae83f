"""Whether something goes into memory: what is needed against what is there, as a bar, in numbers and in a word."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from phi_tui.widgets.model_entries import TIGHT, Verdict, verdict
from phi_tui.widgets.model_text import part

COLOURS: dict[Verdict, str] = {
    "fits": "$success",
    "tight": "$warning",
    "does not fit": "$error",
    "unknown": "",
}
"""The colour that goes with a word; never alone."""


class FitBar(Widget):
    """Two lines: what for, the numbers and the word; below them the bar, with a tick where it becomes tight."""

    DEFAULT_CSS = """
    FitBar { height: 2; width: 1fr; }
    """

    need: reactive[int | None] = reactive(None)
    """Estimated bytes, None where they are not known."""
    memory: reactive[int] = reactive(0)
    """Bytes that there are."""

    def __init__(self, label: str, *, id: str | None = None) -> None:  # noqa: A002  # the library's own name
        super().__init__(id=id)
        self.label = label

    def render(self) -> RenderResult:
        """The two lines, as wide as there is room."""
        width = self.size.width
        word = verdict(self.need, self.memory)
        if self.need is None or word == "unknown":
            return Content.assemble((f"{self.label:<7}", "bold"), "not known", "\n", ("─" * width, "dim"))
        numbers = f"{part(self.need, self.memory)}"
        gap = max(1, width - 7 - len(numbers) - len(word))
        return Content.assemble(
            (f"{self.label:<7}", "bold"),
            numbers,
            " " * gap,
            (word, f"bold {COLOURS[word]}"),
            "\n",
            *bar(self.need, self.memory, width, COLOURS[word]),
        )


def bar(need: int, memory: int, width: int, colour: str) -> list[tuple[str, str]]:
    """A bar as (text, style) pieces: heavy as far as the need goes, a tick at the share that is called tight."""
    filled = min(width, max(1, round(width * need / memory)))
    tick = int(width * TIGHT)
    pieces = [("━" * filled, colour)]
    if filled <= tick < width:
        return [*pieces, ("─" * (tick - filled), "dim"), ("┼", "dim"), ("─" * (width - tick - 1), "dim")]
    return [*pieces, ("─" * (width - filled), "dim")]
