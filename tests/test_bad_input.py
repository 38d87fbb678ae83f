"""Bad input of every kind: one clear message, exit 2 or 3, no traceback, nothing half-written, nothing lost."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import projects
import pytest

from phi_tui.cli import main


@dataclass(frozen=True)
class Case:
    """What is done to a good workspace, what is run, and what must be said."""

    name: str
    spoil: Callable[[Path], object]
    told: str
    code: int
    args: tuple[str, ...] = ("--replay", "toy.toml")


def data(content: bytes, name: str = "train.jsonl") -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / "train.jsonl").unlink()
        (folder / name).write_bytes(content)
        if name != "train.jsonl":
            replace("train.jsonl", name)(folder)

    return spoil


def append(line: bytes) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        with open(folder / "train.jsonl", "ab") as file:
            file.write(line + b"\n")

    return spoil


def replace(old: str, new: str, file: str = "toy.toml") -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))

    return spoil


def setting(line: str) -> Callable[[Path], object]:
    return replace("[train]", f"[train]\n{line}")


def row(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def folder_for_data(folder: Path) -> None:
    (folder / "train.jsonl").unlink()
    (folder / "train.jsonl").mkdir()


def fifo(folder: Path) -> None:
    (folder / "train.jsonl").unlink()
    os.mkfifo(folder / "train.jsonl")


def no_weights(folder: Path) -> None:
    (folder / "base" / "model.safetensors").unlink()


def pickle_weights(folder: Path) -> None:
    (folder / "base" / "model.safetensors").rename(folder / "base" / "pytorch_model.bin")


def truncated_weights(folder: Path) -> None:
    path = folder / "base" / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def remote_code(folder: Path) -> None:
    path = folder / "base" / "config.json"
    config = json.loads(path.read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"}
    config["model_type"] = "evil"
    path.write_text(json.dumps(config))
    (folder / "base" / "evil.py").write_text("raise SystemExit('ran a stranger\\'s code')")


def linked_runs(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "runs").symlink_to(folder / "elsewhere")


def fake_gguf(content: bytes) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / "base.gguf").write_bytes(content)
        replace('base = "base"', 'base = "base.gguf"')(folder)

    return spoil


GOOD = row(instruction="Say a.", input="", output="a")
LONG = b"x" * (10 * 1024 * 1024)

CASES = [
    # the command line and the project file
    Case("no project file", lambda f: None, "no such project file", 2, ("--replay", "none.toml")),
    Case("project is a folder", lambda f: None, "is a folder", 2, ("--replay", "base")),
    Case("project is binary", lambda f: (f / "toy.toml").write_bytes(b"\x80\x81\xff\x00" * 9), "not UTF-8", 2),
    Case("project is not TOML", lambda f: (f / "toy.toml").write_text("name = = 1"), "not valid TOML", 2),
    Case("project is empty", lambda f: (f / "toy.toml").write_text(""), "name: is missing", 2),
    Case("unknown key", setting("epoch = 3"), "did you mean 'epochs'", 2),
    Case("unknown table", replace("[train]", "[trian]"), "did you mean 'train'", 2),
    Case("wrong type", setting('learning_rates = "fast"'), "learning_rate", 2),
    Case("word not allowed", setting('scheduler = "cos"'), '"phi_restarts"', 2),
    Case("negative number", setting("max_steps = -1"), "train.max_steps", 2),
    Case("name leaves the workspace", replace('name = "toy"', 'name = "../toy"'), "is no name", 2),
    Case("name with a slash", replace('name = "toy"', 'name = "a/b"'), "is no name", 2),
    Case("newer schema", replace("schema = 1", "schema = 2"), "schema", 2),
    Case("--set unknown key", lambda f: None, "unknown key", 2, ("--replay", "toy.toml", "--set", "train.epoch=3")),
    Case("--set without value", lambda f: None, "KEY=VALUE", 2, ("--replay", "toy.toml", "--set", "train.epochs")),
    Case("--set wrong type", lambda f: None, "lora.rank", 2, ("--replay", "toy.toml", "--set", "lora.rank=many")),
    Case("resume without a run", lambda f: None, "no run to resume", 2, ("--replay", "toy.toml", "--resume")),
    Case("locked without a lock", lambda f: None, "no lock file", 2, ("--replay", "toy.toml", "--locked")),
    Case("unknown run", lambda f: None, "no run", 2, ("attach", "none", "--workspace", ".")),
    Case("run name leaves the workspace", lambda f: None, "no name", 2, ("stop", "../../etc", "--workspace", ".")),
    Case("chat before training", lambda f: None, "no adapter yet", 2, ("chat", "toy.toml", "--prompt", "x")),
    Case("wizard without a name", lambda f: None, "no name", 2, ("wizard", "--auto", "--dataset", "train.jsonl")),
    Case("wizard with a wicked name", lambda f: None, "no name", 2, ("wizard", "--auto", "--project", "../x")),
    Case("wizard without its data", lambda f: None, "no such data file", 2,
         ("wizard", "--auto", "--project", "w", "--dataset", "none.jsonl", "--tokenize")),
    # data
    Case("no sources", replace('[[data.sources]]\npath = "train.jsonl"', ""), "data.sources", 2),
    Case("missing data file", lambda f: (f / "train.jsonl").unlink(), "train.jsonl", 2),
    Case("empty data file", data(b""), "empty", 2),
    Case("empty folder for data", folder_for_data, "train.jsonl", 2),
    Case("unknown suffix", data(b"x", "train.docx"), "train.docx", 2),
    Case("a FIFO for data", fifo, "train.jsonl", 2),
    Case("binary under a text name", data(bytes(range(256)) * 40), "train.jsonl", 2),
    Case("10 MB single line", append(b'{"instruction": "' + LONG + b'"'), "MB", 3),
    Case("broken JSON row", append(b'{"instruction": "a", '), "train.jsonl:41", 3),
    Case("row is a list", append(b"[1, 2]"), "train.jsonl:41", 3),
    Case("row is a number", append(b"17"), "train.jsonl:41", 3),
    Case("missing field", append(row(instruction="a", input="")), "output", 3),
    Case("field of wrong type", append(row(instruction="a", input="", output=5)), "output", 3),
    Case("null field", append(row(instruction="a", input="", output=None)), "output", 3),
    Case("blank answer", append(row(instruction="a", input="", output="  ")), "output", 3),
    Case("invalid UTF-8", append(b'{"instruction": "\xff\xfe", "input": "", "output": "a"}'), "UTF-8", 3),
    Case("NUL byte", append(b'{"instruction": "a\x00", "input": "", "output": "a"}'), "NUL", 3),
    Case("lone surrogate", append(b'{"instruction": "a", "input": "", "output": "\\ud800"}'), "surrogate", 3),
    Case("deep nesting", append(b"[" * 100_000), "train.jsonl:41", 3),
    Case("UTF-16", data('{"text": "a"}\n'.encode("utf-16")), "UTF-16", 3),
    Case("columns that fit nothing", data(row(a="1", b="2") + b"\n"), "columns", 2),
    Case("one row cannot be split", data(GOOD + b"\n"), "split", 3),
    Case("all rows the same", data((GOOD + b"\n") * 9), "split", 3),
    Case("prompt fills max_length", append(row(instruction="a b " * 200, input="", output="a")), "no trained token", 3),
    Case("messages without an answer", data(row(messages=[{"role": "user", "content": "a"}]) + b"\n"), "assistant", 3),
    Case("unknown role", data(row(messages=[{"role": "robot", "content": "a"}]) + b"\n"), "robot", 3),
    Case("truncated gzip", data(gzip.compress(GOOD * 999)[:60], "train.jsonl.gz"), "gz", 3),
    Case("not a gzip", data(GOOD, "train.jsonl.gz"), "gz", 3),
    Case("not a parquet", data(b"PAR1nonsense", "train.parquet"), "train.parquet", 2),
    Case("broken .json", data(b'[{"text": "a"}, ', "train.json"), "train.json", 2),
    Case("a mix of one source", replace("[data]", '[data]\nmix = "phi"'), "two sources", 2),
    Case("hub data set while offline", replace('path = "train.jsonl"', 'hub = "org/nothing"'), "org/nothing", 2),
    # the base
    Case("base that does not exist", replace('base = "base"', 'base = "./nothing"'), "nothing", 2),
    Case("hub base while offline", replace('base = "base"', 'base = "org/nothing"'), "org/nothing", 2),
    Case("unknown builtin", replace('base = "base"', 'base = "builtin:nothing"'), "builtin:phi-demo", 2),
    Case("base without a config", lambda f: (f / "base" / "config.json").unlink(), "config.json", 2),
    Case("base with a broken config", lambda f: (f / "base" / "config.json").write_text("{"), "config", 2),
    Case("base without weights", no_weights, "safetensors", 2),
    Case("base in a pickle", pickle_weights, "safetensors", 2),
    Case("base with truncated weights", truncated_weights, "base", 2),
    Case("base without a tokenizer", lambda f: [p.unlink() for p in (f / "base").glob("token*")], "tokenizer", 2),
    Case("base that wants to run code", remote_code, "code", 2),
    Case("a .gguf that is none", fake_gguf(b"not a gguf at all"), "base.gguf", 2),
    Case("a truncated .gguf", fake_gguf(b"GGUF" + struct.pack("<IQQ", 3, 5, 5)), "base.gguf", 2),
    # preflight
    Case("misspelt target", lambda f: None, "v_prj", 3,
         ("--replay", "toy.toml", "--set", 'lora.targets=["q_proj", "v_prj"]')),
    Case("longer than the context", replace("max_length = 64", "max_length = 100000"), "context", 3),
    Case("early stopping on nothing", replace("[data]", '[data]\nsplit = "none"'), "early_stopping", 3,
         ("--replay", "toy.toml", "--set", "train.early_stopping=2")),
    Case("fp16 without a GPU", setting('precision = "fp16"'), "fp16", 3),
    Case("flash attention without a GPU", replace("[model]", '[model]\nattention = "flash_attention_2"'), "flash", 3),
    Case("a tracker that is not installed", setting('report_to = ["trackio"]'), "pip install trackio", 3),
    Case("chat template that is not there", replace("[data]", '[data]\ntemplate = "chat"'), "no chat template", 3),
    Case("linked runs folder", linked_runs, "symbolic link", 2),
]  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    projects.make(folder)
    return folder


def test_the_table_is_long_enough_and_its_names_are_its_own() -> None:
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_bad_input(
    case: Case, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(good, folder)
    case.spoil(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*.toml")}
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # Read once, when the libraries are imported: another test may have done so.
    for name in ("huggingface_hub.constants.HF_HUB_OFFLINE", "datasets.config.HF_HUB_OFFLINE"):
        monkeypatch.setattr(name, True)
    code = main(list(case.args))
    out, err = capfd.readouterr()
    said = " ".join((out + err).split())
    assert code == case.code, said[-2000:]
    assert case.told in said, said[-2000:]
    assert "Traceback" not in said
    assert "internal error" not in said
    for path, content in before.items():
        assert path.read_bytes() == content
    left = [
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.endswith((".partial", ".tmp", ".old"))
    ]
    assert not left
    assert not list(folder.glob("runs/toy/2*")), "a refused project leaves no run"
    assert not (folder / "datasets" / "ready" / "toy" / "dataset_dict.json").exists() or case.code == 3


def test_an_unwritable_workspace_is_told(good: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--replay", str(good / "toy.toml"), "--workspace", str(tmp_path / "file" / "below")]) == 2
    assert "folder cannot be made" in capfd.readouterr().err


def test_too_little_disk_is_refused_before_training(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(good, tmp_path / "work")
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert main(["--replay", str(tmp_path / "work" / "toy.toml")]) == 3
    assert "too little disk" in capfd.readouterr().err


def test_a_second_run_of_a_project_says_who_holds_it(
    good: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from phi_tui import run
    from phi_tui.workspace import Workspace, make_folder

    shutil.copytree(good, tmp_path / "work")
    runs = Workspace(tmp_path / "work").runs("toy")
    make_folder(runs)
    with run.lock(runs / ".lock", "a run of toy"):
        assert main(["--replay", str(tmp_path / "work" / "toy.toml")]) == 3
    assert f"process {os.getpid()}" in capfd.readouterr().err


def test_bad_rows_are_left_out_counted_and_named_when_asked(
    good: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(good, folder)
    append(b'{"instruction": "a", ')(folder)
    append(row(instruction="a", input="", output=5))(folder)
    assert main(["prepare", str(folder / "toy.toml"), "--set", "data.skip_bad=true", "--json"]) == 0
    out, err = capfd.readouterr()
    figures = json.loads(out.splitlines()[-1])
    assert figures["train_rows"] + figures["validation_rows"] == 40
    assert "train.jsonl:41" in err
    assert "train.jsonl:42" in err
    named = [json.loads(line) for line in (folder / "datasets/raw/toy/findings.jsonl").read_text().splitlines()]
    assert {finding["line"] for finding in named if finding["severity"] == "error"} == {41, 42}


def test_hostile_text_in_a_message_is_made_visible(
    good: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["--replay", str(tmp_path / "\x1b]52;c;aGk=\x07.toml")]) == 2
    err = capfd.readouterr().err
    assert "\x1b" not in err
    assert "\x07" not in err
