"""When memory runs out in a step: smaller batches and more of them, the same rows a step, on from the last step.

What a step that ran out leaves behind is no gradient of anything, so it is thrown away whole: the state is that of the
end of the step before, its random numbers too.  Memory that runs out while the weights are being changed leaves them
half changed; nothing goes on from there but a checkpoint.
"""

from __future__ import annotations

import gc
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class Guard(TrainerCallback):
    """Knows what a trainer is at, and the random state that its last whole step left."""

    def __init__(self) -> None:
        self.computing = False
        """Whether it computes gradients: what it has done since the last step can be thrown away."""
        self._random: dict[str, Any] = {}

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """A step begins."""
        self.computing = True

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The weights are changed from here on."""
        self.computing = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """A step is whole."""
        self._random = _random_state()

    def rewind(self) -> None:
        """Put the random state back to where the last whole step left it."""
        if self._random:
            _set_random_state(self._random)


def smaller(batch: int, accum: int) -> tuple[int, int] | None:
    """Return (rows a batch, batches a step) of at most half the rows a batch and exactly the same rows a step."""
    rows = batch * accum
    size = next((size for size in range(batch // 2, 0, -1) if rows % size == 0), 0)
    return (size, rows // size) if size else None


def dividing(rows: int, batch: int) -> int:
    """Return the largest batch of at most `batch` rows into which a step of `rows` rows divides evenly."""
    return next(size for size in range(min(batch, rows), 0, -1) if rows % size == 0)


def let_go(trainer: Any) -> Any:
    """Free what a trainer holds beside the model, and return the model as it was before the trainer had it."""
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    model.zero_grad(set_to_none=True)
    trainer.optimizer = trainer.lr_scheduler = None
    trainer.accelerator.free_memory()
    gc.collect()
    if trainer.args.device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
    return model


def _random_state() -> dict[str, Any]:
    import random

    import numpy
    import torch

    found = {"python": random.getstate(), "numpy": numpy.random.get_state(), "cpu": torch.get_rng_state()}
    return found | ({"cuda": torch.cuda.get_rng_state_all()} if torch.cuda.is_available() else {})


def _set_random_state(state: dict[str, Any]) -> None:
    import random

    import numpy
    import torch

    random.setstate(state["python"])
    numpy.random.set_state(state["numpy"])
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"])
