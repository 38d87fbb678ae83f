"""The loss and the perplexity are exact: independent of padding, batching and the pad token's id."""

import math
from pathlib import Path
from typing import Any

import pytest
import tiny_bases

from phi_tui.engine import loading
from phi_tui.engine.batching import Batching
from phi_tui.engine.evaluate import evaluate, row_lengths
from phi_tui.engine.loss import collate, nll, trained_tokens


@pytest.fixture(scope="module", params=["gpt_neo", "gpt_neox", "gpt2", "llama", "opt", "qwen2"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import torch

    folder: Path = tmp_path_factory.mktemp("base")
    tiny_bases.make(request.param, folder)
    return loading.base(folder, torch.float32).eval()


def rows_of(model: Any) -> list[dict[str, list[int]]]:
    import torch

    generator = torch.Generator().manual_seed(0)
    vocabulary = model.config.vocab_size
    rows = []
    for length in (5, 12, 3, 20, 9):
        ids = torch.randint(3, vocabulary, (length,), generator=generator).tolist()
        rows.append({"input_ids": ids, "labels": [-100] * (length // 2) + ids[length // 2 :]})
    return rows


def reference(model: Any, rows: list[dict[str, list[int]]]) -> tuple[float, int]:
    """Total NLL and tokens by the model's own loss, one row at a time."""
    import torch

    total, count = 0.0, 0
    for row in rows:
        labels = torch.tensor([row["labels"]])
        predicted = int((labels[:, 1:] != -100).sum())
        with torch.no_grad():
            total += float(model(input_ids=torch.tensor([row["input_ids"]]), labels=labels).loss) * predicted
        count += predicted
    return total, count


def test_the_sum_over_a_padded_batch_is_the_sum_over_its_rows(model: Any) -> None:
    rows = rows_of(model)
    batch = collate(rows, pad_id=0)
    total, count = reference(model, rows)
    assert int(trained_tokens(batch["labels"])) == count
    assert float(nll(model, batch).detach()) == pytest.approx(total, rel=1e-5)


def test_a_trained_token_with_the_pads_id_keeps_its_loss(model: Any) -> None:
    rows = rows_of(model)
    pad = rows[0]["input_ids"][-1]
    total, _ = reference(model, rows)
    assert float(nll(model, collate(rows, pad_id=pad)).detach()) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("budget", [1, 16, 40, 10_000])
def test_perplexity_does_not_depend_on_the_batching(model: Any, budget: int) -> None:
    import datasets

    rows = rows_of(model)
    total, count = reference(model, rows)
    found = evaluate(model, datasets.Dataset.from_list(rows), batching=Batching(0), token_budget=budget)
    assert found.tokens == count
    assert found.perplexity == pytest.approx(math.exp(total / count), rel=1e-5)


def test_row_lengths_are_read_without_the_tokens() -> None:
    import datasets

    rows = [{"input_ids": [1] * n, "labels": [1] * n} for n in (4, 1, 9)]
    assert row_lengths(datasets.Dataset.from_list(rows)) == [4, 1, 9]


def test_an_evaluation_can_be_cut_short(model: Any) -> None:
    import datasets

    with pytest.raises(KeyboardInterrupt):
        evaluate(
            model,
            datasets.Dataset.from_list(rows_of(model)),
            batching=Batching(0),
            token_budget=1,
            cancelled=lambda: True,
        )
