"""What the app costs: first paint, a key press while training goes on, bytes a redraw, attaching, and the trainer's
pace with an app attached and without.

All in real pseudo-terminals of 120x40 on this machine.  `python -m benchmarks.app`; figures go to
benchmarks/app.json.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from terminal import Terminal, environment, phi_tui

from benchmarks import turns
from phi_tui import demo, journal, launch, project, run
from phi_tui.workspace import Workspace


def first_paint(folder: Path, times: int = 7) -> dict[str, Any]:
    """Seconds from the start of the process to the first screen with the bar and the machine's projects."""
    taken = []
    for _ in range(times):
        with Terminal(phi_tui("--workspace", folder), env=environment(folder)) as terminal:
            terminal.wait_for("1 Home", "Projects")
            taken.append(terminal.arrivals[_first_full(terminal)][0] - terminal.started)
            terminal.press("ctrl+q")
            terminal.end()
    return {"median": statistics.median(taken), "worst": max(taken), "all": taken}


def _first_full(terminal: Terminal) -> int:
    """The chunk of output with which the first whole screen was there."""
    import pyte

    screen = pyte.Screen(120, 40)
    stream = pyte.ByteStream(screen)
    at = 0
    for number, (_, size) in enumerate(terminal.arrivals):
        stream.feed(bytes(terminal.raw[at : at + size]))
        at += size
        text = "\n".join(screen.display)
        if "1 Home" in text and "Projects" in text:
            return number
    raise AssertionError("never painted")


def while_training(folder: Path, presses: int = 60) -> dict[str, Any]:
    """A key press to its drawing (pane switch), bytes a redraw and redraws a second, while the demo trains."""
    place = Workspace(folder)
    file = demo.bring(place)
    started = launch.new(project.load(file, ("train.epochs=40.0",)), folder, place)
    launch.background(started, place)
    try:
        with Terminal(phi_tui("attach", started.id, "--workspace", folder), env=environment(folder)) as terminal:
            terminal.until(lambda: _steps(started) >= 3, "steps", 180)
            terminal.wait_for("training")
            time.sleep(2)
            before, began = len(terminal.arrivals), time.perf_counter()
            time.sleep(20)
            quiet = terminal.arrivals[before:]
            seconds = time.perf_counter() - began
            bursts = _bursts(quiet)
            latencies = []
            for number in range(presses):
                time.sleep(0.13 + 0.017 * (number % 11))
                seen = len(terminal.raw)
                pressed = time.perf_counter()
                terminal.press("m")
                terminal.until(lambda seen=seen: len(terminal.raw) > seen + 200, "drawing", 5)
                latencies.append(terminal.arrivals[-1][0] - pressed)
            terminal.press("ctrl+q")
            terminal.end()
    finally:
        if started.holder() is not None:
            started.ask("quit")
            while started.holder() is not None:
                time.sleep(0.1)
    latencies.sort()
    return {
        "keypress_ms_p50": 1000 * statistics.median(latencies),
        "keypress_ms_p95": 1000 * latencies[int(0.95 * (len(latencies) - 1))],
        "redraws_per_second": len(bursts) / seconds,
        "bytes_a_redraw_median": statistics.median(bursts),
        "bytes_a_redraw_p95": sorted(bursts)[int(0.95 * (len(bursts) - 1))],
        "bytes_a_redraw_most": max(bursts),
    }


def _bursts(arrivals: list[tuple[float, int]], apart: float = 0.08) -> list[int]:
    """Bytes of each redraw: what comes within `apart` seconds belongs together."""
    bursts: list[int] = []
    last = -1.0
    for at, size in arrivals:
        if at - last > apart:
            bursts.append(0)
        bursts[-1] += size
        last = at
    return bursts


def attaching(folder: Path, times: int = 5, steps: int = 20_000) -> dict[str, Any]:
    """Seconds from the process's start until a finished run of so many steps is on the screen.

    `outline` is the curve through steps spread over the whole journal and its last step, the rest when all was read.
    """
    place = Workspace(folder)
    made = a_run(place, steps)
    outline, taken = [], []
    for _ in range(times):
        with Terminal(phi_tui("attach", made.id, "--workspace", folder), env=environment(folder)) as terminal:
            # Looked for in what came, which costs these cores nothing; drawing it all as it comes would.
            terminal.drawn = False
            terminal.until(lambda: f"step {steps:,}/{steps:,}".encode() in terminal.raw, "the last step", 120)
            outline.append(terminal.arrivals[-1][0] - terminal.started)
            terminal.until(lambda: "✓ done".encode() in terminal.raw, "its end", 120)
            taken.append(terminal.arrivals[-1][0] - terminal.started)
            terminal.press("ctrl+q")
            terminal.end()
    shutil.rmtree(made.path)
    return {
        "outline": statistics.median(outline), "outline_worst": max(outline),
        "median": statistics.median(taken), "worst": max(taken), "all": taken,
    }  # fmt: skip


