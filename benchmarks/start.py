"""`python -m benchmarks.start`: what one waits for: the help, the app in a workspace of 200 runs, a long journal.

The first paint and attaching are those of a real pseudo-terminal, as in `benchmarks.app`; attaching is to the journal
of a finished run of a million steps, until its last step is on the screen.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import app, results
from phi_tui.workspace import Workspace


def help_seconds() -> float:
    """Seconds of `phi-tui --help`."""
    started = time.perf_counter()
    subprocess.run(app.phi_tui("--help"), capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as many, tempfile.TemporaryDirectory() as long:
        for _ in range(args.runs):
            app.a_run(Workspace(Path(many)), 50)
        found = {
            "phi-tui --help": [help_seconds() for _ in range(args.repeats)],
            f"first paint, {args.runs} runs": app.first_paint(Path(many), args.repeats)["all"],
            f"attaching, {args.events:,} events": app.attaching(Path(long), args.repeats, args.events)["all"],
        }
    made = [results.Result(what, "s", {"phi-tui": values}, more_is_better=False) for what, values in found.items()]
    print("\n".join(line for each in made for line in each.lines()))
    if args.out:
        results.keep(made, args.out)


if __name__ == "__main__":
    main()
