"""A deleted run is moved, can be brought back, and is gone for good only when the trash is emptied."""

import os
from pathlib import Path

import pytest

from phi_tui import project, run, trash
from phi_tui.errors import InputError, Refusal
from phi_tui.run import Run
from phi_tui.workspace import Workspace


def made(workspace: Workspace, name: str = "toy") -> Run:
    one = run.create(workspace, project.validate({"schema": 1, "name": name}, "test"))
    (one.path / "adapter").mkdir()
    (one.path / "adapter" / "weights").write_bytes(b"x" * 1000)
    return one


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_deleted_run_is_whole_in_the_trash_and_whole_again_when_restored(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    one = made(workspace)
    before = contents(one.path)

    trashed = trash.move(workspace, one)

    assert not one.path.exists()
    assert run.listed(workspace) == []
    assert trashed.place.parent == tmp_path / ".trash"
    assert trashed.place.name.startswith(f"toy--{one.id}--")
    assert {key: value for key, value in contents(trashed.place).items() if key != "lock"} == before
    back = trash.restore(trashed)
    assert back == one
    assert {key: value for key, value in contents(one.path).items() if key != "lock"} == before
    assert trash.entries(workspace) == []


def test_a_live_run_is_refused_and_stays(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    one = made(workspace)
    with one.locked(), pytest.raises(Refusal, match="already at work"):
        trash.move(workspace, one)
    assert (one.path / "project.toml").is_file()
    assert trash.entries(workspace) == []


def test_two_runs_of_one_name_deleted_in_the_same_second_both_stay(tmp_path: Path, monkeypatch) -> None:
    workspace = Workspace(tmp_path)
    monkeypatch.setattr("phi_tui.trash.time.strftime", lambda _: "20260101-000000")
    first = made(workspace)
    trash.move(workspace, first)
    first.path.mkdir()
    (first.path / "project.toml").write_text("second")
    trash.move(workspace, first)
    names = [entry.name for entry in trash.entries(workspace)]
    assert names == [f"toy--{first.id}--20260101-000000", f"toy--{first.id}--20260101-000000-2"]


def test_nothing_is_restored_over_what_stands_there(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    one = made(workspace)
    trashed = trash.move(workspace, one)
    one.path.mkdir()  # a rename would replace an empty folder without a word
    with pytest.raises(InputError, match="something else stands there"):
        trash.restore(trashed)
    assert trashed.place.is_dir()


def test_a_run_that_left_the_trash_meanwhile_is_told(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    trashed = trash.move(workspace, made(workspace))
    assert trash.empty(workspace) == 1
    with pytest.raises(InputError, match="not in the trash any more"):
        trash.restore(trashed)


def test_emptying_removes_runs_alone_and_follows_no_link(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "dear").write_text("stays")
    one = made(workspace)
    (one.path / "link").symlink_to(outside)
    trash.move(workspace, one)
    bin_ = trash.folder(workspace)
    (bin_ / "notes").mkdir()
    (bin_ / "a--b--20260101-000000").symlink_to(outside)

    assert trash.empty(workspace) == 1
    assert sorted(os.listdir(bin_)) == ["a--b--20260101-000000", "notes"]
    assert (outside / "dear").read_text() == "stays"


def test_a_trash_that_is_a_link_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    one = made(workspace)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "ws" / ".trash").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="symbolic link"):
        trash.move(workspace, one)
    assert one.path.is_dir()


def test_only_runs_of_the_workspace_are_moved(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    other = made(Workspace(tmp_path / "other"))
    with pytest.raises(InputError, match="no run of this workspace"):
        trash.move(workspace, other)
    assert other.path.is_dir()


def test_the_size_counts_files_and_not_what_links_point_to(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 50_000)
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "small").write_bytes(b"x" * 10)
    (inside / "link").symlink_to(tmp_path / "big")
    assert 10 <= trash.size(inside) < 1000
