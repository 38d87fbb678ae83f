"""The guide's line: which step of four this is, why it is taken, and the keys to go on."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

STEPS = ("model", "data", "hparams", "train")
"""The guided path; any step can be skipped, since every default is usable."""

_WHY = {
    "model": "Choose the base: what it already knows decides how little you have to teach. The bar shows what fits.",
    "data": "Bring in your rows. Look at a few as tokens: only the coloured ones teach.",
    "hparams": "The defaults are good. Rank and learning rate matter most; what follows from them is beside the form.",
    "train": "Read what preflight says, then start. The run goes on if you leave.",
}


class GuideBar(Static):
    """Hidden unless the app guides."""

    def show(self, screen: str, guiding: bool) -> None:
        """Say what this step is for."""
        self.display = guiding and screen in STEPS
        if self.display:
            number = STEPS.index(screen) + 1
            last = number == len(STEPS)
            keys = "ctrl+n next, or skip · ctrl+b back" if not last else "ctrl+b back"
            self.update(Text.assemble((f"Step {number} of {len(STEPS)} ", "bold"), _WHY[screen], (f"  {keys}", "dim")))
