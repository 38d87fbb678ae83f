"""A base that is made instead of found: shape from the budget, tokenizer from the rows, weights from the seed.

It lies in `models/<project>-scratch` like any other base, so everything behind it (tokenising, preflight, training,
the lock) treats it as one.  The same rows, settings and seed give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from phi_tui import schema
from phi_tui.atomic import folder as atomic_folder
from phi_tui.atomic import write_text
from phi_tui.engine import bases, loading, ready, scratch, stream, tokenizer_training
from phi_tui.engine.plan import Plan
from phi_tui.engine.ready import Ready
from phi_tui.errors import InputError, Refusal
from phi_tui.schema import Project
from phi_tui.workspace import Workspace

STAGE_VERSION = 1
"""Raised whenever the same rows, settings and seed would give another base than before."""
_NOTE = "phi-tui.json"
_USUAL_RATE = 2e-4


def from_scratch(project: Project) -> bool:
    """Whether the project trains a new model."""
    return project.model.init == "scratch"


def packs(project: Project) -> bool:
    """Whether the project's rows are laid end to end and cut into blocks."""
    return from_scratch(project) and project.scratch.packing


def as_rows(project: Project) -> Project:
    """Return the project with its rows left as they are, for a look at single rows and their tokens."""
    if not packs(project):
        return project
    return project.model_copy(update={"scratch": project.scratch.model_copy(update={"packing": False})})


def token_stage(project: Project) -> tuple[Callable[..., str], Callable[..., Ready]]:
    """Return the two functions that fingerprint and make the project's tokens: of blocks, or of single rows."""
    if packs(project):
        return stream.fingerprint, stream.build
    return ready.fingerprint, ready.build


def tokens_folder(project: Project, workspace: Workspace) -> Path:
    """Return where the project's tokens lie; blocks and single rows lie apart, so that neither pushes out the other."""
    return workspace.ready(f"{project.name}.blocks" if packs(project) else project.name)


def new_base(
    project: Project,
    root: Path,
    workspace: Workspace,
    rows: Path,
    data_hash: str,
    say: Callable[..., None],
    *,
    weights: bool = True,
) -> bases.Base:
    """Return the project's own base, made now unless it stands already; without `weights` it may lack them.

    `rows` is the folder of the split rows and `data_hash` what they hash to.  Raises InputError for a shape or a
    tokenizer that cannot be had.
    """
    settings = project.scratch
    folder = workspace.models / f"{project.name}-scratch"
    if folder.is_symlink():
        raise InputError("is a symbolic link", where=str(folder), fix="outputs go only into real folders")
    source = _tokenizer_of(settings, root, workspace)
    known = ready.tokenizer_hash(source) if source else data_hash
    parts = [STAGE_VERSION, project.seed, settings.model_dump(mode="json", exclude={"packing", "tokenizer"}), known]
    expected = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    stands = _stands(folder, expected)
    if not stands:
        with atomic_folder(folder) as staged:
            if source:
                tokenizer = loading.tokenizer(source)
            else:
                say("phase", name="base", detail="training a tokenizer on the training rows")
                size = settings.vocabulary or scratch.default_vocabulary(settings.budget)
                tokenizer = tokenizer_training.train(
                    rows / "train.jsonl",
                    size,
                    settings.context,
                    lambda done: say("phase", name="tokenizer", done=done),
                )
            shape = scratch.choose(settings, _vocabulary(settings, tokenizer, taken=source is not None))
            tokenizer.save_pretrained(str(staged))
            _write_config(shape, tokenizer, staged)
            write_text(staged / _NOTE, json.dumps({"expected": expected, "parameters": shape.parameters}))
    if weights and not any(folder.glob("*.safetensors")):
        say("phase", name="base", detail="drawing the new model's first weights")
        with atomic_folder(folder) as staged:
            shutil.copytree(folder, staged, dirs_exist_ok=True)
            _write_weights(staged, project.seed)
    return bases.Base(f"scratch:{project.name}", "scratch", folder, "")


def base_of(
    project: Project, root: Path, workspace: Workspace, on_progress: Callable[[str], None] | None = None
) -> bases.Base:
    """Return the project's base as it stands, found by `bases.resolve`, or the new one once it has been made.

    Raises InputError where there is none.
    """
    if not from_scratch(project):
        return bases.resolve(project.model, root, workspace.models, on_progress=on_progress)
    folder = workspace.models / f"{project.name}-scratch"
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            "the new model has not been made yet", where=str(folder), fix="train the project first: phi-tui --replay"
        )
    return bases.Base(f"scratch:{project.name}", "scratch", folder, "")


