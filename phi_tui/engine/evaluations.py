"""The evaluations of a training: of the base, at their steps, and of what is kept; with answers' scores where asked."""

from __future__ import annotations

import functools
import gc
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from phi_tui import journal
from phi_tui.engine import adapting, classify, plan, scoring
from phi_tui.engine.batching import Batching
from phi_tui.engine.evaluate import Evaluation, evaluate
from phi_tui.engine.memory import EVAL_TOKENS
from phi_tui.engine.preflight import Job
from phi_tui.engine.unigram import unigram
from phi_tui.errors import Stopped, TrainingFailed
from phi_tui.run import Run


class Evaluations:
    """Evaluates one model, as it is at each call, on the whole validation set `rows`, which may be empty."""

    def __init__(
        self,
        model: Any,
        job: Job,
        run: Run,
        *,
        train_rows: Any,
        rows: Any,
        batching: Batching,
        autocast: Callable[[], Any],
        say: Callable[..., None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._model, self._job, self._run, self._batching = model, job, run, batching
        self._autocast, self._say, self._cancelled = autocast, say, cancelled
        self._labels = job.prepared.labels
        self._train_rows = train_rows
        self._rows = rows
        self._budget = EVAL_TOKENS[job.device.type]
        self._last: Evaluation | None = None
        self._asked = self._questions()

    def once(self) -> Evaluation:
        """Evaluate the model as it is now on the whole validation set."""
        spoke = 0.0

        def progress(done: int, rows: int) -> None:
            nonlocal spoke
            if time.monotonic() - spoke > 1.0:
                spoke = time.monotonic()
                self._say("phase", name="evaluate", done=done, total=rows)

        evaluated = functools.partial(classify.evaluate, labels=self._labels) if self._labels else evaluate
        self._last = self._in_what_fits(
            lambda budget: evaluated(
                self._model,
                self._rows,
                batching=self._batching,
                token_budget=budget,
                autocast=self._autocast,
                on_progress=progress,
                cancelled=self._cancelled,
            )
        )
        if self._asked:
            self._last = self._with_scores(self._last)
        return self._last

    def of_the_kept(self, folder: Path, best: int, last: int) -> Evaluation | None:
        """Return the evaluation of what is kept in `folder`; that of step `best` is loaded back if it is not the last.

        Raises KeyboardInterrupt.
        """
        if not len(self._rows):
            return None
        if best == last and self._last:
            return self._last
        self._say("phase", name="evaluate", detail=f"the best, of step {best}")
        adapting.load_back(self._model, folder)
        return self.once()

    def _in_what_fits(self, evaluate_within: Callable[[int], Evaluation]) -> Evaluation:
        """Evaluate in batches of the device's size; where memory runs out and it may shrink, of half, a quarter, ..."""
        shrinks = self._job.project.train.on_oom == "shrink"
        while True:
            try:
                return evaluate_within(self._budget)
            except (RuntimeError, MemoryError) as error:
                ready = self._job.prepared.ready
                least = max(ready.validation.longest, 1)
                if not plan.out_of_memory(error):
                    raise
                if not shrinks or self._budget <= least:
                    raise TrainingFailed(
                        f"out of memory at an evaluation, in batches of {self._budget:,} tokens",
                        fix="lower data.max_length, or set train.evaluate = false"
                        if shrinks
                        else 'set train.on_oom = "shrink" to evaluate in smaller batches, then --resume',
                    ) from error
            self._budget //= 2
            gc.collect()
            self._say("warning", message=f"out of memory at an evaluation: batches of {self._budget:,} tokens now")

    def _questions(self) -> list[scoring.Question]:
        """The validation rows whose answers are scored; none where no score is asked for."""
        if self._job.project.train.score == "none" or not len(self._rows):
            return []
        room = scoring.room(self._model)
        questions = scoring.questions(self._job.project, self._job.prepared, room)
        if not questions:
            self._say("warning", message=f"no validation row can be answered in {room} tokens: there is no score")
        return questions

    def _with_scores(self, found: Evaluation) -> Evaluation:
        """Let the model answer the fixed questions and put the scores beside the loss; raises KeyboardInterrupt."""
        self._say("phase", name="evaluate", detail=f"scoring {len(self._asked)} answers")
        about = (self._asked, self._model, self._job.project, self._job.prepared)
        return scoring.with_scores(found, *about, self._autocast, self._cancelled)

    def unigram_perplexity(self) -> float | None:
        """What a model that knows the tokens' frequencies and nothing else has on the validation rows."""
        if not len(self._rows):
            return None
        found = unigram(self._train_rows, self._rows, len(self._job.prepared.tokenizer))
        said = f"unigram perplexity {found.perplexity:.4g}, from {found.counted:,} training tokens"
        self._say("phase", name="baseline", detail=said, unigram_perplexity=found.perplexity, unigram_loss=found.loss)
        return found.perplexity

    def base_perplexity(self, resumed: bool, speak: Callable[[int], None]) -> float | None:
        """The base's perplexity, before anything is trained; after a resume, as the journal has it."""
        if not len(self._rows):
            return None
        if resumed:
            for event in journal.read(self._run.journal):
                if event["kind"] == "eval" and event.get("base"):
                    return float(event["perplexity"]) if event["perplexity"] is not None else math.inf
        self._say("phase", name="evaluate", detail="the base, for comparison")
        try:
            with adapting.bare(self._model):
                found = self.once()
                speak(0)
        except KeyboardInterrupt:
            raise Stopped("stopped before the first step", fix="nothing was trained; start again") from None
        self._say("eval", step=0, epoch=0.0, base=True, **found.event(), **self._base_note())
        return found.perplexity

    def _base_note(self) -> dict[str, str]:
        kind = self._job.project.model.quantization
        return {} if kind == "none" else {"note": f"the base as it is held here, quantised ({kind})"}
