"""The rows of a prepared data set as the trainer gets them: every token with its own text, and which carry loss.

Decoding token by token tears characters of several bytes apart and loses the spaces between pieces, so the pieces
are taken apart the way the usual decoders join them, and the result is held against the decoded row; where it
differs, the slow way through the decoder itself is taken.  So the texts of a row always join to the decoded row.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["prompt", "trained", "special", "special-trained"]
MAX_SHOWN = 4096
"""Tokens of a row that are shown."""
_UNTRAINED = -100
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u2581"
_LOST = "\ufffd"


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a row: its text in place, its id, and whether it is predicted.

    A character of several tokens is the text of the first of them; that of the others is empty.
    """

    text: str
    id: int
    kind: Kind


class Viewer:
    """Takes rows of ids and labels apart for one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {})
        self._special = set(tokenizer.all_special_ids) | {place for place, token in added.items() if token.special}
        self._pieces: dict[int, str] = {}

    def tokens(self, ids: Sequence[int], labels: Sequence[int]) -> list[Token]:
        """Return the tokens of one row; a token is trained when it is predicted, which the first never is."""
        out = []
        for at, (text, token, label) in enumerate(zip(self.texts(ids), ids, labels, strict=True)):
            trained = at > 0 and label != _UNTRAINED
            if token in self._special:
                kind: Kind = "special-trained" if trained else "special"
            else:
                kind = "trained" if trained else "prompt"
            out.append(Token(text, token, kind))
        return out

    def texts(self, ids: Sequence[int]) -> list[str]:
        """Return the text of each token; together they are the decoded row."""
        whole = self._decoded(ids)
        pieces = [self._piece(token) for token in ids]
        for texts in (_of_bytes([_byte_level(piece) for piece in pieces]), _of_pieces(pieces)):
            joined = "".join(texts)
            if joined == whole:
                return texts
            if joined == f" {whole}":  # the space that such tokenizers put before every text
                first = next(place for place, text in enumerate(texts) if text)
                return [*texts[:first], texts[first][1:], *texts[first + 1 :]]
        return self._of_prefixes(ids, whole)

    def _piece(self, token: int) -> str:
        if token not in self._pieces:
            self._pieces[token] = str(self._tokenizer.convert_ids_to_tokens(token) or "")
        return self._pieces[token]

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _of_prefixes(self, ids: Sequence[int], whole: str) -> list[str]:
        """Cut the decoded row where the decoded prefixes end: right for any decoder, in quadratic time."""
        ends = [0]
        for count in range(1, len(ids)):
            shown = self._decoded(ids[:count])
            ends.append(max(ends[-1], _common(shown, whole)))
        ends.append(len(whole))
        texts = [whole[start:end] for start, end in itertools.pairwise(ends)]
        first = None
        for place, text in enumerate(texts):
            if not text:
                first = place if first is None else first
            elif first is not None:  # a character that took several tokens stands at the first of them
                texts[first], texts[place] = text, ""
                first = None
        return texts


def _byte_level_table() -> dict[str, int]:
    """The characters that stand for bytes in byte-level BPE: printable ones for themselves, the others from U+0100 on.

    Radford et al. 2019, the encoder of GPT-2.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + at): byte for at, byte in enumerate(others)}


_TABLE = _byte_level_table()


def _byte_level(piece: str) -> bytes:
    """The bytes of a piece; one that holds other characters (an added token) is its own text."""
    try:
        return bytes(_TABLE[character] for character in piece)
    except KeyError:
        return piece.encode("utf-8", "surrogatepass")


def _of_bytes(pieces: Sequence[bytes]) -> list[str]:
    """Decode pieces of UTF-8 as one text; each character belongs to the piece in which it begins."""
    texts = [""] * len(pieces)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    begun: int | None = None  # the piece in which an unfinished character began
    for place, piece in enumerate(pieces):
        if begun is None:
            try:
                texts[place] = piece.decode("utf-8")
                continue
            except UnicodeDecodeError:
                pass
        for byte in piece:
            out = decoder.decode(bytes([byte]))
            if out and begun is not None:
                texts[begun] += out[0]
                out, begun = out[1:], None
            texts[place] += out
            if begun is None and decoder.getstate()[0]:
                begun = place
    if begun is not None:
        texts[begun] += decoder.decode(b"", final=True)
    return texts


def _of_pieces(pieces: Sequence[str]) -> list[str]:
    """Decode pieces of the SentencePiece kind: a mark for each space, and bytes where the vocabulary has no character.

    A run of bytes that is no UTF-8 is shown as one replacement character a byte, as the decoder does.
    """
    texts: list[str] = []
    for is_bytes, run in itertools.groupby(pieces, key=lambda piece: bool(_BYTE.fullmatch(piece))):
        held = list(run)
        if not is_bytes:
            texts += [piece.replace(_SPACE, " ") for piece in held]
            continue
        values = [bytes([int(piece[3:5], 16)]) for piece in held]
        try:
            b"".join(values).decode("utf-8")
            texts += _of_bytes(values)
        except UnicodeDecodeError:
            texts += [_LOST] * len(values)
    return texts


def _common(one: str, other: str) -> int:
    """Length of the longest common beginning."""
    limit = min(len(one), len(other))
    if one[:limit] == other[:limit]:
        return limit
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low
