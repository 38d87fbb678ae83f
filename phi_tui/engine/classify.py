"""A head on a base: loaded, fed, and measured.  The body is adapted by LoRA, the head is trained whole beside it.

The library's heads read the last token that is not the pad token, by its id: where pad = end of text, a row that ends
with it would be read one token too early.  Here the head reads the last token by the attention mask, so a row means
the same alone and in any batch.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phi_tui.engine import scores
from phi_tui.engine.batching import Batching, moved
from phi_tui.engine.evaluate import Evaluation, row_lengths
from phi_tui.engine.labels import Labels
from phi_tui.engine.loss import IGNORED

_PROBLEM = {
    "classification": "single_label_classification",
    "multi-label": "multi_label_classification",
    "regression": "regression",
}
SHOWN = ("accuracy", "macro_f1", "mae", "rmse", "spearman")
"""The figures that are single numbers."""
HEAD = "score"
"""What the library calls the head of every decoder."""


@dataclass(frozen=True, slots=True)
class Scored(Evaluation):
    """An evaluation of a head: `nll` is the summed loss, `tokens` the numbers it is a mean of, `figures` the rest."""

    rows: int = 0
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def perplexity(self) -> float:
        """Not a number: a head predicts no token."""
        return math.nan

    def event(self) -> dict[str, Any]:
        """What the journal's event says."""
        return {
            "eval_loss": self.loss,
            "perplexity": None,
            "rows": self.rows,
            "seconds": self.seconds,
            **self.figures,
        }


def configure(config: Any, labels: Labels, pad_id: int) -> Any:
    """Write the task, the names of the classes and the pad token into a base's configuration, and return it."""
    config.num_labels = labels.outputs
    names = labels.names or ("value",)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: place for place, name in enumerate(names)}
    config.problem_type = _PROBLEM[labels.task]
    config.pad_token_id = pad_id
    return config


