"""A checkpoint that is not whole is never taken for one."""

import json
from pathlib import Path

import pytest

from phi_tui.engine import checkpoints

FILES = ("trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state.pth", "adapter_model.safetensors")


def make(root: Path, step: int) -> Path:
    folder = root / f"step-{step}"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(f"{name} of {step}".encode() * 10)
    checkpoints.write_manifest(folder)
    return folder


def test_a_whole_checkpoint_has_no_flaw(tmp_path: Path) -> None:
    assert checkpoints.flaw(make(tmp_path, 1)) is None


@pytest.mark.parametrize("name", [*FILES, checkpoints.MANIFEST])
@pytest.mark.parametrize("damage", ["removed", "truncated", "flipped", "emptied"])
def test_each_damage_to_each_file_is_found(tmp_path: Path, name: str, damage: str) -> None:
    path = make(tmp_path, 1) / name
    data = path.read_bytes()
    if damage == "removed":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "emptied":
        path.write_bytes(b"")
    else:
        path.write_bytes(data[:5] + bytes([data[5] ^ 1]) + data[6:])
    assert checkpoints.flaw(tmp_path / "step-1") is not None


def test_the_newest_whole_one_is_taken_and_the_flaws_are_told(tmp_path: Path) -> None:
    make(tmp_path, 2)
    make(tmp_path, 10)
    broken = make(tmp_path, 30)
    (broken / "optimizer.pt").unlink()
    found, flaws = checkpoints.newest_whole(tmp_path)
    assert found == tmp_path / "step-10"
    assert flaws == ["step-30 lacks optimizer.pt"]


def test_rotation_counts_whole_ones_only(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        make(tmp_path, step)
    broken = make(tmp_path, 4)
    (broken / "scheduler.pt").write_bytes(b"")
    checkpoints.rotate(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-2", "step-3", "step-4"]


def test_a_manifest_without_the_optimiser_is_no_resume_point(tmp_path: Path) -> None:
    folder = make(tmp_path, 1)
    (folder / "optimizer.pt").unlink()
    checkpoints.write_manifest(folder)
    assert "optimiser" in str(checkpoints.flaw(folder))
    assert "optimizer.pt" not in json.loads((folder / checkpoints.MANIFEST).read_text())


def test_no_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoints.newest_whole(tmp_path / "none") == (None, [])
