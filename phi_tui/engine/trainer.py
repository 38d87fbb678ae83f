"""The Trainer, with the few things changed in which its own way would lose work or tell something untrue.

This module imports torch and transformers at its top, since it subclasses; only `train` imports it, when training
starts.  Changed are: the loss (a mean over the trained tokens of the whole accumulation window), the evaluation
(an exact perplexity), the learning rate (schedules of ours), checkpoints (whole or not at all), and a step with a
gradient that is not finite (never applied).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from phi_tui import schedules
from phi_tui.engine import checkpoints, optimisers, ranks, starts
from phi_tui.engine.batching import Batching, tokens
from phi_tui.engine.evaluate import Evaluation
from phi_tui.engine.loss import IGNORED
from phi_tui.schema import Lora, Train

Say = Callable[..., None]

OWED = "evaluation-owed"
"""An empty file in a checkpoint whose own evaluation was cut short by a stop."""


class NotFinite(RuntimeError):
    """The loss or the gradient is no number; the step that showed it was not applied."""


_SETTLED_BYTES = 256 * 1024 * 1024
"""Gradients of more bytes than this (a whole model) are made when they are needed: kept, they would add to the peak."""


class PhiTrainer(Trainer):
    """See the module; everything else is the library's."""

    control: TrainerControl
    lr_scheduler: Any
    optimizer: Any

    def __init__(
        self,
        *,
        settings: Train,
        lora: Lora | None,
        checkpoint_folder: Path,
        run_evaluation: Callable[[], Evaluation] | None,
        keep_best: Callable[[], None],
        speak: Callable[[int], None],
        say: Say,
        batching: Batching,
        **standard: Any,
    ) -> None:
        super().__init__(**standard)
        self.ranks = ranks.here()
        self._batching = batching
        self.settings = settings
        self.lora = lora
        self.window_tokens: torch.Tensor | int = 0
        self.tokens_seen = 0
        self.interrupted = False
        """Whether a stop came during an evaluation: it is owed, and made up for on resume."""
        self._checkpoint_folder = checkpoint_folder
        self._run_evaluation = run_evaluation
        self._keep_best = keep_best
        self.speak = speak
        self._say = say
        self._staging: str | None = None
        self._gradients: list[tuple[Any, Any]] | None = None
        # compute_loss divides by the window's trained tokens itself, whatever the model's forward accepts.
        self.model_accepts_loss_kwargs = True
        self._loss_shifts_labels = batching.labels is None

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the batch's share of the mean loss over the accumulation window."""
        count = num_items_in_batch if num_items_in_batch is not None else self._get_num_items_in_batch([inputs], None)
        loss = self._batching.loss(model, inputs) / count
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # the gradient is averaged over devices afterwards
        return (loss, None) if return_outputs else loss

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        """Run a step's batches forward and backward, and return their loss: each one's share of the step's mean."""
        if "parts" not in inputs:
            return super().training_step(model, inputs, num_items_in_batch)
        self._settled(model)
        return sum(super(PhiTrainer, self).training_step(model, part, num_items_in_batch) for part in inputs["parts"])

    def _settled(self, model: Any) -> None:
        """On a CPU the gradients of adapters keep their memory from step to step.

        Made anew by each backward pass they would lie among its activations and leave holes that the next ones do not
        fit: a tenth of a small model's peak.
        """
        if self._gradients is None:
            import torch

            trained = [weight for weight in model.parameters() if weight.requires_grad]
            few = sum(weight.nbytes for weight in trained) <= _SETTLED_BYTES and model.device.type == "cpu"
            self._gradients = [(weight, torch.zeros_like(weight)) for weight in trained] if few else []
        for weight, gradient in self._gradients:
            if weight.grad is None:
                weight.grad = gradient.zero_()

    def get_batch_samples(self, *window: Any, **more: Any) -> tuple[list[Any], Any]:
        """Collect a window's batches, and count the tokens in them without waiting for the device."""
        batches, items = super().get_batch_samples(*window, **more)
        self.window_tokens = sum(tokens(batch) for batch in _flat(batches))
        if self.ranks.count > 1:
            # Rows that only fill up an epoch's last step have no label at all, and do not count.
            rows = [batch["attention_mask"][(batch["labels"] != IGNORED).any(dim=1)] for batch in batches]
            self.window_tokens = sum(self.ranks.gather(sum(int(mask.sum()) for mask in rows)))
        return batches, items

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> Any:
        return super()._get_num_items_in_batch(_flat(batch_samples), device or self.args.device)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return the library's count for a step's batches."""
        return sum(int(super(PhiTrainer, self).floating_point_ops(part)) for part in _flat([inputs]))

    def get_train_dataloader(self) -> Any:
        """Give each of several processes its share of the rows that one would take for a step."""
        if self.ranks.count == 1:
            return super().get_train_dataloader()
        from phi_tui.engine import shares

        rows, batch = self.train_dataset, self._train_batch_size
        pin = self.args.dataloader_pin_memory
        made = shares.loader(rows, batch, self.ranks.count, self._batching.pad_id, self.data_collator, pin=pin)
        return self.accelerator.prepare(made)

    def create_optimizer(self, model: Any = None) -> Any:
        """Make the optimiser that the project names, with LoRA+'s groups and the held half of a start where asked."""
        if self.optimizer is not None or self.lora is None:
            return super().create_optimizer(model)
        if self.lora.plus_ratio:
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            decay = self.args.weight_decay
            self.optimizer = optimisers.with_faster_b(self.model, kind, settings, self.lora.plus_ratio, decay)
        else:
            super().create_optimizer(model)
        if self.lora.init != "default":
            starts.hold(self.model, self.optimizer)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the schedule that the project names."""
        if self.lr_scheduler is None:
            train, warmup = self.settings, self.args.get_warmup_steps(num_training_steps)

            def rate(step: int) -> float:
                return schedules.of(train, step, num_training_steps, warmup)

            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, rate)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load their states, but let the project's learning rate and weight decay stand: a new run may bring others."""
        kept = ("initial_lr", "weight_decay", "betas")
        groups = self.optimizer.param_groups if self.optimizer is not None else []
        wanted = [{key: group[key] for key in kept if key in group} for group in groups]
        super()._load_optimizer_and_scheduler(checkpoint)
        rates = self.lr_scheduler
        if checkpoint is None or rates is None or len(wanted) != len(self.optimizer.param_groups):
            return
        rates.base_lrs = [own["initial_lr"] for own in wanted]
        for group, own, shape in zip(self.optimizer.param_groups, wanted, rates.lr_lambdas, strict=True):
            group.update(own, lr=own["initial_lr"] * shape(rates.last_epoch))

    def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:
        """Evaluate on the whole validation set, exactly, and write the event."""
        if self._run_evaluation is None:
            return {}
        try:
            found = self._run_evaluation()
        except KeyboardInterrupt:
            self.interrupted = self.control.should_save = self.control.should_training_stop = True
            return {}
        event = found.event()
        metrics = {
            f"{metric_key_prefix}_{name.removeprefix('eval_')}": value
            for name, value in event.items()
            if isinstance(value, float) and name != "seconds"
        }
        self._say("eval", step=self.state.global_step, epoch=self.state.epoch, **event)
        self.speak(self.state.global_step)
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def catch_up(self) -> None:
        """Make the evaluation that a stop cut short, as if it had come right after its step."""
        self._determine_best_metric(self.evaluate(), None)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        best = bool(metrics) and super()._determine_best_metric(metrics, trial)
        if best:
            self.state.best_global_step = self.state.global_step
            self._keep_best()
        return best

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        # Under fp16 a scaled gradient may overflow; the scaler then skips the step by itself.
        broken = not torch.isfinite(self._tr_loss) or (not self.args.fp16 and not torch.isfinite(torch.as_tensor(norm)))
        if any(self.ranks.gather(bool(broken))):
            raise NotFinite(
                f"step {self.state.global_step + 1}: loss {float(self._tr_loss):g}, gradient norm {float(norm):g}"
            )
        return norm

    def _get_output_dir(self, trial: Any) -> str:
        return self._staging or super()._get_output_dir(trial)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        target = self._checkpoint_folder / f"step-{self.state.global_step}"
        if self.ranks.first:
            checkpoints.room(self._checkpoint_folder.parent, self._checkpoint_bytes())
        with self.ranks.folder(target) as staged:
            self._staging = str(staged)
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self._staging = None
            self.ranks.gather(None)  # each process has written its random state
            if not self.ranks.first:
                return
            written = next(staged.glob("checkpoint-*"))
            for path in written.iterdir():
                path.rename(staged / path.name)
            written.rmdir()
            # A pickle of the arguments: it may hold a token, and nothing of ours reads it.
            (staged / "training_args.bin").unlink(missing_ok=True)
            if self.interrupted:
                (staged / OWED).touch()
            checkpoints.write_manifest(staged)
        checkpoints.rotate(self._checkpoint_folder, self.settings.keep_checkpoints, self.state.best_global_step)
        self._say("checkpoint", step=self.state.global_step, path=f"checkpoints/{target.name}")

    def _checkpoint_bytes(self) -> int:
        """What a checkpoint will take: as much as the newest one; the first, weights and two fp32 moments of each."""
        trained = sum(weight.numel() for weight in self.model.parameters() if weight.requires_grad)
        return checkpoints.size(self._checkpoint_folder) or 12 * trained


