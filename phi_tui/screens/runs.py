"""Placeholder."""

from __future__ import annotations

from phi_tui.screens.frame import Frame


class RunsScreen(Frame):
    """Placeholder."""

    NAME = "runs"


SCREEN = RunsScreen
