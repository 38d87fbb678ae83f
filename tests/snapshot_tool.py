"""Snapshots of the screen that a person can read: the text, and under it how each line is styled, by role.

A colour is named by the part that it plays in the theme ($primary is `primary`, a mix of theme colours the nearest one
with a `~`), one of the terminal's own by its name, a grey by how light it is.  So a shade that moves changes nothing,
and a word that turns from good to bad does.  PHI_TUI_UPDATE_SNAPSHOTS=1 rewrites the files instead of comparing.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.color import Color, ColorType
from rich.segment import Segment
from rich.style import Style

SNAPSHOTS = Path(__file__).parent / "snapshots"

_ROLES = (
    "foreground", "background", "primary", "secondary", "accent", "warning", "error", "success", "surface", "panel",
)  # fmt: skip
_ANSI = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_ATTRIBUTES = ("bold", "dim", "italic", "underline", "reverse", "strike")


def text_of(app: Any) -> list[str]:
    """The screen's lines, what lies behind a dialog too."""
    return ["".join(segment.text for segment in line).rstrip() for line in _lines(app)]


def styles_of(app: Any) -> list[str]:
    """A line for each line of the screen that has a style other than the plain one: `4: 2-9 bold primary`.

    Columns count from 0, the last one is the last that has the style; `on` names the background.
    """
    roles = {}
    for name in _ROLES:
        value = str(app.theme_variables.get(name, "")).lower()
        if value.startswith("#") and len(value) == 7:
            roles.setdefault(_rgb(value), name)
    told = []
    for number, segments in enumerate(_lines(app)):
        runs = _runs(segments, roles)
        if runs:
            told.append(f"{number:>2}: " + "; ".join(runs))
    return told


def compare(name: str, parts: Mapping[str, Iterable[str]]) -> None:
    """Fail with a readable difference when `parts` are not what the file `name` holds; write it where asked to."""
    text = "".join(f"== {title}\n" + "".join(f"{line}\n" for line in lines) for title, lines in parts.items())
    file = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("PHI_TUI_UPDATE_SNAPSHOTS") == "1":
        SNAPSHOTS.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
        return
    if not file.is_file():
        pytest.fail(f"{file.name} is not there; PHI_TUI_UPDATE_SNAPSHOTS=1 writes it", pytrace=False)
    before = file.read_text("utf-8")
    if before != text:
        lines = difflib.unified_diff(
            before.splitlines(), text.splitlines(), "as kept", "as drawn now", lineterm="", n=2
        )
        pytest.fail(
            f"{file.name} differs; PHI_TUI_UPDATE_SNAPSHOTS=1 keeps what is drawn now\n" + "\n".join(lines),
            pytrace=False,
        )


def _lines(app: Any) -> list[list[Segment]]:
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    return [[segment for strip in strips for segment in strip] for strips in update.strips]


def _runs(segments: list[Segment], roles: dict[tuple[int, int, int], str]) -> list[str]:
    runs: list[tuple[int, int, str]] = []
    at = 0
    for segment in segments:
        words, start, at = _words(segment, roles), at, at + segment.cell_length
        if runs and runs[-1][2] == words and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], at, words)
        else:
            runs.append((start, at, words))
    return [f"{start}-{end - 1} {words}" for start, end, words in runs if words]


def _words(segment: Segment, roles: dict[tuple[int, int, int], str]) -> str:
    style = segment.style or Style()
    words = [name for name in _ATTRIBUTES if getattr(style, name)]
    if segment.text.isspace():  # nothing is drawn in the foreground's colour
        words = [name for name in words if name in ("underline", "reverse", "strike")]
        fore = ""
    else:
        fore = _role(style.color, roles)
    back = _role(style.bgcolor, roles)
    # The lightest greys and the darkest ones are what foreground and background are without colours.
    words += [fore] if fore not in ("", "foreground", "grey4", "grey5") else []
    words += [f"on {back}"] if back not in ("", "background", "grey0") else []
    return " ".join(words)


def _role(color: Color | None, roles: dict[tuple[int, int, int], str]) -> str:
    if color is None or color.type is ColorType.DEFAULT:
        return ""
    if color.type is not ColorType.TRUECOLOR or color.triplet is None:
        return _ANSI[color.number] if color.number is not None and color.number < len(_ANSI) else color.name
    rgb = tuple(color.triplet)
    red, green, blue = rgb
    if red == green == blue and rgb not in roles:
        return f"grey{round(red / 51)}"
    if not roles:
        return color.name  # a colour of its own in a theme that has none
    if rgb in roles:
        return roles[rgb]
    nearest = min(roles, key=lambda one: sum((a - b) ** 2 for a, b in zip(one, rgb, strict=True)))
    distance = max(abs(a - b) for a, b in zip(nearest, rgb, strict=True))
    return roles[nearest] if distance <= 2 else f"~{roles[nearest]}"


def _rgb(value: str) -> tuple[int, int, int]:
    return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)
