"""A step's rows cut into batches: by length, so that little or nothing is computed that is no row's token.

The rows of a step stay those that the sampler drew for it; only how many of them go through the model at once, and in
which order, is decided here.  The loss is a mean over the tokens of the whole step, so it does not depend on that.
Where the rows of a batch can lie end to end without seeing each other they do ("packed"): on a CPU through
`packed_llama`, on a GPU by FlashAttention, which tells rows apart by their positions.  Everywhere else rows of
similar length share a batch and are padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from phi_tui.engine import loss, mapped, shared_prefix
from phi_tui.engine.labels import Labels
from phi_tui.errors import Refusal
from phi_tui.schema import Project

if TYPE_CHECKING:
    from phi_tui.engine.packed_llama import PackedLlama

POSITIONS_TELL = frozenset(
    (
        *("gemma", "gpt_neox", "llama", "mistral", "olmo", "olmo2", "phi3", "qwen2", "qwen3", "smollm3", "stablelm"),
        "starcoder2",
    )
)
"""Architectures that hand the positions on to the attention, so that FlashAttention sees where rows begin."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How rows are laid into batches, and what computes a batch's loss."""

    pad_id: int
    labels: Labels | None = None
    packed: bool = False
    fused: PackedLlama | None = None
    """What computes packs in the place of the library's forward pass."""
    why: str = ""
    """Why rows are padded."""

    @property
    def said(self) -> str:
        """What a person is told."""
        if self.fused:
            return "rows end to end, a shared prefix once, layers computed in one piece"
        return "rows end to end" if self.packed else f"rows of similar length, padded: {self.why}"

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Lay rows into one batch: padded to (rows, longest), or packed to (1, tokens) with the rows' lengths."""
        if self.labels:
            from phi_tui.engine import classify

            return classify.collate(rows, self.pad_id, self.labels)
        if self.fused is not None:
            return shared_prefix.pack(rows)
        return pack(rows) if self.packed else loss.collate(rows, self.pad_id)

    def cut(self, lengths: Sequence[int], budget: int) -> list[list[int]]:
        """Return row numbers in batches, longest rows first, of at most `budget` tokens (padding counts) or one row."""
        return filled(lengths, budget) if self.packed else padded(lengths, budget)

    def parts(self, rows: list[dict[str, Any]], budget: int) -> list[dict[str, Any]]:
        """Return the batches of a step's rows, longest rows first, of at most `budget` computed tokens or one row."""
        if self.fused is not None:
            chosen = thrifty([row["input_ids"] for row in rows], budget)
        else:
            chosen = self.cut([len(row["input_ids"]) for row in rows], budget)
        return [self.collate([rows[number] for number in part]) for part in chosen]

    def loss(self, model: Any, batch: dict[str, Any]) -> Any:
        """Return the summed loss of a batch (nats, fp32 scalar tensor), in the autocast that is on."""
        import torch

        if self.labels:
            from phi_tui.engine import classify

            return classify.loss(model, batch, self.labels)
        if self.fused is None:
            return loss.nll(model, batch)
        ids = batch["input_ids"][0]
        with torch.autocast(ids.device.type, enabled=False):
            about = (batch["labels"][0], batch["row_lengths"], model.training, batch["groups"])
            return self.fused.nll(ids, *about)


