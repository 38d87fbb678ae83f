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


class RunCharts(Horizontal):
    """The large chart shows `large`; the small ones show the rest, in order."""

    def __init__(self) -> None:
        super().__init__(id="charts")
        self._store: MetricStore | None = None
        self._large = 0

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

    def draw(self, shot: Snapshot) -> None:
        """Draw what changed."""
        for chart in self.query(Chart):
            if chart.display and chart.size.width:
                chart.steps = shot.steps
                chart.set_marks(shot.checkpoints, shot.evaluations)
                chart.refresh_points()

    def _assign(self) -> None:
        order = [_NAMES[(self._large + place) % len(_NAMES)] for place in range(len(_NAMES))]
        for chart, name in zip([self.query_one("#large", Chart), *self.query(".small")], order, strict=False):
            assert isinstance(chart, Chart)
            chart.title = _TITLES[name]
            store = self._store
            second = store.eval_loss if store and name == "loss" else None
            chart._second_title = "evaluation" if name == "loss" else ""
            chart.show_series(getattr(store, name) if store else None, second)