def check(project: Project) -> None:
    """Raise Refusal where the project's other settings cannot go with a new model."""
    if from_scratch(project) and project.train.method != "full":
        raise Refusal(
            'model.init = "scratch" makes a model of random weights, on which no adapter can lie',
            where="train.method",
            fix='set train.method = "full", or leave it out',
        )


def shape_of(folder: Path) -> scratch.Shape:
    """Return the shape of a base that `new_base` made."""
    config = loading.config(folder)
    return scratch.Shape(
        config.model_type,
        config.vocab_size,
        config.max_position_embeddings,
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
    )


def notes(project: Project, folder: Path, made: Ready, plan: Plan) -> list[str]:
    """Return what is to be known before a model is trained from scratch: its shape, and tokens against its size."""
    shape, tokens = shape_of(folder), made.train.tokens
    wanted = shape.tokens_wanted
    seen = plan.steps * plan.tokens_per_step
    told = [
        f"a new {shape.architecture} of {shape.parameters:,} parameters: {shape.layers} layers, width {shape.hidden}, "
        f"{shape.heads} heads, feed-forward {shape.intermediate}, vocabulary {shape.vocabulary:,}; "
        f"{scratch.short(shape.flops_a_token)} FLOPs a token, {shape.flops_a_token * seen:.1e} in all"
    ]
    ask = f"{scratch.short(shape.parameters)} parameters ask for about {scratch.short(wanted)} tokens"
    have = f"{ask} ({scratch.TOKENS_A_PARAMETER} a parameter, Hoffmann et al. 2022); you have {scratch.short(tokens)}"
    if tokens < wanted:
        have += f": it would repeat them {wanted / max(1, tokens):.3g} times"
    told.append(f"{have}; this run sees {scratch.short(seen)}, {seen / max(1, tokens):.2g} times all of them")
    budget = project.scratch.budget
    if abs(shape.parameters - budget) > 0.1 * budget:
        told.append(f"the shape has {shape.parameters / budget - 1:+.0%} parameters against scratch.parameters")
    if made.train.cut_tokens and packs(project):
        told.append(f"the last {made.train.cut_tokens} training tokens fill no block and are left out")
    if project.train.learning_rate <= _USUAL_RATE:
        told.append(
            f"train.learning_rate = {project.train.learning_rate:g} suits an adapter; new models of 3M parameters "
            "usually take about 3e-3, of 125M about 6e-4, of 1.3B about 2e-4"
        )
    return told


def _tokenizer_of(settings: schema.Scratch, root: Path, workspace: Workspace) -> Path | None:
    """The folder of the tokenizer to take; None where one is to be trained."""
    name = settings.tokenizer
    if not name:
        return None
    place = (root / Path(name).expanduser()).absolute()
    if place.is_dir() and not (place / "config.json").is_file():
        return place  # a tokenizer alone, which loading checks
    return bases.resolve(schema.Model(base=name), root, workspace.models, weights=False).folder


def _vocabulary(settings: schema.Scratch, tokenizer: Any, *, taken: bool) -> int:
    """How many embeddings the model gets: one for each token, or scratch.vocabulary where a taken one has fewer."""
    size = 1 + max(tokenizer.get_vocab().values())
    if not taken or not settings.vocabulary:
        return size
    if settings.vocabulary < size:
        raise InputError(
            f"{settings.vocabulary:,} is less than the {size:,} tokens of the tokenizer that is taken",
            where="scratch.vocabulary",
            fix="0 takes all of them",
        )
    return settings.vocabulary


def _write_config(shape: scratch.Shape, tokenizer: Any, folder: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    own: dict[str, Any] = {"num_key_value_heads": shape.heads} if shape.architecture == "llama" else {}
    config = AutoConfig.for_model(
        shape.architecture,
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        **own,
        **ids,
    )
    config.architectures = [AutoModelForCausalLM._model_mapping[type(config)].__name__]
    config.save_pretrained(str(folder))
    GenerationConfig(**ids).save_pretrained(str(folder))


def _write_weights(folder: Path, seed: int) -> None:
    """Write a model of the folder's configuration, drawn from `seed`; torch's own state is left alone."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(loading.config(folder), dtype=torch.float32)
    model.generation_config = GenerationConfig.from_pretrained(str(folder), local_files_only=True)
    model.save_pretrained(str(folder))


def _stands(folder: Path, expected: str) -> bool:
    """Whether the folder holds the base that `expected` stands for, with or without weights."""
    try:
        return bool(json.loads((folder / _NOTE).read_text("utf-8"))["expected"] == expected)
    except (OSError, ValueError, KeyError, TypeError):
        return False
