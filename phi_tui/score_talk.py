"""`phi-tui chat` for a project that trains a head: each line is a text, and what comes back is its scores."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from phi_tui.errors import InputError
from phi_tui.safe_text import clean
from phi_tui.schema import Project
from phi_tui.workspace import Workspace


def score_talk(
    project: Project,
    root: Path,
    place: Workspace,
    trained: Any,
    prompt: str | None,
    read: Callable[[], str | None],
) -> int:
    """Score `prompt`, or every line that `read` gives, by the run `trained`; return the exit code.

    A line of standard output is a class and its probability with a tab between, likeliest first, or the number.
    """
    if trained is None:
        raise InputError("the bare base has no trained head to score a text with", fix="leave --base out")
    from phi_tui.engine import scorer
    from phi_tui.engine.console import quiet

    with quiet():
        head = scorer.load(project, root, place, trained.adapter)
    if prompt is None and sys.stdin.isatty():
        hint = f"run {trained.id}, {head.labels.task}. Type a text to score it; Ctrl+D ends."
        Console(stderr=True, highlight=False).print(Text(hint, style="dim"))
    while True:
        text = prompt if prompt is not None else read()
        if text is None:
            return 0
        if text.strip():
            found = head.score(text)
            if found.value is not None:
                sys.stdout.write(f"{found.value:.6g}\n")
            for name, share in found.scores:
                sys.stdout.write(f"{clean(name, one_line=True)}\t{share:.4f}\n")
            sys.stdout.flush()
            if found.cut:
                sys.stderr.write(f"({found.cut} tokens beyond data.max_length were not read)\n")
        if prompt is not None:
            return 0
