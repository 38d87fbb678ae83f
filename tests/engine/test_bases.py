"""Bases: what a project may name, what is refused before anything heavy happens, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import real_base
import tiny_bases

from phi_tui import schema
from phi_tui.engine import bases, gguf
from phi_tui.engine.curated import by_size, curated
from phi_tui.errors import InputError


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_bases.make("llama", tmp_path / "base")


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bases.make_gguf(tmp_path_factory.mktemp("gguf") / "tiny model.gguf")


def resolve(name: str, root: Path, **asked: Any) -> bases.Base:
    return bases.resolve(schema.Model(base=name), root, root / "models", **asked)


def edit(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_folder_is_found_from_the_project_s_own(base: Path, tmp_path: Path) -> None:
    assert resolve("base", tmp_path) == bases.Base("base", "folder", base, "")
    assert resolve(str(base), tmp_path / "elsewhere").folder == base


@pytest.mark.parametrize("kind", tiny_bases.KINDS)
def test_every_causal_architecture_is_taken(kind: tiny_bases.Kind, tmp_path: Path) -> None:
    tiny_bases.make(kind, tmp_path / kind)
    assert resolve(kind, tmp_path).kind == "folder"


def test_tiny_bases_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    one, two = (tiny_bases.make("gpt2", tmp_path / name, chat=True) for name in ("one", "two"))
    other = tiny_bases.make("gpt2", tmp_path / "other", chat=True, seed=1)
    assert bases.weights_hash(one) == bases.weights_hash(two) != bases.weights_hash(other)
    assert (one / "tokenizer.json").read_bytes() == (two / "tokenizer.json").read_bytes()


def test_the_hash_depends_on_names_and_contents(base: Path) -> None:
    before = bases.weights_hash(base)
    assert bases.Base("base", "folder", base, "").weights_hash() == before
    (base / "model.safetensors").rename(base / "model-00001-of-00001.safetensors")
    assert bases.weights_hash(base) != before


def test_an_unknown_builtin_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(InputError) as told:
        resolve("builtin:phi-dmo", tmp_path)
    assert "builtin:phi-demo" in told.value.fix


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "~/nowhere/x", "a/b/c", "weights.gguf"])
def test_a_path_that_does_not_exist_is_told_as_a_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        resolve(name, tmp_path)


def test_a_bare_name_suggests_the_curated_bases_that_read_alike(tmp_path: Path) -> None:
    with pytest.raises(InputError) as told:
        resolve("pythia-1.4", tmp_path)
    assert "EleutherAI/pythia-1.4b" in str(told.value)


def test_a_file_that_is_no_base_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="neither a folder nor a GGUF"):
        resolve("train.jsonl", tmp_path)


def test_a_folder_without_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no config\.json"):
        resolve("empty", tmp_path)


def test_an_adapter_is_not_taken_for_a_base(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="is an adapter"):
        resolve("adapter", tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "\ufffe", "[" * 100_000])
def test_a_broken_config_is_told(text: str, base: Path, tmp_path: Path) -> None:
    (base / "config.json").write_text(text)
    with pytest.raises(InputError, match="is broken"):
        resolve("base", tmp_path)


def test_a_config_with_impossible_values_is_told(base: Path, tmp_path: Path) -> None:
    edit(base, hidden_size="wide")
    with pytest.raises(InputError, match=r"cannot be read as a configuration: .*int"):
        resolve("base", tmp_path)


def test_pickled_weights_are_refused_with_the_reason(base: Path, tmp_path: Path) -> None:
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pickle can run any code"):
        resolve("base", tmp_path)
    assert resolve("base", tmp_path, weights=False).folder == base


def test_weights_that_are_missing_or_cut_short_are_refused(base: Path, tmp_path: Path) -> None:
    whole = (base / "model.safetensors").read_bytes()
    for length in (0, 4, 100, len(whole) - 1):
        (base / "model.safetensors").write_bytes(whole[:length])
        with pytest.raises(InputError, match="cut short"):
            resolve("base", tmp_path)
    (base / "model.safetensors").unlink()
    with pytest.raises(InputError, match="holds no weights"):
        resolve("base", tmp_path)


def test_a_shard_that_the_index_names_must_be_there(base: Path, tmp_path: Path) -> None:
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (base / "model.safetensors").rename(base / shards["a"])
    (base / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(InputError, match=r"00002-of-00002\.safetensors is missing"):
        resolve("base", tmp_path)


def test_a_tokenizer_is_needed_unless_it_is_not_asked_for(base: Path, tmp_path: Path) -> None:
    (base / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="holds no tokenizer"):
        resolve("base", tmp_path)
    assert resolve("base", tmp_path, tokenizer=False).folder == base


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]},
            "no causal language model but T5For",
        ),
        (
            {"model_type": "bert", "architectures": ["BertForMaskedLM"]},
            "no causal language model but BertForMaskedLM",
        ),
        ({"architectures": ["LlamaForSequenceClassification"]}, "no causal language model"),
        ({"is_encoder_decoder": True}, "no causal language model"),
        ({"model_type": "vit", "architectures": None}, "no causal language model but vit"),
        ({"model_type": "thing9"}, "'thing9' is unknown"),
        (
            {"model_type": "thing9", "auto_map": {"AutoConfig": "thing.Config"}},
            "code of a stranger is not run",
        ),
    ],
)
def test_what_is_no_causal_model_of_a_known_kind_is_refused(
    changes: dict[str, Any], said: str, base: Path, tmp_path: Path
) -> None:
    edit(base, **changes)
    with pytest.raises(InputError, match=said):
        resolve("base", tmp_path)


def test_code_beside_a_known_architecture_is_not_run(base: Path, tmp_path: Path) -> None:
    edit(base, auto_map={"AutoConfig": "trap.Trap", "AutoModelForCausalLM": "trap.Trap"})
    (base / "trap.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Trap: pass\n")
    assert resolve("base", tmp_path).folder == base
    assert not (tmp_path / "ran").exists()


def test_a_revision_belongs_to_the_hub_alone(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only a base on the Hub has a revision"):
        bases.resolve(schema.Model(base="base", revision="v1"), tmp_path, tmp_path / "models")


def test_curated_bases_are_plausible() -> None:
    listed = curated()
    assert len({base.id for base in listed}) == len(listed) >= 20
    assert [base.parameters for base in listed] == sorted(base.parameters for base in listed)
    for base in listed:
        assert 1e8 < base.parameters < 3.2e9
        # Embeddings, and in each layer at least queries and output of attention, hidden^2 each.
        assert base.parameters > base.vocab * base.hidden + 2 * base.layers * base.hidden**2
        assert base.why.endswith(".")
        assert base.lora_gb > 2 * base.parameters / 1e9
        assert 0.5 < base.qlora_gb <= base.lora_gb
    large = next(base for base in listed if base.id == "EleutherAI/gpt-neo-1.3B")
    assert large.qlora_gb < large.lora_gb < 8


@pytest.mark.parametrize(
    ("size", "first"),
    [
        ("125m", "EleutherAI/gpt-neo-125M"),
        ("1.3B", "EleutherAI/gpt-neo-1.3B"),
        ("160M", "EleutherAI/pythia-160m"),
        ("30b", "HuggingFaceTB/SmolLM3-3B"),
    ],
)
def test_a_size_finds_the_nearest_base_first(size: str, first: str) -> None:
    assert by_size(size)[0].id == first


@pytest.mark.parametrize("size", ["", "big", "0m", "1.3", "-1b", "1.3.1b", "nanb"])
def test_what_is_no_size_is_told(size: str) -> None:
    with pytest.raises(InputError, match="is no model size"):
        by_size(size)


def test_a_gguf_file_becomes_an_ordinary_folder_once(gguf_file: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    told: list[str] = []
    base = resolve(str(gguf_file), tmp_path, on_progress=told.append)
    digest = gguf.file_hash(gguf_file)
    assert (base.kind, base.revision) == ("gguf", digest)
    assert base.folder == tmp_path / "models" / f"tiny_model-{digest[:12]}"
    assert any("converting" in line for line in told)
    model = AutoModelForCausalLM.from_pretrained(str(base.folder), use_safetensors=True, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(str(base.folder), local_files_only=True)
    assert model.dtype == torch.bfloat16
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert getattr(model, "hf_quantizer", None) is None
    assert "quantization_config" not in (base.folder / "config.json").read_text()
    assert tokenizer.chat_template == tiny_bases.CHAT_TEMPLATE
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    text = "The capital of France: héllo <|im_end|>"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    told.clear()
    assert resolve(str(gguf_file), tmp_path, on_progress=told.append) == base
    assert told == []


def test_a_converted_model_gives_the_logits_of_the_file(gguf_file: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    gguf.convert(gguf_file, tmp_path / "converted")
    file = AutoModelForCausalLM.from_pretrained(str(gguf_file.parent), gguf_file=gguf_file.name, dtype=torch.float32)
    ours = AutoModelForCausalLM.from_pretrained(str(tmp_path / "converted"), dtype=torch.float32)
    tokens = torch.arange(40, 72).reshape(2, 16)
    with torch.no_grad():
        difference = (file(tokens).logits - ours(tokens).logits).abs().max()
    # Rounding to 8 bits of mantissa: 2^-9 relative, through two matrices.
    assert 0 < difference < 0.02 * file(tokens).logits.abs().max()


def test_a_file_with_another_content_is_another_base(tmp_path: Path) -> None:
    file = tmp_path / "base.gguf"
    folders = {resolve(str(tiny_bases.make_gguf(file, seed=seed)), tmp_path).folder for seed in (1, 2)}
    assert len(folders) == 2


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.3, 0.7, 0.999])
def test_a_gguf_file_cut_short_is_told_and_leaves_nothing(share: float, gguf_file: Path, tmp_path: Path) -> None:
    whole = gguf_file.read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"cut short|not a GGUF"):
        resolve("cut.gguf", tmp_path)
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())


def test_an_architecture_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(str(tmp_path / "odd.gguf"), "rwkv9")
    import numpy as np

    writer.add_tensor("x", np.zeros((2, 2), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(InputError, match="cannot be read: rwkv9"):
        resolve("odd.gguf", tmp_path)


@pytest.mark.slow
def test_a_real_converted_model_answers_a_question(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = resolve(str(real_base.gguf()), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(str(base.folder))
    model = AutoModelForCausalLM.from_pretrained(str(base.folder))
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**prompt, max_new_tokens=20, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer, skip_special_tokens=True) == "The capital of France is Paris."
