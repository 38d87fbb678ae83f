"""`python -m benchmarks.prepare`: from instruction rows to tokens, phi-tui against `datasets.map` with two processes.

The plain recipe loads the JSON lines, builds a text a row and tokenises it with `truncation=True`, cached nowhere.
phi-tui does more: it checks every row, splits, renders the template and makes the labels.  Each arm runs in a process
of its own, in turns.  The resident memory is the most that a process and its children held together at any moment, ten
times a second: what each holds for itself alone (USS), and once what they share (PSS); torch and tokenizer included.
`--megabytes 100 1000` shows whether memory grows with the rows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import results


def write_rows(path: Path, megabytes: float) -> int:
    """Write instruction rows of words out of the documentation; returns how many."""
    numbers = random.Random(7)
    texts = "".join(one.read_text("utf-8") for one in (Path(__file__).parent.parent / "docs").glob("*.md"))
    words = sorted(set(re.findall(r"[A-Za-z]{2,12}", texts)))
    numbers.shuffle(words)
    weights = [1 / (place + 3) for place in range(len(words))]
    count, written = 0, 0
    with open(path, "w", encoding="utf-8") as file:
        while written < megabytes * 1e6:
            lengths = [min(600, max(4, round(numbers.lognormvariate(mean, 0.7)))) for mean in (2.3, 3.9)]
            said = [" ".join(numbers.choices(words, weights, k=length)) for length in lengths]
            line = json.dumps({"instruction": said[0], "input": "", "output": said[1]}) + "\n"
            file.write(line)
            written += len(line)
            count += 1
    return count


def ours(base: str, rows: Path, folder: Path) -> dict[str, float]:
    """Prepare as `train` does, and once more with nothing changed."""
    from phi_tui.engine import prepare
    from phi_tui.schema import Data, Model, Project, Source
    from phi_tui.workspace import Workspace

    project = Project(name="bench", model=Model(base=base), data=Data(sources=(Source(path=str(rows)),)))
    found = {}
    for name in ("seconds", "again"):
        started = time.perf_counter()
        made = prepare.prepare(project, folder, Workspace(folder), lambda *_, **__: None, weights=False)
        found[name] = time.perf_counter() - started
    return found | {"tokens": float(made.ready.train.tokens + made.ready.validation.tokens)}


def plain(base: str, rows: Path, folder: Path) -> dict[str, float]:
    """The usual recipe, as quick as it gets without changing it."""
    from datasets import load_dataset
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)

    def text(row: dict[str, str]) -> dict[str, str]:
        return {"text": f"Instruction: {row['instruction']}\nInput: {row['input']}\nOutput: {row['output']}\n"}

    def tokens(batch: dict[str, Any]) -> Any:
        return tokenizer(batch["text"], truncation=True, max_length=1024)

    started = time.perf_counter()
    data = load_dataset("json", data_files=str(rows), cache_dir=str(folder / "cache"))["train"]
    made = data.map(text, num_proc=2).map(tokens, batched=True, num_proc=2, remove_columns=[*data.column_names, "text"])
    made.save_to_disk(str(folder / "out"))
    taken = time.perf_counter() - started
    import pyarrow.compute as compute

    lengths = compute.list_value_length(made.with_format("arrow")[:]["input_ids"])
    return {"seconds": taken, "tokens": float(compute.sum(lengths).as_py())}


def watched(command: list[str]) -> dict[str, float]:
    """Run a command and return what it printed, with the most resident memory of it and its children, in bytes.

    `bytes` is the largest sum of their USS, `shared` of their PSS, `one` the largest RSS of any of them.
    """
    import psutil

    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    most = {"bytes": 0, "shared": 0, "one": 0}

    def look() -> None:
        one = psutil.Process(process.pid)
        while process.poll() is None:
            held = {"bytes": 0, "shared": 0, "one": 0}
            with contextlib.suppress(psutil.Error):
                for each in (one, *one.children(recursive=True)):
                    info = each.memory_full_info()
                    held["bytes"] += info.uss
                    held["shared"] += getattr(info, "pss", info.uss)
                    held["one"] = max(held["one"], info.rss)
            for name, value in held.items():
                most[name] = max(most[name], value)
            time.sleep(0.1)

    watcher = threading.Thread(target=look)
    watcher.start()
    out, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return json.loads(out.splitlines()[-1]) | most


def compared(base: str, arms: list[str], megabytes: float, repeats: int) -> list[results.Result]:
    """Run the arms in turns on so many megabytes of rows; print a line a turn, and the medians."""
    found: dict[str, list[dict[str, float]]] = {arm: [] for arm in arms}
    with tempfile.TemporaryDirectory() as name:
        rows = Path(name) / "rows.jsonl"
        print(f"{write_rows(rows, megabytes):,} rows, {rows.stat().st_size / 1e6:.0f} MB", flush=True)
        for turn in range(repeats):
            for arm in arms if turn % 2 == 0 else reversed(arms):
                with tempfile.TemporaryDirectory() as folder:
                    module = [sys.executable, "-m", "benchmarks.prepare", "--base", base]
                    one = watched([*module, "--one", arm, str(rows), folder])
                found[arm].append(one)
                again = f", again {one['again']:.2f} s" if "again" in one else ""
                print(
                    f"{turn + 1} {arm:8} {one['seconds']:7.1f} s {one['tokens'] / 1e6:6.1f} M tokens"
                    f" {one['bytes'] / 1e6:5.0f} MB USS {one['shared'] / 1e6:5.0f} MB PSS"
                    f" {one['one'] / 1e6:5.0f} MB RSS of one{again}",
                    flush=True,
                )
    names = {"phi-tui": "phi-tui", "plain": "datasets.map, 2 processes"}
    size = f"preparing {megabytes:g} MB"

    def of(figure: Callable[[dict[str, float]], float]) -> dict[str, list[float]]:
        return {names[arm]: [figure(one) for one in found[arm]] for arm in arms}

    made = [
        results.Result(f"{size}, rows", "MB/s", of(lambda one: megabytes / one["seconds"])),
        results.Result(f"{size}, tokens", "tokens/s", of(lambda one: one["tokens"] / one["seconds"])),
        results.Result(f"{size}, USS", "MB", of(lambda one: one["bytes"] / 1e6), more_is_better=False),
        results.Result(f"{size}, PSS", "MB", of(lambda one: one["shared"] / 1e6), more_is_better=False),
    ]
    if "phi-tui" in found:
        again = [one["again"] for one in found["phi-tui"]]
        made.append(results.Result(f"{size}, nothing changed", "s", {"phi-tui": again}, more_is_better=False))
    print("\n".join(line for each in made for line in each.lines()))
    return made


def main() -> None:
    """Run the comparison and print a line an arm and turn, and the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__)
    parser.add_argument("--base", required=True, help="folder whose tokenizer is used")
    parser.add_argument("--megabytes", type=float, nargs="+", default=[100])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--arms", default="phi-tui,plain")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("ARM", "ROWS", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    base = args.base if args.base.startswith("builtin:") else str(Path(args.base).absolute())
    if args.one:
        arm, rows, folder = args.one
        print(json.dumps((ours if arm == "phi-tui" else plain)(base, Path(rows), Path(folder))))
        return
    arms = args.arms.split(",")
    made: list[results.Result] = []
    for megabytes in args.megabytes:
        made += compared(base, arms, megabytes, args.repeats)
    if args.out:
        results.keep(made, args.out)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
