"""An adapter merged onto its base: one plain model that loads anywhere, with what the merge changed, measured.

The adapter is always merged onto the full-precision base.  Merged onto quantised weights it would be rounded to their
few levels again.  Where the base is held in 16 bits the merged weights are rounded by chance, or most of the update
would be lost.  What is measured is what was written, loaded afresh, beside the adapter on the base as trained on.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from phi_tui import run
from phi_tui.atomic import sync_folder, sync_tree, write_text
from phi_tui.engine import adapting, card, loading, lockfile, preflight
from phi_tui.engine import device as devices
from phi_tui.engine.batching import Batching
from phi_tui.engine.evaluate import evaluate
from phi_tui.engine.labels import has_head
from phi_tui.engine.loss import IGNORED
from phi_tui.engine.memory import EVAL_TOKENS
from phi_tui.engine.prepare import prepare
from phi_tui.errors import InputError
from phi_tui.schema import Project
from phi_tui.workspace import Workspace

Say = Callable[..., None]

_ROWS_WITHOUT_VALIDATION = 64
_COMPARED = 256
"""Predicted tokens whose logits are compared: each has as many numbers as the vocabulary."""


def merge(project: Project, root: Path, workspace: Workspace, run_id: str, out: Path, say: Say) -> dict[str, Any]:
    """Merge the adapter of a run of `project` into the new folder `out` and return what that changed.

    The run is the one called `run_id`, else the newest with a result.  Returns out, run, dtype, perplexity (of the
    adapter on the base as trained on), unmerged_perplexity (of the adapter on the full-precision base),
    merged_perplexity, perplexity_difference (merged less as trained), largest_logit_difference (likewise),
    logit_difference_of_merging (merged less unmerged, so without the change of the base), tokens and rows.
    Raises InputError when something stands at `out` or there is no adapter to merge.
    """
    from datasets import load_from_disk

    _refuse_standing(out)
    found = _run_of(project, workspace, run_id)
    frozen = found.project()
    if has_head(frozen):
        raise InputError(
            f"run {found.id} trained a head for model.task = {frozen.model.task}, and only answers in text are merged"
        )
    prepared = prepare(frozen, root, workspace, say)
    job = preflight.check(frozen, prepared, workspace)
    data = load_from_disk(str(prepared.ready.folder))
    if prepared.ready.validation.rows:
        rows = data["validation"]
    else:
        rows = data["train"].select(range(min(_ROWS_WITHOUT_VALIDATION, len(data["train"]))))
    pad = loading.pad_id(prepared.tokenizer)

    def measured(model: Any, what: str) -> tuple[Any, Any]:
        say("phase", name="evaluate", detail=what)
        autocast = lambda: devices.autocast(job.device, job.precision)  # noqa: E731
        budget = EVAL_TOKENS[job.device.type]
        return (
            evaluate(model, rows, batching=Batching(pad), token_budget=budget, autocast=autocast),
            _logits(model, rows, autocast),
        )

    held = job.project.model.quantization
    trained = unmerged = measured(_on_base(job, found, held), f"run {found.id} as trained")
    _free()
    if held != "none":
        unmerged = measured(_on_base(job, found, "none"), "the adapter on the full-precision base")
        _free()
    say("phase", name="merge", detail="onto the full-precision base")
    with _new_folder(out) as staged:
        dtype = _write(job, found, staged)
        _free()
        merged = measured(_loaded(job, staged, job.weights), "the merged model")
    return {
        "out": str(out),
        "run": found.id,
        "dtype": dtype,
        "perplexity": trained[0].perplexity,
        "unmerged_perplexity": unmerged[0].perplexity,
        "merged_perplexity": merged[0].perplexity,
        "perplexity_difference": merged[0].perplexity - trained[0].perplexity,
        "largest_logit_difference": float((trained[1] - merged[1]).abs().max()),
        "logit_difference_of_merging": float((unmerged[1] - merged[1]).abs().max()),
        "tokens": trained[0].tokens,
        "rows": "validation" if prepared.ready.validation.rows else f"the first {len(rows)} training rows",
    }


def _on_base(job: preflight.Job, found: run.Run, quantization: str) -> Any:
    """The adapter on its base, held as `quantization` says."""
    import torch

    model = loading.base(
        job.prepared.base.folder,
        getattr(torch, job.weights),
        job.project.model.attention,
        quantization=quantization,
        device=job.device.type,
    )
    return loading.onto(loading.with_adapter(model, found.adapter), job.device.type).eval()


def _loaded(job: preflight.Job, folder: Path, dtype: str) -> Any:
    import torch

    model = loading.base(folder, getattr(torch, dtype), job.project.model.attention)
    return loading.onto(model, job.device.type).eval()


def _write(job: preflight.Job, found: run.Run, staged: Path) -> str:
    """Merge in fp32 on the CPU, write the model in the type of the base's own weights, and return that."""
    import torch

    base = job.prepared.base.folder
    own = str(getattr(loading.config(base), "dtype", None) or "float32").removeprefix("torch.")
    model = loading.with_adapter(loading.base(base, torch.float32, job.project.model.attention), found.adapter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that embeddings which were trained apart are tied no more: config says so
        plain = model.merge_and_unload(safe_merge=True)
    draws = torch.Generator().manual_seed(job.project.seed)
    for weight in plain.parameters():
        weight.data = rounded(weight.data, getattr(torch, own), draws)
    plain.to(getattr(torch, own)).save_pretrained(str(staged))
    loading.tokenizer(found.adapter).save_pretrained(str(staged))
    with contextlib.suppress(FileNotFoundError):
        note = json.loads((found.adapter / "phi-tui.json").read_text("utf-8"))
        note.pop("spared", None)
        write_text(staged / "phi-tui.json", json.dumps(note | {"weights": own, "quantization": "none"}, indent=1))
    lock = lockfile.read(found.path / "lock.toml")
    write_text(staged / "README.md", card.merged(job.project, lock, found.id, own))
    return own


def rounded(weight: Any, dtype: Any, draws: Any) -> Any:
    """Return an fp32 weight in `dtype`, rounded up or down by chance, so that it is right on average.

    A base in 16 bits lies on the grid of its type, and most updates are smaller than half a step of it: rounded to
    the nearest value they would be lost.  `draws` is the generator that the chances are drawn from.
    """
    import torch

    spare = {torch.bfloat16: 16, torch.float16: 13}.get(dtype)
    if spare is None:
        return weight.to(dtype)
    bits = weight.contiguous().view(torch.int32)
    chance = torch.randint(0, 1 << spare, bits.shape, generator=draws, dtype=torch.int32)
    return ((bits + chance) & -(1 << spare)).view(torch.float32).to(dtype)


def _logits(model: Any, rows: Any, autocast: Callable[[], Any]) -> Any:
    """Return the logits (tokens, vocabulary) before the first predicted tokens of `rows`, in fp32 on the CPU."""
    import torch

    device = next(model.parameters()).device
    kept: list[Any] = []
    for number in range(len(rows)):
        row = rows[number]
        labels = torch.tensor(row["labels"])[1:]
        with torch.inference_mode(), autocast():
            output = model(input_ids=torch.tensor([row["input_ids"]], device=device), use_cache=False)
        kept.append(output.logits[0, :-1][(labels != IGNORED).to(device)].float().cpu())
        if sum(len(one) for one in kept) >= _COMPARED:
            break
    return torch.cat(kept)[:_COMPARED]


def _run_of(project: Project, workspace: Workspace, run_id: str) -> run.Run:
    if run_id:
        found = run.find(workspace, f"{project.name}/{run_id}")
    else:
        having = [one for one in run.listed(workspace, project.name) if one.has_result]
        if not having:
            raise InputError(f"{project.name} has no adapter yet", fix="train it with phi-tui --replay")
        found = having[0]
    if adapting.is_whole(found.result_folder):
        raise InputError(
            f"run {found.id} trained the whole model, so there is nothing to merge",
            where=str(found.result_folder),
            fix="that folder is the plain model already",
        )
    if not found.has_result:
        raise InputError(f"run {found.id} has no adapter", where=str(found.path))
    return found


def _refuse_standing(out: Path) -> None:
    if os.path.lexists(out):
        raise InputError("is there already, and nothing is overwritten", where=str(out), fix="name a new folder")
    if not out.parent.is_dir():
        raise InputError("is no folder", where=str(out.parent), fix="make it first, or name another place")


@contextlib.contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `out` in the end; gone again when something fails."""
    try:
        staged = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".partial"))
    except OSError as error:
        raise InputError(f"cannot be written to: {error.strerror}", where=str(out.parent)) from None
    try:
        yield staged
        sync_tree(staged)
        _refuse_standing(out)
        os.rename(staged, out)
        sync_folder(out.parent)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(out)) from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
