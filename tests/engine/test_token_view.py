"""The token view: every token's own text in place, the texts joining to the decoded row, and which are trained."""

from __future__ import annotations

import string
from typing import Any

import pytest
import tiny_bases
from hypothesis import given
from hypothesis import strategies as st

from phi_tui.engine.token_view import Viewer

HOSTILE = [
    "caf\u00e9 \U0001f600\U0001f600 \u65e5\u672c\u8a9e\n\n end",
    "\x1b]52;c;aGk=\x07 \x9b31m \u202egnp.exe",
    "<|endoftext|> inside <|im_start|>user\nhi<|im_end|>\n",
    "  two spaces, a tab\tand \u2581 a mark <0xE2> <0x82>",
    "\ufffd\ufffd real replacement characters",
    "",
    " ",
]


def byte_level() -> Any:
    return tiny_bases.make_tokenizer(chat=True)


def sentencepiece_like() -> Any:
    """A tokenizer as Llama 2 has it: marks for spaces, bytes for what it has no piece for, one space before a text."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    vocab = {piece: place for place, piece in enumerate(["<unk>", "<s>", "</s>"])}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    for character in "\u2581" + string.ascii_letters + string.punctuation:
        vocab.setdefault(character, len(vocab))
    merges = [("\u2581", "t"), ("h", "e"), ("\u2581t", "he"), ("e", "n")]
    for left, right in merges:
        vocab.setdefault(left + right, len(vocab))
    raw = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    raw.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def wordpiece() -> Any:
    """A tokenizer whose decoder neither way of taking pieces apart fits."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {piece: place for place, piece in enumerate(["[UNK]", "[SEP]", "un", "##able", "##ly", "a", "b", "."])}
    raw = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]", eos_token="[SEP]")


TOKENIZERS = {"byte-level": byte_level(), "sentencepiece": sentencepiece_like(), "wordpiece": wordpiece()}


def decoded(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("text", HOSTILE)
def test_the_texts_of_a_row_join_to_the_decoded_row(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = tokenizer(text)["input_ids"]
    texts = Viewer(tokenizer).texts(ids)
    assert len(texts) == len(ids)
    assert "".join(texts) == decoded(tokenizer, ids)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(data=st.data())
def test_any_ids_join_to_the_decoded_row(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=24))
    texts = Viewer(tokenizer).texts(ids)
    assert len(texts) == len(ids)
    assert "".join(texts) == decoded(tokenizer, ids)


@pytest.mark.parametrize("name", ["byte-level", "sentencepiece"])
def test_the_usual_decoders_need_no_second_decoding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = TOKENIZERS[name]
    viewer = Viewer(tokenizer)
    monkeypatch.setattr(viewer, "_of_prefixes", lambda ids, whole: pytest.fail("took the slow way"))
    for text in HOSTILE:
        viewer.texts(tokenizer(text)["input_ids"])


@pytest.mark.parametrize("name", ["byte-level", "sentencepiece"])
def test_a_character_of_several_tokens_stands_at_the_first_of_them(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    texts = Viewer(tokenizer).texts(tokenizer("x\U0001f600y")["input_ids"])
    at = texts.index("\U0001f600")
    assert texts[at + 1 : at + 4] == ["", "", ""]
    assert texts[at + 4] == "y"


def test_the_slow_way_puts_a_character_at_the_first_of_its_tokens_too() -> None:
    tokenizer = TOKENIZERS["byte-level"]
    ids = tokenizer("x\U0001f600y")["input_ids"]
    assert Viewer(tokenizer)._of_prefixes(ids, decoded(tokenizer, ids)) == ["x", "\U0001f600", "", "", "", "y"]


def test_a_character_that_is_cut_off_shows_as_lost() -> None:
    tokenizer = TOKENIZERS["byte-level"]
    ids = tokenizer("x\U0001f600")["input_ids"][:-1]
    assert Viewer(tokenizer).texts(ids)[:2] == ["x", "\ufffd"]


def test_newlines_stay_and_special_tokens_go_by_name() -> None:
    tokenizer = TOKENIZERS["byte-level"]
    ids = tokenizer("a\n<|im_end|>")["input_ids"]
    assert Viewer(tokenizer).texts(ids) == ["a", "\n", "<|im_end|>"]


def test_kinds_tell_prompt_trained_and_special_tokens_apart() -> None:
    tokenizer = TOKENIZERS["byte-level"]
    ids = tokenizer("<|im_start|>a\nb<|im_end|>")["input_ids"]
    labels = [-100, -100, -100, ids[3], ids[4]]
    assert [token.kind for token in Viewer(tokenizer).tokens(ids, labels)] == [
        "special", "prompt", "prompt", "trained", "special-trained",
    ]  # fmt: skip


def test_the_first_token_is_never_trained_whatever_its_label() -> None:
    tokenizer = TOKENIZERS["byte-level"]
    ids = tokenizer("ab")["input_ids"]
    assert [token.kind for token in Viewer(tokenizer).tokens(ids, ids)] == ["prompt", "trained"]
