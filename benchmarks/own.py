"""phi-tui's trainer without the product around it, on rows of random token ids: what is taken apart or looked into.

The comparisons run the whole product (`own_arm`); these are for profiles and for single parts of it.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

WEIGHTS = {"bf16": "bfloat16", "fp32": "float32"}
"""What holds the weights of a precision."""
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


def adapted(base: str, precision: str = "bf16") -> Any:
    """The base in the type of a precision with the adapter on it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, WEIGHTS[precision]), use_safetensors=True)
    config = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def our_way(model: Any, settings: Any = None, precision: str = "bf16") -> Any:
    """How phi-tui lays rows into batches for a model on a CPU."""
    from phi_tui.engine import batching
    from phi_tui.schema import Project, Train

    return batching.choose(
        model, Project(name="bench", train=settings or Train()), pad_id=0, labels=None,
        device="cpu", precision=precision, weights=WEIGHTS[precision],
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


def rows_a_step(kind: str) -> int:
    """How many rows of a kind hold about 2,048 tokens."""
    lengths = [len(row) for row in rows(kind, 100_000, 1)]
    return max(1, round(2048 * len(lengths) / sum(lengths)))


def evaluated(model: Any, data: Any, precision: str) -> Any:
    """phi-tui's evaluation of a model on tokenised rows, as the product makes it on a CPU."""
    import contextlib

    import torch

    from phi_tui.engine.evaluate import evaluate
    from phi_tui.engine.memory import EVAL_TOKENS

    model.config.use_cache = False
    autocast = (lambda: torch.autocast("cpu", dtype=torch.bfloat16)) if precision == "bf16" else contextlib.nullcontext
    way = our_way(model, precision=precision)
    return evaluate(model, data, batching=way, token_budget=EVAL_TOKENS["cpu"], autocast=autocast)


def an_adapter(base: str, folder: Path) -> Path:
    """Write an adapter whose weights are not zero, and return its folder."""
    import torch

    torch.manual_seed(0)
    model = adapted(base)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.002)
    model.save_pretrained(str(folder))
    return folder
