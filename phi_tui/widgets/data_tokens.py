"""Any row as it will be trained: the token view, which row it is and where it came from, and the way to others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Static

from phi_tui.safe_text import clean
from phi_tui.widgets.data_pane import Pane
from phi_tui.widgets.data_survey import Known, error_words
from phi_tui.widgets.dialogs import AskText
from phi_tui.widgets.token_view import TokenView, tokens_of

PAGE = 10
"""Rows asked for at once."""
_PAGES_KEPT = 20
_LEGEND = "underlined, bold: trained; reversed: special; · space; ⏎ newline"


class TokensPane(Pane):
    """Pages through the rows of a part; asks its screen for pages that it does not have."""

    NAME, WORD, KEY, MAIN = "tokens", "Tokens", "t", "#token-view"
    BINDINGS = [
        Binding("n,j", "row(1)", "Next", id="tokens.next", tooltip="The next row"),
        Binding("p,k", "row(-1)", "Previous", id="tokens.previous", tooltip="The row before"),
        Binding("v", "part", "Train/valid.", id="tokens.part", tooltip="Rows that train, or that validate"),
        Binding("o,colon", "number", "Go to row", id="tokens.number", tooltip="Type a row's number"),
        Binding("y", "train_on", "Train on", show=False, id="tokens.train-on", tooltip="Answers alone or everything"),
    ]

    class Wanted(Message):
        """Rows from `start` on are wanted."""

        def __init__(self, part: str, start: int) -> None:
            super().__init__()
            self.part, self.start = part, start

    def __init__(self) -> None:
        super().__init__()
        self.part = "train"
        self.index = 0
        self._rows: dict[tuple[str, int], dict[str, Any]] = {}
        self._totals: dict[str, int] = {}
        self._wanted: tuple[str, int] | None = None
        self._drawn: tuple[str, int] | None = None
        self._key: tuple[str, int] = ("", 0)
        self._known: Known | None = None
        self._flaw = ""

    def compose(self) -> ComposeResult:
        """Which row, its tokens, the token that is pointed at."""
        yield Static("", id="token-row", markup=False)
        yield TokenView(id="token-view")
        yield Static("", id="token-name", markup=False)
        yield Static(_LEGEND, id="token-legend", classes="dim", markup=False)

    def show(self, known: Known) -> None:
        """Keep to the row that is shown; what was fetched under another survey is forgotten."""
        self._known = known
        key = (known.survey.key, known.survey.request)
        if key != self._key:
            self._key = key
            self._forget()
        self._draw()

    def _forget(self) -> None:
        self._rows.clear()
        self._totals.clear()
        self._wanted = self._drawn = None
        self._flaw = ""

    def take(self, payload: dict[str, Any]) -> None:
        """A page came."""
        part = str(payload.get("part", self.part))
        self._totals[part] = int(payload.get("total") or 0)
        if len(self._rows) > PAGE * _PAGES_KEPT:
            self._rows.clear()
        for row in _tables(payload.get("rows")):
            self._rows[part, int(row.get("index") or 0)] = row
        self._wanted = None
        self.index = min(self.index, max(0, self._total() - 1))
        self._draw()

    def failed(self, payload: dict[str, Any]) -> None:
        """A page could not be read."""
        self._flaw = error_words(payload)
        self._draw()

    def _total(self) -> int:
        if self.part in self._totals:
            return self._totals[self.part]
        tokens = self._known.survey.tokens if self._known else {}
        return int((tokens.get(self.part) or {}).get("rows") or 0)

    def _draw(self) -> None:
        view, head = self.query_one(TokenView), self.query_one("#token-row", Static)
        known = self._known
        words = "" if known is None else self._why_none(known)
        view.display = not words
        self.query_one("#token-legend").display = not words
        if self.has_focus and not words:
            view.focus(scroll_visible=False)
        if words:
            head.update(Text(words))
            return
        row = self._rows.get((self.part, self.index))
        total = self._total()
        text = Text(f"{self.part} row {self.index + 1:,} of {total:,}", style="bold", no_wrap=True, overflow="ellipsis")
        if row is None:
            head.update(text.append("  being read", "not bold"))
            if known and known.survey.known:
                self._ask()
            return
        length, trained = int(row.get("length") or 0), int(row.get("trained") or 0)
        text.append(f"  {length:,} tokens, {trained:,} trained", "not bold")
        if row.get("cut_shown"):
            text.append(f", the first {len(row.get('tokens') or []):,} shown", "not bold")
        text.append(f"  {clean(row.get('file', ''), one_line=True, limit=200)}:{row.get('line', '')}", "not bold")
        head.update(text)
        if self._drawn != (self.part, self.index):
            self._drawn = self.part, self.index
            view.show(tokens_of(row))

    def _why_none(self, known: Known) -> str:
        survey = known.survey
        if flaw := self.nothing_yet(known):
            return flaw
        if survey.base_error:
            return "Tokens need the base's tokenizer, and the base could not be used:\n" + clean(
                error_words(survey.base_error), limit=600
            )
        if not survey.tokens:
            return "The rows are being tokenised."
        if self._flaw:
            return f"{clean(self._flaw, limit=600)}\nctrl+r: check again."
        if not self._total():
            other = "v: the rows that train." if self.part == "validation" else "f: the findings say why."
            return f"No row is in {self.part}.  {other}"
        return ""

    def _ask(self) -> None:
        start = self.index - self.index % PAGE
        if self._wanted != (self.part, start):
            self._wanted = self.part, start
            self.post_message(self.Wanted(self.part, start))

    def action_row(self, by: int) -> None:
        """Go to a row beside this one."""
        self._go(self.index + by)

    def _go(self, index: int) -> None:
        total = self._total()
        if total:
            self.index = min(max(index, 0), total - 1)
            self._draw()

    def action_part(self) -> None:
        """Rows of the other part."""
        self.part = "validation" if self.part == "train" else "train"
        self.index = 0
        self._draw()

    def action_number(self) -> None:
        """Ask for a row's number."""
        total = self._total()

        def flaw(text: str) -> str:
            good = text.strip().isdecimal() and 1 <= int(text) <= total
            return "" if good else f"a number from 1 to {total:,}"

        def typed(text: str | None) -> None:
            if text:
                self._go(int(text) - 1)

        if total:
            self.phi.push_screen(AskText(f"Row of {self.part}, 1 to {total:,}.", check=flaw), typed)

    def action_train_on(self) -> None:
        """Answers alone or everything."""
        if self._known:
            now = self._known.project.data.train_on
            self.phi.set(data__train_on="everything" if now == "completion" else "completion")

    @on(TokenView.Named)
    def _named(self, event: TokenView.Named) -> None:
        token = event.token
        text = Text(no_wrap=True, overflow="ellipsis")
        if token is None:
            text.append("left, right, pointer: name a token and its id", "dim")
        else:
            text.append(f"token {event.place + 1:,}  id {token.id:,}  ", "bold")
            part = ("special, " if token.special else "") + ("trained" if token.trained else "not trained")
            text.append(f"{part}  {clean(repr(token.text), one_line=True, limit=60)}" if token.text else _LATER)
        self.query_one("#token-name", Static).update(text)


_LATER = "a later part of the character before"


def _tables(value: object) -> Iterable[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
