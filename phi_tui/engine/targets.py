"""Which layers of a base the adapter goes on, and how many numbers that trains.

A misspelt module name is silently ignored by the adapter library as long as another name matches, so every
name is checked here against the model itself.  Everything works on a skeleton (the architecture without
weights), so that a dry run costs no memory.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from phi_tui.errors import InputError, Refusal

_QUANTISED = ("Linear4bit", "Linear8bitLt")
_HEADS = ("lm_head", "embed_out", "score")


def skeleton(folder: Path, outputs: int = 0) -> Any:
    """Build the model of `folder`'s config.json on the meta device: every shape, no weights.

    With `outputs` it has a head of that many numbers in the place of its output layer.

    Raises InputError when the configuration does not describe a model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    kind = AutoModelForSequenceClassification if outputs else AutoModelForCausalLM
    try:
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
        if outputs:
            config.num_labels = outputs
        with torch.device("meta"):
            model = kind.from_config(config, trust_remote_code=False)
            model.tie_weights()
    except Exception as error:  # each architecture checks its settings with exceptions of its own
        lines = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"the model cannot be built from its configuration: {lines[0]}", where=str(folder / "config.json")
        ) from error
    return model


def linear_targets(model: Any) -> list[str]:
    """Return the names of all linear layers but the output head, in the model's order, each once.

    The names are those of the modules themselves (q_proj, c_fc, ...), as an adapter's configuration wants
    them.  Where such a name would also match the head or something that is not linear, the full names stand
    in its place.
    """
    linear, heads = linear_layers(model), heads_of(model)
    names: dict[str, None] = {}
    for full in linear:
        if full in heads:
            continue
        leaf = full.rpartition(".")[2]
        safe = all(match in linear and match not in heads for match in matching(model, leaf))
        names[leaf if safe else full] = None
    return list(names)


def resolve(model: Any, targets: str | tuple[str, ...]) -> list[str]:
    """Return the module names to adapt: all linear layers for "all-linear", else `targets`, each checked.

    A name matches a module whose full name it is or ends after a dot (the adapter library's rule).  Raises
    Refusal for names that match no linear layer, that also match something else, or that name a head tied to
    the embeddings.
    """
    if targets == "all-linear":
        found = linear_targets(model)
        if not found:
            raise Refusal("the base has no linear layer to adapt", where="lora.targets")
        return found
    wanted = (targets,) if isinstance(targets, str) else targets
    linear, heads, available = linear_layers(model), heads_of(model), linear_targets(model)
    missing: list[str] = []
    for name in wanted:
        matches = matching(model, name)
        other = [match for match in matches if match not in linear]
        if not matches or len(other) == len(matches):
            near = difflib.get_close_matches(name, [*available, *linear], n=1, cutoff=0.6)
            kind = f" (it names a {type(model.get_submodule(other[0])).__name__})" if other else ""
            missing.append(f"{name!r}{kind}" + (f", did you mean {near[0]!r}?" if near else ""))
        elif other:
            raise Refusal(
                f"{name!r} also matches {other[0]!r}, which is not a linear layer",
                where="lora.targets",
                fix="write more of the name, from the left",
            )
        elif (tied := [match for match in matches if match in heads]) and is_tied(model):
            raise Refusal(
                f"{name!r} names the output head ({tied[0]}), whose weights are the input embeddings",
                where="lora.targets",
                fix='an adapter there also changes how tokens are read; leave it out, or take "all-linear"',
            )
    if missing:
        raise Refusal(
            "matches no linear layer of this base: " + "; ".join(missing),
            where="lora.targets",
            fix=f"available: {', '.join(available)}",
        )
    return list(dict.fromkeys(wanted))


def fan_in_fan_out(model: Any) -> bool:
    """Say whether the base keeps its weights as (in, out), as GPT-2's Conv1D layers do, instead of (out,
    in)."""
    return any(type(module).__name__ == "Conv1D" for module in model.modules())


def trainable_parameters(model: Any, targets: list[str], rank: int) -> int:
    """Return how many numbers LoRA of `rank` trains on `targets`: the sum over the layers of rank x (in +
    out).

    Each adapted layer gets A (rank x in) and B (out x rank); Hu et al. 2021.  Works on a skeleton.
    """
    return sum(rank * sum(shape) for shape in adapted_shapes(model, targets))


def adapted_shapes(model: Any, targets: list[str]) -> list[tuple[int, int]]:
    """Return (out, in) of every layer that `targets` names.  Works on a skeleton."""
    linear = linear_layers(model)
    adapted = {match for name in targets for match in matching(model, name) if match in linear}
    return [_shape(linear[name]) for name in adapted]


def quantisable_parameters(model: Any, spared: tuple[str, ...] = ()) -> int:
    """Return how many weights are held in fewer bits when the base is quantised: all linear layers but the head.

    `spared` are endings of the names of layers that are not.
    """
    linear, heads = linear_layers(model), heads_of(model)
    kept = [layer for name, layer in linear.items() if name not in heads and not name.endswith(spared or ("\0",))]
    return sum(int(layer.weight.numel()) for layer in kept)


def linear_layers(model: Any) -> dict[str, Any]:
    """Return every linear layer by its full name, the output head included."""
    import torch

    def is_linear(module: Any) -> bool:
        kind = type(module).__name__
        return isinstance(module, torch.nn.Linear) or kind in _QUANTISED or kind == "Conv1D"

    return {name: module for name, module in model.named_modules() if is_linear(module)}


def heads_of(model: Any) -> set[str]:
    """Return the full names of the output head."""
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return {
        name
        for name, module in model.named_modules()
        if name and ((output is not None and module is output) or name in _HEADS)
    }


def is_tied(model: Any) -> bool:
    """Say whether the output head's weights are the input embeddings."""
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    if inputs is None or outputs is None:
        return False
    # On the meta device two tensors share no storage to compare, so the configuration is asked as well.
    return outputs.weight is inputs.weight or bool(getattr(model.config, "tie_word_embeddings", False))


def matching(model: Any, name: str) -> list[str]:
    """Return the modules whose full name is `name` or ends with it after a dot: the adapter library's rule."""
    return [full for full, _ in model.named_modules() if full == name or full.endswith(f".{name}")]


def _shape(module: Any) -> tuple[int, int]:
    """(out, in)."""
    if type(module).__name__ == "Conv1D":
        return int(module.weight.shape[1]), int(module.weight.shape[0])
    # Quantised weights are packed, so the attributes and not the tensor tell the shape.
    return int(module.out_features), int(module.in_features)
