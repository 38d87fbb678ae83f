"""What the app costs the training beside it, measured on one run: its own work is stopped and goes on by turns.

No two processes are compared and the turns are short, so that what else the machine does falls on both.  The pace is
read off the times in the journal, half a second after each change; an app's start-up is left out.  A turn is longer
than two redraws are apart.  Beside the pace stands what threads of the trainer waited for a core, of which the system
keeps count and into which other virtual machines on the same processor do not play.  What those take is known too:
the ratio is told as it is, and for turns that lose as much to them (least squares over differences within rounds).
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
import psutil
from terminal import Terminal, environment, phi_tui

from phi_tui import demo, journal, launch, project, run
from phi_tui.app import PhiApp
from phi_tui.follow import clock_of_this_thread
from phi_tui.session import Session
from phi_tui.terminal import own
from phi_tui.workspace import Workspace

_LONG_RUN = ("train.epochs=400.0", "train.samples=0", "train.evaluate=false")
_WARM_UP = 40
"""Steps before the first turn."""

Window = tuple[str, float, float, float, float, float]
"""alone or attached, when (seconds since the epoch) it began and ended, the seconds of a core the app spent, the
seconds that threads of the trainer's process waited for a core while they could have run, and those that other virtual
machines took from this one's cores.
"""


def attached_in_turns(folder: Path, rounds: int = 40, seconds: float = 10.5) -> dict[str, Any]:
    """The pace of a background run while an attached app is put to sleep and woken by turns."""
    place = Workspace(folder)
    place.prepare()
    found = launch.new(project.load(demo.bring(place), _LONG_RUN), folder, place)
    launch.background(found, place)
    while _steps(found) < _WARM_UP:
        time.sleep(0.2)
    with Terminal(phi_tui("attach", found.id, "--workspace", folder), env=environment(folder)) as terminal:
        terminal.wait_for("step ")
        terminal.drawn = False
        time.sleep(3.0)
        process = psutil.Process(terminal.process.pid)

        def spent() -> float:
            used = process.cpu_times()
            return float(used.user + used.system)

        def sleeps(yes: bool) -> None:
            terminal.process.send_signal(signal.SIGSTOP if yes else signal.SIGCONT)

        trainer = found.holder() or 0
        windows = list(_turns(sleeps, rounds, seconds, spent, lambda: _waited(trainer)))
        terminal.press("ctrl+q")
        terminal.end()
    found.ask("quit")
    return _compared(found, windows)


def here_in_turns(folder: Path, rounds: int = 40, seconds: float = 10.5) -> dict[str, Any]:
    """The pace of a run inside the app while all else of the app (drawing, following, looking at runs) stands still."""
    place = Workspace(folder)
    place.prepare()
    file = demo.bring(place)
    project.save(project.load(file, (*_LONG_RUN, 'launch.where="here"')), file)
    told = folder / "windows.json"
    command = [sys.executable, "-m", "benchmarks.turns", str(file), str(told), str(rounds), str(seconds)]
    with Terminal(command, env=environment(folder), cwd=Path(__file__).parent.parent) as terminal:
        terminal.wait_for("step ", seconds=180)
        terminal.drawn = False
        terminal.end(rounds * 2 * (seconds + 0.5) + 120)
    return _compared(run.listed(place)[0], [tuple(one) for one in json.loads(told.read_text())])


def _turns(
    sleeps: Callable[[bool], None],
    rounds: int,
    seconds: float,
    spent: Callable[[], float],
    waited: Callable[[], float],
) -> Iterator[Window]:
    for number in range(rounds):
        for arm in ("alone", "attached") if number % 2 == 0 else ("attached", "alone"):
            sleeps(arm == "alone")
            time.sleep(0.5)
            began, before, idle, stolen = time.time(), spent(), waited(), _stolen()
            time.sleep(seconds)
            yield arm, began, time.time(), spent() - before, waited() - idle, _stolen() - stolen
    sleeps(False)


def _waited(process: int) -> float:
    """Seconds that a process's threads have waited for a core so far: the second figure of Linux's `schedstat`."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9


