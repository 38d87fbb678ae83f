"""A trainer that is killed, anywhere, goes on to the bytes of one that was not."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import places
import pytest
from places import Place, adapter_of, broken_lines, litter
from trials import TRACED, Outcome, Zygote

SAVE = 4
"""The step whose save is the window: an older checkpoint stands, and is removed when the new one does."""
pytestmark = pytest.mark.skipif(not TRACED, reason="system calls are counted on Linux alone")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> Place:
    return places.make(tmp_path_factory.mktemp("kills"), zygote)


def _counted(place: Place, zygote: Zygote, folder: Path, without: tuple[str, ...] = ()) -> Outcome:
    file = place.copy(folder)
    outcome = zygote.run("execute", file=str(file), save=SAVE, count=True, without=without)
    assert outcome.done, outcome.what
    assert adapter_of(file) == place.adapter
    return outcome


def _killed_and_resumed(place: Place, zygote: Zygote, folder: Path, number: int, without: tuple[str, ...] = ()) -> str:
    """Kill a run at a call of its save, resume it, and say what was wrong then; nothing when all is well."""
    file = place.copy(folder)
    try:
        killed = zygote.run("execute", file=str(file), save=SAVE, kill_at=number, without=without)
        assert killed.signal == 9 and len(killed.calls) == number, killed
        resumed = zygote.run("execute", file=str(file), resume=True, without=without)
        if not resumed.done:
            return f"resumed to {resumed.error}: {resumed.what[-300:]}"
        if adapter_of(file) != place.adapter:
            return "another adapter"
        return f"left behind: {left}" if (left := litter(file) + [str(line) for line in broken_lines(file)]) else ""
    finally:
        shutil.rmtree(folder)


def _all_of_them(
    place: Place, zygote: Zygote, tmp_path: Path, numbers: list[int], calls: list[str], without: tuple[str, ...] = ()
) -> dict[str, str]:
    found = {
        f"{number} of {len(calls)}, {calls[number - 1]}": _killed_and_resumed(
            place, zygote, tmp_path / str(number), number, without
        )
        for number in numbers
    }
    return {where: wrong for where, wrong in found.items() if wrong}


def test_a_kill_at_the_renames_of_a_save_loses_nothing(place: Place, zygote: Zygote, tmp_path: Path) -> None:
    calls = _counted(place, zygote, tmp_path / "counted").calls
    renames = [number for number, name in enumerate(calls, start=1) if name.startswith("rename")]
    assert len(renames) >= 3 and "fsync" in calls
    last = renames[-1]
    assert _all_of_them(place, zygote, tmp_path, [last, last + 1], calls) == {}


@pytest.mark.slow
def test_a_kill_at_every_operation_of_a_save_loses_nothing(place: Place, zygote: Zygote, tmp_path: Path) -> None:
    calls = _counted(place, zygote, tmp_path / "counted").calls
    assert len(calls) > 60 and {"write", "fsync", "unlink"} <= set(calls)
    wrong = _all_of_them(place, zygote, tmp_path, list(range(1, len(calls) + 1)), calls)
    print(f"{len(calls)} operations, {len(wrong)} lost something")
    assert wrong == {}


@pytest.mark.slow
def test_without_staging_and_verifying_a_kill_does_lose_something(place: Place, zygote: Zygote, tmp_path: Path) -> None:
    """The trial can fail: it does where the protections are taken out."""
    without = ("staging", "verifying")
    calls = _counted(place, zygote, tmp_path / "counted", without).calls
    some = list(range(2, len(calls), max(1, len(calls) // 20)))
    wrong = _all_of_them(place, zygote, tmp_path, some, calls, without)
    print(f"{len(some)} operations tried, {len(wrong)} lost something")
    assert wrong


@pytest.mark.slow
def test_a_run_killed_at_fifty_random_moments_comes_to_the_same_adapter(
    tmp_path: Path, zygote: Zygote, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = places.SETTINGS.replace("max_steps = 6", "max_steps = 120")
    long = places.make(tmp_path_factory.mktemp("long"), zygote, settings)
    file = long.copy(tmp_path / "work")
    moments = random.Random(7)
    killed = finished = 0
    while killed < 50:
        outcome = zygote.run("execute", file=str(file), resume=True, kill_after=moments.uniform(0.05, 3.0))
        if outcome.signal:
            killed += 1
            continue
        assert outcome.done, outcome.what
        assert adapter_of(file) == long.adapter
        finished += 1
        shutil.rmtree(file.parent / "runs")
    outcome = zygote.run("execute", file=str(file), resume=True)
    assert outcome.done, outcome.what
    assert adapter_of(file) == long.adapter
    assert broken_lines(file) == [] == litter(file)
    print(f"{killed} kills over {finished + 1} runs")
