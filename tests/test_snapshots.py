"""Every screen at two sizes, as text and as roles of its styles, in three looks.

One walk through the app for each size and look visits all screens; what it saw is kept for the tests.  Nothing is
trained or measured: journals are written here, child processes are stand-ins, clock and machine stand still.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import snapshot_tool
import walking
from textual.pilot import Pilot
from textual.widgets import Input, TextArea
from walking import shows, until

from phi_tui import phi, project
from phi_tui.app import PhiApp
from phi_tui.child import OnReply, Reply
from phi_tui.machine import Device, Machine
from phi_tui.run import Run
from phi_tui.session import Session
from phi_tui.themes import THEMES
from phi_tui.workspace import Workspace

NOW = 1_767_268_800.0
"""2026-01-01 12:00 UTC."""
ROOT = "/tmp/snap-workspace"
MACHINE = Machine(
    (Device("Test GPU 24GB", 24 * 10**9, 23 * 10**9, "cuda"),), 64 * 10**9, 48 * 10**9, 500 * 10**9, 16
)  # fmt: skip

Seen = dict[str, tuple[list[str], list[str]]]
"""Text and styles by the name of what was looked at."""


class Speakers(walking.StandIn):
    """Loads at once; the base rambles, the adapter answers."""

    def ask(self, do: str, on_reply: OnReply, /, **arguments: Any) -> int:
        self.asked.append((do, arguments))
        number = len(self.asked)
        if do == "load":
            about = {"title": "", "template": "instruction", "template_text": "{{ x }}", "stops": ["<|endoftext|>"]}
            about |= {"context": 512, "weights": "float32", "device": "cpu", "base": "phi-demo"}
            voices = [{"key": one["key"], **about} for one in arguments["voices"]]
            on_reply(Reply(number, "result", {"voices": voices}))
        else:
            trained = arguments["key"].startswith("adapter")
            text = "A mole is a small animal that digs." if trained else "the the of a small, and the [/foo] it was"
            figures = {"tokens": 12, "ended": trained, "seconds": 0.5, "tokens_per_second": 24.0, "prompt_tokens": 9}
            on_reply(Reply(number, "result", {"text": text, "first_token_seconds": 0.1, **figures}))
        return number


class Inspector(walking.StandIn):
    """Surveys, shows rows and plans as the process would for the demo."""

    def __init__(self) -> None:
        super().__init__({"plan": [("result", walking.PLAN)], "survey": [("finding", _FINDING), ("result", _survey())]})

    def ask(self, do: str, on_reply: OnReply, /, **arguments: Any) -> int:
        number = super().ask(do, on_reply, **arguments)
        if do == "rows":
            rows = [_row(at) for at in range(arguments["start"], arguments["start"] + arguments["count"])]
            part = {"part": arguments["part"], "start": arguments["start"], "total": 368, "rows": rows}
            on_reply(Reply(number, "result", part))
        return number


_FINDING = {
    "severity": "warning", "code": "duplicate", "file": "phi_demo.jsonl", "line": 12,
    "message": "says the same as line 3", "fix": "leave one of them out",
}  # fmt: skip


def _survey() -> dict[str, Any]:
    source = {
        "name": "phi_demo.jsonl", "role": "train", "files": ["phi_demo.jsonl"], "format": "instruction",
        "columns": {"instruction": "instruction", "output": "output"}, "reason": "", "read": 596, "kept": 596,
        "broken": 0, "duplicates": 1, "train": 368, "validation": 228,
    }  # fmt: skip
    part = {
        "rows": 368, "tokens": 16_878, "trained": 6308, "p50": 46, "p95": 57, "longest": 64, "cut_rows": 0,
        "cut_tokens": 0, "untrained_rows": 0,
    }  # fmt: skip
    return {
        "report": {
            "sources": [source], "findings": {"warning": 1}, "train_rows": 368, "validation_rows": 228, "in_both": 0,
            "split": phi.TRAIN_SHARE, "split_reached": 0.617, "mix": [], "mix_stopped": "",
        },
        "tokens": {"train": part, "validation": {**part, "rows": 228, "tokens": 10_371, "trained": 3775}},
        "template": "instruction", "stops": [2], "context": 512, "max_length": 512, "lengths_are": "whole",
        "histogram": {"edges": [30, 40, 50, 60, 70], "train": [80, 180, 100, 8], "validation": [60, 100, 60, 8]},
        "findings": {"warning": 1},
    }  # fmt: skip


def _row(index: int) -> dict[str, Any]:
    tokens = [["Instruction", 11, "prompt"], [": What", 12, "prompt"], [" is a mole?\n", 13, "prompt"]]
    tokens += [["Output:", 14, "prompt"], [" A small", 15, "trained"], [" animal.", 16, "trained"]]
    tokens += [["<|endoftext|>", 0, "special-trained"]]
    return {
        "index": index, "file": "phi_demo.jsonl", "line": index + 1, "length": 7, "trained": 3, "tokens": tokens,
    }  # fmt: skip


def _a_run(place: Path, number: int, began: float, *, end: str, changes: dict[str, Any], loss: float) -> None:
    """A run's directory with a journal of 40 steps, one a second."""
    path = place / "runs" / "phi_demo" / f"20260101-00000{number}"
    (path / "adapter").mkdir(parents=True)
    (path / "adapter" / "adapter_model.safetensors").write_bytes(b"x" * 1000)
    (path / "adapter" / "phi-tui.json").write_text('{"template": "instruction"}')
    tables = project.dump(project.load(place / "phi_demo.toml"), defaults=True)
    for key, value in changes.items():
        table, name = key.split(".")
        tables[table][name] = value
    (path / "project.toml").write_text(project.text(project.validate(tables, "test"), defaults=True))
    (path / "lock.toml").write_text('[base]\nid = "builtin:phi-demo"\n[data]\nrows_sha256 = "d1"\n')
    events: list[dict[str, Any]] = [
        {"kind": "phase", "name": "start", "steps": 40},
        {"kind": "eval", "step": 0, "epoch": 0.0, "base": True, "eval_loss": 5.5, "perplexity": 246.8},
    ]
    for step in range(1, 41):
        events.append(
            {
                "kind": "step", "step": step, "steps": 40, "epoch": step / 5, "loss": 5 / step + loss,
                "lr": 1e-3 * step, "grad_norm": 1 + 1 / step, "tokens": step * 500, "tokens_per_second": 900.0 + step,
            }
        )  # fmt: skip
        if step % 20 == 0:
            events.append({"kind": "eval", "step": step, "eval_loss": loss, "perplexity": round(2.718**loss, 3)})
            events.append({"kind": "checkpoint", "step": step, "path": f"checkpoints/step-{step}"})
    events.append({"kind": "sample", "step": 40, "number": 0, "prompt": "What is a mole?", "text": "An animal."})
    if end == "done":
        events.append(
            {
                "kind": "done", "run": path.name, "adapter": "adapter", "steps": 40, "best_step": 40,
                "train_loss": loss, "eval_loss": loss, "perplexity": round(2.718**loss, 3), "base_perplexity": 246.8,
                "tokens_per_second": 930.0, "peak_memory_bytes": 758_000_000, "seconds": 75.0,
            }
        )  # fmt: skip
    else:
        events.append({"kind": end, "message": "the disk is full"})
    journal = path / "journal.jsonl"
    lines = [{"seq": seq, "time": began + seq, **event} for seq, event in enumerate(events, start=1)]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime(journal, (began + len(events), began + len(events)))


