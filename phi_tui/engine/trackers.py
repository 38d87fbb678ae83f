"""What TensorBoard, W&B and trackio get: the journal's own events, so that a loss there is the loss here.

The Trainer's integrations would log other numbers under other steps, record the command line, and ask for a login on
standard input.  Here each tracker hears what the journal hears, after it; a tracker that fails is told about once and
left out, since no dashboard is worth a run.  On a resume the tracker's run goes on, under the same name and id.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from phi_tui.project import dump
from phi_tui.redaction import scrubbed as scrubbed
from phi_tui.run import Run
from phi_tui.schema import Project

Say = Callable[..., None]

_STEP = {
    "loss": "train/loss",
    "lr": "train/learning_rate",
    "grad_norm": "train/grad_norm",
    "epoch": "train/epoch",
    "tokens": "train/tokens",
    "tokens_per_second": "train/tokens_per_second",
}
_EVAL = {"eval_loss": "eval/loss", "perplexity": "eval/perplexity"}
_BASE = {"eval_loss": "base/loss", "perplexity": "base/perplexity"}


class Tracker(Protocol):
    """One place that metrics go to."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take the values of one step."""

    def close(self, failed: bool) -> None:
        """Write out what is held and end."""


@contextlib.contextmanager
def telling(run: Run, say: Say) -> Iterator[Say]:
    """Give a `say` that passes steps and evaluations on to the frozen project's trackers too, while training lasts."""
    project = run.project()
    open_now: dict[str, Tracker] = {}
    to_open: list[str] = list(project.train.report_to)
    resumed_at: int | None = None

    def heard(kind: str, /, **payload: Any) -> None:
        nonlocal resumed_at
        say(kind, **payload)
        if kind == "resumed":
            resumed_at = int(payload["step"])
        elif kind != "warning":  # whether and where a run goes on is known from here on
            while to_open:
                name = to_open.pop(0)
                with _guarded(name, open_now, say, "cannot be used, so it gets nothing"), _random_state_kept():
                    open_now[name], where = _OPEN[name](project, run, resumed_at)
                    say("phase", name="tracker", detail=f"{name}: {where}")
        values = metrics(kind, payload)
        for name in list(open_now) if values else ():
            with _guarded(name, open_now, say, "fails, so it gets nothing more"):
                open_now[name].log(int(payload["step"]), values)

    failed = False
    try:
        yield heard if to_open else say
    except Exception as error:
        failed = getattr(error, "exit_code", 4) != 130
        raise
    finally:
        for name in list(open_now):
            with _guarded(name, open_now, say, "could not be closed"):
                open_now[name].close(failed)


def metrics(kind: str, payload: dict[str, Any]) -> dict[str, float]:
    """Return what a tracker gets of an event, under the tracker's names; nothing of most events.

    A value that is no finite number is left out: the journal has null there, and dashboards choke on it.
    """
    names = _STEP if kind == "step" else {} if kind != "eval" else _BASE if payload.get("base") else _EVAL
    return {
        name: value
        for key, name in names.items()
        if isinstance(value := payload.get(key), int | float) and math.isfinite(value)
    }


def config(project: Project) -> dict[str, bool | int | float | str]:
    """Return the frozen project as flat keys, lists as JSON text; what looks like a secret is struck out."""
    flat: dict[str, Any] = {}
    for table, values in dump(project, defaults=True).items():
        flat |= (
            {f"{table}.{key}": value for key, value in values.items()} if isinstance(values, dict) else {table: values}
        )
    return {
        key: value
        if isinstance(value, bool | int | float)
        else scrubbed(value if isinstance(value, str) else json.dumps(value))
        for key, value in flat.items()
    }


class _TensorBoard:
    def __init__(self, project: Project, folder: Path, resumed_at: int | None) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        # Steps behind the point of resume are done again: the reader is told to forget them.
        self._writer = SummaryWriter(str(folder), purge_step=None if resumed_at is None else resumed_at + 1)
        if resumed_at is None:
            file = self._writer._get_file_writer()
            for summary in hparams(dict(config(project)), {"eval/loss": 0.0}):
                file.add_summary(summary)
        self._writer.flush()

    def log(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        if any(name.startswith(("eval/", "base/")) for name in values):
            self._writer.flush()

    def close(self, failed: bool) -> None:
        self._writer.close()


def _tensorboard(project: Project, run: Run, resumed_at: int | None) -> tuple[Tracker, str]:
    folder = run.path / "tensorboard"
    folder.mkdir(mode=0o700, exist_ok=True)
    return _TensorBoard(project, folder, resumed_at), "goes on" * (
        resumed_at is not None
    ) or f"{folder.name}/ in the run"


class _Wandb:
    def __init__(self, project: Project, run: Run, mode: str) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or project.name,
            name=run.id,
            # One id a run, so that a resume goes on with it, and parts kept offline are joined when they are sent.
            id=f"{project.name}-{run.id}",
            resume="allow" if mode == "online" else None,
            dir=str(run.path),
            config=dict(config(project)),
            mode=mode,
            save_code=False,
            # What is sent is what the journal has: no console, no command line, no environment, no machine's figures.
            settings=wandb.Settings(
                console="off", silent=True, x_disable_meta=True, x_disable_stats=True, disable_git=True, init_timeout=60
            ),
        )

    def log(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=1 if failed else 0)


def _wandb(project: Project, run: Run, resumed_at: int | None) -> tuple[Tracker, str]:
    mode = os.environ.get("WANDB_MODE") or ("online" if _wandb_key() else "offline")
    again = "goes on" if resumed_at is not None else "starts"
    if mode != "offline":
        return _Wandb(project, run, mode), again
    tracker = _Wandb(project, run, mode)
    return tracker, f"{again}, offline in wandb/ of the run; `wandb sync` sends it, and all parts become one run"


def _wandb_key() -> bool:
    """Whether W&B can log in without asking: its library would ask on standard input, where nobody may be."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    import netrc
    from urllib.parse import urlsplit

    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class _Trackio:
    def __init__(self, project: Project, run: Run, *, again: bool) -> None:
        import trackio

        self._run = trackio.init(
            project=project.name,
            name=run.id,
            config=dict(config(project)),
            resume="allow" if again else "never",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def log(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def close(self, failed: bool) -> None:
        self._run.finish()


def _trackio(project: Project, run: Run, resumed_at: int | None) -> tuple[Tracker, str]:
    again = resumed_at is not None
    return _Trackio(project, run, again=again), "goes on" if again else f"project {project.name}, run {run.id}"


_OPEN: dict[str, Callable[[Project, Run, int | None], tuple[Tracker, str]]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "trackio": _trackio,
}


@contextlib.contextmanager
def _guarded(name: str, open_now: dict[str, Tracker], say: Say, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a library's own, the network's, a full disk's: none of them may end the training
        open_now.pop(name, None)
        lines = str(error).strip().splitlines() or [""]
        say("warning", message=scrubbed(f"train.report_to: {name} {what}: {type(error).__name__}: {lines[0][:300]}"))


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    """A library that draws a name while it starts must not change what is trained."""
    import numpy
    import torch

    states = random.getstate(), numpy.random.get_state(), torch.random.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        numpy.random.set_state(states[1])
        torch.random.set_rng_state(states[2])
