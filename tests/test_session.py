"""The open project: every change is on disk at once, and nothing of a person's is lost by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from phi_tui import project
from phi_tui.errors import InputError
from phi_tui.schema import Source
from phi_tui.session import Session
from phi_tui.workspace import Workspace


@pytest.fixture
def session(tmp_path: Path) -> Session:
    session = Session(Workspace(tmp_path))
    session.new("mine")
    return session


def test_a_change_is_saved_at_once_and_comments_stay(session: Session) -> None:
    assert session.file
    session.file.write_text('# my own words\nschema = 1\nname = "mine"\n[lora]\nrank = 8  # small\n')
    session.set("lora.rank", 13)
    text = session.file.read_text()
    assert "# my own words" in text and "# small" in text
    assert project.load(session.file).lora.rank == 13


def test_a_change_that_does_not_fit_changes_nothing(session: Session) -> None:
    assert session.file
    before = session.file.read_bytes()
    with pytest.raises(InputError, match=r"lora\.rank"):
        session.set_many({"train.epochs": 2.0, "lora.rank": -1})
    assert session.file.read_bytes() == before
    assert session.project and session.project.train.epochs == 1.0


def test_what_an_editor_changed_meanwhile_survives_a_change_in_the_app(session: Session) -> None:
    assert session.file
    session.file.write_text(session.file.read_text() + "[train]\nepochs = 5.0\n")
    session.set("lora.rank", 21)
    loaded = project.load(session.file)
    assert (loaded.train.epochs, loaded.lora.rank) == (5.0, 21)


def test_a_file_broken_by_an_editor_is_not_overwritten(session: Session) -> None:
    assert session.file
    session.file.write_text("schema = 1\nname = ")
    with pytest.raises(InputError):
        session.set("lora.rank", 21)
    assert session.file.read_text() == "schema = 1\nname = "


def test_sources_come_and_go(session: Session, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    session.set_sources((Source(path=session.relative(tmp_path / "a.jsonl")),))
    assert session.file and 'path = "a.jsonl"' in session.file.read_text()
    session.set_sources(())
    assert project.load(session.file).data.sources == ()


def test_names_that_are_taken_or_no_names_are_refused(session: Session) -> None:
    with pytest.raises(InputError, match="already"):
        session.new("mine")
    with pytest.raises(InputError, match="no name"):
        session.new("../away")


def test_opening_a_broken_project_keeps_the_open_one(session: Session, tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("schema = 9\n")
    with pytest.raises(InputError):
        session.open(tmp_path / "broken.toml")
    assert session.project and session.project.name == "mine"
    flaws = {one.path.stem: one.flaw for one in session.projects()}
    assert flaws["mine"] == "" and flaws["broken"]
