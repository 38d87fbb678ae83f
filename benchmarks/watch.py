"""What every arm of a comparison is measured with: the clock of its training loop and its process's memory.

Imports nothing but Python's own library at its top, since arms run in the environments of other packages too.
"""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

APART = 2
"""The first steps, left out of the rate: they fill caches and the allocator."""


@dataclass
class Watched:
    """When each step of a training ended and how many tokens of rows, padding aside, it trained; memory in bytes."""

    began: float = 0.0
    ended: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    before: int = 0
    peak: int = 0

    def figures(self) -> dict[str, Any]:
        """Tokens a second behind the first steps and of the whole loop, and what was seen."""
        apart = min(APART, len(self.ended) - 1)
        start = self.ended[apart - 1] if apart else self.began
        return {
            "rate": sum(self.tokens[apart:]) / (self.ended[-1] - start),
            "whole_rate": sum(self.tokens) / (self.ended[-1] - self.began),
            "steps": len(self.ended),
            "seconds": self.ended[-1] - self.began,
            **{name: value for name, value in asdict(self).items() if name in ("tokens", "losses", "before", "peak")},
        }


def resident() -> int:
    """The resident size of this process now, in bytes."""
    return _status("VmRSS")


def highest() -> int:
    """The highest resident size of this process since `forget_highest`, in bytes."""
    return _status("VmHWM")


def forget_highest() -> int:
    """Begin the highest resident size anew, so that the peak of imports counts for nobody; returns the size now."""
    with contextlib.suppress(OSError):  # where it may not be written, the highest of the whole process is what is had
        Path("/proc/self/clear_refs").write_text("5")
    return resident()


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"/proc/self/status says nothing of {name}")
    return int(found[1]) * 1024


def callback(watched: Watched, pad_id: int, ends_in_pad: bool) -> Any:
    """A TrainerCallback that fills `watched`; tokens are counted where the model looks them up.

    What stands at the end of a line of tokens and is `pad_id` is padding, but for the first one where rows end in it.
    """
    from transformers import TrainerCallback

    counted = {"tokens": 0}

    def looked_up(module: Any, given: Any, made: Any) -> None:
        for row in given[0].tolist():
            length = len(row)
            while length and row[length - 1] == pad_id:
                length -= 1
            counted["tokens"] += length + (ends_in_pad and 0 < length < len(row))

    class Watch(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:
            self.hook = model.get_input_embeddings().register_forward_hook(looked_up)
            watched.began = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            watched.ended.append(time.perf_counter())
            watched.tokens.append(counted["tokens"])
            counted["tokens"] = 0

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
            if logs and "loss" in logs:
                watched.losses.append(float(logs["loss"]))

        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            watched.peak = highest()
            self.hook.remove()

    return Watch()
