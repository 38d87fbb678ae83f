"""Adapters that are read while a run may replace them, and put on a base that other adapters stand on too.

Reading is optimistic: a run puts a whole new folder in the place of the old one, so what was read is whole when the
same folder stands there before and after.  Nothing is copied and no run waits.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from phi_tui.engine import adapting, checkpoints, plan
from phi_tui.errors import InputError

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
WHOLE = ("model.safetensors", "model.safetensors.index.json")

T = TypeVar("T")

_TRIES = 5
_PAUSE = 0.05
"""Seconds between tries: between taking the old folder away and putting the new one there lies a rename."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Tells one written adapter from the next at the same place."""

    path: str
    inode: int
    modified: int
    size: int


@dataclass(frozen=True, slots=True)
class Read:
    """An adapter as its folder held it: PEFT's configuration and the tensors, on the CPU."""

    mark: Mark
    config: Any
    weights: dict[str, Any]


def steadily(folder: Path, read: Callable[[], T]) -> T | None:
    """Return what `read` makes of `folder` as it stood at one moment, or None where no such folder is.

    Raises what `read` raises, and InputError when the folder is replaced again and again meanwhile.
    """
    seen = False
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        seen = True
        try:  # held open, so that no other folder can get its number
            made = read()
            if _stands(folder, handle):
                return made
        except Exception:
            if _stands(folder, handle):
                raise
        finally:
            os.close(handle)
    if seen:
        raise InputError("is being replaced by its run right now", where=str(folder), fix="try again")
    return None


def mark(folder: Path) -> Mark:
    """Return the mark of the adapter, or of the whole model, in `folder`; InputError where there is none."""
    found = steadily(folder, lambda: _mark(folder))
    if found is None:
        raise _none(folder)
    return found


def read(folder: Path, model: Any) -> Read:
    """Read the adapter in `folder`, for `model`; a checkpoint's is checked against its manifest.

    Raises InputError where there is none, where it is damaged, or where it is no LoRA adapter without biases: with
    biases the base would not be bare when the adapter is off.
    """

    def whole() -> Read:
        found = _mark(folder)
        _check_sums(folder)
        from peft import LoraConfig, PeftConfig
        from peft.utils.save_and_load import load_peft_weights

        names = getattr(model, "_checkpoint_conversion_mapping", {})
        try:
            config = PeftConfig.from_pretrained(str(folder))
            weights = load_peft_weights(str(folder), device="cpu", key_mapping=names)
        except Exception as error:  # safetensors and the hub's client have exceptions of their own
            raise InputError(f"the adapter cannot be read: {_first_line(error)}", where=str(folder)) from error
        if not isinstance(config, LoraConfig) or config.bias != "none":
            raise InputError("is not a LoRA adapter without biases", where=str(folder))
        return Read(found, config, weights)

    got = steadily(folder, whole)
    if got is None:
        raise _none(folder)
    return got


class Adapted:
    """A base with named adapters on it, at most one of which speaks at a time."""

    def __init__(self, model: Any) -> None:
        self.model = model
        """The base itself; the adapters sit inside it, so it generates as whoever was chosen last."""
        self._adapted: Any = None
        self._names: dict[Mark, str] = {}
        self._numbers = itertools.count(1)

    def name(self, marked: Mark | None) -> str | None:
        """The name under which an adapter is on, or None."""
        return self._names.get(marked) if marked else None

    def put_on(self, adapter: Read, *, where: str) -> str:
        """Put an adapter on and return its name; InputError, with the model to be thrown away, if it does not fit."""
        from peft import get_peft_model, set_peft_model_state_dict

        # PEFT looks for names as parts of others, so none may be the beginning of another.
        name = f"voice{next(self._numbers):06d}"
        adapter.config.inference_mode = True
        adapter.config.base_model_name_or_path = None
        try:
            if self._adapted is None:
                self._adapted = get_peft_model(self.model, adapter.config, name)
            else:
                self._adapted.add_adapter(name, adapter.config)
            result = set_peft_model_state_dict(self._adapted, adapter.weights, adapter_name=name)
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            if plan.out_of_memory(error):
                raise
            raise InputError(f"the adapter does not fit this base: {_first_line(error)}", where=where) from error
        lacking = _lacking(self._adapted, [key for key in result.missing_keys if name in key])
        for what, keys in (("lacks", lacking), ("has no place for", result.unexpected_keys)):
            if keys:
                raise InputError(f"the adapter does not fit this base: it {what} {keys[0]}", where=where)
        self._adapted.eval()  # new layers come with their dropout on
        self._names[adapter.mark] = name
        return name

    def keep(self, marks: set[Mark]) -> None:
        """Take all adapters off but those marked; without any, the model is as it was loaded."""
        going = [marked for marked in self._names if marked not in marks]
        if not going:
            return
        if len(going) == len(self._names):
            _put_back(self.model)
            self.model = self._adapted.unload()
            self._adapted = None
            self._names.clear()
            return
        self.speak_as(next(name for marked, name in self._names.items() if marked in marks))
        for marked in going:
            self._adapted.delete_adapter(self._names.pop(marked))

    def speak_as(self, name: str | None) -> None:
        """Let the adapter called `name` speak, or the bare base."""
        if self._adapted is None:
            return
        if name is None:
            self._adapted.base_model.disable_adapter_layers()
        else:
            self._adapted.base_model.enable_adapter_layers()
            self._adapted.set_adapter(name, inference_mode=True)


def _lacking(adapted: Any, missing: list[str]) -> list[str]:
    """Return the missing weights that nothing else brings: those of a tied output head are its embeddings'."""
    if not missing:
        return []
    named = dict(adapted.named_parameters(remove_duplicate=False))
    brought = {id(weight) for key, weight in named.items() if key not in missing}
    return [key for key in missing if key not in named or id(named[key]) not in brought]


def _put_back(model: Any) -> None:
    """Put a base's own modules back where adapters brought whole ones: unloading would leave the trained ones there."""
    for name, module in list(model.named_modules()):
        if type(module).__name__ == "ModulesToSaveWrapper":
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, module.original_module)


def _mark(folder: Path) -> Mark:
    weights = WEIGHTS
    if adapting.is_whole(folder):
        weights = next((name for name in WHOLE if (folder / name).is_file()), WHOLE[0])
    for name in (weights,) if weights in WHOLE else (WEIGHTS, CONFIG):
        if not (folder / name).is_file():
            raise _none(folder)
    status = (folder / weights).stat()
    return Mark(str(folder), status.st_ino, status.st_mtime_ns, status.st_size)


def _check_sums(folder: Path) -> None:
    """Compare the adapter with the manifest that a checkpoint has."""
    try:
        entries = json.loads((folder / checkpoints.MANIFEST).read_text("utf-8"))
        sums = {name: str(entries[name]["sha256"]) for name in (WEIGHTS, CONFIG) if name in entries}
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError("has no readable manifest", where=str(folder), fix="choose another checkpoint") from None
    for name, expected in sums.items():
        if checkpoints.sha256(folder / name) != expected:
            raise InputError(
                f"{name} is damaged: its SHA-256 differs", where=str(folder), fix="choose another checkpoint"
            )


def _none(folder: Path) -> InputError:
    return InputError(
        f"holds no adapter ({WEIGHTS})",
        where=str(folder),
        fix="the first evaluation writes a run's adapter; of its checkpoints only the newest stay",
    )


def _stands(folder: Path, handle: int) -> bool:
    """Whether the folder that `handle` has open is the one that stands at `folder` now."""
    try:
        return os.path.samestat(os.stat(folder), os.fstat(handle))
    except OSError:
        return False


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
