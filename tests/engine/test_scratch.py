"""Models from scratch: shapes within their budget, a base that is the same twice, training that resumes exactly."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import projects
import pytest

from phi_tui import phi, project, run
from phi_tui.engine import pipeline, pretrain, scratch
from phi_tui.engine.checkpoints import sha256
from phi_tui.errors import InputError, Refusal, Stopped
from phi_tui.schema import Scratch
from phi_tui.workspace import Workspace

BUDGETS = ("60K", "1M", "3M", "10M", "30M", "125M", "350M", "1.3B", "7B")
SCRIPTS = Path(__file__).parent.parent.parent / "scripts"
WORDS = ["the", "golden", "ratio", "divides", "a", "line", "so", "that", "whole", "and", "part", "stand", "as"]


def texts(count: int) -> list[dict[str, Any]]:
    """Texts with something to learn: each word is followed by the one that follows it in `WORDS`."""
    out = []
    for number in range(count):
        start, length = number % len(WORDS), 6 + number % 9
        out.append({"text": " ".join((WORDS * 3)[start : start + length]) + f" {number}."})
    return out


def make(folder: Path, settings: str = "", *, train: str = "") -> Path:
    """A project that trains a new model of 30,000 parameters on 120 short texts."""
    folder.mkdir(parents=True, exist_ok=True)
    projects.write_jsonl(folder / "texts.jsonl", texts(120))
    file = folder / "new.toml"
    file.write_text(
        'schema = 1\nname = "new"\n[model]\ninit = "scratch"\n'
        f'[scratch]\nparameters = "30K"\nvocabulary = 320\ncontext = 32\n{settings}\n'
        '[data]\nsplit = 0.8\n[[data.sources]]\npath = "texts.jsonl"\n'
        f"[train]\nepochs = 3.0\nlearning_rate = 1e-2\nbatch_size = 4\ngrad_accum = 1\nsamples = 1\n{train}\n",
        "utf-8",
    )
    return file


def weights(figures: dict[str, Any]) -> str:
    return sha256(Path(figures["adapter"]) / "model.safetensors")


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox"])
@pytest.mark.parametrize("budget", BUDGETS)
def test_every_candidate_is_near_the_budget_with_heads_near_64(budget: str, architecture: str) -> None:
    settings = Scratch(parameters=budget, architecture=architecture)
    for shape in scratch.candidates(settings):
        assert abs(shape.parameters - settings.budget) <= 0.05 * settings.budget
        assert shape.hidden == shape.heads * shape.head_dimension
        assert 48 <= shape.head_dimension <= 80 or shape.hidden < 128


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox"])
@pytest.mark.parametrize("budget", ["60K", "1M", "3M", "30M"])
def test_the_counted_parameters_are_those_of_the_model_itself(tmp_path: Path, budget: str, architecture: str) -> None:
    from phi_tui.engine import targets

    settings = Scratch(parameters=budget, architecture=architecture, vocabulary=512, context=64)
    shape = scratch.choose(settings)
    kinds = {"llama": "LlamaForCausalLM", "gpt_neox": "GPTNeoXForCausalLM"}
    config = {
        "model_type": architecture,
        "architectures": [kinds[architecture]],
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": shape.context,
        "tie_word_embeddings": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = targets.skeleton(tmp_path)
    assert sum({id(weight): weight.numel() for weight in model.parameters()}.values()) == shape.parameters
    assert pretrain.shape_of(tmp_path) == shape


@pytest.mark.parametrize("budget", BUDGETS)
def test_phi_takes_the_power_nearest_to_the_conventional_proportion(budget: str) -> None:
    settings = Scratch(parameters=budget, shape="phi")
    shapes, usual = scratch.candidates(settings), scratch.usual_aspect(settings.budget)
    power = scratch.phi_power(settings.budget)
    assert all(abs(math.log(phi.PHI**power / usual)) <= abs(math.log(phi.PHI**other / usual)) for other in range(1, 20))
    chosen = scratch.choose(settings)
    best = min(abs(math.log(shape.aspect / phi.PHI**power)) for shape in shapes)
    assert abs(math.log(chosen.aspect / phi.PHI**power)) == pytest.approx(best, abs=1e-5)


def test_published_sizes_come_out_near_their_published_proportions() -> None:
    gpt2 = scratch.choose(Scratch(parameters="124M", architecture="gpt_neox", vocabulary=50_257, context=1024))
    assert (gpt2.layers, gpt2.hidden, gpt2.heads) == (12, 768, 12)
    assert scratch.usual_aspect(124_000_000) == pytest.approx(64)


def test_what_is_set_is_kept_and_the_feed_forward_width_takes_up_the_rest() -> None:
    embedded = scratch.choose(Scratch(parameters="2.83M", vocabulary=2048, layers=6, hidden=192, heads=6))
    assert (embedded.layers, embedded.hidden, embedded.heads, embedded.intermediate) == (6, 192, 6, 448)
    assert embedded.parameters == 2_828_736
    assert {shape.layers for shape in scratch.candidates(Scratch(parameters="3M", layers=5))} == {5}
    assert {shape.hidden for shape in scratch.candidates(Scratch(parameters="3M", hidden=224))} == {224}


@pytest.mark.parametrize(
    "settings",
    [
        Scratch(parameters="20K", vocabulary=5000),
        Scratch(parameters="3M", hidden=192, heads=5),
        Scratch(parameters="200K", layers=400),
    ],
    ids=["vocabulary beyond the budget", "width that does not divide", "too deep"],
)
def test_what_allows_no_shape_is_refused(settings: Scratch) -> None:
    with pytest.raises(InputError, match="no shape has about"):
        scratch.candidates(settings)


@pytest.mark.parametrize("text", ["", "3X", "-3M", "5", "1e6", "900B"])
def test_what_is_no_budget_is_refused_by_the_schema(text: str) -> None:
    with pytest.raises(InputError, match=r"scratch\.parameters"):
        project.validate({"name": "new", "scratch": {"parameters": text}}, "test")


def test_a_budget_is_read_with_its_unit() -> None:
    assert [Scratch(parameters=text).budget for text in ("60000", "60K", "3M", "1.3B")] == [
        60_000,
        60_000,
        3_000_000,
        1_300_000_000,
    ]
    assert [scratch.short(count) for count in (950, 12_000, 2_830_000, 999_600, 1.3e9)] == [
        "950",
        "12K",
        "2.83M",
        "1M",
        "1.3B",
    ]


def test_a_new_model_is_trained_whole_without_a_word_and_never_by_an_adapter(tmp_path: Path) -> None:
    file = make(tmp_path)
    assert project.load(file).train.method == "full"
    assert project.parse(project.text(project.load(file), defaults=True)) == project.load(file)
    assert project.validate({"name": "new"}, "test").train.method == "lora"
    with pytest.raises(Refusal, match=r"train\.method"):
        projects.execute(file, "train.method=lora")
    with pytest.raises(InputError, match=r"model\.task"):
        projects.execute(file, "model.task=classification")


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox"])
def test_a_new_model_learns_more_than_a_unigram_model_and_its_folder_needs_nothing_else(
    tmp_path: Path, architecture: str
) -> None:
    figures = projects.execute(make(tmp_path, f'architecture = "{architecture}"', train="weight_decay = 0.1"))
    assert figures["perplexity"] < figures["unigram_perplexity"] / 2
    assert figures["base_perplexity"] is None
    said = [event for event in projects.events(figures, "phase") if event["name"] == "baseline"]
    assert [event["unigram_perplexity"] for event in said] == [figures["unigram_perplexity"]]
    folder = Path(figures["adapter"])
    assert folder.name == "model"
    assert not (folder.parent / "adapter").exists()
    card = (folder / "README.md").read_text()
    assert "from scratch" in card and "builtin:phi-demo" not in card
    assert independent_perplexity(folder, tmp_path) == pytest.approx(figures["perplexity"], rel=1e-3)


def independent_perplexity(folder: Path, workspace: Path) -> float:
    """Perplexity by plain transformers, one block at a time."""
    import torch
    from datasets import load_from_disk
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    total, count = 0.0, 0
    for row in load_from_disk(str(workspace / "datasets" / "ready" / "new.blocks"))["validation"]:
        ids = torch.tensor([row["input_ids"]])
        with torch.no_grad():
            total += float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    return math.exp(total / count)


def test_the_same_rows_settings_and_seed_give_the_same_base_and_another_seed_another(tmp_path: Path) -> None:
    def base(folder: Path, *overrides: str) -> dict[str, str]:
        file = make(folder)
        loaded = project.load(file, overrides)
        job = pipeline.ready(loaded, folder, Workspace(folder), lambda kind, **payload: None)
        return {path.name: sha256(path) for path in job.prepared.base.folder.iterdir()}

    first = base(tmp_path / "a")
    assert {"config.json", "model.safetensors", "tokenizer.json", "generation_config.json"} <= first.keys()
    assert base(tmp_path / "b") == first
    assert base(tmp_path / "a") == first
    other = base(tmp_path / "a", "seed=7")
    assert other["model.safetensors"] != first["model.safetensors"]


@pytest.mark.parametrize("stop_at", [3, 9])
def test_a_stopped_run_ends_at_the_weights_of_an_unstopped_one(tmp_path: Path, stop_at: int) -> None:
    whole = projects.execute(make(tmp_path / "whole"))
    file = make(tmp_path / "stopped")
    with pytest.raises(Stopped):
        projects.execute(file, stop_at=stop_at)
    assert run.listed(Workspace(file.parent), "new")[0].state() == "stopped"
    resumed = projects.execute(file, resume=True)
    assert weights(resumed) == weights(whole)
    assert (resumed["perplexity"], resumed["unigram_perplexity"]) == (whole["perplexity"], whole["unigram_perplexity"])
    assert [e["loss"] for e in projects.events(resumed, "step")] == [e["loss"] for e in projects.events(whole, "step")]


def test_resuming_under_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    file = make(tmp_path)
    with pytest.raises(Stopped):
        projects.execute(file, stop_at=2)
    with pytest.raises(Refusal, match=r"scratch\.shape"):
        projects.execute(file, "scratch.shape=phi", resume=True)


def test_preflight_says_how_many_tokens_the_budget_asks_for_and_how_often_they_repeat(tmp_path: Path) -> None:
    loaded = project.load(make(tmp_path))
    job = pipeline.ready(loaded, tmp_path, Workspace(tmp_path), lambda kind, **payload: None)
    made = pretrain.shape_of(job.prepared.base.folder)
    repeats = made.tokens_wanted / job.prepared.ready.train.tokens
    note = next(note for note in job.notes if "ask for about" in note)
    assert f"ask for about {scratch.short(20 * made.parameters)} tokens" in note
    assert f"repeat them {repeats:.3g} times" in note
    assert job.shape.trainable == made.parameters
    assert job.plan.memory.weights + job.plan.memory.adapter == 16 * made.parameters


def test_a_tokenizer_that_is_taken_decides_the_vocabulary(tmp_path: Path) -> None:
    file = make(tmp_path, 'tokenizer = "builtin:phi-demo"')
    loaded = project.load(file, ("scratch.vocabulary=0", "scratch.parameters=120K"))
    job = pipeline.ready(loaded, tmp_path, Workspace(tmp_path), lambda kind, **payload: None)
    assert pretrain.shape_of(job.prepared.base.folder).vocabulary == 2048
    with pytest.raises(InputError, match="less than the 2,048 tokens"):
        projects.execute(file)
    with pytest.raises(InputError):
        projects.execute(file, "scratch.tokenizer=no-such-folder")


def test_without_packing_a_row_is_a_text_and_both_ways_of_tokens_lie_side_by_side(tmp_path: Path) -> None:
    file = make(tmp_path)
    place = Workspace(tmp_path)
    made = {
        packing: pipeline.ready(
            project.load(file, (f"scratch.packing={packing}", "data.max_length=32")),
            tmp_path,
            place,
            lambda kind, **p: None,
        ).prepared.ready
        for packing in ("true", "false")
    }
    assert made["false"].train.rows == 96
    assert made["true"].train.rows < 96
    assert made["true"].folder != made["false"].folder
    assert pretrain.as_rows(project.load(file)).scratch.packing is False


def test_a_pretrained_model_speaks_and_is_a_base_for_a_fine_tune(tmp_path: Path) -> None:
    from phi_tui.engine import chat
    from phi_tui.engine.measure import measure

    file = make(tmp_path, "heads = 2")
    shorter = ("scratch.context=128", "data.max_length=32")
    figures = projects.execute(file, *shorter)
    loaded = project.load(file, shorter)
    folder = Path(figures["adapter"])
    place = Workspace(tmp_path)
    measured = measure(loaded, tmp_path, place, "", lambda *_, **__: None)
    assert measured["base_perplexity"] is None  # random weights are no base
    assert measured["perplexity"] == pytest.approx(figures["perplexity"], rel=1e-5)
    assert measured["unigram_perplexity"] == pytest.approx(figures["unigram_perplexity"])
    speaker = chat.load(loaded, tmp_path, place, folder)
    assert speaker.template.name == "plain"
    settings = loaded.chat.model_copy(update={"max_tokens": 8})
    answer = speaker.answer([{"role": "user", "content": "the golden"}], settings, 1, lambda piece: None)
    assert answer.tokens > 0
    tuned = projects.make(tmp_path / "tuned", base=str(folder), settings="max_steps = 2")
    adapter = Path(projects.execute(tuned, "data.max_length=128")["adapter"])
    assert json.loads((adapter / "phi-tui.json").read_text())["template"] == "instruction"


def test_the_data_screen_shows_rows_while_the_plan_is_made_of_blocks(tmp_path: Path) -> None:
    from phi_tui.engine import inspector
    from phi_tui.engine.service import Task

    file = make(tmp_path)
    named = {"project": file.read_text(), "root": str(tmp_path), "workspace": str(tmp_path)}

    def ask(do: str, **more: Any) -> dict[str, Any]:
        return inspector.HANDLERS[do](Task(1, {**named, **more}, lambda message: None))

    surveyed = ask("survey")
    assert surveyed["tokens"]["train"]["rows"] == surveyed["report"]["train_rows"] == 96
    plan = ask("plan")
    assert plan["trainable"] == plan["parameters"]
    assert any("ask for about" in note for note in plan["notes"])
    page = ask("rows", part="train", start=0, count=3)
    assert len(page["rows"]) == 3
    loaded = project.load(file)
    job = pipeline.ready(loaded, tmp_path, Workspace(tmp_path), lambda kind, **payload: None)
    assert job.plan.steps == plan["steps"]


def test_shapes_are_printed_without_torch(tmp_path: Path) -> None:
    code = "import sys; from phi_tui.cli import main; main(['shapes', '125M', '--json']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": str(SCRIPTS.parent)})  # fmt: skip
    table, heavy = done.stdout.splitlines()
    assert heavy == "False"
    notes = [row["note"] for row in json.loads(table)]
    assert any("conventional" in note for note in notes)
    assert any(note.startswith("phi: nearest to phi^9") for note in notes)
    shown = projects.command("shapes", "3M", "--vocabulary", "2048", cwd=tmp_path)
    assert shown.returncode == 0
    assert "conventional" in shown.stdout and "vocabulary 2,048" in shown.stdout
    assert projects.command("shapes", "3X", cwd=tmp_path).returncode == 2


@pytest.mark.slow
def test_ten_minutes_from_scratch_more_than_halve_the_unigram_perplexity_on_held_out_text(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import json; from demo_corpus import documents\n"
    code += "for text in documents(7, 1_000_000): print(json.dumps({'text': text}))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (tmp_path / "corpus.jsonl").write_text(made.stdout, "utf-8")
    file = tmp_path / "new.toml"
    file.write_text(
        'schema = 1\nname = "new"\n[model]\ninit = "scratch"\n[scratch]\nparameters = "3M"\ncontext = 256\n'
        '[data]\nsplit = 0.99\n[[data.sources]]\npath = "corpus.jsonl"\n'
        "[train]\nmax_steps = 300\nbatch_size = 8\ngrad_accum = 1\nlearning_rate = 3e-3\nweight_decay = 0.1\n"
        "beta2 = 0.95\nsamples = 0\n",
        "utf-8",
    )
    figures = projects.execute(file)
    print({name: figures[name] for name in ("seconds", "unigram_perplexity", "perplexity")})
    assert figures["perplexity"] < figures["unigram_perplexity"] / 2
    assert figures["seconds"] < 600
    again = tmp_path / "again"
    again.mkdir()
    for name in ("corpus.jsonl", "new.toml"):
        shutil.copy(tmp_path / name, again)
    with pytest.raises(Stopped):
        projects.execute(again / "new.toml", stop_at=110)
    assert weights(projects.execute(again / "new.toml", resume=True)) == weights(figures)
