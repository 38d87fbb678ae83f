"""Loading a base and putting a trained adapter on it, the one way for training, evaluation and chat.

Weights come from safetensors only and no code of a stranger's runs, both said explicitly: the defaults would ask
on standard input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phi_tui.engine import quantised
from phi_tui.engine.labels import Labels
from phi_tui.errors import InputError


def tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a base or an adapter."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise InputError(f"the tokenizer cannot be loaded: {_first_line(error)}", where=str(folder)) from error


def config(folder: Path) -> Any:
    """Load the configuration of a base."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except Exception as error:  # impossible values raise a plain Exception of the library's own
        raise InputError(
            f"the model's configuration cannot be read: {_first_line(error)}", where=str(folder)
        ) from error


def base(
    folder: Path,
    dtype: Any,
    attention: str = "auto",
    labels: Labels | None = None,
    seed: int = 0,
    *,
    quantization: str = "none",
    device: str = "cpu",
) -> Any:
    """Load the base's weights in `dtype` with the attention implementation asked for; auto lets the model choose.

    With `labels` it has a new head for them, seeded by `seed`, in the place of its output layer.  With a
    `quantization` (all but "none") the weights are quantised onto `device` as they are read, and stay there.
    """
    choice: dict[str, Any] = {} if attention == "auto" else {"attn_implementation": attention}
    if quantization != "none":
        import torch

        choice["quantization_config"] = quantised.config(quantization, config(folder), dtype)
        choice["device_map"] = {"": torch.cuda.current_device() if device == "cuda" else device}
    if labels is not None:
        return _with_head(folder, dtype, choice, labels, seed)
    from transformers import AutoModelForCausalLM

    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            **choice,
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        raise InputError(f"the base cannot be loaded: {_first_line(error)}", where=str(folder)) from error
    return quantised.settle(model)


def onto(model: Any, device: str) -> Any:
    """Return `model` on `device`; a quantised one is there already and must not be moved."""
    return model if quantised.is_quantised(model) else model.to(device)


def _with_head(folder: Path, dtype: Any, choice: dict[str, Any], labels: Labels, seed: int) -> Any:
    """Load a base's body and put a head for `labels` on it."""
    from transformers import AutoModelForSequenceClassification

    from phi_tui.engine import classify

    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            str(folder),
            config=classify.configure(config(folder), labels, pad_id(tokenizer(folder))),
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            **choice,
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        raise InputError(f"the base cannot be loaded: {_first_line(error)}", where=str(folder)) from error
    return classify.finish(quantised.settle(model), seed)


def with_adapter(model: Any, adapter: Path) -> Any:
    """Put a trained adapter on `model`, frozen."""
    from peft import PeftModel
    from safetensors import SafetensorError

    if not (adapter / "adapter_model.safetensors").is_file():
        raise InputError(
            "holds no adapter (adapter_model.safetensors)",
            where=str(adapter),
            fix="phi-tui runs lists the runs",
        )
    try:
        return PeftModel.from_pretrained(model, str(adapter), is_trainable=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"the adapter does not fit this base: {_first_line(error)}", where=str(adapter)) from error


def pad_id(loaded_tokenizer: Any) -> int:
    """Return the id that fills short rows: the tokenizer's pad token, else its EOS; labels never depend on it."""
    pad = loaded_tokenizer.pad_token_id
    return int(loaded_tokenizer.eos_token_id if pad is None else pad)


def stop_ids(model_or_folder: Any, loaded_tokenizer: Any) -> tuple[int, ...]:
    """Return the ids at which generation ends: the tokenizer's EOS and those of the generation config."""
    from transformers import GenerationConfig

    if isinstance(model_or_folder, Path):
        try:
            generation = GenerationConfig.from_pretrained(str(model_or_folder), local_files_only=True)
        except (OSError, ValueError):
            generation = None
    else:
        generation = model_or_folder.generation_config
    named = getattr(generation, "eos_token_id", None)
    named = [] if named is None else [named] if isinstance(named, int) else list(named)
    own = [] if loaded_tokenizer.eos_token_id is None else [loaded_tokenizer.eos_token_id]
    return tuple(dict.fromkeys(own + named))


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
