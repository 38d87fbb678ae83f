"""Figures as a person reads them: durations, bytes, counts, losses; one way for every screen."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> float | None:
    """A finite number, or None for whatever else somebody may have written into a journal."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return found if math.isfinite(found) else None


def number(value: Any) -> str:
    """A loss or perplexity with four significant digits; "not finite" for what is no number."""
    found = finite(value)
    return "not finite" if found is None else f"{found:.4g}"


def duration(seconds: Any) -> str:
    """Seconds as "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"; a dash for what is not known."""
    seconds = finite(seconds)
    if seconds is None or seconds > 1e12:
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def size(count: Any) -> str:
    """Bytes as kB, MB or GB (powers of ten); a dash for what is not known."""
    count = finite(count)
    if count is None or count > 1e18:
        return "–"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}" if count < 1000 * scale else f"{count / scale:,.0f} {unit}"
    return f"{count:.0f} B"


def count(value: Any) -> str:
    """A whole number with thousands separated; a dash for what is not known."""
    found = finite(value)
    return "–" if found is None or abs(found) > 1e18 else f"{found:,.0f}"


def bar(share: float, width: int, *, plain: bool = False) -> str:
    """A bar of `width` cells filled to `share` (0..1), in eighths of a cell where the font allows."""
    share = min(1.0, max(0.0, share))
    if plain:
        return ("#" * round(share * width)).ljust(width, ".")
    eighths = round(share * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(width, "░")[:width]
