"""Training: a job and a run directory in, an adapter and its figures out.  There is no other way to train.

The run's journal is told everything; the process's random state is touched by nothing else while this runs.  Only
one model may be loaded in a process that trains: loading another changes process-wide defaults.
"""

from __future__ import annotations

import functools
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from phi_tui import journal
from phi_tui.atomic import settle
from phi_tui.engine import (
    adapting,
    batching,
    checkpoints,
    classify,
    loading,
    measured,
    plan,
    pretrain,
    ranks,
    result,
    samples,
    several,
)
from phi_tui.engine import device as devices
from phi_tui.engine.evaluate import Evaluation, evaluate, row_lengths
from phi_tui.engine.evaluations import Evaluations
from phi_tui.engine.memory import EVAL_TOKENS
from phi_tui.engine.preflight import Job
from phi_tui.engine.requests import Requests
from phi_tui.engine.told import told
from phi_tui.errors import Stopped
from phi_tui.run import Run

Say = Callable[..., None]


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
    if job.project.launch.processes > ranks.here().count:
        return several.train(job, run, lock, say, stopping=stopping, resume=resume)
    try:
        return _Training(job, run, lock, say, stopping).go(resume)
    except OSError as error:  # while the result was written: the disk is full, or gone
        raise told(error, 0) from error


