"""The process behind the chat screen: it holds models and lets one to three voices answer.

A voice is the bare base, a run's adapter or a checkpoint of a run.  A base is in memory once, however many voices
stand on it: adapters are put on it by name and switched, and the bare base speaks with all of them off.  That
gives the numbers of a freshly loaded model; merging would not.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phi_tui import project
from phi_tui.engine import adapters, adapting, bases, chat, plan, pretrain
from phi_tui.engine.adapters import Adapted
from phi_tui.engine.labels import has_head
from phi_tui.engine.render import Message
from phi_tui.engine.scorer import Scorer
from phi_tui.engine.service import Cancelled, Task, serve
from phi_tui.errors import InputError
from phi_tui.run import Run
from phi_tui.schema import Chat
from phi_tui.workspace import Workspace

PIECE_SECONDS = 0.05
"""How far apart the pieces of an answer are at least, so that a slow screen is not flooded."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One voice as the request names it: `run` is empty for a base in the words of a new project."""

    key: str
    kind: str
    run: Run | None
    step: int

    @property
    def title(self) -> str:
        """What a person calls the voice."""
        of = f" of {self.run.id}" if self.run else ""
        return {"base": "base", "adapter": f"adapter{of}"}.get(self.kind, f"step {self.step}{of}")

    @property
    def adapter(self) -> Path | None:
        """The folder that holds the voice's adapter, or its whole model; None for the bare base."""
        if self.run is None or self.kind == "base":
            return None
        return self.run.result_folder if self.kind == "adapter" else self.run.checkpoints / f"step-{self.step}"


