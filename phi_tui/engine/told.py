"""Errors of training in a person's words: what happened, at which step, and what to do."""

from __future__ import annotations

from phi_tui.engine import checkpoints, measured, plan
from phi_tui.errors import PhiError, Refusal, TrainingFailed


def told(error: Exception, step: int, batch: tuple[int, int] = (1, 1)) -> Exception:
    """Say an error of training in a person's words; what is not the world's fault stays as it is.

    `batch` is (rows a batch, batches a step) when it came: what may fit in its place is proposed.
    """
    from phi_tui.engine import shrink
    from phi_tui.engine.trainer import NotFinite

    if isinstance(error, PhiError):
        return error
    if isinstance(error, NotFinite):
        return TrainingFailed(
            f"the loss is not finite: {error}",
            where=f"step {step + 1}",
            fix="lower train.learning_rate, lengthen train.warmup, or use bf16 or fp32; the last good adapter is kept",
        )
    if plan.out_of_memory(error):
        if isinstance(error, measured.TooLittle):
            return Refusal(f"this run would not fit into memory: {error}", fix=error.fix)
        less = shrink.smaller(*batch)
        sizes = f"train.batch_size = {less[0]} and train.grad_accum = {less[1]} for the same steps, " if less else ""
        return TrainingFailed(
            f"out of memory with {batch[0]} rows a batch",
            where=f"step {step + 1}",
            fix=f"set {sizes}a lower data.max_length, or train.gradient_checkpointing = true"
            + (' (train.on_oom = "shrink" does the first by itself)' if less else "")
            + "; --resume goes on from the last checkpoint",
        )
    if failed := checkpoints.write_failed(error):
        return TrainingFailed(
            f"{failed.strerror or failed}",
            where=str(failed.filename or f"step {step + 1}"),
            fix="free disk space or mend the folder, then --resume",
        )
    return error
