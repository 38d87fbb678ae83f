"""What the chat screen says: the state of a column, the lines above the field, the hint on an empty page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.content import Content

from phi_tui.engine.labels import TASKS
from phi_tui.safe_text import clean
from phi_tui.schema import Project
from phi_tui.widgets.chat_exchange import Exchange
from phi_tui.widgets.chat_talk import Said, Talk
from phi_tui.widgets.voice_choice import Voice


def state(voice: Voice, said: Said | None, exchange: Exchange) -> str:
    """The second line of a column's head."""
    if exchange.loading and voice.key not in exchange.loaded:
        return f"loading the model: {exchange.phase}".removesuffix(": asked for")
    if said and said.open:
        return said.words()
    if voice.key in exchange.loaded:
        known = exchange.known[voice.key]
        return f"ready on {known.get('device', '?')}, {known.get('weights', '?')}"
    if exchange.fault:
        return "could not be loaded"
    return "is loaded when you ask"


def hint(project_open: bool, voices: Sequence[Voice], task: str = "") -> Content:
    """What stands where there is no turn yet."""
    if not project_open:
        return Content(
            "No project is open.\n\nOpen one on Home (1), or make the demo there: its base can be asked at once, "
            "and after training (5) base and adapter answer side by side."
        )
    if task in TASKS:
        return Content(
            "Type a text and press enter: it is scored.\n\n"
            "F2  choose who scores: adapters, checkpoints\n"
            "^t  the exact text that the model is given\n"
            "esc gives the jump keys back; then v chooses, i returns"
        )
    who = "each column" if len(voices) > 1 else "the model"
    return Content(
        f"Ask {who} something.\n\n"
        "F2  choose who answers: base, adapters, checkpoints\n"
        "^t  the exact text that the model is given\n"
        "^g  system prompt, temperature, longest answer, seed\n"
        "esc gives the jump keys back; then b puts the base beside, v chooses, i returns"
    )


def note(
    project: Project | None, talk: Talk, voices: Sequence[Voice], templates: Sequence[str], *, live: int
) -> Content:
    """The lines above the field: what to beware of, whether turns are remembered, how answers are made."""
    if project is None:
        return Content("")
    lines: list[Content] = []
    if live:
        runs = "A run is training" if live == 1 else f"{live} runs are training"
        lines.append(Content.styled(f"{runs}: chatting shares the machine with it.", "$warning"))
    if project.model.task in TASKS:
        if not any(voice.kind != "base" for voice in voices):
            lines.append(Content.styled("No adapter yet, so nothing can be scored. Train one: 5, then s.", "$warning"))
        what = "a number" if project.model.task == "regression" else "each class with its probability"
        lines.append(Content.styled(f"A text gets {what} ({project.model.task}); each stands alone.", "dim"))
        return Content("\n").join(lines)
    if voices and not any(voice.kind == "adapter" for voice in voices):
        more = "; a checkpoint can be asked already (F2)" if any(v.kind == "checkpoint" for v in voices) else ""
        lines.append(
            Content.styled(f"No adapter yet, so the bare base answers{more}. Train one: 5, then s.", "$warning")
        )
    newest = next((voice for voice in voices if voice.kind == "adapter"), None)
    if newest and not talk.chosen and talk.voices and all(newest.run != voice.run for voice in talk.voices):
        lines.append(Content.styled("A newer run has an adapter: F2 chooses it.", "$accent"))
    chat = project.chat
    seed = project.seed if talk.seed is None else talk.seed
    drawn = (
        f"temperature {chat.temperature:g}, top-p {chat.top_p:g}, seed {seed}" if chat.temperature else "temperature 0"
    )
    system = ", system prompt" if chat.system else ""
    lines.append(Content.styled(f"{_memory(templates)} {drawn}, at most {chat.max_tokens:,} tokens{system}.", "dim"))
    return Content("\n").join(lines)


def _memory(templates: Sequence[str]) -> str:
    """Whether earlier turns are given to the models, by the templates' names."""
    names = list(dict.fromkeys(clean(name, one_line=True, limit=40) for name in templates if name))
    if not names:
        return "The template is known once the model is loaded."
    said = " and ".join(f'"{name}"' for name in names)
    if names == ["chat"]:
        return f"Template {said}: earlier turns are remembered;"
    if "chat" in names:
        return f'Templates {said}: only "chat" remembers earlier turns;'
    return f"Template {said}: each question stands alone, as in training;"


def fault(payload: dict[str, Any]) -> str:
    """An error as it is told: where, what, and what to do."""
    place = f"{payload['where']}: " if payload.get("where") else ""
    fix = f"\n{payload['fix']}" if payload.get("fix") else ""
    return f"{place}{payload.get('what') or 'failed'}{fix}"
