"""Training: a job and a run directory in, an adapter and its figures out.  There is no other way to train.

The run's journal is told everything; the process's random state is touched by nothing else while this runs.  Only
one model may be loaded in a process that trains: loading another changes process-wide defaults.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from phi_tui import journal
from phi_tui.atomic import folder as atomic_folder
from phi_tui.atomic import write_text
from phi_tui.engine import card, checkpoints, loading, plan, samples
from phi_tui.engine import device as devices
from phi_tui.engine.evaluate import Evaluation, evaluate, row_lengths
from phi_tui.engine.loss import collate, nll
from phi_tui.engine.preflight import Job
from phi_tui.errors import Stopped, TrainingFailed
from phi_tui.run import Run

Say = Callable[..., None]

EVAL_TOKENS = {"cpu": 4096, "mps": 8192, "cuda": 32_768}
"""Padded tokens an evaluation batch may hold, by device."""


def train(
    job: Job,
    run: Run,
    lock: dict[str, Any],
    say: Say,
    *,
    stopping: Callable[[], bool] = lambda: False,
    resume: bool = False,
) -> dict[str, Any]:
    """Train the job's adapter into `run` and return its figures (the fields that `--json` prints).

    `stopping` is asked after every step and between evaluation batches.  Raises Stopped once everything needed to
    resume is on disk, and TrainingFailed, with the best adapter so far kept, when it cannot go on.
    """
    return _Training(job, run, lock, say, stopping).go(resume)


class _Training:
    """The state of one training: what `train` does, step by step."""

    def __init__(self, job: Job, run: Run, lock: dict[str, Any], say: Say, stopping: Callable[[], bool]) -> None:
        self.job, self.run, self.lock, self.say = job, run, lock, say
        self.project = job.project
        self.saving = self.quitting = self.sampling = False
        self.asked_to_stop = stopping
        self._stop_seen = False
        self._last_evaluation: Evaluation | None = None
        self.started = time.perf_counter()
        self.pad_id = loading.pad_id(job.prepared.tokenizer)

    def go(self, resume: bool) -> dict[str, Any]:
        from datasets import load_from_disk
        from transformers import set_seed

        self.start_from = self._resume_point() if resume else None
        data = load_from_disk(str(self.job.prepared.ready.folder))
        self.train_rows = data["train"]
        evaluates = self.project.train.evaluate and "validation" in data
        self.validation_rows = data["validation"] if evaluates else self.train_rows.select(range(0))
        self.say("phase", name="load", detail=self.job.prepared.base.id)
        set_seed(self.project.seed)
        base = loading.base(self.job.prepared.base.folder, self._dtype(), self.project.model.attention)
        self.model = loading.with_new_adapter(base, self.project, self.job.targets, str(self.job.prepared.base.folder))
        self.model.to(self.job.device.type)
        tokenizer = self.job.prepared.tokenizer
        rows = self.validation_rows if len(self.validation_rows) else self.train_rows
        self.prompts = samples.choose(rows, self.project.train.samples, tokenizer)
        self.stops = [int(stop) for stop in tokenizer.convert_tokens_to_ids(list(self.job.prepared.template.stops))]
        base_perplexity = self._base_perplexity()
        trainer, cadence = self._trainer(self._batch_size())
        self.say("phase", name="train", steps=self.job.plan.steps)
        try:
            trainer.train(resume_from_checkpoint=str(self.start_from) if self.start_from else None)
        except KeyboardInterrupt:
            raise self._stopped(trainer.state.global_step) from None
        except Exception as error:
            self._keep_something()
            raise _told(error, trainer.state.global_step) from error
        if cadence.stopped or trainer.interrupted:
            self._keep_something()
            raise self._stopped(trainer.state.global_step)
        self._keep_something()
        final = self._final(trainer)
        return self._figures(trainer, cadence, final, base_perplexity)

    def stop_asked(self) -> bool:
        """Whether a signal, the app or another terminal asks for a stop; a request to save is remembered."""
        requests = self.run.take_requests()
        for request in sorted(requests):
            self.say("control", request=request)
        self.saving = self.saving or "save" in requests
        self.sampling = self.sampling or "sample" in requests
        self._stop_seen = self._stop_seen or bool(requests & {"stop", "quit"}) or self.asked_to_stop()
        self.quitting = self.quitting or "quit" in requests
        return self._stop_seen

    def save_asked(self) -> bool:
        """Whether a checkpoint is asked for now; asks once."""
        asked, self.saving = self.saving, False
        return asked

    def sample_asked(self) -> bool:
        """Whether the model is asked to speak now; asks once."""
        asked, self.sampling = self.sampling, False
        return asked

    def speak(self, step: int) -> None:
        """Let the model answer the fixed prompts, into the journal; a stop cuts this short."""
        if not self.prompts:
            return
        said = samples.speak(
            self.model,
            self.job.prepared.tokenizer,
            self.prompts,
            max_tokens=self.project.train.sample_tokens,
            stops=self.stops,
            pad_id=self.pad_id,
            autocast=self._autocast,
            cancelled=self.stop_asked,
        )
        for number, (prompt, text) in enumerate(zip(self.prompts, said, strict=False)):
            self.say(
                "sample", step=step, number=number, prompt=prompt.text[-600:], text=text, wanted=prompt.wanted[:600]
            )

    def keep_adapter(self) -> None:
        """Write the adapter as it is now to the run, with its tokenizer and template: PEFT's format, whole."""
        with atomic_folder(self.run.adapter) as staged:
            config = self.model.peft_config["default"]
            here, config.base_model_name_or_path = config.base_model_name_or_path, self.job.prepared.base.id
            try:
                self.model.save_pretrained(str(staged), save_embedding_layers=False)
            finally:
                config.base_model_name_or_path = here
            tokenizer = self.job.prepared.tokenizer
            own, tokenizer.chat_template = tokenizer.chat_template, self.job.prepared.template.jinja
            try:
                tokenizer.save_pretrained(str(staged))
            finally:
                tokenizer.chat_template = own
            template = self.job.prepared.template
            note = {
                "template": template.name,
                "template_sha256": template.hash,
                "stops": list(template.stops),
                "weights": self.job.weights,
                "precision": self.job.precision,
                "max_length": self.project.data.max_length,
            }
            write_text(staged / "phi-tui.json", json.dumps(note, indent=1))
            write_text(staged / "README.md", card.text(self.project, self.lock, {}, template.name))

    def _trainer(self, batch: tuple[int, int]) -> tuple[Any, Any]:
        from phi_tui.engine.trainer import OWED, Cadence, Patience, PhiTrainer, arguments

        settings, job = self.project.train, self.job
        cadence = Cadence(
            settings,
            evaluates=len(self.validation_rows) > 0,
            stopping=self.stop_asked,
            saving=self.save_asked,
            sampling=self.sample_asked,
            quitting=lambda: self.quitting,
            say=self.say,
            owed=self.start_from is not None and (self.start_from / OWED).is_file(),
        )
        args = arguments(
            settings,
            seed=self.project.seed,
            batch_size=batch[0],
            grad_accum=batch[1],
            precision=job.precision,
            output=self.run.path,
            checkpointing=job.plan.checkpointing,
            on_gpu=job.device.type != "cpu",
        )
        callbacks = [cadence, *([Patience(settings.early_stopping)] if settings.early_stopping else [])]
        self.model.config.use_cache = False
        trainer = PhiTrainer(
            settings=settings,
            checkpoint_folder=self.run.checkpoints,
            run_evaluation=self.evaluation if len(self.validation_rows) else None,
            speak=self.speak,
            keep_best=self.keep_adapter,
            say=self.say,
            model=self.model,
            args=args,
            train_dataset=self.train_rows,
            data_collator=lambda rows: collate(rows, self.pad_id),
            callbacks=callbacks,
        )
        from transformers import PrinterCallback, ProgressCallback

        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        cadence.trainer = trainer
        return trainer, cadence

    def evaluation(self) -> Evaluation:
        """Evaluate the model as it is now on the whole validation set."""
        spoke = 0.0

        def progress(done: int, rows: int) -> None:
            nonlocal spoke
            if time.monotonic() - spoke > 1.0:
                spoke = time.monotonic()
                self.say("phase", name="evaluate", done=done, total=rows)

        self._last_evaluation = evaluate(
            self.model,
            self.validation_rows,
            pad_id=self.pad_id,
            token_budget=EVAL_TOKENS[self.job.device.type],
            autocast=self._autocast,
            on_progress=progress,
            cancelled=self.stop_asked,
        )
        return self._last_evaluation

    def _base_perplexity(self) -> float | None:
        """The base's perplexity, before anything is trained; after a resume, as the journal has it."""
        if not len(self.validation_rows):
            return None
        if self.start_from:
            for event in journal.read(self.run.journal):
                if event["kind"] == "eval" and event.get("base"):
                    return float(event["perplexity"]) if event["perplexity"] is not None else math.inf
        self.say("phase", name="evaluate", detail="the base, for comparison")
        try:
            with self.model.disable_adapter():
                found = self.evaluation()
                self.speak(0)
        except KeyboardInterrupt:
            raise Stopped("stopped before the first step", fix="nothing was trained; start again") from None
        self.say(
            "eval",
            step=0,
            epoch=0.0,
            base=True,
            eval_loss=found.loss,
            perplexity=found.perplexity,
            tokens=found.tokens,
            seconds=found.seconds,
        )
        return found.perplexity

    def _batch_size(self) -> tuple[int, int]:
        """Rows a batch and batches a step; on a GPU the planned batch is tried out, weights untouched."""
        planned = self.job.plan
        if self.job.device.type != "cuda" or self.project.train.batch_size:
            return planned.batch_size, planned.grad_accum
        for event in journal.read(self.run.journal):
            if self.start_from and event["kind"] == "phase" and "batch_size" in event:
                return int(event["batch_size"]), math.ceil(planned.rows_per_step / int(event["batch_size"]))
        import torch

        self.say("phase", name="batch size", detail="trying the longest rows")
        lengths = row_lengths(self.train_rows)
        longest = sorted(range(len(lengths)), key=lambda row: -lengths[row])
        state = torch.random.get_rng_state(), torch.cuda.get_rng_state_all()

        def attempt(rows: int) -> None:
            picked = self.train_rows[longest[:rows]]
            batch = collate(
                [dict(zip(picked, values, strict=True)) for values in zip(*picked.values(), strict=True)],
                self.pad_id,
            )
            try:
                with self._autocast():
                    nll(
                        self.model, {name: tensor.to(self.job.device.type) for name, tensor in batch.items()}
                    ).backward()
            finally:
                self.model.zero_grad(set_to_none=True)

        self.model.train()
        try:
            found = plan.probe(planned.batch_size, attempt)
        except RuntimeError as error:
            raise _told(error, 0) from error
        torch.random.set_rng_state(state[0])
        torch.cuda.set_rng_state_all(state[1])
        torch.cuda.empty_cache()
        self.say("phase", name="batch size", detail=f"{found} rows fit", batch_size=found)
        return found, math.ceil(planned.rows_per_step / found)

    def _final(self, trainer: Any) -> Evaluation | None:
        """The evaluation of the adapter that is kept; the best one is loaded back if it is not the last."""
        if not len(self.validation_rows):
            return None
        if trainer.state.best_global_step == trainer.state.global_step and self._last_evaluation:
            return self._last_evaluation
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        self.say("phase", name="evaluate", detail=f"the best adapter, of step {trainer.state.best_global_step}")
        set_peft_model_state_dict(self.model, load_file(str(self.run.adapter / "adapter_model.safetensors")))
        try:
            return self.evaluation()
        except KeyboardInterrupt:
            raise self._stopped(trainer.state.global_step) from None

    def _figures(
        self, trainer: Any, cadence: Any, final: Evaluation | None, base_perplexity: float | None
    ) -> dict[str, Any]:
        losses = {
            e["step"]: e["loss"]
            for e in journal.read(self.run.journal)
            if e["kind"] == "step" and e["loss"] is not None
        }
        figures: dict[str, Any] = {
            "run": self.run.id,
            "adapter": str(self.run.adapter),
            "steps": trainer.state.global_step,
            "best_step": trainer.state.best_global_step or trainer.state.global_step,
            "train_loss": sum(losses.values()) / len(losses) if losses else None,
            "eval_loss": final.loss if final else None,
            "perplexity": final.perplexity if final else None,
            "base_perplexity": base_perplexity,
            "tokens_per_second": trainer.tokens_seen / cadence.loop_seconds if cadence.loop_seconds else None,
            "peak_memory_bytes": devices.peak_memory(self.job.device),
            "seconds": time.perf_counter() - self.started,
        }
        shown = {
            key: figures[key]
            for key in ("steps", "train_loss", "eval_loss", "perplexity", "base_perplexity")
            if figures[key] is not None
        }
        write_text(
            self.run.adapter / "README.md",
            card.text(self.project, self.lock, shown, self.job.prepared.template.name),
        )
        return figures

    def _resume_point(self) -> Path | None:
        """The newest whole checkpoint; damaged newer ones are told and removed, since the run writes them again."""
        found, flaws = checkpoints.newest_whole(self.run.checkpoints)
        for text in flaws:
            self.say("warning", message=f"checkpoint passed over: {text}")
            shutil.rmtree(self.run.checkpoints / text.split(" ", 1)[0], ignore_errors=True)
        self.say("resumed", step=int(found.name.removeprefix("step-")) if found else 0)
        return found

    def _keep_something(self) -> None:
        """Keep the adapter as it is where none was kept: without validation, or stopped before the first evaluation."""
        if not len(self.validation_rows) or not (self.run.adapter / "adapter_model.safetensors").is_file():
            with contextlib.suppress(OSError):
                self.keep_adapter()

    def _stopped(self, step: int) -> Stopped:
        saved = [step for step, path in checkpoints.listed(self.run.checkpoints)]
        at = f"at step {step}" + (f"; checkpoint step-{saved[0]} is on disk" if saved else "")
        return Stopped(f"stopped {at}", fix="continue with --resume")

    def _dtype(self) -> Any:
        import torch

        return getattr(torch, self.job.weights)

    def _autocast(self) -> Any:
        return devices.autocast(self.job.device, self.job.precision)


def _told(error: Exception, step: int) -> Exception:
    """Say an error of training in a person's words; what is not the world's fault stays as it is."""
    from phi_tui.engine.trainer import NotFinite

    if isinstance(error, NotFinite):
        return TrainingFailed(
            f"the loss is not finite: {error}",
            where=f"step {step + 1}",
            fix="lower train.learning_rate, lengthen train.warmup, or use bf16 or fp32; the last good adapter is kept",
        )
    if plan.out_of_memory(error):
        return TrainingFailed(
            "out of memory",
            where=f"step {step + 1}",
            fix="halve train.batch_size and double train.grad_accum, lower data.max_length, or set "
            "train.gradient_checkpointing = true; --resume goes on from the last checkpoint",
        )
    if isinstance(error, OSError):
        return TrainingFailed(
            f"{error.strerror or error}",
            where=str(error.filename or f"step {step + 1}"),
            fix="free disk space or mend the folder, then --resume",
        )
    return error
