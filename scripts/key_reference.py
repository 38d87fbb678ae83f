"""Write the keys into docs/app.md from the bindings, so that the guide cannot drift from what the app listens to.

`python scripts/key_reference.py` rewrites the part of the page between its two marks; a test compares it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from textual.binding import Binding

import phi_tui.screens
import phi_tui.widgets
from phi_tui.app import PhiApp

PAGE = Path(__file__).parent.parent / "docs" / "app.md"
BEGIN, END = "<!-- keys: made by scripts/key_reference.py -->\n", "<!-- end of keys -->\n"

PARTS = {
    "app": "Everywhere", "go": "", "guide": "", "screen": "", "home": "Home", "model": "Model", "detail": "",
    "data": "Data", "add": "", "browse": "", "tree": "", "path": "", "columns": "", "findings": "", "split": "",
    "lengths": "", "tokens": "", "row": "", "transforms": "", "transform": "",
    "hparams": "Params", "form": "", "field": "", "choices": "", "consequences": "", "train": "Train", "chart": "",
    "chat": "Chat", "voices": "", "chat-settings": "", "chat-template": "", "runs": "Runs", "help": "Help",
    "list": "Lists, tables and dialogs", "table": "", "dialog": "",
}  # fmt: skip
"""The first part of a binding's id and the heading that it comes under; empty: under the one before."""

_NAMES = {
    "question_mark": "?", "slash": "/", "left_square_bracket": "[", "right_square_bracket": "]", "plus": "+",
    "minus": "-", "equals_sign": "=", "comma": ",", "full_stop": ".",
}  # fmt: skip


def bindings() -> Iterator[Binding]:
    """Every binding of the app, its screens and its widgets that has an id, in the order of the files."""
    classes: list[type] = [PhiApp]
    for package in (phi_tui.screens, phi_tui.widgets):
        for module in pkgutil.iter_modules(package.__path__):
            found = importlib.import_module(f"{package.__name__}.{module.name}")
            own = (one for one in vars(found).values() if isinstance(one, type))
            classes += [one for one in own if one.__module__ == found.__name__]
    seen: set[str] = set()
    for one in classes:
        for binding in one.__dict__.get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id and binding.id not in seen:
                seen.add(binding.id)
                yield binding


def keys() -> str:
    """Return the keys as Markdown tables."""
    grouped: dict[str, list[Binding]] = {}
    heading, headings = "", {}
    for part, words in PARTS.items():
        heading = words or heading
        headings[part] = heading
    for binding in bindings():
        part = str(binding.id).partition(".")[0]
        grouped.setdefault(headings.get(part, PARTS["list"]), []).append(binding)
    lines: list[str] = []
    for heading in dict.fromkeys(headings.values()):
        if found := grouped.get(heading):
            lines += [f"### {heading}", "", "| key | what | id |", "| --- | --- | --- |"]
            lines += [f"| {_shown(one)} | {_what(one)} | `{one.id}` |" for one in found]
            lines.append("")
    return "\n".join(lines)


def page(before: str) -> str:
    """Return the page with its keys made anew."""
    head, _, rest = before.partition(BEGIN)
    return head + BEGIN + "\n" + keys() + "\n" + END + rest.partition(END)[2]


def _shown(binding: Binding) -> str:
    names = (key.strip() for key in binding.key.split(","))
    return " ".join(f"`{_NAMES.get(name, name)}`" for name in names)


def _what(binding: Binding) -> str:
    words = binding.description
    if binding.tooltip and binding.tooltip != words:
        words += f": {binding.tooltip[0].lower()}{binding.tooltip[1:]}" if words else binding.tooltip
    return words.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
