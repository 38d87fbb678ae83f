"""What the machine has and how busy it is, with NVML played by a module that answers as the real one does."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from phi_tui import machine

GB = 10**9


class NVMLError(Exception):
    pass


def nvml(cards: list[dict[str, Any]], *, driver: bool = True) -> Any:
    """A module that answers as pynvml does, for cards of the given names and figures."""
    lib: Any = types.ModuleType("pynvml")
    lib.NVMLError = NVMLError
    lib.NVML_TEMPERATURE_GPU = 0

    def init() -> None:
        if not driver:
            raise NVMLError("Driver Not Loaded")

    def figure(key: str) -> Any:
        def read(handle: int, *_: Any) -> Any:
            if cards[handle].get(key) is None:
                raise NVMLError("Not Supported")
            return cards[handle][key]

        return read

    lib.nvmlInit = init
    lib.nvmlDeviceGetCount = lambda: len(cards)
    lib.nvmlDeviceGetHandleByIndex = lambda index: index
    lib.nvmlDeviceGetName = figure("name")
    lib.nvmlDeviceGetUUID = figure("uuid")
    lib.nvmlDeviceGetMemoryInfo = figure("memory")
    lib.nvmlDeviceGetUtilizationRates = figure("rates")
    lib.nvmlDeviceGetTemperature = figure("heat")
    lib.nvmlDeviceGetPowerUsage = figure("power")
    lib.nvmlDeviceGetEnforcedPowerLimit = figure("limit")
    return lib


def memory(total: int, used: int) -> SimpleNamespace:
    return SimpleNamespace(total=total, used=used, free=total - used)


SMALL = {"name": b"Tesla T4", "uuid": b"GPU-aaaa-1", "memory": memory(16 * GB, 1 * GB)}
LARGE = {
    "name": "NVIDIA H100",
    "uuid": "GPU-bbbb-2",
    "memory": memory(80 * GB, 20 * GB),
    "rates": SimpleNamespace(gpu=97, memory=40),
    "heat": 61,
    "power": 512_500,
    "limit": 700_000,
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_nvml", {})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def plug(monkeypatch: pytest.MonkeyPatch, lib: types.ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", lib)


def test_the_largest_gpu_is_the_device_that_an_estimate_is_held_against(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, nvml([SMALL, LARGE]))
    device = machine.machine().device
    assert (device.name, device.kind) == ("NVIDIA H100", "cuda")
    assert (device.memory_total, device.memory_free) == (80 * GB, 60 * GB)
    assert [device.name for device in machine.machine().devices] == ["NVIDIA H100", "Tesla T4"]


@pytest.mark.parametrize("lib", [None, nvml([LARGE], driver=False), nvml([])])
def test_without_nvml_a_driver_or_a_gpu_the_cpu_trains_with_the_machines_memory(
    lib: types.ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug(monkeypatch, lib)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    here = machine.machine()
    assert [device.kind for device in here.devices] == ["cpu"]
    assert here.device.memory_total == here.ram_total > here.ram_free > 0
    assert here.device.name
    assert machine.gpu_load() == ()


def test_an_apple_machine_trains_on_its_gpu_with_the_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, None)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert machine.machine().device.kind == "mps"


@pytest.mark.parametrize(
    ("visible", "names"),
    [("", []), ("-1", []), ("0", ["Tesla T4"]), ("1,0", ["Tesla T4", "NVIDIA H100"]), ("GPU-bbbb", ["NVIDIA H100"])],
)
def test_gpus_hidden_from_cuda_do_not_count(visible: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, nvml([SMALL, LARGE]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [load.name for load in machine.gpu_load()] == names


def test_a_gpus_load_is_in_percent_bytes_degrees_and_watts(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, nvml([LARGE]))
    (load,) = machine.gpu_load()
    assert load == machine.GpuLoad(0, "NVIDIA H100", 97.0, 20 * GB, 80 * GB, 61.0, 512.5, 700.0)


def test_what_a_card_does_not_tell_is_none_and_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, nvml([SMALL]))
    (load,) = machine.gpu_load()
    assert (load.utilisation, load.temperature, load.power, load.power_limit) == (None, None, None, None)
    assert load.memory_used == GB


def test_a_containers_limit_counts_and_not_the_hosts_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, None)
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    limit.write_text("300000000\n")
    used.write_text("299000000\n")
    monkeypatch.setattr(machine, "_CGROUPS", ((limit, used),))
    here = machine.machine()
    assert (here.ram_total, here.ram_free) == (300_000_000, 1_000_000)
    limit.write_text("max\n")
    assert machine.machine().ram_total > 300_000_000


def test_a_place_that_is_not_there_yet_has_its_disks_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, None)
    assert machine.machine(tmp_path / "not" / "there").disk_free > 0


def test_a_sample_counts_a_process_and_its_children_and_forgets_it_when_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plug(monkeypatch, None)
    command = "import subprocess, sys; print('up', flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "up\n"
    taken = machine.sample(process.pid)
    assert taken.process_rss is not None and taken.process_rss > 1_000_000
    assert taken.process_cpu is not None
    assert 0 < taken.ram_used < taken.ram_total
    family = machine.sample(os.getpid())
    assert family.process_rss is not None and family.process_rss > taken.process_rss
    process.stdin.close()
    process.stdout.close()
    process.wait()
    assert machine.sample(process.pid).process_rss is None
    assert machine.sample().process_cpu is None


def test_looking_at_the_machine_imports_neither_torch_nor_textual() -> None:
    code = (
        "import sys; from phi_tui import machine; machine.machine(); machine.sample();"
        "print([name for name in ('torch', 'textual', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
