"""Walking through the app in tests: open it, wait for what is to be seen, read the screen as text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from phi_tui import journal, project
from phi_tui.app import PhiApp
from phi_tui.child import OnReply, Reply
from phi_tui.run import Run
from phi_tui.session import Session
from phi_tui.workspace import Workspace

HOSTILE = "\x1b]52;c;QUJD\x07 [/foo] [@click=app.quit]x[/] \u202egnp \U0001f642 漢字"


class StandIn:
    """In place of a child process: answers each request from `answers` at once, on the caller's thread."""

    def __init__(self, answers: dict[str, list[tuple[str, dict[str, Any]]]] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.cancelled: list[int] = []
        self.pid = None
        self.idle = True

    def ask(self, do: str, on_reply: OnReply, /, **arguments: Any) -> int:
        """Remember the request and answer it."""
        self.asked.append((do, arguments))
        number = len(self.asked)
        for kind, payload in self.answers.get(do, []):
            on_reply(Reply(number, kind, payload))
        return number

    def cancel(self, number: int) -> None:
        """Remember it."""
        self.cancelled.append(number)

    def close(self, *, wait: float = 0.0) -> None:
        """Nothing to end."""


PLAN: dict[str, Any] = {
    "device": {"type": "cpu", "name": "a CPU", "memory": 16_000_000_000},
    "precision": "fp32", "weights": "float32", "parameters": 2_800_000, "trainable": 165_888, "layers": 6,
    "hidden": 192, "batch_size": 11, "grad_accum": 1, "steps": 272, "steps_per_epoch": 34, "warmup_steps": 17,
    "rows_per_step": 11, "tokens_per_step": 505, "checkpointing": False,
    "memory": {"weights": 11_000_000, "adapter": 2_000_000, "activations": 60_000_000, "logits": 11_000_000,
               "total": 84_000_000},
    "notes": ["one note"], "golden": ["rank 8, a Fibonacci number"], "targets": ["q_proj"], "seconds_estimate": 75.0,
}  # fmt: skip


def open_app(
    place: Path,
    size: tuple[int, int],
    work: Callable[[PhiApp, Pilot[int]], Awaitable[None]],
    *,
    file: Path | None = None,
    inspector: Any = None,
    **more: Any,
) -> None:
    """Run `work` in the app opened on a workspace, or on a project file; children answer from stand-ins."""

    async def run() -> None:
        session = Session(Workspace(place))
        if file:
            session.open(file)
        app = PhiApp(session, **more)
        app.inspector = inspector or StandIn({"plan": [("result", PLAN)]})
        app.speakers = StandIn()  # type: ignore[assignment]
        async with app.run_test(size=size, notifications=True) as pilot:
            await work(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[int], condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait for something to be so, while the app goes on."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what} on:\n{seen(pilot.app)}"
        await pilot.pause(0.02)


async def shows(pilot: Pilot[int], *words: str) -> None:
    """Wait until the screen shows all of `words`."""
    await until(pilot, lambda: all(word in seen(pilot.app) for word in words), str(words))


def seen(app: Any) -> str:
    """The screen as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def demo(place: Path) -> Path:
    """The demo project in a workspace."""
    from phi_tui.demo import bring

    place.mkdir(parents=True, exist_ok=True)
    return bring(Workspace(place))


def a_run(place: Path, number: int = 1, *, end: str = "done", steps: int = 40, words: str = "it broke") -> Run:
    """A run of the demo project, as its journal tells it; `end` is done, stopped, failed or died."""
    path = place / "runs" / "phi_demo" / f"20260101-00000{number}"
    path.mkdir(parents=True)
    frozen = project.load(demo(place))
    (path / "project.toml").write_text(project.text(frozen, defaults=True))
    book = journal.Journal(path / "journal.jsonl")
    book.write("phase", name="start", steps=steps, notes=["a note " + words])
    book.write("eval", step=0, epoch=0.0, base=True, eval_loss=5.5, perplexity=246.8, tokens=9, seconds=1.0)
    book.write("sample", step=0, number=0, prompt="What is a mole?", text=words, wanted="An animal.")
    for step in range(1, steps + 1):
        loss = None if step == 7 else 5.0 / step
        book.write(
            "step", step=step, steps=steps, epoch=step / 10, loss=loss, lr=1e-3, grad_norm=1.0, tokens=step * 100,
            tokens_per_second=900.0,
        )  # fmt: skip
    book.write("warning", message="a warning " + words)
    book.write("checkpoint", step=steps, path=f"checkpoints/step-{steps}")
    if end == "done":
        book.write(
            "done", run=path.name, adapter=str(path / "adapter"), steps=steps, best_step=steps, train_loss=0.5,
            eval_loss=0.04, perplexity=1.039, base_perplexity=246.8, tokens_per_second=900.0,
            peak_memory_bytes=758_000_000, seconds=75.0,
        )  # fmt: skip
    elif end in ("stopped", "failed"):
        book.write(end, message=words)  # type: ignore[arg-type]
    book.close()
    return Run(path)
