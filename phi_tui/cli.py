"""The command line.  Every heavy import is inside the branch that needs it: `--help` answers at once."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phi_tui import __version__
from phi_tui.errors import InputError, PhiError

_COMMANDS = {
    "demo": "the embedded base on the embedded toy data, then chat",
    "wizard": "make a project on a guided path; --auto asks nothing",
    "prepare": "read, check, split and tokenise a project's data",
    "train": "prepare and train a project (the same as --replay)",
    "sweep": "train every combination of some settings, several seeds each, and compare",
    "push": "put a run's adapter with its card on the Hub, private unless told otherwise",
    "eval": "perplexity of a project's base and adapter on its validation rows",
    "chat": "talk to a trained adapter, or with --base to its base; score a text where a head was trained",
    "shapes": "the shapes that a new model of so many parameters can have",
    "merge": "merge an adapter onto its base: one plain model, with what that changed",
    "runs": "list the runs of a workspace",
    "attach": "watch a run, live or finished",
    "serve": "the app in a browser, on this machine's loopback",
    "stop": "ask a live run to stop",
    "doctor": "what is wrong with this machine, or row by row with data files",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if given and given[0] in _COMMANDS:
            return _command(given[0], given[1:])
        return _top(given)
    except PhiError as error:
        return _tell(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of a pipe went away; nothing is left to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if os.environ.get("PHI_TUI_DEBUG"):
            raise
        return _tell(InputError(error.strerror or str(error), where=str(error.filename or "")))


def _tell(error: PhiError) -> int:
    if os.environ.get("PHI_TUI_DEBUG"):
        raise error
    from phi_tui.safe_text import clean

    sys.stderr.write(f"phi-tui: {clean(error)}\n")
    return error.exit_code


def _top(given: list[str]) -> int:
    listing = "\n".join(f"  {name:<10}{text}" for name, text in _COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="phi-tui",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Fine-tune a language model from a terminal, and talk to it.",
        epilog=f"commands (each has its own --help):\n{listing}\n\n"
        "exit codes: 0 done; 2 command line or project file wrong; "
        "3 preflight or a lock refuses; 4 training failed; 130 stopped, resumable",
    )
    parser.add_argument("project", nargs="?", type=Path, metavar="PROJECT.toml", help="open the app on this project")
    parser.add_argument("--start", action="store_true", help="open the app on a run that starts at once")
    parser.add_argument("--version", action="version", version=f"phi-tui {__version__}")
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="PROJECT.toml",
        help="run a project headless, from its data to its adapter",
    )
    _replay_flags(parser)
    args = parser.parse_args(given)
    if args.replay:
        from phi_tui.replay import replay

        return replay(args.replay, _options(args))
    if given and (args.resume or args.resume_as or args.json or args.overrides or args.locked or args.dry_run):
        raise InputError("these flags go with --replay PROJECT.toml")
    if args.start and not args.project:
        raise InputError("--start goes with PROJECT.toml")
    if _on_a_terminal():
        from phi_tui.start import the_app

        where = "train" if args.start else "home"
        return the_app()(args.workspace, args.project, start_on=where, autostart=args.start)
    if args.project:
        raise InputError("the app needs a terminal", fix=f"without one: phi-tui --replay {args.project}")
    from phi_tui.overview import overview

    return overview(args.workspace)


def _on_a_terminal() -> bool:
    """Whether a full-screen app can be shown: both ends are a terminal that can place a cursor, or a browser is."""
    if os.environ.get("TEXTUAL_DRIVER"):
        return True
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _command(name: str, given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"phi-tui {name}", description=_COMMANDS[name])
    handler = globals()[f"_{name}"]
    return int(handler(parser, given))


def _demo(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("--headless", action="store_true", help="no app, even on a terminal")
    _replay_flags(parser)
    args = parser.parse_args(given)
    headless = (
        args.headless or args.json or args.dry_run or args.resume or args.resume_as or args.locked or args.overrides
    )
    if not headless and _on_a_terminal():
        from phi_tui.demo import bring
        from phi_tui.start import the_app
        from phi_tui.workspace import Workspace, default_root

        place = Workspace((args.workspace or default_root()).expanduser().absolute())
        place.prepare()
        return the_app()(place.root, bring(place), start_on="train")
    from phi_tui.demo import run_demo

    return run_demo(_options(args))


def _wizard(parser: argparse.ArgumentParser, given: list[str]) -> int:
    from phi_tui import wizard

    wizard.add_flags(parser)
    parser.add_argument("--workspace", type=Path, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object on standard output")
    args = parser.parse_args(given)
    from phi_tui.replay import Options

    return wizard.wizard(args, Options(workspace=args.workspace, json=args.json))


def _prepare(parser: argparse.ArgumentParser, given: list[str]) -> int:
    args = _project_args(parser, given)
    from phi_tui.replay import prepare_only

    return prepare_only(args.project, _options(args))


def _train(parser: argparse.ArgumentParser, given: list[str]) -> int:
    args = _project_args(parser, given)
    from phi_tui.replay import replay

    return replay(args.project, _options(args))


def _sweep(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("project", type=Path, metavar="PROJECT.toml")
    parser.add_argument("--workspace", type=Path, metavar="DIR")
    parser.add_argument(
        "--over",
        action="append",
        default=[],
        metavar="KEY=VALUE,...",
        help="a setting and its values, such as lora.rank=8,13,21,34; several give every combination",
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each combination, seed, seed + 1, ... (3)")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="a setting for all of them"
    )
    parser.add_argument("--json", action="store_true", help="the comparison as one JSON object on standard output")
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and run nothing")
    args = parser.parse_args(given)
    from phi_tui.sweep import Options, sweep

    return sweep(
        args.project,
        Options(tuple(args.over), args.seeds, tuple(args.overrides), args.workspace, args.json, args.dry_run),
    )


def _push(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("project", type=Path, metavar="PROJECT.toml")
    parser.add_argument("--workspace", type=Path, metavar="DIR")
    parser.add_argument("--to", required=True, metavar="ORG/NAME", help="the repository; it is made when it is missing")
    parser.add_argument("--run", default="", metavar="ID", help="which run's adapter; the newest that has one")
    seen = parser.add_mutually_exclusive_group()
    seen.add_argument("--private", dest="private", action="store_true", default=True, help="for you alone (as it is)")
    seen.add_argument("--public", dest="private", action="store_false", help="anyone can read it")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument("--json", action="store_true", help="what was pushed as one JSON object on standard output")
    args = parser.parse_args(given)
    from phi_tui.publish import publish

    return publish(
        args.project, args.to, args.workspace, run_id=args.run, private=args.private, yes=args.yes, as_json=args.json
    )


def _eval(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("--run", default="", metavar="ID", help="which run's adapter; the newest unless given")
    args = _project_args(parser, given)
    from phi_tui.replay import evaluate_only

    return evaluate_only(args.project, args.run, _options(args))


def _chat(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("project", type=Path, metavar="PROJECT.toml")
    parser.add_argument("--workspace", type=Path, metavar="DIR")
    parser.add_argument("--run", default="", metavar="ID", help="which run's adapter; the newest unless given")
    parser.add_argument("--base", action="store_true", help="ask the base without the adapter")
    parser.add_argument("--prompt", metavar="TEXT", help="one question; without it a conversation")
    parser.add_argument("--system", help="system prompt")
    parser.add_argument("--temperature", type=float, help="0 takes the likeliest token each time")
    parser.add_argument("--top-p", type=float)
    parser.add_argument("--max-tokens", type=int)
    parser.add_argument("--seed", type=int)
    args = parser.parse_args(given)
    overrides = [
        f"chat.{key}={json.dumps(getattr(args, key))}"
        for key in ("system", "temperature", "top_p", "max_tokens")
        if getattr(args, key) is not None
    ]
    if args.seed is not None:
        overrides.append(f"seed={args.seed}")
    from phi_tui.talk import talk

    return talk(
        args.project,
        workspace=args.workspace,
        run_id=args.run,
        base=args.base,
        prompt=args.prompt,
        overrides=tuple(overrides),
    )


def _shapes(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("parameters", metavar="N", help="the budget, such as 3M, 125M or 1.3B")
    parser.add_argument("--vocabulary", type=int, metavar="N", help="tokens; by the budget unless given")
    parser.add_argument("--context", type=int, metavar="N", help="tokens a row")
    parser.add_argument("--architecture", help="llama (unless given) or gpt_neox")
    parser.add_argument("--shape", help="conventional (unless given) or phi")
    parser.add_argument("--json", action="store_true", help="the table as JSON")
    args = parser.parse_args(given)
    from phi_tui import shapes

    more = {key: getattr(args, key) for key in ("vocabulary", "context", "architecture", "shape")}
    return shapes.shapes(shapes.settings(args.parameters, **more), as_json=args.json)


def _merge(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("project", type=Path, metavar="PROJECT.toml")
    parser.add_argument("--run", default="", metavar="ID", help="which run's adapter; the newest unless given")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the new folder; nothing is overwritten")
    parser.add_argument("--workspace", type=Path, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="the figures as one JSON object on standard output")
    args = parser.parse_args(given)
    from phi_tui.replay import Options, merge_only

    return merge_only(args.project, args.run, args.out, Options(workspace=args.workspace, json=args.json))


def _runs(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("--workspace", type=Path, metavar="DIR")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(given)
    from phi_tui.overview import runs

    return runs(args.workspace, as_json=args.json)


def _attach(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("run", metavar="RUN", help="a run's id, project/id, or a project's name for its newest run")
    parser.add_argument("--workspace", type=Path, metavar="DIR")
    parser.add_argument("--plain", action="store_true", help="lines instead of the full screen")
    args = parser.parse_args(given)
    if not args.plain and _on_a_terminal():
        from phi_tui import ahead, run
        from phi_tui.workspace import place_of

        found = run.find(place_of(args.workspace), args.run)
        reading = ahead.begin(found.journal)  # while the app is loaded and comes up

        from phi_tui.start import the_app

        return the_app()(args.workspace, attach=found, ahead=reading)
    from phi_tui.overview import attach

    return attach(args.run, args.workspace)


def _serve(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("project", nargs="?", type=Path, metavar="PROJECT.toml")
    parser.add_argument("--workspace", type=Path, metavar="DIR")
    parser.add_argument("--host", default="127.0.0.1", help="who can reach it: this machine alone unless given")
    parser.add_argument("--port", type=int, default=8061)
    parser.add_argument("--public-url", help="the address that browsers see, behind a proxy")
    args = parser.parse_args(given)
    from phi_tui.serve import serve

    return serve(args.project, args.workspace, args.host, args.port, args.public_url)


def _stop(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("run", metavar="RUN", help="a run's id, project/id, or a project's name for its newest run")
    parser.add_argument("--save", action=argparse.BooleanOptionalAction, default=True, help="write a checkpoint first")
    parser.add_argument("--workspace", type=Path, metavar="DIR")
    args = parser.parse_args(given)
    from phi_tui.overview import stop

    return stop(args.run, args.workspace, save=args.save)


def _doctor(parser: argparse.ArgumentParser, given: list[str]) -> int:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="data files or folders; none: this machine")
    parser.add_argument(
        "--task",
        choices=("classification", "multi-label", "regression"),
        default="",
        help="read the rows as a text and a label, and look at the labels",
    )
    parser.add_argument("--workspace", type=Path, metavar="DIR")
    args = parser.parse_args(given)
    from phi_tui import doctor

    return doctor.examine_files(args.files, args.task) if args.files else doctor.examine_machine(args.workspace)


def _project_args(parser: argparse.ArgumentParser, given: list[str]) -> Any:
    parser.add_argument("project", type=Path, metavar="PROJECT.toml")
    _replay_flags(parser)
    return parser.parse_args(given)


def _replay_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--workspace",
        type=Path,
        metavar="DIR",
        help="where outputs go; the project file's folder unless given",
    )
    add(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, such as train.epochs=3",
    )
    add("--resume", action="store_true", help="go on with the project's newest unfinished run")
    add(
        "--resume-as",
        choices=("new",),
        default="",
        help="new: a new run from the newest run's newest checkpoint, under the settings as they are now",
    )
    add(
        "--locked",
        action="store_true",
        help="refuse if anything differs from PROJECT.lock.toml or the newest finished run's lock",
    )
    add("--json", action="store_true", help="figures as one JSON object on standard output")
    add("--dry-run", action="store_true", help="say what would happen, and train nothing")


def _options(args: Any) -> Any:
    from phi_tui.replay import Options

    return Options(
        workspace=args.workspace,
        overrides=tuple(args.overrides),
        resume=args.resume,
        renew=args.resume_as == "new",
        locked=args.locked,
        json=args.json,
        dry_run=args.dry_run,
    )
