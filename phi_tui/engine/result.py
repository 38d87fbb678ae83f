"""What a training leaves: the adapter, or the whole model, with all that is needed to use it, and its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from phi_tui import answer_scores, journal
from phi_tui.atomic import folder as atomic_folder
from phi_tui.atomic import write_text
from phi_tui.engine import adapting, card, classify, scoring
from phi_tui.engine.evaluate import Evaluation
from phi_tui.engine.preflight import Job
from phi_tui.run import Run


def write(model: Any, job: Job, lock: dict[str, Any], folder: Path) -> None:
    """Write the adapter, or the whole model, as it is now to `folder`, with its tokenizer and template."""
    with atomic_folder(folder) as staged:
        adapting.save(model, staged, job.prepared.base.id)
        tokenizer, labels = job.prepared.tokenizer, job.prepared.labels
        own, tokenizer.chat_template = tokenizer.chat_template, job.prepared.template.jinja
        try:
            tokenizer.save_pretrained(str(staged))
        finally:
            tokenizer.chat_template = own
        template = job.prepared.template
        note = {
            "template": template.name,
            "template_sha256": template.hash,
            "stops": list(template.stops),
            "weights": job.weights,
            "quantization": job.project.model.quantization,
            "precision": job.precision,
            "max_length": job.project.data.max_length,
        }
        note |= {"spared": lock["base"]["spared"]} if "spared" in lock["base"] else {}
        note |= {"labels": labels.to_json()} if labels else {}
        write_text(staged / "phi-tui.json", json.dumps(note, indent=1))
        if labels:
            classify.write_config(model, staged)
        write_text(staged / "README.md", card.text(job.project, lock, {}, template.name))


def figures(
    found: dict[str, Any], job: Job, run: Run, lock: dict[str, Any], folder: Path, final: Evaluation | None
) -> dict[str, Any]:
    """Return `found` with what the journal and the last evaluation tell, and write the card in `folder` anew."""
    losses: dict[int, float] = {}
    before = None
    for event in journal.read(run.journal):
        if event["kind"] == "step" and event["loss"] is not None:
            losses[event["step"]] = event["loss"]
        elif before is None and event["kind"] == "eval" and event.get("base"):
            before = event
    made: dict[str, Any] = {
        "run": run.id,
        "adapter": str(folder),
        "train_loss": sum(losses.values()) / len(losses) if losses else None,
        "eval_loss": final.loss if final else None,
        "perplexity": final.perplexity if final else None,
        **found,
    }
    if job.prepared.labels:
        made |= classify.figures(final, before)
    elif final is not None and final.scores:
        made |= scoring.figures(final, before)
    shown = {
        key: made[key]
        for key in (
            *("steps", "train_loss", "eval_loss", "perplexity", "base_perplexity", "unigram_perplexity"),
            *(*classify.SHOWN, *answer_scores.SHOWN),
        )
        if made.get(key) is not None
    }
    write_text(folder / "README.md", card.text(job.project, lock, shown, job.prepared.template.name))
    return made
