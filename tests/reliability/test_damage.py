"""Each file of a checkpoint removed, cut short or changed by one bit: passed over with a word, never gone on from."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import places
import pytest
from places import Place, adapter_of, only_run
from trials import TRACED, Zygote

from phi_tui import journal

pytestmark = pytest.mark.skipif(not TRACED, reason="runs are cut short by counted system calls, on Linux alone")
NEWEST = "step-4"


def removed(data: bytes) -> bytes | None:
    return None


def emptied(data: bytes) -> bytes | None:
    return b""


def halved(data: bytes) -> bytes | None:
    return data[: len(data) // 2]


def a_byte_short(data: bytes) -> bytes | None:
    return data[:-1]


def a_bit_flipped(data: bytes) -> bytes | None:
    place = random.Random(len(data)).randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]


DAMAGES: tuple[Callable[[bytes], bytes | None], ...] = (removed, emptied, halved, a_byte_short, a_bit_flipped)


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> Place:
    """A workspace whose run was killed in its third save, so that two checkpoints stand."""
    folder = tmp_path_factory.mktemp("damage")
    place = places.make(folder, zygote, places.SETTINGS.replace("keep_checkpoints = 1", "keep_checkpoints = 2"))
    file = place.folder / "toy.toml"
    assert zygote.run("execute", file=str(file), save=6, kill_at=1).signal == 9
    kept = [path.name for path in only_run(file).checkpoints.iterdir() if not path.name.startswith(".")]
    assert sorted(kept) == ["step-2", NEWEST]
    return place


def _damaged(
    cut: Place, zygote: Zygote, folder: Path, names: list[str], damage: Callable[[bytes], bytes | None], **more: object
) -> str:
    """Damage the files, go on, and say what came of it: "told", or what was wrong."""
    # A frozen project names its sources by whole paths, so the trial happens where the run was.
    shutil.copytree(cut.folder, folder, copy_function=shutil.copy2)
    try:
        file = cut.folder / "toy.toml"
        checkpoints = only_run(file).checkpoints
        for name in names:
            path = checkpoints / name
            data = damage(path.read_bytes())
            path.unlink() if data is None else path.write_bytes(data)
        outcome = zygote.run("execute", file=str(file), resume=True, **more)  # type: ignore[arg-type]
        if not outcome.done:
            return "refused" if outcome.error == "Refusal" else f"{outcome.error}: {outcome.what[-200:]}"
        if adapter_of(file) != cut.adapter:
            return "another adapter"
        warnings = [event["message"] for event in journal.read(only_run(file).journal) if event["kind"] == "warning"]
        missed = [name for name in names if not any(name.split("/")[0] in warning for warning in warnings)]
        return f"not a word on {missed}" if missed else "told"
    finally:
        shutil.rmtree(cut.folder)
        shutil.move(folder, cut.folder)


def _files(cut: Place) -> list[str]:
    checkpoints = only_run(cut.folder / "toy.toml").checkpoints
    files = [str(path.relative_to(checkpoints)) for path in sorted((checkpoints / NEWEST).rglob("*")) if path.is_file()]
    assert {f"{NEWEST}/{name}" for name in ("optimizer.pt", "rng_state.pth", "manifest.json")} <= set(files)
    return files


def test_a_flipped_bit_in_the_optimiser_falls_back_with_a_word(cut: Place, zygote: Zygote, tmp_path: Path) -> None:
    assert _damaged(cut, zygote, tmp_path / "kept", [f"{NEWEST}/optimizer.pt"], a_bit_flipped) == "told"


@pytest.mark.slow
def test_each_damage_to_each_file_falls_back_with_a_word(cut: Place, zygote: Zygote, tmp_path: Path) -> None:
    found = {
        f"{name} {damage.__name__}": _damaged(cut, zygote, tmp_path / "kept", [name], damage)
        for name in _files(cut)
        for damage in DAMAGES
        if damage is removed or (cut.folder and (only_run(cut.folder / "toy.toml").checkpoints / name).stat().st_size)
    }
    wrong = {case: what for case, what in found.items() if what != "told"}
    print(f"{len(found)} cases over {len(_files(cut))} files, {len(wrong)} wrong")
    assert wrong == {}


@pytest.mark.slow
def test_where_every_checkpoint_is_damaged_it_starts_over_with_a_word(
    cut: Place, zygote: Zygote, tmp_path: Path
) -> None:
    both = [f"{NEWEST}/scheduler.pt", "step-2/rng_state.pth"]
    for damage in DAMAGES:
        assert _damaged(cut, zygote, tmp_path / "kept", both, damage) == "told"


@pytest.mark.slow
def test_without_verifying_some_damage_goes_on_in_silence(cut: Place, zygote: Zygote, tmp_path: Path) -> None:
    """The trial can fail: it does where the protection is taken out."""
    found = [
        _damaged(cut, zygote, tmp_path / "kept", [name], removed, without=["verifying"])
        for name in (f"{NEWEST}/scheduler.pt", f"{NEWEST}/rng_state.pth", f"{NEWEST}/optimizer.pt")
    ]
    print(found)
    assert "another adapter" in found
