"""What the model says while it learns: a few fixed prompts, answered greedily at each evaluation.

The loss tells that something is learnt, a sample tells what.  Nothing is drawn at random and nothing of the
training's state is touched, so a run with samples and one without end at the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_PROMPT_TOKENS = 512
_OPENING = 12
"""Tokens of a plain text that serve as its prompt."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The tokens before an answer, as the model gets them; what they say; and the answer the row has."""

    ids: list[int]
    text: str
    wanted: str


def choose(rows: Any, count: int, tokenizer: Any) -> list[Prompt]:
    """Return prompts from the first `count` tokenised rows (input_ids, labels) that leave something to say."""
    found: list[Prompt] = []
    for number in range(len(rows)):
        if len(found) == count:
            break
        ids, labels = rows[number]["input_ids"], rows[number]["labels"]
        trained = [place for place, label in enumerate(labels) if label != -100]
        # The last trained stretch is the last answer; a text that is trained from its start is continued.
        start = next((p for p in reversed(trained) if p and labels[p - 1] == -100), trained[0] if trained else 0)
        start = start or min(_OPENING, len(ids) // 2)
        if 0 < start <= _PROMPT_TOKENS and start < len(ids):
            found.append(
                Prompt(
                    list(ids[:start]),
                    tokenizer.decode(ids[:start], skip_special_tokens=True).strip(),
                    tokenizer.decode(ids[start:], skip_special_tokens=True).strip(),
                )
            )
    return found


def speak(
    model: Any,
    tokenizer: Any,
    prompts: list[Prompt],
    *,
    max_tokens: int,
    stops: list[int],
    pad_id: int,
    autocast: Callable[[], Any],
    cancelled: Callable[[], bool],
) -> list[str]:
    """Return the greedy continuation of each prompt; leaves the model in evaluation mode.  Fewer when cancelled."""
    import torch

    model.eval()
    device = next(model.parameters()).device
    said: list[str] = []
    for prompt in prompts:
        if cancelled():
            break
        ids = torch.tensor([prompt.ids], device=device)
        with torch.inference_mode(), autocast():
            output = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                use_cache=True,
                max_new_tokens=max_tokens,
                eos_token_id=stops,
                pad_token_id=pad_id,
            )
        said.append(tokenizer.decode(output[0, len(prompt.ids) :], skip_special_tokens=True).strip())
    return said
