"""Every way to adapt a base trains, is kept so that plain peft or transformers loads it, and resumes to its bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import projects
import pytest
import tiny_bases
from safetensors.torch import load_file

from phi_tui import branch, export, project, run
from phi_tui.engine import (
    adapters,
    adapting,
    chat,
    checkpoints,
    loading,
    lockfile,
    optimisers,
    plan,
    quantised,
    targets,
)
from phi_tui.engine.device import Device
from phi_tui.engine.measure import measure
from phi_tui.errors import InputError, Refusal, Stopped
from phi_tui.schema import Chat, Lora, Project
from phi_tui.workspace import Workspace

METHODS: dict[str, tuple[str, ...]] = {
    "lora": (),
    "rslora": ("lora.variant=rslora",),
    "dora": ("lora.variant=dora",),
    "lora+": ("lora.plus_ratio=16",),
    "pissa": ("lora.init=pissa",),
    "olora": ("lora.init=olora",),
    "nf4": ("model.quantization=nf4",),
    "nf4-plain": ("model.quantization=nf4-plain",),
    "int8": ("model.quantization=int8",),
    "full": ("train.method=full", "train.learning_rate=1e-3"),
}
SHORT = ("train.max_steps=6", "train.samples=0", "train.scheduler=constant", "train.warmup=0", "lora.rank=4")
SPARED = {
    "gpt_neo": ("c_proj",),
    "gpt_neox": ("dense_4h_to_h",),
    "llama": ("down_proj", "k_proj", "v_proj"),
    "qwen2": ("down_proj", "k_proj", "v_proj"),
}
"""What "nf4" leaves as it is: keys and values only where heads share them."""
IDS = [[5, 80, 81, 120, 7, 90, 200, 31, 64, 65, 66, 2]]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {kind: tiny_bases.make(kind, root / kind) for kind in ("gpt_neo", "gpt_neox", "llama", "qwen2")}


def logits(model: Any) -> Any:
    import torch

    training = model.training
    model.eval()
    with torch.no_grad():
        said = model(input_ids=torch.tensor(IDS), use_cache=False).logits.float()
    model.train(training)
    return said


def plain_base(folder: Path, quantization: str = "none") -> Any:
    """The base as transformers loads it, with no help of ours but one: 4-bit weights are not repacked on a CPU."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    more: dict[str, Any] = {}
    if quantization == "int8":
        more = {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    if quantization.startswith("nf4"):
        held = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
            llm_int8_skip_modules=["lm_head", "embed_out", *SPARED[folder.name]] if quantization == "nf4" else None,
        )
        more = {"quantization_config": held}
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32, **more)
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def reloaded(base: Path, kept: Path, quantization: str = "none") -> Any:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    if kept.name == "model":
        return AutoModelForCausalLM.from_pretrained(str(kept))
    return PeftModel.from_pretrained(plain_base(base, quantization), str(kept))


