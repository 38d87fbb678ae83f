"""Ids found word by word are those of the whole text, for every tokenizer that is taken to be so."""

from __future__ import annotations

import json
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phi_tui.engine import known_words
from phi_tui.engine.known_words import KnownWords, pieces, suits

tokenizers = pytest.importorskip("tokenizers")
TEXTS = [
    "the cat sat on the mat, don't it? 12345 6 7",
    "naïve café 日本語 の  テキスト",
    "a\n\nb \n c\t d  e\r\n f",
    "x<|end|>y",
]


def made(*, cut: Any = None, normalizer: Any = None, added: str = "<|end|>") -> Any:
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = cut or pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=340, initial_alphabet=sorted(alphabet), show_progress=False)
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    tokenizer.add_special_tokens([AddedToken(added, special=True, normalized=False)])
    return tokenizer


def kinds() -> dict[str, Any]:
    from tokenizers import Regex, normalizers, pre_tokenizers

    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in known_words._WORDS]
    return {
        "gpt-2": made(),
        "digits": made(cut=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level])),
        "llama-3": made(cut=pre_tokenizers.Sequence([split[0], bare])),
        "qwen-2": made(cut=pre_tokenizers.Sequence([split[1], bare]), normalizer=normalizers.NFC()),
    }


KINDS = kinds()
hostile = st.lists(
    st.sampled_from(
        [
            *" \n\t\r\x0b\x1c\x85\xa0\u180e\u2009\u2028\u3000ab1.'é語\u0301\u200b",
            "  ",
            " a",
            "'s",
            "<|end|>",
            "e\u0301",
            "don't",
            "12",
        ]
    )
    | st.characters(codec="utf-8"),
    max_size=30,
).map("".join)


@pytest.mark.parametrize("kind", list(KINDS))
@settings(max_examples=300, deadline=None)
@given(texts=st.lists(hostile, min_size=1, max_size=4))
def test_the_ids_of_pieces_are_those_of_the_text(kind: str, texts: list[str]) -> None:
    tokenizer = KINDS[kind]
    assert suits(tokenizer)
    words = KnownWords(tokenizer)
    whole = [array("i", one.ids).tobytes() for one in tokenizer.encode_batch(texts, add_special_tokens=False)]
    assert words.encode(texts) == whole
    assert words.encode(texts) == whole, "and when they are known"


@given(hostile)
def test_pieces_join_to_the_text_and_begin_behind_what_is_no_white_space(text: str) -> None:
    cut = pieces(text)
    assert " ".join(cut) == text
    assert all(piece and not piece[-1].isspace() for piece in cut[:-1])


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_words, "_MAX_WORDS", 10)
    words = KnownWords(KINDS["gpt-2"])
    for number in range(30):
        words.encode([f"a{number} b{number} c{number}"])
        assert len(words._first) + len(words._behind) <= 10 + 3


def test_tokenizers_that_look_across_spaces_are_asked_for_whole_texts() -> None:
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

    bare = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    stripping = made()
    stripping.add_tokens([AddedToken("<x>", lstrip=True)])
    cutting = made()
    cutting.enable_truncation(5)
    others = {
        "a space in a token": made(added="<end of text>"),
        "a token that takes spaces": stripping,
        "truncation": cutting,
        "a space put first": made(cut=pre_tokenizers.ByteLevel(add_prefix_space=True)),
        "no cuts": made(cut=bare),
        "a pattern of its own": made(
            cut=pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\w+ \w+"), "isolated"), bare])
        ),
        "metaspace": made(cut=pre_tokenizers.Metaspace()),
        "a normalizer": made(normalizer=normalizers.Lowercase()),
        "dropout": Tokenizer(models.BPE(dropout=0.1)),
        "no byte-pair model": Tokenizer(models.WordLevel({"a": 0}, unk_token="a")),
        "nothing that cuts": Tokenizer(models.BPE()),
    }
    assert [name for name, tokenizer in others.items() if suits(tokenizer)] == []


def test_the_state_of_a_part_says_what_it_is() -> None:
    assert json.loads(KINDS["gpt-2"].pre_tokenizer.__getstate__())["type"] == "ByteLevel"
