"""Rows for the arms of a comparison, prepared by the product itself: what it trains is what every arm trains.

From one set of rows of a kind each turn takes others.  The plan (rows a batch, batches a step) is the product's own for
the whole set; a turn's rows are too few to be planned by, since a step holds at most an eighth of an epoch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import texts

LORA: dict[str, Any] = {"rank": 16, "alpha": 32, "targets": ("q_proj", "k_proj", "v_proj", "o_proj")}
SEED = 42


def project(base: str, kind: str, *, dropout: float = 0.0, split: Any = "none", **train: Any) -> Any:
    """The project of an arm: the defaults of the product but for the adapter and what is measured."""
    from phi_tui.schema import Data, Lora, Project, Source, Train

    plain = {"format": "prompt-completion", "template": "plain"} if kind.endswith("random") else {}
    return Project(
        name="bench",
        seed=SEED,
        model={"base": base},  # type: ignore[arg-type]
        data=Data(sources=(Source(path="rows.jsonl"),), split=split, max_length=texts.LONGEST, **plain),  # type: ignore[arg-type]
        lora=Lora(dropout=dropout, **LORA),
        train=Train(samples=0, **train),
    )


def job(made: Any, folder: Path) -> Any:
    """Prepare a project whose rows lie in `folder`."""
    from phi_tui.engine import pipeline
    from phi_tui.workspace import Workspace

    return pipeline.ready(made, folder, Workspace(folder), lambda kind, /, **payload: None)


def write(rows: list[texts.Row], folder: Path) -> None:
    """Write rows of text into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row) for row in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def tokens(made: Any, base: str, **more: Any) -> dict[str, Any]:
    """What the arms are given: the training rows of a prepared project and how they are to be stepped through."""
    from datasets import load_from_disk

    from phi_tui.engine import loading

    data = load_from_disk(str(made.prepared.ready.folder))["train"]
    pad_id = loading.pad_id(made.prepared.tokenizer)
    rows = data["input_ids"][:]
    return {
        "base": base, "seed": SEED, "precision": made.precision, "pad_id": pad_id, "ends_in_pad": rows[0][-1] == pad_id,
        "input_ids": rows, "labels": data["labels"][:], **more,
    }  # fmt: skip


def in_fp32(base: str, folder: Path) -> str:
    """A copy of the base in fp32: LLaMA-Factory loads what a checkpoint holds, and says nothing of another type."""
    if not (folder / "config.json").is_file():
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).save_pretrained(str(folder))
        AutoTokenizer.from_pretrained(base).save_pretrained(str(folder))
    return str(folder)


def turns(base: str, kind: str, folder: Path, count: int, steps: int) -> dict[str, Any]:
    """Prepare `count` turns of so many optimiser steps, each in a folder of its own; returns the plan of them all."""
    mean = {"short": 49, "long": 185}[kind.removesuffix("-random")]
    rows = texts.draw(kind, max(400, count * steps * 2400 // mean), base)
    whole = folder / "whole"
    write(rows, whole)
    planned = job(project(base, kind), whole)
    found = tokens(planned, base)
    print(texts.told(kind, found["input_ids"], found["labels"]), flush=True)
    plan = planned.plan
    if planned.precision == "fp32":
        base = in_fp32(base, folder.parent / "base-fp32")
    batching = {"batch_size": plan.batch_size, "grad_accum": plan.grad_accum}
    if len(found["input_ids"]) != len(rows):
        raise RuntimeError(f"{len(rows)} rows were written and {len(found['input_ids'])} prepared")
    a_turn = steps * plan.rows_per_step
    for turn in range(count):
        place = folder / str(turn)
        write(rows[turn * a_turn : (turn + 1) * a_turn], place)
        made = job(project(base, kind, **batching), place)
        given = tokens(made, base, kind=kind, rows_a_step=plan.rows_per_step, tokens_a_step=plan.tokens_per_step)
        (place / "tokens.json").write_text(json.dumps({**given, **batching}), "utf-8")
    return {
        "precision": planned.precision,
        **batching,
        "rows_a_step": plan.rows_per_step,
        "tokens_a_step": plan.tokens_per_step,
    }


def main() -> None:
    """Prepare the turns of a kind and print the plan as a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepared", description=__doc__)
    parser.add_argument("base")
    parser.add_argument("kind", choices=texts.KINDS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    args = parser.parse_args()
    print(json.dumps(turns(args.base, args.kind, args.folder, args.turns, args.steps)))


if __name__ == "__main__":
    main()
