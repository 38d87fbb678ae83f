"""Secrets struck out of what is written down: journals, logs, trackers.

A token reaches a log by way of an exception's text or a library's print.  So what goes into the journal, and what
Python code prints while a run is at work, loses whatever looks like a token and whatever is one of this process's own.
"""

from __future__ import annotations

import io
import os
import re
import sys

_SHAPES = re.compile(r"\b(hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{8,})|(?<=://)[^/@\s]+(?=@)")
"""Tokens of Hugging Face, OpenAI-like services and GitHub, and the user and password of an address."""
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "TRACKIO_WRITE_TOKEN")
"""Where tokens come from; their values are struck out whatever they look like."""
_SHORTEST = 8


def scrubbed(text: str) -> str:
    """Return `text` without anything that looks like a token, a password in an address, or a secret of this process."""
    for variable in VARIABLES:
        if len(secret := os.environ.get(variable, "")) >= _SHORTEST:
            text = text.replace(secret, "***")
    return _SHAPES.sub("***", text)


class _Scrubbing(io.TextIOWrapper):
    """A text stream that strikes secrets out before they are encoded."""

    def write(self, text: str) -> int:
        """Write one piece of text."""
        super().write(scrubbed(text))
        return len(text)


def scrub_output() -> None:
    """Let everything that Python code of this process prints from now on be scrubbed; descriptors stay as they are."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        getattr(sys, name).flush()
        raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115  lives as long as the process
        setattr(sys, name, _Scrubbing(raw, encoding="utf-8", errors="backslashreplace", write_through=True))
