"""Talking to a model: a base or a trained adapter, through the template that it was trained with, a piece at a time.

A process that chats does not train: loading a model changes process-wide defaults and sampling draws from torch's
random state.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phi_tui.engine import adapting, decoding, loading, pretrain
from phi_tui.engine import device as devices
from phi_tui.engine.labels import Labels
from phi_tui.engine.render import Encoder, Message, Template, TemplateMismatch, choose, prompt
from phi_tui.errors import InputError
from phi_tui.schema import Chat, Project
from phi_tui.workspace import Workspace

if TYPE_CHECKING:
    from phi_tui.engine.scorer import Scorer


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said, how many tokens it took, and whether the model ended it itself or was stopped.

    `seconds` is the whole time, `first_token_seconds` the part of it until the first token.
    """

    text: str
    tokens: int
    ended: bool
    stopped: bool
    prompt_tokens: int
    seconds: float
    first_token_seconds: float

    @property
    def tokens_per_second(self) -> float:
        """The pace behind the first token, which waits for the prompt; of a single token, its own."""
        if self.tokens > 1:
            return (self.tokens - 1) / max(self.seconds - self.first_token_seconds, 1e-9)
        return self.tokens / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is given: the text, the tokens that are put before it included, and its ids."""

    text: str
    ids: list[int]


@dataclass(frozen=True, slots=True)
class Speaker:
    """A loaded model with the layout it knows."""

    model: Any
    tokenizer: Any
    template: Template
    stops: tuple[int, ...]
    context: int

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """Return what the model is given to answer the last of `messages`; InputError when the template refuses."""
        encoder = Encoder(self.tokenizer, self.template)
        try:
            text = prompt(messages, self.template, self.tokenizer)
        except TemplateMismatch as error:
            fix = "leave the system prompt empty, or start a new conversation"
            raise InputError(str(error), fix=fix) from None
        before = "".join(self.tokenizer.convert_ids_to_tokens(encoder.prefix))
        return Prompt(before + text, encoder.prefix + list(self.tokenizer(text, add_special_tokens=False)["input_ids"]))

    def answer(
        self,
        messages: Sequence[Message],
        settings: Chat,
        seed: int,
        on_text: Callable[[str], None],
        *,
        every: float = 0.0,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Answer the last of `messages`; `on_text` gets the text piece by piece and may raise to stop.

        Pieces are at least `every` seconds apart, but for the last one.  `stopping` is asked after each token: once
        it says so, what was said until then is the answer.  Raises InputError when the conversation leaves no room
        for an answer in the model's context.
        """
        import torch

        ids = self.prompt(messages).ids
        room = self.context - len(ids)
        if room < 1:
            raise InputError(
                f"the conversation has {len(ids)} tokens and the model's context is {self.context}",
                fix="start a new one, or make it shorter",
            )
        torch.manual_seed(seed)
        writer = _Writer(self.tokenizer, on_text, every, stopping)
        inputs = torch.tensor([ids], device=self.model.device)
        sampling: dict[str, Any] = {"do_sample": False}
        if settings.temperature > 0:
            sampling = {
                "do_sample": True,
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "top_k": 0,
            }
        began = time.perf_counter()
        stopped = False
        try:
            with torch.inference_mode(), decoding.one_row_at_a_time(self.model):
                self.model.generate(
                    input_ids=inputs,
                    attention_mask=torch.ones_like(inputs),
                    streamer=writer,
                    use_cache=True,
                    max_new_tokens=min(settings.max_tokens, room),
                    eos_token_id=list(self.stops),
                    pad_token_id=loading.pad_id(self.tokenizer),
                    **sampling,
                )
        except _Stopped:
            stopped = True
        return Answer(
            text=writer.text,
            tokens=len(writer.ids),
            ended=bool(writer.ids) and writer.ids[-1] in self.stops,
            stopped=stopped,
            prompt_tokens=len(ids),
            seconds=time.perf_counter() - began,
            first_token_seconds=writer.first_at - began if writer.ids else 0.0,
        )


class _Stopped(Exception):
    """Leaves the library's loop over tokens."""


