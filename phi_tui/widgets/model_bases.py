"""The list of bases: groups with headings, one line a base, as much of it as the width allows."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from phi_tui.safe_text import clean
from phi_tui.widgets.fit_bar import COLOURS
from phi_tui.widgets.model_entries import Entry, Group, verdict
from phi_tui.widgets.model_text import count, cut, name, size, tokens

WIDE = 56
"""Cells from which a line has context, licence and gigabytes too."""


class ModelBases(OptionList):
    """The bases; Enter (or a click on the highlighted one) takes one."""

    help_text = "The bases by place and size; the bullet marks the project's own. Enter takes the highlighted one."

    BINDINGS = [
        Binding("enter", "select", "Take", id="model.take", tooltip="Make the highlighted base the project's"),
        Binding("j", "cursor_down", "Down", show=False, id="model.down"),
        Binding("k", "cursor_up", "Up", show=False, id="model.up"),
        Binding("g", "first", "First", show=False, id="model.first"),
        Binding("G", "last", "Last", show=False, id="model.last"),
        Binding("ctrl+d", "page_down", "Page down", show=False, id="model.page-down"),
        Binding("ctrl+u", "page_up", "Page up", show=False, id="model.page-up"),
    ]

    class Pointed(Message):
        """Another base is highlighted, or none."""

        def __init__(self, entry: Entry | None) -> None:
            super().__init__()
            self.entry = entry

    class Taken(Message):
        """A base was taken."""

        def __init__(self, entry: Entry) -> None:
            super().__init__()
            self.entry = entry

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # the library's own name
        super().__init__(id=id, markup=False)
        self._groups: Sequence[Group] = ()
        self._chosen: frozenset[str] = frozenset()
        self._memory = 0
        self._rows: list[Entry | None] = []

    @property
    def entry(self) -> Entry | None:
        """The highlighted base."""
        at = self.highlighted
        return self._rows[at] if at is not None and at < len(self._rows) else None

    def show(self, groups: Sequence[Group], chosen: frozenset[str], memory: int, point_at: str = "") -> None:
        """Show other groups; the highlight stays on the base it is on, else goes to `point_at`, else the first."""
        groups = list(groups)
        if (groups, chosen, memory) != (self._groups, self._chosen, self._memory):
            self._groups, self._chosen, self._memory = groups, chosen, memory
            self._fill(point_at)
        elif point_at:
            self.point_at(point_at)

    def point_at(self, base: str) -> bool:
        """Highlight a base; returns whether it is in the list."""
        for at, entry in enumerate(self._rows):
            if entry is not None and entry.base == base:
                self.highlighted = at
                return True
        return False

    def _fill(self, point_at: str = "") -> None:
        before = self.entry
        top = self.scroll_offset.y
        options: list[Option] = []
        lines: list[Entry | None] = []
        for group in self._groups:
            if group.title:
                options.append(
                    Option(Content.styled(clean(group.title, one_line=True), "bold $primary"), disabled=True)
                )
                lines.append(None)
            for entry in group.entries:
                options.append(Option(line(entry, self.room, entry.base in self._chosen, self._memory)))
                lines.append(entry)
            if group.note:
                options.append(Option(Content.styled(f"  {clean(group.note, one_line=True)}", "italic"), disabled=True))
                lines.append(None)
        with self.prevent(OptionList.OptionHighlighted):
            self.clear_options()
            self.add_options(options)
            self._rows = lines
            wanted = [point_at, before.base if before else ""]
            if not any(self.point_at(base) for base in wanted if base):
                self.highlighted = next((at for at, entry in enumerate(lines) if entry is not None), None)
            elif not point_at:
                self.scroll_to(y=top, animate=False)
        self.post_message(self.Pointed(self.entry))

    @property
    def room(self) -> int:
        """The cells that a line has."""
        return max(20, self.scrollable_content_region.width - 2)

    def on_resize(self, event: events.Resize) -> None:
        """The lines are cut for the width."""
        if self._groups:
            self._fill()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Tell which base that is."""
        event.stop()
        self.post_message(self.Pointed(self.entry))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Tell which base that is."""
        event.stop()
        if self.entry is not None:
            self.post_message(self.Taken(self.entry))

    async def _on_click(self, event: events.Click) -> None:
        """A first click highlights, so that a base can be looked at before it is taken."""
        event.prevent_default()
        at = event.style.meta.get("option")
        if at is None or at >= len(self._rows) or self._rows[at] is None:
            return
        if at == self.highlighted:
            self.action_select()
        else:
            self.highlighted = at


def heads(width: int) -> str:
    """The headings of the columns, for lines of `width` cells."""
    if width < WIDE:
        return f"  {cut('model', width - 16)} {'size':>6} {'LoRA':>6}"
    return f"  {cut('model', width - 41)} {'size':>6} {'ctx':>5} {'licence':<10} {'LoRA':>7} {'fit':>6}"


def line(entry: Entry, width: int, chosen: bool, memory: int) -> Content:
    """One base in `width` cells: its mark, name, size, and whether it fits."""
    mark = "● " if chosen else "  "
    word, colour = short_word(entry, memory)
    weight = "bold" if chosen else ""
    if width < WIDE:
        return Content.assemble(
            (mark, "bold $accent"),
            (name(entry.title, width - 16), weight),
            f" {count(entry.parameters):>6} ",
            (f"{word:>6}", colour),
        )
    need = size(entry.lora) if entry.lora else ""
    return Content.assemble(
        (mark, "bold $accent"),
        (name(entry.title, width - 41), weight),
        f" {count(entry.parameters):>6} {tokens(entry.context):>5} ",
        (cut(entry.licence, 10), "dim"),
        f" {need:>7} ",
        (f"{word:>6}", colour),
    )


def short_word(entry: Entry, memory: int) -> tuple[str, str]:
    """At most six letters on the base's state, and their colour: broken, half here, or how it fits."""
    if entry.problem:
        return "broken", "$error"
    if entry.live:
        return "coming", "$warning"
    if entry.partial is not None:
        return "half", "$warning"
    lora = verdict(entry.lora, memory)
    if lora in ("fits", "tight"):
        return lora, COLOURS[lora]
    if lora == "unknown":
        return "", ""
    if verdict(entry.qlora, memory) in ("fits", "tight"):
        return "QLoRA", COLOURS["tight"]
    return "no", COLOURS["does not fit"]
