"""`python -m benchmarks.training`: tokens a second of training, phi-tui against others on the same rows.

Every arm trains the same LoRA (rank 16 on q, k, v, o) from the same base on the same tokens, in a process of its own;
the arms take turns.  Counted are the tokens of the rows without padding over the seconds of the training loop.  Two
sets of rows: `short`, like dictionary entries (median about 45 tokens), and `long`, lognormal (median about 130, cut at
1,024).  An arm whose package is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import results

ARMS = ("phi-tui", "phi-tui, padded", "guide", "trl", "trl, best")
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]


def rows(kind: str, tokens: int, seed: int) -> list[list[int]]:
    """Rows of random token ids, `tokens` in all; half of each row is trained."""
    numbers = random.Random(seed)
    found: list[list[int]] = []
    while sum(map(len, found)) < tokens:
        mean, spread = (3.8, 0.35) if kind == "short" else (4.87, 0.8)
        length = min(1024, max(8, round(numbers.lognormvariate(mean, spread))))
        found.append([numbers.randrange(100, 40_000) for _ in range(length)])
    return found


def dataset(kind: str, tokens: int, seed: int) -> Any:
    """The rows with labels, as a data set."""
    from datasets import Dataset

    made = rows(kind, tokens, seed)
    labels = [[-100] * (len(row) // 2) + row[len(row) // 2 :] for row in made]
    return Dataset.from_dict({"input_ids": made, "labels": labels})


def adapted(base: str) -> Any:
    """The base in bf16 with the adapter on it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, use_safetensors=True)
    config = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def ours(base: str, data: Any, per_step: int, folder: Path, *, packing: bool) -> float:
    """phi-tui's own trainer."""
    return timed(our_trainer(base, data, per_step, folder, packing=packing), data)


def our_way(model: Any, settings: Any = None) -> Any:
    """How phi-tui lays rows into batches for a model, with bf16 weights on a CPU."""
    from phi_tui.engine import batching
    from phi_tui.schema import Project, Train

    return batching.choose(
        model, Project(name="bench", train=settings or Train()), pad_id=0, labels=None,
        device="cpu", precision="bf16", weights="bfloat16",
    )  # fmt: skip


def our_trainer(base: str, data: Any, per_step: int, folder: Path, *, packing: bool) -> Any:
    """phi-tui's own trainer, as `train` drives it."""
    from phi_tui.engine.evaluate import row_lengths
    from phi_tui.engine.trainer import Cadence, PhiTrainer, arguments
    from phi_tui.schema import Train

    settings = Train(epochs=1, packing="auto" if packing else False)
    model = adapted(base)
    model.config.use_cache = False
    way = our_way(model, settings)
    budget = max(2048, max(row_lengths(data)))  # a step goes through as one pack, as with the plan's batch size
    never = lambda: False  # noqa: E731
    cadence = Cadence(
        settings, evaluates=False, stopping=never, saving=never, sampling=never, quitting=never,
        say=lambda *_, **__: None,
    )  # fmt: skip
    trainer = PhiTrainer(
        settings=settings, lora=None, checkpoint_folder=folder, run_evaluation=None, keep_best=lambda: None,
        speak=lambda step: None, say=lambda *_, **__: None, batching=way, model=model, train_dataset=data,
        args=arguments(
            settings, seed=1, batch_size=per_step, grad_accum=1, precision="bf16", output=folder, checkpointing=False,
            on_gpu=False,
        ),
        data_collator=lambda part: {"parts": way.parts(part, budget)}, callbacks=[cadence],
    )  # fmt: skip
    cadence.trainer = trainer
    trainer._save_checkpoint = lambda *_: None  # type: ignore[method-assign]
    return trainer


def guide(base: str, data: Any, per_step: int, folder: Path) -> float:
    """The usual recipe: one row a batch, accumulated, bf16."""
    import torch
    from transformers import Trainer, TrainingArguments

    def collate(batch: list[Any]) -> Any:
        return {name: torch.tensor([batch[0][name]]) for name in ("input_ids", "labels")}

    args = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=1, gradient_accumulation_steps=per_step, bf16=True,
        num_train_epochs=1, learning_rate=2e-4, logging_steps=1, save_strategy="no", report_to="none",
        disable_tqdm=True, use_cpu=True, seed=1,
    )  # fmt: skip
    return timed(Trainer(model=adapted(base), args=args, train_dataset=data, data_collator=collate), data)