def a_run(place: Workspace, steps: int) -> run.Run:
    """Write a finished run of so many steps into a workspace, as its journal would have it."""
    made = run.create(place, project.load(demo.bring(place)))
    with open(made.journal, "w", encoding="utf-8") as book:
        events: Iterator[dict[str, Any]] = (
            {
                "kind": "step", "step": step, "steps": steps, "epoch": step / 2500, "loss": 3 / step**0.2, "lr": 1e-3,
                "grad_norm": 1.0, "tokens": step * 500, "tokens_per_second": 900.0,
            }
            for step in range(1, steps + 1)
        )  # fmt: skip
        done = {
            "kind": "done",
            "steps": steps,
            "perplexity": 2.0,
            "base_perplexity": 9.0,
            "best_step": steps,
            "adapter": "x",
        }
        for number, event in enumerate(itertools.chain(events, [done]), 1):
            book.write(json.dumps({"seq": number, "time": 1.7e9 + number, **event}) + "\n")
    return made


def attached_against_not(folder: Path, rounds: int = 5) -> dict[str, Any]:
    """Tokens a second of the training loop with an app attached in the background, `here`, and with neither."""
    arms: dict[str, list[float]] = {"alone": [], "attached": [], "here": []}
    for number in range(rounds):
        order = list(arms)[number % 3 :] + list(arms)[: number % 3]
        for arm in order:
            arms[arm].append(_pace(folder / f"{arm}{number}", arm))
    medians = {arm: statistics.median(paces) for arm, paces in arms.items()}
    return {
        "tokens_per_second": arms,
        "attached_over_alone": medians["attached"] / medians["alone"],
        "here_over_alone": medians["here"] / medians["alone"],
    }


def _pace(folder: Path, arm: str) -> float:
    place = Workspace(folder)
    place.prepare()
    file = demo.bring(place)
    where = "here" if arm == "here" else "background"
    loaded = project.load(file, ("train.epochs=3.0", f'launch.where="{where}"'))
    project.save(loaded, file)
    if arm == "here":
        with Terminal(phi_tui(file, "--start"), env=environment(folder)) as terminal:
            _wait_undrawn(terminal, lambda: any(one.state() == "done" for one in run.listed(place)))
            terminal.press("ctrl+q")
            terminal.end()
        found = run.listed(place)[0]
    else:
        found = launch.new(loaded, folder, place)
        launch.background(found, place)
        if arm == "attached":
            with Terminal(phi_tui("attach", found.id, "--workspace", folder), env=environment(folder)) as terminal:
                _wait_undrawn(terminal, lambda: found.state() == "done")
                terminal.press("ctrl+q")
                terminal.end()
        while found.holder() is not None:
            time.sleep(0.2)
    figures = found.result()
    assert figures
    return float(figures["tokens_per_second"])


def _wait_undrawn(terminal: Terminal, ended: Callable[[], bool]) -> None:
    """Wait as a terminal on another machine would: nothing is drawn here, and little asked."""
    terminal.drawn = False
    until = time.monotonic() + 400
    while not ended():
        assert time.monotonic() < until and terminal.process.poll() is None
        time.sleep(1.0)


def _steps(one: run.Run) -> int:
    return max((event["step"] for event in journal.last(one.journal) if event["kind"] == "step"), default=0)


def main() -> None:
    """Run what is named on the command line, or everything, and print and keep the figures."""
    jobs = {
        "first_paint": first_paint,
        "attaching": attaching,
        "while_training": while_training,
        "attached_against_not": attached_against_not,
        "attached_in_turns": turns.attached_in_turns,
        "here_in_turns": turns.here_in_turns,
    }
    asked = sys.argv[1:] or list(jobs)
    target = Path(__file__).parent / "app.json"
    figures = json.loads(target.read_text()) if target.exists() else {}
    figures["load_average_at_start"] = os.getloadavg()[0]
    for name in asked:
        folder = Path(tempfile.mkdtemp(prefix="phi-tui-bench-"))
        figures[name] = jobs[name](folder)
        shutil.rmtree(folder, ignore_errors=True)
        print(name, json.dumps(figures[name], indent=1))
    target.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
