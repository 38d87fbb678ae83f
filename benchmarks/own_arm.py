"""The arm that is phi-tui: a whole run of the product on a turn's rows, watched through the events of its own journal.

Run as `python -m benchmarks.own_arm FOLDER`; prints a line of JSON, as `peer_arms` does.  Nothing of the product is
replaced: preparing, the plan, the trainer and what is kept are those of every run.  The clock of the loop starts when
the run says that it trains, so what the trainer sets up before its first step counts.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import time
from pathlib import Path
from typing import Any

from benchmarks import prepared, watch


def run(made: Any, folder: Path) -> tuple[watch.Watched, dict[str, Any]]:
    """Run a project whose rows lie in `folder`; returns what was watched and the figures that the run prints."""
    from phi_tui.engine import pipeline
    from phi_tui.workspace import Workspace

    watched = watch.Watched()

    def say(kind: str, /, **payload: Any) -> None:
        if kind == "phase" and payload["name"] == "load":
            watched.before = watch.forget_highest()
        elif kind == "phase" and payload["name"] == "train":
            watched.began = time.perf_counter()
        elif kind == "step":
            watched.ended.append(time.perf_counter())
            watched.tokens.append(payload["tokens"] - sum(watched.tokens))
            watched.losses.append(payload["loss"])

    figures = pipeline.execute(made, folder, Workspace(folder), say)
    watched.peak = watch.highest()
    return watched, figures


def main() -> None:
    """Run the arm and print its figures as a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_arm", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    from phi_tui.project import parse, text

    given = json.loads((args.folder / "tokens.json").read_text("utf-8"))
    batching = {name: given[name] for name in ("batch_size", "grad_accum")}
    made = prepared.project(given["base"], given["kind"], dropout=args.dropout, evaluate=False, **batching)
    if args.set:
        made = parse(text(made), overrides=tuple(args.set))
    watched, _ = run(made, args.folder)
    figures = watched.figures()
    figures["versions"] = {
        name: importlib.metadata.version(name) for name in ("phi-tui", "torch", "transformers", "peft")
    }
    print("\n" + json.dumps(figures))


if __name__ == "__main__":
    main()
