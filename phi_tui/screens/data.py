"""Placeholder."""

from __future__ import annotations

from phi_tui.screens.frame import Frame


class DataScreen(Frame):
    """Placeholder."""

    NAME = "data"


SCREEN = DataScreen
