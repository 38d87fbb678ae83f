"""The unigram baseline: what is known of a text by how often each token occurs, and nothing else.

A model trained from scratch has no base to be compared with; the least that it must beat is a model that knows the
frequencies of the tokens and no context.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Unigram:
    """Mean NLL a predicted validation token in nats, and how many tokens were counted and predicted."""

    loss: float
    counted: int
    predicted: int

    @property
    def perplexity(self) -> float:
        """exp(loss)."""
        return math.exp(self.loss)


def unigram(train: Any, validation: Any, vocabulary: int) -> Unigram:
    """Return the baseline for tokenised rows with labels: p(t) = (count(t) + 1) / (all counts + vocabulary).

    Counts are those of the trained tokens of the training rows; measured on exactly the validation tokens that the
    model's perplexity is measured on.  The loss is not a number when there are none.
    """
    import numpy

    seen, asked = counts(train, vocabulary), counts(validation, vocabulary)
    predicted = int(asked.sum())
    if not predicted:
        return Unigram(math.nan, int(seen.sum()), 0)
    logs = numpy.log((seen + 1.0) / (seen.sum() + vocabulary))
    return Unigram(float(-(asked * logs).sum() / predicted), int(seen.sum()), predicted)


def counts(rows: Any, vocabulary: int) -> Any:
    """Return how often each token is predicted in tokenised rows, as an integer array of length `vocabulary`.

    The first token of a row is never predicted.
    """
    import numpy

    total = numpy.zeros(vocabulary, dtype=numpy.int64)
    arrow = rows.with_format("arrow")
    for start in range(0, len(rows), 1000):
        for chunk in arrow[start : start + 1000].column("labels").chunks:
            labels = chunk.flatten().to_numpy()
            lengths = numpy.asarray(chunk.value_lengths())
            first = numpy.cumsum(lengths) - lengths
            predicted = numpy.ones(len(labels), dtype=bool)
            predicted[first[lengths > 0]] = False
            total += numpy.bincount(labels[predicted & (labels >= 0)], minlength=vocabulary)
    return total
