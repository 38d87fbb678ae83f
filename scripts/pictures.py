"""Write docs/pictures: every screen of the app at two sizes, as the app draws it.

`python scripts/pictures.py` prepares a workspace with the demo and two trained runs (about three minutes, once),
opens the app on it without a terminal, presses keys and saves what is to be seen as SVG.  Nothing in a picture is made
up: the machine is the one that the script runs on, and the answers are the models'.  Each picture names the fonts of
the reader's machine instead of fetching one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from phi_tui import run
from phi_tui.app import PhiApp
from phi_tui.demo import bring, held_out
from phi_tui.session import Session
from phi_tui.themes import THEMES
from phi_tui.workspace import Workspace

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
SIZES = ((80, 24), (120, 40))
FONTS = '"Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace'
FIRST_RUN = ("lora.rank=21", "train.learning_rate=1e-3", "train.epochs=5")
"""What the first run sets otherwise than the demo does, so that there is something to compare."""

Work = Callable[[PhiApp, Pilot[int]], Awaitable[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Shot:
    """A picture: what the app is opened on, and how to come to what is shown."""

    name: str
    work: Work
    start_on: str = "home"
    opened: bool = True
    empty: bool = False
    watch: str = ""
    """done: the newest finished run is watched from the start; live: the run that is at work."""


# How to come there


async def _until(pilot: Pilot[int], met: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            sys.exit(f"waited in vain for {what} on:\n{_seen(pilot.app)}")
        await pilot.pause(0.05)


def _seen(app: Any) -> str:
    """The screen as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def after(*steps: str | tuple[str, ...]) -> Work:
    """Wait for words (a text) and press keys (a tuple), in turn."""

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        for step in steps:
            if isinstance(step, tuple):
                await pilot.press(*step)
            else:
                await _until(pilot, lambda words=step: words in _seen(app), repr(step))  # type: ignore[misc]

    return work


async def _half_way(app: PhiApp, pilot: Pilot[int]) -> None:
    def there() -> bool:
        shot = app.follow.snapshot() if app.follow else None
        return shot is not None and shot.steps > 0 and shot.step > shot.steps * 0.4

    await _until(pilot, there, "a run that is half way", 300)
    await pilot.pause(2.5)  # the machine's load comes with the second look at it


async def _answered(app: PhiApp, pilot: Pilot[int]) -> None:
    await _until(pilot, lambda: "Question" in _seen(app) and app.focused is not None, "the field")
    await _until(pilot, lambda: "adapter  perplexity" in _seen(app), "the voices")  # the words before name adapters too
    if app.size.width < 100:
        await pilot.press("f3")
    question = held_out()[0]["instruction"]
    await pilot.press(*question, "enter")
    ended = ("ended by itself", "cut off")
    await _until(pilot, lambda: sum(_seen(app).count(word) for word in ended) >= 2, "two answers")


SHOTS = (
    Shot("home-empty", after("Nothing is in this workspace yet", "RAM"), opened=False, empty=True),
    Shot("home", after("phi_demo", "✓ done", "RAM"), opened=False),
    Shot("model", after("phi-demo", "QLoRA"), start_on="model"),
    Shot("data-sources", after("checked"), start_on="data"),
    Shot("data-tokens", after("checked", ("t",), "trained"), start_on="data"),
    Shot("data-split", after("checked", ("x",), "validat"), start_on="data"),
    Shot("data-lengths", after("checked", ("l",), "longest"), start_on="data"),
    Shot("hparams", after("165,888"), start_on="hparams"),
    Shot("train-preflight", after("Start training", "272"), start_on="train"),
    Shot("train-running", _half_way, watch="live"),
    Shot("train-done", after("✓ done"), watch="done"),
    Shot("chat", _answered, start_on="chat"),
    Shot("runs", after("done", "made of"), start_on="runs"),
    Shot("runs-comparison", after("done", (*["space", "j"], "space", "c"), "best step"), start_on="runs"),
    Shot("help", after("phi_demo", ("f1",), "Duplicate"), opened=False),
)


# Taking them


def _take(shot: Shot, size: tuple[int, int], place: Workspace, theme: str) -> str:
    """Open the app, go there, and return the picture."""

    async def taking() -> str:
        workspace = Workspace(place.root.parent / "empty") if shot.empty else place
        session = Session(workspace)
        if shot.opened:
            session.open(place.root / "phi_demo.toml")
        attach = None
        if shot.watch:
            wanted = "running" if shot.watch == "live" else "done"
            attach = next(one for one in run.listed(place) if one.state() == wanted)
        app = PhiApp(session, start_on=shot.start_on, attach=attach)
        app.theme = THEMES[theme]
        app.animation_level = "none"
        async with app.run_test(size=size) as pilot:
            await shot.work(app, pilot)
            await pilot.pause(0.8)
            return _local_fonts(app.export_screenshot(title="phi-tui"))

    return asyncio.run(taking())


def _local_fonts(svg: str) -> str:
    """Name fonts that the reader has: a picture in a README must not fetch one from elsewhere."""
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}")
    svg = svg.replace("font-family: arial", "font-family: Arial, sans-serif")
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


# The workspace


def _prepare(place: Workspace, *, live: bool) -> subprocess.Popen[bytes] | None:
    """Bring in the demo, train what is missing, and return the process of a run that is at work, if one is wanted."""
    place.prepare()
    (place.root.parent / "empty").mkdir(exist_ok=True)
    file = bring(place)
    done = [one for one in run.listed(place) if one.state() == "done"]
    if not done:
        _replay(file, *FIRST_RUN).wait()
        time.sleep(1.1)  # a run is named by the second
    if live or len(done) < 2:
        process = _replay(file)
        if live:
            return process
        process.wait()
    return None


def _replay(file: Path, *settings: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "phi_tui", "--replay", str(file)]
    for setting in settings:
        command += ["--set", setting]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def _own_settings() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PHI_TUI_CONFIG"] = folder
        yield


def main() -> int:
    """Write the pictures that are asked for."""
    parser = argparse.ArgumentParser(description="Write docs/pictures.")
    parser.add_argument("names", nargs="*", help=f"which: {' '.join(shot.name for shot in SHOTS)}; all by default")
    parser.add_argument("--workspace", type=Path, default=Path("/tmp/phi/demo"), help="shown in the pictures")  # noqa: S108
    parser.add_argument("--out", type=Path, default=PICTURES)
    parser.add_argument("--theme", default="golden", choices=THEMES)
    args = parser.parse_args()
    shots = [shot for shot in SHOTS if not args.names or shot.name in args.names]
    # A live run comes first: it is a finished one by the time that others show it.
    shots.sort(key=lambda shot: shot.watch != "live")
    place = Workspace(args.workspace.absolute())
    args.out.mkdir(parents=True, exist_ok=True)
    with _own_settings():
        process = _prepare(place, live=any(shot.watch == "live" for shot in shots))
        if process is not None:
            while not any(one.state() == "running" for one in run.listed(place)) and process.poll() is None:
                time.sleep(0.2)
        for shot in shots:
            if process is not None and shot.watch != "live":
                process.wait()
                process = None
            for width, height in SIZES:
                file = args.out / f"{shot.name}-{width}x{height}.svg"
                file.write_text(_take(shot, (width, height), place, args.theme), "utf-8")
                print(file)
    if process is not None:
        process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
