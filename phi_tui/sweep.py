"""A small scan over settings, several seeds each, so that "13 is better than 8" is measured and not believed.

Each combination and seed is a project of its own, `<project>-sweep-N`, frozen into a file with its settings laid over
the original's, and trained by a child process the way any project is.  What is finished is not run again: the same
command goes on where it was stopped, and a wider one adds to it.
"""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi_tui import project, run
from phi_tui.atomic import write_text
from phi_tui.errors import InputError, PhiError, Stopped
from phi_tui.safe_text import clean
from phi_tui.schema import Project
from phi_tui.sweep_report import Scanned, lines, summary
from phi_tui.workspace import Workspace, for_project, make_folder

MOST_RUNS = 1000
"""More than this is a slip of the keyboard."""

_NO_SETTING = ("schema", "name", "seed")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks of a sweep."""

    over: tuple[str, ...]
    seeds: int = 3
    overrides: tuple[str, ...] = ()
    workspace: Path | None = None
    json: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """One run of the sweep: its project under its own name, and which combination and seed it is."""

    project: Project
    file: Path
    settings: tuple[tuple[str, Any], ...]
    seed: int


@dataclass(slots=True)
class _Child:
    """The child at work and whether a stop was asked for."""

    process: subprocess.Popen[bytes] | None = None
    stopped: bool = False


def sweep(file: Path, options: Options) -> int:
    """Run every combination that is not finished, print the table, and return the exit code.

    0: all are done; 4: some failed, and the table holds the others; 130: stopped, the same command goes on.
    """
    place = for_project(file, options.workspace)
    planned = plan(file, place, options)
    tell = _told
    if options.dry_run:
        for one in planned:
            tell(f"{one.project.name:<24} {_settings(one)}: {_state(place, one)}")
        left = sum(_state(place, one) != "done" for one in planned)
        tell(f"{len(planned)} runs, {left} to do; nothing was run")
        _finish(options, {"dry_run": True, "runs": len(planned), "left": left})
        return 0
    place.prepare()
    make_folder(planned[0].file.parent)
    for one in planned:
        if not one.file.exists():
            write_text(one.file, project.text(one.project, defaults=True))
    failed = _run_all(planned, place, tell)
    scanned = [found for one in planned if (found := _scanned(place, one))]
    for line in lines(scanned, options.seeds):
        sys.stdout.write(clean(line) + "\n") if not options.json else tell(line)
    _finish(options, {"runs": len(planned), "done": len(scanned), "failed": failed, **summary(scanned)})
    return 4 if failed else 0


def plan(file: Path, place: Workspace, options: Options) -> list[Planned]:
    """Return the runs of a sweep in order: combinations outside, seeds inside.  Raises InputError for what cannot be.

    A number that an earlier sweep gave to the same settings stays theirs; new ones come after it.
    """
    from phi_tui.engine.pipeline import absolute

    axes = [axis(text) for text in options.over]
    _refuse(axes, options)
    original = absolute(project.load(file, options.overrides), file.absolute().parent)
    if not original.train.evaluate or (
        original.data.split == "none" and all(source.role == "train" for source in original.data.sources)
    ):
        raise InputError(
            "a sweep compares validation losses, and this project evaluates nothing",
            where=str(file),
            fix='set train.evaluate = true and data.split, or add a source with role = "validation"',
        )
    folder = place.root / "sweeps" / original.name
    known, taken = _known(folder, original.name)
    numbers = (number for number in itertools.count(1) if number not in taken)
    planned = []
    for values in itertools.product(*(values for _, values in axes)):
        settings = tuple(zip((key for key, _ in axes), values, strict=True))
        for offset in range(options.seeds):
            seed = (original.seed + offset) % 2**32
            tables = project.dump(original, defaults=True)
            for key, value in (*settings, ("seed", seed), ("name", "x")):
                _put(tables, key, value)
            made = project.validate(tables, f"--over {_spelled(settings)}")
            name = known.get(_key(made)) or f"{original.name}-sweep-{next(numbers)}"
            if len(name) > 100:
                raise InputError("the project's name is too long for a sweep's names", where=name)
            named = made.model_copy(update={"name": name})
            planned.append(Planned(named, folder / f"{name}.toml", settings, seed))
    return planned


def axis(text: str) -> tuple[str, list[Any]]:
    """Read KEY=VALUE,VALUE,...; the values are read as TOML, or as words where they are none."""
    import tomllib

    key, equals, given = (part.strip() for part in text.partition("="))
    if not equals or not key or not given:
        raise InputError(f"--over {text!r} is not KEY=VALUE,VALUE", fix="for example --over lora.rank=8,13,21,34")
    if key not in set(project.keys()):
        raise InputError(f"--over: unknown key {key!r}", fix="the keys are those of the project file")
    try:
        values = tomllib.loads(f"values = [{given}]")["values"]
    except tomllib.TOMLDecodeError:
        values = [_value(word.strip()) for word in given.split(",")]
    distinct: list[Any] = []
    for value in values:
        if value not in distinct:
            distinct.append(value)
    return key, distinct


def _value(word: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(f"value = {word}")["value"]
    except tomllib.TOMLDecodeError:
        return word


def _refuse(axes: list[tuple[str, list[Any]]], options: Options) -> None:
    if not axes:
        raise InputError("a sweep needs --over KEY=VALUE,VALUE", fix="for example --over lora.rank=8,13,21,34")
    if options.seeds < 1:
        raise InputError("--seeds must be 1 at least")
    keys = [key for key, _ in axes]
    for key in keys:
        if key in _NO_SETTING or key.startswith(("launch.", "chat.")):
            raise InputError(
                f"--over {key}: that changes nothing that is learnt", fix="for more seeds there is --seeds"
            )
        if keys.count(key) > 1:
            raise InputError(f"--over names {key} twice", fix="put all its values into one")
    runs = options.seeds
    for _, values in axes:
        runs *= len(values)
    if runs > MOST_RUNS:
        raise InputError(f"that is {runs:,} runs; {MOST_RUNS:,} is the most", fix="fewer values, or fewer seeds")


def _run_all(planned: list[Planned], place: Workspace, tell: Any) -> list[str]:
    """Train what is not done, one after another, and return the names of those that failed; raises Stopped."""
    failed: list[str] = []
    with _signals() as child:
        for number, one in enumerate(planned, 1):
            state = _state(place, one)
            tell(f"[{number}/{len(planned)}] {one.project.name}: {_settings(one)}" + (", done" * (state == "done")))
            if state == "done":
                continue
            code = _train(one, place, child, resume=state == "resumable")
            if code == 130 or child.stopped:
                raise Stopped("the sweep is stopped", fix="the same command goes on with it")
            if code:
                failed.append(one.project.name)
                tell(f"{one.project.name} failed (exit code {code}); the others go on")
    return failed


def _train(one: Planned, place: Workspace, child: _Child, *, resume: bool) -> int:
    command = [sys.executable, "-P", "-m", "phi_tui", "train", str(one.file), "--workspace", str(place.root), "--json"]
    # A session of its own: a key pressed in this terminal reaches this process alone, which passes it on once.
    child.process = subprocess.Popen(
        [*command, "--resume"] if resume else command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    if child.stopped:  # the signal came while the process was being made
        child.process.send_signal(signal.SIGTERM)
    try:
        return child.process.wait()
    finally:
        child.process = None


@contextmanager
def _signals() -> Iterator[_Child]:
    """Pass signals on to the child: the first lets it save and stop, the second ends it at once."""
    child = _Child()

    def caught(number: int, frame: Any) -> None:
        child.stopped = True
        if child.process:
            child.process.send_signal(signal.SIGTERM)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup keeps its meaning
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, caught) for number in numbers}
    try:
        yield child
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _state(place: Workspace, one: Planned) -> str:
    """done, resumable, or new: what is known of a run of these settings."""
    runs = run.listed(place, one.project.name)
    if any(_loss(candidate) is not None for candidate in runs):
        return "done"
    if runs and runs[0].state() in ("stopped", "died") and runs[0].checkpoints.is_dir():
        return "resumable"
    return "new"


def _loss(candidate: run.Run) -> float | None:
    result = candidate.result() if candidate.state() == "done" else None
    loss = (result or {}).get("eval_loss")
    return float(loss) if isinstance(loss, int | float) else None


def _scanned(place: Workspace, one: Planned) -> Scanned | None:
    for candidate in run.listed(place, one.project.name):
        if (loss := _loss(candidate)) is not None:
            return Scanned(one.settings, one.seed, loss, _rows_of(candidate))
    return None


def _rows_of(candidate: run.Run) -> str:
    """What the loss is a loss of: losses over other validation rows or other tokens cannot be compared."""
    import hashlib
    import tomllib

    try:
        data = tomllib.loads((candidate.path / "lock.toml").read_text("utf-8"))["data"]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError):
        return candidate.id


def _known(folder: Path, name: str) -> tuple[dict[str, str], set[int]]:
    """The names that settings have got already, and the numbers that are taken."""
    known: dict[str, str] = {}
    taken: set[int] = set()
    pattern = re.compile(re.escape(name) + r"-sweep-(\d+)\.toml")
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if match := pattern.fullmatch(path.name):
            taken.add(int(match[1]))
            try:
                known.setdefault(_key(project.load(path)), path.stem)
            except PhiError:
                continue  # of another version, or somebody's edit: it keeps its number and is not ours to run
    return known, taken


def _key(made: Project) -> str:
    tables = project.dump(made, defaults=True)
    return json.dumps({key: value for key, value in tables.items() if key != "name"}, sort_keys=True)


def _put(tables: dict[str, Any], key: str, value: Any) -> None:
    *parents, leaf = key.split(".")
    for part in parents:
        tables = tables.setdefault(part, {})
    tables[leaf] = value


def _spelled(settings: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings)


def _settings(one: Planned) -> str:
    return f"{_spelled(one.settings)}, seed {one.seed}"


def _told(line: str) -> None:
    sys.stderr.write(clean(line, one_line=True) + "\n")
    sys.stderr.flush()


def _finish(options: Options, figures: dict[str, Any]) -> None:
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
