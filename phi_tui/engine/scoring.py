"""How good the answers are, beside how likely: some validation rows answered greedily and compared with their answers.

ROUGE-L is that of Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", ACL workshop 2004, section 3; exact
match and token F1 are those of SQuAD (Rajpurkar et al. 2016), with its normalisation.  Nothing is drawn at random and
no weight is touched, so a run with a score and one without end at the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import re
import string
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phi_tui.answer_scores import NAMES
from phi_tui.engine import source_cut
from phi_tui.engine.evaluate import Evaluation
from phi_tui.engine.loading import pad_id
from phi_tui.engine.render import Encoder, Template, TemplateMismatch, segments
from phi_tui.schema import Project

if TYPE_CHECKING:
    from phi_tui.engine.prepare import Prepared

BATCH_TOKENS = 4096
"""Tokens, prompts padded and answers at their longest, that are generated at a time.

Keys and values of so many take 0.8 GB in a model of 1.3B parameters, less than a training step's activations, so the
estimate of memory stands.
"""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")
_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def words(text: str) -> list[str]:
    """Lower-case words, without punctuation; each character of Chinese, Japanese and Korean is one."""
    return _WORD.findall(text.lower())


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, candidate in enumerate(other, 1):
            above = row[place]
            row[place] = before + 1 if word == candidate else max(above, row[place - 1])
            before = above
    return row[-1]


def rouge_l(said: str, wanted: str) -> float:
    """Return ROUGE-L: F = 2RP / (R + P), R = LCS / words wanted, P = LCS / words said (Lin 2004, eq. 2-4, beta 1)."""
    one, other = words(said), words(wanted)
    common = common_subsequence(one, other) if one and other else 0
    if not common:
        return float(not one and not other)
    recall, precision = common / len(other), common / len(one)
    return 2 * recall * precision / (recall + precision)


def normalised(text: str) -> str:
    """Return a text as SQuAD compares it: lower case, no punctuation, no articles, single blanks."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(said: str, wanted: str) -> float:
    """1 where both are the same once normalised, else 0."""
    return float(normalised(said) == normalised(wanted))


def token_f1(said: str, wanted: str) -> float:
    """Return the F1 of the words in common, each as often as both have it (SQuAD's evaluation script)."""
    one, other = normalised(said).split(), normalised(wanted).split()
    if not one or not other:
        return float(one == other)
    common = sum((Counter(one) & Counter(other)).values())
    if not common:
        return 0.0
    precision, recall = common / len(one), common / len(other)
    return 2 * precision * recall / (precision + recall)


