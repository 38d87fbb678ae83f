"""What a head says of a text, drawn: a bar for each class, likeliest first, or one number.

Names are foreign text and cleaned; how much is told by the number beside the bar too, never by colour or length alone.
"""

from __future__ import annotations

import os
from typing import Any

from textual.content import Content

from phi_tui.figures import bar, finite
from phi_tui.safe_text import clean
from phi_tui.widgets.chart import charset_for

MOST = 20
"""Classes that are drawn; the rest is counted."""
_BAR = 16
_NAME = 24


def is_score(payload: dict[str, Any]) -> bool:
    """Whether a reply is a score and no words."""
    return isinstance(payload.get("scores"), list) or finite(payload.get("value")) is not None


def pairs(payload: dict[str, Any]) -> list[tuple[str, float]]:
    """The classes with their probabilities as they came, without what is none."""
    found = []
    for pair in payload.get("scores") or ():
        if isinstance(pair, (list, tuple)) and len(pair) == 2 and (share := finite(pair[1])) is not None:
            found.append((str(pair[0]), share))
    return found


def plain(payload: dict[str, Any]) -> str:
    """The scores as lines of text, to be copied and saved: a class and its probability, or the number."""
    value = finite(payload.get("value"))
    if value is not None:
        return f"{value:.6g}"
    return "\n".join(f"{name}  {share:.4f}" for name, share in pairs(payload))


def content(payload: dict[str, Any]) -> Content:
    """The scores as they are drawn; the class that is said (all from one half on, for several) is bold."""
    value = finite(payload.get("value"))
    if value is not None:
        return Content.styled(f"{value:.6g}", "bold")
    found = pairs(payload)
    shown = [(clean(name, one_line=True, limit=_NAME), share) for name, share in found[:MOST]]
    width = max((len(name) for name, _ in shown), default=0)
    ascii_only = charset_for(os.environ) == "ascii"
    best = found[0][1] if found else 0.0
    lines = []
    for name, share in shown:
        said = share >= 0.5 or share == best
        lines.append(
            Content.assemble(
                (f"{name:<{width}} ", "bold" if said else ""),
                (bar(share, _BAR, plain=ascii_only), "$primary" if said else "dim"),
                (f" {share:6.1%}", "bold" if said else ""),
            )
        )
    if len(found) > MOST:
        lines.append(Content.styled(f"and {len(found) - MOST} less likely ones; ctrl+s saves all", "dim"))
    return Content("\n").join(lines)