def pack(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Lay rows end to end: input_ids, labels, position_ids of shape (1, tokens), and row_lengths.

    A row's first token is predicted by nothing: its label is ignored, so that it is not the row's before.
    """
    import torch

    lengths = [len(row["input_ids"]) for row in rows]
    ids = torch.cat([torch.as_tensor(row["input_ids"], dtype=torch.long) for row in rows])
    labels = torch.cat([torch.as_tensor(row["labels"], dtype=torch.long) for row in rows])
    starts = torch.tensor([0, *lengths[:-1]]).cumsum(0)
    labels[starts] = loss.IGNORED
    positions = torch.cat([torch.arange(length) for length in lengths])
    return {
        "input_ids": ids[None],
        "labels": labels[None],
        "position_ids": positions[None],
        "row_lengths": lengths,
    }


def moved(batch: dict[str, Any], device: Any) -> dict[str, Any]:
    """Return a batch with its tensors on `device`."""
    return {name: one if isinstance(one, list) else one.to(device) for name, one in batch.items()}


def tokens(batch: dict[str, Any]) -> Any:
    """Return how many tokens of rows a batch holds, padding aside."""
    if "row_lengths" in batch:
        return sum(batch["row_lengths"])
    return batch["attention_mask"].sum() if "attention_mask" in batch else batch["input_ids"].numel()


def padded(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return row numbers in batches, longest rows first, each within `budget` padded tokens or one row."""
    out: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if out and lengths[out[-1][0]] * (len(out[-1]) + 1) <= budget:
            out[-1].append(row)
        else:
            out.append([row])
    return out


def filled(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return row numbers in packs of at most `budget` tokens, or one row: as few and as even as is easily had.

    Longest first into the emptiest of the fewest packs that could hold all; where a row fits none, one more is opened.
    """
    packs = max(1, min(len(lengths), -(-sum(lengths) // max(1, budget))))
    out: list[list[int]] = [[] for _ in range(packs)]
    held = [0] * packs
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        emptiest = min(range(len(out)), key=held.__getitem__)
        if out[emptiest] and held[emptiest] + lengths[row] > budget:
            emptiest = len(out)
            out.append([])
            held.append(0)
        out[emptiest].append(row)
        held[emptiest] += lengths[row]
    return [part for part in out if part]


def thrifty(rows: Sequence[list[int]], budget: int) -> list[list[int]]:
    """Return row numbers in packs like `filled`, where a prefix that rows share counts once a pack."""
    costs: list[int] = []
    members: list[list[int]] = []
    for shared, numbers in shared_prefix.groups(rows):
        own = [len(rows[number]) - shared for number in numbers]
        together = filled(own, budget - shared) if shared else [[place] for place in range(len(own))]
        costs += [shared + sum(own[place] for place in part) for part in together]
        members += [[numbers[place] for place in part] for part in together]
    return [[number for item in part for number in members[item]] for part in filled(costs, budget)]


def choose(
    model: Any,
    project: Project,
    *,
    pad_id: int,
    labels: Labels | None,
    device: str,
    precision: str,
    weights: str,
    processes: int = 1,
    checkpointing: bool = False,
) -> Batching:
    """Return the batching for a model that is ready to train or to be evaluated.

    Raises Refusal when the project asks for packs (train.packing = true) and they cannot be had exactly.
    """
    asked = project.train.packing
    if asked is not False and labels is None and processes == 1 and _flash(model):
        return Batching(pad_id, packed=True)
    why = unfit(
        model,
        project,
        labelled=labels is not None,
        device=device,
        precision=precision,
        weights=weights,
        processes=processes,
        checkpointing=checkpointing,
    )
    if why and asked is True:
        raise Refusal(f"rows cannot be packed here: {why}", fix='set train.packing = "auto"')
    if why:
        return Batching(pad_id, labels, why=why)
    return Batching(pad_id, packed=True, fused=_fused(model))


def unfit(
    model: Any,
    project: Project,
    *,
    labelled: bool,
    device: str,
    precision: str,
    weights: str,
    processes: int = 1,
    checkpointing: bool = False,
) -> str:
    """Return why packs of a model's rows cannot be computed in one piece, or an empty text."""
    if project.train.packing is False:
        return "train.packing = false"
    if labelled:
        return "a head for labels"
    if processes > 1:
        return "several processes"
    if device != "cpu":
        return 'a GPU tells packed rows apart cheaply only with model.attention = "flash_attention_2"'
    if (precision, weights) not in {("bf16", "bfloat16"), ("fp32", "float32")}:
        return f"{weights} weights computed in {precision}"
    if checkpointing:
        return "activations are recomputed"
    from phi_tui.engine import packed_llama

    return packed_llama.unfit(model)


def _fused(model: Any) -> PackedLlama:
    """What computes a model's packs; weights that it copies side by side leave the mapped file that they came from."""
    from phi_tui.engine.packed_llama import PackedLlama

    before = mapped.places(model)
    made = PackedLlama(model)
    left = before.keys() - mapped.places(model).keys()
    mapped.let_go((address, before[address]) for address in left)
    return made


def _flash(model: Any) -> bool:
    kind, attention = getattr(model.config, "model_type", ""), getattr(model.config, "_attn_implementation", "")
    return kind in POSITIONS_TELL and "flash" in str(attention)
