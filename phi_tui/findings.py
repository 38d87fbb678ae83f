"""The doctor's findings and the plan of a run, in lines for a person."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from phi_tui.engine.transforms import Counts
from phi_tui.report import Reporter

if TYPE_CHECKING:
    from phi_tui.engine.preflight import Job
    from phi_tui.engine.prepare import Prepared
    from phi_tui.engine.sources import Finding

_SHOWN_EACH = 3
_STYLE = {"error": "red", "warning": "yellow", "info": "dim"}


class FindingList:
    """Shows the first findings of each kind as they come, and at `close` how many more there were."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._seen: Counter[str] = Counter()

    def __call__(self, finding: Finding) -> None:
        """Take one finding."""
        self._seen[finding.code] += 1
        if self._seen[finding.code] <= _SHOWN_EACH:
            where = f"{finding.file}:{finding.line}" if finding.line else finding.file
            fix = f" ({finding.fix})" if finding.fix else ""
            self._reporter.line(f"{finding.severity:<10} {where}: {finding.message}{fix}", _STYLE[finding.severity])

    def close(self) -> None:
        """Say how many findings were not shown."""
        for code, count in self._seen.items():
            if count > _SHOWN_EACH:
                self._reporter.line(f"{'':<10} and {count - _SHOWN_EACH} more of the kind {code}", "dim")
        self._seen.clear()


def data_lines(prepared: Prepared) -> list[str]:
    """What the data holds: sources, split, mix, lengths."""
    lines = []
    report = prepared.report
    for source in report["sources"]:
        counts = f"{source['kept']:,} of {source['read']:,} rows"
        repeats = f", {source['duplicates']:,} duplicates" if source.get("duplicates") else ""
        lines.append(f"{'source':<10} {source['name']}: {source['format']}, {counts}{repeats}")
    for counts in report.get("transforms") or []:
        lines.append(f"{'transform':<10} {Counts(**counts).words()}")
    for entry in report.get("mix") or []:
        lines.append(
            f"{'mix':<10} {entry['source']}: weight {entry['weight']:.3f}, {entry['used']:,} rows, "
            f"{entry['repeated']:,} of them repeats, {entry['left_out']:,} left out"
        )
    if report.get("mix_stopped"):
        lines.append(f"{'mix ends':<10} {report['mix_stopped']}")
    for name, part in (("train", prepared.ready.train), ("validation", prepared.ready.validation)):
        lines.append(
            f"{name:<10} {part.rows:,} rows, {part.tokens:,} tokens, {part.trained:,} "
            f"{'labels' if prepared.labels else 'trained'}; "
            f"length p50 {part.p50}, p95 {part.p95}, max {part.longest}"
        )
    if prepared.labels:
        lines.append(f"{'template':<10} {prepared.template.name}, the head reads the last token")
        return lines
    lines.append(
        f"{'template':<10} {prepared.template.name}, an answer ends with {' or '.join(prepared.template.stops)}"
    )
    return lines


def plan_lines(job: Job) -> list[str]:
    """What will happen: steps, batch, parameters, memory, golden suggestions, notes."""
    from phi_tui.engine.preflight import golden

    plan, shape = job.plan, job.shape
    lines = [
        f"{'steps':<10} {plan.steps:,} ({plan.steps_per_epoch:,} an epoch, {plan.warmup_steps:,} warm-up)",
        f"{'batch':<10} {plan.batch_size} rows x {plan.grad_accum}{_processes(job)} = {plan.rows_per_step} rows, "
        f"about {plan.tokens_per_step:,} tokens a step",
        f"{'trained':<10} all {shape.parameters:,} parameters"
        if shape.whole
        else f"{'adapter':<10} {shape.trainable:,} of {shape.parameters:,} parameters, on {', '.join(job.targets)}",
        f"{'device':<10} {job.device.name}, {job.precision}, weights in {_held(job)}",
        f"{'memory':<10} about {plan.memory.total / 1e9:.2f} GB: {_parts(plan.memory)}",
    ]
    lines += [f"{'phi':<10} {text}" for text in golden(job.project)]
    lines += [f"{'note':<10} {text}" for text in job.notes]
    return lines


def _processes(job: Job) -> str:
    count = job.project.launch.processes
    return f" x {count} processes" if count > 1 else ""


def _held(job: Job) -> str:
    kind = job.project.model.quantization
    return job.weights if kind == "none" else f"{kind}, the others in {job.weights}"


def _parts(memory: Any) -> str:
    return ", ".join(f"{name} {size / 1e9:.2f}" for name, size in memory.parts().items())
