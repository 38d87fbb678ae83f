"""The arms that are not phi-tui: the guide's recipe, TRL and LLaMA-Factory, each as its own documentation drives it.

Run as `python -m benchmarks.peer_arms ARM FOLDER` in an environment that has the peer and need not have phi-tui; prints
a line of JSON.  FOLDER holds `tokens.json`: the base, the rows as phi-tui has tokenised them, and how many make a step.
So every arm trains the same tokens and labels; how they are batched, padded or packed is each one's own affair.  All
adapt q, k, v, o at rank 16 and compute in the precision that phi-tui chooses for the machine: bf16 where the CPU has
products for it, with the base held in bf16 as its checkpoint is, and fp32 elsewhere, where the library's bf16 is
emulated and takes a hundred times as long.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

from benchmarks import watch

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
TRL_BEST: dict[str, Any] = {"gradient_checkpointing": False, "per_device_train_batch_size": 4}
"""Without recomputing, in small padded batches; `--arms "TRL, packed,,TRL, by length"` tries others."""
TRL_TRIED: dict[str, dict[str, Any]] = {
    **{
        f"{rows} rows, padded": {"gradient_checkpointing": False, "per_device_train_batch_size": rows}
        for rows in (1, 2, 4, 8)
    },
    "by length": {
        "gradient_checkpointing": False, "per_device_train_batch_size": 8,
        "train_sampling_strategy": "group_by_length",
    },
    "packed": {"gradient_checkpointing": False, "per_device_train_batch_size": 1, "packing": True},
    "packed, wrapped": {
        "gradient_checkpointing": False, "per_device_train_batch_size": 1, "packing": True,
        "packing_strategy": "wrapped",
    },
    "padding-free": {
        "gradient_checkpointing": False, "per_device_train_batch_size": 8, "padding_free": True, "max_length": None,
    },
}  # fmt: skip


def adapted(base: str, dropout: float, seed: int, precision: str) -> Any:
    """The base, in fp32 or as its checkpoint holds it, with the adapter on it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, set_seed

    set_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32 if precision == "fp32" else "auto")
    config = LoraConfig(r=16, lora_alpha=32, lora_dropout=dropout, target_modules=TARGETS, task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def dataset(given: dict[str, Any]) -> Any:
    """The rows as a data set of input_ids and labels."""
    from datasets import Dataset

    return Dataset.from_dict({"input_ids": given["input_ids"], "labels": given["labels"]})


def labelled(batch: list[Any]) -> Any:
    """One row as a batch with its labels: DataCollatorForLanguageModeling would train the prompt as well."""
    import torch

    return {name: torch.tensor([batch[0][name]]) for name in ("input_ids", "labels")} | {
        "attention_mask": torch.ones(1, len(batch[0]["input_ids"]), dtype=torch.long)
    }


def guide(given: dict[str, Any], watched: watch.Watched, folder: Path, accumulation: int, dropout: float) -> Any:
    """The guide's script under today's names: one row a batch, accumulated, bf16; returns the trained model."""
    from transformers import Trainer, TrainingArguments

    args = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=1, per_device_eval_batch_size=1,
        gradient_accumulation_steps=accumulation, num_train_epochs=1, learning_rate=2e-4, lr_scheduler_type="cosine",
        warmup_steps=0.0618, weight_decay=0.1, logging_steps=25, save_strategy="no", report_to="none",
        bf16=given["precision"] == "bf16",
        disable_tqdm=True, use_cpu=True, seed=given["seed"], data_seed=given["seed"],
    )  # fmt: skip
    data = dataset(given)
    watched.before = watch.forget_highest()
    model = adapted(given["base"], dropout, given["seed"], given["precision"])
    trainer = Trainer(model=model, args=args, train_dataset=data, data_collator=labelled)
    trainer.add_callback(watch.callback(watched, given["pad_id"], given["ends_in_pad"]))
    trainer.train()
    return model


