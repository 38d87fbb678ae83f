"""A row as it is trained, token by token: what carries loss is coloured, bold and underlined, special tokens stand in
reverse by name, a newline is a sign and a break, and a space at a token's border is a middle dot.

Lines are laid out once for a width and drawn one by one, so that a row of thousands of tokens scrolls at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from phi_tui.safe_text import clean

KINDS = ("prompt", "trained", "special", "special-trained")


@dataclass(frozen=True, slots=True)
class Token:
    """A token: its text, its number in the vocabulary, and its part in training (one of `KINDS`)."""

    text: str
    id: int
    kind: str

    @property
    def trained(self) -> bool:
        """Whether it carries loss."""
        return self.kind in ("trained", "special-trained")

    @property
    def special(self) -> bool:
        """Whether it is one of the tokenizer's special tokens."""
        return self.kind.startswith("special")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a line that belongs to one token."""

    token: int
    text: str
    cells: int


Line = tuple[Piece, ...]


def tokens_of(row: dict[str, Any]) -> list[Token]:
    """The tokens of a row as the inspector sends it."""
    found = []
    for entry in row.get("tokens") or []:
        text, number, kind = entry
        found.append(Token(str(text), int(number), kind if kind in KINDS else "prompt"))
    return found


def visible(token: Token) -> str:
    """A token's text as it is shown: harmless, newlines as a sign and a break, spaces at its borders as dots."""
    if token.special:
        return clean(token.text, one_line=True) or "<empty>"
    text = clean(token.text).replace("\t", "⇥")
    if not text:
        return "◦"  # a later part of a character of several tokens
    core = text.strip(" ")
    if not core:
        text = "·" * len(text)
    else:
        left = len(text) - len(text.lstrip(" "))
        text = "·" * left + core + "·" * (len(text) - left - len(core))
    return text.replace("\n", "⏎\n")


def layout(tokens: Sequence[Token], width: int) -> list[Line]:
    """Lay tokens out in lines of at most `width` cells; a token that does not fit goes on, or is divided."""
    width = max(2, width)
    lines: list[Line] = []
    line: list[Piece] = []
    used = 0

    def end() -> None:
        nonlocal line, used
        lines.append(tuple(line))
        line, used = [], 0

    for number, token in enumerate(tokens):
        parts = visible(token).split("\n")
        for place, part in enumerate(parts):
            size = cell_len(part)
            if used and used + size > width:
                end()
            while size > width:
                head = _head(part, width)
                line.append(Piece(number, head, cell_len(head)))
                end()
                part = part[len(head) :]
                size = cell_len(part)
            if part:
                line.append(Piece(number, part, size))
                used += size
            if place < len(parts) - 1:
                end()
    if line:
        end()
    return lines


def _head(text: str, width: int) -> str:
    """The longest beginning that fits; one character at least."""
    used = 0
    for at, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            return text[: max(1, at)]
    return text


class TokenView(ScrollView, can_focus=True):
    """Shows one row's tokens; the cursor or the pointer names a token."""

    COMPONENT_CLASSES = {
        "token-view--prompt",
        "token-view--trained",
        "token-view--special",
        "token-view--special-trained",
        "token-view--odd",
        "token-view--cursor",
    }
    BINDINGS = [
        Binding("right,w", "step(1)", "Next token", show=False, id="tokens.right", tooltip="Name the next token"),
        Binding("left,b", "step(-1)", "Token before", show=False, id="tokens.left", tooltip="Name the token before"),
        Binding("g", "edge(0)", "First token", show=False, id="tokens.first", tooltip="Go to the row's first token"),
        Binding("G", "edge(-1)", "Last token", show=False, id="tokens.last", tooltip="Go to the token that ends it"),
    ]

    class Named(Message):
        """The cursor or the pointer is on a token; None: on none."""

        def __init__(self, place: int, token: Token | None) -> None:
            super().__init__()
            self.place, self.token = place, token

    cursor: reactive[int] = reactive(-1)
    hovered: reactive[int] = reactive(-1)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.tokens: list[Token] = []
        self.lines: list[Line] = []
        self._first_line: list[int] = []

    def show(self, tokens: Sequence[Token]) -> None:
        """Show a row from its beginning."""
        self.tokens = list(tokens)
        self.set_reactive(TokenView.cursor, -1)
        self.set_reactive(TokenView.hovered, -1)
        self._lay_out()
        self.scroll_to(0, 0, animate=False)
        self.post_message(self.Named(-1, None))

    def on_resize(self) -> None:
        """Lay out again for the new width."""
        self._lay_out()

    def _lay_out(self) -> None:
        width = max(2, self.scrollable_content_region.width)
        self.lines = layout(self.tokens, width)
        self._first_line = [0] * len(self.tokens)
        for at in range(len(self.lines) - 1, -1, -1):
            for piece in self.lines[at]:
                self._first_line[piece.token] = at
        self.virtual_size = Size(width, len(self.lines))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of what is scrolled to."""
        at = y + self.scroll_offset.y
        width = self.size.width
        base = self.rich_style
        if at >= len(self.lines):
            return Strip.blank(width, base)
        named = self.hovered if self.hovered >= 0 else self.cursor
        segments = [
            Segment(piece.text, base + self._style(piece.token, piece.token == named)) for piece in self.lines[at]
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, number: int, named: bool) -> Style:
        token = self.tokens[number]
        style = self.get_component_rich_style(f"token-view--{token.kind}", partial=True)
        if number % 2 and not token.special:
            style = self.get_component_rich_style("token-view--odd", partial=True) + style
        if named:
            style += self.get_component_rich_style("token-view--cursor", partial=True)
        return style

    def action_step(self, by: int) -> None:
        """Move the cursor along the tokens."""
        if self.tokens:
            self.hovered = -1
            self.cursor = min(max(self.cursor + by, 0), len(self.tokens) - 1)

    def action_edge(self, place: int) -> None:
        """Go to the first or the last token."""
        if self.tokens:
            self.hovered = -1
            self.cursor = 0 if place == 0 else len(self.tokens) - 1

    def watch_cursor(self, place: int) -> None:
        """Show the token under the cursor and say which it is."""
        if 0 <= place < len(self.tokens):
            self.scroll_to_region(Region(0, self._first_line[place], 1, 1), animate=False)
            self._tell(place)
        self.refresh()

    def watch_hovered(self, place: int) -> None:
        """Say which token the pointer is on, and that of the cursor when it is on none."""
        self._tell(place if place >= 0 else self.cursor)
        self.refresh()

    def _tell(self, place: int) -> None:
        token = self.tokens[place] if 0 <= place < len(self.tokens) else None
        self.post_message(self.Named(place, token))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Find the token under the pointer."""
        self.hovered = self.token_at(event.x, event.y + self.scroll_offset.y)

    def on_leave(self) -> None:
        """The pointer went away."""
        self.hovered = -1

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the pointer is."""
        place = self.token_at(event.x, event.y + self.scroll_offset.y)
        if place >= 0:
            self.cursor = place

    def token_at(self, x: int, line: int) -> int:
        """The token at a cell of a line, or -1."""
        if not 0 <= line < len(self.lines):
            return -1
        for piece in self.lines[line]:
            if x < piece.cells:
                return piece.token
            x -= piece.cells
        return -1
