"""Memory is estimated from the model as it is, measured by a step that changes nothing, and refused where it lacks."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import projects
import pytest
import real_base
import tiny_bases

from phi_tui import project
from phi_tui.engine import device as devices
from phi_tui.engine import gguf, head, loading, loss, measured, memory, memory_trace, pipeline, targets
from phi_tui.engine.checkpoints import sha256
from phi_tui.errors import Refusal
from phi_tui.schema import Project
from phi_tui.workspace import Workspace

SHAPE = memory.Shape(135_000_000, 2_000_000, 30, 576, 1536, 49_152)


def weights(figures: dict[str, Any]) -> str:
    return sha256(Path(figures["adapter"]) / "adapter_model.safetensors")


def traced(folder: Path, settings: dict[str, Any] | None = None, **more: Any) -> memory_trace.Trace:
    made = Project(name="x", **(settings or {}))
    skeleton = targets.skeleton(folder)
    names = [] if made.train.method == "full" else targets.resolve(skeleton, made.lora.targets)
    found = memory_trace.trace(skeleton, made, names, None, "float32", "fp32", **more)
    assert found is not None
    return found


def kept(folder: Path, rows: int, length: int) -> int:
    """Bytes that autograd really keeps for the layers' backward pass: every saved storage once, weights left out."""
    import torch

    from phi_tui.engine import adapting

    base = loading.base(folder, torch.float32)
    names = targets.resolve(base, "all-linear")
    model = adapting.ready(base, Project(name="x"), names, None, "").train()
    held = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    seen: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            seen[storage.data_ptr()] = storage  # kept alive, so that no address comes twice
        return tensor

    inner = model.get_base_model()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        ids = torch.ones(rows, length, dtype=torch.long)
        getattr(inner, inner.base_model_prefix)(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return sum(storage.nbytes() for storage in seen.values())


@pytest.mark.parametrize("kind", tiny_bases.KINDS)
def test_what_the_walk_finds_is_what_autograd_keeps(tmp_path: Path, kind: tiny_bases.Kind) -> None:
    folder = tiny_bases.make(kind, tmp_path / "base", layers=4)
    found = traced(folder)
    for rows, length in ((1, 200), (3, 120)):
        estimated = found.outside.at(rows, length) + 4 * found.layer.at(rows, length)
        assert estimated == pytest.approx(kept(folder, rows, length), rel=0.05)


@pytest.mark.parametrize("longest", [64, 400])
def test_what_a_pack_keeps_is_what_its_layers_write_down(tmp_path: Path, longest: int) -> None:
    folder = tiny_bases.make("llama", tmp_path / "base")
    found = traced(folder, {"lora": {"dropout": 0.0}}, packed=True, longest=longest)
    config = loading.config(folder)
    wide, low = config.hidden_size, config.num_key_value_heads * config.head_dim
    numbers = wide + (wide + 2 * low) + wide + wide + 2 * config.intermediate_size  # x, qkv, attended, h, gate and up
    numbers += 2 + 7 * Project(name="x").lora.rank  # two norms, and what each adapter's A makes
    assert found.packed
    assert found.layer.each_token == pytest.approx(4 * numbers, rel=0.02)
    assert found.layer.each_pair == pytest.approx(0, abs=0.5), "attention's probabilities are computed again"
    padded = traced(folder)
    assert not padded.packed
    assert found.layer.each_token < padded.layer.each_token


def test_eager_attention_is_seen_to_grow_with_the_square_of_the_length(tmp_path: Path) -> None:
    eager = traced(tiny_bases.make("gpt_neo", tmp_path / "neo"))
    flash = traced(tiny_bases.make("llama", tmp_path / "llama"))
    assert eager.layer.each_pair >= 4 * 4  # four heads, fp32
    assert flash.layer.each_pair == 0
    assert flash.mask == 4


def test_a_longer_row_a_larger_batch_and_a_larger_rank_take_more(tmp_path: Path) -> None:
    folder = tiny_bases.make("llama", tmp_path / "base")
    shape = replace(SHAPE, trace=traced(folder))

    def total(batch: int, length: int, **more: Any) -> int:
        return memory.estimate(shape, batch, length, 4, **{"checkpointing": False} | more).total

    assert total(1, 100) < total(2, 100) < total(2, 200)
    assert total(4, 200, checkpointing=True) < total(4, 200)
    assert total(4, 200) < total(4, 200, padded=True)
    wide = traced(folder, {"lora": {"rank": 256}})
    assert wide.layer.at(1, 100) > shape.trace.layer.at(1, 100)  # type: ignore[union-attr]


def test_an_architecture_that_cannot_be_walked_through_is_estimated_by_formula(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("data-dependent")

    monkeypatch.setattr(memory_trace, "_model", broken)
    monkeypatch.setattr(memory_trace, "_traces", {})
    job = pipeline.ready(project.load(projects.make(tmp_path)), tmp_path, Workspace(tmp_path), lambda *_, **__: None)
    assert job.shape.trace is None
    assert job.plan.memory.activations > 0


def test_evaluation_counts_where_it_holds_more_than_a_step() -> None:
    step = memory.estimate(SHAPE, 1, 64, 2, checkpointing=False)
    both = memory.estimate(SHAPE, 1, 64, 2, checkpointing=False, evaluates=64)
    assert both.total > step.total
    assert "evaluation" in both.parts() and "activations" not in both.parts()
    assert sum(both.parts().values()) == both.total
    assert sum(step.parts().values()) == step.total


def test_logits_in_blocks_do_not_grow_with_the_vocabulary_times_the_tokens() -> None:
    plain, blocks = SHAPE, replace(SHAPE, in_blocks=True)
    assert memory.logit_bytes(blocks, 100) == memory.logit_bytes(plain, 100)
    assert memory.logit_bytes(blocks, 8192) < memory.logit_bytes(plain, 8192) / 10


@pytest.mark.parametrize("kind", tiny_bases.KINDS)
def test_the_loss_in_blocks_equals_the_plain_one_and_so_does_its_gradient(
    tmp_path: Path, kind: tiny_bases.Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    model = loading.base(tiny_bases.make(kind, tmp_path / "base"), torch.float32).eval().requires_grad_(False)
    ids = torch.randint(0, 300, (3, 40), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[:, :13] = -100
    batch = {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)}

    def both() -> tuple[Any, Any]:
        seen: list[Any] = []

        def grown(module: Any, args: Any, output: Any) -> Any:
            seen.append(output.requires_grad_(True))
            return output

        hook = model.get_input_embeddings().register_forward_hook(grown)
        found = loss.nll(model, batch)
        (found / 7).backward()
        hook.remove()
        return float(found.detach()), seen[0].grad

    plain, gradient = both()
    monkeypatch.setattr(head, "PLAIN_BYTES", 0)
    monkeypatch.setattr(head, "BLOCK_BYTES", 4 * 384 * 16)  # 16 positions a block: the last one is not full
    assert head.in_blocks(model, 81) is model.get_output_embeddings()
    blocks, gradient_in_blocks = both()
    assert blocks == pytest.approx(plain, rel=1e-6)
    assert float((gradient - gradient_in_blocks).norm() / gradient.norm()) < 1e-6
    with torch.no_grad():
        assert float(loss.nll(model, batch)) == pytest.approx(plain, rel=1e-6)
    assert "forward" not in vars(model.get_output_embeddings())


def test_a_trained_output_layer_and_few_logits_go_the_plain_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    model = loading.base(tiny_bases.make("llama", tmp_path / "base"), torch.float32)
    assert head.in_blocks(model.requires_grad_(False), 100) is None
    monkeypatch.setattr(head, "PLAIN_BYTES", 0)
    assert head.in_blocks(model, 100) is not None
    assert head.in_blocks(model.requires_grad_(True), 100) is None


def test_a_run_trains_to_the_same_bytes_with_and_without_the_measured_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = projects.make(tmp_path, settings="")
    monkeypatch.setattr(measured, "WORTH_FROM", 1)
    with_it = projects.execute(file)
    monkeypatch.setattr(measured, "WORTH_FROM", 10**9)
    without = projects.execute(file)
    assert weights(with_it) == weights(without)
    assert with_it["perplexity"] == without["perplexity"]
    assert "measured_memory_bytes" not in without
    told = [event for event in projects.events(with_it, "phase") if "measured_memory_bytes" in event]
    assert len(told) == 1
    for figure in ("estimated_memory_bytes", "measured_memory_bytes"):
        assert told[0][figure] == with_it[figure] > 0
    assert with_it["peak_memory_bytes"] >= with_it["measured_memory_bytes"] - 50_000_000


def test_the_batch_is_halved_until_it_fits_and_a_resume_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phi_tui.errors import Stopped

    file = projects.make(tmp_path)
    settings = ("train.batch_size=0", "train.grad_accum=0", "train.tokens_per_step=1000")
    planned = pipeline.ready(project.load(file, settings), tmp_path, Workspace(tmp_path), lambda *_, **__: None).plan
    assert planned.batch_size > 1
    monkeypatch.setattr(measured, "WORTH_FROM", 1)
    monkeypatch.setattr(measured, "estimate", _needing(lambda rows: 10**9 * rows))
    monkeypatch.setattr(measured, "free", lambda device: 2 * 10**9)
    with pytest.raises(Stopped):
        projects.execute(file, *settings, stop_at=2)
    monkeypatch.setattr(measured, "free", lambda device: 10**12)
    done = projects.execute(file, *settings, resume=True)
    told = [event["batch_size"] for event in projects.events(done, "phase") if event.get("batch_size")]
    assert told == [1]
    assert done["steps"] == planned.steps


def _needing(bytes_of: Any) -> Any:
    return lambda job, rows: memory.Memory(bytes_of(rows), 0, 0, 0)


def test_what_does_not_fit_even_a_row_at_a_time_is_refused_with_what_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = projects.make(tmp_path)
    here = devices.current()
    with monkeypatch.context() as patch:
        patch.setattr(devices, "current", lambda: replace(here, memory=1_000_000))
        with pytest.raises(Refusal, match=r"single row of .* tokens .*: .*"):
            pipeline.ready(project.load(file), tmp_path, Workspace(tmp_path), lambda *_, **__: None)
    monkeypatch.setattr(measured, "WORTH_FROM", 1)
    monkeypatch.setattr(measured, "free", lambda device: 1_000_000)
    with pytest.raises(Refusal, match="would not fit into memory") as refused:
        projects.execute(file, "train.batch_size=0")
    assert refused.value.fix


def test_the_advice_fits() -> None:
    needed = memory.estimate(SHAPE, 1, 2048, 2, checkpointing=False).total
    free = int(0.8 * needed)
    said = memory.advice(SHAPE, 2048, 2, free, checkpointing=False, quantization="none")
    assert said == "set train.gradient_checkpointing = true"
    assert memory.estimate(SHAPE, 1, 2048, 2, checkpointing=True).total <= free
    tight = int(1.2 * memory.estimate(SHAPE, 1, 128, 2, checkpointing=True).total)
    said = memory.advice(SHAPE, 2048, 2, tight, checkpointing=True, quantization="none")
    length = int(said.removeprefix("set data.max_length = "))
    assert memory.estimate(SHAPE, 1, length, 2, checkpointing=True).total <= tight
    for held, said in (("none", '"nf4"'), ("nf4", '"nf4-plain"'), ("nf4-plain", "a smaller base")):
        assert said in memory.advice(SHAPE, 2048, 2, 1000, checkpointing=True, quantization=held)


@pytest.mark.parametrize("sampled", [False, True], ids=["by the kernel", "by a thread"])
def test_a_peak_that_is_over_is_still_known(sampled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if sampled:
        monkeypatch.setattr(measured, "_set_back", lambda: False)
    here = replace(devices.current(), type="cpu")
    with measured.peak(here) as found:
        held = bytearray(os.urandom(1) * 200_000_000)  # twice as much for a moment
        if sampled:
            import time

            time.sleep(0.1)
        del held
    assert 190_000_000 < found.most - found.before < 460_000_000
    with measured.peak(here) as after:
        pass
    assert after.most - after.before < 20_000_000
    assert measured.highest(here) >= found.most


def test_random_states_are_left_as_they_were() -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    with measured.untouched_randomness():
        torch.rand(100)
    assert torch.equal(torch.rand(3), expected)


@pytest.fixture(scope="module")
def real_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real base as a folder: converting it takes memory that a run would be measured against."""
    folder = tmp_path_factory.mktemp("models") / "real"
    gguf.convert(real_base.gguf(), folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "length"), [(1, 256), (8, 256), (1, 1024), (8, 1024)])
def test_the_estimate_of_a_real_model_is_within_15_percent_of_the_measured_peak(
    real_folder: Path, rows: int, length: int
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", "--base", str(real_folder), "--one", f"{rows}x{length}"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert abs(json.loads(ran.stdout.splitlines()[-1])["off"]) < 0.15
