"""How long the rows are in tokens, where max_length cuts, and what other lengths would keep."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from phi_tui.safe_text import clean
from phi_tui.widgets.data_figures import LIMITS, KeptAt, bins_of, kept_at, short
from phi_tui.widgets.data_pane import Pane, PickList
from phi_tui.widgets.data_survey import Known, error_words
from phi_tui.widgets.dialogs import AskText
from phi_tui.widgets.histogram import Histogram

_LEAST, _MOST = 8, 1_048_576


class LengthsPane(Pane):
    """The histogram over the lengths that can be taken."""

    NAME, WORD, KEY, MAIN = "lengths", "Lengths", "l", "#length-choices"
    BINDINGS = [
        Binding("plus,equals_sign", "scale(2)", "Longer", id="lengths.longer", tooltip="Double max_length"),
        Binding("minus", "scale(0.5)", "Shorter", id="lengths.shorter", tooltip="Halve max_length"),
        Binding("o", "number", "Number", id="lengths.number", tooltip="Type max_length"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._limits: list[int] = list(LIMITS)

    def compose(self) -> ComposeResult:
        """Figures, histogram, choices."""
        yield Static("", id="length-figures", markup=False)
        yield Histogram(id="histogram")
        yield PickList(id="length-choices", markup=False)

    def show(self, known: Known) -> None:
        """Draw what is known of the lengths."""
        result, limit = known.survey.result, known.project.data.max_length
        bins = bins_of(result.get("histogram") or {})
        self.border_subtitle = f"max_length {limit:,}"
        self.query_one("#length-figures", Static).update(self._figures(known))
        histogram = self.query_one(Histogram)
        histogram.display = bool(bins)
        histogram.show(bins, limit)
        self._limits = sorted({*LIMITS, limit})
        whole = result.get("lengths_are") != "cut"
        surveyed = int(result.get("max_length") or limit)
        listed = self.query_one("#length-choices", PickList)
        at = listed.highlighted
        kept = [
            kept_at(bins, one, whole=whole, max_length=surveyed, tokens=known.survey.tokens) for one in self._limits
        ]
        listed.set_options(Option(_line(one, one.limit == limit)) for one in kept)
        listed.highlighted = self._limits.index(limit) if at is None else min(at, len(self._limits) - 1)

    def _figures(self, known: Known) -> Text:
        survey, limit = known.survey, known.project.data.max_length
        if flaw := self.nothing_yet(known):
            return Text(flaw)
        if survey.base_error:
            return Text(
                "Lengths need the base's tokenizer, and the base could not be used:\n"
                + clean(error_words(survey.base_error), limit=600)
            )
        if not survey.tokens:
            return Text("The rows are being tokenised.")
        text = Text(no_wrap=True, overflow="ellipsis")
        names = (("rows", 7), ("tokens", 8), ("p50", 7), ("p95", 7), ("longest", 9), ("cut", 7), ("lost", 8))
        text.append(" " * 12 + "".join(f"{name:>{width}}" for name, width in names) + "\n", "bold")
        for mark, name in (("█", "train"), ("▒", "validation")):
            text.append_text(_part(f"{mark} {name}", survey.tokens.get(name) or {}))
        context = survey.result.get("context")
        if context and limit > int(context):
            text.append(f"max_length is beyond what the base reads: {int(context):,} tokens\n", "bold")
        text.right_crop(1)
        return text

    @on(OptionList.OptionSelected, "#length-choices")
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._set(self._limits[event.option_index])

    def action_scale(self, by: float) -> None:
        """Double or halve max_length."""
        if self.phi.session.project:
            self._set(int(self.phi.session.project.data.max_length * by))

    def action_number(self) -> None:
        """Ask for max_length."""
        if self.phi.session.project:
            now = str(self.phi.session.project.data.max_length)
            self.phi.push_screen(AskText("Longest row in tokens.", now, check=_flaw), self._typed)

    def _typed(self, text: str | None) -> None:
        if text:
            self._set(int(text))

    def _set(self, limit: int) -> None:
        if self.phi.session.project:
            self.phi.set(data__max_length=min(max(limit, _LEAST), _MOST))


def _flaw(text: str) -> str:
    if not text.strip().isdecimal():
        return "a whole number of tokens, such as 1024"
    return "" if _LEAST <= int(text) <= _MOST else f"it must lie between {_LEAST} and {_MOST:,}"


def _part(name: str, part: dict[str, Any]) -> Text:
    text = Text(f"{name:<12}{short(part.get('rows') or 0):>7}{short(part.get('tokens') or 0):>8}")
    text.append(f"{short(part.get('p50') or 0):>7}{short(part.get('p95') or 0):>7}{short(part.get('longest') or 0):>9}")
    cut = part.get("cut_rows") or 0
    text.append(f"{short(cut):>7}", "bold" if cut else "")
    text.append(f"{short(part.get('cut_tokens') or 0):>8}", "bold" if cut else "")
    return text.append("\n")


def _line(one: KeptAt, current: bool) -> Text:
    text = Text(style="bold" if current else "", no_wrap=True, overflow="ellipsis")
    text.append(f"{'● ' if current else '  '}{one.limit:>9,}")
    if one.kept is None:
        text.append("   not known: rows were measured cut" if one.cut_rows is None else "")
    elif one.cut_rows == 0:
        text.append("   keeps every token")
    else:
        about = "" if one.exact else "about "
        rows = f"{short(one.cut_rows)} row{'s' * (one.cut_rows != 1)}"
        text.append(f"   keeps {about}{one.kept:.1%} of the tokens, cuts {about}{rows}")
    return text
