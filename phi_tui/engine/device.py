"""What this machine computes with, and the number type that it is fastest in."""

from __future__ import annotations

import contextlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from phi_tui.errors import Refusal

Precision = Literal["bf16", "fp16", "fp32"]

_BF16_PAYS_FROM = 30_000_000
"""Parameters from which bf16 is faster on a CPU with AVX512-BF16 or AMX: below, casting costs more than it saves."""
_BF16_PAYS_WHOLE_FROM = 1_000_000
"""The same where every weight is trained, in larger batches: 3M parameters at 4,096 tokens ran twice as fast."""


@dataclass(frozen=True, slots=True)
class Device:
    """The device that trains: its torch name, what a person calls it, and its memory in bytes."""

    type: Literal["cuda", "mps", "cpu"]
    name: str
    memory: int
    bf16: bool
    threads: int


def current() -> Device:
    """Return the device that training uses here: the first GPU that torch sees, else the CPU."""
    import psutil
    import torch

    memory = psutil.virtual_memory().total
    threads = torch.get_num_threads()
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Device("cuda", properties.name, properties.total_memory, torch.cuda.is_bf16_supported(False), threads)
    if torch.backends.mps.is_available():
        return Device("mps", "Apple GPU", memory, True, threads)
    return Device("cpu", _cpu_name(), memory, _cpu_has_bf16(), threads)


def unused_gpu(system: Path = Path("/")) -> str:
    """Return why an NVIDIA GPU that is in this machine cannot be used; empty where it can, or where there is none.

    `system` is the root of the file system that says what the machine has.
    """
    import torch

    if torch.cuda.is_available() or not _has_nvidia_card(system / "sys" / "bus" / "pci" / "devices"):
        return ""
    if not (system / "proc" / "driver" / "nvidia" / "version").is_file():
        why = "its driver is not loaded: nvidia-smi says more"
    elif torch.version.cuda is None:
        why = "this PyTorch is built for CPUs alone: install a CUDA build"
    else:
        why = f"its driver does not fit this PyTorch, built for CUDA {torch.version.cuda}: update one of them"
    return f"an NVIDIA GPU is in this machine and cannot be used: {why}"


def _has_nvidia_card(devices: Path) -> bool:
    for one in devices.glob("*"):
        with contextlib.suppress(OSError):
            vendor, kind = ((one / name).read_text().strip() for name in ("vendor", "class"))
            if vendor == "0x10de" and kind.startswith("0x03"):
                return True
    return False


def precision(setting: str, device: Device, parameters: int, *, whole: bool = False) -> Precision:
    """Return the type the matrix products run in; raises Refusal when the device lacks the one asked for.

    `whole` says that every weight is trained, and not an adapter alone.
    """
    if setting == "auto":
        if device.type == "cuda":
            return "bf16" if device.bf16 else "fp16"
        least = _BF16_PAYS_WHOLE_FROM if whole else _BF16_PAYS_FROM
        return "bf16" if device.type == "cpu" and device.bf16 and parameters >= least else "fp32"
    if setting == "fp16" and device.type != "cuda":
        raise Refusal(f'train.precision = "fp16" needs a CUDA GPU; this is {device.name}', fix='use "auto" or "bf16"')
    if setting == "bf16" and not device.bf16 and device.type == "cuda":
        raise Refusal(f"{device.name} has no bf16", fix='use train.precision = "fp16" or "auto"')
    if setting == "bf16":
        return "bf16"
    return "fp16" if setting == "fp16" else "fp32"


def weights_dtype(setting: str, chosen: Precision) -> Any:
    """Return the torch type of the frozen weights: as named, or that of the matrix products."""
    import torch

    return {
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
        "float32": torch.float32,
        "bf16": torch.bfloat16,
        "fp16": torch.float16,
        "fp32": torch.float32,
    }[chosen if setting == "auto" else setting]


def autocast(device: Device, chosen: Precision) -> Any:
    """Return the context that forward passes run in: mixed precision, or nothing for fp32."""
    import torch

    if chosen == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if chosen == "bf16" else torch.float16)


def peak_memory(device: Device) -> int:
    """Return the most memory held so far, in bytes: of the GPU, or of this process."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cpu_has_bf16() -> bool:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("flags"):
                    return "avx512_bf16" in line or "amx_bf16" in line
    except OSError:
        pass
    return False


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    except OSError:
        pass
    return f"{platform.machine()} CPU"
