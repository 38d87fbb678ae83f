"""A workspace from outside: its projects and runs, a run watched, a run stopped."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from phi_tui import journal, last_words, run
from phi_tui.errors import InputError, PhiError
from phi_tui.report import Reporter, figures_table
from phi_tui.safe_text import clean
from phi_tui.workspace import place_of

_DIED_SHOWN = 20
"""Of so many of the newest runs it is said how they died."""


def overview(workspace: Path | None) -> int:
    """Print the projects and runs of a workspace and what to do next."""
    place = place_of(workspace)
    console = Console(highlight=False)
    console.print(Text(f"workspace  {clean(place.root, one_line=True)}", style="dim"))
    found = run.listed(place)
    if found:
        console.print(_table(found[:15]))
    else:
        console.print(Text("No runs yet. phi-tui demo trains the embedded model in about two minutes;"))
        console.print(Text("phi-tui wizard makes a project from your own data."))
    return 0


def runs(workspace: Path | None, *, as_json: bool) -> int:
    """List the runs of a workspace, newest first."""
    found = run.listed(place_of(workspace))
    if as_json:
        rows = [
            {
                "run": r.id,
                "project": r.path.parent.name,
                "state": r.state(),
                "path": str(r.path),
                "figures": r.result(),
            }
            for r in found
        ]
        sys.stdout.write(json.dumps(rows) + "\n")
        return 0
    console = Console(highlight=False)
    console.print(_table(found) if found else Text("no runs in this workspace"))
    for one in found[:_DIED_SHOWN]:
        if one.state() == "died":
            console.print(_died(one), soft_wrap=True)
    return 0


def attach(name: str, workspace: Path | None) -> int:
    """Show a run from its first event on, and follow it while it lives; return the exit code its end stands for."""
    found = run.find(place_of(workspace), name)
    reporter = Reporter(sys.stderr)
    follower = journal.Follower(found.journal)
    last: dict[str, Any] = {}
    try:
        while True:
            live = found.holder() is not None
            for event in follower.poll():
                if event["kind"] == "warning" or event["kind"] != "line":
                    reporter.say(event["kind"], **{k: v for k, v in event.items() if k not in ("seq", "time", "kind")})
                last = event
            if not live:
                break
            time.sleep(0.25)
    except KeyboardInterrupt:
        reporter.line("detached; the run goes on", "dim")
        return 0
    finally:
        reporter.close()
    console = Console(stderr=True, highlight=False)
    state = found.state()
    if state == "done":
        console.print(figures_table({key: value for key, value in last.items() if key not in ("seq", "time", "kind")}))
        return 0
    if state == "died":
        console.print(_died(found), soft_wrap=True)
    else:
        console.print(Text(f"{state}: {clean(last.get('message', 'no last words in the journal'))}", style="yellow"))
    return {"stopped": 130, "failed": 4, "died": 4}.get(state, 0)


def stop(name: str, workspace: Path | None, *, save: bool) -> int:
    """Ask a live run to stop after its step, and wait until it has."""
    found = run.find(place_of(workspace), name)
    if found.holder() is None:
        raise InputError(f"run {found.id} is not live: it is {found.state()}")
    found.ask("stop" if save else "quit")
    console = Console(stderr=True, highlight=False)
    with console.status("the run finishes its step" + (" and saves" if save else "")):
        while found.holder() is not None:
            time.sleep(0.1)
    console.print(Text(f"run {found.id} is {found.state()}"))
    return 0


def _died(one: run.Run) -> Text:
    """What is to be said of a run that died, where its own last words are missing."""
    text = Text(f"\n{clean(one.path.parent.name, one_line=True)}/{one.id} died: {last_words.DIED}", style="red")
    printed = last_words.printed(one)
    text.append("".join(f"\n  {line[:300]}" for line in printed) or "\n  its log is empty", "dim")
    return text.append(f"\nto go on from its newest checkpoint: {last_words.resume_command(one)}", "bold")


def _table(found: list[run.Run]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("project", "run", "state", "steps", "perplexity", "base"):
        table.add_column(column, justify="right" if column in ("steps", "perplexity", "base") else "left")
    for one in found:
        figures = one.result() or {}
        number = lambda key, figures=figures: f"{figures[key]:.4g}" if figures.get(key) is not None else ""  # noqa: E731
        try:
            state = one.state()
        except PhiError:
            state = "died"
        table.add_row(
            clean(one.path.parent.name, one_line=True),
            one.id,
            state,
            f"{figures.get('steps', '')}",
            number("perplexity"),
            number("base_perplexity"),
        )
    return table