def trl(base: str, data: Any, per_step: int, folder: Path, *, best: bool) -> float:
    """TRL's SFTTrainer at its defaults, and in its best setting here: no recomputation, packed."""
    from trl import SFTConfig, SFTTrainer

    more: dict[str, Any] = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": max(1, per_step // 8)}
    if best:
        more |= {"gradient_checkpointing": False, "per_device_train_batch_size": 4}
        more["gradient_accumulation_steps"] = max(1, per_step // 4)
    args = SFTConfig(
        output_dir=str(folder), num_train_epochs=1, learning_rate=2e-4, logging_steps=1, save_strategy="no",
        report_to="none", disable_tqdm=True, use_cpu=True, bf16=True, max_length=1024, seed=1, **more,
    )  # fmt: skip
    return timed(SFTTrainer(model=adapted(base), args=args, train_dataset=data), data)


def rows_a_step(kind: str) -> int:
    """How many rows of a kind hold about 2,048 tokens."""
    lengths = [len(row) for row in rows(kind, 100_000, 1)]
    return max(1, round(2048 * len(lengths) / sum(lengths)))


def timed(trainer: Any, data: Any) -> float:
    """Tokens a second of an epoch, its first two steps apart: they fill caches and the allocator."""
    from transformers import TrainerCallback

    ended: list[float] = []

    class Ended(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            ended.append(time.perf_counter())

    trainer.add_callback(Ended())
    trainer.train()
    steps = len(ended)
    return sum(map(len, data["input_ids"])) * (steps - 2) / steps / (ended[-1] - ended[1])


def one(arm: str, base: str, kind: str, tokens: int, seed: int) -> float:
    """Run one arm in this process."""
    data = dataset(kind, tokens, seed)
    per_step = rows_a_step(kind)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arm.startswith("phi-tui"):
            return ours(base, data, per_step, folder, packing=arm == "phi-tui")
        if arm == "guide":
            return guide(base, data, per_step, folder)
        return trl(base, data, per_step, folder, best=arm.endswith("best"))


def main() -> None:
    """Run the comparison, print a table and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--base", required=True, help="folder of a llama-like base, such as SmolLM2-135M")
    parser.add_argument("--tokens", type=int, default=8192, help="tokens an arm trains on in a turn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--arms", default=",,".join(ARMS))
    parser.add_argument("--kinds", default="short,long")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--one", nargs=3, metavar=("ARM", "KIND", "SEED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    base = str(Path(args.base).absolute())
    if args.one:
        print(json.dumps(one(args.one[0], base, args.one[1], args.tokens, int(args.one[2]))))
        return
    arms = args.arms.split(",,")
    if importlib.util.find_spec("trl") is None and any(arm.startswith("trl") for arm in arms):
        print("trl is not installed: left out")
        arms = [arm for arm in arms if not arm.startswith("trl")]
    found: dict[str, dict[str, list[float]]] = {}
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    for kind in args.kinds.split(","):
        for turn in range(args.repeats):
            for arm in arms if turn % 2 == 0 else reversed(arms):
                command = [sys.executable, "-m", "benchmarks.training", "--base", base, "--tokens", str(args.tokens)]
                ran = subprocess.run(
                    [*command, "--one", arm, kind, str(turn)], capture_output=True, text=True, env=environment,
                    check=False,
                )  # fmt: skip
                if ran.returncode:
                    raise RuntimeError(f"{arm}: {ran.stderr[-2000:]}")
                rate = float(json.loads(ran.stdout.splitlines()[-1]))
                found.setdefault(kind, {}).setdefault(arm, []).append(rate)
                print(f"{kind:6} {turn + 1} {arm:16} {rate:8.1f} tokens/s", flush=True)
    made = [results.Result(f"training, {kind} rows", "tokens/s", rates) for kind, rates in found.items()]
    print("\n".join(line for each in made for line in each.lines()))
    if args.out:
        results.keep(made, args.out)


if __name__ == "__main__":
    main()
