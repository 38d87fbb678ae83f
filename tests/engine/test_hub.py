"""Bases from the Hub, against a hub on the loopback interface: what is fetched, kept, resumed and told."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_bases
from loopback_hub import LoopbackHub

from phi_tui import schema
from phi_tui.engine import bases, download, hub
from phi_tui.errors import InputError

REPO = "org/tiny"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tiny_bases.make("llama", tmp_path_factory.mktemp("base"), chat=True)
    clutter = (
        "README.md",
        "pytorch_model.bin",
        "onnx/model.onnx",
        "model.fp16.safetensors",
        "run.py",
        "tiny.gguf",
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()} | dict.fromkeys(clutter, b"not wanted")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub() as running:
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr("time.sleep", lambda _: None)
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield running


def resolve(root: Path, revision: str = "", repo: str = REPO, **asked: Any) -> bases.Base:
    return bases.resolve(schema.Model(base=repo, revision=revision), root, root / "models", **asked)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_only_what_is_needed_is_fetched_and_the_commit_is_pinned(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    commit = server.add(REPO, files)
    told: list[str] = []
    base = resolve(tmp_path, on_progress=told.append)
    assert (base.kind, base.revision, base.folder) == ("hub", commit, tmp_path / "models" / "org--tiny")
    assert names(base.folder) == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "chat_template.jinja", "phi-tui.json",
    }  # fmt: skip
    assert names(tmp_path / "models") == {"org--tiny", ".org--tiny.lock"}
    assert any(line.startswith("model.safetensors: ") for line in told)
    AutoModelForCausalLM.from_pretrained(str(base.folder), use_safetensors=True, local_files_only=True)
    assert AutoTokenizer.from_pretrained(str(base.folder), local_files_only=True).chat_template


def test_a_complete_base_needs_no_network(server: LoopbackHub, files: dict[str, bytes], tmp_path: Path) -> None:
    commit = server.add(REPO, files)
    first = resolve(tmp_path)
    server.add(REPO, files | {"config.json": files["config.json"] + b"\n"})
    asked = len(server.requests)
    assert resolve(tmp_path) == resolve(tmp_path, commit) == first
    assert len(server.requests) == asked
    server.close()
    assert resolve(tmp_path) == first


def test_another_revision_replaces_the_base(server: LoopbackHub, files: dict[str, bytes], tmp_path: Path) -> None:
    old = server.add(REPO, files, tag="v1")
    new = server.add(REPO, files | {"generation_config.json": b"{}"})
    assert resolve(tmp_path).revision == new
    base = resolve(tmp_path, "v1")
    assert base.revision == old
    assert (base.folder / "generation_config.json").read_bytes() == files["generation_config.json"]
    downloads = len(server.downloads("model.safetensors"))
    assert resolve(tmp_path, "v1").revision == old
    assert len(server.downloads("model.safetensors")) == downloads
    server.close()
    assert resolve(tmp_path, "v1").revision == resolve(tmp_path, old[:8]).revision == old
    with pytest.raises(InputError, match="is not complete on this machine"):
        resolve(tmp_path, "main")


def test_parts_join_at_one_commit(server: LoopbackHub, files: dict[str, bytes], tmp_path: Path) -> None:
    commit = server.add(REPO, files)
    base = resolve(tmp_path, weights=False)
    assert "model.safetensors" not in names(base.folder)
    server.add(REPO, files | {"tokenizer_config.json": b"{}"})
    base = resolve(tmp_path)
    assert base.revision == commit
    assert "model.safetensors" in names(base.folder)
    assert len(server.downloads("tokenizer.json")) == 1
    assert (base.folder / "tokenizer_config.json").read_bytes() == files["tokenizer_config.json"]


def test_weights_alone_come_without_a_tokenizer(server: LoopbackHub, files: dict[str, bytes], tmp_path: Path) -> None:
    server.add(REPO, files)
    base = resolve(tmp_path, tokenizer=False)
    assert names(base.folder) == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "phi-tui.json",
    }


def test_sharded_weights_come_with_their_index(server: LoopbackHub, files: dict[str, bytes], tmp_path: Path) -> None:
    shard = "model-00001-of-00001.safetensors"
    index = json.dumps({"weight_map": {"lm_head.weight": shard}}).encode()
    sharded = {name: data for name, data in files.items() if name != "model.safetensors"}
    server.add(REPO, sharded | {shard: files["model.safetensors"], "model.safetensors.index.json": index})
    assert {shard, "model.safetensors.index.json"} <= names(resolve(tmp_path).folder)


def test_a_cut_connection_goes_on_where_it_stopped(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_CHUNK", 1024)
    server.add(REPO, files)
    server.cut("model.safetensors", 50_000)
    base = resolve(tmp_path)
    assert (base.folder / "model.safetensors").read_bytes() == files["model.safetensors"]
    first, second = server.downloads("model.safetensors")
    assert first.range == ""
    assert 40_000 < int(second.range.removeprefix("bytes=").removesuffix("-")) <= 50_000


def test_a_download_that_failed_is_taken_up_by_the_next_process(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_CHUNK", 1024)
    server.add(REPO, files)
    server.cut("model.safetensors", 50_000)
    server.cut("model.safetensors", 0, times=5)
    with pytest.raises(InputError, match="cannot be fetched"):
        resolve(tmp_path)
    assert not (tmp_path / "models" / "org--tiny").exists()
    before = len(server.downloads("model.safetensors"))
    script = (
        "import sys; from pathlib import Path; from phi_tui.engine import hub\n"
        "print(hub.fetch('org/tiny', Path(sys.argv[1]))[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "models")],
        env=server.environment(tmp_path / "home") | {"PYTHONPATH": str(Path(hub.__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (request,) = server.downloads("model.safetensors")[before:]
    assert request.range.startswith("bytes=") and request.range != "bytes=0-"
    whole = tmp_path / "models" / "org--tiny" / "model.safetensors"
    assert whole.read_bytes() == files["model.safetensors"]
    assert len(server.downloads("tokenizer.json")) == 1


def test_a_listener_hears_the_bytes_of_all_files_together(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_CHUNK", 1024)
    server.add(REPO, files)
    lines: list[str] = []
    heard: list[tuple[str, int, int]] = []
    listener = download.Listener(lines.append, lambda *told: heard.append(told), lambda: None)
    base = resolve(tmp_path, on_progress=listener)
    total = sum(path.stat().st_size for path in base.folder.iterdir() if path.name != "phi-tui.json")
    done = [here for _, here, _ in heard]
    assert done == sorted(done) and done[-1] == total
    assert {whole for _, _, whole in heard} == {total}
    assert heard[-1][0] == "model.safetensors" and len(heard) > 50
    assert any(line.startswith("model.safetensors: ") for line in lines)


def test_a_listener_that_raises_ends_the_download_and_what_came_is_kept(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unwanted(Exception):
        pass

    def enough(file: str, done: int, total: int) -> None:
        if file == "model.safetensors" and done > total // 2:
            raise Unwanted

    monkeypatch.setattr(download, "_CHUNK", 1024)
    server.add(REPO, files)
    with pytest.raises(Unwanted):
        resolve(tmp_path, on_progress=download.Listener(lambda line: None, enough, lambda: None))
    assert not (tmp_path / "models" / "org--tiny").exists()
    heard: list[int] = []
    listener = download.Listener(lambda line: None, lambda file, done, total: heard.append(done), lambda: None)
    base = resolve(tmp_path, on_progress=listener)
    assert (base.folder / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert heard[0] > sum(path.stat().st_size for path in base.folder.iterdir()) // 3
    assert server.downloads("model.safetensors")[-1].range.startswith("bytes=")
    assert len(server.downloads("tokenizer.json")) == 1


def test_waiting_for_another_process_is_told_and_can_be_ended(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    class Unwanted(Exception):
        pass

    def unwanted() -> None:
        raise Unwanted

    server.add(REPO, files)
    folder = hub.folder_of(REPO, tmp_path / "models")
    folder.parent.mkdir()
    lines: list[str] = []
    with hub.lock_of(folder).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Unwanted):
            resolve(tmp_path, on_progress=download.Listener(lines.append, lambda *told: None, unwanted))
    assert lines == ["another process fetches this base; waiting for it"]
    assert server.downloads("config.json") == []
    assert resolve(tmp_path).folder == folder


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_damaged_file_is_thrown_away(name: str, server: LoopbackHub, files: dict[str, bytes], tmp_path: Path) -> None:
    server.add(REPO, files)
    server.damaged.add(name)
    with pytest.raises(InputError, match="arrived damaged"):
        resolve(tmp_path)
    assert not (tmp_path / "models" / "org--tiny").exists()
    server.damaged.clear()
    assert (resolve(tmp_path).folder / name).read_bytes() == files[name]


def test_a_file_that_was_cut_on_disk_is_fetched_again(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    server.add(REPO, files)
    base = resolve(tmp_path)
    (base.folder / "model.safetensors").write_bytes(b"short")
    assert (resolve(tmp_path).folder / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_a_missing_model_names_those_that_read_alike(server: LoopbackHub, tmp_path: Path) -> None:
    with pytest.raises(InputError) as told:
        resolve(tmp_path, repo="EleutherAI/gpt-neo-1.3")
    assert "there is no model EleutherAI/gpt-neo-1.3" in told.value.what
    assert "did you mean EleutherAI/gpt-neo-1.3B" in told.value.what
    assert not (tmp_path / "models").exists()


def test_a_missing_revision_is_told(server: LoopbackHub, files: dict[str, bytes], tmp_path: Path) -> None:
    server.add(REPO, files)
    with pytest.raises(InputError, match="has no revision 'v9'"):
        resolve(tmp_path, "v9")


def test_a_gated_model_says_how_to_get_in_and_opens_to_the_token(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(REPO, files, token="hf_secret")
    for token in ("", "hf_other"):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(InputError) as told:
            resolve(tmp_path)
        assert "is gated" in told.value.what and "hf auth login" in told.value.fix
        assert "hf_other" not in str(told.value)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    base = resolve(tmp_path)
    assert server.requests[-1].authorization == "Bearer hf_secret"
    assert all(b"hf_secret" not in path.read_bytes() for path in base.folder.iterdir())


@pytest.mark.parametrize("how", ["offline", "refused"])
def test_without_a_network_the_message_says_how_to_bring_the_base(
    how: str, server: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "offline":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    server.close()
    with pytest.raises(InputError) as told:
        resolve(tmp_path)
    assert "is not complete on this machine" in told.value.what
    assert str(tmp_path / "models" / "org--tiny") in told.value.fix
    assert server.requests == []


def test_offline_takes_what_is_there(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = server.add(REPO, files, tag="v1")
    resolve(tmp_path, "v1", weights=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve(tmp_path, "v1", weights=False).revision == commit
    with pytest.raises(InputError, match="offline mode is on"):
        resolve(tmp_path, "v1")
    with pytest.raises(InputError, match="offline mode is on"):
        resolve(tmp_path, "v2", weights=False)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model.safetensors": None, "tiny.gguf": None}, "pickle can run any code"),
        ({"model.safetensors": None, "pytorch_model.bin": None}, "GGUF files only"),
        ({"config.json": None}, r"holds no config\.json"),
        ({"config.json": b'{"model_type": "t5"}'}, "no causal language model"),
        ({"config.json": b'{"model_type": "x", "auto_map": {"AutoConfig": "x.X"}}'}, "code of a stranger"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_its_weights_come(
    changed: dict[str, bytes | None], said: str, server: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    held = files | changed
    server.add(REPO, {name: data for name, data in held.items() if data is not None})
    with pytest.raises(InputError, match=said):
        resolve(tmp_path)
    assert server.downloads("model.safetensors") == server.downloads("pytorch_model.bin") == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_full_disk_is_told_before_it_is_full(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    server.add(REPO, files)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(InputError, match="No space left"):
        resolve(tmp_path)
    assert server.downloads("config.json") == []


def test_a_data_set_streams_from_the_loopback_hub(server: LoopbackHub, tmp_path: Path) -> None:
    rows = b"".join(json.dumps({"prompt": f"q{row}"}).encode() + b"\n" for row in range(50))
    server.add("org/rows", {"train.jsonl": rows}, kind="datasets", tag="v1")
    script = (
        "from datasets import load_dataset\n"
        "rows = load_dataset('org/rows', split='train', streaming=True, revision='v1')\n"
        "print(sum(1 for row in rows if row['prompt'].startswith('q')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=server.environment(tmp_path / "home"),
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "50", done.stderr


def test_joining_more_of_a_base_keeps_the_name_it_was_asked_for_by(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(REPO, files, tag="v1")
    resolve(tmp_path, "v1", weights=False)
    resolve(tmp_path)  # the weights, under no name
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve(tmp_path, "v1").revision  # still known as v1


def test_what_killed_processes_left_is_cleaned_up_once_it_is_old(
    server: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    forgotten, young, other, held_now = (
        models / f".{name}.{commit * 12}.partial"
        for name, commit in (("org--one", "a"), ("org--two", "b"), ("org--notours", "c"), ("org--busy", "d"))
    )
    other = other.with_name(".something-else.partial")
    for folder in (forgotten, young, other, held_now):
        folder.mkdir(parents=True)
        (folder / "model.safetensors.part").write_bytes(b"half")
    old = time.time() - hub.STALE_SECONDS - 60
    for folder in (forgotten, other, held_now):
        for path in (folder / "model.safetensors.part", folder):
            os.utime(path, (old, old))
    replaced, put_aside = models / ".org--kept.old", models / ".org--lost.old"
    (models / "org--kept").mkdir()
    for folder in (replaced, put_aside):
        folder.mkdir()
    server.add(REPO, files)
    with hub.lock_of(models / "org--busy").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        resolve(tmp_path)
    assert not forgotten.exists() and not replaced.exists() and not put_aside.exists()
    assert young.exists() and other.exists() and held_now.exists()
    assert (models / "org--kept").is_dir() and (models / "org--lost").is_dir()
