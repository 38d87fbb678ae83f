"""The one function through which foreign text must go before a terminal sees it.

Rows, models, file names and exception texts may carry escape sequences (OSC 52 writes the clipboard), C1
controls, bidirectional overrides that reorder what is read, and lone surrogates that crash an encoder.
`clean` replaces each by something visible; it never drops a character silently.  Markup is not its concern:
callers print with markup off.
"""

from __future__ import annotations

import re

_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f"  # C0 but tab and newline, and DEL
    "\x80-\x9f"  # C1: in many terminals 0x9b is CSI and 0x9d is OSC
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks, embeddings, overrides, isolates
    "\u2028\u2029"  # line and paragraph separators
    "\ufff9-\ufffb\U000e0000-\U000e007f"  # interlinear annotation, tag characters
    "\ud800-\udfff"  # lone surrogates
    "]"
)
_HIDDEN_ON_ONE_LINE = re.compile(_HIDDEN.pattern[:-1] + "\t\n]")


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x7F:
        return "\u2421"
    return chr(0x2400 + code) if code < 0x20 else "\ufffd"


def clean(text: object, *, one_line: bool = False, limit: int = 0) -> str:
    """Return `text` with every control character replaced by a visible stand-in.

    C0 controls become their control pictures (U+2400 to U+2421), everything else U+FFFD.  Tab and newline stay
    unless `one_line`.  `limit` (in characters, 0 for none) cuts the rest off and marks the cut with an ellipsis.
    """
    whole = text if isinstance(text, str) else str(text)
    if limit and len(whole) > limit:
        whole = whole[: limit - 1] + "\u2026"
    return (_HIDDEN_ON_ONE_LINE if one_line else _HIDDEN).sub(_visible, whole)
