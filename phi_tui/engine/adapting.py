"""Every way to adapt a base: from the project to a model that is ready to train, and from there to what is kept.

LoRA and its variants leave an adapter in PEFT's format, whatever they start from and whatever the base is held in; a
full fine-tuning leaves a whole model.  What the method trains is counted and checked on a skeleton beforehand.
"""

from __future__ import annotations

import contextlib
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi_tui.engine import starts
from phi_tui.engine import targets as layers
from phi_tui.engine.labels import has_head
from phi_tui.errors import InputError
from phi_tui.schema import Lora, Project

ADAPTER = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Counted:
    """How many numbers a method trains, and how many more it holds a gradient and a state for without training them."""

    trained: int
    held: int = 0


def trains_all(project: Project) -> bool:
    """Whether every weight is trained, so that the result is a whole model and no adapter."""
    return project.train.method == "full" or project.model.init == "scratch"


def ready(model: Any, project: Project, targets: list[str], tokenizer: Any, base_id: str) -> Any:
    """Return the loaded base ready to train by the project's method.

    What is drawn at random follows torch's seed, which the caller sets.  The base's own weights stay as they are.
    """
    if trains_all(project):
        model.requires_grad_(True)
        return model
    from peft import LoraConfig, TaskType, get_peft_model

    lora = project.lora
    scale: dict[str, Any] = {"r": lora.rank, "lora_alpha": lora.alpha}
    if lora.init != "default":
        scale = starts.settings(lora.rank, lora.alpha, lora.variant == "rslora")
    more: dict[str, Any] = {}
    if lora.modules_to_save:
        more["modules_to_save"] = saved_modules(model, lora)  # whole names: the library would take any ending
        more["ensure_weight_tying"] = _saves_tied(model, lora)
    if lora.trainable_tokens:
        more["trainable_token_indices"] = token_ids(tokenizer, lora.trainable_tokens)
    adapter = LoraConfig(
        task_type=TaskType.SEQ_CLS if has_head(project) else TaskType.CAUSAL_LM,
        lora_dropout=lora.dropout,
        target_modules=targets,
        bias="none",
        fan_in_fan_out=layers.fan_in_fan_out(model),
        use_rslora=lora.variant == "rslora",
        use_dora=lora.variant == "dora",
        **scale,
        **more,
    )
    adapted = get_peft_model(model, adapter)
    if lora.init != "default":
        starts.put(adapted, lora.init)
    # The folder a base lay in on this machine means nothing elsewhere; the id does.
    adapted.peft_config["default"].base_model_name_or_path = base_id
    return adapted


def bare(model: Any) -> Any:
    """Return a context in which `model` is its base: the adapter off; a whole model must not have been trained yet."""
    return model.disable_adapter() if hasattr(model, "peft_config") else contextlib.nullcontext()


def save(model: Any, folder: Path, base_id: str) -> None:
    """Write the adapter, or the whole model, into an empty folder, as safetensors with its configuration."""
    if not hasattr(model, "peft_config"):
        caching, model.config.use_cache = model.config.use_cache, True  # off for training alone
        try:
            model.save_pretrained(str(folder))
        finally:
            model.config.use_cache = caching
        return
    config = model.peft_config["default"]
    here, config.base_model_name_or_path = config.base_model_name_or_path, base_id
    try:
        model.save_pretrained(str(folder), save_embedding_layers=False)
    finally:
        config.base_model_name_or_path = here


def load_back(model: Any, folder: Path) -> None:
    """Put the weights that `save` wrote into `folder` back into the model that is loaded."""
    from safetensors.torch import load_file

    if hasattr(model, "peft_config"):
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(model, load_file(str(folder / ADAPTER)))
        return
    for shard in sorted(folder.glob("*.safetensors")):
        model.load_state_dict(load_file(str(shard)), strict=False)


def is_whole(folder: Path) -> bool:
    """Whether a folder, of a run's result or a checkpoint, holds a whole model and no adapter."""
    return (folder / "config.json").is_file() and not (folder / ADAPTER).is_file()


def token_ids(tokenizer: Any, tokens: tuple[str | int, ...]) -> list[int]:
    """Return the ids of `tokens`, given as text or as ids, sorted; InputError names what is no token."""
    known = tokenizer.get_vocab()
    ids: set[int] = set()
    for token in tokens:
        if isinstance(token, int):
            if not 0 <= token < len(tokenizer):
                raise InputError(f"token {token} is beyond the vocabulary of {len(tokenizer)} tokens")
            ids.add(token)
            continue
        found = [known[token]] if token in known else tokenizer(token, add_special_tokens=False)["input_ids"]
        if len(found) != 1:
            near = difflib.get_close_matches(token, known, n=1, cutoff=0.8)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{token!r} is no single token of this base, but {len(found)}{hint}")
        ids.add(int(found[0]))
    return sorted(ids)


def saved_modules(model: Any, lora: Lora) -> list[str]:
    """Return the full names of the modules that are trained whole.  Raises InputError when a name matches none."""
    found: list[str] = []
    for name in lora.modules_to_save:
        matches = layers.matching(model, name)
        if not matches:
            leaves = list(dict.fromkeys(full.rpartition(".")[2] for full, _ in model.named_modules() if full))
            near = difflib.get_close_matches(name, leaves, n=1, cutoff=0.6)
            raise InputError(
                f"{name!r} matches no module of this base" + (f", did you mean {near[0]!r}?" if near else "")
            )
        found += matches
    return list(dict.fromkeys(found))


