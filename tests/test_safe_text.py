"""Nothing that a terminal would obey comes out of `clean`."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phi_tui.safe_text import clean

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@settings(max_examples=1000)
@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=200))
def test_no_control_character_survives(text: str) -> None:
    out = clean(text)
    for character in out:
        assert character in "\t\n" or unicodedata.category(character) not in ("Cc", "Cs"), repr(character)
        assert character not in BIDI
    assert len(out) == len(text)
    out.encode("utf-8")


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b]52;c;aGk=\x07",
        "\x9d52;c;aGk=\x9c",
        "\x1b[2J",
        "\x9b2J",
        "\x1b]8;;http://x\x1b\\y",
        "a\u202eb",
        "\x7f",
        "\r",
    ],
)
def test_escape_sequences_become_visible(hostile: str) -> None:
    out = clean(hostile, one_line=True)
    assert out.isprintable() or "\ufffd" in out
    assert "\x1b" not in out
    assert "\x9b" not in out


def test_plain_text_stays_as_it_is() -> None:
    text = "héllo\t世界 👩‍🚀\nφ = 1.618"
    assert clean(text) == text


def test_one_line_shows_newlines_and_limit_marks_the_cut() -> None:
    assert clean("a\nb", one_line=True) == "a\u240ab"
    assert clean("abcdef", limit=4) == "abc\u2026"
    assert clean(ValueError("x\x1b")) == "x\u241b"
