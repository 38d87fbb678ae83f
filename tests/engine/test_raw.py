"""The raw data stage: who trains and validates, what is refused, and that nothing is left half-written."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from phi_tui import phi
from phi_tui.engine import raw
from phi_tui.engine.doctor import examine
from phi_tui.engine.sources import Finding
from phi_tui.errors import InputError, Refusal
from phi_tui.schema import Project


def texts(start: int, count: int) -> list[dict[str, Any]]:
    return [{"text": f"row {number}"} for number in range(start, start + count)]


def write(path: Path, content: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in content), "utf-8")
    return path


def project(*sources: str | dict[str, Any], **data: Any) -> Project:
    tables = [{"path": source} if isinstance(source, str) else source for source in sources]
    return Project.model_validate({"schema": 1, "name": "toy", "data": {"sources": tables, **data}})


def side(target: Path, name: str) -> list[str]:
    return [json.loads(line)["text"] for line in (target / f"{name}.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "a.jsonl", texts(0, 100))
    write(tmp_path / "b.jsonl", texts(100, 50))
    write(tmp_path / "val.jsonl", [*texts(500, 10), {"text": "row 3"}])
    return tmp_path


def test_every_row_stands_once_on_one_side_in_its_own_order(root: Path) -> None:
    report = raw.build(project("a.jsonl", "b.jsonl"), root, root / "out")
    train, validation = side(root / "out", "train"), side(root / "out", "validation")
    assert sorted(train + validation) == sorted(row["text"] for row in texts(0, 150))
    assert (len(train), len(validation)) == (report.train_rows, report.validation_rows)
    assert len(train) == phi.train_rows(100) + phi.train_rows(50)
    assert train == sorted(train, key=lambda text: int(text.split()[1]))
    assert [(source.train, source.validation) for source in report.sources] == [(62, 38), (31, 19)]


def test_origins_lead_from_each_row_to_the_line_it_came_from(root: Path) -> None:
    raw.build(project("a.jsonl", "b.jsonl"), root, root / "out")
    for name in ("train", "validation"):
        places = (root / "out" / f"{name}.origins").read_text("utf-8").splitlines()
        for text, place in zip(side(root / "out", name), places, strict=True):
            file, line = place.split("\t")
            source = (root / json.loads(file)).read_text("utf-8").splitlines()
            assert json.loads(source[int(line) - 1])["text"] == text


def test_a_named_validation_source_is_used_as_it_is_and_nothing_is_split(root: Path) -> None:
    found: list[Finding] = []
    chosen = project("a.jsonl", {"path": "val.jsonl", "role": "validation"})
    report = raw.build(chosen, root, root / "out", on_finding=found.append)
    assert side(root / "out", "train") == [row["text"] for row in texts(0, 100)]
    assert side(root / "out", "validation") == [*(row["text"] for row in texts(500, 10)), "row 3"]
    assert report.split is None
    assert report.in_both == 1
    (warning,) = [finding for finding in found if finding.code == "in-both"]
    assert (warning.file, warning.line) == ("val.jsonl", 11)
    assert "a.jsonl:4" in warning.message


def test_split_none_trains_on_everything_and_leaves_an_empty_validation_file(root: Path) -> None:
    raw.build(project("a.jsonl", split="none"), root, root / "out")
    assert len(side(root / "out", "train")) == 100
    assert (root / "out" / "validation.jsonl").read_bytes() == b""


def test_a_number_is_the_training_share(root: Path) -> None:
    report = raw.build(project("a.jsonl", split=0.9), root, root / "out")
    assert (report.train_rows, report.validation_rows, report.split, report.split_reached) == (
        90,
        10,
        0.9,
        0.9,
    )


def test_a_mix_interleaves_the_training_parts_and_its_table_adds_up(root: Path) -> None:
    report = raw.build(project("a.jsonl", "b.jsonl", mix="phi"), root, root / "out")
    train = side(root / "out", "train")
    assert len(train) == report.train_rows == sum(entry.used for entry in report.mix)
    assert [entry.source for entry in report.mix] == ["a.jsonl", "b.jsonl"]
    assert [entry.used + entry.left_out for entry in report.mix] == [62, 31]
    first = [int(text.split()[1]) < 100 for text in train]
    assert sum(first) == report.mix[0].used
    assert first != sorted(first, reverse=True)
    assert not set(train) & set(side(root / "out", "validation"))
    whole = raw.build(project("a.jsonl", "b.jsonl", mix="phi", mix_stop="all_exhausted"), root, root / "out")
    assert [entry.left_out for entry in whole.mix] == [0, 0]
    assert "seen whole" in whole.mix_stopped


def test_the_same_project_gives_the_same_bytes(root: Path) -> None:
    chosen = project("a.jsonl", "b.jsonl", mix="phi")
    names = ("train.jsonl", "validation.jsonl", "train.origins", "report.json")
    raw.build(chosen, root, root / "out")
    before = [(root / "out" / name).read_bytes() for name in names]
    raw.build(chosen, root, root / "out")
    assert [(root / "out" / name).read_bytes() for name in names] == before


def test_duplicates_stay_together_and_each_names_the_first(root: Path) -> None:
    write(root / "c.jsonl", [*texts(0, 20), {"text": "row 5"}, {"text": "row 5"}])
    found: list[Finding] = []
    report = raw.build(project("c.jsonl"), root, root / "out", on_finding=found.append)
    twice = [finding for finding in found if finding.code == "duplicate"]
    assert [(finding.line, finding.message) for finding in twice] == [
        (21, "says the same as c.jsonl:6"),
        (22, "says the same as c.jsonl:6"),
    ]
    assert report.sources[0].duplicates == 2
    assert [side(root / "out", name).count("row 5") for name in ("train", "validation")] in ([3, 0], [0, 3])
    assert report.in_both == 0


def test_broken_rows_refuse_and_leave_what_stood_before(root: Path) -> None:
    raw.build(project("a.jsonl"), root, root / "out")
    before = {path: path.read_bytes() for path in (root / "out").iterdir()}
    with open(root / "a.jsonl", "ab") as file:
        file.write(b'{"text": 5}\n{"text": ""}\n{"te\n[]\n{"text": null}\n{"text": "\xff"}\n')
    found: list[Finding] = []
    with pytest.raises(Refusal) as caught:
        raw.build(project("a.jsonl"), root, root / "out", on_finding=found.append)
    told = str(caught.value)
    assert "6 of 106 rows" in told
    assert all(f"a.jsonl:{line}: " in told for line in range(101, 106))
    assert "a.jsonl:106" not in told
    assert "data.skip_bad = true" in told
    assert [finding.line for finding in found if finding.severity == "error"] == list(range(101, 107))
    assert {path: path.read_bytes() for path in (root / "out").iterdir()} == before
    assert sorted(path.name for path in root.iterdir()) == ["a.jsonl", "b.jsonl", "out", "val.jsonl"]


def test_skip_bad_leaves_broken_rows_out_counted_and_named(root: Path) -> None:
    with open(root / "a.jsonl", "ab") as file:
        file.write(b'{"text": 5}\n')
    report = raw.build(project("a.jsonl", skip_bad=True), root, root / "out")
    assert (report.read, report.broken, report.train_rows + report.validation_rows) == (101, 1, 100)
    named = [json.loads(line) for line in (root / "out" / "findings.jsonl").read_text().splitlines()]
    assert [(entry["severity"], entry["file"], entry["line"]) for entry in named] == [("error", "a.jsonl", 101)]
    assert json.loads((root / "out" / "report.json").read_text())["findings"] == report.findings


def test_a_source_without_one_good_row_is_refused_even_when_bad_ones_are_skipped(root: Path) -> None:
    (root / "bad.jsonl").write_text("nonsense\n")
    with pytest.raises(Refusal, match="no row"):
        raw.build(project("bad.jsonl", skip_bad=True), root, root / "out")
    assert not (root / "out").exists()


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (project(), "[[data.sources]]"),
        (project("a.jsonl", mix="phi"), "two sources"),
        (project({"path": "a.jsonl", "role": "validation"}), "none is left to train on"),
        (project("missing.jsonl"), "no such file"),
        (project({"path": "a.jsonl", "columns": {"text": "missing"}}), "missing"),
        (project("a.jsonl", format="chat"), "text"),
    ],
)
def test_settings_that_cannot_work_are_input_errors(root: Path, chosen: Project, said: str) -> None:
    with pytest.raises(InputError) as caught:
        raw.build(chosen, root, root / "out")
    assert said in caught.value.what
    assert not (root / "out").exists()


def test_rows_that_cannot_be_split_name_their_source(root: Path) -> None:
    write(root / "one.jsonl", texts(0, 1))
    with pytest.raises(Refusal) as caught:
        raw.build(project("a.jsonl", "one.jsonl"), root, root / "out")
    assert caught.value.where == "one.jsonl"
    assert sorted(path.name for path in root.iterdir()) == ["a.jsonl", "b.jsonl", "one.jsonl", "val.jsonl"]


def test_files_are_for_their_owner_alone(root: Path) -> None:
    raw.build(project("a.jsonl"), root, root / "out")
    assert (root / "out").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (root / "out").iterdir()} == {0o600}
    assert {path.name for path in (root / "out").iterdir()} == {*raw._FILES, "report.json"}


def test_what_was_built_is_fresh_until_a_file_or_a_setting_changes(root: Path) -> None:
    chosen = project("a.jsonl")
    assert not raw.fresh(chosen, root, root / "out")
    raw.build(chosen, root, root / "out")
    assert raw.fresh(chosen, root, root / "out")
    assert raw.fresh(project(str(root / "a.jsonl")), root, root / "out"), "an absolute path leads to the same file"
    assert raw.fresh(project("a.jsonl", max_length=64), root, root / "out"), "decides nothing of this stage"
    assert not raw.fresh(project("a.jsonl", split=0.9), root, root / "out")
    assert not raw.fresh(project("b.jsonl"), root, root / "out")
    os.utime(root / "a.jsonl", ns=(1, 1))
    assert not raw.fresh(chosen, root, root / "out")


def test_a_source_that_changes_while_it_is_read_is_not_half_taken(root: Path) -> None:
    def grow(_: int) -> None:
        os.utime(root / "a.jsonl", ns=(1, 1))

    with pytest.raises(InputError, match="changed while it was read"):
        raw.build(project("a.jsonl"), root, root / "out", on_progress=grow)
    assert not (root / "out").exists()


def test_progress_ends_at_the_number_of_rows_read(root: Path) -> None:
    seen: list[int] = []
    raw.build(project("a.jsonl", "b.jsonl"), root, root / "out", on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 150


def test_the_doctor_tells_all_findings_of_all_files_and_raises_for_none(root: Path) -> None:
    (root / "bad.jsonl").write_text('{"text": 1}\n{"text": "x"}\n{"text": "x"}\n')
    (root / "wide.txt").write_bytes("hello".encode("utf-16"))
    (root / "odd.csv").write_text("a,b\n1,2\n")
    (root / "empty.txt").write_text("")
    names = ["bad.jsonl", "wide.txt", "odd.csv", "empty.txt", "b.jsonl"]
    report, found = examine([root / name for name in names])
    assert [Path(finding.file).name for finding in found if finding.severity == "error"] == names[:4]
    assert [(source.read, source.kept, source.duplicates) for source in report.sources] == [
        (3, 2, 1),
        (1, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (50, 50, 0),
    ]
    assert report.findings["duplicate"] == 1
    assert report.characters["train"].max == len("row 149")
    json.dumps(report.to_json())


def test_a_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    row = '{"instruction": "Say the number %d in words.", "input": "", "output": "%s"}\n'
    (tmp_path / "big.jsonl").write_text("".join(row % (number, "word " * 30) for number in range(100_000)))
    start = time.process_time()
    report = raw.build(project("big.jsonl"), tmp_path, tmp_path / "out")
    assert report.train_rows == 61_803
    assert time.process_time() - start < 20, "several times what it takes on a slow core"
