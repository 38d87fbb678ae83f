"""Loading a base and putting an adapter on it, the one way for training, evaluation and chat.

Weights come from safetensors only and no code of a stranger's runs, both said explicitly: the defaults would ask
on standard input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phi_tui.errors import InputError
from phi_tui.schema import Project


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


def base(folder: Path, dtype: Any, attention: str = "auto") -> Any:
    """Load the base's weights in `dtype` with the attention implementation asked for; auto lets the model choose."""
    from transformers import AutoModelForCausalLM

    choice = {} if attention == "auto" else {"attn_implementation": attention}
    try:
        return AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            **choice,
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        raise InputError(f"the base cannot be loaded: {_first_line(error)}", where=str(folder)) from error


def with_new_adapter(model: Any, project: Project, targets: list[str], base_id: str) -> Any:
    """Put a fresh LoRA adapter on `model`; its initial weights follow torch's seed, which the caller sets."""
    from peft import LoraConfig, TaskType, get_peft_model

    from phi_tui.engine.targets import fan_in_fan_out

    lora = project.lora
    adapter = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        bias="none",
        fan_in_fan_out=fan_in_fan_out(model),
    )
    adapted = get_peft_model(model, adapter)
    # The folder a base lay in on this machine means nothing elsewhere; the id does.
    adapted.peft_config["default"].base_model_name_or_path = base_id
    return adapted


def with_adapter(model: Any, adapter: Path) -> Any:
    """Put a trained adapter on `model`, frozen."""
    from peft import PeftModel

    if not (adapter / "adapter_model.safetensors").is_file():
        raise InputError(
            "holds no adapter (adapter_model.safetensors)",
            where=str(adapter),
            fix="phi-tui runs lists the runs",
        )
    try:
        return PeftModel.from_pretrained(model, str(adapter), is_trainable=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
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
