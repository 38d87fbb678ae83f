"""Placeholder."""

from __future__ import annotations

from phi_tui.screens.frame import Frame


class ModelScreen(Frame):
    """Placeholder."""

    NAME = "model"


SCREEN = ModelScreen
