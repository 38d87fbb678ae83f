"""Numbers of models as a person reads them: parameters, bytes, tokens, time; short, and never wider than said."""

from __future__ import annotations

import math

from rich.cells import cell_len, set_cell_size

from phi_tui.safe_text import clean


def count(number: int | None) -> str:
    """Parameters in at most five characters: 2.8M, 134M, 1.3B; empty when unknown."""
    if not number:
        return ""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if number >= size * 0.9995:
            scaled = number / size
            return f"{scaled:.1f}{unit}" if scaled < 99.95 and unit != "K" else f"{min(scaled, 9999):.0f}{unit}"
    return str(number)


def size(number: float) -> str:
    """Bytes with a decimal unit: 950 B, 12.3 MB, 577 MB, 5.8 GB; seven characters at most."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= limit:
            scaled = number / limit
            return f"{scaled:.1f} {unit}" if scaled < 99.95 else f"{scaled:.0f} {unit}"
    return f"{number:.0f} B"


def part(done: float, whole: float) -> str:
    """So many of so many bytes in one unit: 1.2 of 3.4 GB."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if max(done, whole) >= limit:
            return f"{done / limit:.1f} of {whole / limit:.1f} {unit}"
    return f"{done:.0f} of {whole:.0f} B"


def tokens(number: int | None) -> str:
    """A context length in at most five characters: 512, 2k, 128k."""
    if not number:
        return ""
    if number < 1024:
        return str(number)
    return f"{number / 1024:.0f}k" if number < 1024 * 1024 else f"{number / 1024 / 1024:.0f}M"


def duration(seconds: float | None) -> str:
    """A time left: 40 s, 12 min, 3 h 05; empty when unknown."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d}"


def cut(text: str, cells: int) -> str:
    """A text on one line, safe, exactly `cells` wide; an ellipsis where it was cut."""
    whole = clean(text, one_line=True, limit=max(1, cells * 4))
    if cell_len(whole) <= cells:
        return set_cell_size(whole, cells)
    return set_cell_size(whole, cells - 1) + "…" if cells > 0 else ""


def name(title: str, cells: int) -> str:
    """A model's name exactly `cells` wide; the organisation goes first where there is no room."""
    if cell_len(title[:400]) > cells and "/" in title:
        title = title.rpartition("/")[2] or title
    return cut(title, cells)
