"""A disk that takes no more: said so, the last good state whole, and everything goes on once there is room."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import places
import pytest
from places import Place, adapter_of, broken_lines, litter, only_run
from trials import Outcome, Zygote

from phi_tui.engine import checkpoints

SAYS = ("No space left", "File too large", "disk is full")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> Place:
    return places.make(tmp_path_factory.mktemp("full"), zygote)


def _told(outcome: Outcome) -> bool:
    return outcome.error == "TrainingFailed" and any(said in outcome.what for said in SAYS)


def _saved_and_resumed(place: Place, zygote: Zygote, folder: Path, **fault: object) -> bool:
    """Let a fault stop a run, look at what stands, resume it without the fault; whether the fault stopped it at all."""
    file = place.copy(folder)
    outcome = zygote.run("execute", file=str(file), save=4, **fault)  # type: ignore[arg-type]
    if outcome.done:  # there was room enough
        assert adapter_of(file) == place.adapter
        return False
    assert _told(outcome), f"{outcome.error}: {outcome.what}"
    newest, flaws = checkpoints.newest_whole(only_run(file).checkpoints)
    assert newest is not None and newest.name in ("step-2", "step-4") and not flaws
    assert broken_lines(file) == [] == litter(file)
    assert (only_run(file).adapter / "adapter_model.safetensors").is_file()
    resumed = zygote.run("execute", file=str(file), resume=True)
    assert resumed.done, resumed.what
    assert adapter_of(file) == place.adapter
    shutil.rmtree(folder)
    return True


@pytest.mark.parametrize(
    "room", [100, *(pytest.param(room, marks=pytest.mark.slow) for room in (0, 700, 3_000, 9_000, 20_000, 60_000))]
)
def test_a_save_that_finds_no_room(place: Place, zygote: Zygote, tmp_path: Path, room: int) -> None:
    assert _saved_and_resumed(place, zygote, tmp_path / "work", room=room)


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 1, 40, 200])
def test_a_journal_that_finds_no_room(place: Place, zygote: Zygote, tmp_path: Path, room: int) -> None:
    assert _saved_and_resumed(place, zygote, tmp_path / "work", room=room, room_for="journal")


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 100, 1_000, 3_000])
def test_preparing_that_finds_no_room(place: Place, zygote: Zygote, tmp_path: Path, room: int) -> None:
    file = place.copy(tmp_path / "work")
    shutil.rmtree(file.parent / "datasets")
    outcome = zygote.run("execute", file=str(file), room=room, room_for="all")
    assert outcome.error in ("OSError", "Refusal", "InputError", "TrainingFailed"), outcome
    assert any(said in outcome.what for said in SAYS), outcome.what
    assert litter(file) == []
    assert not list(file.parent.glob("datasets/ready/toy/dataset_dict.json"))
    again = zygote.run("execute", file=str(file))
    assert again.done, again.what
    assert adapter_of(file) == place.adapter


@pytest.mark.slow
@pytest.mark.parametrize("when", ["save", "prepare"])
@pytest.mark.parametrize("room", [0, 4_096, 16_384, 40_960, 81_920])
def test_a_small_file_system_that_is_full(place: Place, zygote: Zygote, tmp_path: Path, when: str, room: int) -> None:
    """The same on a real file system of a few megabytes, mounted for the trial alone."""
    point = tmp_path / "point"
    point.mkdir()
    outcome = zygote.run("on_small_disk", template=str(place.folder), point=str(point), room=room, when=when)
    if outcome.error == "PermissionError":
        pytest.skip("no file system can be mounted here")
    assert outcome.done, outcome.what
    found = outcome.value
    print(json.dumps(found)[:300])
    assert found["stopped"], "there was room enough"
    assert any(said in found["what"] for said in SAYS), found
    assert "Traceback" not in found["what"] or found["error"] == "OSError"
    assert found["litter"] == [] == found["flaws"]
    assert found["adapter"] == hashlib.sha256(place.adapter).hexdigest()


@pytest.mark.slow
def test_without_whole_or_nothing_a_full_disk_does_spoil_a_run(place: Place, zygote: Zygote, tmp_path: Path) -> None:
    """The trial can fail: it does where the protections are taken out."""
    spoilt = []
    for room in (3_000, 20_000, 60_000):
        file = place.copy(tmp_path / str(room))
        without = ["staging", "verifying"]
        assert not zygote.run("execute", file=str(file), save=4, room=room, without=without).done
        resumed = zygote.run("execute", file=str(file), resume=True, without=without)
        spoilt.append(not resumed.done or adapter_of(file) != place.adapter)
    print(spoilt)
    assert any(spoilt)
