"""`python -m benchmarks.evaluation`: phi-tui's evaluation against the guide's, `Trainer.evaluate` at one row a batch.

All evaluate the same adapter on the same base and the same rows, each turn of each in a process of its own, so that
memory is each one's own.  The guide's evaluation is measured as it is written, under today's names, and, where the CPU
has products in bf16, with bf16_full_eval, which it does not set; elsewhere all compute in fp32.  Timed is the
evaluation alone.  The Trainer's loss is the mean of its batches' means, which weighs short rows as much as long ones;
what is exact is the total over all tokens, which `one by one` computes row by row through the library's own forward
pass.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import own, results, texts, training

ARMS = ("phi-tui", "Trainer.evaluate", "Trainer.evaluate, bf16_full_eval")


def loaded(base: str, adapter: str, precision: str) -> Any:
    """Base and adapter as the guide loads them; in fp32 where that is what all compute in."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    dtype = torch.float32 if precision == "fp32" else "auto"
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=dtype), adapter)


def trainers(model: Any, data: Any, folder: Path, full: bool) -> tuple[float, float]:
    """(seconds, loss) of the guide's evaluation."""
    from transformers import Trainer, TrainingArguments

    from benchmarks.peer_arms import labelled

    args = TrainingArguments(
        output_dir=str(folder), per_device_eval_batch_size=1, bf16_full_eval=full, report_to="none", disable_tqdm=True,
        use_cpu=True,
    )  # fmt: skip
    trainer = Trainer(model=model, args=args, eval_dataset=data, data_collator=labelled)
    started = time.perf_counter()
    found = trainer.evaluate()
    return time.perf_counter() - started, float(found["eval_loss"])


def ours(model: Any, data: Any, precision: str) -> tuple[float, float]:
    """(seconds, loss) of phi-tui's evaluation."""
    from phi_tui.engine import batching, evaluate, memory, packed_llama  # noqa: F401  not timed, as nobody's imports are

    started = time.perf_counter()
    found = own.evaluated(model, data, precision)
    return time.perf_counter() - started, found.loss


def one_by_one(model: Any, data: Any, precision: str) -> float:
    """The loss of a row at a time through the library's forward pass, over tokens."""
    import torch

    total, count = 0.0, 0
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        for row in data:
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1].float()
            labels = torch.tensor(row["labels"][1:])
            total += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum", ignore_index=-100))
            count += int((labels != -100).sum())
    return total / count


def one(arm: str, base: str, place: Path) -> dict[str, Any]:
    """Evaluate once in this process."""
    import transformers  # noqa: F401

    from benchmarks import peer_arms, watch

    given = json.loads((place / "tokens.json").read_text("utf-8"))
    data, precision = peer_arms.dataset(given), given["precision"]
    before = watch.forget_highest()
    model = loaded(base, str(place / "adapter"), precision)
    if arm == "one by one":
        return {"loss": one_by_one(model, data, precision)}
    if arm == "phi-tui":
        seconds, loss = ours(model, data, precision)
    else:
        seconds, loss = trainers(model, data, place / "out", full=arm.endswith("bf16_full_eval"))
    return {"seconds": seconds, "loss": loss, "before": before, "peak": watch.highest()}


def main() -> None:
    """Run the comparison and print a line a turn and the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("--base", required=True, help="folder of a llama-like base, such as SmolLM2-135M")
    parser.add_argument("--steps", type=int, default=4, help="rows for as many training steps, of 2,048 tokens each")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kinds", default="short,long", help=", ".join(texts.KINDS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("ARM", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    base = str(Path(args.base).absolute())
    if args.one:
        print("\n" + json.dumps(one(args.one[0], base, Path(args.one[1]))))
        return
    made: list[results.Result] = []
    call = [sys.executable, "-m", "benchmarks.evaluation", "--base", base, "--one"]
    for kind in args.kinds.split(","):
        with tempfile.TemporaryDirectory() as name:
            training.rows(base, kind, Path(name), 1, args.steps)
            place = Path(name) / "0"
            own.an_adapter(base, place / "adapter")
            bf16 = json.loads((place / "tokens.json").read_text("utf-8"))["precision"] == "bf16"
            arms = [arm for arm in ARMS if bf16 or "bf16" not in arm]
            found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
            for turn in range(args.repeats):
                for arm in arms if turn % 2 == 0 else arms[::-1]:
                    got = training.last_line([*call, arm, str(place)])
                    found[arm].append(got)
                    print(
                        f"{kind:12} {turn + 1} {arm:34} {got['seconds']:6.2f} s  loss {got['loss']:.5f}  "
                        f"peak {got['peak'] / 1e9:.2f} GB, before the model {got['before'] / 1e9:.2f}",
                        flush=True,
                    )
            exact = training.last_line([*call, "one by one", str(place)])["loss"]
        off = abs(found["phi-tui"][0]["loss"] / exact - 1)
        print(f"{kind:12} one by one: loss {exact:.5f}, from which phi-tui's is off by {off:.1e} of it")
        for what, unit, key, scale in (
            ("evaluation", "s", "seconds", 1.0),
            ("peak memory of evaluation", "GB", "peak", 1e-9),
        ):
            values = {arm: [scale * run[key] for run in runs] for arm, runs in found.items()}
            made.append(results.Result(f"{what}, {kind} rows", unit, values, more_is_better=False))
    print("\n".join(line for each in made for line in each.lines()))
    if args.out:
        results.keep(made, args.out)


if __name__ == "__main__":
    main()
