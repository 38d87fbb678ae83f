"""Perplexity, exact: exp of the total negative log-likelihood over the number of predicted tokens.

A mean of per-batch means would change with the batch size; a total does not.  Rows are batched by length under a
budget of tokens, so little or no padding is computed and memory stays bounded.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from phi_tui.engine.batching import Batching, moved
from phi_tui.engine.loss import trained_tokens


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation came to: total NLL in nats, predicted tokens, seconds."""

    nll: float
    tokens: int
    seconds: float
    scores: dict[str, float] = field(default_factory=dict, kw_only=True)
    """What its answers were scored, where train.score asks for it."""

    @property
    def loss(self) -> float:
        """Mean NLL a predicted token, in nats; not a number without tokens."""
        return self.nll / self.tokens if self.tokens else math.nan

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that is beyond a float."""
        try:
            return math.exp(self.loss)
        except OverflowError:
            return math.inf

    def event(self) -> dict[str, Any]:
        """What the journal's event says of it."""
        return {
            "eval_loss": self.loss,
            "perplexity": self.perplexity,
            "tokens": self.tokens,
            "seconds": self.seconds,
            **self.scores,
        }


def row_lengths(dataset: Any) -> list[int]:
    """Return the length of every row of a tokenised data set, in tokens, without reading the tokens."""
    import pyarrow.compute as compute

    table = dataset.with_format("arrow")[:]
    return [int(length) for length in compute.list_value_length(table["input_ids"]).to_pylist()]


def evaluate(
    model: Any,
    dataset: Any,
    *,
    batching: Batching,
    token_budget: int,
    autocast: Callable[[], Any] = contextlib.nullcontext,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Evaluate `model` on tokenised rows; leaves it in evaluation mode.

    `autocast` gives the context the forward passes run in; `on_progress` gets (rows done, rows).  When `cancelled`
    says so, raises KeyboardInterrupt between two batches.
    """
    import torch

    started = time.perf_counter()
    model.eval()
    device = next(model.parameters()).device
    total, tokens, done = 0.0, 0, 0
    for batch in batching.cut(row_lengths(dataset), token_budget):
        if cancelled():
            raise KeyboardInterrupt
        columns = dataset[batch]
        rows = [
            {"input_ids": ids, "labels": labels}
            for ids, labels in zip(columns["input_ids"], columns["labels"], strict=True)
        ]
        tensors = moved(batching.collate(rows), device)
        with torch.inference_mode(), autocast():
            total += float(batching.loss(model, tensors).double())
        tokens += int(trained_tokens(tensors["labels"]))
        done += len(batch)
        if on_progress:
            on_progress(done, len(dataset))
    return Evaluation(total, tokens, time.perf_counter() - started)
