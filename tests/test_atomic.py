"""Files and folders stand whole, for their owner alone, and what a dead process left is put right."""

import os
from pathlib import Path

import pytest

from phi_tui import atomic

LINUX = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are looked up in /proc")


def _fill(target: Path, text: str) -> None:
    with atomic.folder(target) as staged:
        (staged / "below").mkdir()
        (staged / "below" / "file").write_text(text)
        os.chmod(staged / "below" / "file", 0o666)


def test_a_folder_is_for_its_owner_alone_whatever_wrote_it(tmp_path: Path) -> None:
    _fill(tmp_path / "a", "x")
    assert [oct(path.stat().st_mode & 0o777) for path in sorted((tmp_path / "a").rglob("*"))] == ["0o700", "0o600"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchanged", "moved aside"])
def test_a_folder_takes_the_place_of_another_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    _fill(tmp_path / "a", "old")
    _fill(tmp_path / "a", "new")
    assert (tmp_path / "a" / "below" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@LINUX
def test_all_is_on_the_disk_before_it_has_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut leaves: names are never ahead of what they name."""
    done: list[str] = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def synced(handle: int) -> None:
        done.append(f"sync {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
        fsync(handle)

    def renamed(source: Path, target: Path) -> None:
        done.append("rename")
        rename(source, target)

    def replaced(source: str, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(os, "replace", replaced)
    _fill(tmp_path / "a", "x")
    assert done[-2:] == ["rename", f"sync {tmp_path.name}"]
    assert {"sync file", "sync below"} <= set(done[:-2]) and len(done) == 5
    done.clear()
    atomic.write_text(tmp_path / "b", "y")
    assert [one.split(" ")[0] for one in done] == ["sync", "rename", "sync"]
    assert done[-1] == f"sync {tmp_path.name}"


def test_what_a_dead_process_left_is_put_right(tmp_path: Path) -> None:
    for name in (".a.abcd1234.partial", ".a.old", ".b.old", "b", ".a.b.abcd1234.partial", ".keep"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / ".a.x_y45678.partial").write_text("")
    atomic.settle(tmp_path, "a")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", ".b.old", ".a.b.abcd1234.partial", ".keep"}
    assert (tmp_path / "a" / "file").read_text() == ".a.old"
    atomic.settle(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", ".keep"}
    assert (tmp_path / "b" / "file").read_text() == "b"
    atomic.settle(tmp_path / "nowhere")