class _Writer:
    """A streamer of transformers' kind: decodes what has come so far and passes on what is new and whole."""

    def __init__(
        self, tokenizer: Any, on_text: Callable[[str], None], every: float, stopping: Callable[[], bool]
    ) -> None:
        self._tokenizer, self._on_text, self._every, self._stopping = tokenizer, on_text, every, stopping
        self._prompt_seen = False
        self._due = -math.inf
        self.ids: list[int] = []
        self.text = ""
        self.first_at = 0.0

    def put(self, value: Any) -> None:
        """Take the prompt first, then each new token; all of them are decoded, but only when a piece is due."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        now = time.perf_counter()
        if not self.ids:
            self.first_at = now
        self.ids += value.reshape(-1).tolist()
        if self._stopping():
            self.text = self._decoded(last=False)
            raise _Stopped
        if now >= self._due and self._pass_on(last=False):
            self._due = now + self._every

    def end(self) -> None:
        """Pass on what was held back."""
        self._pass_on(last=True)

    def _pass_on(self, *, last: bool) -> bool:
        text = self._decoded(last=last)
        piece, self.text = text[len(self.text) :], text
        if piece:
            self._on_text(piece)
        return bool(piece)

    def _decoded(self, *, last: bool) -> str:
        # Tidying spaces would rewrite what was passed on already.
        text = self._tokenizer.decode(self.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if not last:  # a character whose other bytes are still to come
            text = text.rstrip("\ufffd")
        return str(text).strip()  # white space at the end is passed on once more text follows it


@dataclass(frozen=True, slots=True)
class Layout:
    """How a base is spoken with: its template and tokenizer, its context, the type its weights are held in."""

    tokenizer: Any
    template: Template
    weights: str
    context: int
    labels: Labels | None = None
    """What the head says, where the adapter has one."""
    max_length: int = 1024

    def scorer(self, model: Any) -> Scorer:
        """Return the scorer that `model`, which has a head, becomes with this layout."""
        from phi_tui.engine.scorer import Scorer

        assert self.labels is not None
        return Scorer(model, self.tokenizer, self.template, self.labels, self.max_length)

    def speaker(self, model: Any) -> Speaker:
        """Return the speaker that `model` becomes with this layout."""
        stops = tuple(self.tokenizer.convert_tokens_to_ids(list(self.template.stops)))
        return Speaker(model, self.tokenizer, self.template, stops, self.context)


def layout(project: Project, base: Path, trained: Path | None) -> Layout:
    """Return the layout noted in the adapter's folder `trained`, or where there is none that of a new project.

    `base` is the base's folder.  Raises InputError for a note that cannot be read.
    """
    context = int(getattr(loading.config(base), "max_position_embeddings", 0) or 2048)
    if trained and (trained / "phi-tui.json").is_file():
        tokenizer = loading.tokenizer(trained)
        try:
            note = json.loads((trained / "phi-tui.json").read_text("utf-8"))
            template = Template(note["template"], tokenizer.chat_template, tokenizer.eos_token, tuple(note["stops"]))
            learnt = Labels.from_json(note["labels"]) if "labels" in note else None
            return Layout(tokenizer, template, str(note["weights"]), context, learnt, int(note.get("max_length", 1024)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"the adapter's note is damaged: {error}", where=str(trained / "phi-tui.json")) from None
    device = devices.current()
    tokenizer = loading.tokenizer(base)
    form = "instruction" if project.data.format == "auto" else project.data.format
    template = choose(project.data.template, form, tokenizer, loading.stop_ids(base, tokenizer))
    return Layout(tokenizer, template, "bfloat16" if device.type == "cuda" and device.bf16 else "float32", context)


def bare(
    folder: Path, weights: str, attention: str, labels: Labels | None = None, *, quantization: str = "none"
) -> Any:
    """Load the base in `folder` onto the device of this machine, ready to speak, or with `labels` with a new head."""
    import torch

    device = devices.current().type
    dtype = getattr(torch, weights)
    model = loading.base(folder, dtype, attention, labels, quantization=quantization, device=device)
    return loading.onto(model, device).eval()


def load(
    project: Project,
    root: Path,
    workspace: Workspace,
    adapter: Path | None,
    *,
    with_template_of: Path | None = None,
) -> Speaker:
    """Load the project's base, with the adapter in `adapter` on it or bare.

    The template is the one trained: that of `with_template_of` where it is given, for a bare base or a checkpoint,
    else the adapter's own; without either it is chosen as for a new project.  A whole model in `adapter` needs no base.
    """
    if adapter and adapting.is_whole(adapter):
        known = layout(project, adapter, with_template_of or adapter)
        return known.speaker(bare(adapter, known.weights, project.model.attention))
    base = pretrain.base_of(project, root, workspace)
    known = layout(project, base.folder, with_template_of or adapter)
    model = bare(base.folder, known.weights, project.model.attention, quantization=project.model.quantization)
    if adapter:
        model = loading.onto(loading.with_adapter(model, adapter), model.device).eval()
    return known.speaker(model)