ON_LLAMA_FIRST = ("lora", "rslora", "lora+", "pissa", "olora", "int8", "nf4-plain")
"""Ways that every architecture takes by the same code: tried on all three where time is no matter."""
PAIRS = [
    pytest.param(method, kind, marks=[pytest.mark.slow] if method in ON_LLAMA_FIRST and kind != "llama" else [])
    for method in METHODS
    for kind in ("gpt_neo", "gpt_neox", "llama")
]


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_each_method_learns_and_its_result_loads_elsewhere_to_the_same_logits(
    tmp_path: Path, bases: dict[str, Path], method: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    last: dict[str, Any] = {}
    save = adapting.save

    def watched(model: Any, folder: Path, base_id: str) -> None:
        save(model, folder, base_id)
        last["logits"] = logits(model)

    monkeypatch.setattr(adapting, "save", watched)
    file = projects.make(tmp_path, base=str(bases[kind]), count=32)
    figures = projects.execute(file, *SHORT, "train.max_steps=10", "train.learning_rate=2e-2", *METHODS[method])
    losses = [event["loss"] for event in projects.events(figures, "step")]
    assert sum(losses[5:]) < sum(losses[:5])  # the same rows twice
    assert figures["perplexity"] < figures["base_perplexity"]
    quantization = method if method in ("nf4", "nf4-plain", "int8") else "none"
    found = logits(reloaded(bases[kind], Path(figures["adapter"]), quantization))
    # The same numbers in another order of additions; int8 rounds what it multiplies, and a last bit may turn a level.
    assert float((found - last["logits"]).abs().max()) < (2e-2 if method == "int8" else 1e-4)
    if method != "full":
        assert float((found - logits(plain_base(bases[kind], quantization))).abs().max()) > 1e-2


RESUMED = {
    "lora+ in 8 bits": (*METHODS["lora+"], "train.optimizer=adamw_8bit", "lora.rank=128"),
    "dora": METHODS["dora"],
    "pissa, lora+ and decay": (*METHODS["pissa"], "train.weight_decay=0.1", "lora.plus_ratio=4"),
    "nf4": METHODS["nf4"],
    "full": METHODS["full"],
    "modules and tokens": ('lora.modules_to_save=["norm"]', 'lora.trainable_tokens=["<|endoftext|>", 7]'),
}


@pytest.mark.parametrize("method", RESUMED)
def test_a_stopped_run_resumes_to_the_bytes_of_an_unstopped_one(
    tmp_path: Path, bases: dict[str, Path], method: str
) -> None:
    settings = (*SHORT, "train.eval_every=2", *RESUMED[method])
    whole = projects.execute(projects.make(tmp_path / "whole", base=str(bases["llama"]), count=32), *settings)
    file = projects.make(tmp_path / "stopped", base=str(bases["llama"]), count=32)
    with pytest.raises(Stopped):
        projects.execute(file, *settings, stop_at=3)
    resumed = projects.execute(file, *settings, resume=True)
    assert weights(resumed) == weights(whole)
    assert resumed["perplexity"] == whole["perplexity"]
    assert [e["loss"] for e in projects.events(resumed, "step")] == [e["loss"] for e in projects.events(whole, "step")]


def weights(figures: dict[str, Any]) -> str:
    (file,) = Path(figures["adapter"]).glob("*.safetensors")
    return checkpoints.sha256(file)


def adapted(base: Path, **settings: Any) -> Any:
    """A base made ready by the settings of [lora]."""
    import torch

    torch.manual_seed(0)
    model = loading.base(base, torch.float32)
    names = targets.linear_targets(targets.skeleton(base))
    return adapting.ready(model, Project(name="x", lora=Lora(**settings)), names, loading.tokenizer(base), "base")


def test_a_start_holds_the_leading_directions_and_changes_nothing_before_the_first_step(bases: dict[str, Path]) -> None:
    import torch

    before = logits(plain_base(bases["llama"]))
    for init in ("pissa", "olora"):
        model = adapted(bases["llama"], rank=4, init=init)
        assert torch.allclose(logits(model), before, atol=1e-5)
        layer = model.base_model.model.model.layers[0].mlp.up_proj
        a, b, weight = layer.lora_A.default.weight, layer.lora_B.default.weight, layer.get_base_layer().weight
        assert a.shape[0] == 8
        assert torch.equal(a[:4], a[4:])
        assert torch.equal(b[:, :4], -b[:, 4:])
        start = layer.scaling["default"] * b[:, :4] @ a[:4]
        if init == "pissa":
            u, s, v = torch.linalg.svd(weight)
            exact = u[:, :4] @ torch.diag(s[:4]) @ v[:4]
        else:
            q, r = torch.linalg.qr(weight)
            exact = layer.scaling["default"] * q[:, :4] @ r[:4]
        assert torch.allclose(start, exact, atol=1e-4)


def test_only_the_first_half_of_a_start_is_trained(tmp_path: Path, bases: dict[str, Path]) -> None:
    file = projects.make(tmp_path, base=str(bases["llama"]), count=32)
    figures = projects.execute(file, *SHORT, "lora.init=pissa", "train.weight_decay=0.5", "lora.variant=rslora")
    kept = load_file(str(Path(figures["adapter"]) / "adapter_model.safetensors"))
    fresh = adapted(bases["llama"], rank=4, init="pissa", variant="rslora")
    compared = 0
    for name, weight in fresh.named_parameters():
        saved = kept.get(name.replace(".default", ""))
        if saved is None or "lora_" not in name:
            continue
        first, second = (saved[:4], saved[4:]) if "lora_A" in name else (saved[:, :4], saved[:, 4:])
        own = (weight[:4], weight[4:]) if "lora_A" in name else (weight[:, :4], weight[:, 4:])
        # The seed of a run is set before its base is loaded, here after; the decomposition draws from it.
        assert float((second.abs() - own[1].detach().abs()).abs().max()) < 1e-3
        assert float((first.abs() - second.abs()).abs().max()) > 1e-3
        compared += 1
    assert compared == 28


def test_loraplus_gives_the_b_matrices_their_own_rate(bases: dict[str, Path]) -> None:
    import torch

    model = adapted(bases["llama"], rank=4)
    optimizer = optimisers.with_faster_b(model, torch.optim.AdamW, {"lr": 1e-3}, 16.0, 0.01)
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert group["lr"] == pytest.approx(16e-3 if "lora_B" in named[id(parameter)] else 1e-3)


def test_modules_and_tokens_are_trained_beside_the_adapter_and_load_elsewhere(
    tmp_path: Path, bases: dict[str, Path]
) -> None:
    import torch

    for number, (kind, setting) in enumerate(
        [
            ("llama", 'lora.modules_to_save=["lm_head", "norm"]'),
            ("qwen2", 'lora.trainable_tokens=["<|endoftext|>", 7]'),  # tied to the head
            ("qwen2", 'lora.modules_to_save=["embed_tokens"]'),
        ]
    ):
        file = projects.make(tmp_path / str(number), base=str(bases[kind]), count=32)
        figures = projects.execute(file, *SHORT, setting, "data.split=none")
        counted = project.load(file, (*SHORT, setting))
        skeleton = targets.skeleton(bases[kind])
        names = targets.linear_targets(skeleton)
        tokenizer = loading.tokenizer(bases[kind])
        model = adapting.ready(loading.base(bases[kind], torch.float32), counted, names, tokenizer, "base")
        assert (
            sum({id(p): p.numel() for p in model.parameters() if p.requires_grad}.values())
            == adapting.count(skeleton, names, counted, tokenizer).trained
        )
        # Two loaders that share nothing of ours, and the one of the chat: the same logits, and the base is bare again.
        base = logits(plain_base(bases[kind]))
        here = logits(reloaded(bases[kind], Path(figures["adapter"])))
        assert float((here - base).abs().max()) > 1e-3
        voice = adapters.Adapted(chat.bare(bases[kind], "float32", "auto"))
        name = voice.put_on(adapters.read(Path(figures["adapter"]), voice.model), where="")
        voice.speak_as(name)
        assert torch.allclose(logits(voice.model), here, atol=1e-5)
        voice.speak_as(None)
        assert torch.allclose(logits(voice.model), base, atol=1e-6)
        voice.keep(set())
        assert torch.allclose(logits(voice.model), base, atol=1e-6)


@pytest.mark.parametrize("kind", ["gpt_neo", "qwen2"])
@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_what_is_counted_beforehand_is_what_is_trained(bases: dict[str, Path], kind: str, variant: str) -> None:
    model = adapted(bases[kind], rank=5, variant=variant)
    skeleton = targets.skeleton(bases[kind])
    names = targets.linear_targets(skeleton)
    settings = Project(name="x", lora=Lora(rank=5, variant=variant))
    found, _ = model.get_nb_trainable_parameters()
    assert adapting.count(skeleton, names, settings, None).trained == found


def test_quantised_weights_stay_as_they_are_read_through_an_evaluation(bases: dict[str, Path]) -> None:
    """Repacked by an evaluation, they would pass no gradient back, and give other logits."""
    import torch

    model = loading.base(bases["llama"], torch.float32, quantization="nf4")
    packed = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.dtype == torch.uint8}
    assert len(packed) == 8
    before = model.train()(input_ids=torch.tensor(IDS)).logits.detach()
    logits(model.eval())
    after = model.train()(input_ids=torch.tensor(IDS)).logits.detach()
    assert torch.equal(before, after)
    assert all(torch.equal(weight, dict(model.named_parameters())[name]) for name, weight in packed.items())
    assert quantised.is_quantised(model)
    assert loading.onto(model, "meta") is model  # a quantised model is never moved