def _flat(batches: list[Any]) -> list[Any]:
    """A step's batches, whether they come one by one or as the parts of one."""
    return [part for batch in batches for part in batch.get("parts", [batch])]


class Patience(EarlyStoppingCallback):
    """Early stopping whose count survives a resume; the best adapter is kept by the trainer, not reloaded here."""

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Skip the library's demand for load_best_model_at_end."""


class Cadence(TrainerCallback):
    """When to evaluate, save and stop, and an event for every step."""

    def __init__(
        self,
        settings: Train,
        *,
        evaluates: bool,
        stopping: Callable[[], bool],
        saving: Callable[[], bool],
        sampling: Callable[[], bool],
        quitting: Callable[[], bool],
        say: Say,
        owed: bool = False,
    ) -> None:
        self.settings = settings
        self.stopped = False
        self.trainer: PhiTrainer | None = None
        self.loop_seconds = 0.0
        self._owed = owed
        self._evaluates = evaluates
        self._stopping, self._saving, self._sampling = stopping, saving, sampling
        self._quitting, self._say = quitting, say
        self._step_began = 0.0
        self._every = 1

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Thin the events of very long runs, and make up for an evaluation that a stop cut short."""
        self._every = max(1, state.max_steps // 20_000)
        if self._owed and self.trainer is not None:
            self.trainer.catch_up()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock of a step."""
        self._step_began = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Decide what follows on this step."""
        train, step = self.settings, state.global_step
        last = step >= state.max_steps
        epoch_over = abs((state.epoch or 0.0) - round(state.epoch or 0.0)) < 1e-9
        due = last or (step % train.eval_every == 0 if train.eval_every else epoch_over)
        evaluates = self._evaluates and due
        if self._stopping() and not last:
            self.stopped = control.should_training_stop = True
            control.should_save = not self._quitting()
            if evaluates and self.trainer is not None:
                self.trainer.interrupted = True
            return
        asked = self._saving()
        if self._sampling() and not evaluates and self.trainer is not None:
            self.trainer.speak(step)
        control.should_evaluate = evaluates
        control.should_save = asked or last or (step % train.save_every == 0 if train.save_every else due)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write the step's event; the journal keeps the history, so the Trainer's own stays short."""
        del state.log_history[:-100]
        if not logs or "loss" not in logs or self.trainer is None:
            return
        seconds = time.perf_counter() - self._step_began
        self.loop_seconds += seconds
        seen = int(self.trainer.window_tokens)
        self.trainer.tokens_seen += seen
        if state.global_step % self._every == 0 or state.global_step in (1, state.max_steps):
            self._say(
                "step",
                step=state.global_step,
                steps=state.max_steps,
                epoch=round(state.epoch or 0.0, 4),
                loss=logs["loss"],
                lr=logs["learning_rate"],
                grad_norm=logs.get("grad_norm"),
                tokens=self.trainer.tokens_seen,
                tokens_per_second=round(seen / seconds, 1) if seconds else None,
            )


