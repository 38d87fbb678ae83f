"""Placeholder."""

from __future__ import annotations

from phi_tui.screens.frame import Frame


class ChatScreen(Frame):
    """Placeholder."""

    NAME = "chat"


SCREEN = ChatScreen
