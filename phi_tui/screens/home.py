"""Placeholder."""

from __future__ import annotations

from phi_tui.screens.frame import Frame


class HomeScreen(Frame):
    """Placeholder."""

    NAME = "home"


SCREEN = HomeScreen
