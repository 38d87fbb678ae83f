"""One step measured before the run: the longest batch forward and backward, and a batch of the evaluation.

An estimate may be wrong; what one step held is not.  Weights, gradients and random state are left as they were, so a
run trains to the same bytes with and without it.  On a GPU the allocator counts; on a CPU the kernel keeps the
process's highest resident size, which is set back where that is allowed and sampled by a thread where not.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phi_tui.engine import device as devices
from phi_tui.engine import memory, plan

if TYPE_CHECKING:
    from phi_tui.engine.preflight import Job
    from phi_tui.schema import Project

SHARE = 0.9
"""Of what is free, the most that a run may take."""
WORTH_FROM = 20
"""Batches of a run from which one more is little: 5% of it."""
_SAMPLED_EVERY = 0.002

_highest = 0
"""The process's highest resident size before it was last set back."""


@dataclass(slots=True)
class Peak:
    """Bytes that were held when the measuring began, and the most since; resident ones on a CPU."""

    before: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """The batch that a run takes, and the bytes that it will hold at its peak."""

    batch: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is run for it: so many of the longest rows forward and backward, and a batch of the evaluation."""

    rows: Callable[[int], None]
    evaluation: Callable[[], None] | None


class TooLittle(MemoryError):
    """Not even one row, or not the batch that the project asks for, fits into what is free."""

    def __init__(self, said: str, fix: str) -> None:
        super().__init__(f"out of memory: {said}")
        self.fix = fix


def resident() -> int:
    """Return the bytes of main memory that this process has now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def held(device: devices.Device) -> int:
    """Return the bytes held now: of the GPU by this process's tensors, or of main memory by the process."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.memory_allocated())
    return resident()


def free(device: devices.Device) -> int:
    """Return the bytes that a run may still take without pushing anything out."""
    import psutil

    if device.type == "cuda":
        import torch

        reserved = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return int(torch.cuda.mem_get_info()[0]) + int(reserved)
    return int(psutil.virtual_memory().available)


def highest(device: devices.Device) -> int:
    """Return the most that was ever held, whatever was set back in between."""
    return max(_highest, devices.peak_memory(device))


@contextlib.contextmanager
def peak(device: devices.Device) -> Iterator[Peak]:
    """Measure the most that is held while the context lasts."""
    global _highest
    _highest = highest(device)
    gc.collect()
    found = Peak(before=held(device))
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    elif not _set_back():
        with _sampled(found):
            yield found
        return
    try:
        yield found
    finally:
        found.most = max(found.before, devices.peak_memory(device) if device.type == "cuda" else _high_water())


def estimate(job: Job, rows: int) -> memory.Memory:
    """Return the estimate for batches of `rows` rows."""
    train, project = job.prepared.ready.train, job.project
    return memory.estimate(
        job.shape,
        rows,
        train.longest,
        4 if job.weights == "float32" else 2,
        checkpointing=job.plan.checkpointing,
        padded=train.p95 < train.longest,
        evaluates=job.prepared.ready.validation.longest if project.train.evaluate else 0,
    )


def step(job: Job, rehearsal: Rehearsal, before: int) -> Measured:
    """Return the largest of the planned batch, its half, ... that fits, and what a run with it holds at the most.

    `before` is what was held before the model was loaded.  On a CPU the estimate is asked first, since running out
    ends the process there; a batch size that the project names is kept.  Raises TooLittle, or the device's last error.
    """
    device, batch, named = job.device, job.plan.batch_size, _keeps(job.project)
    room = free(device)
    # Weights that lie in a mapped file come into memory when they are read, so they count as not held yet.
    extra = held(device) - before
    if device.type != "cuda":
        while (needed := estimate(job, batch).total - extra) > SHARE * room and batch > 1 and not named:
            batch //= 2
        if needed > room:
            raise TooLittle(
                f"about {needed / 1e9:.1f} GB more are needed and {room / 1e9:.1f} GB are free", _fix(job, room)
            )
    # The optimiser's state comes with its first step.
    later = round((job.shape.trainable + job.shape.held) * job.shape.state_bytes)
    noted = Peak()

    def attempt(rows: int) -> None:
        with peak(device) as now:
            rehearsal.rows(rows)
            if rehearsal.evaluation:
                rehearsal.evaluation()
        noted.before, noted.most = now.before, now.most
        if rows > 1 and not named and now.most - now.before + later > SHARE * room:
            raise MemoryError("out of memory: the batch fits, but leaves too little")

    with untouched_randomness():
        found = plan.probe(batch, attempt) if not named else _once(batch, attempt)
    give_back(device)
    return Measured(found, noted.most + later)


def give_back(device: devices.Device) -> None:
    """Return what the allocator holds and nobody uses: its holes would lie beside those of the next pass."""
    gc.collect()
    if device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # glibc alone has it


def _keeps(project: Project) -> bool:
    """Whether the batch size that the project names must stay; where it may shrink, its rows a step stay."""
    return bool(project.train.batch_size) and project.train.on_oom != "shrink"


def _once(batch: int, attempt: Callable[[int], None]) -> int:
    attempt(batch)
    return batch


def _fix(job: Job, room: int) -> str:
    if job.project.train.batch_size > 1:
        return "lower train.batch_size, or leave it out: then it is found"
    return memory.advice(
        job.shape,
        job.prepared.ready.train.longest,
        4 if job.weights == "float32" else 2,
        room,
        checkpointing=job.plan.checkpointing,
        quantization=job.project.model.quantization,
    )


@contextlib.contextmanager
def untouched_randomness() -> Iterator[None]:
    """Put the random states back as they were."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_available() else []):
        yield


@contextlib.contextmanager
def _sampled(found: Peak) -> Iterator[None]:
    """Look at the resident size every few milliseconds, from a thread that draws no random numbers."""
    done = threading.Event()
    found.most = found.before

    def look() -> None:
        while not done.wait(_SAMPLED_EVERY):
            found.most = max(found.most, resident())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        found.most = max(found.most, resident())
        done.set()
        thread.join()


def _set_back() -> bool:
    """Set the kernel's high-water mark of this process back to what it holds; False where that is not to be had."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return False
    return _high_water() > 0


def _high_water() -> int:
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0
