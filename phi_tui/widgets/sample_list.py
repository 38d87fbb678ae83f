"""What the model said at each evaluation, newest first: the same prompts, so that one reads how it learns."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from phi_tui.metrics import Sample
from phi_tui.safe_text import clean

_SHOWN = 40


class SampleList(VerticalScroll):
    """Scrolls with the arrow keys, j and k."""

    _shown: tuple[Sample, ...] | None = None

    def compose(self) -> ComposeResult:
        """One block of text."""
        yield Static("", id="samples", markup=False)

    def show(self, samples: tuple[Sample, ...]) -> None:
        """Draw the newest samples; nothing when none is new."""
        if samples == self._shown:
            return
        self._shown = samples
        text = Text()
        if not samples:
            text.append(
                "Samples come at each evaluation: a few prompts of the validation rows, answered greedily.", "dim"
            )
        step = -1
        for sample in reversed(samples[-_SHOWN:]):
            if sample.step != step:
                step = sample.step
                text.append(f"{'base' if not step else f'step {step:,}'}\n", "bold")
            prompt = " ⏎ ".join(line for line in clean(sample.prompt, limit=300).splitlines() if line.strip())
            text.append(f"  {prompt}\n", "dim")
            text.append(f"  → {clean(sample.text, limit=600)}\n")
        self.query_one("#samples", Static).update(text)
