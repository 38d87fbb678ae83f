"""What this machine has and how busy it is, told without torch: GPUs through NVML, the rest through psutil.

The app shows it before any model is loaded, so nothing here may cost what importing torch does.  NVML's Python
package is optional; without it, or without a driver, the machine is one that trains on its CPU.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Device:
    """Something that can train: what a person calls it, and its memory in bytes."""

    name: str
    memory_total: int
    memory_free: int
    kind: Literal["cuda", "mps", "cpu"]


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine: what can train here, largest first; memory and disk in bytes; cores this process may use."""

    devices: tuple[Device, ...]
    ram_total: int
    ram_free: int
    disk_free: int
    cores: int

    @property
    def device(self) -> Device:
        """The device that an estimate is held against: the largest GPU, else the CPU with the machine's memory."""
        return self.devices[0]


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """One GPU at one moment; None where the driver does not say.

    `utilisation` in per cent, memory in bytes, `temperature` in degrees Celsius, power in watts.
    """

    index: int
    name: str
    utilisation: float | None
    memory_used: int
    memory_total: int
    temperature: float | None
    power: float | None
    power_limit: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """The machine's load at one moment.

    `cpu_percent` is the share of all cores in use since the last sample, 0 in the first one; memory in bytes;
    `process_cpu` (100 is one core) and `process_rss` are those of the process asked for with its children, None
    when there is none.
    """

    gpus: tuple[GpuLoad, ...]
    cpu_percent: float
    ram_used: int
    ram_total: int
    process_cpu: float | None
    process_rss: int | None


def machine(place: Path | None = None) -> Machine:
    """Return what this machine has; `place` is where the free disk counts, the working directory unless given.

    The first call may take some 100 ms where a GPU driver wakes up: not for an event loop.
    """
    total, free = _ram()
    found = [
        Device(_name(lib, handle), int(memory.total), int(memory.free), "cuda")
        for lib, handle in _gpus()
        if (memory := _said(lib, lib.nvmlDeviceGetMemoryInfo, handle)) is not None
    ]
    devices = tuple(sorted(found, key=lambda device: device.memory_total, reverse=True))
    if not devices and platform.system() == "Darwin" and platform.machine() == "arm64":
        devices = (Device("Apple GPU", total, free, "mps"),)
    if not devices:
        devices = (Device(cpu_name(), total, free, "cpu"),)
    return Machine(devices, total, free, _disk_free(place or Path.cwd()), cores())


def gpu_load() -> tuple[GpuLoad, ...]:
    """Return the load of each NVIDIA GPU, empty where there is none."""
    loads = []
    for index, (lib, handle) in enumerate(_gpus()):
        memory = _said(lib, lib.nvmlDeviceGetMemoryInfo, handle)
        rates = _said(lib, lib.nvmlDeviceGetUtilizationRates, handle)
        heat = _said(lib, lib.nvmlDeviceGetTemperature, handle, lib.NVML_TEMPERATURE_GPU)
        power = _said(lib, lib.nvmlDeviceGetPowerUsage, handle)
        limit = _said(lib, lib.nvmlDeviceGetEnforcedPowerLimit, handle)
        loads.append(
            GpuLoad(
                index,
                _name(lib, handle),
                None if rates is None else float(rates.gpu),
                0 if memory is None else int(memory.used),
                0 if memory is None else int(memory.total),
                None if heat is None else float(heat),
                None if power is None else power / 1000,  # NVML counts in milliwatts
                None if limit is None else limit / 1000,
            )
        )
    return tuple(loads)


def sample(pid: int | None = None) -> Sample:
    """Return the machine's load now, and that of process `pid` with its children.

    About 1 ms, more with GPUs; 5 ms when the children are looked for, which is done every ten seconds.
    """
    import psutil

    total, free = _ram()
    cpu, rss = _process_load(pid) if pid else (None, None)
    return Sample(gpu_load(), float(psutil.cpu_percent()), total - free, total, cpu, rss)


