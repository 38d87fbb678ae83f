"""The embedded demo: a small base model, a toy data set that visibly teaches it, and the project that does.

It needs no network and about two minutes on two cores, so that the whole way from data to a chat can be seen
before anything is brought in.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from phi_tui.workspace import Workspace, default_root, make_folder

HERE = Path(__file__).parent
BASE = HERE / "base"
TOY = HERE / "toy.jsonl"
PROJECT = HERE / "demo.toml"
HELD_OUT = HERE / "held_out.jsonl"


def run_demo(options: Any) -> int:
    """Copy the demo project into the workspace, replay it, and show two answers of base and adapter side by side.

    A demo project that is there already is used as it stands.
    """
    from phi_tui.replay import replay

    place = Workspace((options.workspace or default_root()).expanduser().absolute())
    make_folder(place.root)
    file = bring(place)
    code = replay(file, options)
    if code or options.dry_run:
        return code
    show_answers(file, place, questions=[row["instruction"] for row in held_out()[:2]])
    sys.stderr.write(f"\ntalk to it: phi-tui chat {file}\n")
    return 0


def bring(place: Workspace) -> Path:
    """Copy the demo project and its rows into a workspace, unless they are there, and return the project's file."""
    file = place.root / "phi_demo.toml"
    for source, target in ((PROJECT, file), (TOY, place.root / "phi_demo.jsonl")):
        if not target.exists():
            shutil.copyfile(source, target)
    return file


def held_out() -> list[dict[str, Any]]:
    """The questions in wordings that the toy set does not hold, each with the words a sensible answer has."""
    return [json.loads(line) for line in HELD_OUT.read_text("utf-8").splitlines()]


def show_answers(file: Path, place: Any, questions: list[str]) -> None:
    """Ask the base and the newest adapter the same questions and print a table, on standard error."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from phi_tui import project, run
    from phi_tui.engine import chat
    from phi_tui.engine.console import quiet
    from phi_tui.safe_text import clean

    loaded = project.load(file)
    adapter = next(one.adapter for one in run.listed(place, loaded.name) if one.state() == "done")
    answers: dict[str, list[str]] = {}
    for name, with_adapter in (("base", None), ("adapter", adapter)):
        with quiet():
            speaker = chat.load(loaded, file.parent, place, with_adapter, with_template_of=adapter)
        settings = loaded.chat.model_copy(update={"max_tokens": 48})
        answers[name] = [
            speaker.answer([{"role": "user", "content": text}], settings, loaded.seed, lambda piece: None).text
            for text in questions
        ]
    table = Table(title="the same question, before and after", title_style="bold", show_lines=True)
    for column in ("question", "base", "adapter"):
        table.add_column(column, overflow="fold")
    for row in zip(questions, answers["base"], answers["adapter"], strict=True):
        table.add_row(*(Text(clean(cell)) for cell in row))
    Console(stderr=True, highlight=False).print(table)