def count(skeleton: Any, targets: list[str], project: Project, tokenizer: Any) -> Counted:
    """Return what the method trains, from shapes alone.

    DoRA has one length an output of each adapted layer; a start from the base's weights holds a second half.
    """
    if trains_all(project):
        return Counted(sum(weight.numel() for weight in skeleton.parameters()))
    lora = project.lora
    low = layers.trainable_parameters(skeleton, targets, lora.rank)
    more = 0
    if lora.variant == "dora":
        more += sum(out for out, _ in layers.adapted_shapes(skeleton, targets))
    modules = [skeleton.get_submodule(name) for name in saved_modules(skeleton, lora)]
    weights = {id(weight): weight.numel() for module in modules for weight in module.parameters()}
    more += sum(weights.values())
    if lora.trainable_tokens:
        more += len(token_ids(tokenizer, lora.trainable_tokens)) * int(skeleton.get_input_embeddings().weight.shape[1])
    return Counted(low + more, low if lora.init != "default" else 0)


def flaws(project: Project, skeleton: Any, tokenizer: Any, targets: list[str]) -> list[str]:
    """Return what of the method's settings cannot work, in sentences that name key and fix; empty when all can."""
    lora = project.lora
    if trains_all(project):
        against = [
            f"lora.{key} does nothing where every weight is trained: leave it out, or set train.method and model.init "
            "so that an adapter is trained"
            for key in ("variant", "init", "plus_ratio", "modules_to_save", "trainable_tokens")
            if getattr(lora, key) != Lora.model_fields[key].default
        ]
        if project.model.quantization != "none":
            against.append(
                f'weights in model.quantization = "{project.model.quantization}" are frozen and cannot be trained: set '
                'model.quantization = "none", or train.method = "lora"'
            )
        if project.model.dtype == "float16":
            against.append('float16 weights cannot be trained: set model.dtype = "auto", or train.method = "lora"')
        return against
    against = []
    narrow = min((min(shape) for shape in layers.adapted_shapes(skeleton, targets)), default=lora.rank)
    if lora.init != "default" and lora.rank > narrow:
        against.append(
            f'lora.init = "{lora.init}" has no more than {narrow} directions to start from in the narrowest adapted '
            f"layer: set lora.rank to {narrow} or less, or name wider lora.targets"
        )
    try:
        token_ids(tokenizer, lora.trainable_tokens)
    except InputError as error:
        against.append(f"lora.trainable_tokens: {error.what}")
    try:
        saved = saved_modules(skeleton, lora)
    except InputError as error:
        return [*against, f"lora.modules_to_save: {error.what}"]
    return against + _saved_flaws(project, skeleton, targets, saved)


def notes(project: Project, weights: str) -> list[str]:
    """Return what is to be known of the method; `weights` is the type of the weights."""
    said = []
    if trains_all(project) and weights != "float32":
        said.append(
            f"weights that are trained in {weights} lose steps smaller than about a hundredth of them: "
            'model.dtype = "auto" holds them in float32'
        )
    if project.train.method == "full" and project.model.init == "pretrained" and project.train.learning_rate > 1e-4:
        said.append(
            f"train.learning_rate = {project.train.learning_rate:g} is high for a full fine-tuning: "
            "1e-5 to 5e-5 is usual"
        )
    if project.model.quantization != "none":
        said.append(
            f"the base is compared as it is held, quantised ({project.model.quantization}); phi-tui merge puts the "
            "adapter on the full-precision base and measures the difference"
        )
    return said


def _saved_flaws(project: Project, skeleton: Any, targets: list[str], saved: list[str]) -> list[str]:
    against = []
    embeddings = [name for name, module in skeleton.named_modules() if module is skeleton.get_input_embeddings()]
    adapted = {match for name in targets for match in layers.matching(skeleton, name)}
    both = [name for name in adapted if any(name == whole or name.startswith(f"{whole}.") for whole in saved)]
    if both:
        against.append(f"lora.modules_to_save: {both[0]!r} is adapted already: take it out of one of the two lists")
    if project.lora.trainable_tokens and set(embeddings) & set(saved):
        against.append(
            "lora.trainable_tokens: lora.modules_to_save trains all embeddings already: take one of the two out"
        )
    heads = layers.heads_of(skeleton)
    if layers.is_tied(skeleton) and heads & set(saved) and not set(embeddings) & set(saved):
        against.append(
            "lora.modules_to_save names the output head, whose weights are the input embeddings: name the embeddings "
            f"({embeddings[0].rpartition('.')[2]}) instead, and both are trained as one"
        )
    if layers.is_tied(skeleton) and set(embeddings) & set(saved) and not embeddings[0].endswith("embed_tokens"):
        against.append(
            "lora.modules_to_save names the embeddings, which are the output head too, and in this architecture the "
            "adapter library would train the two apart: name single tokens in lora.trainable_tokens"
        )
    linear = layers.linear_layers(skeleton)
    held = [name for name in linear if name not in heads and any(f"{name}.".startswith(f"{w}.") for w in saved)]
    if project.model.quantization != "none" and held:
        against.append(
            f"lora.modules_to_save names {held[0]!r}, whose weights are quantised and cannot be trained: leave it to "
            'the adapter, or set model.quantization = "none"'
        )
    return against


def _saves_tied(model: Any, lora: Lora) -> bool:
    """Whether the input embeddings are trained whole and are the output head too."""
    embedding = next(name for name, module in model.named_modules() if module is model.get_input_embeddings())
    return layers.is_tied(model) and embedding in saved_modules(model, lora)
