"""The scores of generated answers in words: one way for the journal's followers, the terminal and the card.

Apart from the module that computes them, since screens read these and must not load what generates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = {"rouge-l": ("rouge_l",), "exact-match": ("exact_match", "token_f1")}
"""What each train.score is called in events and figures."""
SHOWN = tuple(name for names in NAMES.values() for name in names)
_WORDS = {"rouge_l": "ROUGE-L", "exact_match": "exact match", "token_f1": "token F1"}


def summary(event: Mapping[str, Any]) -> str:
    """The scores of an evaluation's event, such as "ROUGE-L 0.412", or an empty text."""
    return ", ".join(f"{_WORDS[name]} {_number(event[name])}" for name in SHOWN if name in event)


def lines(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, "base -> trained") for each score among a run's figures."""
    return [
        (_WORDS[name], f"{_number(figures.get(f'base_{name}'))} (base) -> {_number(figures[name])}")
        for name in SHOWN
        if name in figures
    ]


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else "unknown"
