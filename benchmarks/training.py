"""`python -m benchmarks.training`: tokens a second and peak memory of training, phi-tui and others on the same rows.

Every arm trains one epoch of the same rows and labels with the same LoRA (rank 16 on q, k, v, o) on the same base, in a
process of its own; the arms take turns, and each turn has other rows.  Counted are the tokens of the rendered rows
without padding over the seconds of the training loop, its first two steps apart; the rate of the whole loop is in the
JSON too.  An arm takes as many rows a step as phi-tui plans (LLaMA-Factory as many tokens, in packs of 1,024), but for
the guide's recipe, which says 8.  Peak memory is the process's highest resident size from just before its model is
loaded on.  `texts` says what the rows are; an arm whose peer is not installed is left out and named (`peers`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import peers, results, texts

ARMS = (
    "phi-tui",
    "phi-tui, dropout 0.05",
    "LLaMA-Factory",
    "LLaMA-Factory, neat",
    "guide",
    "TRL, best",
    "TRL, defaults",
)
"""`neat` keeps the rows of a pack apart, as phi-tui does; without it a row sees those before it in its pack."""
ROOT = Path(__file__).parent.parent


def command(arm: str, folder: Path, environments: Path) -> list[str] | None:
    """How an arm is run on the rows in a folder; None where its peer is not installed."""
    if arm.startswith("phi-tui"):
        dropout = ["--dropout", arm.rpartition(" ")[2]] if "dropout" in arm else []
        return [sys.executable, "-m", "benchmarks.own_arm", str(folder), *dropout]
    peer = {"LLaMA-Factory": "llamafactory", "TRL": "trl"}.get(arm.partition(",")[0])
    python = peers.python(environments, peer) if peer else Path(sys.executable)
    return [str(python), "-m", "benchmarks.peer_arms", arm, str(folder)] if python else None


def last_line(call: list[str]) -> dict[str, Any]:
    """Run a process of this package and return the JSON of its last line; RuntimeError with its last words."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(call, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(call[1:])}: {ran.stderr[-3000:]}")
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def rows(base: str, kind: str, folder: Path, turns: int, steps: int) -> None:
    """Prepare the rows of a kind in a process of its own, which says what they are."""
    call = [sys.executable, "-m", "benchmarks.prepared", base, kind, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [*call, "--turns", str(turns), "--steps", str(steps)], capture_output=True, text=True, env=environment,
        check=False,
    )  # fmt: skip
    if ran.returncode:
        raise RuntimeError(ran.stderr[-3000:])
    print("\n".join(line for line in ran.stdout.splitlines() if line.startswith((kind, "{"))), flush=True)


def compare(args: argparse.Namespace, folder: Path) -> list[results.Result]:
    """Let the arms take turns on every kind of rows."""
    made: list[results.Result] = []
    for kind in args.kinds.split(","):
        rows(args.base, kind, folder / kind, args.repeats, args.steps)
        arms = args.arms.split(",,")
        for arm in [arm for arm in arms if command(arm, folder, args.peers) is None]:
            print(f"{arm} is not installed in {args.peers}: left out (python -m benchmarks.peers)")
            arms.remove(arm)
        found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
        for turn in range(args.repeats):
            place = folder / kind / str(turn)
            wanted = sum(map(len, json.loads((place / "tokens.json").read_text("utf-8"))["input_ids"]))
            for arm in arms if turn % 2 == 0 else list(reversed(arms)):
                one = last_line(command(arm, place, args.peers) or [])
                found[arm].append(one)
                seen = sum(one["tokens"])
                print(
                    f"{kind:12} {turn + 1} {arm:22} {one['rate']:7.1f} tokens/s (whole loop {one['whole_rate']:.1f}) "
                    f"{one['steps']:3} steps {one['seconds']:6.1f} s  peak {one['peak'] / 1e9:.2f} GB, before loading "
                    f"{one['before'] / 1e9:.2f}" + ("" if seen == wanted else f"  SAW {seen} TOKENS OF {wanted}"),
                    flush=True,
                )
        for arm, runs in found.items():
            print(f"{arm}: {', '.join(f'{name} {version}' for name, version in runs[0]['versions'].items())}")
        for what, unit, key, scale in (
            ("training", "tokens/s", "rate", 1.0),
            ("whole training loop", "tokens/s", "whole_rate", 1.0),
            ("peak memory of training", "GB", "peak", 1e-9),
        ):
            arms_of = {arm: [scale * one[key] for one in runs] for arm, runs in found.items()}
            made.append(results.Result(f"{what}, {kind} rows", unit, arms_of, more_is_better=unit != "GB"))
    return made


def main() -> None:
    """Run the comparison, print a table and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--base", required=True, help="folder of a llama-like base, such as SmolLM2-135M")
    parser.add_argument("--steps", type=int, default=6, help="optimiser steps of phi-tui's, of about 2,048 tokens each")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--arms", default=",,".join(ARMS), help="separated by two commas")
    parser.add_argument("--kinds", default="short,long", help=", ".join(texts.KINDS))
    parser.add_argument("--peers", type=Path, default=peers.FOLDER, help="where `benchmarks.peers` made environments")
    parser.add_argument("--keep", type=Path, help="a folder for the prepared rows")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    args.base = str(Path(args.base).absolute())
    with tempfile.TemporaryDirectory() as name:
        made = compare(args, (args.keep or Path(name)).absolute())
    print("\n".join(line for each in made for line in each.lines()))
    if args.out:
        results.keep(made, args.out)


if __name__ == "__main__":
    main()
