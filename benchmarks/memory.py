"""`python -m benchmarks.memory`: estimated memory against the measured peak, each setting in its own process.

A LoRA run of a few steps on rows that are all as long as allowed, through the product's own pipeline; what is compared
is the process's highest resident size less what it held before the model was loaded.  One process at a time, since
they would take each other's memory.
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

SETTINGS = ((1, 256), (8, 256), (1, 1024), (8, 1024))
"""Rows of a batch, tokens of a row."""


def one(base: str, rows: int, length: int, evaluate: bool, more: list[str]) -> dict[str, Any]:
    """Train three steps in this process and return what was estimated and what was held, in bytes."""
    from phi_tui.engine import device, measured, pipeline
    from phi_tui.project import parse, text
    from phi_tui.schema import Data, Project, Source, Train
    from phi_tui.workspace import Workspace

    measured.WORTH_FROM = 1  # measure a step even before a run this short
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = (
            "the golden ratio divides a line so that the whole is to the larger part as the larger is to the smaller "
        )
        row = words * (1 + length // 10)
        lines = [json.dumps({"text": f"{number} {row}"}) for number in range(4 * rows + 16)]
        (folder / "rows.jsonl").write_text("\n".join(lines), "utf-8")
        project = Project(
            name="memory",
            model={"base": base},  # type: ignore[arg-type]
            data=Data(sources=(Source(path="rows.jsonl"),), max_length=length, train_on="everything", format="text"),
            train=Train(max_steps=3, batch_size=rows, grad_accum=1, evaluate=evaluate, samples=0),
        )
        project = parse(text(project), overrides=tuple(more))
        found: dict[str, Any] = {}

        def say(kind: str, /, **payload: Any) -> None:
            if kind == "phase" and payload["name"] == "load":
                found["before"] = measured.held(device.current())

        job: list[Any] = []
        figures = pipeline.execute(project, folder, Workspace(folder), say, on_run=lambda run, made: job.append(made))
        estimated = job[0].plan.memory
        peak = figures["peak_memory_bytes"] - found["before"]
        stepped = figures.get("measured_memory_bytes")
        return {
            "rows": rows, "length": length, "evaluate": evaluate, "settings": more,
            "estimated": estimated.total, "peak": peak, "off": estimated.total / peak - 1.0,
            "step": stepped - found["before"] if stepped else None,
            "parts": estimated.parts(), "before": found["before"], "tokens_per_second": figures["tokens_per_second"],
        }  # fmt: skip


def apart(base: str, rows: int, length: int, evaluate: bool, more: list[str]) -> dict[str, Any]:
    """Do `one` in a process of its own, two threads wide."""
    command = [sys.executable, "-m", "benchmarks.memory", "--base", base, "--one", f"{rows}x{length}"]
    command += ["--evaluate"] * evaluate + [word for setting in more for word in ("--set", setting)]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(Path(__file__).parent.parent)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if ran.returncode:
        raise RuntimeError(ran.stderr[-2000:])
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--base", default="builtin:phi-demo")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--evaluate", action="store_true", help="with validation rows too")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--settings", default=",".join(f"{rows}x{length}" for rows, length in SETTINGS))
    parser.add_argument("--out", type=Path, default=None, help="file for the JSON")
    args = parser.parse_args()
    base = args.base if args.base.startswith("builtin:") else str(Path(args.base).absolute())
    wanted = [tuple(map(int, setting.split("x"))) for setting in (args.one or args.settings).split(",")]
    if args.one:
        print(json.dumps(one(base, *wanted[0], args.evaluate, args.set)))
        return
    found = []
    print(f"{'rows':>5} {'length':>7} {'estimated':>10} {'peak':>8} {'off':>6} {'step':>8}")
    for rows, length in wanted:
        made = apart(base, rows, length, args.evaluate, args.set)
        found.append(made)
        step = f"{made['step'] / 1e9:8.2f}" if made["step"] else f"{'-':>8}"
        print(
            f"{rows:5} {length:7} {made['estimated'] / 1e9:10.2f} {made['peak'] / 1e9:8.2f} {made['off']:6.1%} {step}",
            flush=True,
        )
    if args.out:
        args.out.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()
