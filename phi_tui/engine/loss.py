"""The loss: negative log-likelihood of the trained tokens, the same sum for training and for evaluation.

The output head runs only where a label is trained (`logits_to_keep` with a boolean mask), so prompts and padding
cost no logits; many of them are taken a block at a time (`engine.head`).  Labels are masked by position, never by
token id: an EOS that is trained stays trained even where the pad token has the same id.
"""

from __future__ import annotations

from typing import Any

IGNORED = -100


def trained_tokens(labels: Any) -> Any:
    """Return how many tokens labels of shape (rows, length) predict: the first of a row is never predicted."""
    return (labels[:, 1:] != IGNORED).sum()


def nll(model: Any, batch: dict[str, Any]) -> Any:
    """Return the summed negative log-likelihood (nats, fp32 scalar tensor) of a batch's trained tokens.

    `batch` holds input_ids, labels and attention_mask, each of shape (rows, length); or, for rows that lie end to end,
    position_ids in the place of the mask, which begin again at each row.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from phi_tui.engine import head

    labels = batch["labels"]
    keep = torch.zeros_like(labels, dtype=torch.bool)
    keep[:, :-1] = labels[:, 1:] != IGNORED
    targets = labels[:, 1:][keep[:, :-1]]
    output_layer = head.in_blocks(model, len(targets))
    with head.put_off(output_layer) as kept:
        output = model(
            input_ids=batch["input_ids"],
            **{name: batch[name] for name in ("attention_mask", "position_ids") if name in batch},
            logits_to_keep=keep,
            use_cache=False,
        )
    logits = output.logits
    if logits.dim() == 3:  # an architecture that keeps all positions
        logits = logits[keep]
    if output_layer is not None:
        return head.nll(logits, output_layer, targets, kept.dtype)
    return cross_entropy(logits.float(), targets, reduction="sum")


def collate(rows: list[dict[str, Any]], pad_id: int) -> dict[str, Any]:
    """Pad rows of input_ids and labels on the right to one length; the padding carries no loss and no attention."""
    import torch

    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORED, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for place, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[place, :length] = torch.as_tensor(row["input_ids"])
        labels[place, :length] = torch.as_tensor(row["labels"])
        mask[place, :length] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}
