"""The headless front end: a project file in, an adapter and its figures out, no screen involved.

The engine runs in this process's main thread; a reporter's thread shows what it says.  A first signal finishes the
step, saves and exits with 130; a second one ends at once, and the last checkpoint is whole either way.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi_tui import project
from phi_tui.errors import PhiError
from phi_tui.report import Reporter, figures_table
from phi_tui.schema import Project
from phi_tui.workspace import for_project


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks of a replay."""

    workspace: Path | None = None
    overrides: tuple[str, ...] = ()
    resume: bool = False
    renew: bool = False
    locked: bool = False
    json: bool = False
    dry_run: bool = False


def replay(file: Path, options: Options) -> int:
    """Run the project in `file` to the end and return the exit code; errors are printed, never raised."""
    loaded = project.load(file, options.overrides)
    place = for_project(file, options.workspace)
    root = file.absolute().parent
    return _watched(
        options,
        lambda reporter, stop, console: _run(loaded, root, place, options, file, reporter, stop, console),
    )


def prepare_only(file: Path, options: Options) -> int:
    """Prepare the project's data and say what it holds."""
    loaded = project.load(file, options.overrides)
    place = for_project(file, options.workspace)

    def work(reporter: Reporter, stop: threading.Event, console: Any) -> dict[str, Any]:
        from phi_tui.engine.pipeline import until
        from phi_tui.engine.prepare import prepare
        from phi_tui.findings import FindingList, data_lines

        findings = FindingList(reporter)
        say = until(stop.is_set, reporter.say)
        prepared = prepare(loaded, file.absolute().parent, place, say, weights=False, on_finding=findings)
        findings.close()
        for line in data_lines(prepared):
            reporter.line(line)
        return {
            "train_rows": prepared.ready.train.rows,
            "validation_rows": prepared.ready.validation.rows,
            "train_tokens": prepared.ready.train.tokens,
            "template": prepared.template.name,
            "raw": str(place.raw(loaded.name)),
            "ready": str(prepared.ready.folder),
        }

    return _watched(options, work)


def evaluate_only(file: Path, run_id: str, options: Options) -> int:
    """Print the perplexity of the project's base and of a run's adapter on the validation rows."""
    loaded = project.load(file, options.overrides)
    place = for_project(file, options.workspace)

    def work(reporter: Reporter, stop: threading.Event, console: Any) -> dict[str, Any]:
        from phi_tui import answer_scores
        from phi_tui.engine import scores
        from phi_tui.engine.measure import measure

        figures = measure(loaded, file.absolute().parent, place, run_id, reporter.say)
        for name in ("unigram_perplexity", "base_perplexity", "perplexity"):
            if figures.get(name) is not None:
                reporter.line(f"{name.replace('_', ' '):<18} {figures[name]:.4f}", "bold")
        for name, text in (*scores.lines(figures), *answer_scores.lines(figures)):
            reporter.line(f"{name:<16} {text}", "bold")
        return figures

    return _watched(options, work)


def merge_only(file: Path, run_id: str, out: Path, options: Options) -> int:
    """Merge a run's adapter onto the full-precision base, into a new folder, and print what that changed."""
    loaded = project.load(file, options.overrides)
    place = for_project(file, options.workspace)

    def work(reporter: Reporter, stop: threading.Event, console: Any) -> dict[str, Any]:
        from phi_tui.engine.merge import merge
        from phi_tui.engine.pipeline import until

        say = until(stop.is_set, reporter.say)
        figures = merge(loaded, file.absolute().parent, place, run_id, out.absolute(), say)
        for line in (
            f"perplexity {figures['perplexity']:.4f} -> {figures['merged_perplexity']:.4f} merged "
            f"({figures['perplexity_difference']:+.4f}), over {figures['tokens']:,} tokens of {figures['rows']} rows",
            *_of_the_base(figures),
            f"largest logit difference {figures['largest_logit_difference']:.3g}",
            f"a plain model in {figures['dtype']} is in {figures['out']}",
        ):
            reporter.line(line, "bold")
        return figures

    return _watched(options, work)


def _of_the_base(figures: dict[str, Any]) -> list[str]:
    """How much of a merge's difference is the change from the quantised base, where there was one."""
    unmerged = figures["unmerged_perplexity"]
    if unmerged == figures["perplexity"]:
        return []
    return [
        f"the change of base alone, from quantised to full precision: {figures['perplexity']:.4f} -> {unmerged:.4f}; "
        f"merging, on that base: largest logit difference {figures['logit_difference_of_merging']:.3g}"
    ]


