"""What was copied out of a mapped file of weights lies in memory once."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from phi_tui.engine import mapped
from phi_tui.engine.batching import _fused

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which pages of a file are in memory")


def _resident(name: str) -> int:
    """Bytes of mapped files whose path ends in `name` that are in memory."""
    regions = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text("utf-8"))
    found = [region for region in regions if region.partition("\n")[0].endswith(name)]
    return sum(1024 * int(size) for region in found for size in re.findall(r"(?m)^Rss:\s+(\d+) kB", region))


def test_weights_that_were_joined_leave_the_mapped_file_and_the_rest_stays(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2}
    LlamaForCausalLM(LlamaConfig(num_hidden_layers=2, vocab_size=99, **shape)).save_pretrained(tmp_path)
    model = LlamaForCausalLM.from_pretrained(tmp_path, use_safetensors=True)
    copies = {name: weight.clone() for name, weight in model.named_parameters()}  # which reads every page
    joined = sum(copies[name].nbytes for name in copies if re.search("[qkv]_proj|gate|up_proj", name))
    if _resident(".safetensors") < joined:
        pytest.skip("this version of the library reads weights and does not map them")
    before = _resident(".safetensors")
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    _fused(adapted)
    assert before - _resident(".safetensors") > 0.9 * joined
    for name, weight in adapted.get_base_model().named_parameters():
        if "lora_" not in name:
            assert torch.equal(weight, copies[name.replace(".base_layer", "")]), name
    assert before - _resident(".safetensors") > 0.9 * joined, "their neighbours, read again, brought them back"


def test_what_is_no_mapped_file_is_left_alone() -> None:
    weights = torch.full((1 << 20,), 7.0)
    assert mapped.let_go([(weights.data_ptr(), weights.nbytes), (0, 1 << 20)]) == 0
    assert bool((weights == 7.0).all())