def test_an_adapter_on_4_bits_learns_as_on_a_plain_base_with_the_rounded_weights(bases: dict[str, Path]) -> None:
    import torch
    from peft.utils.integrations import dequantize_module_weight

    def gradients(base: Any) -> list[Any]:
        torch.manual_seed(0)
        settings = Project(name="x", lora=Lora(rank=4, dropout=0.0, init="olora"))
        names, tokenizer = targets.linear_targets(targets.skeleton(bases["llama"])), loading.tokenizer(bases["llama"])
        model = adapting.ready(base, settings, names, tokenizer, "base").train()
        ids = torch.tensor(IDS)
        model(input_ids=ids, labels=ids).loss.backward()
        return [weight.grad for _, weight in model.named_parameters() if weight.grad is not None]

    held = loading.base(bases["llama"], torch.float32, quantization="nf4")
    plain = loading.base(bases["llama"], torch.float32)
    packed = {name: module for name, module in held.named_modules() if type(module).__name__ == "Linear4bit"}
    assert len(packed) == 8
    for name, module in packed.items():
        plain.get_submodule(name).weight.data = dequantize_module_weight(module).float()
    pairs = list(zip(gradients(held), gradients(plain), strict=True))
    assert len(pairs) == 28
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in pairs)
    assert any(float(one.abs().max()) > 1e-3 for one, _ in pairs)


