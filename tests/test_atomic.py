"""Files and folders stand whole, for their owner alone, and what a dead process left is put right."""

import os
from pathlib import Path

import pytest

from phi_tui import atomic


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
