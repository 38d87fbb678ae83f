"""A GPU that is there and cannot be used is told of, with why."""

from pathlib import Path

import pytest

from phi_tui.engine import device


def _machine(root: Path, vendor: str = "0x10de", kind: str = "0x030200", *, driver: bool = False) -> Path:
    card = root / "sys" / "bus" / "pci" / "devices" / "0000:01:00.0"
    card.mkdir(parents=True)
    (card / "vendor").write_text(vendor + "\n")
    (card / "class").write_text(kind + "\n")
    if driver:
        (root / "proc" / "driver" / "nvidia").mkdir(parents=True)
        (root / "proc" / "driver" / "nvidia" / "version").write_text("NVRM version: 600.1\n")
    return root


@pytest.fixture(autouse=True)
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_missing_driver_a_cpu_build_and_a_misfit_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    assert "driver is not loaded" in device.unused_gpu(_machine(tmp_path / "a"))
    there = _machine(tmp_path / "b", driver=True)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "built for CPUs alone" in device.unused_gpu(there)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "built for CUDA 13.0" in device.unused_gpu(there)


@pytest.mark.parametrize(("vendor", "kind"), [("0x8086", "0x030000"), ("0x10de", "0x040300")])
def test_another_card_is_no_gpu_of_this_kind(tmp_path: Path, vendor: str, kind: str) -> None:
    assert device.unused_gpu(_machine(tmp_path, vendor, kind)) == ""
    assert device.unused_gpu(tmp_path / "nothing") == ""


def test_a_gpu_that_works_is_not_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.unused_gpu(_machine(tmp_path)) == ""
