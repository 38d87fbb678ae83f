"""`python -m benchmarks.perplexity`: what an epoch of phi-tui is worth against an epoch of the guide's recipe.

Both train the same rows, drawn in the same order, as many a step and so as many steps, from the same seed, at the same
learning rate, each with the dropout of 0.05 that both name; the recipe adds its weight decay of 0.1.  What is compared
is the exact perplexity on validation rows that neither trained on, computed by phi-tui's evaluation for both, and the
peak memory up to the end of training.  Each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import prepared, results, texts, training

DROPOUT = 0.05
SPLIT = 0.8


def project(base: str, kind: str) -> Any:
    """The project of both arms."""
    return prepared.project(base, kind, dropout=DROPOUT, split=SPLIT)


def ours(base: str, kind: str, folder: Path) -> dict[str, Any]:
    """A run of the product with its own validation."""
    from benchmarks import own_arm

    watched, figures = own_arm.run(project(base, kind), folder)
    names = ("perplexity", "base_perplexity")
    return {"peak": watched.peak, "steps": len(watched.ended)} | {name: figures[name] for name in names}


def recipe(base: str, kind: str, folder: Path) -> dict[str, Any]:
    """The guide's recipe on the rows of the prepared project, evaluated by phi-tui."""
    from datasets import load_from_disk

    from benchmarks import own, peer_arms, watch

    made = prepared.job(project(base, kind), folder)
    given, watched = prepared.tokens(made, base), watch.Watched()
    model = peer_arms.guide(given, watched, folder / "recipe", made.plan.rows_per_step, DROPOUT)
    rows = load_from_disk(str(made.prepared.ready.folder))["validation"]
    found = own.evaluated(model, rows, made.precision)
    said = {"perplexity": found.perplexity, "precision": made.precision}
    return {"peak": watched.peak, "steps": len(watched.ended), **said}


def main() -> None:
    """Run both on each kind of rows and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.perplexity", description=__doc__)
    parser.add_argument("--base", required=True, help="folder of a llama-like base, such as SmolLM2-135M")
    parser.add_argument("--steps", type=int, default=16, help="optimiser steps of about 2,048 tokens in the epoch")
    parser.add_argument("--kinds", default="short,long", help=", ".join(texts.KINDS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("ARM", "KIND", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    base = str(Path(args.base).absolute())
    if args.one:
        arm, kind, name = args.one
        print("\n" + json.dumps((ours if arm == "phi-tui" else recipe)(base, kind, Path(name))))
        return
    made: list[results.Result] = []
    for kind in args.kinds.split(","):
        mean = {"short": 49, "long": 185}[kind.removesuffix("-random")]
        with tempfile.TemporaryDirectory() as place:
            prepared.write(texts.draw(kind, round(args.steps * 2048 / mean / SPLIT), base, seed=2), Path(place))
            call = [sys.executable, "-m", "benchmarks.perplexity", "--base", base, "--one"]
            found = {arm: training.last_line([*call, arm, kind, place]) for arm in ("phi-tui", "guide")}
        print(f"{kind:12} both in {found['guide']['precision']}")
        for arm, one in found.items():
            before = f", of the base {one['base_perplexity']:.4f}" if "base_perplexity" in one else ""
            print(
                f"{kind:12} {arm:8} {one['steps']} steps, perplexity {one['perplexity']:.4f}{before}, "
                f"peak {one['peak'] / 1e9:.2f} GB",
                flush=True,
            )
        for what, unit, key, scale in (
            ("validation perplexity", "", "perplexity", 1.0),
            ("peak memory of a run with evaluation", "GB", "peak", 1e-9),
        ):
            arms = {arm: [scale * one[key]] for arm, one in found.items()}
            made.append(results.Result(f"{what}, {kind} rows", unit, arms, more_is_better=False))
    print("\n".join(line for each in made for line in each.lines()))
    if args.out:
        results.keep(made, args.out)


if __name__ == "__main__":
    main()
