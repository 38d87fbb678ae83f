"""One process or several: the same bytes; and what happens when one of several dies, or a stop is asked for."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_bases import make

from phi_tui.engine import gathering, prepare, raw, reading, token_rows, tokenising
from phi_tui.engine.crew import Crew
from phi_tui.errors import Refusal, Stopped
from phi_tui.schema import Project
from phi_tui.workspace import Workspace

WORDS = ["a", "bird", "can", "don't", "é", "日本", "\n", "  ", "12", "<|end|>"]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_bytes(b"".join(json.dumps(row, ensure_ascii=bool(n % 2)).encode() + b"\n" for n, row in enumerate(rows)))


def said(numbers: random.Random, most: int) -> str:
    return "x" + " ".join(numbers.choices(WORDS, k=numbers.randrange(1, most)))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    numbers = random.Random(5)
    make("llama", tmp_path / "base", chat=True)
    (tmp_path / "base" / "model.safetensors").unlink(missing_ok=True)
    rows = [{"instruction": said(numbers, 9), "output": said(numbers, 40)} for _ in range(700)]
    write(tmp_path / "a.jsonl", [*rows, *rows[:40]])
    turns = [{"role": "user", "content": said(numbers, 9)}, {"role": "assistant", "content": said(numbers, 9)}]
    write(
        tmp_path / "b.jsonl",
        [
            *({"messages": [*turns[:1], {"role": "assistant", "content": said(numbers, 9)}]} for _ in range(300)),
            {"messages": turns},
        ],
    )
    lines = (tmp_path / "a.jsonl").read_bytes().splitlines(keepends=True)
    for line, broken in (
        (30, b"\n"),
        (200, b'{"te\n'),
        (201, b'{"instruction": "\xff"}\n'),
        (600, b'{"instruction": "a", "output": 3}\n'),
    ):
        lines.insert(line, broken)
    (tmp_path / "a.jsonl").write_bytes(
        b"\xef\xbb\xbf" + b"".join(lines) + b'{"instruction": "last", "output": "no newline"}'
    )
    return tmp_path


def project(place: Path, **data: Any) -> Project:
    sources = [{"path": str(place / name)} for name in ("a.jsonl", "b.jsonl")]
    settings = {"sources": sources, "skip_bad": True, "max_length": 40, **data}
    return Project.model_validate(
        {"schema": 1, "name": "toy", "model": {"base": str(place / "base")}, "data": settings}
    )


def bytes_of(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith(".") and "sha256" not in name}


def small_pieces(monkeypatch: pytest.MonkeyPatch, worth: int) -> None:
    monkeypatch.setattr(gathering, "_STRETCH", 5000)
    monkeypatch.setattr(token_rows, "_ROWS", 100)
    monkeypatch.setattr(reading, "WORTH", worth)
    monkeypatch.setattr(tokenising, "WORTH", worth)


def test_several_processes_leave_the_bytes_that_one_leaves(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {}
    findings: dict[str, list[str]] = {}
    for name, worth in (("one", 1 << 40), ("two", 1)):
        small_pieces(monkeypatch, worth)
        for module in (raw, tokenising):
            monkeypatch.setattr(module, "cores", lambda: 2)
        found = findings[name] = []
        prepared = prepare.prepare(
            project(place),
            place,
            Workspace(place / name),
            lambda *_, **__: None,
            weights=False,
            on_finding=lambda finding, found=found: found.append(repr(finding)),
        )
        assert (prepared.loaded is None) == (name != "one"), "a crew has the tokenizer, this process has none"
        made[name] = bytes_of(place / name / "datasets")
        assert prepared.ready.train.rows > 500
        assert prepared.ready.train.cut_rows > 0
    assert made["one"] == made["two"]
    assert findings["one"] == findings["two"]
    report = json.loads(made["two"]["raw/toy/report.json"])
    assert {"duplicate", "json", "encoding", "bom", "blank-lines", "wrong-type"} <= set(report["findings"])


def test_line_numbers_hold_across_stretches(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch, 1)
    raw.build(project(place), place, place / "out")
    lines = (place / "a.jsonl").read_bytes().splitlines()
    for side in ("train", "validation"):
        origins = (place / "out" / f"{side}.origins").read_text().splitlines()
        for text, origin in zip(
            (place / "out" / f"{side}.jsonl").read_text("utf-8").split("\n"), origins, strict=False
        ):
            name, line = origin.split("\t")
            if json.loads(name).endswith("a.jsonl"):
                assert (
                    json.loads(lines[int(line) - 1].removeprefix(b"\xef\xbb\xbf"))["output"]
                    == json.loads(text)["output"]
                )


class Mortal:
    """Works, or dies as a process does that is out of memory."""

    def make(self, piece: Any) -> Any:
        if piece == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if piece == "fail":
            raise Refusal("what is wrong", where="here", fix="mend it")
        return piece, os.getpid()


def start() -> tuple[Mortal, str]:
    return Mortal(), "told"


@pytest.fixture
def mortals(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent)]), prepend=os.pathsep)
    with Crew("test_crew:start", count=2) as crew:
        yield crew


def test_results_come_in_the_order_of_the_pieces_and_from_several_processes(mortals: Crew) -> None:
    assert mortals.made() == "told"
    results = list(mortals.each("make", range(50)))
    assert [piece for piece, _ in results] == list(range(50))
    assert len({process for _, process in results}) == 2


@pytest.mark.parametrize("at", [0, 1, 7, 29])
def test_a_process_that_is_killed_ends_the_work_with_a_message(mortals: Crew, at: int) -> None:
    pieces = [*range(at), "die", *range(at, 30)]
    with pytest.raises(Refusal, match="memory ran out"):
        list(mortals.each("make", pieces))


def test_an_error_in_a_process_is_raised_here_as_it_was(mortals: Crew) -> None:
    with pytest.raises(Refusal) as caught:
        list(mortals.each("make", [1, 2, "fail", 3]))
    assert (caught.value.what, caught.value.where, caught.value.fix) == ("what is wrong", "here", "mend it")


def test_a_stop_ends_the_work_and_its_processes_and_leaves_what_stood(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    small_pieces(monkeypatch, 1)
    raw.build(project(place), place, place / "out")
    before = bytes_of(place / "out")

    def stop(done: int) -> None:
        if done > 300:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        raw.build(project(place, split=0.9), place, place / "out", on_progress=stop)
    assert bytes_of(place / "out") == before
    assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []
    assert not [
        child for child in psutil.Process().children(recursive=True) if "crew_member" in " ".join(child.cmdline())
    ]
