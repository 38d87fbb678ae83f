"""What is exported is there whole or not at all, and never over what stands already."""

import csv
import json
import os
from pathlib import Path

import pytest

from phi_tui import export, journal, project, run
from phi_tui.errors import InputError
from phi_tui.run import Run
from phi_tui.workspace import Workspace


@pytest.fixture
def one(tmp_path: Path) -> Run:
    made = run.create(Workspace(tmp_path / "ws"), project.validate({"schema": 1, "name": "toy"}, "test"))
    (made.path / "lock.toml").write_text("[data]\nrows_sha256 = 'aa'\n")
    (made.path / "adapter").mkdir()
    (made.path / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    book = journal.Journal(made.journal)
    book.write("phase", name="start", steps=3)
    book.write("eval", step=0, base=True, eval_loss=2.0, perplexity=7.4)
    for step in (1, 2, 3):
        book.write("step", step=step, steps=3, loss=3.0 / step, lr=1e-4)
    book.write("resumed", step=1)
    book.write("step", step=2, steps=3, loss=float("nan"), lr=1e-4)
    book.write("step", step=3, steps=3, loss=0.5, lr="=cmd()")
    book.write("done", steps=3)
    book.close()
    return made


def left_behind(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".partial")]


def test_csv_holds_each_step_once_and_no_text_but_the_kind(one: Run, tmp_path: Path) -> None:
    assert export.metrics_csv(one, tmp_path / "m.csv") == 4
    rows = list(csv.DictReader((tmp_path / "m.csv").open(newline="")))
    assert [(row["kind"], row["step"], row["loss"]) for row in rows] == [
        ("eval", "0", ""),
        ("step", "1", "3.0"),
        ("step", "2", ""),
        ("step", "3", "0.5"),
    ]
    assert rows[3]["lr"] == ""
    assert rows[0]["perplexity"] == "7.4"


def test_json_is_an_array_of_the_same(one: Run, tmp_path: Path) -> None:
    assert export.metrics_json(one, tmp_path / "m.json") == 4
    rows = json.loads((tmp_path / "m.json").read_text())
    assert [row.get("loss") for row in rows] == [None, 3.0, None, 0.5]
    assert rows[0]["base"] is True


def test_a_run_without_a_step_exports_an_empty_table(one: Run, tmp_path: Path) -> None:
    one.journal.unlink()
    assert export.metrics_csv(one, tmp_path / "m.csv") == 0
    assert (tmp_path / "m.csv").read_text().startswith("seq,time,kind")
    assert export.metrics_json(one, tmp_path / "m.json") == 0
    assert json.loads((tmp_path / "m.json").read_text()) == []


def test_the_bundle_replays_elsewhere_under_its_lock(one: Run, tmp_path: Path) -> None:
    export.bundle(one, tmp_path / "out", with_adapter=True)
    assert sorted(os.listdir(tmp_path / "out")) == ["adapter", "toy.lock.toml", "toy.toml"]
    assert project.load(tmp_path / "out" / "toy.toml") == one.project()
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").read_bytes() == b"weights"


def test_the_adapter_is_copied_for_this_user_alone(one: Run, tmp_path: Path) -> None:
    export.adapter(one, tmp_path / "out")
    copied = tmp_path / "out" / "adapter_model.safetensors"
    assert copied.read_bytes() == b"weights"
    assert copied.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["adapter", "bundle", "metrics_csv", "metrics_json"])
def test_nothing_that_stands_is_overwritten(one: Run, tmp_path: Path, what: str) -> None:
    target = tmp_path / "out"
    target.write_text("dear")
    with pytest.raises(InputError, match="there already"):
        getattr(export, what)(one, target)
    assert target.read_text() == "dear"
    assert left_behind(tmp_path) == []


def test_what_comes_there_while_it_is_written_is_not_overwritten(one: Run, tmp_path: Path, monkeypatch) -> None:
    target = tmp_path / "m.csv"
    rows = export.metrics

    def slow(of: Run):
        target.write_text("dear")
        yield from rows(of)

    monkeypatch.setattr(export, "metrics", slow)
    with pytest.raises(InputError, match="exists"):
        export.metrics_csv(one, target)
    assert target.read_text() == "dear"
    assert left_behind(tmp_path) == []


def test_a_disk_that_fails_leaves_nothing(one: Run, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("phi_tui.export.shutil.copyfile", full)
    with pytest.raises(InputError, match="No space left"):
        export.bundle(one, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert left_behind(tmp_path) == []


def test_a_missing_parent_is_named(one: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        export.adapter(one, tmp_path / "no" / "such")


def test_a_run_without_an_adapter_says_so_and_leaves_nothing(one: Run, tmp_path: Path) -> None:
    (one.adapter / "adapter_model.safetensors").unlink()
    one.adapter.rmdir()
    with pytest.raises(InputError, match="no adapter yet"):
        export.adapter(one, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert left_behind(tmp_path) == []


def test_a_link_in_the_adapter_does_not_take_the_file_it_points_to_along(one: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (one.adapter / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="no plain file"):
        export.adapter(one, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pipe_in_the_adapter_does_not_hang(one: Run, tmp_path: Path) -> None:
    os.mkfifo(one.adapter / "pipe")
    with pytest.raises(InputError, match="no plain file"):
        export.adapter(one, tmp_path / "out")


def test_an_adapter_replaced_meanwhile_is_copied_again(one: Run, tmp_path: Path, monkeypatch) -> None:
    copy = export._copy_file
    replaced = []

    def replacing(source: Path, target: Path) -> None:
        copy(source, target)
        if not replaced:
            replaced.append(True)
            os.rename(one.adapter, one.path / "old")
            one.adapter.mkdir()
            (one.adapter / "adapter_model.safetensors").write_bytes(b"newer")

    monkeypatch.setattr(export, "_copy_file", replacing)
    export.adapter(one, tmp_path / "out")
    assert (tmp_path / "out" / "adapter_model.safetensors").read_bytes() == b"newer"
