"""The process that looks at data, tokens, models and plans, through the front end's own side of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import loopback_hub
import projects
import pytest
import tiny_bases
from hypothesis import given
from hypothesis import strategies as st
from loopback_hub import LoopbackHub

from phi_tui import journal, phi, run
from phi_tui.child import Child, Reply
from phi_tui.engine import hub_search, inspector, lockfile
from phi_tui.engine.hub import folder_of
from phi_tui.engine.model_list import interrupted
from phi_tui.engine.row_lengths import histogram
from phi_tui.errors import InputError
from phi_tui.project import parse
from phi_tui.workspace import Workspace

MODULE = "phi_tui.engine.inspector"
TOY = Path(phi.__file__).parent / "demo" / "toy.jsonl"
LISTED = [
    {
        "id": "org/small", "safetensors": {"total": 134_515_008}, "gated": False, "downloads": 7, "likes": 2,
        "library_name": "transformers", "tags": ["llama", "license:apache-2.0"],
    },
    {"id": "org/odd", "gated": "manual", "tags": None, "safetensors": None, "downloads": "many"},
    {"no": "id"},
]  # fmt: skip


class Handler(loopback_hub._Handler):
    """The loopback hub with a search, and with weights that come slowly while `slow` is set."""

    slow = False
    searches: list[dict[str, list[str]]] = []  # noqa: RUF012 - one server a test module

    def _answer(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/api/models":
            self.searches.append(parse_qs(url.query))
            self._send_json(LISTED)
        else:
            super()._answer()

    def _send(self, status: int, data: bytes, headers: Any, *, cut_as: str = "") -> None:
        if not self.slow or cut_as != "model.safetensors":
            super()._send(status, data, headers, cut_as=cut_as)
            return
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):
            for at in range(0, len(data), 65_536):
                self.wfile.write(data[at : at + 65_536])
                time.sleep(0.02)


class Front:
    """A child process and what it says."""

    def __init__(self, log: Path) -> None:
        self.child = Child(MODULE, log)
        self.log = log

    def ask(self, do: str, /, on_event: Callable[[int, Reply], None] | None = None, **arguments: Any) -> list[Reply]:
        """Ask and return every reply, the final one last; `on_event` hears each as it comes."""
        said: queue.Queue[Reply] = queue.Queue()
        number = self.child.ask(do, said.put, **arguments)
        replies = []
        while not replies or not replies[-1].final:
            replies.append(said.get(timeout=60))
            if on_event and not replies[-1].final:
                on_event(number, replies[-1])
        return replies

    def result(self, do: str, /, **arguments: Any) -> dict[str, Any]:
        last = self.ask(do, **arguments)[-1]
        assert last.kind == "result", (last, self.log.read_text()[-2000:])
        return last.payload

    def error(self, do: str, /, **arguments: Any) -> dict[str, Any]:
        last = self.ask(do, **arguments)[-1]
        assert last.kind == "error", last
        return last.payload


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackHub]:
    with LoopbackHub() as running:
        running._server.RequestHandlerClass = Handler
        yield running


@pytest.fixture(scope="module")
def front(server: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE"):
            patch.delenv(name, raising=False)
        for name, text in server.environment(folder / "home").items():
            patch.setenv(name, text)
        made = Front(folder / "log")
        made.result("raw_rows", files=[], count=1, root=str(folder))  # starts the process in this environment
    yield made
    made.child.close(wait=10)


@pytest.fixture(scope="module")
def chat_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bases.make("llama", tmp_path_factory.mktemp("base"), chat=True)


def request(folder: Path, base: str = "builtin:phi-demo", data: str = "", source: str = "rows.jsonl") -> dict[str, str]:
    """The three arguments that name a project."""
    toml = (
        f'schema = 1\nname = "toy"\n[model]\nbase = {json.dumps(base)}\n'
        f"[data]\n{data}\n[[data.sources]]\npath = {json.dumps(source)}\n"
    )
    return {"project": toml, "root": str(folder), "workspace": str(folder)}


def of_kind(replies: list[Reply], kind: str) -> list[dict[str, Any]]:
    return [reply.payload for reply in replies if reply.kind == kind]


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith((".partial", ".again", ".old"))]


# survey


def test_a_survey_tells_the_report_the_tokens_and_the_lengths(front: Front, tmp_path: Path) -> None:
    shutil.copy(TOY, tmp_path / "rows.jsonl")
    replies = front.ask("survey", **request(tmp_path))
    found = replies[-1].payload
    assert found["report"]["train_rows"] == found["tokens"]["train"]["rows"] == 368
    assert found["report"]["validation_rows"] == found["tokens"]["validation"]["rows"] == 228
    assert (found["template"], found["stops"], found["context"]) == ("instruction", ["<|endoftext|>"], 512)
    assert (found["max_length"], found["lengths_are"], found["findings"]) == (1024, "whole", {})
    bins = found["histogram"]
    assert bins["edges"] == sorted(set(bins["edges"])) and len(bins["train"]) == len(bins["edges"]) - 1
    assert (sum(bins["train"]), sum(bins["validation"])) == (368, 228)
    longest = found["tokens"]["train"]["longest"]
    assert bins["edges"][0] == 0 and bins["edges"][-1] > longest
    names = [phase["name"] for phase in of_kind(replies, "phase")]
    assert list(dict.fromkeys(names)) == ["read", "base", "tokenise"]
    assert {"name": "tokenise", "done": 368, "total": 596} in of_kind(replies, "phase")


HOSTILE = [
    {"instruction": "one", "output": "first answer"},
    {"instruction": "long " * 60, "output": "its prompt alone fills the limit"},
    {"instruction": "two", "output": "\x1b]52;c;aGk=\x07 clip"},
    {"instruction": "three", "output": "caf\u00e9 \U0001f600 \u65e5\u672c"},
    {"instruction": "four <|endoftext|>", "output": "stray"},
    {"instruction": "five", "output": "cut here " * 40},
]


def hostile(folder: Path) -> None:
    lines = [json.dumps(row).encode() for row in HOSTILE]
    lines[1:1] = [b'{"instruction": "broken', b'{"instruction": "no output"}', b"\xff\xfe", b'{"output": "\\ud800"}']
    (folder / "rows.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def test_hostile_rows_are_told_one_by_one_each_time(front: Front, tmp_path: Path) -> None:
    hostile(tmp_path)
    asked = request(tmp_path, data='skip_bad = true\nsplit = "none"\nmax_length = 64')
    first = front.ask("survey", **asked)
    findings = of_kind(first, "finding")
    assert {(found["line"], found["severity"]) for found in findings if found["severity"] == "error"} == {
        (2, "error"), (3, "error"), (4, "error"), (5, "error"), (6, "error"),
    }  # fmt: skip
    assert {found["code"] for found in findings} >= {
        "json",
        "missing-field",
        "no-trained-token",
        "special-token",
        "cut",
    }
    assert set(findings[0]) == {"severity", "code", "file", "line", "message", "fix"}
    result = first[-1].payload
    assert sum(result["findings"].values()) == len(findings)
    again = front.ask("survey", **asked)
    assert of_kind(again, "finding") == findings
    assert again[-1].payload == result
    assert leftovers(tmp_path) == []


def test_findings_of_tokens_that_another_process_made_are_told_too(front: Front, tmp_path: Path) -> None:
    hostile(tmp_path)
    asked = request(tmp_path, data='skip_bad = true\nsplit = "none"\nmax_length = 64')
    first = front.ask("survey", **asked)
    (tmp_path / "datasets" / "ready" / "toy" / "survey.json").unlink()
    before = (tmp_path / "datasets" / "ready" / "toy" / "phi-tui.json").stat()
    again = front.ask("survey", **asked)
    assert of_kind(again, "finding") == of_kind(first, "finding")
    assert again[-1].payload == first[-1].payload
    assert (tmp_path / "datasets" / "ready" / "toy" / "phi-tui.json").stat() == before
    assert leftovers(tmp_path) == []


def test_lengths_are_those_before_cutting(front: Front, tmp_path: Path) -> None:
    from phi_tui.engine.loading import tokenizer

    projects.write_jsonl(tmp_path / "rows.jsonl", [{"text": "word " * count} for count in (2, 30, 100, 200)])
    asked = request(tmp_path, data='split = "none"\nmax_length = 64')
    found = front.result("survey", **asked)
    load = tokenizer(Path(phi.__file__).parent / "demo" / "base")
    whole = sorted(len(load("word " * count)["input_ids"]) + 1 for count in (2, 30, 100, 200))
    assert found["tokens"]["train"]["longest"] == 64 < whole[-1]
    bins = found["histogram"]
    placed = [
        sum(bins["edges"][at] <= length < bins["edges"][at + 1] for length in whole) for at in range(len(bins["train"]))
    ]
    assert (bins["train"], found["lengths_are"]) == (placed, "whole")


@given(st.lists(st.integers(1, 5000), max_size=300), st.lists(st.integers(1, 200_000), max_size=3))
def test_a_histogram_counts_every_row_once(usual: list[int], tail: list[int]) -> None:
    bins = histogram({"train": usual + tail, "validation": tail})
    edges = bins["edges"]
    assert edges == sorted(set(edges)) and len(edges) <= 52
    for part, found in (("train", usual + tail), ("validation", tail)):
        inside = [sum(low <= one < high for one in found) for low, high in itertools.pairwise(edges)]
        assert bins[part] == inside and sum(inside) == len(found)


def test_one_endless_row_does_not_push_the_others_into_one_bin() -> None:
    bins = histogram({"train": [*range(1, 400), 100_000], "validation": []})
    assert sum(count > 0 for count in bins["train"]) > 20
    assert bins["train"][-1] == 1 and bins["edges"][-1] == 100_001


def test_more_findings_than_anyone_reads_are_counted(front: Front, tmp_path: Path) -> None:
    good = json.dumps({"prompt": "a", "completion": " b"})
    (tmp_path / "rows.jsonl").write_text(f"{good}\n{'x' * 3}\n" * 2500)
    replies = front.ask("survey", **request(tmp_path, data='skip_bad = true\nsplit = "none"'))
    assert len(of_kind(replies, "finding")) == 2000
    assert replies[-1].payload["findings"]["json"] == 2500
    assert replies[-1].payload["findings"]["duplicate"] == 2499


def test_broken_rows_refuse_after_what_was_found(front: Front, tmp_path: Path) -> None:
    hostile(tmp_path)
    replies = front.ask("survey", **request(tmp_path))
    assert replies[-1].kind == "error" and "4 of 10 rows cannot be used" in replies[-1].payload["what"]
    assert of_kind(replies, "partial") == [{"read": 10, "kept": 6, "broken": 4}]
    assert sum(found["severity"] == "error" for found in of_kind(replies, "finding")) == 4
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in HOSTILE))
    replies = front.ask("survey", **request(tmp_path, data='split = "none"\nmax_length = 64'))
    assert replies[-1].kind == "error" and "1 rows cannot be trained on" in replies[-1].payload["what"]
    assert of_kind(replies, "partial") == [{"read": 6, "kept": 5, "broken": 1}]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("base", ["./nowhere", "org/none", "base"])
def test_the_data_is_shown_without_its_base(base: str, front: Front, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text('{"model_type": "t5", "is_encoder_decoder": true}')
    projects.write_jsonl(tmp_path / "rows.jsonl", projects.rows(20))
    found = front.result("survey", **request(tmp_path, base))
    assert found["report"]["sources"][0]["kept"] == 20
    assert (found["tokens"], found["template"], found["histogram"]) == (None, None, None)
    assert found["base_error"]["what"]


def test_a_template_that_the_base_lacks_leaves_the_data_shown(front: Front, tmp_path: Path) -> None:
    projects.write_jsonl(tmp_path / "rows.jsonl", projects.rows(20))
    found = front.result("survey", **request(tmp_path, data='template = "chat"'))
    assert "no chat template" in found["base_error"]["what"]
    assert found["report"]["train_rows"] + found["report"]["validation_rows"] == 20


def test_a_survey_can_be_cancelled_and_leaves_nothing_half(front: Front, tmp_path: Path) -> None:
    with open(tmp_path / "rows.jsonl", "w") as file:
        file.writelines(f'{{"prompt": "{number}", "completion": " {number}"}}\n' for number in range(100_000))
    asked = request(tmp_path, data='split = "none"')

    def cancel(number: int, reply: Reply) -> None:
        if reply.payload.get("done"):
            front.child.cancel(number)

    replies = front.ask("survey", cancel, **asked)
    assert replies[-1].kind == "cancelled"
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "datasets" / "raw" / "toy").exists()
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": " b"}\n')
    assert front.result("survey", **asked)["report"]["train_rows"] == 1


# rows


def test_rows_are_those_on_disk_with_their_own_places(front: Front, tmp_path: Path) -> None:
    hostile(tmp_path)
    asked = request(tmp_path, data='skip_bad = true\nsplit = "none"\nmax_length = 64')
    found = front.result("rows", **asked, part="train", start=0, count=50)
    assert (found["part"], found["start"], found["total"]) == ("train", 0, 5)
    # Lines 2 to 5 are broken and the prompt of line 6 fills the limit.
    assert [row["line"] for row in found["rows"]] == [1, 7, 8, 9, 10]
    assert [row["index"] for row in found["rows"]] == [0, 1, 2, 3, 4]
    from datasets import load_from_disk

    from phi_tui.engine.loading import tokenizer

    load = tokenizer(Path(phi.__file__).parent / "demo" / "base")
    kept = load_from_disk(str(tmp_path / "datasets" / "ready" / "toy"))["train"]
    for row, stored, source in zip(found["rows"], kept, [HOSTILE[0], *HOSTILE[2:]], strict=True):
        assert [token for _, token, _ in row["tokens"]] == stored["input_ids"]
        text = "".join(text for text, _, _ in row["tokens"])
        assert text == load.decode(stored["input_ids"])
        assert source["instruction"] in text
        trained = [at for at, (_, _, kind) in enumerate(row["tokens"]) if kind in ("trained", "special-trained")]
        assert trained == [at for at, label in enumerate(stored["labels"]) if label != -100]
        assert (row["length"], row["trained"], row["cut_shown"]) == (len(stored["input_ids"]), len(trained), False)
    assert found["rows"][0]["tokens"][-1][0::2] == ["<|endoftext|>", "special-trained"]
    assert found["rows"][-1]["tokens"][-1][2] == "trained"  # cut off before its end


def test_rows_come_in_pages_and_a_part_may_be_empty(front: Front, chat_base: Path, tmp_path: Path) -> None:
    projects.write_jsonl(tmp_path / "rows.jsonl", projects.rows(120))
    asked = request(tmp_path, str(chat_base), data='split = "none"')
    whole = [front.result("rows", **asked, part="train", start=start, count=500)["rows"] for start in (0, 50, 100)]
    assert [len(page) for page in whole] == [50, 50, 20]
    assert [row["line"] for page in whole for row in page] == list(range(1, 121))
    middle = front.result("rows", **asked, part="train", start=60, count=2)
    assert middle["rows"] == whole[1][10:12]
    assert "<|im_start|>" in [text for text, _, kind in middle["rows"][0]["tokens"] if kind == "special"]
    assert front.result("rows", **asked, part="validation", start=0, count=5)["total"] == 0
    beyond = front.result("rows", **asked, part="train", start=500, count=5)
    assert (beyond["rows"], beyond["start"]) == ([], 120)


def test_rows_follow_the_data_when_it_changes(front: Front, tmp_path: Path) -> None:
    asked = request(tmp_path, data='split = "none"')
    for text in ("first", "second one"):
        (tmp_path / "rows.jsonl").write_text(json.dumps({"text": text}) + "\n")
        (row,) = front.result("rows", **asked, part="train", start=0, count=1)["rows"]
        assert "".join(piece for piece, _, _ in row["tokens"]) == f"{text}<|endoftext|>"


def test_a_very_long_row_is_shown_in_part(front: Front, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": "word " * 6000}) + "\n")
    asked = request(tmp_path, data='split = "none"\nmax_length = 8192')
    (row,) = front.result("rows", **asked, part="train", start=0, count=1)["rows"]
    assert len(row["tokens"]) == 4096 and row["cut_shown"]
    assert row["length"] > 4096 and row["trained"] == row["length"] - 1


# raw_rows


def test_raw_rows_show_files_as_they_are(front: Front, tmp_path: Path) -> None:
    long = {"question": "q" * 600, "answer": ["a", 1], "extra": None}
    projects.write_jsonl(tmp_path / "mapped.jsonl", [long, *({"question": str(n), "answer": "x"} for n in range(300))])
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    (tmp_path / "broken.jsonl").write_text("{\n" * 10)
    (tmp_path / "empty.json").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    projects.write_jsonl(tmp_path / "folder" / "in.jsonl", [{"text": "t"}])
    names = ["mapped.jsonl", "odd.csv", "broken.jsonl", "empty.json", "folder", "nowhere.txt", ""]
    files = front.result("raw_rows", files=names, count=2, root=str(tmp_path))["files"]
    assert [file["name"] for file in files] == names
    mapped, odd, broken, empty, folder, nowhere, unnamed = files
    assert (mapped["format"], mapped["error"]) == ("instruction", None)
    assert mapped["mapping"] == {"instruction": "question", "output": "answer"}
    assert mapped["columns"] == ["question", "answer", "extra"]
    assert mapped["rows"][0] == {
        "line": 1, "values": {"question": "q" * 500, "answer": '["a", 1]', "extra": "null"},
    }  # fmt: skip
    assert mapped["rows"][1] == {"line": 2, "values": {"question": "0", "answer": "x"}}
    assert len(mapped["rows"]) == 2
    assert odd["format"] is None and odd["rows"] == [{"line": 2, "values": {"a": "1", "b": "2"}}]
    assert "columns a, b" in odd["error"]["what"] and "map them" in odd["error"]["fix"]
    assert "broken JSON" in broken["error"]["what"] and broken["error"]["where"] == "broken.jsonl:1"
    assert "empty" in empty["error"]["what"] and "no such file" in nowhere["error"]["what"]
    assert folder["format"] == "text" and folder["rows"] == [{"line": 1, "values": {"text": "t"}}]
    assert unnamed["error"] and unnamed["rows"] == []


# plan


def test_a_plan_says_what_a_run_would_do(front: Front, tmp_path: Path) -> None:
    shutil.copy(TOY, tmp_path / "rows.jsonl")
    found = front.result("plan", **request(tmp_path, data="max_length = 512"))
    assert found["parameters"] == 2_828_736 and found["layers"] == 6 and found["hidden"] == 192
    assert found["targets"] == ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    assert found["rows_per_step"] == found["batch_size"] * found["grad_accum"]
    memory = found["memory"]
    assert memory["total"] == sum(memory["parts"].values())
    assert found["seconds_estimate"] is None
    assert any("0.618" in line for line in found["golden"])
    assert set(found) == {
        "device", "precision", "weights", "parameters", "trainable", "layers", "hidden", "batch_size", "grad_accum",
        "steps", "steps_per_epoch", "warmup_steps", "rows_per_step", "tokens_per_step", "checkpointing", "memory",
        "notes", "golden", "targets", "seconds_estimate",
    }  # fmt: skip
    assert set(found["device"]) == {"type", "name", "memory"}


def finished(workspace: Workspace, project: str, device: str, precision: str, speeds: list[float], last: str) -> None:
    """A run that ended with the event `last`."""
    made = run.create(workspace, parse(project))
    tables = {
        "base": {"id": "builtin:phi-demo", "revision": ""},
        "device": {"name": device, "precision": precision},
    }
    lockfile.write(made.path / "lock.toml", tables)
    book = journal.Journal(made.journal)
    for step, speed in enumerate(speeds, 1):
        book.write("step", step=step, tokens_per_second=speed)
    book.write(last)  # type: ignore[arg-type]
    book.close()


def test_the_time_is_estimated_from_finished_runs_of_the_base_here(front: Front, tmp_path: Path) -> None:
    shutil.copy(TOY, tmp_path / "rows.jsonl")
    asked = request(tmp_path, data="max_length = 512")
    plan = front.result("plan", **asked)
    workspace, name, precision = Workspace(tmp_path), plan["device"]["name"], plan["precision"]
    finished(workspace, asked["project"], name, precision, [100.0, 400.0, 500.0], "done")
    finished(workspace, asked["project"], name, precision, [1.0], "failed")
    finished(workspace, asked["project"], "another machine", precision, [1.0], "done")
    (workspace.runs("toy") / "broken").mkdir()
    (workspace.runs("toy") / "broken" / "project.toml").write_text("")
    expected = plan["steps"] * plan["tokens_per_step"] / statistics.median([100.0, 400.0, 500.0])
    assert front.result("plan", **asked)["seconds_estimate"] == pytest.approx(expected)


def test_a_plan_needs_no_weights(front: Front, chat_base: Path, tmp_path: Path) -> None:
    projects.write_jsonl(tmp_path / "rows.jsonl", projects.rows(30))
    bare = tmp_path / "bare"
    shutil.copytree(chat_base, bare)
    (bare / "model.safetensors").unlink()
    assert front.result("plan", **request(tmp_path, "bare", data="max_length = 128"))["layers"] == 2


def test_a_refused_plan_names_every_reason(front: Front, tmp_path: Path) -> None:
    projects.write_jsonl(tmp_path / "rows.jsonl", projects.rows(30))
    asked = request(tmp_path, data='split = "none"')
    asked["project"] += '[lora]\ntargets = ["q_prj"]\n[train]\nearly_stopping = 2\nprecision = "fp16"\n'
    what = front.error("plan", **asked)["what"]
    assert "q_prj" in what and "early_stopping" in what and "fp16" in what


# fetch, search, describe


def big(base: Path, size: int) -> dict[str, bytes]:
    """The files of a base with weights of `size` bytes."""
    files = {path.name: path.read_bytes() for path in base.iterdir()}
    header = json.dumps({"x": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return files | {"model.safetensors": len(header).to_bytes(8, "little") + header + bytes(size)}


def test_a_fetch_that_is_cancelled_goes_on_where_it_was(
    front: Front, server: LoopbackHub, chat_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = big(chat_base, 6_000_000)
    commit = server.add("org/big", files)
    wanted = {name: len(data) for name, data in files.items()}
    asked = {"base": "org/big", "revision": "", "root": str(tmp_path), "workspace": str(tmp_path), "weights": True}

    def cancel(number: int, reply: Reply) -> None:
        if reply.kind == "bytes" and reply.payload["done"] > 1_000_000:
            front.child.cancel(number)

    monkeypatch.setattr(Handler, "slow", True)
    replies = front.ask("fetch", cancel, **asked)
    assert replies[-1].kind == "cancelled"
    told = of_kind(replies, "bytes")
    assert [one["done"] for one in told] == sorted(one["done"] for one in told)
    assert {one["total"] for one in told} == {sum(wanted.values())}
    assert told[-1]["file"] == "model.safetensors" and told[-1]["rate"] > 0 and told[-1]["eta"] > 0
    (half,) = interrupted(tmp_path / "models")
    assert half.base == "org/big" and 1_000_000 < half.bytes < sum(wanted.values()) and not half.live

    monkeypatch.setattr(Handler, "slow", False)
    asked_before = len(server.downloads("model.safetensors"))
    replies = front.ask("fetch", **asked)
    assert replies[-1].payload == {"folder": str(folder_of("org/big", tmp_path / "models")), "revision": commit}
    (resumed,) = server.downloads("model.safetensors")[asked_before:]
    assert int(resumed.range.removeprefix("bytes=").removesuffix("-")) > 900_000
    told = of_kind(replies, "bytes")
    assert told[0]["done"] >= half.bytes and told[-1]["done"] == told[-1]["total"] == sum(wanted.values())
    assert interrupted(tmp_path / "models") == []
    assert any(phase["name"] == "download" for phase in of_kind(replies, "phase"))
    again = front.ask("fetch", **asked)
    assert [reply.kind for reply in again] == ["result"]


def test_bytes_come_at_most_four_times_a_second() -> None:
    clock = iter([0.0, 0.1, 0.2, 0.3, 0.35, 0.6, 0.61])
    told: list[tuple[int, float | None]] = []

    class Task:
        def check(self) -> None: ...

        def tell(self, kind: str, /, **payload: Any) -> None:
            told.append((payload["done"], payload["rate"]))

    download = inspector._Download(Task(), lambda: next(clock) + 100)  # type: ignore[arg-type]
    for done in (10, 20, 30, 40, 50, 70, 100):
        download("f", done, 100)
    assert told == [(10, None), (40, pytest.approx(100)), (70, pytest.approx(100)), (100, pytest.approx(90 / 0.61))]


def test_a_fetch_without_weights_brings_the_small_files(
    front: Front, server: LoopbackHub, chat_base: Path, tmp_path: Path
) -> None:
    server.add("org/light", chat_base)
    place = {"root": str(tmp_path), "workspace": str(tmp_path)}
    found = front.result("fetch", base="org/light", revision="", weights=False, **place)
    assert not (Path(found["folder"]) / "model.safetensors").exists()
    described = front.result("describe", base="org/light", revision="", **place)
    assert (described["base_kind"], described["parameters"], described["lora_bytes"]) == ("hub", None, None)
    assert (described["context"], described["chat"]) == (256, True)


def test_a_gguf_file_is_brought_in_by_converting_it(front: Front, tmp_path: Path) -> None:
    file = tiny_bases.make_gguf(tmp_path / "tiny.gguf")
    place = {"root": str(tmp_path), "workspace": str(tmp_path)}
    replies = front.ask("fetch", base=file.name, revision="", weights=True, **place)
    folder = Path(replies[-1].payload["folder"])
    assert folder.parent == tmp_path / "models" and (folder / "model.safetensors").is_file()
    assert [phase["name"] for phase in of_kind(replies, "phase")] == ["download"] * 3
    described = front.result("describe", base=file.name, revision="", **place)
    assert (described["base_kind"], described["architecture"], described["layers"]) == ("gguf", "llama", 1)


def test_a_fetch_that_cannot_be_says_why(front: Front, tmp_path: Path) -> None:
    place = {"root": str(tmp_path), "workspace": str(tmp_path)}
    assert "no model org/none" in front.error("fetch", base="org/none", revision="", weights=True, **place)["what"]
    assert "nowhere" in front.error("fetch", base="./nowhere", revision="", weights=True, **place)["where"]


def test_a_search_lists_models_with_what_is_known_of_each(front: Front) -> None:
    Handler.searches.clear()
    assert front.result("search", query="sm\u00f6l 135", limit=5)["models"] == [
        {
            "id": "org/small", "parameters": 134_515_008, "licence": "apache-2.0", "gated": False, "downloads": 7,
            "likes": 2, "library": "transformers",
        },
        {
            "id": "org/odd", "parameters": None, "licence": None, "gated": True, "downloads": 0, "likes": 0,
            "library": None,
        },
    ]  # fmt: skip
    (asked,) = Handler.searches
    assert asked["search"] == ["sm\u00f6l 135"] and asked["limit"] == ["5"]
    assert asked["filter"] == ["safetensors"] and asked["pipeline_tag"] == ["text-generation"]


@pytest.mark.parametrize("how", ["offline", "refused", "no-hub"])
def test_a_search_without_the_hub_says_so(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(sys.modules[__name__], "LISTED", {"error": "odd"})
    with LoopbackHub() as other:
        other._server.RequestHandlerClass = Handler
        monkeypatch.setenv("HF_ENDPOINT", other.endpoint)
        if how == "offline":
            monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        elif how == "refused":
            other.close()
        said = {"offline": "offline mode is on", "refused": "cannot be reached", "no-hub": "is no Hub"}[how]
        with pytest.raises(InputError, match=said):
            hub_search.search("x", 3)


def test_a_base_is_described_with_what_training_on_it_needs(front: Front, tmp_path: Path) -> None:
    place = {"root": str(tmp_path), "workspace": str(tmp_path)}
    found = front.result("describe", base="builtin:phi-demo", revision="", **place)
    assert found.pop("lora_bytes") > found["on_disk"] > 5_000_000 and found.pop("qlora_bytes") > 0
    assert found == {
        "base_kind": "builtin", "parameters": 2_828_736, "licence": "apache-2.0", "context": 512,
        "architecture": "llama", "layers": 6, "hidden": 192, "vocab": 2048, "chat": False,
        "on_disk": found["on_disk"], "folder": str(Path(phi.__file__).parent / "demo" / "base"),
    }  # fmt: skip
    assert "not on this machine" in front.error("describe", base="org/none", revision="", **place)["what"]


# the process


def test_a_request_that_makes_no_sense_is_an_error_and_the_next_is_answered(front: Front, tmp_path: Path) -> None:
    asked = request(tmp_path)
    assert "does not know" in front.error("guess")["what"]
    assert "no project" in front.error("survey")["what"]
    assert "valid TOML" in front.error("survey", **asked | {"project": "= 1"})["what"]
    assert "unknown key" in front.error("plan", **asked | {"project": asked["project"] + "[lora]\nrnk = 8\n"})["what"]
    assert "no part" in front.error("rows", **asked, part="test", start=0, count=1)["what"]
    assert "no number start" in front.error("rows", **asked, part="train", start="0", count=1)["what"]
    assert "no files" in front.error("raw_rows", root=str(tmp_path), count=1)["what"]
    assert "cannot be opened" in front.error("survey", **asked)["what"]
    assert front.result("raw_rows", files=[], count=1, root=str(tmp_path)) == {"files": []}


def test_the_process_ends_when_its_front_end_does(tmp_path: Path) -> None:
    with open(tmp_path / "rows.jsonl", "w") as file:
        file.writelines(f'{{"prompt": "{number}", "completion": " {number}"}}\n' for number in range(200_000))
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps({"id": 1, "do": "survey", **request(tmp_path)}).encode() + b"\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["kind"] == "phase"  # it is at work
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()