SIZES = ((80, 24), (120, 40))
LOOKS = ("golden", "no-color", "ansi-dark")
NAMES = (
    "home-empty", "home", "model", "data-sources", "data-findings", "data-split", "data-lengths", "data-tokens",
    "hparams", "train-preflight", "train-done", "chat", "runs", "runs-comparison", "help",
)  # fmt: skip


@functools.cache
def walked(size: tuple[int, int], look: str) -> Seen:
    """Walk through all screens and return what was seen."""
    # A name of a fixed length: the folder is shown, and the room that it takes must not change.
    place = Path(tempfile.mkdtemp(prefix="snap-x", dir="/tmp"))
    assert len(str(place)) == len(ROOT)
    seen: Seen = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: NOW)
        patch.setattr("phi_tui.machine.machine", lambda *_: MACHINE)
        patch.setattr("phi_tui.screens.model.machine", lambda *_: MACHINE)
        patch.setattr(Input, "_toggle_cursor", lambda _: None)  # no cursor blinks
        patch.setattr(TextArea, "_toggle_cursor_blink_visible", lambda _: None)
        for name in ("SSH_CONNECTION", "NO_COLOR", "COLORTERM"):
            patch.delenv(name, raising=False)
        for name, value in {
            "PHI_TUI_CONFIG": str(place / "config"), "HF_HUB_CACHE": str(place / "cache"), "TZ": "UTC",
            "PHI_TUI_CHARSET": "braille", "TEXTUAL_ANIMATIONS": "none",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        if look == "no-color":
            patch.setenv("NO_COLOR", "1")
        time.tzset()
        try:
            asyncio.run(_walk(place, size, look, seen))
        finally:
            shutil.rmtree(place, ignore_errors=True)
    time.tzset()
    return seen


Work = Callable[[PhiApp, Pilot[int]], Awaitable[None]]


async def _in_app(place: Path, size: tuple[int, int], look: str, file: Path | None, work: Work) -> None:
    session = Session(Workspace(place))
    if file:
        session.open(file)
    app = PhiApp(session)
    app.inspector, app.speakers = Inspector(), Speakers()  # type: ignore[assignment]
    app.theme = THEMES["golden" if look == "no-color" else look]
    async with app.run_test(size=size) as pilot:
        await work(app, pilot)


async def _walk(place: Path, size: tuple[int, int], look: str, seen: Seen) -> None:
    async def keep(name: str, app: PhiApp, pilot: Pilot[int]) -> None:
        await _still(app, pilot)
        text = [line.replace(str(place), ROOT) for line in snapshot_tool.text_of(app)]
        seen[name] = text, snapshot_tool.styles_of(app)

    async def empty(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "Nothing is in this workspace yet", "No runs yet", "RAM")
        await keep("home-empty", app, pilot)

    async def all_others(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "phi_demo", "✓ done", "✗ failed", "RAM")
        await keep("home", app, pilot)
        await pilot.press("f1")
        await shows(pilot, "A project is a TOML file")
        await keep("help", app, pilot)
        await pilot.press("escape", "2")
        await shows(pilot, "phi-demo", "QLoRA", "fits")
        await keep("model", app, pilot)
        await pilot.press("3")
        await shows(pilot, "checked", "596")
        await keep("data-sources", app, pilot)
        for key, name, words in (
            ("f", "findings", "says the same"), ("x", "split", "phi^-3"), ("l", "lengths", "longest"),
            ("t", "tokens", "mole"),
        ):  # fmt: skip
            await pilot.press(key)
            await shows(pilot, words)
            await keep(f"data-{name}", app, pilot)
        await pilot.press("4")
        await shows(pilot, "165,888")
        await keep("hparams", app, pilot)
        await pilot.press("5")
        await shows(pilot, "Start training", "272")
        await keep("train-preflight", app, pilot)
        await pilot.press("7")
        await shows(pilot, "20260101-000002", "last words")
        await keep("runs", app, pilot)
        await pilot.press("j", "space", "j", "space", "c")
        await shows(pilot, "side by side", "best step")
        await keep("runs-comparison", app, pilot)
        await pilot.press("6")
        await shows(pilot, "adapter", "Question")
        if size[0] < 100:
            await pilot.press("f3")
        await pilot.press(*"a mole?", "enter")
        await shows(pilot, "that digs.", "the the of")
        await keep("chat", app, pilot)
        app.watch_run(Run(place / "runs" / "phi_demo" / "20260101-000001"))
        await shows(pilot, "✓ done", "step 40/40")
        await keep("train-done", app, pilot)

    await _in_app(place, size, look, None, empty)
    file = walking.demo(place)
    _a_run(place, 1, NOW - 7200, end="done", changes={}, loss=0.05)
    _a_run(place, 2, NOW - 3600, end="done", changes={"lora.rank": 21, "train.learning_rate": 1e-3}, loss=0.25)
    _a_run(place, 3, NOW - 600, end="failed", changes={}, loss=0.5)
    await _in_app(place, size, look, file, all_others)


async def _still(app: PhiApp, pilot: Pilot[int]) -> None:
    """Wait until two looks a while apart see the same."""
    before: object = None
    unchanged = 0

    def same() -> bool:
        nonlocal before, unchanged
        now = (snapshot_tool.text_of(app), snapshot_tool.styles_of(app))
        unchanged = unchanged + 1 if now == before else 0
        before = now
        return unchanged >= 6

    await until(pilot, same, "a screen that stands still")


def looked(name: str, size: tuple[int, int], look: str) -> tuple[list[str], list[str]]:
    """Text and styles of a screen; a walk that failed is not walked again for each screen."""
    if (size, look) in _failed:
        pytest.fail(f"the walk through the app failed before: {_failed[size, look]}", pytrace=False)
    try:
        return walked(size, look)[name]
    except BaseException as error:
        _failed[size, look] = f"{type(error).__name__}: {error}"[:200]
        raise


_failed: dict[tuple[tuple[int, int], str], str] = {}


BOTH = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


@pytest.mark.parametrize("name", NAMES)
@BOTH  # last, so that a size's tests follow one another: the first of them takes the walk that all look at
def test_a_screen_looks_as_it_was_kept(name: str, size: tuple[int, int]) -> None:
    text = looked(name, size, "golden")[0]
    assert len(text) == size[1]
    parts = {"text": text} | {f"styles, {look}": looked(name, size, look)[1] for look in LOOKS}
    snapshot_tool.compare(f"{name}-{size[0]}x{size[1]}", parts)


@BOTH
@pytest.mark.parametrize("look", LOOKS[1:])
def test_every_look_says_the_same_words(size: tuple[int, int], look: str) -> None:
    for name in NAMES[:-1]:  # behind the help page the terminal's own colours show nothing
        assert _words(looked(name, size, look)[0]) == _words(looked(name, size, "golden")[0]), name


@BOTH
def test_without_colour_no_colour_is_left_and_the_cursor_is_told_by_its_style(size: tuple[int, int]) -> None:
    colours = ("primary", "secondary", "accent", "warning", "error", "success", "green", "red", "yellow", "blue")
    for name in NAMES:
        for line in looked(name, size, "no-color")[1]:
            assert not any(colour in line for colour in colours), f"{name}: {line}"
    for name, style in (
        ("home", "underline"),
        ("model", "underline"),
        ("data-split", "underline"),
        ("runs", "reverse"),
    ):
        assert any(style in line for line in looked(name, size, "no-color")[1][2:]), name


def _words(lines: list[str]) -> list[str]:
    """The lines without the edges of buttons and scrollbars, which each look draws its own way."""
    return [" ".join("".join(" " if "\u2580" <= char <= "\u2595" else char for char in line).split()) for line in lines]


def test_a_difference_is_told_line_by_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(snapshot_tool, "SNAPSHOTS", tmp_path)
    monkeypatch.setenv("PHI_TUI_UPDATE_SNAPSHOTS", "1")
    snapshot_tool.compare("one", {"text": ["same", "old"]})
    monkeypatch.delenv("PHI_TUI_UPDATE_SNAPSHOTS")
    snapshot_tool.compare("one", {"text": ["same", "old"]})
    with pytest.raises(pytest.fail.Exception, match=r"(?s)one.txt differs.*-old\n\+new"):
        snapshot_tool.compare("one", {"text": ["same", "new"]})
    with pytest.raises(pytest.fail.Exception, match="is not there"):
        snapshot_tool.compare("two", {"text": []})
