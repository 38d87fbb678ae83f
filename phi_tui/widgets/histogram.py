"""Lengths as horizontal bars, one line a bin, with the limit drawn between the bins that it divides."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from phi_tui.widgets.data_figures import Bin, fewer_bins


class Histogram(Widget):
    """Bars of rows by length; rows beyond the limit are marked "cut"."""

    COMPONENT_CLASSES = {"histogram--train", "histogram--validation", "histogram--limit", "histogram--axis"}

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._bins: list[Bin] = []
        self._limit = 0

    def show(self, bins: Sequence[Bin], limit: int) -> None:
        """Show the bins, with a rule at `limit` tokens."""
        self._bins, self._limit = list(bins), limit
        self.refresh()

    def render(self) -> RenderResult:
        """One line a bin, as many as there is room for."""
        style = {name: self.get_component_rich_style(f"histogram--{name}") for name in _PARTS}
        text = Text(no_wrap=True, overflow="crop")
        room = max(2, self.size.height - 1)
        bins = fewer_bins(cut_at(self._bins, self._limit), room, keep=self._limit + 1)
        if not bins:
            return text
        most = max(one.rows for one in bins) or 1
        names = [f"{one.low:,}-{one.high - 1:,}" for one in bins]
        margin = max(map(len, names))
        width = max(4, self.size.width - margin - len(f"{most:,}") - 3)
        ruled = False
        for one, name in zip(bins, names, strict=True):
            if one.low > self._limit and not ruled:
                text.append_text(self._rule(style["limit"]))
                ruled = True
            left = round(width * one.train / most)
            right = round(width * one.rows / most) - left
            if one.rows and not left + right:
                left, right = (1, 0) if one.train else (0, 1)
            text.append(f"{name:>{margin}} ", style["axis"])
            text.append("█" * left, style["limit"] if ruled else style["train"])
            text.append("▒" * right, style["limit"] if ruled else style["validation"])
            text.append(f" {one.rows:,}\n" if one.rows else "\n")
        if not ruled:
            text.append_text(self._rule(style["limit"]))
        text.right_crop(1)
        return text

    def _rule(self, style: object) -> Text:
        words = f"── max_length {self._limit:,}: longer rows are cut "
        return Text(words + "─" * max(0, self.size.width - len(words)) + "\n", style=style)  # type: ignore[arg-type]


_PARTS = ("train", "validation", "limit", "axis")


def cut_at(bins: Sequence[Bin], limit: int) -> list[Bin]:
    """Divide the bin that holds the limit there, its rows shared by width, so that the rule stands in its place."""
    found: list[Bin] = []
    for one in bins:
        if one.low <= limit < one.high - 1:
            share = (limit + 1 - one.low) / (one.high - one.low)
            train, validation = round(one.train * share), round(one.validation * share)
            found.append(Bin(one.low, limit + 1, train, validation))
            found.append(Bin(limit + 1, one.high, one.train - train, one.validation - validation))
        else:
            found.append(one)
    return found