_MEASURES: dict[str, Callable[[str, str], float]] = {
    "rouge_l": rouge_l, "exact_match": exact_match, "token_f1": token_f1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """The tokens before an answer, and the answer that the row has."""

    ids: list[int]
    wanted: str


def choose(
    rows: Path, count: int, template: Template, tokenizer: Any, *, limit: int, cut_source: bool, room: int
) -> list[Question]:
    """Return `count` questions, spread evenly over the split rows of `rows`/validation.jsonl that have an answer.

    `limit` is data.max_length; a prompt of `room` tokens or more is passed over, since no answer would fit behind it.
    """
    file = rows / "validation.jsonl"
    with open(file, encoding="utf-8") as lines:
        total = sum(1 for _ in lines)
    wanted = {number * total // count for number in range(count)} if total > count else set(range(total))
    encoder = Encoder(tokenizer, template)
    found: list[Question] = []
    with open(file, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number not in wanted:
                continue
            question = _question(json.loads(line), encoder, template, tokenizer, limit, cut_source)
            if question is not None and 0 < len(question.ids) < room:
                found.append(question)
            elif number + 1 < total and len(found) < count:
                wanted.add(number + 1)  # the row after it stands in
    return found[:count]


def _question(
    row: dict[str, Any], encoder: Encoder, template: Template, tokenizer: Any, limit: int, cut_source: bool
) -> Question | None:
    answer = next((row[field] for field in ("summary", "answer", "output", "completion") if field in row), None)
    if answer is None and "messages" in row:
        answer = row["messages"][-1]["content"]
    if answer is None:
        return None
    try:
        ids, labels = encoder.encode([segments(row, template, tokenizer)])[0]
        if len(ids) > limit and cut_source and source_cut.field_of(row):
            shorter = source_cut.shortened(row, limit, encoder, template, tokenizer, "completion")
            if shorter is None:
                return None
            ids, labels = shorter
    except TemplateMismatch:
        return None
    trained = [place for place, label in enumerate(labels) if label != -100]
    start = next((place for place in reversed(trained) if place and labels[place - 1] == -100), 0)
    return Question(ids[:start], str(answer).strip()) if start < limit else None


def score(
    kind: str,
    model: Any,
    tokenizer: Any,
    questions: Sequence[Question],
    *,
    max_tokens: int,
    context: int,
    stops: list[int],
    pad_id: int,
    autocast: Callable[[], Any],
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Return the mean scores of the model's greedy answers, by their names; leaves it in evaluation mode.

    No answer goes beyond `context` tokens, its prompt included.  Raises KeyboardInterrupt between two batches when
    `cancelled` says so.
    """
    import torch

    model.eval()
    device = next(model.parameters()).device
    totals = dict.fromkeys(NAMES[kind], 0.0)
    for batch in _batches(questions, max_tokens):
        if cancelled():
            raise KeyboardInterrupt
        longest = max(len(question.ids) for question in batch)
        # Padded on the left, so that every answer begins behind its prompt.
        ids = torch.tensor([[pad_id] * (longest - len(one.ids)) + one.ids for one in batch], device=device)
        mask = torch.tensor([[0] * (longest - len(one.ids)) + [1] * len(one.ids) for one in batch], device=device)
        with torch.inference_mode(), autocast():
            output = model.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=False,
                num_beams=1,
                repetition_penalty=1.0,
                use_cache=True,
                max_new_tokens=max(1, min(max_tokens, context - longest)),
                eos_token_id=stops,
                pad_token_id=pad_id,
            )
        for question, answered in zip(batch, output, strict=True):
            said = tokenizer.decode(_until(answered[longest:].tolist(), stops), skip_special_tokens=True).strip()
            for name in totals:
                totals[name] += _MEASURES[name](said, question.wanted)
    return {name: total / len(questions) for name, total in totals.items()} if questions else {}


def _until(ids: list[int], stops: list[int]) -> list[int]:
    """The tokens before the first stop: what is behind it fills the batch."""
    return ids[: next((place for place, token in enumerate(ids) if token in stops), len(ids))]


def _batches(questions: Sequence[Question], max_tokens: int) -> list[list[Question]]:
    """Questions of like length together, each batch within BATCH_TOKENS or of one."""
    out: list[list[Question]] = []
    for question in sorted(questions, key=lambda one: -len(one.ids)):
        if out and (len(out[-1]) + 1) * (len(out[-1][0].ids) + max_tokens) <= BATCH_TOKENS:
            out[-1].append(question)
        else:
            out.append([question])
    return out


def questions(project: Project, prepared: Prepared, room: int) -> list[Question]:
    """Return the validation rows whose answers a project scores; none where it asks for no score."""
    train, data = project.train, project.data
    if train.score == "none":
        return []
    return choose(
        prepared.rows,
        train.score_rows,
        prepared.template,
        prepared.tokenizer,
        limit=data.max_length,
        cut_source=data.cut == "source",
        room=room,
    )


def room(model: Any) -> int:
    """Return how many tokens a model's context holds."""
    return int(getattr(model.config, "max_position_embeddings", 0) or 1_048_576)


def with_scores(
    found: Evaluation,
    asked: Sequence[Question],
    model: Any,
    project: Project,
    prepared: Prepared,
    autocast: Callable[[], Any],
    cancelled: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Let a model answer `asked` and return the evaluation with the scores beside the loss; as `score`."""
    began, tokenizer = time.perf_counter(), prepared.tokenizer
    scores = score(
        project.train.score,
        model,
        tokenizer,
        asked,
        max_tokens=project.train.score_tokens,
        context=room(model),
        stops=[int(stop) for stop in tokenizer.convert_tokens_to_ids(list(prepared.template.stops))],
        pad_id=pad_id(tokenizer),
        autocast=autocast,
        cancelled=cancelled,
    )
    return dataclasses.replace(found, scores=scores, seconds=found.seconds + time.perf_counter() - began)


def figures(final: Any, base: dict[str, Any] | None) -> dict[str, Any]:
    """Return a run's scores for its figures, and those of the base (as its event has them) as base_..."""
    found = dict(final.scores) if final else {}
    return found | {f"base_{name}": (base or {}).get(name) for name in found}


def against(project: Project, formats: Sequence[str], evaluated: bool) -> list[str]:
    """Return what makes a score impossible, for preflight."""
    kind = project.train.score
    if kind == "none":
        return []
    key = f'train.score = "{kind}"'
    flaws = []
    if project.model.task != "causal-lm":
        flaws.append(f"{key} scores texts, and model.task is {project.model.task}: set it to none")
    elif all(form == "text" for form in formats):
        flaws.append(f"{key} compares answers, and rows of plain text have none: set it to none")
    if not evaluated:
        flaws.append(
            f"{key} needs validation rows, and none are evaluated: set data.split, add a source with role = "
            '"validation", or set train.evaluate = true'
        )
    return flaws
