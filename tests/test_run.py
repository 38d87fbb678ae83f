"""A run's state is read from its last words and its lock; requests reach the trainer once."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phi_tui import journal, run
from phi_tui.errors import InputError, Refusal
from phi_tui.schema import Project
from phi_tui.workspace import Workspace


@pytest.fixture
def made(tmp_path: Path) -> run.Run:
    return run.create(Workspace(tmp_path), Project(name="toy"))


def _journal(made: run.Run, *kinds: str) -> None:
    book = journal.Journal(made.journal)
    for kind in kinds:
        book.write(kind, step=1)  # type: ignore[arg-type]
    book.close()


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ((), "new"),
        (("phase", "step"), "died"),
        (("step", "done"), "done"),
        (("step", "stopped"), "stopped"),
        (("failed",), "failed"),
        (("step", "stopped", "resumed", "step"), "died"),
    ],
)
def test_state_follows_the_last_words(made: run.Run, kinds: tuple[str, ...], state: str) -> None:
    _journal(made, *kinds)
    assert made.state() == state


def test_a_locked_run_is_running_and_its_holder_is_named(made: run.Run) -> None:
    with made.locked():
        assert made.state() == "running"
        assert made.holder() == os.getpid()
        with pytest.raises(Refusal, match=str(os.getpid())), made.locked():
            pass
    assert made.holder() is None


def test_a_dead_process_holds_no_lock(made: run.Run) -> None:
    code = (
        "from phi_tui.run import Run; from pathlib import Path; import os\n"
        f"with Run(Path({str(made.path)!r})).locked(): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert made.holder() is None
    with made.locked():
        pass


def test_requests_are_taken_once(made: run.Run) -> None:
    made.ask("save")
    made.ask("stop")
    assert made.take_requests() == {"save", "stop"}
    assert made.take_requests() == set()


def test_runs_of_one_second_get_names_of_their_own_and_sort_newest_first(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    ids = {run.create(place, Project(name="toy")).id for _ in range(3)}
    assert len(ids) == 3
    listed = [one.id for one in run.listed(place)]
    assert listed == sorted(ids, reverse=True)


def test_any_number_of_runs_fits_into_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: "20260101-000000")
    ids = [run.create(Workspace(tmp_path), Project(name="toy")).id for _ in range(102)]
    assert len(set(ids)) == 102


def test_runs_are_found_by_id_project_and_both(made: run.Run) -> None:
    place = Workspace(made.path.parents[2])
    assert run.find(place, made.id) == run.find(place, f"toy/{made.id}") == run.find(place, "toy") == made
    with pytest.raises(InputError, match="no run"):
        run.find(place, "nothing")


@pytest.mark.parametrize("name", ["../x", "a/../b", ".hidden", "-rf", "a b", "x" * 101, "a/b/c/..", "é"])
def test_a_name_cannot_leave_the_workspace(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        run.find(Workspace(tmp_path), name)
    with pytest.raises(InputError):
        Workspace(tmp_path).runs(name)


def test_a_symlinked_run_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "toy").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="symbolic link"):
        Workspace(tmp_path).runs("toy")


def test_files_and_folders_are_the_owners_alone(made: run.Run) -> None:
    assert made.path.stat().st_mode & 0o777 == 0o700
    assert (made.path / "project.toml").stat().st_mode & 0o777 == 0o600


def test_a_lock_can_be_waited_for(tmp_path: Path) -> None:
    asked: list[int] = []
    with contextlib.ExitStack() as first:
        first.enter_context(run.lock(tmp_path / "lock", "something"))

        def waiting() -> None:
            asked.append(1)
            first.close()

        with run.lock(tmp_path / "lock", "something", waiting=waiting):
            assert asked == [1]


def test_a_lock_is_held_on_a_full_disk_too(made: run.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with made.locked():
        assert made.holder() == 0
        with pytest.raises(Refusal, match="already at work"), made.locked():
            pass
    assert made.holder() is None
