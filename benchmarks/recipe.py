"""`python -m benchmarks.recipe`: phi-tui's training loop against the plain recipe, interleaved on the same rows.

Both arms train the same LoRA on the embedded toy set from the same base for as many optimiser steps of as many rows.
The plain recipe is the usual one: batches of one row, accumulation, DataCollatorForLanguageModeling, Trainer.  What is
counted is the rendered rows' tokens without padding over the seconds of the training loop.  Times on shared machines
wander, so the arms take turns and the median of the ratios is what to quote.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import results


def prepared(folder: Path, base: str, rows: Path) -> Any:
    """Prepare the project once; both arms read the same tokens."""
    from phi_tui.engine import pipeline
    from phi_tui.schema import Data, Project, Source, Train
    from phi_tui.workspace import Workspace

    project = Project(
        name="bench",
        model={"base": base},  # type: ignore[arg-type]
        data=Data(sources=(Source(path=str(rows)),), max_length=512),
        train=Train(max_steps=20, evaluate=False, tokens_per_step=512),
    )
    job = pipeline.ready(project, folder, Workspace(folder), lambda kind, /, **payload: None)
    return project, job


def ours(project: Any, folder: Path) -> float:
    """Tokens a second of a phi-tui run."""
    from phi_tui.engine import pipeline
    from phi_tui.workspace import Workspace

    figures = pipeline.execute(project, folder, Workspace(folder), lambda kind, /, **payload: None)
    return float(figures["tokens_per_second"])


def plain(job: Any, folder: Path) -> float:
    """Tokens a second of the plain recipe: one row a batch, accumulated to as many rows a step."""
    import torch
    from datasets import load_from_disk
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainingArguments,
    )

    bf16 = job.precision == "bf16"
    model = AutoModelForCausalLM.from_pretrained(
        job.prepared.base.folder, dtype=torch.bfloat16 if bf16 else torch.float32, use_safetensors=True
    )
    lora = LoraConfig(task_type=TaskType.CAUSAL_LM, r=8, lora_alpha=16, lora_dropout=0.05, target_modules=job.targets)
    rows = load_from_disk(str(job.prepared.ready.folder))["train"].remove_columns("labels")
    tokenizer = job.prepared.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    counted = {"tokens": 0}
    collator = DataCollatorForLanguageModeling(tokenizer=tokenizer, mlm=False)

    def collate(batch: list[Any]) -> Any:
        counted["tokens"] += sum(len(row["input_ids"]) for row in batch)
        return collator(batch)

    trainer = Trainer(
        model=get_peft_model(model, lora),
        args=TrainingArguments(
            output_dir=str(folder / "plain"), per_device_train_batch_size=1,
            gradient_accumulation_steps=job.plan.rows_per_step, max_steps=20, learning_rate=2e-4, bf16=bf16,
            lr_scheduler_type="cosine", warmup_steps=0.0618, logging_steps=1, save_strategy="no", report_to="none",
            disable_tqdm=True, use_cpu=job.device.type == "cpu",
        ),
        train_dataset=rows,
        data_collator=collate,
    )  # fmt: skip
    started = time.perf_counter()
    trainer.train()
    return counted["tokens"] / (time.perf_counter() - started)


def main() -> None:
    """Run the comparison and print a table and one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipe", description=__doc__)
    parser.add_argument("--base", default="builtin:phi-demo")
    parser.add_argument(
        "--rows", type=Path, default=Path(__file__).parent.parent / "examples" / "llm_toy" / "train.jsonl"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project, job = prepared(folder, args.base, args.rows.absolute())
        pairs = []
        for number in range(args.repeats):
            arms = [lambda: ours(project, folder), lambda: plain(job, folder)]
            order = (0, 1) if number % 2 == 0 else (1, 0)
            found = {place: arms[place]() for place in order}
            pairs.append((found[0], found[1]))
            ratio = found[0] / found[1]
            print(f"{number + 1}/{args.repeats}  phi-tui {found[0]:,.0f}  plain {found[1]:,.0f} tokens/s  x{ratio:.2f}")
        made = results.Result(
            "training, embedded base",
            "tokens/s",
            {"phi-tui": [a for a, _ in pairs], "one row a batch": [b for _, b in pairs]},
        )
        print("\n".join(made.lines()))
        if args.out:
            results.keep([made], args.out)


if __name__ == "__main__":
    main()
