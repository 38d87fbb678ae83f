"""`python -m benchmarks.start`: what one waits for: the help, the app in a workspace of 200 runs, a long journal.

The first paint is that of a real pseudo-terminal.  Attaching is measured on a journal of a million events, from the
start of `phi-tui attach` to the curve on the screen.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from terminal import Terminal, environment, phi_tui

from benchmarks import results
from phi_tui import demo, project
from phi_tui.workspace import Workspace


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def a_run(place: Workspace, number: int, steps: int) -> Path:
    """Write a finished run of so many steps into a workspace; returns its folder."""
    folder = place.runs("phi_demo") / f"20260101-{number:06d}"
    folder.mkdir(parents=True)
    frozen = project.load(demo.bring(place))
    (folder / "project.toml").write_text(project.text(frozen, defaults=True))
    with open(folder / "journal.jsonl", "w", encoding="utf-8") as book:
        numbers = itertools.count(1)

        def write(kind: str, **payload: object) -> None:
            book.write(json.dumps({"seq": next(numbers), "time": 1.7e9, "kind": kind, **payload}) + "\n")

        write("phase", name="start", steps=steps)
        for step in range(1, steps + 1):
            write(
                "step", step=step, steps=steps, epoch=step / steps, loss=2.0 + 1 / step, lr=1e-3, grad_norm=1.0,
                tokens=step * 100, tokens_per_second=900.0,
            )  # fmt: skip
        write("done", steps=steps, best_step=steps, train_loss=2.0, eval_loss=2.1, perplexity=8.2, seconds=60.0)
    return folder


def help_seconds() -> float:
    """Seconds of `phi-tui --help`."""
    return timed(lambda: subprocess.run(phi_tui("--help"), capture_output=True, check=True))


def first_paint(folder: Path) -> float:
    """Seconds to the first whole screen."""
    with Terminal(phi_tui("--workspace", folder), env=environment(folder)) as terminal:
        terminal.wait_for("1 Home", "Projects")
        taken = terminal.arrivals[-1][0] - terminal.started
        terminal.press("ctrl+q")
        terminal.end()
    return taken


def attaching(folder: Path, name: str, words: str) -> float:
    """Seconds until an attached app shows the run's state and its last step."""
    with Terminal(phi_tui("attach", name, "--workspace", folder), env=environment(folder)) as terminal:
        terminal.wait_for("done", words, seconds=60)
        taken = time.perf_counter() - terminal.started
        terminal.press("ctrl+q")
        terminal.end()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found: dict[str, list[float]] = {"phi-tui --help": [], "first paint": [], "attaching": []}
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as other:
        many, long = Workspace(Path(name)), Workspace(Path(other))
        for number in range(args.runs):
            a_run(many, number, 50)
        one = a_run(long, 1, args.events)
        for _ in range(args.repeats):
            found["phi-tui --help"].append(help_seconds())
            found["first paint"].append(first_paint(Path(name)))
            found["attaching"].append(
                attaching(Path(other), f"phi_demo/{one.name}", f"{args.events:,}/{args.events:,}")
            )
    made = [results.Result(what, "s", {"phi-tui": values}, more_is_better=False) for what, values in found.items()]
    print("\n".join(line for each in made for line in each.lines()))
    if args.out:
        results.keep(made, args.out)


if __name__ == "__main__":
    main()
