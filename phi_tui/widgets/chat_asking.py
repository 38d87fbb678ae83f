"""One question to all columns of a conversation: their answers, or the exact text that each of them is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phi_tui.widgets.chat_exchange import Exchange, Messages, Request
from phi_tui.widgets.chat_talk import Said, Talk, Turn
from phi_tui.widgets.chat_template import Given
from phi_tui.widgets.chat_words import fault
from phi_tui.widgets.voice_choice import Voice


def ask_all(exchange: Exchange, talk: Talk, turn: Turn, settings: dict[str, Any], seed: int) -> None:
    """Let every column answer `turn`, one request each; the process answers them one after another."""
    for voice in talk.voices:
        said = turn.answers[voice.key] = Said(seed=seed, settings=settings)
        given = _messages(talk, turn, voice)
        exchange.request(Request("answer", voice.key, given, {"settings": settings, "seed": seed}, said.heard))


def ask_text(exchange: Exchange, talk: Talk, turn: Turn, system: str, show: Callable[[list[Given], str], None]) -> None:
    """Find out what every column would be given to answer `turn`; `show` gets it once, or the first failure."""
    voices = talk.voices
    given: dict[str, Given] = {}
    left = {voice.key for voice in voices}
    faults: list[str] = []
    for voice in voices:

        def got(kind: str, payload: dict[str, Any], voice: Voice = voice) -> None:
            if kind == "error":
                faults.append(fault(payload))
            elif kind == "result":
                given[voice.key] = _given(exchange, voice, payload)
            left.discard(voice.key)
            if not left:
                show([given[voice.key] for voice in voices if voice.key in given], faults[0] if faults else "")

        exchange.request(Request("prompt_text", voice.key, _messages(talk, turn, voice), {"system": system}, got))


def _messages(talk: Talk, turn: Turn, voice: Voice) -> Messages:
    return lambda remembers: talk.messages(voice.key, turn, remembers=remembers)


def _given(exchange: Exchange, voice: Voice, payload: dict[str, Any]) -> Given:
    known = exchange.known.get(voice.key, {})
    return Given(
        voice.title,
        exchange.template(voice),
        str(known.get("template_text", "")),
        str(payload.get("text", "")),
        int(payload.get("tokens") or 0),
        int(known.get("context") or 0),
        tuple(str(stop) for stop in known.get("stops", ())),
    )
