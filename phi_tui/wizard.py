"""The wizard: flags become a project file, which is replayed, or opened in the app on a guided path.

A project file that is there already is changed only where a flag says so; its comments stay.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from phi_tui import project
from phi_tui.errors import InputError
from phi_tui.replay import Options, prepare_only, replay
from phi_tui.schema import Project
from phi_tui.workspace import Workspace, checked_name

_SETTINGS = {
    "epochs": "train.epochs",
    "lr": "train.learning_rate",
    "warmup": "train.warmup",
    "rank": "lora.rank",
    "alpha": "lora.alpha",
    "dropout": "lora.dropout",
    "per_device_batch": "train.batch_size",
    "grad_accum": "train.grad_accum",
    "precision": "train.precision",
}
"""Flags that are settings of the project, by their dotted key."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the wizard's flags to a parser."""
    add, switch = parser.add_argument, argparse.BooleanOptionalAction
    add("--auto", action="store_true", help="ask nothing: flags and defaults decide")
    add("--size", help="size of the base to choose when --base is not given, such as 125m or 1.3b")
    add("--base", help="a Hub id, a local folder, a .gguf file, or builtin:phi-demo")
    add("--project", help="name of the project")
    add(
        "--dataset",
        action="append",
        default=[],
        metavar="FILE",
        help="a data file or folder; may be repeated",
    )
    add(
        "--phi-mix",
        action="store_true",
        help="interleave several data sets with weights 0.618, 0.382, 0.236, ...",
    )
    add("--download-tokenizer", action=switch, default=True, help="bring the base's tokenizer into models/")
    add(
        "--download-weights",
        action=switch,
        default=False,
        help="bring the base's weights into models/; training does",
    )
    add("--tokenize", action=switch, default=None, help="split and tokenise the data")
    add("--train", action=switch, default=None, help="train the adapter")
    add("--eval", action=switch, default=None, help="perplexity on the validation rows, base and adapter")
    add("--epochs", type=float)
    add("--lr", type=float, help="peak learning rate")
    add("--warmup", type=float, help="warm-up: a share of the steps below 1, steps from 1 on")
    add("--rank", type=int, help="LoRA rank")
    add("--alpha", type=int, help="LoRA alpha")
    add("--dropout", type=float, help="LoRA dropout")
    add("--per-device-batch", type=int, help="rows a forward pass; 0 finds it")
    add("--grad-accum", type=int, help="forward passes an optimiser step; 0 finds it")
    add("--precision", help="auto, bf16, fp16 or fp32")


def wizard(args: argparse.Namespace, options: Options) -> int:
    """Write the project file that the flags describe, and do with it what they ask; return the exit code."""
    if not args.auto:
        return _guided(args, options)
    if not args.project:
        raise InputError("the project has no name", fix="--project NAME")
    place = Workspace((options.workspace or Path.cwd()).expanduser().absolute())
    file = place.root / f"{checked_name(args.project)}.toml"
    made = _project(args, place, file)
    place.prepare()
    project.save(made, file)
    sys.stderr.write(f"project    {file}\n")
    if args.train:
        return replay(file, options)
    if args.tokenize:
        return prepare_only(file, options)
    return _download(made, place, args)


def _project(args: argparse.Namespace, place: Workspace, file: Path) -> Project:
    """The project that the flags describe, laid over the file that is there already."""
    tables: dict[str, Any] = {"schema": 1, "name": args.project}
    if file.exists():
        tables = project.dump(project.load(file))
    base = args.base or (_by_size(args.size) if args.size else None)
    if base:
        here = Path(base).expanduser()
        if not base.startswith("builtin:") and here.exists():
            base = _relative(here, place.root)
        tables.setdefault("model", {})["base"] = base
    if args.dataset:
        sources = [{"path": _relative(_existing(path), place.root)} for path in args.dataset]
        tables.setdefault("data", {})["sources"] = sources
    if args.phi_mix:
        tables.setdefault("data", {})["mix"] = "phi"
    for flag, key in _SETTINGS.items():
        if (value := getattr(args, flag)) is not None:
            table, leaf = key.split(".")
            tables.setdefault(table, {})[leaf] = value
    if args.eval is not None:
        tables.setdefault("train", {})["evaluate"] = args.eval
    return project.validate(tables, "the wizard's flags")


def _by_size(size: str) -> str:
    from phi_tui.engine.bases import by_size

    return by_size(size)[0].id


def _existing(path: str) -> Path:
    found = Path(path).expanduser()
    if not found.exists():
        raise InputError("no such data file", where=path, fix="check --dataset")
    return found


def _relative(path: Path, root: Path) -> str:
    """The path as the project file names it: relative to it where it lies below, else absolute."""
    whole = path.absolute()
    return os.path.relpath(whole, root) if whole.is_relative_to(root) else str(whole)


def _download(made: Project, place: Workspace, args: argparse.Namespace) -> int:
    """Bring what the flags ask for, when nothing else is to be done."""
    if args.download_tokenizer or args.download_weights:
        from phi_tui.engine.bases import resolve

        base = resolve(
            made.model,
            place.root,
            place.models,
            weights=args.download_weights,
            tokenizer=args.download_tokenizer,
        )
        sys.stderr.write(f"base       {base.folder}\n")
    return 0


def _guided(args: argparse.Namespace, options: Options) -> int:
    """Open the app on the guided path, with what the flags say filled in."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError(
            "the wizard shows screens and there is no terminal", fix="give the answers as flags, with --auto"
        )
    place = Workspace((options.workspace or Path.cwd()).expanduser().absolute())
    args.project = args.project or _free_name(place)
    file = place.root / f"{checked_name(args.project)}.toml"
    made = _project(args, place, file)
    place.prepare()
    project.save(made, file)
    from phi_tui.start import the_app

    first = "model" if not args.base else "data" if not args.dataset else "hparams"
    return the_app()(place.root, file, guiding=True, start_on=first)


def _free_name(place: Workspace) -> str:
    """A name that no project of the workspace has."""
    number = 1
    while (place.root / f"project_{number}.toml").exists():
        number += 1
    return f"project_{number}"