@pytest.mark.parametrize("kind", ["nf4", "nf4-plain", "int8"])
def test_the_memory_of_quantised_weights_is_told_beforehand(tmp_path: Path, kind: str) -> None:
    import torch

    base = tiny_bases.make("llama", tmp_path / "base", layers=8)
    skeleton = targets.skeleton(base)
    held = targets.quantisable_parameters(skeleton, quantised.spared(kind, skeleton.config))
    parameters = sum(weight.numel() for weight in skeleton.parameters())
    shape = plan.Shape(parameters, 0, 8, 32, 64, 384, held, quantised.weight_bits(kind))
    said = plan.estimate(shape, 1, 1, 4, checkpointing=False).weights
    model = loading.base(base, torch.float32, quantization=kind)
    found = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    assert found == pytest.approx(said, rel=0.02)  # bar the scales, which are no parameters


def test_the_base_is_told_to_be_compared_as_quantised(tmp_path: Path, bases: dict[str, Path]) -> None:
    file = projects.make(tmp_path, base=str(bases["llama"]), count=32)
    figures = projects.execute(file, *SHORT, "model.quantization=nf4")
    first = projects.events(figures, "eval")[0]
    assert first["base"]
    assert "nf4" in first["note"]
    place = Workspace(tmp_path)
    again = measure(project.load(file, (*SHORT, "model.quantization=nf4")), tmp_path, place, "", lambda *a, **k: None)
    assert again["perplexity"] == pytest.approx(figures["perplexity"], rel=1e-6)
    assert again["base_perplexity"] == pytest.approx(figures["base_perplexity"], rel=1e-6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, bases: dict[str, Path]) -> tuple[Path, dict[str, Any]]:
    """A finished full fine-tuning: its project file and figures."""
    folder = tmp_path_factory.mktemp("whole")
    file = projects.make(folder, base=str(bases["qwen2"]), count=32, settings='method = "full"')
    return file, projects.execute(file, *SHORT, "train.eval_every=2", "train.learning_rate=5e-2")


def test_a_full_fine_tuning_leaves_a_whole_model_of_its_best_step(whole: tuple[Path, dict[str, Any]]) -> None:
    file, figures = whole
    kept = Path(figures["adapter"])
    assert kept.name == "model"
    for name in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "README.md"):
        assert (kept / name).is_file(), name
    assert not (kept.parent / "adapter").exists()
    assert json.loads((kept / "config.json").read_text())["use_cache"] is True
    assert "library_name: transformers" in (kept / "README.md").read_text()
    evaluations = {e["step"]: e["eval_loss"] for e in projects.events(figures, "eval") if not e.get("base")}
    assert figures["best_step"] == min(evaluations, key=lambda step: evaluations[step])
    measured = measure(project.load(file), file.parent, Workspace(file.parent), "", lambda *a, **k: None)
    assert measured["perplexity"] == pytest.approx(figures["perplexity"], rel=1e-5)
    assert measured["base_perplexity"] == pytest.approx(figures["base_perplexity"], rel=1e-5)


