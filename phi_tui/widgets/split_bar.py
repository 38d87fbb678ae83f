"""The split as one bar: what trains in full blocks, what validates in shaded ones, so that no colour is needed."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.reactive import reactive
from textual.widget import Widget


class SplitBar(Widget):
    """Two lines: the bar, and under it the counts and shares of both sides."""

    COMPONENT_CLASSES = {"split-bar--train", "split-bar--validation"}

    train: reactive[int] = reactive(0)
    validation: reactive[int] = reactive(0)

    def show(self, train: int, validation: int) -> None:
        """Show rows that train and rows that validate."""
        self.train, self.validation = train, validation

    def render(self) -> RenderResult:
        """The bar over its legend."""
        width = max(1, self.size.width)
        total = self.train + self.validation
        trains = self.get_component_rich_style("split-bar--train")
        validates = self.get_component_rich_style("split-bar--validation")
        if not total:
            return Text("░" * width + "\nno rows yet", no_wrap=True, overflow="crop")
        left = cells(self.train, total, width)
        text = Text("█" * left, style=trains, no_wrap=True, overflow="ellipsis")
        text.append("▒" * (width - left), validates)
        text.append("\n")
        mine = f"█ train {self.train:,} rows {self.train / total:.1%}"
        other = f"▒ validation {self.validation:,} rows {self.validation / total:.1%}"
        gap = max(2, width - len(mine) - len(other))
        text.append(mine, trains)
        text.append(" " * gap)
        text.append(other, validates)
        return text


def cells(part: int, total: int, width: int) -> int:
    """How many of `width` cells a part takes: its share, but one at least for what is not empty."""
    if part <= 0:
        return 0
    if part >= total:
        return width
    return min(max(round(width * part / total), 1), width - 1)
