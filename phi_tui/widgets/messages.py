"""The messages that cross from threads to the screen: small words that something changed, never the thing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textual.message import Message

from phi_tui.child import Reply


@dataclass
class Replied(Message):
    """A child process answered a request of this screen; `tag` says which kind of request it was."""

    tag: str
    reply: Reply


@dataclass
class Found(Message):
    """A thread of this screen found something out: `what` it was asked for and the result."""

    what: str
    result: Any


@dataclass
class RunChanged(Message, bubble=False):
    """The followed run has new events; the store holds them."""

    run: str
    """The run's id."""


@dataclass
class Flawed(Message):
    """Something in the settings does not fit, as a thread found out."""

    flaw: str


@dataclass
class RunsSeen(Message):
    """The list of runs was read again; the app holds it."""

    live: int
