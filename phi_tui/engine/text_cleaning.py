"""Texts made clean: the words of an HTML page without its marks, and one spelling for what looks the same.

Both take any text and time that grows with its length alone, whatever it holds: a page that somebody broke on purpose
must not stop the reading of a data set.
"""

from __future__ import annotations

import contextlib
import html
import re
import unicodedata
from typing import Literal

_HIDDEN = ("script", "style", "head", "template", "noscript")
_BLOCKS = frozenset(
    [
        "p", "div", "br", "hr", "li", "ul", "ol", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "table", "tr",
        "blockquote", "pre", "section", "article", "header", "footer", "aside", "nav", "main", "figure", "figcaption",
        "form", "fieldset", "address", "details", "summary", "title",
    ]
)  # fmt: skip
_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9:-]*)")
_QUOTE_OR_END = re.compile("[\"'>]")
_BLANKS = re.compile(r"[^\S\n]+")
_AROUND_LINES = re.compile(r" ?\n ?")
_MANY_LINES = re.compile(r"\n{3,}")
_INNER_BLANKS = re.compile(r"(?<=\S)[^\S\n]+")


def strip_html(text: str) -> str:
    """Return the text of an HTML fragment: no tags, scripts, styles or comments; entities as characters.

    Blocks become lines of their own and runs of white space one blank.  What only looks like HTML (`a < b`) stays.
    """
    if "<" not in text and "&" not in text:
        return text
    parts: list[str] = []
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters change length: then names in capitals are not found
        lowered = text
    at = 0
    while (start := text.find("<", at)) >= 0:
        parts.append(text[at:start])
        if text.startswith("<!--", start):
            end = text.find("-->", start + 4)
            at = end + 3 if end >= 0 else len(text)
            continue
        name = _NAME.match(text, start + 1)
        if name is None and not text.startswith(("<!", "<?"), start):
            parts.append("<")
            at = start + 1
            continue
        end = _tag_end(text, start)
        if end < 0:
            parts.append(text[start:])
            at = len(text)
            break
        at = end + 1
        tag = name[1].lower() if name else ""
        if tag in _BLOCKS:
            parts.append("\n")
        if tag in _HIDDEN and text[start + 1] != "/" and text[end - 1] != "/":
            closing = lowered.find(f"</{tag}", at)
            at = len(text) if closing < 0 else closing
    parts.append(text[at:])
    words = "".join(parts)
    with contextlib.suppress(ValueError):  # a number of more digits than Python reads
        words = html.unescape(words)
    words = _AROUND_LINES.sub("\n", _BLANKS.sub(" ", words.replace("\r", "\n")))
    return _MANY_LINES.sub("\n\n", words).strip()


def _tag_end(text: str, start: int) -> int:
    """Where the tag that begins at `start` ends; a `>` inside quotes is none.  -1 when it never ends."""
    at = start
    while (found := _QUOTE_OR_END.search(text, at)) and found[0] != ">":
        # No quoted value that matters is longer, and a quote that is never closed is no quote.
        closed = text.find(found[0], found.end(), found.end() + 4096)
        at = (closed if closed >= 0 else found.start()) + 1
    return found.start() if found else -1


def normalise(text: str, form: Literal["NFC", "NFKC"]) -> str:
    """Return `text` in a Unicode normal form, with plain white space.

    Lines end in a line feed alone, every kind of blank is a plain one, a run of them inside a line is one, none ends a
    line; what a line is indented by stays.
    """
    text = unicodedata.normalize(form, text).replace("\r\n", "\n").replace("\r", "\n")
    lines = (_INNER_BLANKS.sub(" ", _plain(line)).rstrip() for line in text.split("\n"))
    return "\n".join(lines).strip("\n")


def _plain(line: str) -> str:
    """Blanks of other kinds (no-break, thin, ideographic) as plain ones; tabs of the indentation stay."""
    return (
        "".join(" " if char.isspace() and char not in " \t" else char for char in line) if not line.isascii() else line
    )