def arguments(
    settings: Train,
    *,
    seed: int,
    batch_size: int,
    grad_accum: int,
    precision: str,
    output: Path,
    checkpointing: bool,
    on_gpu: bool,
) -> TrainingArguments:
    """Return the Trainer's arguments; evaluation, saving and logging are driven by `Cadence`."""
    made = TrainingArguments(
        output_dir=str(output),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=grad_accum,
        learning_rate=settings.learning_rate,
        **optimisers.library_name(settings.optimizer),
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        adam_beta2=settings.beta2,
        max_grad_norm=settings.max_grad_norm,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not on_gpu,
        ddp_backend=("nccl" if on_gpu else "gloo") if ranks.here().count > 1 else None,
        ddp_find_unused_parameters=False if ranks.here().count > 1 else None,
        seed=seed,
        data_seed=seed,
        activation_checkpointing=checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if checkpointing else None,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="no",
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        load_best_model_at_end=False,
        restore_callback_states_from_checkpoint=True,
        remove_unused_columns=False,
        dataloader_pin_memory=on_gpu,
        report_to="none",  # engine/trackers.py feeds them, from the journal's events
        run_name=output.name,
        disable_tqdm=True,
        push_to_hub=False,
    )
    if made.device.type == "cuda":
        made._n_gpu = 1  # several GPUs in one process would multiply the rows of a step; launch.processes is the way
    return made