def trl(given: dict[str, Any], watched: watch.Watched, folder: Path, settings: dict[str, Any]) -> None:
    """TRL's SFTTrainer; `settings` are what differs from its defaults."""
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = 1 if settings.get("packing") else settings.get("per_device_train_batch_size", 8)
    a_step = given["tokens_a_step"] / 1024 if settings.get("packing") else given["rows_a_step"]
    chosen = {"max_length": 1024, "gradient_accumulation_steps": max(1, round(a_step / rows)), **settings}
    args = SFTConfig(
        output_dir=str(folder), num_train_epochs=1, save_strategy="no", report_to="none", disable_tqdm=True,
        use_cpu=True, bf16=given["precision"] == "bf16", seed=given["seed"], **chosen,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(given["base"])
    data = dataset(given)
    watched.before = watch.forget_highest()
    model = adapted(given["base"], 0.0, given["seed"], given["precision"])
    trainer = SFTTrainer(model=model, args=args, train_dataset=data, processing_class=tokenizer)
    trainer.add_callback(watch.callback(watched, given["pad_id"], given["ends_in_pad"]))
    trainer.train()


def llamafactory(given: dict[str, Any], watched: watch.Watched, folder: Path, *, neat: bool) -> None:
    """LLaMA-Factory's own run, packed, without checkpointing and dropout.

    Its rows are numbers: where it would render and tokenise one, it gets that row's own tokens and labels.  Packing,
    collating and training are its own; `neat` keeps the rows of a pack apart by a mask, as phi-tui does.
    """
    without_sound()
    from llamafactory.data.processor.supervised import SupervisedDatasetProcessor
    from llamafactory.train.tuner import run_exp

    def encoded(self: Any, prompt: list[dict[str, str]], **more: Any) -> tuple[list[int], list[int]]:
        row = int(prompt[0]["content"])
        return list(given["input_ids"][row]), list(given["labels"][row])

    SupervisedDatasetProcessor._encode_data_example = encoded
    rows = [{"instruction": str(row), "input": "", "output": "-"} for row in range(len(given["input_ids"]))]
    (folder / "rows.json").write_text(json.dumps(rows), "utf-8")
    (folder / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}), "utf-8")
    packs = max(1, round(given["tokens_a_step"] / 1024))
    watched.before = watch.forget_highest()
    run_exp(
        {
            "model_name_or_path": given["base"], "stage": "sft", "do_train": True, "finetuning_type": "lora",
            "lora_target": ",".join(TARGETS), "lora_rank": 16, "lora_alpha": 32, "lora_dropout": 0.0,
            "dataset": "rows", "dataset_dir": str(folder), "template": "smollm2", "cutoff_len": 1024,
            "packing": True, "neat_packing": neat, "overwrite_cache": True, "flash_attn": "sdpa",
            "disable_gradient_checkpointing": True, "bf16": given["precision"] == "bf16",
            "use_cpu": True, "output_dir": str(folder / "out"),
            "per_device_train_batch_size": 1, "gradient_accumulation_steps": packs, "num_train_epochs": 1.0,
            "learning_rate": 2e-4, "lr_scheduler_type": "cosine", "save_strategy": "no", "report_to": "none",
            "disable_tqdm": True, "seed": given["seed"],
        },
        callbacks=[watch.callback(watched, given["pad_id"], given["ends_in_pad"])],
    )  # fmt: skip


def without_sound() -> None:
    """Let LLaMA-Factory be imported without torchaudio: it wants the name at once, and uses it for sound alone."""
    if importlib.util.find_spec("torchaudio") is None:
        empty = types.ModuleType("torchaudio")
        empty.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
        sys.modules["torchaudio"] = empty


def one(arm: str, given: dict[str, Any], folder: Path) -> watch.Watched:
    """Train an arm in this process."""
    watched = watch.Watched()
    if arm == "guide":
        guide(given, watched, folder, accumulation=8, dropout=0.0)
    elif arm.startswith("LLaMA-Factory"):
        llamafactory(given, watched, folder, neat="neat" in arm)
    else:
        settings = {"TRL, defaults": {}, "TRL, best": TRL_BEST} | {
            f"TRL, {name}": one for name, one in TRL_TRIED.items()
        }
        trl(given, watched, folder, settings[arm])
    return watched


def main() -> None:
    """Run one arm and print its figures as a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer_arms", description=__doc__)
    parser.add_argument("arm")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    given = json.loads((args.folder / "tokens.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as name:
        figures = one(args.arm, given, Path(name)).figures()
    known = {package.metadata["Name"].lower() for package in importlib.metadata.distributions()}
    wanted = ("torch", "transformers", "peft", "trl", "llamafactory")
    figures["versions"] = {name: importlib.metadata.version(name) for name in wanted if name in known}
    sys.stdout.flush()
    print("\n" + json.dumps(figures))


if __name__ == "__main__":
    main()
