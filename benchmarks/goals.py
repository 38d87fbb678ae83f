"""What phi-tui is held to, and whether the results of a measurement show it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.results import Result


@dataclass(frozen=True, slots=True)
class Goal:
    """That the first arm of a comparison is at least `least` times as good as an arm."""

    what: str
    arm: str
    least: float


GOALS = (
    *(
        Goal(f"training, {kind} rows", arm, least)
        for kind in ("short", "long", "short-random", "long-random")
        for arm, least in (
            ("LLaMA-Factory", 1.5),
            ("LLaMA-Factory, neat", 1.5),
            ("guide", 1.8 if kind.startswith("long") else 2.5),
            ("TRL, best", 1.3),
            ("TRL, defaults", 3.0),
        )
    ),
    *(
        Goal(f"{what}, {kind} rows", arm, least)
        for kind in ("short", "long", "short-random", "long-random")
        for what, arm, least in (
            ("peak memory of training", "guide", 1.0),
            ("peak memory of a run with evaluation", "guide", 1.0),
            ("validation perplexity", "guide", 0.99),
            ("evaluation", "Trainer.evaluate", 3.0),
            ("evaluation", "Trainer.evaluate, bf16_full_eval", 3.0),
            ("peak memory of evaluation", "Trainer.evaluate", 1.0),
            ("peak memory of evaluation", "Trainer.evaluate, bf16_full_eval", 1.0),
        )
    ),
    Goal("resident memory of a run", "after 100 steps", 0.98),
)
AT_MOST = {"phi-tui, dropout 0.05": 1.08}
"""How many times as fast phi-tui without an arm's dropout may be."""


def lines(results: Sequence[Result]) -> list[str]:
    """A line for each goal that something was measured for: the median of the turns' ratios is what counts."""
    found = {one.what: one for one in results}
    said = []
    for goal in GOALS:
        one = found.get(goal.what)
        if one and goal.arm in one.arms:
            ratio = statistics.median(one.ratios(goal.arm))
            said.append(
                _line(f"{goal.what}: against {goal.arm}", f"at least {goal.least:g}", ratio, ratio >= goal.least)
            )
    for one in results:
        for arm, most in AT_MOST.items():
            if arm in one.arms and one.what.startswith("training"):
                ratio = statistics.median(one.ratios(arm))
                said.append(_line(f"{one.what}: against {arm}", f"at most {most:g}", ratio, ratio <= most))
    return said


def _line(what: str, asked: str, ratio: float, met: bool) -> str:
    return f"{'met   ' if met else 'MISSED'} {what}: {ratio:.3f} times as good, {asked} asked"
