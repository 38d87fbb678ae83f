"""Build the demo base model: write its corpus as rows, replay `demo_base.toml` on them, and pack what comes out.

The demo ships a model of its own, so that the first fine-tuning run needs neither a download nor a licence question.
It is pretrained by phi-tui itself; what stands here is only what phi-tui does not do: the corpus, bfloat16, the card.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from pathlib import Path
from typing import Any

from demo_corpus import documents

from phi_tui import project, run
from phi_tui.engine.pretrain import shape_of
from phi_tui.engine.stream import block_length
from phi_tui.replay import Options, replay
from phi_tui.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent
PROJECT = Path(__file__).with_name("demo_base.toml")
SIZE_LIMIT = 6_000_000
WORDS = 14_000_000
KEPT = ("tokenizer.json", "tokenizer_config.json")


def write_corpus(path: Path, seed: int, words: int) -> dict[str, int]:
    """Write the documents as rows with a text each, shuffled, and return how many documents and words there are."""
    texts = list(documents(seed, words))
    random.Random(seed).shuffle(texts)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return {"documents": len(texts), "words": sum(len(text.split()) for text in texts)}


def pack(model: Path, output: Path, card: str) -> int:
    """Write the trained model in bfloat16 into `output`, with its tokenizer and card, and return the bytes it takes.

    The chat template stays behind: the model continues text and knows no conversation.
    """
    import torch
    from transformers import AutoModelForCausalLM

    output.mkdir(parents=True, exist_ok=True)
    AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).save_pretrained(output)
    for name in KEPT:
        shutil.copyfile(model / name, output / name)
    (output / "README.md").write_text(card, encoding="utf-8")
    for path in output.iterdir():
        path.chmod(0o644)  # safetensors makes its file readable to the owner alone
    return sum(path.stat().st_size for path in output.iterdir())


def figures_of(done: run.Run, corpus: dict[str, int]) -> dict[str, object]:
    """Return the card's figures: what was trained on what, and what came of it."""
    frozen, shape = done.project(), shape_of(done.model)
    result: dict[str, Any] = done.result() or {}
    train = frozen.train
    step = train.batch_size * train.grad_accum * block_length(frozen)
    return {
        "Architecture": f"Llama, {shape.layers} layers, hidden size {shape.hidden}, {shape.heads} heads, tied "
        f"embeddings, context {shape.context}",
        "Parameters": f"{shape.parameters:,}",
        "Weights": "bfloat16",
        "Vocabulary": f"{shape.vocabulary:,} (byte-level BPE)",
        "Corpus": f"{corpus['documents']:,} documents, {corpus['words']:,} words",
        "Steps": f"{result['steps']:,} of {step:,} tokens",
        "Tokens seen": f"{result['steps'] * step:,}",
        "Optimizer": f"AdamW, learning rate {train.learning_rate}, {train.warmup:g} warm-up steps, {train.scheduler}",
        "Seed": frozen.seed,
        "Seconds": f"{result['seconds']:.0f}",
        "Unigram perplexity": f"{result['unigram_perplexity']:.3f}",
        "Held-out loss": f"{result['eval_loss']:.4f}",
        "Held-out perplexity": f"{result['perplexity']:.3f}",
    }


def model_card(figures: dict[str, object]) -> str:
    """Return the card as Markdown with the Hub's front matter."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in figures.items())
    return f"""---
license: apache-2.0
language: en
---

# Demo base model of phi-tui

A very small language model, trained from scratch, with which phi-tui shows a whole fine-tuning run without
a download. It writes simple English and knows no instruction format: answering is what the LoRA adapter
of the demo teaches it. It is meant for that demo and for tests, not as a source of facts.

The training text is made by a seeded grammar (`scripts/demo_corpus.py`) and contains no foreign text.
`python scripts/build_demo_base.py` makes such a folder from `scripts/demo_base.toml`.

| Figure | Value |
| --- | --- |
{rows}

Licence: Apache-2.0.
"""


def main() -> None:
    """Make the corpus, replay the project, and write the folder."""
    parser = argparse.ArgumentParser(description="Build the demo base model from scratch.")
    parser.add_argument("--output", type=Path, default=ROOT / "phi_tui" / "demo" / "base")
    parser.add_argument(
        "--workspace", type=Path, default=ROOT / "demo-workspace" / "base", help="corpus, tokens and run"
    )
    parser.add_argument("--words", type=int, default=WORDS)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    given = parser.parse_args()
    place = given.workspace.absolute()
    place.mkdir(parents=True, exist_ok=True)
    file = place / PROJECT.name
    shutil.copyfile(PROJECT, file)
    known = place / "demo_corpus.json"
    if not (given.resume and known.is_file()):
        corpus = write_corpus(place / "demo_corpus.jsonl", project.load(file).seed, given.words)
        known.write_text(json.dumps(corpus), "utf-8")
    corpus = json.loads(known.read_text("utf-8"))
    code = replay(file, Options(overrides=tuple(given.overrides), resume=given.resume))
    if code:
        raise SystemExit(code)
    done = run.listed(Workspace(place), "demo_base")[0]
    figures = figures_of(done, corpus)
    total = pack(done.model, given.output, model_card(figures))
    print(json.dumps(figures | {"bytes": total}), flush=True)
    if total > SIZE_LIMIT:
        raise SystemExit(f"the demo model takes {total:,} bytes, more than {SIZE_LIMIT:,}")


if __name__ == "__main__":
    main()
