"""The golden suggestions, stated in one place: the setting, the values, the formula, and what was measured here.

They are heuristics.  What they are worth is a question for the runs of a workspace: `measured` finds pairs of
finished runs that differ in that one setting alone and says how their perplexities differ, and over how many seeds.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from phi_tui import form, phi
from phi_tui.errors import PhiError
from phi_tui.figures import finite
from phi_tui.run_list import Glance, RunList
from phi_tui.workspace import Workspace

HEURISTIC = "A heuristic: nothing proves it better than its neighbours."


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Golden values of a setting, the first one suggested first, each with its formula."""

    key: str
    values: tuple[Any, ...]
    formulas: tuple[str, ...]
    sentence: str
    changes_rows: bool = False
    """Whether it changes which rows train or validate, so that no two runs with and without can be compared."""

    def formula(self, value: Any) -> str:
        """The formula of a golden value; that of the first for any other."""
        return self.formulas[self.values.index(value) if self.holds(value) else 0]

    def holds(self, value: Any) -> bool:
        """Whether a value is golden."""
        return not isinstance(value, bool) and value in self.values

    def after(self, value: Any) -> Any:
        """The golden value that follows: the next one round for a golden value, the first for any other."""
        place = self.values.index(value) + 1 if self.holds(value) else 0
        return self.values[place % len(self.values)]


SUGGESTIONS = {
    suggestion.key: suggestion
    for suggestion in (
        Suggestion(
            "data.split",
            ("phi", round(1 - phi.power(-5), 4), round(1 - phi.power(-6), 4)),
            (
                f"1/phi = {phi.TRAIN_SHARE:.3f} train, 1/phi^2 = {1 - phi.TRAIN_SHARE:.3f} validate",
                f"1 - phi^-5 = {1 - phi.power(-5):.4f} train, phi^-5 = {phi.power(-5):.3f} validate",
                f"1 - phi^-6 = {1 - phi.power(-6):.4f} train, phi^-6 = {phi.power(-6):.3f} validate",
            ),
            "1/phi keeps 38.2% of the rows from training; usual is 1 to 10%, for which phi^-5 and phi^-6 stand.",
            changes_rows=True,
        ),
        Suggestion(
            "data.mix",
            ("phi",),
            ("weights phi^-1, phi^-2, phi^-3, ... = 0.618, 0.382, 0.236, ..., normalised",),
            "For several sources: each is drawn from 1/phi as often as the one before it.",
            changes_rows=True,
        ),
        Suggestion(
            "lora.rank",
            phi.RANKS,
            tuple(f"{rank}, the {number}th Fibonacci number" for number, rank in enumerate(phi.RANKS, start=6)),
            f"{', '.join(map(str, phi.RANKS))}: each about phi times the one before. g goes round them.",
        ),
        Suggestion(
            "train.scheduler",
            ("phi_restarts",),
            ("T(k) = T(0) * phi^k: each cosine period is phi = 1.618 times the one before",),
            "Cosine with restarts whose periods grow; train.restarts says how many follow the first.",
        ),
        Suggestion(
            "train.warmup",
            (phi.WARMUP,),
            (f"{phi.WARMUP} = 0.1/phi",),
            "0.1/phi, a share of the steps. phi^-6 = 0.0557 is the nearest power of phi.",
        ),
    )
}
"""By key, in the schema's order."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two finished runs that differ in one setting alone: one with a golden value, one without."""

    golden: Any
    other: Any
    seed: int
    golden_run: str
    other_run: str
    golden_loss: float
    other_loss: float

    @property
    def loss(self) -> float:
        """Evaluation loss with the golden value less that without, in nats; below 0 is better."""
        return self.golden_loss - self.other_loss

    @property
    def perplexity(self) -> float:
        """Relative difference in perplexity: exp(loss difference) - 1; below 0 is better."""
        return math.expm1(min(self.loss, 700.0))


