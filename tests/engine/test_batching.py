"""A step's rows are cut by length and packed where that is exact; the loss stays that of the rows one by one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import projects
import pytest
import tiny_bases

from phi_tui.engine import batching, loading, loss
from phi_tui.engine.batching import Batching, filled, padded
from phi_tui.errors import Refusal
from phi_tui.schema import Project, Train

LENGTHS = [3, 50, 7, 7, 1, 20, 20, 64, 2, 90, 5]


@pytest.mark.parametrize("budget", [1, 40, 64, 128, 10_000])
def test_padded_batches_hold_every_row_once_within_the_budget(budget: int) -> None:
    made = padded(LENGTHS, budget)
    assert sorted(row for batch in made for row in batch) == list(range(len(LENGTHS)))
    assert all(len(batch) == 1 or max(LENGTHS[row] for row in batch) * len(batch) <= budget for batch in made)


@pytest.mark.parametrize("budget", [1, 40, 64, 128, 10_000])
def test_packs_hold_every_row_once_within_the_budget_and_are_few(budget: int) -> None:
    made = filled(LENGTHS, budget)
    assert sorted(row for batch in made for row in batch) == list(range(len(LENGTHS)))
    assert all(len(batch) == 1 or sum(LENGTHS[row] for row in batch) <= budget for batch in made)
    long = [length for length in LENGTHS if length > budget]
    short = sum(LENGTHS) - sum(long)
    assert len(made) <= len(long) + math.ceil(2 * short / budget)


def _model(kind: Any, folder: Path) -> Any:
    import torch

    tiny_bases.make(kind, folder)
    return loading.base(folder, torch.float32).eval().requires_grad_(False)


def _rows(model: Any) -> list[dict[str, Any]]:
    import torch

    generator = torch.Generator().manual_seed(0)
    rows = []
    for length in (5, 12, 3, 20, 9):
        ids = torch.randint(3, model.config.vocab_size, (length,), generator=generator).tolist()
        rows.append({"input_ids": ids, "labels": ids if length == 12 else [-100] * (length // 2) + ids[length // 2 :]})
    return rows


@pytest.mark.parametrize("kind", ["gpt_neox", "llama", "qwen2"])
def test_a_packs_loss_is_that_of_its_rows_one_by_one(kind: str, tmp_path: Path) -> None:
    import torch

    model = _model(kind, tmp_path)
    rows = _rows(model)
    with torch.no_grad():
        alone = sum(float(loss.nll(model, loss.collate([row], 0))) for row in rows)
        batch = batching.pack(rows)
        assert float(loss.nll(model, batch)) == pytest.approx(alone, rel=1e-5)
        assert int(loss.trained_tokens(batch["labels"])) == sum(
            int(loss.trained_tokens(loss.collate([row], 0)["labels"])) for row in rows
        )
        fused = batching.choose(
            model, Project(name="t"), pad_id=0, labels=None, device="cpu", precision="fp32", weights="float32"
        )
        assert (fused.fused is not None) == (kind != "gpt_neox")
        assert float(fused.loss(model, fused.collate(rows))) == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("kind", sorted(batching.POSITIONS_TELL))
def test_positions_reach_the_attention_of_architectures_that_flash_attention_packs(kind: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    seen = []

    def look(module: Any, query: Any, key: Any, value: Any, mask: Any, **more: Any) -> Any:
        seen.append((mask, more.get("position_ids")))
        return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, mask, **more)

    ALL_ATTENTION_FUNCTIONS.register("looked_at", look)
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model(kind, **small, num_key_value_heads=2, head_dim=16, vocab_size=50, pad_token_id=0)
    config._attn_implementation = "looked_at"
    positions = torch.tensor([[0, 1, 2, 0, 1]])
    model = AutoModelForCausalLM.from_config(config)
    model(input_ids=torch.ones(1, 5, dtype=torch.long), position_ids=positions, use_cache=False)
    assert [mask for mask, _ in seen] == [None]
    assert torch.equal(seen[0][1], positions)


def test_packs_that_cannot_be_exact_are_refused_when_asked_for_and_padded_when_not(tmp_path: Path) -> None:
    model = _model("gpt_neo", tmp_path)
    here = {"pad_id": 0, "labels": None, "device": "cpu", "precision": "fp32", "weights": "float32"}
    found = batching.choose(model, Project(name="t"), **here)  # type: ignore[arg-type]
    assert not found.packed
    assert "gpt_neo" in found.said
    with pytest.raises(Refusal, match="gpt_neo"):
        batching.choose(model, Project(name="t", train=Train(packing=True)), **here)  # type: ignore[arg-type]


def test_packing_can_be_turned_off(tmp_path: Path) -> None:
    model = _model("llama", tmp_path)
    off = Project(name="t", train=Train(packing=False))
    found = batching.choose(model, off, pad_id=0, labels=None, device="cpu", precision="fp32", weights="float32")
    assert found == Batching(0, why="train.packing = false")


def test_a_steps_loss_is_the_mean_over_all_its_rows_tokens_however_they_are_cut(tmp_path: Path) -> None:
    import torch
    from datasets import load_from_disk

    file = projects.make(tmp_path)
    cuts = [
        ("train.batch_size=40",),
        ("train.batch_size=40", "train.packing=false"),
        ("train.batch_size=3", "train.grad_accum=14"),
        ("train.batch_size=1", "train.grad_accum=40", "train.packing=false"),
    ]
    losses = []
    for cut in cuts:
        figures = projects.execute(file, "lora.dropout=0.0", "train.max_steps=4", "train.samples=0", *cut)
        losses.append([event["loss"] for event in projects.events(figures, "step")])
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-5)
    model = loading.base(tmp_path / "base", torch.float32).eval()
    total, count = 0.0, 0
    for row in load_from_disk(str(tmp_path / "datasets" / "ready" / "toy"))["train"]:
        labels = torch.tensor([row["labels"]])
        predicted = int((labels[:, 1:] != -100).sum())
        with torch.no_grad():
            total += float(model(input_ids=torch.tensor([row["input_ids"]]), labels=labels).loss) * predicted
        count += predicted
    assert losses[0][0] == pytest.approx(total / count, rel=1e-5)


def test_the_journal_says_how_rows_were_batched(tmp_path: Path) -> None:
    figures = projects.execute(projects.make(tmp_path), "train.max_steps=1", "train.samples=0")
    said = [event["detail"] for event in projects.events(figures, "phase") if event["name"] == "train"]
    assert said == ["rows end to end, a shared prefix once, layers computed in one piece"]
