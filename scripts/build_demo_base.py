"""Build the demo base model: corpus, tokenizer and pretraining from scratch in one command.

The demo ships a model of its own, so that the first fine-tuning run needs neither a download nor a licence
question. Everything follows from one seed; the figures of the run go into the model card beside the weights.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from demo_corpus import SEPARATOR, documents
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parent.parent
PAD = "<|pad|>"
SIZE_LIMIT = 6_000_000
SEQUENCE = 256


@dataclass(frozen=True)
class Recipe:
    """The choices of the pretraining run."""

    seed: int = 1618
    words: int = 14_000_000
    held_out_share: float = 0.01
    steps: int = 4400
    batch: int = 16
    learning_rate: float = 2e-3
    warmup: int = 150
    floor: float = 0.05
    threads: int = 2


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        special_tokens=[SEPARATOR, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SEPARATOR,
        eos_token=SEPARATOR,
        pad_token=PAD,
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )


def pack(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    """Join all documents, each closed by the end token, and cut them into rows of one length."""
    end = tokenizer.convert_tokens_to_ids(SEPARATOR)
    stream: list[int] = []
    for start in range(0, len(texts), 10_000):
        for encoded in tokenizer.backend_tokenizer.encode_batch(texts[start : start + 10_000]):
            stream.extend(encoded.ids)
            stream.append(end)
    # One token more than the sequence, because the targets are the inputs moved by one.
    rows = len(stream) // (SEQUENCE + 1)
    return torch.tensor(stream[: rows * (SEQUENCE + 1)], dtype=torch.int16).view(rows, SEQUENCE + 1)


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        num_hidden_layers=6,
        intermediate_size=448,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
    )
    return LlamaForCausalLM(config)


def mean_loss(model: LlamaForCausalLM, rows: torch.Tensor) -> torch.Tensor:
    # Half the time of float32 on a processor with bfloat16 instructions; the weights stay float32.
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=rows[:, :-1], use_cache=False).logits
    return functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model: LlamaForCausalLM, rows: torch.Tensor, batch: int) -> float:
    model.eval()
    losses = [float(mean_loss(model, part.long())) * len(part) for part in torch.split(rows, batch)]
    model.train()
    return sum(losses) / len(rows)


def learning_rate(recipe: Recipe, step: int) -> float:
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / (recipe.steps - recipe.warmup)
    return recipe.learning_rate * (recipe.floor + (1 - recipe.floor) * 0.5 * (1 + math.cos(math.pi * done)))


def make_optimizer(model: LlamaForCausalLM, recipe: Recipe) -> torch.optim.AdamW:
    """Weight decay acts on matrices only; norms are scales around one and must not be pulled to zero."""
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.95))


def pretrain(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    train: torch.Tensor,
    held_out: torch.Tensor,
    recipe: Recipe,
    snapshots: Path | None,
) -> None:
    optimizer = make_optimizer(model, recipe)
    generator = torch.Generator().manual_seed(recipe.seed)
    order = torch.empty(0, dtype=torch.long)
    started = saved = time.monotonic()
    for step in range(recipe.steps):
        if len(order) < recipe.batch:
            order = torch.cat([order, torch.randperm(len(train), generator=generator)])
        rows, order = train[order[: recipe.batch]].long(), order[recipe.batch :]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        loss = mean_loss(model, rows)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 0 or step == recipe.steps - 1:
            speed = (step + 1) * recipe.batch * SEQUENCE / (time.monotonic() - started)
            print(f"step {step} loss {loss.item():.4f} tokens/s {speed:.0f}", flush=True)
        if step % 500 == 499:
            print(f"held-out loss {held_out_loss(model, held_out[:64], recipe.batch):.4f}", flush=True)
        if snapshots is not None and time.monotonic() - saved > 300:
            save(model, tokenizer, snapshots)
            saved = time.monotonic()


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy = copy.to(torch.bfloat16)
    copy.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    copy.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors makes its file readable to the owner alone


def model_card(figures: dict[str, object]) -> str:
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
`python scripts/build_demo_base.py` rebuilds the folder.

| Figure | Value |
| --- | --- |
{rows}

Licence: Apache-2.0.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the demo base model from scratch.")
    parser.add_argument("--output", type=Path, default=ROOT / "phi_tui" / "demo" / "base")
    parser.add_argument("--snapshots", type=Path, help="folder for a usable copy every five minutes")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    arguments = parser.parse_args()
    recipe = Recipe(steps=arguments.steps)
    started = time.monotonic()
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)

    texts = list(documents(recipe.seed, recipe.words))
    word_count = sum(len(text.split()) for text in texts)
    random.Random(recipe.seed).shuffle(texts)
    cut = int(len(texts) * recipe.held_out_share)
    tokenizer = train_tokenizer(texts[cut : cut + 40_000])
    held_out, train = pack(tokenizer, texts[:cut]), pack(tokenizer, texts[cut:])
    model = new_model(tokenizer)
    size = {"documents": len(texts), "words": word_count, "train tokens": train.numel()}
    print(json.dumps(size), flush=True)
    pretrain(model, tokenizer, train, held_out, recipe, arguments.snapshots)

    loss = held_out_loss(model, held_out, recipe.batch)
    figures: dict[str, object] = {
        "Architecture": "Llama, 6 layers, hidden size 192, 6 heads, tied embeddings, context 512",
        "Parameters": f"{model.num_parameters():,}",
        "Weights": "bfloat16",
        "Vocabulary": f"{len(tokenizer):,} (byte-level BPE)",
        "Corpus": f"{len(texts):,} documents, {word_count:,} words, {train.numel():,} training tokens",
        "Steps": f"{recipe.steps:,} of {recipe.batch} x {SEQUENCE} tokens",
        "Tokens seen": f"{recipe.steps * recipe.batch * SEQUENCE:,}",
        "Optimizer": f"AdamW, learning rate {recipe.learning_rate}, {recipe.warmup} warm-up steps, cosine",
        "Seed": recipe.seed,
        "Seconds": f"{time.monotonic() - started:.0f}",
        "Machine": "2 CPU cores",
        "Held-out loss": f"{loss:.4f}",
        "Held-out perplexity": f"{math.exp(loss):.3f}",
    }
    save(model, tokenizer, arguments.output)
    (arguments.output / "README.md").write_text(model_card(figures), encoding="utf-8")
    total = sum(path.stat().st_size for path in arguments.output.iterdir())
    print(json.dumps(figures | {"bytes": total}, default=str), flush=True)
    if total > SIZE_LIMIT:
        raise SystemExit(f"the demo model takes {total:,} bytes, more than {SIZE_LIMIT:,}")


if __name__ == "__main__":
    main()
