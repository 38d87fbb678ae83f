"""What a run has to say, on a terminal or in a pipe: rows, phases, steps, figures.

A terminal gets one live line with a bar, rate and time left; a pipe gets plain lines, a step about every two
seconds.  Everything is drawn by a thread of its own from a queue: whoever reports never waits for a terminal.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from phi_tui import answer_scores
from phi_tui.engine import scores
from phi_tui.safe_text import clean

_END = "end"


class Reporter:
    """Takes events from any thread (`say`) and shows them on `stream` until closed."""

    def __init__(self, stream: TextIO, *, plain_every: float = 2.0) -> None:
        # A terminal gets its lines broken between words; a pipe gets them whole, for grep.
        self.console = Console(file=stream, highlight=False, soft_wrap=not stream.isatty())
        self._queue: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._plain_every = plain_every
        self._steps = 0
        self._last_plain = 0.0
        self._began: tuple[float, int] | None = None
        self._phase = ""
        self._thread = threading.Thread(target=self._draw, name="reporter", daemon=True)
        self._thread.start()

    def say(self, kind: str, /, **payload: Any) -> None:
        """Queue an event; returns at once."""
        self._queue.put((kind, payload))

    def line(self, text: str, style: str = "") -> None:
        """Queue a line of text."""
        self.say("line", text=text, style=style)

    def close(self) -> None:
        """Show what is queued, and end; a terminal that takes nothing is waited for a second at most."""
        self._queue.put((_END, {}))
        self._thread.join(timeout=1.0 if self.console.is_terminal else 5.0)

    def _draw(self) -> None:
        if not self.console.is_terminal:
            while (item := self._queue.get())[0] != _END:
                self._plain(*item)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}", markup=False),
        )
        # Left to itself, a live display takes sys.stdout and sys.stderr over and would show what belongs in the log.
        live = Progress(
            *columns,
            console=self.console,
            transient=True,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with live as progress:
            task = progress.add_task("starting", total=None, detail="")
            while (item := self._queue.get())[0] != _END:
                kind, payload = item
                if kind == "step":
                    progress.update(
                        task,
                        description="train",
                        completed=payload["step"],
                        total=payload["steps"],
                        detail=self._step_text(payload),
                    )
                elif kind == "phase":
                    total = payload.get("total")
                    progress.update(
                        task,
                        description=clean(payload["name"], one_line=True),
                        total=total,
                        completed=payload.get("done", 0) if total else 0,
                        detail=self._phase_detail(payload),
                    )
                    if "done" not in payload and payload["name"] != "train":
                        self._print(f"{payload['name']:<10} {self._phase_detail(payload)}", "dim")
                elif kind != "checkpoint":  # said by the next evaluation's step already; a pipe's log keeps it
                    self._plain(kind, payload)

    def _plain(self, kind: str, payload: dict[str, Any]) -> None:
        if kind == "line":
            self._print(payload["text"], payload.get("style", ""))
        elif kind == "phase":
            if "done" not in payload or payload["name"] != self._phase:
                self._phase = payload["name"]
                self._print(f"{payload['name']:<10} {self._phase_detail(payload)}", "dim")
        elif kind == "step":
            text = self._step_text(payload)
            now = time.monotonic()
            if now - self._last_plain >= self._plain_every or payload["step"] in (1, payload["steps"]):
                self._last_plain = now
                self._print(f"{'step':<10} {text}")
        elif kind == "eval":
            what = "base" if payload.get("base") else "eval"
            good = scores.summary(payload) or f"perplexity {_number(payload['perplexity'])}"
            good += f"  {said}" if (said := answer_scores.summary(payload)) else ""
            self._print(
                f"{what:<10} step {payload['step']}  loss {_number(payload['eval_loss'])}  "
                f"{good}  ({payload['seconds']:.1f} s)",
                "bold",
            )
        elif kind == "checkpoint":
            self._print(f"{'saved':<10} {payload['path']}", "dim")
        elif kind == "warning":
            self._print(f"{'warning':<10} {payload['message']}", "yellow")
        elif kind == "resumed":
            self._print(f"{'resumed':<10} from step {payload['step']}")

    def _step_text(self, payload: dict[str, Any]) -> str:
        now = time.monotonic()
        if self._began is None:
            self._began = now, payload["step"]
        since, first = self._began
        left = ""
        if payload["step"] - first >= 3:
            seconds = (now - since) / (payload["step"] - first) * (payload["steps"] - payload["step"])
            left = f"  {_duration(seconds)} left"
        return (
            f"{payload['step']}/{payload['steps']}  loss {_number(payload['loss'])}  lr {payload['lr']:.2e}  "
            f"{payload['tokens_per_second'] or 0:,.0f} tokens/s{left}"
        )

    @staticmethod
    def _phase_detail(payload: dict[str, Any]) -> str:
        detail = clean(payload.get("detail", ""), one_line=True)
        if "done" in payload:
            total = payload.get("total")
            detail = f"{payload['done']:,}" + (f" of {total:,}" if total else "") + " rows"
        elif payload["name"] == "train" and "steps" in payload:
            detail = f"{payload['steps']:,} steps"
        elif payload["name"] == "start":
            detail = f"run {payload.get('run', '')}"
        return detail

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(clean(text), style=style))


def figures_table(figures: dict[str, Any]) -> Table:
    """The figures of a finished run, for a person."""
    table = Table.grid(padding=(0, 2))
    rows = [
        *([] if scores.scored(figures) else [("perplexity", _change(figures))]),
        *scores.lines(figures),
        *answer_scores.lines(figures),
        ("train loss", _number(figures["train_loss"])),
        (
            "steps",
            f"{figures['steps']:,}"
            + (f" (best at {figures['best_step']:,})" if figures["best_step"] != figures["steps"] else ""),
        ),
        ("tokens/s", f"{figures['tokens_per_second'] or 0:,.0f}"),
        ("peak memory", _memory(figures)),
        ("time", _duration(figures["seconds"])),
        ("kept in", clean(figures["adapter"], one_line=True)),
    ]
    for name, value in rows:
        table.add_row(Text(name, style="dim"), Text(clean(value)))
    return table


def _memory(figures: dict[str, Any]) -> str:
    """The peak, and beside it what was expected before the first step, where a step was measured."""
    named = (("estimated", "estimated_memory_bytes"), ("measured in a step", "measured_memory_bytes"))
    before = [f"{name} {figures[key] / 1e9:.2f}" for name, key in named if figures.get(key)]
    return f"{figures['peak_memory_bytes'] / 1e9:.2f} GB" + (f" ({', '.join(before)})" if before else "")


def _change(figures: dict[str, Any]) -> str:
    if figures["perplexity"] is None:
        return "none: no validation rows"
    if figures.get("unigram_perplexity") is not None:
        return f"{_number(figures['unigram_perplexity'])} (unigram) -> {_number(figures['perplexity'])}"
    return f"{_number(figures['base_perplexity'])} (base) -> {_number(figures['perplexity'])}"


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.0f} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
