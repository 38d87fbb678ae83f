"""The last look before a run: what would fail or mislead is refused now, and what will happen is said.

All reasons are told at once.  The model is built without memory (on torch's meta device), so its layers and
parameters are the real ones and nothing has to be loaded to find a misspelt target.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
from dataclasses import dataclass, field, replace
from typing import Any

from phi_tui import phi
from phi_tui.engine import (
    adapting,
    head,
    label_checks,
    loading,
    lockfile,
    memory,
    memory_trace,
    optimisers,
    plan,
    pretrain,
    quantised,
    scoring,
    several,
    source_cut,
    targets,
)
from phi_tui.engine import device as devices
from phi_tui.engine.prepare import Prepared
from phi_tui.errors import PhiError, Refusal
from phi_tui.schema import Project
from phi_tui.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Job:
    """A project that may start: everything `train` needs, decided."""

    project: Project
    prepared: Prepared
    device: devices.Device
    precision: devices.Precision
    weights: str
    targets: list[str]
    shape: plan.Shape
    plan: plan.Plan
    notes: list[str] = field(default_factory=list)


def check(project: Project, prepared: Prepared, workspace: Workspace) -> Job:
    """Return the job, or raise one Refusal that names every reason against it."""
    against: list[str] = []
    notes: list[str] = []
    config = loading.config(prepared.base.folder)
    device = devices.current()
    skeleton = targets.skeleton(prepared.base.folder, prepared.labels.outputs if prepared.labels else 0)
    parameters = sum(weight.numel() for weight in skeleton.parameters())
    names: list[str] = []
    whole = adapting.trains_all(project)
    try:
        names = [] if whole else targets.resolve(skeleton, project.lora.targets)
    except PhiError as error:
        against.append(f"lora.targets: {error.what}")
    against += adapting.flaws(project, skeleton, prepared.tokenizer, names)
    against += optimisers.flaws(project.train.optimizer, device) + quantised.flaws(project.model.quantization, device)
    counted = adapting.count(skeleton, names, project, prepared.tokenizer) if not against else adapting.Counted(0)
    trainable = counted.trained
    precision: devices.Precision = "fp32"
    try:
        precision = devices.precision(project.train.precision, device, parameters, whole=whole)
    except PhiError as error:
        against.append(f"{error.what}; {error.fix}")
    # Trained weights are held in fp32 unless said otherwise: in 16 bits most small steps round to nothing.
    of_weights = "float32" if whole and project.model.dtype == "auto" else project.model.dtype
    weights = str(devices.weights_dtype(of_weights, precision)).removeprefix("torch.")
    if precision == "fp16" and weights == "float16" and project.model.dtype == "float16":
        notes.append("float16 weights overflow above 65,504; bfloat16 does not")
    shape = plan.shape(config, parameters, trainable)
    if prepared.labels:
        shape = label_checks.shape(shape, prepared.labels)
        against += label_checks.against(project, names)
        notes += label_checks.notes(project, prepared.labels)
    notes += quantised.notes(project.model.quantization, skeleton, weights)
    shape = replace(
        shape,
        quantised=0
        if project.model.quantization == "none"
        else targets.quantisable_parameters(skeleton, quantised.spared(project.model.quantization, config)),
        quantised_bits=quantised.weight_bits(project.model.quantization),
        held=counted.held,
        whole=whole,
        state_bytes=optimisers.state_bytes(project.train.optimizer),
    )
    weight_bytes = 4 if weights == "float32" else 2
    walk = functools.partial(
        memory_trace.trace,
        skeleton,
        project,
        names,
        prepared.tokenizer,
        weights,
        precision,
        labelled=bool(prepared.labels),
        device=device.type,
        longest=prepared.ready.train.longest,
    )
    make = functools.partial(
        plan.make,
        project,
        prepared.ready.train,
        on_gpu=device.type == "cuda",
        weight_bytes=weight_bytes,
        available=device.memory,
        evaluates=prepared.ready.validation.longest if project.train.evaluate else 0,
    )
    if not against:
        blocks = config.model_type in head.KINDS and not (whole or precision == "fp16" or prepared.labels)
        packs = walk(packed=project.train.gradient_checkpointing is not True)
        shape = replace(shape, trace=packs, device=device.type, in_blocks=blocks)
    planned = make(shape)
    if planned.checkpointing and shape.trace and shape.trace.packed:  # then rows are padded
        shape = replace(shape, trace=walk(packed=False))
        planned = make(shape)
    notes += adapting.notes(project, weights)
    against += _data(project, prepared, config, skeleton)
    against += _environment(project, config, device) + several.flaws(project, device)
    needed = (project.train.keep_checkpoints + 2) * 16 * (trainable + counted.held) + 32 * 1024 * 1024
    free = shutil.disk_usage(workspace.root).free
    if free < needed:
        against.append(
            f"too little disk: checkpoints and adapter need {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free"
        )
    if not against:
        refused, noted = _memory(project, prepared, shape, planned, weight_bytes, device)
        against += refused
        notes += noted
    if against:
        raise Refusal(
            "this run would fail or mislead:\n  - " + "\n  - ".join(against) if len(against) > 1 else against[0]
        )
    if device.type == "cpu" and (unused := devices.unused_gpu()):
        notes.append(f"{unused}; this run is on the CPU")
    notes += _notes(project, prepared, planned)
    if pretrain.from_scratch(project):
        notes += pretrain.notes(project, prepared.base.folder, prepared.ready, planned)
    return Job(project, prepared, device, precision, weights, names, shape, planned, notes)


def lock(job: Job) -> dict[str, Any]:
    """Return what decides the result beside the project: the tables of lock.toml."""
    prepared = job.prepared
    return {
        "packages": lockfile.versions(),
        "base": {
            "id": prepared.base.id,
            "kind": prepared.base.kind,
            "revision": prepared.base.revision,
            "weights_sha256": prepared.base.weights_hash(),
        }
        | ({"spared": _spared(job)} if job.project.model.quantization == "nf4" else {}),
        "data": {
            "rows_sha256": prepared.ready.data_hash,
            "tokens_fingerprint": prepared.ready.fingerprint,
            "train_rows": prepared.ready.train.rows,
            "validation_rows": prepared.ready.validation.rows,
        },
        **({"labels": label_checks.lock(prepared.labels)} if prepared.labels else {}),
        "template": {"name": prepared.template.name, "sha256": prepared.template.hash},
        "device": {
            "type": job.device.type,
            "name": job.device.name,
            "threads": job.device.threads,
            "precision": job.precision,
            "weights": job.weights,
        },
        "plan": {
            "batch_size": job.plan.batch_size,
            "grad_accum": job.plan.grad_accum,
            "steps": job.plan.steps,
        }
        | ({"processes": job.project.launch.processes} if job.project.launch.processes > 1 else {}),
    }


def _spared(job: Job) -> list[str]:
    """What "nf4" leaves in 16 bits: it held all layers in 4 once, and `Run.project` tells the two apart by this."""
    base = loading.config(job.prepared.base.folder)
    return list(quantised.spared(job.project.model.quantization, base))


def golden(project: Project) -> list[str]:
    """Return the golden suggestions that the project takes, each with its formula."""
    taken = []
    if project.data.split == "phi":
        taken.append(
            f"split 1/phi = {phi.TRAIN_SHARE:.3f} for training, 1/phi^2 = {1 - phi.TRAIN_SHARE:.3f} for validation"
        )
    if project.data.mix == "phi":
        weights = ", ".join(
            f"{weight:.3f}" for weight in phi.mix_weights(sum(s.role == "train" for s in project.data.sources))
        )
        taken.append(f"mix phi^-1, phi^-2, ... normalised: {weights}")
    if project.train.warmup == phi.WARMUP:
        taken.append(f"warm-up {phi.WARMUP} = 0.1/phi of the steps")
    if project.lora.rank in phi.RANKS:
        taken.append(f"rank {project.lora.rank}, a Fibonacci number")
    if project.train.scheduler == "phi_restarts":
        taken.append("cosine periods, each phi = 1.618 times the one before")
    return taken


def _data(project: Project, prepared: Prepared, config: Any, skeleton: Any) -> list[str]:
    against = []
    tokenizer, context = prepared.tokenizer, getattr(config, "max_position_embeddings", None)
    longest = max(prepared.ready.train.longest, prepared.ready.validation.longest)
    if context and project.data.max_length > context and longest > context:
        against.append(
            f"data.max_length is {project.data.max_length}, beyond this base's context of {context} tokens, "
            f"and the longest row has {longest}"
        )
    elif context and project.data.max_length > context and "data.max_length" in _said(project):
        against.append(f"data.max_length is {project.data.max_length}, beyond this base's context of {context} tokens")
    if not prepared.ready.train.trained:
        against.append("no token of the training rows carries loss")
    vocabulary = skeleton.get_input_embeddings().weight.shape[0]
    for what, token in (("EOS", tokenizer.eos_token_id), ("pad", tokenizer.pad_token_id)):
        if token is not None and token >= vocabulary:
            against.append(
                f"the tokenizer's {what} token has id {token}, but the model has only {vocabulary} embeddings"
            )
    if (
        tokenizer.eos_token_id is not None
        and tokenizer.eos_token_id == tokenizer.unk_token_id
        and tokenizer.pad_token_id == tokenizer.eos_token_id
        and not prepared.labels
    ):
        against.append(
            "the tokenizer uses one token for unknown text, padding and the end of text: the model cannot learn to stop"
        )
    formats = [source["format"] for source in prepared.report["sources"]]
    evaluated = bool(prepared.ready.validation.rows and project.train.evaluate)
    against += scoring.against(project, formats, evaluated) + source_cut.against(project.data.cut, formats)
    if project.train.early_stopping and not (prepared.ready.validation.rows and project.train.evaluate):
        against.append(
            "train.early_stopping needs validation rows, and none are evaluated: set data.split, add a source with "
            'role = "validation", or set train.evaluate = true'
        )
    return against


def _environment(project: Project, config: Any, device: devices.Device) -> list[str]:
    against = []
    for package in project.train.report_to:
        if importlib.util.find_spec(package if package != "tensorboard" else "tensorboard.compat") is None:
            against.append(f"train.report_to names {package}, which is not installed: pip install {package}")
    if project.model.attention == "flash_attention_2":
        if device.type != "cuda" or importlib.util.find_spec("flash_attn") is None:
            against.append(
                'model.attention = "flash_attention_2" needs a CUDA GPU and the package flash-attn: use "auto"'
            )
        elif config.model_type == "gpt_neo":
            against.append(
                'under flash_attention_2 the 256-token local layers of gpt_neo become global: use "eager" or "auto"'
            )
    if project.model.attention == "sdpa" and config.model_type == "gpt_neo":
        against.append('gpt_neo has no SDPA attention: use "eager" or "auto"')
    return against


def _memory(
    project: Project,
    prepared: Prepared,
    shape: memory.Shape,
    planned: plan.Plan,
    weight_bytes: int,
    device: devices.Device,
) -> tuple[list[str], list[str]]:
    """Return what memory refuses and what is to be noted; what does not fit even a row at a time is refused."""
    longest, validation = prepared.ready.train.longest, prepared.ready.validation.longest
    recomputes, evaluates = planned.checkpointing, validation if project.train.evaluate else 0
    least = memory.estimate(shape, 1, longest, weight_bytes, checkpointing=recomputes, evaluates=evaluates).total
    has = f"{device.name} has {device.memory / 1e9:.1f} GB"
    if least > device.memory:
        held = project.model.quantization
        fix = memory.advice(shape, longest, weight_bytes, device.memory, checkpointing=recomputes, quantization=held)
        return [f"about {least / 1e9:.1f} GB are needed for a single row of {longest} tokens and {has}: {fix}"], []
    if planned.memory.total > device.memory:
        needed = f"about {planned.memory.total / 1e9:.1f} GB are needed for {planned.batch_size} rows at once and {has}"
        if project.train.batch_size:
            fix = "lower data.max_length or train.batch_size, or set train.gradient_checkpointing = true"
            return [], [f"{needed}: {fix}"]
        return [], [f"{needed}: the batch is made as small as memory asks for when training starts"]
    return [], []


def _notes(project: Project, prepared: Prepared, planned: plan.Plan) -> list[str]:
    notes = []
    train = prepared.ready.train
    if train.cut_rows:
        notes.append(
            f"{train.cut_rows} of {train.rows} training rows are cut at {project.data.max_length} tokens "
            + (f"({train.source_cut_rows} at the end of their source) " if train.source_cut_rows else "")
            + f"and lose {train.cut_tokens} tokens"
        )
    if train.untrained_rows:
        notes.append(f"{train.untrained_rows} training rows without a trained token are left out")
    if not (prepared.ready.validation.rows and project.train.evaluate):
        notes.append("nothing is evaluated: no perplexity, and the last adapter is kept in place of the best")
    if planned.warmup_steps >= planned.steps:
        notes.append("the warm-up takes the whole run, so the peak learning rate is never reached")
    if train.tokens > 100 * max(1, train.trained) and not prepared.labels:
        notes.append(f"only {train.trained} of {train.tokens} tokens carry loss")
    return notes


def _said(project: Project) -> set[str]:
    """The dotted keys that the project sets itself."""
    from phi_tui.project import dump

    return {f"{table}.{key}" for table, keys in dump(project).items() if isinstance(keys, dict) for key in keys}
