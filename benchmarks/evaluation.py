"""`python -m benchmarks.evaluation`: phi-tui's evaluation against `Trainer.evaluate` at one row a batch.

Both evaluate the same adapter on the same rows, in turns in one process.  The Trainer's figure is the mean of its
batches' means, which weighs short rows as much as long ones; the two losses are printed.
"""

from __future__ import annotations

import argparse
import functools
import math
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import results, training


def trainers(model: Any, data: Any, folder: Path) -> tuple[float, float]:
    """(seconds, loss) of Trainer.evaluate."""
    import torch
    from transformers import Trainer, TrainingArguments

    def collate(batch: list[Any]) -> Any:
        return {name: torch.tensor([batch[0][name]]) for name in ("input_ids", "labels")}

    args = TrainingArguments(
        output_dir=str(folder), per_device_eval_batch_size=1, bf16_full_eval=True, prediction_loss_only=True,
        report_to="none", disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    trainer = Trainer(model=model, args=args, eval_dataset=data, data_collator=collate)
    started = time.perf_counter()
    found = trainer.evaluate()
    return time.perf_counter() - started, float(found["eval_loss"])


def ours(model: Any, data: Any, way: Any) -> tuple[float, float]:
    """(seconds, loss) of phi-tui's evaluation."""
    import torch

    from phi_tui.engine.evaluate import evaluate
    from phi_tui.engine.memory import EVAL_TOKENS

    started = time.perf_counter()
    found = evaluate(
        model, data, batching=way, token_budget=EVAL_TOKENS["cpu"],
        autocast=lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    )  # fmt: skip
    return time.perf_counter() - started, found.loss


def main() -> None:
    """Run the comparison and print a line a turn and the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("--base", required=True, help="folder of a llama-like base, such as SmolLM2-135M")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kinds", default="short,long")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    model = training.adapted(str(Path(args.base).absolute()))
    model.config.use_cache = False
    way = training.our_way(model)
    for kind in args.kinds.split(","):
        data = training.dataset(kind, args.tokens, 1)
        pairs = []
        with tempfile.TemporaryDirectory() as name:
            for turn in range(args.repeats):
                ways = [functools.partial(ours, model, data, way), functools.partial(trainers, model, data, Path(name))]
                found = {place: ways[place]() for place in ((0, 1), (1, 0))[turn % 2]}
                pairs.append((found[0][0], found[1][0]))
                print(
                    f"{kind:6} {turn + 1} phi-tui {found[0][0]:.2f} s  Trainer.evaluate {found[1][0]:.2f} s", flush=True
                )
        print(f"{kind:6} losses {found[0][1]:.4f} and {found[1][1]:.4f} (perplexity {math.exp(found[0][1]):.4g})")
        arms = {"phi-tui": [a for a, _ in pairs], "Trainer.evaluate, one row": [b for _, b in pairs]}
        made = results.Result(f"evaluation, {kind} rows", "s", arms, more_is_better=False)
        print("\n".join(made.lines()))
        if args.out:
            results.keep([made], args.out)


if __name__ == "__main__":
    main()
