"""A tokenizer made from a project's own training rows: byte-level BPE, so that any text can be written in it.

Only training rows are read, since a vocabulary that has seen the validation rows would flatter the model.  The same
rows and size give the same file, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from phi_tui.errors import InputError

END = "<|endoftext|>"
"""Closes every text; also the token that begins one, for tools that want such a token."""
PAD = "<|pad|>"
SMALLEST = 258
"""The 256 bytes and the two special tokens."""
READ_AT_MOST = 256_000_000
"""Bytes of rows that the merges are learnt from; of more, every k-th row is read, spread over the whole file."""


def train(rows: Path, vocabulary: int, context: int, on_progress: Callable[[int], None] | None = None) -> Any:
    """Return a tokenizer of at most `vocabulary` tokens, trained on the texts of the .jsonl file `rows`.

    It has fewer where the rows hold too few pairs to merge.  `on_progress` gets the number of rows read and may raise
    to end it.  Raises InputError when the vocabulary cannot hold the bytes.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if vocabulary < SMALLEST:
        raise InputError(
            f"{vocabulary} tokens cannot hold the 256 bytes and the two special tokens",
            where="scratch.vocabulary",
            fix=f"{SMALLEST} or more, or 0 to let the budget decide",
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(rows, on_progress), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=PAD,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def texts(rows: Path, on_progress: Callable[[int], None] | None = None) -> Iterator[str]:
    """Yield every text in the rows of a .jsonl file, in order; of a very long file those of every k-th row."""
    every = -(-rows.stat().st_size // READ_AT_MOST) or 1
    with open(rows, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if on_progress and number % 1000 == 0:
                on_progress(number)
            if number % every == 0:
                yield from _strings(json.loads(line))


def _strings(row: dict[str, Any]) -> Iterator[str]:
    for value in row.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (message["content"] for message in value)
