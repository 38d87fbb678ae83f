"""Which layers an adapter goes on: checked against what the adapter library itself does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_bases

from phi_tui.engine import targets
from phi_tui.errors import InputError, Refusal

EXPECTED = {
    "gpt_neo": {"q_proj", "k_proj", "v_proj", "out_proj", "c_fc", "c_proj"},
    "gpt_neox": {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"},
    "gpt2": {"c_attn", "c_proj", "c_fc"},
    "llama": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
    "opt": {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2", "project_in", "project_out"},
    "qwen2": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {kind: tiny_bases.make(kind, root / kind) for kind in tiny_bases.KINDS}


def adapted(folder: Path, names: list[str], rank: int) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(folder))
    return get_peft_model(
        model,
        LoraConfig(r=rank, target_modules=names, fan_in_fan_out=targets.fan_in_fan_out(model), task_type="CAUSAL_LM"),
    )


@pytest.mark.parametrize("kind", tiny_bases.KINDS)
def test_all_linear_is_every_linear_layer_but_the_head(folders: dict[str, Path], kind: str) -> None:
    assert set(targets.linear_targets(targets.skeleton(folders[kind]))) == EXPECTED[kind]


@pytest.mark.parametrize("kind", tiny_bases.KINDS)
def test_all_linear_adapts_the_same_modules_as_the_adapter_library(folders: dict[str, Path], kind: str) -> None:
    names = targets.linear_targets(targets.skeleton(folders[kind]))
    ours = adapted(folders[kind], names, 4)
    theirs = adapted(folders[kind], "all-linear", 4)  # type: ignore[arg-type]
    assert set(ours.state_dict()) == set(theirs.state_dict())


@pytest.mark.parametrize("kind", tiny_bases.KINDS)
def test_the_count_from_shapes_equals_the_adapter_that_is_made(folders: dict[str, Path], kind: str) -> None:
    skeleton = targets.skeleton(folders[kind])
    names = targets.linear_targets(skeleton)
    assert all(parameter.is_meta for parameter in skeleton.parameters())
    trained, _ = adapted(folders[kind], names, 5).get_nb_trainable_parameters()
    assert targets.trainable_parameters(skeleton, names, 5) == trained


def test_overlapping_names_are_counted_once(folders: dict[str, Path]) -> None:
    model = targets.skeleton(folders["llama"])
    once = targets.trainable_parameters(model, ["q_proj"], 8)
    assert targets.trainable_parameters(model, ["q_proj", "layers.0.self_attn.q_proj"], 8) == once > 0


def test_only_gpt2_keeps_its_weights_transposed(folders: dict[str, Path]) -> None:
    transposed = {kind for kind, folder in folders.items() if targets.fan_in_fan_out(targets.skeleton(folder))}
    assert transposed == {"gpt2"}


def test_names_may_be_leaf_suffix_or_full(folders: dict[str, Path]) -> None:
    model = targets.skeleton(folders["llama"])
    names = ("q_proj", "self_attn.v_proj", "model.layers.1.mlp.up_proj")
    assert targets.resolve(model, names) == list(names)
    assert targets.resolve(model, "all-linear") == targets.linear_targets(model)


def test_a_misspelt_name_is_refused_although_another_matches(folders: dict[str, Path]) -> None:
    with pytest.raises(Refusal) as refused:
        targets.resolve(targets.skeleton(folders["llama"]), ("q_proj", "v_porj"))
    assert "'v_porj', did you mean 'v_proj'" in refused.value.what
    assert "'q_proj'" not in refused.value.what
    assert "gate_proj" in refused.value.fix


def test_a_part_of_a_name_matches_nothing(folders: dict[str, Path]) -> None:
    with pytest.raises(Refusal, match="matches no linear layer"):
        targets.resolve(targets.skeleton(folders["llama"]), ("proj",))


@pytest.mark.parametrize("name", ["embed_tokens", "mlp", "layers.0"])
def test_a_name_of_something_that_is_not_linear_is_refused(folders: dict[str, Path], name: str) -> None:
    with pytest.raises(Refusal, match="it names a"):
        targets.resolve(targets.skeleton(folders["llama"]), (name,))


def test_a_tied_head_is_refused_and_a_free_one_is_not(folders: dict[str, Path]) -> None:
    with pytest.raises(Refusal, match="input embeddings"):
        targets.resolve(targets.skeleton(folders["qwen2"]), ("q_proj", "lm_head"))
    assert targets.resolve(targets.skeleton(folders["llama"]), ("lm_head",)) == ["lm_head"]


def test_a_leaf_name_shared_with_something_else_gives_full_names() -> None:
    import torch

    class Inner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = torch.nn.Linear(2, 3)

    class Outer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = Inner()
            self.mix = torch.nn.LayerNorm(2)
            self.other = torch.nn.Linear(2, 2)

    model = Outer()
    assert targets.linear_targets(model) == ["first.mix", "other"]
    with pytest.raises(Refusal, match="also matches 'mix'"):
        targets.resolve(model, ("mix",))


def test_a_configuration_that_makes_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama", "hidden_size": 30, "num_attention_heads": 4}')
    with pytest.raises(InputError, match=r"cannot be built.*not a multiple"):
        targets.skeleton(tmp_path)