@dataclass(frozen=True, slots=True)
class Measured:
    """The pairs of one setting that the workspace holds."""

    pairs: tuple[Pair, ...] = ()

    @property
    def seeds(self) -> int:
        """How many different seeds the pairs have."""
        return len({pair.seed for pair in self.pairs})

    @property
    def loss(self) -> float:
        """Mean difference of the evaluation loss, in nats."""
        return sum(pair.loss for pair in self.pairs) / len(self.pairs)

    @property
    def perplexity(self) -> float:
        """Relative difference in perplexity at the mean difference of the loss."""
        return math.expm1(min(self.loss, 700.0))


def measured(workspace: Workspace) -> dict[str, Measured]:
    """What the finished runs of a workspace say about each suggestion; reads files, so not for the event loop.

    A pair has the same rows, the same base, and the same settings but the one; runs that repeat each other count once.
    Name, chat settings, trackers and where a run ran take no part in training and are not compared.
    """
    runs = _distinct([found for glance in RunList().read(workspace) if (found := _finished(glance))])
    return {key: Measured(tuple(_pairs(suggestion, runs))) for key, suggestion in SUGGESTIONS.items()}


def said(suggestion: Suggestion, found: Measured | None) -> str:
    """What was measured, in words that do not claim more than the pairs carry."""
    if suggestion.changes_rows:
        return "Not measured: it changes the rows themselves, so the perplexities are of different rows."
    if found is None:
        return "Looking for runs to compare."
    if not found.pairs:
        return "Not measured here."
    pairs, seeds = len(found.pairs), found.seeds
    differences = [pair.perplexity for pair in found.pairs]
    text = f"Measured here: {found.perplexity:+.1%} perplexity over {pairs} pair{'s'[: pairs > 1]}"
    if pairs > 1:
        text += f" ({min(differences):+.1%} to {max(differences):+.1%})"
    text += f", {seeds} seed{'s'[: seeds > 1]}; below 0 is better."
    return text + (" One seed can be chance." if seeds == 1 else " Few seeds." if seeds < 5 else "")


@dataclass(frozen=True, slots=True)
class _Finished:
    name: str
    settings: dict[str, Any]
    place: tuple[str, str]
    loss: float


_NO_PART = ("name", "launch.where", "train.report_to", "train.samples", "train.sample_tokens")


def _finished(glance: Glance) -> _Finished | None:
    """A run that can be compared, or None: not done, not evaluated, or without a readable project or lock."""
    loss = finite(glance.figures.get("eval_loss"))
    if glance.state != "done" or loss is None:
        return None
    try:
        settings = form.values(glance.run.project())
        lock = tomllib.loads((glance.run.path / "lock.toml").read_text("utf-8"))
        place = (str(lock["data"]["rows_sha256"]), str(lock["base"]["weights_sha256"]))
    except (PhiError, OSError, ValueError, KeyError, TypeError):
        return None
    kept = {key: value for key, value in settings.items() if key not in _NO_PART and not key.startswith("chat.")}
    return _Finished(glance.name, kept, place, loss)


def _distinct(runs: list[_Finished]) -> list[_Finished]:
    """The newest of runs with the same settings on the same rows and base: a repetition is no second measurement."""
    found: dict[str, _Finished] = {}
    for one in runs:
        found.setdefault(_key(one, ""), one)
    return list(found.values())


def _pairs(suggestion: Suggestion, runs: list[_Finished]) -> list[Pair]:
    alike: dict[str, list[_Finished]] = defaultdict(list)
    for one in runs:
        if suggestion.key in one.settings:
            alike[_key(one, suggestion.key)].append(one)
    return [
        Pair(
            golden.settings[suggestion.key],
            other.settings[suggestion.key],
            golden.settings["seed"],
            golden.name,
            other.name,
            golden.loss,
            other.loss,
        )
        for group in alike.values()
        for golden in group
        if suggestion.holds(golden.settings[suggestion.key])
        for other in group
        if not suggestion.holds(other.settings[suggestion.key])
    ]


def _key(one: _Finished, without: str) -> str:
    kept = {key: value for key, value in one.settings.items() if key != without}
    return json.dumps([one.place, kept], sort_keys=True)
