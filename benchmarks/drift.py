"""`python -m benchmarks.drift`: whether a long run grows: its resident memory after 100 steps and after 1,000.

A run of the product on short rows, of a few tokens a step, so that a thousand steps take minutes.  Compared is the
median over the ten steps from each of the two on: memory goes up and down a little from step to step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import prepared, results, texts, training, watch

EARLY, LATE, OVER = 100, 1000, 10


def held(base: str, folder: Path) -> dict[int, int]:
    """Resident bytes after each step of a run on the rows in a folder."""
    from phi_tui.engine import pipeline
    from phi_tui.workspace import Workspace

    found: dict[int, int] = {}

    def say(kind: str, /, **payload: Any) -> None:
        if kind == "step":
            found[payload["step"]] = watch.resident()

    project = prepared.project(
        base, "short", dropout=0.05, evaluate=False, max_steps=LATE + OVER, batch_size=1, grad_accum=1
    )
    pipeline.execute(project.model_copy(update={"name": "drift"}), folder, Workspace(folder), say)
    return found


def main() -> None:
    """Run it and print what was held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--base", required=True, help="folder of a llama-like base, such as SmolLM2-135M")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    base = str(Path(args.base).absolute())
    if args.one:
        print("\n" + json.dumps(held(base, args.one)))
        return
    with tempfile.TemporaryDirectory() as name:
        prepared.write(texts.draw("short", 400, base, seed=3), Path(name))
        found = training.last_line([sys.executable, "-m", "benchmarks.drift", "--base", base, "--one", name])
    of = {at: statistics.median(found[str(step)] for step in range(at, at + OVER)) / 1e9 for at in (EARLY, LATE)}
    arms = {f"after {LATE} steps": [of[LATE]], f"after {EARLY} steps": [of[EARLY]]}
    made = results.Result("resident memory of a run", "GB", arms, more_is_better=False)
    print("\n".join(made.lines()))
    print(f"{of[LATE] / of[EARLY] - 1:+.1%} from step {EARLY} to step {LATE}")
    if args.out:
        results.keep([made], args.out)


if __name__ == "__main__":
    main()