def _run(
    loaded: Project,
    root: Path,
    place: Any,
    options: Options,
    file: Path,
    reporter: Reporter,
    stop: threading.Event,
    console: Any,
) -> dict[str, Any]:
    from phi_tui.engine import pipeline
    from phi_tui.findings import FindingList, data_lines, plan_lines

    findings = FindingList(reporter)
    if options.dry_run:
        job = pipeline.ready(loaded, root, place, pipeline.until(stop.is_set, reporter.say), findings)
        findings.close()
        for line in [*data_lines(job.prepared), *plan_lines(job)]:
            reporter.line(line)
        return {
            "dry_run": True,
            "steps": job.plan.steps,
            "batch_size": job.plan.batch_size,
            "grad_accum": job.plan.grad_accum,
            "train_rows": job.prepared.ready.train.rows,
            "validation_rows": job.prepared.ready.validation.rows,
            "train_tokens": job.prepared.ready.train.tokens,
            "parameters": job.shape.parameters,
            "trainable_parameters": job.shape.trainable,
            "estimated_memory_bytes": job.plan.memory.total,
            "precision": job.precision,
        }
    locked = _lock(file, place, loaded.name) if options.locked else None

    def started(run: Any, job: Any) -> None:
        console.move_to(run.console)
        findings.close()
        for line in [*data_lines(job.prepared), *plan_lines(job)]:
            reporter.line(line)

    figures = pipeline.execute(
        loaded,
        root,
        place,
        reporter.say,
        stopping=stop.is_set,
        resume=options.resume,
        renew=options.renew,
        locked=locked,
        on_finding=findings,
        on_run=started,
    )
    if not options.json:
        reporter.close()
        reporter.console.print(figures_table(figures))
    return figures


def _watched(options: Options, work: Any) -> int:
    """Run `work` with its output redirected, its signals caught, and its errors told."""
    from phi_tui.engine.console import Console

    console = Console()
    reporter = Reporter(console.err)
    code, shown = 0, {}
    try:
        with _stop_on_signals(reporter) as stop:
            shown = work(reporter, stop, console)
    except PhiError as error:
        reporter.line(str(error), "bold red" if error.exit_code != 130 else "yellow")
        code, shown = error.exit_code, {"error": error.what, "where": error.where, "fix": error.fix}
    except OSError as error:
        if os.environ.get("PHI_TUI_DEBUG"):
            raise
        where = f"{error.filename}: " if error.filename else ""
        reporter.line(f"{where}{error.strerror or error}", "bold red")
        code, shown = 3, {"error": error.strerror or str(error), "where": str(error.filename or "")}
    except Exception as error:
        if os.environ.get("PHI_TUI_DEBUG"):
            raise
        import traceback

        traceback.print_exc()  # into the log
        reporter.line(f"internal error: {type(error).__name__}: {error}", "bold red")
        reporter.line(f"this is a bug of phi-tui; the whole of it is in {console.keep()}", "red")
        code, shown = 4, {"error": f"{type(error).__name__}: {error}"}
    finally:
        reporter.close()
        console.restore()
    if options.json:
        sys.stdout.write(json.dumps(_plain(shown)) + "\n")
        sys.stdout.flush()
    return code


@contextlib.contextmanager
def _stop_on_signals(reporter: Reporter) -> Iterator[threading.Event]:
    """Give an event that the first SIGINT, SIGTERM or SIGHUP sets; the second one ends the process."""
    stop = threading.Event()

    def caught(number: int, frame: Any) -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()
        reporter.line("stopping after this step; a second signal ends at once", "yellow")

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup keeps its meaning
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, caught) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _lock(file: Path, place: Any, name: str) -> dict[str, Any]:
    """The lock to hold the run against: PROJECT.lock.toml beside the project, else that of its newest finished run."""
    from phi_tui import run
    from phi_tui.engine import lockfile

    beside = file.with_suffix(".lock.toml")
    if beside.is_file():
        return lockfile.read(beside)
    for candidate in run.listed(place, name):
        if candidate.state() == "done":
            return lockfile.read(candidate.path / "lock.toml")
    return lockfile.read(beside)


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures as plain JSON: what is not finite becomes null."""
    import math

    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in figures.items()
    }