def test_a_whole_model_is_talked_to_exported_and_gone_on_from(
    whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    file, figures = whole
    place = Workspace(file.parent)
    one = run.Run(Path(figures["adapter"]).parent)
    assert one.has_result
    speaker = chat.load(one.project(), file.parent, place, one.result_folder)
    assert speaker.answer([{"role": "user", "content": "Say red."}], Chat(max_tokens=4), 0, lambda piece: None).tokens
    assert not hasattr(speaker.model, "peft_config")
    copied = export.adapter(one, tmp_path / "copy")
    assert (copied / "model.safetensors").read_bytes() == (one.model / "model.safetensors").read_bytes()
    step = checkpoints.listed(one.checkpoints)[-1][0]
    made = branch.from_checkpoint(one, step, place)
    assert (made.model / "model.safetensors").is_file()


def test_voices_of_a_full_run_stand_on_its_own_models(whole: tuple[Path, dict[str, Any]]) -> None:
    import threading

    from phi_tui.engine.service import Task
    from phi_tui.engine.speakers import Speakers

    file, figures = whole
    folder = str(Path(figures["adapter"]).parent)
    step = checkpoints.listed(Path(folder) / "checkpoints")[0][0]
    asked = {
        "root": str(file.parent),
        "workspace": str(file.parent),
        "voices": [
            {"key": "a", "kind": "base", "run": folder},
            {"key": "b", "kind": "adapter", "run": folder},
            {"key": "c", "kind": "checkpoint", "run": folder, "step": step},
        ],
    }
    speakers = Speakers()
    speakers.load(task(Task, asked, threading.Event()))
    voices = [speakers._voices[key] for key in "abc"]
    assert len({id(voice.on.model) for voice in voices}) == 3
    assert all(voice.adapter is None for voice in voices)
    base, best = (logits(voice.on.model) for voice in voices[:2])
    assert float((base - best).abs().max()) > 1e-2


def task(kind: Any, arguments: dict[str, Any], cancelled: Any) -> Any:
    """A request as the service hands it over, whose events nobody hears."""
    made = kind(1, arguments, lambda message: None)
    made.cancelled = cancelled
    return made


def refused(file: Path, *settings: str) -> str:
    with pytest.raises((Refusal, InputError)) as caught:
        projects.execute(file, *SHORT, *settings)
    return str(caught.value)


def test_what_cannot_work_together_is_refused_with_a_fix(tmp_path: Path, bases: dict[str, Path]) -> None:
    file = projects.make(tmp_path, base=str(bases["llama"]), count=32)
    for settings, said in {
        ("train.method=full", "model.quantization=nf4"): "are frozen and cannot be trained",
        ("train.method=full", "lora.variant=dora"): "lora.variant does nothing where every weight is trained",
        ("train.method=full", "model.dtype=float16"): "float16 weights cannot be trained",
        ("lora.init=pissa", "lora.rank=64"): "set lora.rank to 16 or less",
        ('lora.trainable_tokens=["two words"]',): "is no single token",
        ("lora.trainable_tokens=[4000]",): "beyond the vocabulary",
        ('lora.modules_to_save=["nrom"]',): "did you mean 'norm'",
        ('lora.modules_to_save=["q_proj"]',): "is adapted already",
        ('lora.modules_to_save=["embed_tokens"]', "lora.trainable_tokens=[7]"): "trains all embeddings already",
        ("lora.plus_ratio=0.5",): "16 is usual",
        ("train.optimizer=paged_adamw_8bit",): 'use "adamw_8bit"',
    }.items():
        assert said in refused(file, *settings), settings
    held = ('lora.modules_to_save=["mlp"]', 'lora.targets=["q_proj"]', "model.quantization=int8")
    assert "whose weights are quantised" in refused(file, *held)
    tied = projects.make(tmp_path / "tied", base=str(bases["qwen2"]), count=32)
    assert "name the embeddings (embed_tokens)" in refused(tied, 'lora.modules_to_save=["lm_head"]')
    neo = projects.make(tmp_path / "neo", base=str(bases["gpt_neo"]), count=32)
    assert "would train the two apart" in refused(neo, 'lora.modules_to_save=["wte"]')


def test_machines_that_cannot_are_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = Device("cpu", "a CPU", 10**9, True, 2)
    assert not quantised.flaws("nf4", cpu)
    assert not optimisers.flaws("adamw_8bit", cpu)
    assert not optimisers.flaws("paged_adamw", Device("cuda", "a GPU", 10**9, True, 2))
    monkeypatch.setattr("sys.platform", "darwin")
    assert "macOS" in quantised.flaws("nf4", cpu)[0]
    assert "macOS" in optimisers.flaws("adamw_8bit", cpu)[0]
    assert not optimisers.flaws("adafactor", cpu)


def test_the_optimisers_do_what_they_are_called(tmp_path: Path, bases: dict[str, Path]) -> None:
    """All learn, none like another, and the states of the 8-bit one are bytes."""
    import torch

    ends = {}
    for name in ("adamw", "adamw_8bit", "adafactor"):
        file = projects.make(tmp_path / name, base=str(bases["llama"]), count=32)
        figures = projects.execute(file, *SHORT, f"train.optimizer={name}", "lora.rank=128", "data.split=none")
        losses = [event["loss"] for event in projects.events(figures, "step")]
        assert losses[-1] < losses[0]
        ends[name] = losses[-1]
        if name == "adamw_8bit":
            newest, _ = checkpoints.newest_whole(Path(figures["adapter"]).parent / "checkpoints")
            assert newest is not None
            state = torch.load(newest / "optimizer.pt", weights_only=False)["state"]
            held = [one["__bnb_optimizer_quant_state__"]["state1"] for one in state.values()]
            assert {one.dtype for one in held if one.numel() >= 4096} == {torch.uint8}
    assert len(set(ends.values())) == 3


@pytest.mark.parametrize("kind", ["gpt_neo", "gpt_neox", "llama", "qwen2"])
def test_nf4_spares_the_most_sensitive_layers_and_they_are_counted_and_told(bases: dict[str, Path], kind: str) -> None:
    import torch

    skeleton = targets.skeleton(bases[kind])
    shapes = {name: module.weight.numel() for name, module in targets.linear_layers(skeleton).items()}
    counts = []
    for held, ends in (("nf4-plain", ()), ("nf4-mixed", SPARED[kind][:1]), ("nf4", SPARED[kind])):
        model = loading.base(bases[kind], torch.float32, quantization=held)
        four = [name for name, layer in model.named_modules() if type(layer).__name__ == "Linear4bit"]
        whole = {name.rpartition(".")[2] for name, layer in model.named_modules() if type(layer) is torch.nn.Linear}
        assert whole - {"lm_head", "embed_out"} == set(ends)
        kept = quantised.spared(held, skeleton.config)
        counts.append(targets.quantisable_parameters(skeleton, kept))
        assert counts[-1] == sum(shapes[name] for name in four)
        said = quantised.notes(held, skeleton, "bfloat16")
        assert bool(said) == bool(ends)
        assert all(name in line for line in said for name in (*ends, "bfloat16"))
    assert counts[0] > counts[1] >= counts[2]


def test_a_run_from_before_nf4_spared_layers_stays_on_the_base_that_it_was_trained_on(
    tmp_path: Path, bases: dict[str, Path]
) -> None:
    """Such a run's project says "nf4", and its lock names no spared layers: all were in 4 bits."""
    from bitsandbytes.nn import Linear4bit

    file = projects.make(tmp_path, base=str(bases["llama"]), count=32)
    settings = (*SHORT, "train.eval_every=2")
    with pytest.raises(Stopped):
        projects.execute(file, *settings, "model.quantization=nf4-plain", stop_at=4)
    place = Workspace(tmp_path)
    one = run.listed(place, "toy")[0]
    text = (one.path / "project.toml").read_text("utf-8")
    assert "spared" not in (one.path / "lock.toml").read_text("utf-8")
    (one.path / "project.toml").write_text(text.replace('"nf4-plain"', '"nf4"'), "utf-8")
    assert one.project().model.quantization == "nf4-plain"
    export.bundle(one, tmp_path / "away")
    assert project.load(tmp_path / "away" / "toy.toml") == one.project()

    speaker = chat.load(one.project(), tmp_path, place, one.adapter)
    assert sum(isinstance(module, Linear4bit) for module in speaker.model.modules()) == 14
    with pytest.raises(Refusal, match="the run has nf4-plain, the project nf4 "):
        projects.execute(file, *settings, "model.quantization=nf4", resume=True)
    held = projects.execute(file, *settings, "model.quantization=nf4-plain", resume=True)
    assert held["run"] == one.id
    asked = project.load(file, (*settings, "model.quantization=nf4"))
    again = measure(asked, tmp_path, place, one.id, lambda *a, **k: None)
    assert again["perplexity"] == pytest.approx(held["perplexity"], rel=1e-6)

    now = projects.execute(file, *settings, "model.quantization=nf4")
    later = run.find(place, f"toy/{now['run']}")
    assert later.project().model.quantization == "nf4"
    lock, note = lockfile.read(later.path / "lock.toml"), json.loads((later.adapter / "phi-tui.json").read_text())
    assert note["spared"] == lock["base"]["spared"] == [*quantised.MLP_ENDS, *quantised.KEYS_AND_VALUES]
    assert '"k_proj"' in (later.adapter / "README.md").read_text("utf-8")
    drifted = lockfile.drift(lockfile.read(one.path / "lock.toml"), lock)
    assert any(line.startswith("base.spared: locked nothing") for line in drifted)
