"""The looks offered: one golden of our own, dark, light, and two in the terminal's own sixteen colours."""

from __future__ import annotations

from textual.theme import Theme

GOLDEN = Theme(
    name="golden",
    primary="#d9a441",
    secondary="#8fb8a8",
    accent="#f2c76e",
    warning="#e0a030",
    error="#e0635a",
    success="#8fbf6b",
    foreground="#ece4d4",
    background="#12100c",
    surface="#1a1712",
    panel="#26211a",
    dark=True,
    variables={"footer-key-foreground": "#f2c76e", "input-selection-background": "#d9a441 35%"},
)

THEMES = {
    "golden": "golden",
    "dark": "textual-dark",
    "light": "textual-light",
    "ansi-dark": "ansi-dark",
    "ansi-light": "ansi-light",
}
"""The themes offered, by the name a person sees, and what the library calls them."""