def cores() -> int:
    """Return how many CPU cores this process may use."""
    with contextlib.suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def cpu_name() -> str:
    """Return what the CPU calls itself."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return f"{platform.machine() or 'unknown'} CPU"


_FAMILY_SECONDS = 10.0
_watched: dict[int, Any] = {}
"""Processes by number, kept since a share of CPU is counted from one look to the next."""
_families: dict[int, tuple[float, list[Any]]] = {}
"""Of the process asked for last: when its children were looked for, which reads all of /proc, and who they were."""


def _process_load(pid: int) -> tuple[float | None, int | None]:
    import psutil

    cpu, rss, seen = 0.0, 0, set()
    looked, family = _families.get(pid, (-math.inf, []))
    if time.monotonic() >= looked + _FAMILY_SECONDS or not family[0].is_running():
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
        except psutil.Error:
            _watched.clear()
            _families.clear()
            return None, None
        _families.clear()
        _families[pid] = time.monotonic(), family
    for process in family:
        # A process number may have been given to another process meanwhile: those two are not equal.
        if _watched.get(process.pid) != process:
            _watched[process.pid] = process
        with contextlib.suppress(psutil.Error):
            cpu += float(_watched[process.pid].cpu_percent())
            rss += int(_watched[process.pid].memory_info().rss)
            seen.add(process.pid)
    for number in [number for number in _watched if number not in seen]:
        _watched.pop(number, None)
    return (cpu, rss) if seen else (None, None)


def _ram() -> tuple[int, int]:
    """Memory in total and free, in bytes; in a container its limit counts, not the host's memory."""
    import psutil

    memory = psutil.virtual_memory()
    total, free = int(memory.total), int(memory.available)
    for limit_file, used_file in _CGROUPS:
        limit, used = _number(limit_file), _number(used_file)
        if limit is not None and 0 < limit < total:
            return limit, min(free, max(0, limit - (used or 0)))
    return total, free


_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # no such group, or "max"
        return None


def _disk_free(place: Path) -> int:
    for folder in (place, *place.absolute().parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(folder).free
    return 0


_opening = threading.Lock()
_nvml: dict[str, Any] = {}
"""NVML once it answered; kept open, since opening it costs more than asking."""


def _library() -> Any:
    """NVML, or None where the package or the driver is missing."""
    with _opening:
        if "lib" not in _nvml:
            _nvml["lib"] = None
            with contextlib.suppress(Exception):  # no package, no driver, or one that does not fit the other
                import pynvml

                pynvml.nvmlInit()
                _nvml["lib"] = pynvml
        return _nvml["lib"]


def _gpus() -> list[tuple[Any, Any]]:
    """NVML and a handle for each GPU that CUDA_VISIBLE_DEVICES does not hide."""
    lib = _library()
    if lib is None:
        return []
    count = _said(lib, lib.nvmlDeviceGetCount) or 0
    handles = [(index, _said(lib, lib.nvmlDeviceGetHandleByIndex, index)) for index in range(count)]
    return [(lib, handle) for index, handle in handles if handle is not None and _is_visible(lib, handle, index)]


def _is_visible(lib: Any, handle: Any, index: int) -> bool:
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is None:
        return True
    for name in said.split(","):
        name = name.strip()
        if name == str(index):
            return True
        if name.startswith("GPU-") and _text(_said(lib, lib.nvmlDeviceGetUUID, handle)).startswith(name):
            return True
        if name.startswith("MIG-"):  # a slice: its card is as near as NVML's card list comes
            return True
    return False


def _name(lib: Any, handle: Any) -> str:
    return _text(_said(lib, lib.nvmlDeviceGetName, handle)) or "NVIDIA GPU"


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _said(lib: Any, question: Callable[..., Any], *about: Any) -> Any:
    """What NVML answers, None where the card or its driver does not support the question."""
    try:
        return question(*about)
    except lib.NVMLError:
        return None
