"""Placeholder."""

from __future__ import annotations

from phi_tui.screens.frame import Frame


class TrainScreen(Frame):
    """Placeholder."""

    NAME = "train"


SCREEN = TrainScreen
