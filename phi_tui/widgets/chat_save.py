"""Saving a conversation into the workspace, and how much memory a process holds; neither needs the terminal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from phi_tui import transcript
from phi_tui.errors import InputError
from phi_tui.widgets.chat_talk import Talk
from phi_tui.widgets.voice_choice import Voice


def conversation(talk: Talk, known: dict[str, dict[str, Any]], names: dict[str, str]) -> transcript.Conversation:
    """Return what was said as a transcript, a column for each voice that was ever asked.

    `known` is what was said of the voices when they were loaded, `names` their templates' names.  Settings and seed
    are those of the last question, as a transcript has one of each.
    """
    columns: dict[str, list[transcript.Turn]] = {}
    settings: dict[str, Any] = {}
    seed: int | None = None
    for turn in talk.turns:
        for key, said in turn.answers.items():
            settings, seed = said.settings, said.seed
            turns = columns.setdefault(key, [])
            turns.append(transcript.Turn("user", turn.question))
            if said.text and said.state in ("done", "stopped"):
                voice = _title(talk.met[key])
                seconds = said.seconds if said.state == "done" else None
                turns.append(
                    transcript.Turn("assistant", said.text, voice, seconds, said.tokens or None, ended=said.ended)
                )
    return transcript.Conversation(
        tuple(
            transcript.Column(
                key,
                _title(talk.met[key]),
                tuple(turns),
                base=str(known.get(key, {}).get("base", "")),
                template=names.get(key, ""),
                remembers=names.get(key) == "chat",
            )
            for key, turns in columns.items()
        ),
        system=str(settings.get("system", "")),
        settings={name: value for name, value in settings.items() if name != "system"},
        seed=seed,
    )


def save(said: transcript.Conversation, root: Path, project: str) -> str:
    """Write a conversation as JSONL and Markdown below `root`/chats and return where it lies, or raise InputError."""
    folder = root / "chats"
    if folder.is_symlink():
        raise InputError("is a symbolic link", where=str(folder), fix="outputs go only into real folders")
    rows, text = transcript.save(said, folder, f"{project[:80]}-{time.strftime('%Y%m%d-%H%M%S')}")
    return f"chats/{rows.name} (to train on) and {text.suffix} (to read), in {root}"


def _title(voice: Voice) -> str:
    return f"{voice.title} of {voice.run_id}" if voice.run_id else voice.title


def memory_of(pid: int | None) -> str:
    """How much memory a process holds, in words; empty when that is not known."""
    if pid is None:
        return ""
    import psutil

    try:
        held = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return ""
    return f"{held / 1e9:.1f} GB" if held >= 1e8 else f"{held / 1e6:.0f} MB"
