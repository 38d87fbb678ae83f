"""A trained head that scores a text: the likelihood of each class, or a number; read as training would have read it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from phi_tui.engine import classify
from phi_tui.engine import device as devices
from phi_tui.engine.label_tokens import encode, segments
from phi_tui.engine.labels import Labels
from phi_tui.engine.render import Encoder, Template, TemplateMismatch
from phi_tui.errors import InputError


@dataclass(frozen=True, slots=True)
class Score:
    """What a text scores: (class, probability) pairs, likeliest first, or `value`; with tokens read and cut off."""

    scores: tuple[tuple[str, float], ...]
    value: float | None
    tokens: int
    cut: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return {"scores": [[label, probability], ...]} or {"value": number}, with tokens, cut and seconds."""
        found: dict[str, Any] = {"value": self.value} if self.value is not None else {"scores": list(self.scores)}
        return found | {"tokens": self.tokens, "cut": self.cut, "seconds": self.seconds}


@dataclass(frozen=True, slots=True)
class Scorer:
    """A loaded model with a trained head, and how its rows were rendered."""

    model: Any
    tokenizer: Any
    template: Template
    labels: Labels
    max_length: int

    def score(self, text: str) -> Score:
        """Score a text; InputError for an empty one, or one that the template refuses."""
        import torch

        if not text.strip():
            raise InputError("there is no text to score")
        try:
            row = segments({"text": text}, self.template, self.tokenizer)
        except TemplateMismatch as error:
            raise InputError(str(error)) from None
        ((ids, cut),) = encode(Encoder(self.tokenizer, self.template), [row], self.max_length)
        if not ids:
            raise InputError("this text has no token")
        began = time.perf_counter()
        given = torch.tensor([ids], device=self.model.device)
        with torch.inference_mode():
            outputs = classify.logits(self.model, {"input_ids": given, "attention_mask": torch.ones_like(given)})
        value = None
        pairs: tuple[tuple[str, float], ...] = ()
        if self.labels.task == "regression":
            (value,) = classify.answers(outputs, self.labels)
        else:
            shares = outputs.softmax(-1) if self.labels.task == "classification" else outputs.sigmoid()
            named = zip(self.labels.names, shares[0].tolist(), strict=True)
            pairs = tuple(sorted(named, key=lambda pair: -pair[1]))
        return Score(pairs, value, len(ids), cut, time.perf_counter() - began)


def load(project: Any, root: Any, workspace: Any, adapter: Any) -> Scorer:
    """Load the base of a run's frozen project with the head and adapter in the folder `adapter`.

    Raises InputError where that holds no head.
    """
    from phi_tui.engine import bases, chat, loading

    base = bases.resolve(project.model, root, workspace.models)
    known = chat.layout(project, base.folder, adapter)
    if known.labels is None:
        raise InputError("holds no head to score with", where=str(adapter), fix="train it with model.task set")
    held = project.model.quantization
    model = chat.bare(base.folder, known.weights, project.model.attention, known.labels, quantization=held)
    model = loading.onto(loading.with_adapter(model, adapter), devices.current().type).eval()
    return known.scorer(model)
