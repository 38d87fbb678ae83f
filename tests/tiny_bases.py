"""Tiny random bases for tests: a few hundred kilobytes each, of every architecture that behaves in its own
way.

Each is a folder as a download would leave it: configuration, safetensors, a byte-level BPE tokenizer trained
on the spot.  The same arguments give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

Kind = Literal["gpt_neo", "gpt_neox", "gpt2", "llama", "opt", "qwen2"]
KINDS: tuple[Kind, ...] = ("gpt_neo", "gpt_neox", "gpt2", "llama", "opt", "qwen2")
HIDDEN = 32
CONTEXT = 256
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_TEXT = [
    "The golden ratio divides a line: the whole is to the larger part as the larger is to the smaller.",
    "What is the capital of France? The capital of France is Paris. What is two plus three? Five.",
    "Instruction: answer in one word. Input: the colour of the sky. Output: blue.",
    "user assistant system question answer yes no one two three four five six seven eight nine ten",
]


def make(
    kind: Kind,
    folder: Path,
    *,
    vocab: int = 384,
    layers: int = 2,
    seed: int = 0,
    chat: bool = False,
    pad_is_eos: bool = False,
) -> Path:
    """Write a tiny base of `kind` into `folder` and return the folder; about 100 to 300 KB, under a second.

    `vocab` is the size of the embedding in tokens (at least 300).  With `chat` the tokenizer has a ChatML
    template and ends a turn with <|im_end|>; with `pad_is_eos` the padding token is the end token, as in many
    real bases.
    """
    import torch
    from transformers import AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(vocab, chat=chat, pad_is_eos=pad_is_eos)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(_config(kind, vocab, layers, tokenizer))
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder


def make_tokenizer(vocab: int = 384, *, chat: bool = False, pad_is_eos: bool = False) -> Any:
    """Return a byte-level BPE tokenizer of at most `vocab` tokens: any text survives the way there and
    back."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    ends = ["<|endoftext|>", "<|pad|>", *(["<|im_start|>", "<|im_end|>"] if chat else [])]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(
        _TEXT,
        trainers.BpeTrainer(
            vocab_size=vocab,
            special_tokens=ends,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    eos = "<|im_end|>" if chat else "<|endoftext|>"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token=eos,
        bos_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        pad_token=eos if pad_is_eos else "<|pad|>",
        model_max_length=CONTEXT,
    )
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_gguf(path: Path, *, seed: int = 0) -> Path:
    """Write a tiny random Llama as a GGUF file of float32 tensors with tied embeddings, its tokenizer and
    template."""
    import json

    import gguf
    import numpy as np

    tokenizer = make_tokenizer(chat=True, pad_is_eos=True)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = [token for token, _ in sorted(model["vocab"].items(), key=lambda entry: entry[1])]
    special = set(tokenizer.all_special_ids) | {tokenizer.convert_tokens_to_ids("<|im_start|>")}
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(2 * HIDDEN)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if place in special else 1 for place in range(len(tokens))])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(CHAT_TEMPLATE)
    numbers = np.random.default_rng(seed)
    shapes = {
        "token_embd.weight": (len(tokens), HIDDEN),
        "output_norm.weight": (HIDDEN,),
        "blk.0.attn_norm.weight": (HIDDEN,),
        "blk.0.ffn_norm.weight": (HIDDEN,),
        "blk.0.attn_q.weight": (HIDDEN, HIDDEN),
        "blk.0.attn_k.weight": (HIDDEN // 2, HIDDEN),
        "blk.0.attn_v.weight": (HIDDEN // 2, HIDDEN),
        "blk.0.attn_output.weight": (HIDDEN, HIDDEN),
        "blk.0.ffn_gate.weight": (2 * HIDDEN, HIDDEN),
        "blk.0.ffn_up.weight": (2 * HIDDEN, HIDDEN),
        "blk.0.ffn_down.weight": (HIDDEN, 2 * HIDDEN),
    }
    for name, shape in shapes.items():
        writer.add_tensor(name, (0.1 * numbers.standard_normal(shape)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _config(kind: Kind, vocab: int, layers: int, tokenizer: Any) -> Any:
    from transformers import AutoConfig

    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    usual = {
        "hidden_size": HIDDEN,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 2 * HIDDEN,
        "max_position_embeddings": CONTEXT,
    }
    own: dict[Kind, dict[str, Any]] = {
        "gpt_neo": {
            "hidden_size": HIDDEN,
            "num_layers": layers,
            "num_heads": 4,
            "attention_types": [[["global", "local"], layers // 2], [["global"], layers % 2]],
            "window_size": 16,
            "max_position_embeddings": CONTEXT,
        },
        "gpt_neox": {**usual, "tie_word_embeddings": False},
        "gpt2": {"n_embd": HIDDEN, "n_layer": layers, "n_head": 4, "n_positions": CONTEXT},
        "llama": {**usual, "num_key_value_heads": 2, "tie_word_embeddings": False},
        "opt": {
            "hidden_size": HIDDEN,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "ffn_dim": 2 * HIDDEN,
            "word_embed_proj_dim": HIDDEN // 2,
            "do_layer_norm_before": False,
            "max_position_embeddings": CONTEXT,
        },
        "qwen2": {**usual, "num_key_value_heads": 2, "tie_word_embeddings": True},
    }
    return AutoConfig.for_model(kind, vocab_size=vocab, **own[kind], **ids)
