"""Chat on the command line: one question, or a conversation, streamed; the adapter or the bare base."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from phi_tui import project, run
from phi_tui.errors import InputError
from phi_tui.safe_text import clean
from phi_tui.workspace import Workspace, for_project


def talk(
    file: Path,
    *,
    workspace: Path | None,
    run_id: str,
    base: bool,
    prompt: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Answer `prompt`, or every line of standard input, and return the exit code.

    The newest run with an adapter is asked, or the run called `run_id`, or with `base` the bare base in the same
    template.
    """
    asked = project.load(file, overrides)
    place = for_project(file, workspace)
    found = _trained(place, asked.name, run_id)
    if found is None and not base:
        raise InputError(
            f"{asked.name} has no adapter yet",
            fix="train it with phi-tui --replay, or ask the base with --base",
        )
    frozen = found.project() if found else asked
    chat = asked.chat
    console = Console(stderr=True, highlight=False)
    console.print(Text("loading the model", style="dim"))
    from phi_tui.engine import chat as engine
    from phi_tui.engine.console import quiet
    from phi_tui.engine.labels import has_head

    if has_head(frozen):
        from phi_tui.score_talk import score_talk

        return score_talk(frozen, file.parent, place, None if base or found is None else found, prompt, _read)

    with quiet():
        speaker = engine.load(
            frozen,
            file.parent,
            place,
            None if base or found is None else found.result_folder,
            with_template_of=found.result_folder if found else None,
        )
    remembers = speaker.template.name == "chat"
    system = [{"role": "system", "content": chat.system}] if chat.system else []
    history: list[dict[str, str]] = []
    if prompt is None and sys.stdin.isatty():
        what = "the base" if base else f"run {found.id if found else ''}"
        hint = "" if remembers else "; each question stands alone, as in training"
        console.print(
            Text(f"{what}, template {speaker.template.name}{hint}. Ctrl+D ends, /new starts over.", style="dim")
        )
    while True:
        question = prompt if prompt is not None else _read()
        if question is None:
            return 0
        if question == "/new":
            history.clear()
            continue
        if question.strip():
            history = history if remembers else []
            history.append({"role": "user", "content": question})
            answer = speaker.answer([*system, *history], chat, asked.seed, _write)
            sys.stdout.write("\n")
            sys.stdout.flush()
            history.append({"role": "assistant", "content": answer.text})
            if not answer.ended:
                console.print(Text(f"(cut off after {answer.tokens} tokens)", style="dim"))
        if prompt is not None:
            return 0


def _trained(place: Workspace, name: str, run_id: str) -> Any:
    if run_id:
        return run.find(place, f"{name}/{run_id}")
    runs = run.listed(place, name)
    return next((r for r in runs if r.has_result), None)


def _read() -> str | None:
    try:
        return input("> " if sys.stdin.isatty() else "")
    except EOFError:
        return None


def _write(piece: str) -> None:
    sys.stdout.write(clean(piece))
    sys.stdout.flush()
