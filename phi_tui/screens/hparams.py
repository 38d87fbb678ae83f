"""Placeholder."""

from __future__ import annotations

from phi_tui.screens.frame import Frame


class HparamsScreen(Frame):
    """Placeholder."""

    NAME = "hparams"


SCREEN = HparamsScreen
