"""The list of models: what is found and where, what its files say, and that nothing broken stops it."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_bases

from phi_tui.engine import hub
from phi_tui.engine.curated import curated
from phi_tui.engine.model_facts import of_folder
from phi_tui.engine.model_list import LocalModel, find, fits, interrupted, local_models
from phi_tui.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bases.make("llama", tmp_path_factory.mktemp("base"), chat=True)


def copy(source: Path, target: Path, **changed: bytes | None) -> Path:
    target.mkdir(parents=True)
    for path in source.iterdir():
        data = changed.get(path.name.replace(".", "_"), path.read_bytes())
        if data is not None:
            (target / path.name).write_bytes(data)
    return target


def downloaded(source: Path, models: Path, repo: str) -> Path:
    folder = copy(source, hub.folder_of(repo, models))
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    manifest = {"id": repo, "revision": "a" * 40, "asked": "", "files": sizes}
    (folder / hub.MANIFEST).write_text(json.dumps(manifest))
    return folder


def titled(root: Path) -> dict[str, LocalModel]:
    return {model.title: model for model in local_models(root)}


def test_the_embedded_base_is_always_there_with_its_facts(tmp_path: Path) -> None:
    (model,) = local_models(tmp_path / "not-there")
    assert (model.base, model.kind, model.parameters, model.licence) == (
        "builtin:phi-demo", "builtin", 2_828_736, "apache-2.0",
    )  # fmt: skip
    assert (model.context, model.architecture, model.layers, model.hidden, model.vocab) == (512, "llama", 6, 192, 2048)
    assert (model.chat, model.tied, model.problem) == (False, True, "")


@pytest.mark.parametrize("kind", tiny_bases.KINDS)
def test_facts_read_by_hand_are_the_models_own(kind: tiny_bases.Kind, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    facts = of_folder(tiny_bases.make(kind, tmp_path / kind))
    model = AutoModelForCausalLM.from_pretrained(str(tmp_path / kind))
    assert facts.parameters == model.num_parameters()
    assert facts.vocab == model.get_input_embeddings().weight.shape[0]
    assert (facts.layers, facts.hidden, facts.context) == (2, tiny_bases.HIDDEN, tiny_bases.CONTEXT)
    assert facts.tied == bool(model.config.tie_word_embeddings)


def test_masks_that_old_checkpoints_carry_are_no_parameters(tmp_path: Path) -> None:
    header = json.dumps(
        {
            "h.0.attn.bias": {"dtype": "U8", "shape": [1, 1, 4, 4], "data_offsets": [0, 16]},
            "h.0.attn.c_attn.bias": {"dtype": "F32", "shape": [3], "data_offsets": [16, 28]},
        }
    ).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(28))
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "vocab.json").write_text("{}")
    assert of_folder(tmp_path).parameters == 3


def test_every_place_is_searched(base: Path, cache: Path, tmp_path: Path) -> None:
    downloaded(base, tmp_path / "models", "org/whole")
    copy(base, tmp_path / "models" / f"tiny-{'0' * 12}")
    copy(base, tmp_path / "mine")
    copy(base, tmp_path / "shelf" / "deep")
    copy(base, tmp_path / "shelf" / "deep" / "too-deep")
    copy(base, tmp_path / "runs" / "toy" / "not-a-base")
    tiny_bases.make_gguf(tmp_path / "tiny.gguf")
    snapshots = cache / "models--org--cached" / "snapshots"
    copy(base, snapshots / "0ld")
    wanted = copy(base, snapshots / "1new")
    (cache / "models--org--cached" / "refs").mkdir()
    (cache / "models--org--cached" / "refs" / "main").write_text("1new")
    copy(base, snapshots / "2side-branch")
    found = titled(tmp_path)
    assert {title: model.kind for title, model in found.items()} == {
        "phi-demo": "builtin", "org/whole": "hub", "tiny (converted)": "gguf", "mine": "folder",
        "shelf/deep": "folder", "tiny.gguf": "gguf", "org/cached": "cache",
    }  # fmt: skip
    assert found["org/whole"].base == "org/whole"
    assert found["org/cached"].base == str(wanted)
    assert found["mine"].base == str(tmp_path / "mine")
    assert all(model.chat for title, model in found.items() if title != "phi-demo")
    assert {model.parameters for title, model in found.items() if title not in ("phi-demo", "tiny.gguf")} == {
        found["mine"].parameters
    }


def test_each_listed_base_resolves_without_a_network(
    base: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phi_tui import schema
    from phi_tui.engine import bases

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    downloaded(base, tmp_path / "models", "org/whole")
    copy(base, tmp_path / "mine")
    copy(base, cache / "models--org--cached" / "snapshots" / "1new")
    elsewhere = tmp_path / "project"
    for model in local_models(tmp_path):
        assert bases.resolve(schema.Model(base=model.base), elsewhere, tmp_path / "models").folder == model.place


def test_a_gguf_file_tells_its_facts_without_being_loaded(tmp_path: Path) -> None:
    file = tiny_bases.make_gguf(tmp_path / "tiny.gguf")
    model = titled(tmp_path)["tiny.gguf"]
    assert (model.architecture, model.layers, model.hidden, model.context) == ("llama", 1, 32, 256)
    assert (model.chat, model.tied, model.bytes_on_disk) == (True, True, file.stat().st_size)
    embeddings = tiny_bases.HIDDEN * (model.vocab or 0)
    assert model.parameters == embeddings + 3 * 32 + 2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32


def test_a_download_without_weights_is_not_listed(base: Path, tmp_path: Path) -> None:
    folder = downloaded(base, tmp_path / "models", "org/config-only")
    (folder / "model.safetensors").unlink()
    manifest = json.loads((folder / hub.MANIFEST).read_text())
    del manifest["files"]["model.safetensors"]
    (folder / hub.MANIFEST).write_text(json.dumps(manifest))
    assert set(titled(tmp_path)) == {"phi-demo"}
    described = find("org/config-only", "", tmp_path, tmp_path / "models")
    assert (described.parameters, described.context, described.chat) == (None, 256, True)


def test_what_is_broken_is_listed_with_the_reason(base: Path, tmp_path: Path) -> None:
    weights = (base / "model.safetensors").read_bytes()
    copy(base, tmp_path / "cut", model_safetensors=weights[:-1])
    copy(base, tmp_path / "lying", model_safetensors=b"\xff" * 64)
    copy(base, tmp_path / "no-json", config_json=b"{" * 100_000)
    copy(base, tmp_path / "list", config_json=b"[1]")
    copy(base, tmp_path / "no-tokenizer", tokenizer_json=None)
    changed = downloaded(base, tmp_path / "models", "org/changed")
    (changed / "config.json").write_bytes(b"{}")
    (tmp_path / "cut.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 5, 5))
    (tmp_path / "empty.gguf").write_bytes(b"")
    hostile = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**63) + b"x"
    (tmp_path / "hostile.gguf").write_bytes(hostile)
    problems = {title: model.problem for title, model in titled(tmp_path).items() if title != "phi-demo"}
    assert set(problems) == {
        "cut", "lying", "no-json", "list", "no-tokenizer", "org/changed", "cut.gguf", "empty.gguf", "hostile.gguf",
    }  # fmt: skip
    assert "cut short" in problems["cut"] and "not a JSON object" in problems["list"]
    assert "no tokenizer" in problems["no-tokenizer"] and "changed" in problems["org/changed"]
    assert all(problems.values())


def test_other_models_and_odd_entries_are_left_out(base: Path, tmp_path: Path) -> None:
    config = json.loads((base / "config.json").read_bytes())
    for name, changed in {
        "encoder": {"architectures": ["BertForMaskedLM"]},
        "translator": {"is_encoder_decoder": True},
        "adapter": {"model_type": None},
    }.items():
        copy(base, tmp_path / name, config_json=json.dumps(config | changed).encode())
    os.mkfifo(tmp_path / "pipe.gguf")
    os.symlink(tmp_path, tmp_path / "round")
    (tmp_path / "dangling.gguf").symlink_to(tmp_path / "nowhere")
    (tmp_path / "models").write_text("a file where a folder belongs")
    assert set(titled(tmp_path)) == {"phi-demo"}


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_may_not_be_read_is_passed_over(base: Path, tmp_path: Path) -> None:
    closed = copy(base, tmp_path / "closed")
    closed.chmod(0)
    try:
        assert set(titled(tmp_path)) == {"phi-demo"}
    finally:
        closed.chmod(0o700)


def test_the_licence_is_the_curated_one_for_a_curated_base(base: Path, tmp_path: Path) -> None:
    known = curated()[0]
    downloaded(base, tmp_path / "models", known.id)
    assert titled(tmp_path)[known.id].licence == known.licence


def test_a_base_that_is_not_here_is_told(tmp_path: Path) -> None:
    for name in ("org/none", "nowhere", "./nowhere.gguf", "a\0b", "~nobody-at-all/x"):
        with pytest.raises(InputError, match="is not on this machine"):
            find(name, "", tmp_path, tmp_path / "models")


def test_fit_is_the_estimate_of_the_curated_list() -> None:
    for base in curated():
        fit = fits(base, 0)
        assert fit.lora is not None and fit.qlora is not None
        assert (round(fit.lora / 1e9, 1), round(fit.qlora / 1e9, 1)) == (base.lora_gb, base.qlora_gb)
        assert fits(base, fit.lora).lora_fits and not fits(base, fit.lora - 1).lora_fits
        assert fits(base, fit.qlora).qlora_fits and not fits(base, fit.qlora - 1).qlora_fits


def test_a_local_model_fits_as_the_same_curated_base_does() -> None:
    known = next(base for base in curated() if base.id == "HuggingFaceTB/SmolLM2-135M")
    facts: dict[str, Any] = {name: getattr(known, name) for name in ("parameters", "layers", "hidden", "vocab", "tied")}
    local = LocalModel(known.id, known.id, "hub", Path(), **facts)
    assert fits(local, 10**9) == fits(known, 10**9)
    assert fits(LocalModel("x", "x", "gguf", Path()), 10**9).lora_fits is None


def test_interrupted_downloads_are_listed_with_their_bytes_and_whether_one_is_at_it(tmp_path: Path) -> None:
    models = tmp_path / "models"
    staging = models / ".org--big-model.0123456789ab.partial"
    staging.mkdir(parents=True)
    (staging / "config.json").write_bytes(b"12")
    (staging / "model.safetensors.part").write_bytes(b"12345")
    (models / f".tiny-{'0' * 12}.abcd.partial").mkdir()  # a conversion that died is no download
    (found,) = interrupted(models)
    assert (found.base, found.revision, found.bytes, found.live) == ("org/big-model", "0123456789ab", 7, False)
    with hub.lock_of(hub.folder_of("org/big-model", models)).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert interrupted(models)[0].live
    assert interrupted(tmp_path / "none") == []


def test_listing_models_imports_nothing_heavy(base: Path, tmp_path: Path) -> None:
    copy(base, tmp_path / "mine")
    tiny_bases.make_gguf(tmp_path / "tiny.gguf")
    code = (
        "import sys; from pathlib import Path; from phi_tui.engine.model_list import *\n"
        "print(len([fits(m, 1) for m in local_models(Path(sys.argv[1]))]), interrupted(Path(sys.argv[1])))\n"
        "heavy = ('torch', 'transformers', 'huggingface_hub', 'numpy', 'gguf', 'safetensors', 'datasets', 'pyarrow')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(hub.__file__).parents[2])},
    )
    assert done.stdout.splitlines() == ["3 []", "[]"], done.stderr