def _stolen() -> float:
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def _compared(found: run.Run, windows: list[Window]) -> dict[str, Any]:
    times = [event["time"] for event in journal.read(found.journal) if event["kind"] == "step"]
    paces: dict[str, list[float]] = {"alone": [], "attached": []}
    for arm, began, ended, *_ in windows:
        within = [one for one in times if began <= one <= ended]
        paces[arm].append((len(within) - 1) / (within[-1] - within[0]))
    of = {arm: [window for window in windows if window[0] == arm] for arm in paces}
    lasted = {arm: sum(ended - began for _, began, ended, *_ in one) for arm, one in of.items()}
    ratios = [b / a for a, b in zip(paces["alone"], paces["attached"], strict=True)]
    return {
        "steps_per_second": {arm: statistics.mean(one) for arm, one in paces.items()},
        "ratio_median": statistics.median(ratios), "ratio_mean": statistics.mean(ratios),
        "standard_error": statistics.stdev(ratios) / len(ratios) ** 0.5,
        "as_much_stolen": _as_much_stolen(ratios, of),
        "share_of_a_core": sum(window[3] for window in of["attached"]) / lasted["attached"],
        "waited_for_a_core": {arm: sum(window[4] for window in one) / lasted[arm] for arm, one in of.items()},
        "stolen": {arm: sum(window[5] for window in one) / lasted[arm] for arm, one in of.items()},
    }  # fmt: skip


def _as_much_stolen(ratios: list[float], of: dict[str, list[Window]]) -> dict[str, float]:
    """The ratio of paces where the turns of a round lose as much to other machines, and its standard error."""
    shares = {arm: np.array([window[5] / (window[2] - window[1]) for window in one]) for arm, one in of.items()}
    more = shares["attached"] - shares["alone"]
    given, wanted = np.column_stack([np.ones(len(more)), more]), np.log(ratios)
    found, *_ = np.linalg.lstsq(given, wanted)
    left = wanted - given @ found
    spread = left @ left / (len(ratios) - 2) * np.linalg.pinv(given.T @ given)[0, 0]
    return {"ratio": float(np.exp(found[0])), "standard_error": float(spread**0.5), "slope": float(found[1])}


def _steps(one: run.Run) -> int:
    return max((event["step"] for event in journal.last(one.journal) if event["kind"] == "step"), default=0)


class _Stopped:
    """Holds up everything of an app but the run inside it: its loop, its follower and its look at the runs."""

    def __init__(self, app: PhiApp) -> None:
        self.app = app
        self.gate: threading.Event | None = None

    def __call__(self, yes: bool) -> None:
        follow, runs = self.app.follow, self.app._run_list
        assert follow is not None
        if yes and self.gate is None:
            self.gate = threading.Event()
            self.app.call_later(self.gate.wait)
            follow.store._lock.acquire()
            runs._lock.acquire()
        elif not yes and self.gate is not None:
            runs._lock.release()
            follow.store._lock.release()
            self.gate.set()
            self.gate = None


def main(file: Path, told: Path, rounds: int, seconds: float) -> None:
    """Train inside the app, which stands still by turns; what `here_in_turns` starts in a terminal."""
    session = Session(Workspace(file.parent))
    session.open(file)
    app = PhiApp(session, start_on="train", autostart=True)

    spent = clock_of_this_thread()  # that of the loop; the process's would count the training

    def take_turns() -> None:
        while app.follow is None or _steps(app.follow.run) < _WARM_UP:
            time.sleep(0.2)
        time.sleep(3.0)
        told.write_text(json.dumps(list(_turns(_Stopped(app), rounds, seconds, spent, lambda: _waited(os.getpid())))))
        app.follow.run.ask("quit")
        app.call_later(app.exit)

    threading.Thread(target=take_turns, daemon=True).start()
    with own(app.worker_log):
        app.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
