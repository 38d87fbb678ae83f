"""`phi-tui push`: what would go where is shown, asked about on a terminal, pushed, and its address printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from phi_tui import project, run
from phi_tui.errors import InputError, Stopped
from phi_tui.figures import size
from phi_tui.run import Run
from phi_tui.safe_text import clean
from phi_tui.workspace import Workspace, for_project


def publish(
    file: Path, repo: str, workspace: Path | None, *, run_id: str, private: bool, yes: bool, as_json: bool
) -> int:
    """Push the adapter of a run of the project in `file` to the Hub repository `repo` and return the exit code."""
    place = for_project(file, workspace)
    one = chosen(place, project.load(file).name, run_id)
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError("nobody can be asked whether to push", fix="say --yes where there is no terminal")
    from phi_tui.engine import push
    from phi_tui.engine.console import quiet

    parcel = push.look(one, repo, private=private)
    _tell(f"run {one.id}: {', '.join(parcel.files)} ({size(parcel.size)})")
    _tell(
        f"to {parcel.url}, {'private' if parcel.private else 'public: anyone can read it'}, "
        + ("which is there and gets another commit" if parcel.there else "which is made")
    )
    if not yes:
        sys.stderr.write("push? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Stopped("nothing was pushed")
    with quiet():
        commit = push.push(parcel)
    if as_json:
        told = {"url": parcel.url, "commit": commit, "run": one.id, "private": parcel.private, "bytes": parcel.size}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(clean(parcel.url, one_line=True) + "\n")
    sys.stdout.flush()
    return 0


def chosen(place: Workspace, name: str, run_id: str) -> Run:
    """Return the run called `run_id`, or the newest with an adapter."""
    if run_id:
        return run.find(place, f"{name}/{run_id}")
    for one in run.listed(place, name):
        if one.has_result:
            return one
    raise InputError(f"{name} has no run with an adapter", fix="phi-tui train makes one; phi-tui runs lists them")


def _tell(line: str) -> None:
    sys.stderr.write(clean(line, one_line=True) + "\n")
