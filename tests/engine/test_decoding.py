"""Generation on a CPU: prompts through oneDNN, single tokens through torch's own product where that is faster."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from phi_tui.engine import decoding

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


def _model(dtype: torch.dtype, *, adapted: bool = False) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=99,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config).to(dtype)
    if adapted:
        model = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    return model.eval()


def _enabled_in_each_pass(model: Any) -> list[tuple[int, bool]]:
    """(tokens, whether oneDNN was on) of each forward pass of a short answer."""
    found: list[tuple[int, bool]] = []

    def note(module: Any, given: Any, named: Any) -> None:
        hidden = given[0] if given else named["hidden_states"]
        found.append((hidden.shape[1], torch.backends.mkldnn.enabled))

    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    inner.model.layers[0].register_forward_pre_hook(note, with_kwargs=True)
    with torch.inference_mode(), decoding.one_row_at_a_time(model):
        ids = torch.tensor([[1, 2, 3]])
        mask = torch.ones_like(ids)
        model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=3, min_new_tokens=3, pad_token_id=0)
    return found


@pytest.mark.parametrize("adapted", [False, True])
def test_only_single_tokens_take_the_other_way(monkeypatch: pytest.MonkeyPatch, adapted: bool) -> None:
    monkeypatch.setattr(decoding, "_measured", lambda weights: True)
    model = _model(torch.bfloat16, adapted=adapted)
    assert _enabled_in_each_pass(model) == [(3, True), (1, False), (1, False)]
    assert torch.backends.mkldnn.enabled


@pytest.mark.parametrize(("dtype", "faster"), [(torch.float32, True), (torch.bfloat16, False)])
def test_nothing_changes_where_it_does_not_pay(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, faster: bool
) -> None:
    monkeypatch.setattr(decoding, "_measured", lambda weights: faster)
    assert all(enabled for _, enabled in _enabled_in_each_pass(_model(dtype)))


def test_an_error_on_the_way_leaves_the_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_measured", lambda weights: True)
    model = _model(torch.bfloat16)
    with pytest.raises(RuntimeError), torch.inference_mode(), decoding.one_row_at_a_time(model):
        model(input_ids=torch.tensor([[1]]))
        assert not torch.backends.mkldnn.enabled
        raise RuntimeError
    assert torch.backends.mkldnn.enabled
    model(input_ids=torch.tensor([[1]]))
    assert torch.backends.mkldnn.enabled


def test_both_ways_are_as_near_to_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_measured", lambda weights: True)
    model, ids = _model(torch.bfloat16), torch.tensor([[7]])
    with torch.inference_mode():
        truth = _model(torch.bfloat16).double()(input_ids=ids).logits
        plain = model(input_ids=ids).logits.double()
        with decoding.one_row_at_a_time(model):
            other = model(input_ids=ids).logits.double()
    assert (other - truth).abs().max() < 2 * (plain - truth).abs().max() + 1e-3


def test_what_is_faster_is_measured_once_a_model_on_its_own_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    def counted(weights: list[Any]) -> bool:
        measured.append(len(weights))
        return real(weights)

    real = decoding._measured
    monkeypatch.setattr(decoding, "_measured", counted)
    model = _model(torch.bfloat16)
    first = decoding._is_faster(model)
    assert decoding._is_faster(model) is first
    assert measured == [1 + 2 * 5]  # the head; of each layer q, o, gate, up, down: k and v are too small
    assert torch.backends.mkldnn.enabled
    decoding._is_faster(_model(torch.bfloat16))
    assert len(measured) == 2
