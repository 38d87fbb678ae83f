"""The evaluation stage on its own: the perplexity of a base and of a finished adapter, loaded afresh from disk."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from phi_tui import run
from phi_tui.engine import adapting, batching, classify, loading, preflight, pretrain, scoring, unigram
from phi_tui.engine import device as devices
from phi_tui.engine.evaluate import evaluate
from phi_tui.engine.memory import EVAL_TOKENS
from phi_tui.engine.prepare import prepare
from phi_tui.errors import InputError, Refusal
from phi_tui.schema import Project
from phi_tui.workspace import Workspace


def measure(
    project: Project, root: Path, workspace: Workspace, run_id: str, say: Callable[..., None]
) -> dict[str, Any]:
    """Return run, adapter, perplexity, base_perplexity, eval_loss and the number of predicted tokens.

    With train.score also the scores of the answers; with a head its figures.  A model from scratch has no base: what a
    unigram model reaches stands in its place.

    The run is the one called `run_id`, else the newest with an adapter; without any only the base is measured.
    Raises Refusal when there are no validation rows.
    """
    import torch
    from datasets import load_from_disk

    prepared = prepare(project, root, workspace, say)
    job = preflight.check(project, prepared, workspace)
    if not prepared.ready.validation.rows:
        raise Refusal(
            "there are no validation rows to evaluate on",
            fix='set data.split, or add a source with role = "validation"',
        )
    found = _run_of(project, workspace, run_id)
    rows = load_from_disk(str(prepared.ready.folder))["validation"]
    folder, known = prepared.base.folder, prepared.labels
    held = (found.project() if found else project).model.quantization  # as the adapter knows it
    device, attention = job.device.type, project.model.attention
    dtype = getattr(torch, job.weights)
    model = loading.base(folder, dtype, attention, known, project.seed, quantization=held, device=device)
    model = loading.onto(model, device)
    pad = loading.pad_id(prepared.tokenizer)
    chosen = functools.partial(
        batching.choose,
        project=project,
        pad_id=pad,
        labels=known,
        device=device,
        precision=job.precision,
        weights=job.weights,
    )

    asked: list[scoring.Question] = [] if known else scoring.questions(project, prepared, scoring.room(model))

    def perplexity(model: Any, what: str) -> Any:
        say("phase", name="evaluate", detail=what)
        autocast = functools.partial(devices.autocast, job.device, job.precision)
        found = (functools.partial(classify.evaluate, labels=known) if known else evaluate)(
            model,
            rows,
            batching=chosen(model.requires_grad_(False)),
            token_budget=EVAL_TOKENS[job.device.type],
            autocast=autocast,
            on_progress=lambda done, total: say("phase", name="evaluate", done=done, total=total),
        )
        return scoring.with_scores(found, asked, model, project, prepared, autocast) if asked else found

    new = pretrain.from_scratch(project)  # random weights are no base
    base = None if new else perplexity(model, "the base")
    adapted = None
    if found and adapting.is_whole(found.result_folder):
        del model
        whole = loading.base(found.result_folder, dtype, attention, known, project.seed)
        adapted = perplexity(loading.onto(whole, device), f"run {found.id}")
    elif found:
        adapted = perplexity(loading.with_adapter(model, found.adapter), f"run {found.id}")
    figures = {
        "run": found.id if found else None,
        "adapter": str(found.result_folder) if found else None,
        "eval_loss": adapted.loss if adapted else None,
        "perplexity": adapted.perplexity if adapted else None,
        "base_perplexity": base.perplexity if base else None,
        "tokens": base.tokens if base else adapted.tokens if adapted else 0,
    }
    if new:
        train = load_from_disk(str(prepared.ready.folder))["train"]
        figures["unigram_perplexity"] = unigram.unigram(train, rows, len(prepared.tokenizer)).perplexity
    if known:
        return figures | classify.figures(adapted, base.event() if base else None)
    return figures | (scoring.figures(adapted or base, base.event() if base else None) if asked else {})


def _run_of(project: Project, workspace: Workspace, run_id: str) -> run.Run | None:
    if run_id:
        found = run.find(workspace, f"{project.name}/{run_id}")
        if not found.has_result:
            raise InputError(f"run {found.id} has no adapter", where=str(found.path))
        return found
    return next((r for r in run.listed(workspace, project.name) if r.has_result), None)