class _Training:
    """The state of one training: what `train` does, step by step."""

    def __init__(self, job: Job, run: Run, lock: dict[str, Any], say: Say, stopping: Callable[[], bool]) -> None:
        self.job, self.run, self.lock, self.say = job, run, lock, say
        self.project = job.project
        self.memory_before = 0
        self.memory: dict[str, int] = {}
        self.started = time.perf_counter()
        self.pad_id = loading.pad_id(job.prepared.tokenizer)
        self.labels = job.prepared.labels
        self.ranks = ranks.here()
        self.requests = Requests(run, self.ranks, say, stopping)
        self.current: Any = None
        self.batch = (job.plan.batch_size, job.plan.grad_accum)

    def go(self, resume: bool) -> dict[str, Any]:
        from datasets import load_from_disk
        from transformers import set_seed

        self.start_from = self.ranks.from_first(self._resume_point) if resume else None
        data = load_from_disk(str(self.job.prepared.ready.folder))
        self.train_rows = data["train"]
        evaluates = self.project.train.evaluate and "validation" in data
        self.validation_rows = data["validation"] if evaluates else self.train_rows.select(range(0))
        self.say("phase", name="load", detail=self.job.prepared.base.id)
        set_seed(self.project.seed)
        self.memory_before = measured.held(self.job.device)
        folder, attention = self.job.prepared.base.folder, self.project.model.attention
        tokenizer, kind, device = self.job.prepared.tokenizer, self.project.model.quantization, self.job.device.type
        base = loading.base(
            folder, self._dtype(), attention, self.labels, self.project.seed, quantization=kind, device=device
        )
        self.model = adapting.ready(base, self.project, self.job.targets, tokenizer, str(folder))
        self.model = loading.onto(self.model, device)
        rows = self.validation_rows if len(self.validation_rows) else self.train_rows
        self.prompts = [] if self.labels else samples.choose(rows, self.project.train.samples, tokenizer)
        self.stops = [int(stop) for stop in tokenizer.convert_tokens_to_ids(list(self.job.prepared.template.stops))]
        self.batching = batching.choose(
            self.model,
            self.project,
            pad_id=self.pad_id,
            labels=self.labels,
            device=device,
            precision=self.job.precision,
            weights=self.job.weights,
            processes=self.ranks.count,
            checkpointing=self.job.plan.checkpointing,
        )
        self.evaluations = Evaluations(
            self.model,
            self.job,
            self.run,
            train_rows=self.train_rows,
            rows=self.validation_rows,
            batching=self.batching,
            autocast=self._autocast,
            say=self.say,
            cancelled=self.requests.stop_asked,
        )
        batch = self._batch_size()
        new = pretrain.from_scratch(self.project)  # random weights are no base; the least to beat is a unigram model
        self.before: dict[str, Any] = {"base_perplexity": None}
        if new:
            self.before["unigram_perplexity"] = self.evaluations.unigram_perplexity()
        else:
            self.before["base_perplexity"] = self.ranks.from_first(
                lambda: self.evaluations.base_perplexity(bool(self.start_from), self.speak)
            )
        trainer, cadence = self._trainer(batch)
        self.say("phase", name="train", steps=self.job.plan.steps, detail=self.batching.said)
        try:
            trainer, cadence = self._to_the_end(trainer, cadence, batch)
        except KeyboardInterrupt:
            raise self._stopped(self.current.state.global_step) from None
        except Exception as error:
            self._keep_something()
            raise told(error, self.current.state.global_step, self.batch) from error
        if cadence.stopped or trainer.interrupted:
            self._keep_something()
            raise self._stopped(trainer.state.global_step)
        self._keep_something()
        if not self.ranks.first:
            return {}
        best = trainer.state.best_global_step
        try:
            final = self.evaluations.of_the_kept(self.kept, best, trainer.state.global_step)
        except KeyboardInterrupt:
            raise self._stopped(trainer.state.global_step) from None
        figures = {
            "steps": trainer.state.global_step,
            "best_step": best or trainer.state.global_step,
            **self.before,
            "tokens_per_second": trainer.tokens_seen / cadence.loop_seconds if cadence.loop_seconds else None,
            "peak_memory_bytes": measured.highest(self.job.device),
            **self.memory,
            "seconds": time.perf_counter() - self.started,
        }
        return result.figures(figures, self.job, self.run, self.lock, self.kept, final)

    def speak(self, step: int) -> None:
        """Let the model answer the fixed prompts, into the journal; a stop cuts this short."""
        if not self.prompts or not self.ranks.first:
            return
        said = samples.speak(
            self.model,
            self.job.prepared.tokenizer,
            self.prompts,
            max_tokens=self.project.train.sample_tokens,
            stops=self.stops,
            pad_id=self.pad_id,
            autocast=self._autocast,
            cancelled=self.requests.stop_asked,
        )
        for number, (prompt, text) in enumerate(zip(self.prompts, said, strict=False)):
            self.say(
                "sample", step=step, number=number, prompt=prompt.text[-600:], text=text, wanted=prompt.wanted[:600]
            )

    @property
    def kept(self) -> Path:
        """Where the result is kept: the folder of the adapter, or of the whole model."""
        return self.run.model if adapting.trains_all(self.project) else self.run.adapter

    def keep_adapter(self) -> None:
        """Write the adapter, or the whole model, as it is now to the run, with its tokenizer and template."""
        if self.ranks.first:
            result.write(self.model, self.job, self.lock, self.kept)

    def _trainer(self, batch: tuple[int, int]) -> tuple[Any, Any]:
        from phi_tui.engine.trainer import OWED, Cadence, Patience, PhiTrainer, arguments

        settings, job = self.project.train, self.job
        cadence = Cadence(
            settings,
            evaluates=len(self.validation_rows) > 0,
            stopping=self.requests.stop_agreed,
            saving=self.requests.save_asked,
            sampling=self.requests.sample_asked,
            quitting=lambda: self.requests.quitting,
            say=self.say,
            owed=self.start_from is not None and (self.start_from / OWED).is_file(),
        )
        args = arguments(
            settings,
            seed=self.project.seed,
            # A step's rows come as one, and are cut into batches of a bounded number of tokens.
            batch_size=batch[0] if self.ranks.count > 1 else batch[0] * batch[1],
            grad_accum=batch[1] if self.ranks.count > 1 else 1,
            precision=job.precision,
            output=self.run.path,
            checkpointing=job.plan.checkpointing,
            on_gpu=job.device.type != "cpu",
        )
        callbacks = [cadence, *([Patience(settings.early_stopping)] if settings.early_stopping else [])]
        self.model.config.use_cache = False
        trainer = PhiTrainer(
            settings=settings,
            lora=None if adapting.trains_all(self.project) else self.project.lora,
            checkpoint_folder=self.run.checkpoints,
            run_evaluation=(lambda: self.ranks.from_first(self.evaluations.once))
            if len(self.validation_rows)
            else None,
            speak=self.speak,
            keep_best=self.keep_adapter,
            say=self.say,
            model=self.model,
            args=args,
            train_dataset=self.train_rows,
            data_collator=self._collator(batch[0]),
            batching=self.batching,
            callbacks=callbacks,
        )
        from transformers import PrinterCallback, ProgressCallback

        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        cadence.trainer = trainer
        return trainer, cadence

    def _evaluated(self) -> Evaluation:
        return self.ranks.from_first(self.evaluations.once)

    def _to_the_end(self, trainer: Any, cadence: Any, batch: tuple[int, int]) -> tuple[Any, Any]:
        """Train, with smaller batches from the last step on wherever memory runs out and the project asks for that."""
        from phi_tui.engine import shrink

        shrinks = self.project.train.on_oom == "shrink" and self.ranks.count == 1
        while True:
            self.current, self.batch = trainer, batch
            guard = shrink.Guard()
            if shrinks:
                trainer.add_callback(guard)
            try:
                trainer.train(resume_from_checkpoint=str(self.start_from) if self.start_from else None)
                return trainer, cadence
            except (RuntimeError, MemoryError) as error:
                less = shrink.smaller(*batch) if shrinks and guard.computing and plan.out_of_memory(error) else None
                if less is None:
                    raise
            # Outside the handler, so that the failed step's tensors are no longer referenced by the traceback.
            step, seen = trainer.state.global_step, trainer.tokens_seen
            said = f"{less[0]} rows a batch and {less[1]} batches a step in place of {batch[0]} and {batch[1]}"
            self.say("warning", message=f"out of memory at step {step + 1}: {said}; it goes on from step {step}")
            self.say("phase", name="memory", detail=said, batch_size=less[0])
            guard.rewind()
            kept = self.run.checkpoints / f"step-{step}"
            if step and checkpoints.flaw(kept):
                trainer.model.zero_grad(set_to_none=True)
                trainer._save_checkpoint(trainer.model, None)
            self.start_from = kept if step else None
            self.model = shrink.let_go(trainer)
            batch = less
            trainer, cadence = self._trainer(batch)
            trainer.tokens_seen = seen

    def _collator(self, batch: int) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
        """What a step's rows become; no batch holds more tokens than `batch` of the longest rows."""
        if self.ranks.count > 1:
            return self.batching.collate
        budget = batch * self.job.prepared.ready.train.longest
        return lambda rows: {"parts": self.batching.parts(rows, budget)}

    def _batch_size(self) -> tuple[int, int]:
        """Rows a batch and batches a step: a step is measured, and what the project leaves open is made to fit."""
        planned, project = self.job.plan, self.project
        if self.start_from:
            sizes = [event["batch_size"] for event in journal.read(self.run.journal) if event.get("batch_size")]
            if sizes:  # the newest: it may have shrunk
                return int(sizes[-1]), self._accum(int(sizes[-1]))
        trying = self.job.device.type == "cuda" and not project.train.batch_size
        if not trying and planned.steps * planned.grad_accum < measured.WORTH_FROM:
            return planned.batch_size, planned.grad_accum
        self.say("phase", name="memory", detail="one step of the longest rows, measured")
        if planned.checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        try:
            found = measured.step(self.job, self._rehearsal(), self.memory_before)
        except (RuntimeError, MemoryError) as error:
            raise told(error, 0, self.batch) from error
        batch = min(self.ranks.gather(found.batch))
        if project.train.on_oom == "shrink" and project.train.batch_size:
            from phi_tui.engine import shrink

            batch = shrink.dividing(planned.rows_per_step, batch)
        estimated = self.memory_before + measured.estimate(self.job, batch).total
        self.memory = {"estimated_memory_bytes": estimated, "measured_memory_bytes": found.bytes}
        chosen = {} if batch == planned.batch_size else {"batch_size": batch}
        said = f"estimated {estimated / 1e9:.2f} GB, measured {found.bytes / 1e9:.2f} GB with {batch} rows"
        self.say("phase", name="memory", detail=said, **self.memory, **chosen)
        return (batch, self._accum(batch)) if chosen else (planned.batch_size, planned.grad_accum)

    def _rehearsal(self) -> measured.Rehearsal:
        """What a measured step runs: the longest rows forward and backward, and the evaluation's largest batch.

        Rows that share a prefix fill a batch only when there are more of them than a batch counts.
        """
        lengths = row_lengths(self.train_rows)
        longest = sorted(range(len(lengths)), key=lambda row: -lengths[row])

        def rows(count: int) -> None:
            picked = self.train_rows[longest[: 4 * count]]
            some = [dict(zip(picked, values, strict=True)) for values in zip(*picked.values(), strict=True)]
            parts = self.batching.parts(some, count * lengths[longest[0]])
            batch = max(parts, key=lambda part: int(part["input_ids"].numel()))
            self.model.train()
            try:
                batch = batching.moved(batch, self.job.device.type)
                with self._autocast():
                    loss = self.batching.loss(self.model, batch)
                loss.backward()
            finally:
                self.model.zero_grad(set_to_none=True)

        def validation() -> None:
            budget = EVAL_TOKENS[self.job.device.type]
            largest = self.validation_rows.select(self.batching.cut(row_lengths(self.validation_rows), budget)[0])
            evaluated = functools.partial(classify.evaluate, labels=self.labels) if self.labels else evaluate
            evaluated(self.model, largest, batching=self.batching, token_budget=budget, autocast=self._autocast)

        return measured.Rehearsal(rows, validation if len(self.validation_rows) else None)

    def _accum(self, batch: int) -> int:
        return math.ceil(self.job.plan.rows_per_step / (batch * self.ranks.count))

    def _resume_point(self) -> Path | None:
        """The newest whole checkpoint; damaged newer ones are told and removed, since the run writes them again."""
        settle(self.run.path)
        settle(self.run.checkpoints)
        found, flaws = checkpoints.newest_whole(self.run.checkpoints)
        for text in flaws:
            self.say("warning", message=f"checkpoint passed over: {text}")
            shutil.rmtree(self.run.checkpoints / text.split(" ", 1)[0], ignore_errors=True)
        self.say("resumed", step=int(found.name.removeprefix("step-")) if found else 0)
        return found

    def _keep_something(self) -> None:
        """Keep the adapter as it is where none was kept: without validation, or stopped before the first evaluation."""
        if not self.ranks.first:
            return
        if not len(self.validation_rows) or not any(self.kept.glob("*.safetensors")):
            try:
                self.keep_adapter()
            except Exception as error:
                if checkpoints.write_failed(error) is None:
                    raise

    def _stopped(self, step: int) -> Stopped:
        saved = [step for step, path in checkpoints.listed(self.run.checkpoints)]
        at = f"at step {step}" + (f"; checkpoint step-{saved[0]} is on disk" if saved else "")
        return Stopped(f"stopped {at}", fix="continue with --resume")

    def _dtype(self) -> Any:
        import torch

        return getattr(torch, self.job.weights)

    def _autocast(self) -> Any:
        return devices.autocast(self.job.device, self.job.precision)
