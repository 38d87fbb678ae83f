"""What is asked of the process that holds the models, and what came of it: loading first, then one request a column.

Requests wait here until the voices they are for are loaded, so that a failed load is told once and nothing is asked
of a model that is not there.  Plain bookkeeping, without a terminal; replies that come late find nothing open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from phi_tui.child import FINAL
from phi_tui.widgets.voice_choice import Voice

Messages = Callable[[bool], list[dict[str, str]]]
"""Makes the messages, once it is known whether the voice's template remembers earlier turns."""


@dataclass(frozen=True, slots=True)
class Request:
    """Something asked of one voice; `on_reply` gets each reply's kind and payload."""

    do: str
    key: str
    messages: Messages
    arguments: dict[str, Any]
    on_reply: Callable[[str, dict[str, Any]], None]


class Exchange:
    """The conversation with the child process; `ask(do, tag, **arguments)` sends and returns a number."""

    def __init__(self, ask: Callable[..., int], cancel: Callable[[int], None]) -> None:
        self._ask, self._cancel = ask, cancel
        self.known: dict[str, dict[str, Any]] = {}
        """What was said of each voice when it was loaded: template, context, device; kept when it is unloaded."""
        self.loaded: frozenset[str] = frozenset()
        self.phase = ""
        """What loading is at; empty when nothing is being loaded."""
        self.fault = ""
        """Why the last load failed."""
        self._place: dict[str, str] = {}
        self._loading = 0
        self._loading_keys: frozenset[str] = frozenset()
        self._due: list[Request] = []
        self._open: dict[int, Request] = {}

    @property
    def busy(self) -> bool:
        """Whether something was asked whose answer is still to come."""
        return bool(self.asked or self._loading)

    @property
    def asked(self) -> bool:
        """Whether a voice was asked and has not answered yet."""
        return bool(self._due or self._open)

    @property
    def loading(self) -> bool:
        """Whether models are being loaded."""
        return bool(self._loading)

    def template(self, voice: Voice) -> str:
        """The name of the voice's template, or an empty text while it is not known."""
        return str(self.known.get(voice.key, {}).get("template", "")) or voice.template

    def ready(self, voices: Sequence[Voice], place: dict[str, str]) -> None:
        """Load `voices` unless they are; `place` names the project, its root and the workspace."""
        keys = frozenset(voice.key for voice in voices)
        if place == self._place and (keys <= self._loading_keys if self._loading else keys <= self.loaded):
            return
        self._place = place
        self._loading_keys = keys
        self.phase, self.fault = "asked for", ""
        self._loading = self._ask("load", "load", voices=[voice.asked() for voice in voices], **place)

    def request(self, request: Request) -> None:
        """Ask a voice, at once or when it is loaded; call `ready` first."""
        if self._loading:
            self._due.append(request)
        else:
            self._send(request)

    def heard(self, number: int, kind: str, payload: dict[str, Any]) -> None:
        """Take in a reply."""
        if number == self._loading:
            self._heard_of_load(kind, payload)
        elif request := self._open.get(number):
            if kind in FINAL:
                del self._open[number]
            request.on_reply(kind, payload)

    def stop(self, keys: frozenset[str] | None = None) -> None:
        """End what is asked of the voices `keys`, or everything, loading too."""
        for number, request in list(self._open.items()):
            if keys is None or request.key in keys:
                self._cancel(number)
        for request in [one for one in self._due if keys is None or one.key in keys]:
            self._due.remove(request)
            request.on_reply("cancelled", {})
        if keys is None and self._loading:
            self._cancel(self._loading)
            # Whatever still comes of it is not waited for: the next question loads again, which costs nothing
            # where it had succeeded.
            self._loading, self._loading_keys, self.loaded, self.phase = 0, frozenset(), frozenset(), ""

    def elsewhere(self) -> None:
        """Another project is open: stop, and forget what was said of the voices of this one."""
        self.stop()
        self.known, self.loaded, self.fault, self._place = {}, frozenset(), "", {}

    def gone(self) -> None:
        """The process was ended: nothing is loaded, nothing more will come."""
        left = [*self._open.values(), *self._due]
        self._open, self._due = {}, []
        self._loading, self._loading_keys, self.loaded, self.phase = 0, frozenset(), frozenset(), ""
        for request in left:
            request.on_reply("cancelled", {})

    def _heard_of_load(self, kind: str, payload: dict[str, Any]) -> None:
        if kind == "phase":
            self.phase = str(payload.get("detail", ""))
        if kind not in FINAL:
            return
        self._loading, self.phase = 0, ""
        due, self._due = self._due, []
        if kind == "result":
            voices = {str(voice["key"]): voice for voice in payload.get("voices", ())}
            self.known.update(voices)
            self.loaded = frozenset(voices)
            for request in due:
                self._send(request)
            return
        self.loaded = frozenset()  # what stands in memory now is not known: the next question asks for it again
        if kind == "error":
            self.fault = str(payload.get("what") or "the model could not be loaded")
        for request in due:
            request.on_reply(kind, payload)

    def _send(self, request: Request) -> None:
        remembers = self.known.get(request.key, {}).get("template") == "chat"
        number = self._ask(
            request.do, request.do, key=request.key, messages=request.messages(remembers), **request.arguments
        )
        self._open[number] = request
