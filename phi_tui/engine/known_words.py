"""Token ids of texts, word by word: what a word became once is looked up the next time.

A byte-pair tokenizer cuts a text into words before it looks at any, and each word's ids depend on that word alone.
Where it is certain that a cut falls before a space, the text can be taken apart there and the ids of the pieces laid
end to end: they are those of the whole text.  That is a lookup a word where the library spends some two microseconds a
token, most of it on finding the cuts.  Which tokenizers are so is decided from what they are made of (`suits`); all
others are asked for whole texts.

The proof, for the patterns in `_WORDS` and that of GPT-2: each alternative matches either white space alone, or at most
one leading character and then no space.  So a match that begins with something else than white space ends before the
next space at the latest, and a space behind a character that is no white space always begins a new word.  What the
words before that space are does not depend on it either: the only look-ahead of the patterns stands behind white space.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from typing import Any

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = tuple(
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|" + number + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for number in (r"\p{N}{1,3}", r"\p{N}")
)
"""The patterns of the Llama 3 and Qwen 2 families; that of GPT-2 is built into the library."""
_MAX_WORDS = 100_000
_MAX_CHARACTERS = 4_000_000
"""What is held at most, some 30 MB: then all is forgotten, which costs less than to choose."""


def suits(backend: Any) -> bool:
    """Whether a `tokenizers.Tokenizer` gives a text's ids piece by piece, for pieces cut as they are cut here."""
    from tokenizers import models

    if not isinstance(backend.model, models.BPE) or backend.model.dropout:
        return False
    if backend.truncation is not None or backend.padding is not None:
        return False
    if backend.normalizer is not None and _state(backend.normalizer) != {"type": "NFC"}:
        return False  # NFC joins nothing across a space
    for token in backend.get_added_tokens_decoder().values():
        # Added tokens are found before all else: one that holds a space, or takes one beside it, may lie across a cut.
        if token.lstrip or token.rstrip or token.single_word or any(mark.isspace() for mark in token.content):
            return False
    return backend.pre_tokenizer is not None and _cuts_before_spaces(_state(backend.pre_tokenizer))


def _state(part: Any) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(part.__getstate__())
    return state


def _cuts_before_spaces(state: dict[str, Any]) -> bool:
    steps = state["pretokenizers"] if state["type"] == "Sequence" else [state]
    if len(steps) == 2 and steps[0]["type"] == "Digits":  # what cuts more often leaves the other cuts where they are
        steps = steps[1:]
    if not steps or steps[-1]["type"] != "ByteLevel" or steps[-1]["add_prefix_space"]:
        return False
    if len(steps) == 1:
        return bool(steps[0].get("use_regex", True))
    first = {"type": "Split", "behavior": "Isolated", "invert": False}
    known = [first | {"pattern": {"Regex": pattern}} for pattern in _WORDS]
    return len(steps) == 2 and steps[0] in known and steps[1].get("use_regex") is False


class KnownWords:
    """Encodes texts with a tokenizer that `suits`, and remembers the ids of their words."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._first: dict[str, bytes] = {}
        """Pieces that begin a text."""
        self._behind: dict[str, bytes] = {}
        """Pieces behind a space, without it."""
        self._characters = 0

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """Return the ids of each text as int32 in native order, without what the tokenizer puts around a text."""
        if len(self._first) + len(self._behind) > _MAX_WORDS or self._characters > _MAX_CHARACTERS:
            self._first, self._behind, self._characters = {}, {}, 0
        cut = [pieces(text) for text in texts]
        firsts, behinds = set(), set()
        for first, *behind in cut:
            firsts.add(first)
            behinds.update(behind)
        self._learn(sorted(firsts - self._first.keys()), self._first, "")
        self._learn(sorted(behinds - self._behind.keys()), self._behind, " ")
        first_of, behind_of = self._first, self._behind.__getitem__
        return [b"".join((first_of[first], *map(behind_of, behind))) for first, *behind in cut]

    def _learn(self, new: list[str], into: dict[str, bytes], before: str) -> None:
        if new:
            found = self._backend.encode_batch_fast([before + piece for piece in new], add_special_tokens=False)
            for piece, encoding in zip(new, found, strict=True):
                into[piece] = array("i", encoding.ids).tobytes()
                self._characters += len(piece)


_SPACES = [chr(code) for code in (*range(0x3001), 0x180E) if chr(code).isspace() or code == 0x180E]
"""White space, to Python and to some versions of Unicode."""
_PAIRS = [mark + " " for mark in _SPACES]
_ASCII_PAIRS = [pair for pair in _PAIRS if pair.isascii()]


def pieces(text: str) -> list[str]:
    """Cut a text at every space behind a character that is no white space; the space itself is in no piece."""
    cut = text.split(" ")
    if not cut[0] or any(pair in text for pair in (_ASCII_PAIRS if text.isascii() else _PAIRS)):
        out = [cut[0]]
        for piece in cut[1:]:
            if not out[-1] or out[-1][-1] in _SPACES:
                out[-1] += " " + piece
            else:
                out.append(piece)
        return out
    return cut
