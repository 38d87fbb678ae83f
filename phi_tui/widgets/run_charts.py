"""The charts of a run: loss with evaluation loss, learning rate, gradient norm, tokens a second.

One is large; where there is room the others stand beside it.  Only what is seen is drawn.
"""

from __future__ import annotations

import os

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from phi_tui.metrics import MetricStore, Snapshot
from phi_tui.widgets.chart import Chart, charset_for

_NAMES = ("loss", "lr", "grad_norm", "tokens_per_second", "perplexity")
_TITLES = {
    "loss": "loss",
    "lr": "learning rate",
    "grad_norm": "gradient norm",
    "tokens_per_second": "tokens/s",
    "perplexity": "perplexity",
}


_BYTES = 2500
"""After so many bytes in one redraw the other charts wait for the next: a slow line gets at most 8 KB at once."""


class RunCharts(Horizontal):
    """The large chart shows `large`; the small ones show the rest, in order."""

    def __init__(self) -> None:
        super().__init__(id="charts")
        self._store: MetricStore | None = None
        self._large = self._turn = 0

    def compose(self) -> ComposeResult:
        """A large chart and a column of three small ones."""
        charset = charset_for(os.environ)
        yield Chart(id="large", charset=charset)
        with Vertical(id="small"):
            for place in range(3):
                yield Chart(id=f"small-{place}", classes="small", charset=charset)

    def on_mount(self) -> None:
        """Nothing is followed yet."""
        self._assign()

    def show_store(self, store: MetricStore | None) -> None:
        """Draw the curves of another run."""
        self._store = store
        self._assign()

    def next(self) -> None:
        """Make the next chart the large one."""
        self._large = (self._large + 1) % len(_NAMES)
        self._assign()

    def change(self, action: str) -> None:
        """Run one of the charts' own actions on all of them."""
        for chart in self.query(Chart):
            getattr(chart, f"action_{action}")()

    def draw(self, shot: Snapshot) -> None:
        """Draw what changed: the large chart, then the small ones in turn until this redraw's bytes are spent."""
        small = [chart for chart in self.query(".small").results(Chart) if chart.display and chart.size.width]
        turn = self._turn % max(1, len(small))
        spent = 0.0
        for place, chart in enumerate([self.query_one("#large", Chart), *small[turn:], *small[:turn]]):
            chart.steps = shot.steps
            chart.set_marks(shot.checkpoints, shot.evaluations)
            if spent < _BYTES:
                spent += chart.refresh_points() * (chart.size.width * 1.6 + 60)
                self._turn = turn + place

    def _assign(self) -> None:
        order = [_NAMES[(self._large + place) % len(_NAMES)] for place in range(len(_NAMES))]
        for chart, name in zip([self.query_one("#large", Chart), *self.query(".small")], order, strict=False):
            assert isinstance(chart, Chart)
            chart.title = _TITLES[name]
            store = self._store
            second = store.eval_loss if store and name == "loss" else None
            chart._second_title = "evaluation" if name == "loss" else ""
            chart.show_series(getattr(store, name) if store else None, second)
