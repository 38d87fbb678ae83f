"""Small projects for tests: a workspace with a tiny base, a few rows, and a project file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny_bases

from phi_tui import journal, project
from phi_tui.engine import pipeline
from phi_tui.run import Run
from phi_tui.workspace import Workspace

_WORDS = [
    "one",
    "two",
    "three",
    "red",
    "blue",
    "green",
    "cat",
    "dog",
    "bird",
    "sun",
    "moon",
    "star",
    "tree",
    "stone",
    "river",
    "cloud",
]


def rows(count: int, *, start: int = 0) -> list[dict[str, str]]:
    """Distinct instruction rows of differing lengths that a tiny model can learn something from."""
    out = []
    for number in range(start, start + count):
        word, other = _WORDS[number % 16], _WORDS[(number // 16) % 16]
        out.append(
            {
                "instruction": f"Say {word} and {other} number {number}.",
                "input": "",
                "output": " ".join([word, other] * (1 + number % 5)),
            }
        )
    return out


def write_jsonl(path: Path, content: list[dict[str, Any]]) -> Path:
    """Write rows, one JSON object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in content), "utf-8")
    return path


def make(folder: Path, *, kind: str = "llama", count: int = 40, base: str | None = None, settings: str = "") -> Path:
    """Make a workspace in `folder` with a tiny base of `kind`, `count` rows and toy.toml; return the project file."""
    folder.mkdir(parents=True, exist_ok=True)
    if base is None:
        tiny_bases.make(kind, folder / "base")
        base = "base"
    write_jsonl(folder / "train.jsonl", rows(count))
    file = folder / "toy.toml"
    file.write_text(
        f'schema = 1\nname = "toy"\n[model]\nbase = "{base}"\n[data]\nmax_length = 64\n'
        '[[data.sources]]\npath = "train.jsonl"\n'
        f"[train]\nepochs = 2.0\nlearning_rate = 5e-3\nbatch_size = 4\ngrad_accum = 1\n{settings}\n",
        "utf-8",
    )
    return file


def execute(file: Path, *overrides: str, resume: bool = False, stop_at: int = 0, **more: Any) -> dict[str, Any]:
    """Run a project in this process; with `stop_at` a stop is asked for during that step."""
    seen = {"step": 0}

    def say(kind: str, /, **payload: Any) -> None:
        if kind == "step":
            seen["step"] = payload["step"]

    stopping: Callable[[], bool] = (
        (lambda: bool(stop_at) and seen["step"] >= stop_at - 1) if stop_at else (lambda: False)
    )
    loaded = project.load(file, tuple(overrides))
    return pipeline.execute(loaded, file.parent, Workspace(file.parent), say, stopping=stopping, resume=resume, **more)


def events(figures_or_run: dict[str, Any] | Run, kind: str = "") -> list[journal.Event]:
    """The journal of a run, or the events of one kind in it."""
    path = (
        figures_or_run.journal
        if isinstance(figures_or_run, Run)
        else Path(figures_or_run["adapter"]).parent / "journal.jsonl"
    )
    return [event for event in journal.read(path) if not kind or event["kind"] == kind]


def command(*args: object, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run `phi-tui` with `args` as a process of its own, with no input."""
    return subprocess.run(
        [sys.executable, "-m", "phi_tui", *map(str, args)],
        cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=300, **more,
    )  # fmt: skip
