"""Talking to a model: a base or a trained adapter, through the template that it was trained with, a piece at a time.

A process that chats does not train: loading a model changes process-wide defaults and sampling draws from torch's
random state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi_tui.engine import bases, loading
from phi_tui.engine import device as devices
from phi_tui.engine.render import Encoder, Message, Template, choose, prompt
from phi_tui.errors import InputError
from phi_tui.schema import Chat, Project
from phi_tui.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said, how many tokens it took, and whether the model ended it itself."""

    text: str
    tokens: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Speaker:
    """A loaded model with the layout it knows."""

    model: Any
    tokenizer: Any
    template: Template
    stops: tuple[int, ...]
    context: int

    def answer(self, messages: Sequence[Message], settings: Chat, seed: int, on_text: Callable[[str], None]) -> Answer:
        """Answer the last of `messages`; `on_text` gets the text piece by piece and may raise to stop.

        Raises InputError when the conversation leaves no room for an answer in the model's context.
        """
        import torch

        encoder = Encoder(self.tokenizer, self.template)
        ids = encoder.prefix + self._ids(prompt(messages, self.template, self.tokenizer))
        room = self.context - len(ids)
        if room < 1:
            raise InputError(
                f"the conversation has {len(ids)} tokens and the model's context is {self.context}",
                fix="start a new one",
            )
        torch.manual_seed(seed)
        writer = _Writer(self.tokenizer, on_text)
        inputs = torch.tensor([ids], device=self.model.device)
        sampling: dict[str, Any] = {"do_sample": False}
        if settings.temperature > 0:
            sampling = {
                "do_sample": True,
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "top_k": 0,
            }
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=inputs,
                attention_mask=torch.ones_like(inputs),
                streamer=writer,
                use_cache=True,
                max_new_tokens=min(settings.max_tokens, room),
                eos_token_id=list(self.stops),
                pad_token_id=loading.pad_id(self.tokenizer),
                **sampling,
            )
        new = output[0, len(ids) :].tolist()
        return Answer(writer.text.strip(), len(new), bool(new) and new[-1] in self.stops)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


class _Writer:
    """A streamer of transformers' kind: decodes what has come so far and passes on what is new and whole."""

    def __init__(self, tokenizer: Any, on_text: Callable[[str], None]) -> None:
        self._tokenizer, self._on_text = tokenizer, on_text
        self._ids: list[int] = []
        self._prompt_seen = False
        self.text = ""

    def put(self, value: Any) -> None:
        """Take the prompt first, then each new token."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        self._ids += value.reshape(-1).tolist()
        self._pass_on(last=False)

    def end(self) -> None:
        """Pass on what was held back."""
        self._pass_on(last=True)

    def _pass_on(self, *, last: bool) -> None:
        text = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        if not last and text.endswith("\ufffd"):  # half of a character whose other bytes are still to come
            return
        text = text.strip()  # white space at the end is passed on once more text follows it
        if len(text) > len(self.text):
            piece, self.text = text[len(self.text) :], text
            self._on_text(piece)


def load(
    project: Project,
    root: Path,
    workspace: Workspace,
    adapter: Path | None,
    *,
    with_template_of: Path | None = None,
) -> Speaker:
    """Load the project's base, with the adapter in `adapter` on it or bare.

    The template is the one trained: read from the adapter, or from `with_template_of` when the bare base is to be
    asked in the same words; without either it is chosen as for a new project.
    """
    base = bases.resolve(project.model, root, workspace.models)
    config = loading.config(base.folder)
    device = devices.current()
    trained = adapter or with_template_of
    if trained and (trained / "phi-tui.json").is_file():
        tokenizer = loading.tokenizer(trained)
        try:
            note = json.loads((trained / "phi-tui.json").read_text("utf-8"))
            template = Template(note["template"], tokenizer.chat_template, tokenizer.eos_token, tuple(note["stops"]))
            weights = str(note["weights"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"the adapter's note is damaged: {error}", where=str(trained / "phi-tui.json")) from None
    else:
        tokenizer = loading.tokenizer(base.folder)
        form = "instruction" if project.data.format == "auto" else project.data.format
        template = choose(project.data.template, form, tokenizer, loading.stop_ids(base.folder, tokenizer))
        weights = "bfloat16" if device.type == "cuda" and device.bf16 else "float32"
    import torch

    model = loading.base(base.folder, getattr(torch, weights), project.model.attention)
    if adapter:
        model = loading.with_adapter(model, adapter)
    model.to(device.type)
    model.eval()
    stops = tuple(tokenizer.convert_tokens_to_ids(list(template.stops)))
    return Speaker(model, tokenizer, template, stops, int(getattr(config, "max_position_embeddings", 0) or 2048))
