"""What a comparison found, as a line, as JSON and as a picture."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.sax.saxutils import escape


@dataclass(frozen=True, slots=True)
class Result:
    """One figure of several arms that took turns: the first arm is phi-tui, and is compared with each other one."""

    what: str
    unit: str
    arms: dict[str, list[float]]
    more_is_better: bool = True

    def ratios(self, arm: str) -> list[float]:
        """How many times better the first arm was, turn by turn."""
        first = next(iter(self.arms.values()))
        pairs = zip(first, self.arms[arm], strict=True)
        return [a / b if self.more_is_better else b / a for a, b in pairs]

    def lines(self) -> list[str]:
        """A line an arm: its median, and how the first arm compares with it."""
        said = []
        for place, (arm, values) in enumerate(self.arms.items()):
            line = f"{self.what:28} {arm:26} {statistics.median(values):10.4g} {self.unit}"
            if place:
                ratios = self.ratios(arm)
                line += f"   x{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            said.append(line)
        return said


def keep(results: Sequence[Result], target: Path) -> None:
    """Put results into a JSON file; those of other comparisons that stand there stay."""
    held = {one.what: one for one in read(target)} | {one.what: one for one in results}
    target.write_text(json.dumps([asdict(one) for one in held.values()], indent=1) + "\n", "utf-8")


def read(target: Path) -> list[Result]:
    """Return the results in a JSON file; none where there is none."""
    return [Result(**one) for one in json.loads(target.read_text("utf-8"))] if target.is_file() else []


def plot(results: Sequence[Result]) -> str:
    """Return a picture (SVG): for each comparison how many times better phi-tui was, a bar from the worst turn to the
    best with its median marked; the line at 1 is where both are equal.
    """
    rows = [(one.what, arm, one.ratios(arm)) for one in results for arm in list(one.arms)[1:]]
    most = max([2.0, *(max(ratios) for _, _, ratios in rows)])
    left, wide, high = 330, 420, 24
    at = lambda ratio: left + wide * ratio / most  # noqa: E731
    bottom = high * len(rows) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + wide + 70}" height="{bottom + 30}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="10" y="18" font-weight="bold">Times as good as ... (1: equal), {len(rows)} comparisons</text>',
    ]
    for tick in range(int(most) + 1):
        colour = "#b8860b" if tick == 1 else "#dddddd"
        parts.append(f'<line x1="{at(tick):.0f}" x2="{at(tick):.0f}" y1="26" y2="{bottom}" stroke="{colour}"/>')
        parts.append(f'<text x="{at(tick):.0f}" y="{bottom + 16}" text-anchor="middle">{tick}</text>')
    for place, (what, arm, ratios) in enumerate(rows):
        y = 30 + high * place
        median = statistics.median(ratios)
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(f"{what} / {arm}")}</text>')
        width = max(2.0, at(max(ratios)) - at(min(ratios)))
        parts.append(f'<rect x="{at(min(ratios)):.1f}" y="{y + 4}" width="{width:.1f}" height="14" fill="#d4af37"/>')
        parts.append(f'<rect x="{at(median) - 1.5:.1f}" y="{y + 2}" width="3" height="18" fill="#333333"/>')
        parts.append(f'<text x="{at(max(ratios)) + 6:.0f}" y="{y + 15}">{median:.2f}</text>')
    return "\n".join([*parts, "</svg>", ""])