def finish(model: Any, seed: int) -> Any:
    """Give a freshly loaded base its head: fp32, seeded by `seed` alone, reading each row's true last token."""
    import torch

    was = getattr(model, HEAD)  # of the base's type, or even quantised
    head = torch.nn.utils.skip_init(
        torch.nn.Linear, was.in_features, was.out_features, bias=False, device=was.weight.device, dtype=torch.float32
    )
    setattr(model, HEAD, head)
    draw = torch.Generator().manual_seed(seed)
    spread = float(getattr(model.config, "initializer_range", 0.02) or 0.02)
    with torch.no_grad():
        head.weight.copy_(torch.empty(head.weight.shape).normal_(0.0, spread, generator=draw))
    body = getattr(model, model.base_model_prefix)

    def forward(input_ids: Any = None, attention_mask: Any = None, **more: Any) -> Any:
        from transformers.modeling_outputs import SequenceClassifierOutputWithPast

        hidden = body(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
        if attention_mask is None:
            last = torch.full((hidden.shape[0],), hidden.shape[1] - 1, device=hidden.device)
        else:
            places = torch.arange(hidden.shape[1], device=hidden.device)
            last = (places * attention_mask.to(hidden.device)).argmax(-1)
        read = hidden[torch.arange(hidden.shape[0], device=hidden.device), last]
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            return SequenceClassifierOutputWithPast(logits=getattr(model, HEAD)(read.float()))

    model.forward = forward
    return model


def write_config(model: Any, folder: Path) -> None:
    """Write the configuration of an adapted base into its adapter's folder: outputs, class names, pad token.

    With it the library builds the same head: `AutoConfig.from_pretrained(adapter)`.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = copy.deepcopy(inner.config)
    config.architectures = [type(inner).__name__]
    config.use_cache = True
    config.save_pretrained(str(folder))


def collate(rows: list[dict[str, Any]], pad_id: int, labels: Labels) -> dict[str, Any]:
    """Pad rows of input_ids on the right, and stack their labels: ids, zeros and ones, or standardised numbers.

    Labels have the shape (rows, 1), or (rows, outputs) for several classes a row.  A row without a label fills a step
    up and carries no loss.
    """
    import torch

    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for place, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[place, :length] = torch.as_tensor(row["input_ids"])
        mask[place, :length] = 1
    targets = torch.full(
        (len(rows), labels.outputs if labels.task == "multi-label" else 1),
        IGNORED,
        dtype=torch.float32 if labels.task == "regression" else torch.long,
    )
    for place, row in enumerate(rows):
        if (label := row.get("label")) is not None:
            number = (label - labels.mean) / labels.std if labels.task == "regression" else label
            targets[place] = torch.as_tensor(number)
    return {"input_ids": ids, "attention_mask": mask, "labels": targets}


def logits(model: Any, batch: dict[str, Any]) -> Any:
    """Return the head's outputs for a batch, fp32, of shape (rows, outputs)."""
    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.float()


def loss_of(outputs: Any, targets: Any, labels: Labels) -> Any:
    """Return the summed loss: cross-entropy in nats a row, the same of each class on its own, or squared error."""
    from torch.nn import functional

    if labels.task == "classification":
        return functional.cross_entropy(outputs, targets[:, 0], reduction="sum", ignore_index=IGNORED)
    counts = targets != IGNORED
    wanted = targets.to(outputs.dtype).masked_fill(~counts, 0.0)
    if labels.task == "multi-label":
        each = functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none")
    else:
        each = functional.mse_loss(outputs, wanted, reduction="none")
    return (each * counts).sum()


def loss(model: Any, batch: dict[str, Any], labels: Labels) -> Any:
    """Return the summed loss of a batch; its mean is over `batch["labels"].numel()`."""
    return loss_of(logits(model, batch), batch["labels"], labels)


def evaluate(
    model: Any,
    dataset: Any,
    labels: Labels,
    *,
    batching: Batching,
    token_budget: int,
    autocast: Callable[[], Any] = contextlib.nullcontext,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Scored:
    """Evaluate a head on tokenised rows; as `evaluate.evaluate`, and with the figures of the task."""
    import torch

    started = time.perf_counter()
    model.eval()
    device = next(model.parameters()).device
    total, numbers = 0.0, 0
    right: list[Any] = []
    said: list[Any] = []
    for batch in batching.cut(row_lengths(dataset), token_budget):
        if cancelled():
            raise KeyboardInterrupt
        columns = dataset[batch]
        rows = [
            {"input_ids": ids, "label": label}
            for ids, label in zip(columns["input_ids"], columns["label"], strict=True)
        ]
        tensors = moved(batching.collate(rows), device)
        with torch.inference_mode(), autocast():
            outputs = logits(model, tensors)
            total += float(loss_of(outputs, tensors["labels"], labels).double())
        numbers += tensors["labels"].numel()
        right += columns["label"]
        said += answers(outputs, labels)
        if on_progress:
            on_progress(len(right), len(dataset))
    if labels.task == "regression":
        found = scores.of_numbers(right, said)
    elif labels.task == "multi-label":
        found = scores.of_several(right, said, labels.names)
    else:
        found = scores.of_classes(right, said, labels.names)
    return Scored(total, numbers, time.perf_counter() - started, len(right), found)


def answers(outputs: Any, labels: Labels) -> list[Any]:
    """Return what each row of outputs says: the likeliest class, a 0 or 1 a class, or the number in its own unit."""
    if labels.task == "classification":
        found: list[Any] = outputs.argmax(-1).tolist()
    elif labels.task == "multi-label":
        found = (outputs.sigmoid() >= scores.THRESHOLD).int().tolist()
    else:
        found = (outputs[:, 0].double() * labels.std + labels.mean).tolist()
    return found


def figures(final: Any, base: dict[str, Any] | None) -> dict[str, Any]:
    """Return what the figures of a run have beside the losses: the head's, and `base_` ones of the untrained head."""
    found = dict(final.figures) if final else {}
    before = {f"base_{name}": (base or {}).get(name) for name in SHOWN if name in found}
    return {"perplexity": None, "base_perplexity": None, **found, **before}