@dataclass(frozen=True, slots=True)
class Planned:
    """What a voice needs: its base, how that is spoken with, and which adapter is put on it."""

    asked: Asked
    base: bases.Base
    attention: str
    layout: chat.Layout
    mark: adapters.Mark | None
    quantization: str = "none"
    whole: bool = False
    """Whether the voice's model was trained whole: it lies in its own folder, and no adapter is put on."""

    @property
    def model(self) -> tuple[object, ...]:
        """What decides which loaded model the voice stands on."""
        held = self.mark if self.whole else self.quantization
        return str(self.base.folder), self.layout.weights, self.attention, self.layout.labels, held


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that is ready: its model, and the name of its adapter on it (None: the bare base)."""

    on: Adapted
    adapter: str | None
    speaker: chat.Speaker
    head: Scorer | None = None
    """What scores a text, where the adapter has a head: such a voice does not speak."""


class Speakers:
    """The models in memory and the voices that stand on them; its methods are the requests."""

    def __init__(self) -> None:
        self._models: dict[tuple[object, ...], Adapted] = {}
        self._voices: dict[str, Voice] = {}

    def load(self, task: Task) -> dict[str, Any]:
        """Make the voices of the request ready and drop all others.

        A request that names something that is not there changes nothing.  Where loading itself fails, the voices
        that are ready by then stay.
        """
        asked = _asked(task.arguments)
        with _told_of_memory():
            task.tell("phase", detail="looking at what was trained")
            planned = [_plan(voice, task) for voice in asked]
            self._voices = {}
            self._drop(planned)
            for one in planned:
                self._voices[one.asked.key] = self._ready(one, task)
        return {"voices": [_described(one, self._voices[one.asked.key]) for one in planned]}

    def prompt_text(self, task: Task) -> dict[str, Any]:
        """Return the text that the voice's model would be given, and its tokens."""
        voice = self._voice(task.arguments)
        given = voice.speaker.prompt(_messages(task.arguments, str(task.arguments.get("system") or "")))
        return {"text": given.text, "tokens": len(given.ids)}

    def answer(self, task: Task) -> dict[str, Any]:
        """Let a voice answer the last message, in events `piece`; a cancelled answer ends with an event `stopped`."""
        voice = self._voice(task.arguments)
        if voice.head:
            messages = task.arguments.get("messages") or [{}]
            return self._scored(voice, str(messages[-1].get("content", "")))
        settings, seed = _settings(task.arguments), _seed(task.arguments)
        messages = _messages(task.arguments, settings.system)

        tokens = 0

        def stopping() -> bool:
            nonlocal tokens
            tokens += 1
            return task.cancelled.is_set()

        def piece(text: str) -> None:
            with contextlib.suppress(Cancelled):  # the answer hears of it itself, at its next token
                task.tell("piece", text=text, tokens=tokens)

        voice.on.speak_as(voice.adapter)
        with _told_of_memory():
            said = voice.speaker.answer(messages, settings, seed, piece, every=PIECE_SECONDS, stopping=stopping)
        if said.stopped:
            _last_words(task, "stopped", text=said.text, tokens=said.tokens)
            raise Cancelled
        figures = {key: value for key, value in asdict(said).items() if key != "stopped"}
        return figures | {"tokens_per_second": said.tokens_per_second}

    def classify(self, task: Task) -> dict[str, Any]:
        """Score the request's `text` by a voice that has a head: {"scores": [[label, share], ...]} or {"value"}."""
        voice = self._voice(task.arguments)
        if voice.head is None:
            raise InputError("this voice answers in words, and gives no scores", fix="ask it a question")
        return self._scored(voice, str(task.arguments.get("text") or ""))

    def _scored(self, voice: Voice, text: str) -> dict[str, Any]:
        assert voice.head is not None
        voice.on.speak_as(voice.adapter)
        with _told_of_memory():
            return voice.head.score(text).to_json()

    def unload(self, task: Task) -> dict[str, Any]:
        """Drop every voice and model."""
        self._voices = {}
        self._drop([])
        return {}

    def _drop(self, planned: list[Planned]) -> None:
        """Let go of the models and adapters that nothing in `planned` needs."""
        needed = {one.model for one in planned}
        self._models = {key: model for key, model in self._models.items() if key in needed}
        for key, model in self._models.items():
            model.keep({one.mark for one in planned if one.mark and one.model == key})
        _free()

    def _ready(self, one: Planned, task: Task) -> Voice:
        model = self._models.get(one.model)
        if model is None:
            task.tell("phase", detail=f"loading {one.base.id}")
            model = Adapted(_loaded(one))
            self._models[one.model] = model
        name = None
        if one.asked.adapter and not one.whole:
            name = model.name(one.mark)
            if name is None:
                task.tell("phase", detail=f"putting on the {one.asked.title}")
                read = adapters.read(one.asked.adapter, model.model)
                try:
                    name = model.put_on(read, where=str(one.asked.adapter))
                except BaseException:  # half of an adapter may sit on it: neither it nor its voices are to be trusted
                    del self._models[one.model]
                    self._voices = {key: voice for key, voice in self._voices.items() if voice.on is not model}
                    raise
        head = one.layout.scorer(model.model) if one.layout.labels else None
        return Voice(model, name, one.layout.speaker(model.model), head)

    def _voice(self, arguments: dict[str, Any]) -> Voice:
        key = str(arguments.get("key", ""))
        if key not in self._voices:
            raise InputError(f"no voice {key!r} is loaded", fix="choose a model for it again")
        return self._voices[key]


def _asked(arguments: dict[str, Any]) -> list[Asked]:
    asked: list[Asked] = []
    root = Path(str(arguments.get("root") or "."))
    for voice in arguments.get("voices") or ():
        key, kind, run, step = (voice.get(name) for name in ("key", "kind", "run", "step"))
        if kind not in ("base", "adapter", "checkpoint"):
            raise InputError(f"a voice is a base, an adapter or a checkpoint, not {kind!r}")
        if kind != "base" and not run:
            raise InputError(f"which run's {kind} is to speak is not said")
        if kind == "checkpoint" and (not isinstance(step, int) or step < 0):
            raise InputError("which checkpoint is to speak is not said", fix="name its step")
        place = Run((root / str(run)).absolute()) if run else None
        asked.append(Asked(str(key), kind, place, step if isinstance(step, int) else 0))
    if len({voice.key for voice in asked}) < len(asked):
        raise InputError("two voices have the same key")
    return asked


