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


def test_rotation_never_removes_the_best_or_the_last_whole_one(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        make(tmp_path, step)
    checkpoints.rotate(tmp_path, 1, best=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-2", "step-4"]
    for step in (5, 6):
        (make(tmp_path, step) / "optimizer.pt").write_bytes(b"")
    checkpoints.rotate(tmp_path, 1, best=2)
    assert {"step-2", "step-4"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("lacking", ["rng_state.pth", "adapter_model.safetensors", "scheduler.pt"])
def test_a_manifest_that_never_held_a_state_is_no_resume_point(tmp_path: Path, lacking: str) -> None:
    folder = make(tmp_path, 1)
    (folder / lacking).unlink()
    checkpoints.write_manifest(folder)
    assert "does not hold" in str(checkpoints.flaw(folder))


def test_a_linked_checkpoint_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", 9)
    (tmp_path / "step-9").symlink_to(tmp_path / "elsewhere" / "step-9")
    assert checkpoints.flaw(tmp_path / "step-9") == "is a symbolic link"


def test_no_save_is_begun_without_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    make(tmp_path, 1)
    needed = checkpoints.size(tmp_path)
    assert needed > 500
    checkpoints.room(tmp_path, needed)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
    with pytest.raises(OSError, match="disk is full"):
        checkpoints.room(tmp_path, needed)


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (RuntimeError("[enforce fail at inline_container.cc:595] . unexpected pos 64 vs 0"), True),
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), True),
        (OSError(27, "File too large"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (28x27 and 4x4)"), False),
    ],
)
def test_a_write_that_failed_is_known_whatever_the_library_calls_it(error: Exception, failed: bool) -> None:
    assert (checkpoints.write_failed(error) is not None) == failed