def _plan(asked: Asked, task: Task) -> Planned:
    """Find out what a voice needs, without loading weights; a base may be downloaded or converted here."""
    root = Path(str(task.arguments.get("root") or ".")).absolute()
    place = Workspace(Path(str(task.arguments.get("workspace") or root)).absolute())
    text = str(task.arguments.get("project") or "")
    frozen = asked.run.project() if asked.run else project.parse(text, where="project")
    whole = asked.adapter if asked.adapter and adapting.is_whole(asked.adapter) else None
    if whole:
        base = bases.Base(frozen.model.base, "folder", whole, "")
    else:
        tell = lambda detail: task.tell("phase", detail=detail)  # noqa: E731
        base = pretrain.base_of(frozen, root, place, tell)
    mark = adapters.mark(asked.adapter) if asked.adapter else None
    layout = None
    if asked.run:
        trained = asked.run.result_folder
        layout = adapters.steadily(trained, lambda: chat.layout(frozen, base.folder, trained))
    layout = layout or chat.layout(frozen, base.folder, None)
    if has_head(frozen) and (asked.adapter is None or layout.labels is None):
        raise InputError(
            "the bare base has no trained head to score a text with",
            fix="train the project first, or choose an adapter or checkpoint",
        )
    held = "none" if whole else frozen.model.quantization
    return Planned(asked, base, frozen.model.attention, layout, mark, held, whole is not None)


def _loaded(one: Planned) -> Any:
    """Load the model that a voice stands on; a whole one may be replaced by its run meanwhile."""
    folder, layout = one.base.folder, one.layout

    def load() -> Any:
        return chat.bare(folder, layout.weights, one.attention, layout.labels, quantization=one.quantization)

    if not one.whole:
        return load()
    loaded = adapters.steadily(folder, load)
    if loaded is None:
        raise InputError("holds no model any more", where=str(folder), fix="choose another")
    return loaded


def _described(one: Planned, voice: Voice) -> dict[str, Any]:
    template = one.layout.template
    return {
        "key": one.asked.key,
        "title": one.asked.title,
        "template": template.name,
        "template_text": template.jinja,
        "stops": list(template.stops),
        "context": one.layout.context,
        "weights": one.layout.weights,
        "device": voice.speaker.model.device.type,
        "base": one.base.id,
        "task": one.layout.labels.task if one.layout.labels else "causal-lm",
    }


def _messages(arguments: dict[str, Any], system: str) -> list[Message]:
    """The conversation of a request, with the system prompt before it."""
    given = arguments.get("messages") or []
    messages = [{"role": str(turn["role"]), "content": str(turn["content"])} for turn in given]
    if not messages or messages[-1]["role"] != "user":
        raise InputError("there is nothing to answer", fix="the last message is to be the user's")
    if system and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    for place, message in enumerate(messages, 1):
        try:
            message["content"].encode()
        except UnicodeEncodeError:
            what = f"message {place} holds half of a surrogate pair, which is no character"
            raise InputError(what, fix="take it out") from None
    return messages


def _settings(arguments: dict[str, Any]) -> Chat:
    from pydantic import ValidationError

    try:
        return Chat.model_validate(arguments.get("settings") or {})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{name}: {first['msg']}", where="chat settings") from None


def _seed(arguments: dict[str, Any]) -> int:
    seed = arguments.get("seed", 0)
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise InputError(f"{seed!r} is no seed", fix="a whole number from 0 on")
    return seed


def _last_words(task: Task, kind: str, /, **payload: Any) -> None:
    """Send an event for a request that is cancelled already; a second cancel changes nothing."""
    while True:
        task.cancelled.clear()
        with contextlib.suppress(Cancelled):
            task.tell(kind, **payload)
            return


@contextlib.contextmanager
def _told_of_memory() -> Iterator[None]:
    """Say in a person's words that memory ran out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not plan.out_of_memory(error):
            raise
    else:
        return
    _free()  # here, where the failed call's tensors are no longer held by its traceback
    raise InputError("out of memory", fix="talk to fewer models at once, or make the conversation shorter")


def _free() -> None:
    """Give memory that nothing holds any more back to the machine."""
    gc.collect()
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        torch.cuda.empty_cache()


def main() -> int:
    """Serve until the front end is gone."""
    speakers = Speakers()
    return serve(
        {
            "load": speakers.load,
            "prompt_text": speakers.prompt_text,
            "answer": speakers.answer,
            "classify": speakers.classify,
            "unload": speakers.unload,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
