"""Heads learn: classes, several classes and numbers, from rows to scores, the same alone and in a batch."""

import json
import random
from pathlib import Path
from typing import Any

import projects
import pytest
import tiny_bases

from phi_tui import run
from phi_tui.engine import scorer
from phi_tui.engine.checkpoints import sha256
from phi_tui.errors import InputError, Refusal, Stopped
from phi_tui.workspace import Workspace

WORDS = {
    "animals": ["cat", "dog", "bird", "horse", "fish"],
    "food": ["bread", "soup", "apple", "milk", "cake"],
    "weather": ["rain", "snow", "wind", "sun", "cloud"],
}
FILLERS = ["the", "a", "this", "one", "some", "big", "small", "old", "new", "very", "here", "there", "now", "then"]


def sentence(numbers: random.Random, *kinds: str) -> str:
    """A line of filler words in which two words of each kind stand somewhere."""
    words = [numbers.choice(FILLERS) for _ in range(numbers.randint(3, 8))]
    for kind in kinds:
        for word in numbers.sample(WORDS[kind], 2):
            words.insert(numbers.randint(0, len(words)), word)
    return " ".join(words)


def classes(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """A separable set of three classes: a row's class is the kind of its two telling words."""
    numbers = random.Random(seed)
    kinds = list(WORDS)
    return [{"text": sentence(numbers, kinds[n % 3]), "label": kinds[n % 3]} for n in range(count)]


def several(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with the words of none, one, two or three kinds, and all of those as labels."""
    numbers = random.Random(seed)
    rows = []
    for _ in range(count):
        kinds = [kind for kind in WORDS if numbers.random() < 0.5]
        rows.append({"text": sentence(numbers, *kinds), "labels": kinds})
    return rows


def amounts(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows whose number, far from 0 and wide, is 1000 and 50 for each time a word of food stands in them."""
    numbers = random.Random(seed)
    rows = []
    for _ in range(count):
        food = numbers.randint(0, 4)
        words = [numbers.choice(FILLERS) for _ in range(6)] + [numbers.choice(WORDS["food"]) for _ in range(food)]
        numbers.shuffle(words)
        rows.append({"text": " ".join(words), "score": 1000.0 + 50 * food})
    return rows


def make(
    folder: Path,
    task: str,
    rows: list[dict[str, Any]],
    *,
    base: str = "builtin:phi-demo",
    settings: str = "",
    **more: Any,
) -> Path:
    """A workspace with a project that trains a head on `rows`; `more` goes into its data table."""
    folder.mkdir(parents=True, exist_ok=True)
    projects.write_jsonl(folder / "rows.jsonl", rows)
    data = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
    file = folder / "toy.toml"
    file.write_text(
        f'schema = 1\nname = "toy"\n[model]\nbase = "{base}"\ntask = "{task}"\n[data]\nmax_length = 64\n{data}'
        '[[data.sources]]\npath = "rows.jsonl"\n'
        f"[train]\nlearning_rate = 4e-3\nbatch_size = 8\ngrad_accum = 1\n{settings}\n",
        "utf-8",
    )
    return file


def tiny(folder: Path, task: str, rows: list[dict[str, Any]], kind: str = "llama", **more: Any) -> Path:
    """The same on a tiny random base."""
    tiny_bases.make(kind, folder / "base")  # type: ignore[arg-type]
    return make(folder, task, rows, base="base", **more)


def load(file: Path) -> scorer.Scorer:
    place = Workspace(file.parent)
    newest = run.listed(place, "toy")[0]
    return scorer.load(newest.project(), file.parent, place, newest.adapter)


def plain_scores(figures: dict[str, Any], base: Path, texts: list[str]) -> list[list[float]]:
    """The head's outputs by plain peft and transformers, from what lies in the adapter's folder."""
    import torch
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    adapter = figures["adapter"]
    body = AutoModelForSequenceClassification.from_pretrained(
        base, config=AutoConfig.from_pretrained(adapter), dtype=torch.float32
    )
    model = PeftModel.from_pretrained(body, adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    with torch.no_grad():
        return [model(**_inputs(tokenizer, text)).logits[0].tolist() for text in texts]


def _inputs(tokenizer: Any, text: str) -> Any:
    given = tokenizer(text, return_tensors="pt")
    return {name: given[name] for name in ("input_ids", "attention_mask")}


def test_the_demo_base_learns_three_classes_and_the_adapter_says_so_in_plain_peft(tmp_path: Path) -> None:
    from phi_tui import demo

    file = make(tmp_path, "classification", classes(300), settings="epochs = 3.0")
    figures = projects.execute(file)
    assert figures["accuracy"] > 0.9 > figures["base_accuracy"]
    assert figures["macro_f1"] > 0.9
    assert figures["perplexity"] is None and figures["base_perplexity"] is None
    assert figures["classes"] == ["animals", "food", "weather"]
    validated = len((tmp_path / "datasets" / "raw" / "toy" / "validation.jsonl").read_text().splitlines())
    assert sum(map(sum, figures["confusion"])) == validated
    event = projects.events(figures, "eval")[-1]
    assert {"eval_loss", "accuracy", "macro_f1", "confusion", "classes", "perplexity"} <= event.keys()
    head = load(file)
    said = head.score("the cat and a dog here")
    assert said.scores[0][0] == "animals" and said.scores[0][1] > 0.5
    assert sum(share for _, share in said.scores) == pytest.approx(1.0, abs=1e-5)
    texts = [row["text"] for row in classes(5, seed=9)]
    import torch

    for text, outputs in zip(texts, plain_scores(figures, demo.BASE, texts), strict=True):
        plain = dict(zip(head.labels.names, torch.tensor(outputs).softmax(0).tolist(), strict=True))
        for name, share in head.score(text).scores:
            assert share == pytest.approx(plain[name], abs=1e-5)


def test_the_class_names_lie_in_the_config_the_note_and_the_lock(tmp_path: Path) -> None:
    import tomllib

    rows = [{"text": f"row {n} of {n % 3}", "label": [10, 9, 2][n % 3]} for n in range(30)]
    figures = projects.execute(tiny(tmp_path, "classification", rows, settings="max_steps = 2"))
    adapter = Path(figures["adapter"])
    assert json.loads((adapter / "phi-tui.json").read_text())["labels"]["names"] == ["2", "9", "10"]
    config = json.loads((adapter / "config.json").read_text())
    assert config["id2label"] == {"0": "2", "1": "9", "2": "10"}
    assert config["problem_type"] == "single_label_classification"
    assert tomllib.loads((adapter.parent / "lock.toml").read_text())["labels"]["names"] == ["2", "9", "10"]
    peft = json.loads((adapter / "adapter_config.json").read_text())
    assert peft["task_type"] == "SEQ_CLS" and "score" in peft["modules_to_save"]
    assert "text-classification" in (adapter / "README.md").read_text()


@pytest.mark.slow
def test_several_classes_a_row_are_learnt_from_lists(tmp_path: Path) -> None:
    file = make(tmp_path, "multi-label", several(300), settings="epochs = 4.0")
    figures = projects.execute(file)
    assert figures["macro_f1"] > 0.9 > figures["base_macro_f1"]
    assert len(figures["confusion"]) == 3 and len(figures["confusion"][0]) == 2
    head, numbers = load(file), random.Random(7)
    for kinds in (["animals", "weather"], ["food"], ["food", "animals"]):
        said = [name for name, _ in head.score(sentence(numbers, *kinds)).scores[: len(kinds)]]
        assert sorted(said) == sorted(kinds)


@pytest.mark.slow
def test_numbers_are_learnt_on_their_own_scale(tmp_path: Path) -> None:
    file = make(tmp_path, "regression", amounts(300), settings="epochs = 4.0")
    figures = projects.execute(file)
    assert figures["spearman"] > 0.85
    assert figures["mae"] < 40 < figures["base_mae"]  # a step is 50
    assert figures["eval_loss"] < 0.25  # of the standardised number; saying the mean has 1
    assert figures["perplexity"] is None and "accuracy" not in figures
    none, four = (load(file).score(text).value for text in ("the old one here now then", "bread soup apple milk the a"))
    assert none is not None and four is not None
    assert 900 < none < 1090 < 1110 < four < 1300


@pytest.mark.parametrize(
    ("task", "stop_at"),
    [
        ("classification", 3),
        pytest.param("multi-label", 8, marks=pytest.mark.slow),
        pytest.param("regression", 10, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_resumes_to_the_bytes_of_an_unstopped_one(tmp_path: Path, task: str, stop_at: int) -> None:
    rows = {"classification": classes, "multi-label": several, "regression": amounts}[task](40)
    settings = "epochs = 2.0\nsave_every = 5"
    whole = projects.execute(tiny(tmp_path / "whole", task, rows, settings=settings), "train.batch_size=4")
    file = tiny(tmp_path / "stopped", task, rows, settings=settings)
    with pytest.raises(Stopped):
        projects.execute(file, "train.batch_size=4", stop_at=stop_at)
    resumed = projects.execute(file, "train.batch_size=4", resume=True)
    for name in ("adapter_model.safetensors", "config.json", "adapter_config.json"):
        assert sha256(Path(resumed["adapter"]) / name) == sha256(Path(whole["adapter"]) / name), name
    assert resumed["eval_loss"] == whole["eval_loss"]
    assert [e["loss"] for e in projects.events(resumed, "step")] == [e["loss"] for e in projects.events(whole, "step")]


def test_the_best_adapter_is_kept_with_its_head(tmp_path: Path) -> None:
    file = tiny(tmp_path, "classification", classes(60), settings="eval_every = 1\nearly_stopping = 3")
    figures = projects.execute(file, "train.learning_rate=0.5", "train.epochs=50", "train.warmup=0")
    evaluations = {e["step"]: e for e in projects.events(figures, "eval") if not e.get("base")}
    best = min(evaluations, key=lambda step: evaluations[step]["eval_loss"])
    assert figures["best_step"] == best < figures["steps"]
    assert figures["eval_loss"] == pytest.approx(evaluations[best]["eval_loss"], rel=1e-5)
    assert figures["confusion"] == evaluations[best]["confusion"]


@pytest.mark.parametrize("kind", ["gpt_neo", "gpt_neox", "gpt2", "llama", "opt", "qwen2"])
def test_a_row_scores_the_same_alone_and_in_a_batch_where_the_pad_token_ends_texts(tmp_path: Path, kind: Any) -> None:
    import torch

    from phi_tui.engine import classify, loading
    from phi_tui.engine.labels import Labels

    tiny_bases.make(kind, tmp_path, pad_is_eos=True)
    labels = Labels("classification", ("a", "b", "c"))
    model = loading.base(tmp_path, torch.float32, labels=labels, seed=3).eval()
    tokenizer = loading.tokenizer(tmp_path)
    end = tokenizer.eos_token_id
    assert tokenizer.pad_token_id == end == model.config.pad_token_id
    texts = ["one", "two three four", "five six" + tokenizer.eos_token, "seven" + 3 * tokenizer.eos_token, "eight nine"]
    rows = [{"input_ids": tokenizer(text)["input_ids"], "label": 0} for text in texts]
    assert rows[2]["input_ids"][-1] == end

    def outputs(batch: list[dict[str, Any]]) -> Any:
        with torch.no_grad():
            return classify.logits(model, classify.collate(batch, end, labels))

    together = outputs(rows)
    for row, found in zip(rows, together, strict=True):
        assert torch.allclose(outputs([row])[0], found, atol=1e-5)
    shorter = [{"input_ids": row["input_ids"][:-1], "label": 0} for row in rows[2:4]]
    assert not torch.allclose(outputs(rows[2:4]), outputs(shorter), atol=1e-3)  # the last token is really read


@pytest.mark.parametrize("labels", [("classification", "abc"), ("multi-label", "abc"), ("regression", "")])
def test_a_row_that_fills_up_a_step_carries_no_loss(labels: tuple[str, str]) -> None:
    import torch

    from phi_tui.engine import classify
    from phi_tui.engine.labels import Labels

    known = Labels(labels[0], tuple(labels[1]), mean=5.0, std=2.0)
    label = {"classification": 2, "multi-label": [1, 0, 1], "regression": 9.0}[known.task]
    batch = classify.collate([{"input_ids": [1, 2], "label": label}, {"input_ids": [0, 0]}], 0, known)
    outputs = torch.tensor([[0.5, -1.0, 2.0], [3.0, 3.0, 3.0]])[:, : known.outputs].requires_grad_()
    whole = classify.loss_of(outputs, batch["labels"], known)
    alone = classify.loss_of(outputs[:1], batch["labels"][:1], known)
    assert whole.item() == pytest.approx(alone.item()) and alone.item() > 0
    (gradient,) = torch.autograd.grad(whole, outputs)
    assert gradient[0].abs().sum() > 0 and not gradient[1].any()
    assert int((batch["labels"] != -100).sum()) == (3 if known.task == "multi-label" else 1)  # what the mean is over
    if known.task == "regression":
        assert float(batch["labels"][0, 0]) == 2.0


def test_a_head_is_the_same_whatever_was_drawn_before(tmp_path: Path) -> None:
    import torch

    from phi_tui.engine import loading
    from phi_tui.engine.labels import Labels

    tiny_bases.make("llama", tmp_path)
    heads = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        heads.append(loading.base(tmp_path, torch.float32, labels=Labels("regression"), seed=5).score.weight)
    assert torch.equal(*heads)


def test_a_long_text_is_cut_but_what_the_template_writes_behind_it_is_not(tmp_path: Path) -> None:
    from datasets import load_from_disk

    rows = [{"instruction": "which?", "input": f"{n} " + "word " * 200, "label": "ab"[n % 2]} for n in range(8)]
    file = tiny(tmp_path, "classification", rows, settings="max_steps = 1", template="instruction")
    figures = projects.execute(file)
    tokenizer = __import__("transformers").AutoTokenizer.from_pretrained(figures["adapter"])
    data = load_from_disk(str(tmp_path / "datasets" / "ready" / "toy"))["train"]
    assert data.column_names == ["input_ids", "label"]
    for row in data:
        assert len(row["input_ids"]) == 64
        assert tokenizer.decode(row["input_ids"]).endswith("\nOutput:")


ERRORS: list[tuple[str, str, list[Any], dict[str, Any], str]] = [
    ("a fraction", "classification", [0.5, 0.25, "a"], {}, r"the number 0.5, where a class belongs.*"),
    ("a list", "classification", [["a"], "b", "a"], {}, "a list, where one label is expected"),
    ("text for a number", "regression", ["good", 1, 2], {}, "the text 'good', where regression needs a number"),
    ("not a number", "regression", ["nan", 1, 2], {}, "NaN: the row has no label"),
    ("nothing", "classification", [None, "a", "b"], {}, "has no label"),
    ("one class", "classification", ["a", "a", "a"], {}, 'a single class, "a"'),
    ("a constant", "regression", [2, 2, 2], {}, "every training row has the label 2"),
    ("an unknown class", "classification", ["a", "b", "c"], {"labels": ["a", "b"]}, r"not in data.labels: \"c\""),
    ("an object", "multi-label", [{"a": 1}, ["b"], ["a"]], {}, "where a list of classes belongs"),
]


@pytest.mark.parametrize(("task", "given", "data", "words"), [case[1:] for case in ERRORS], ids=[c[0] for c in ERRORS])
def test_labels_that_do_not_fit_are_refused_with_the_reason(
    tmp_path: Path, task: str, given: list[Any], data: dict[str, Any], words: str
) -> None:
    rows = [{"text": f"row {n}", "label": given[n % len(given)]} for n in range(30)]
    file = make(tmp_path, task, rows, **data)
    with pytest.raises(Refusal, match=words):
        prepare(file)
    assert not (tmp_path / "runs" / "toy").exists() or not list((tmp_path / "runs" / "toy").iterdir())


def prepare(file: Path, *overrides: str) -> list[Any]:
    """Prepare a project without training it and return the findings."""
    from phi_tui import project
    from phi_tui.engine.prepare import prepare as prepared

    found: list[Any] = []
    prepared(
        project.load(file, overrides),
        file.parent,
        Workspace(file.parent),
        lambda *said, **more: None,
        weights=False,
        on_finding=found.append,
    )
    return found


def test_a_refusal_names_the_row_and_the_task_that_would_fit(tmp_path: Path) -> None:
    rows = [{"text": f"row {n}", "label": 0.5 * n} for n in range(1, 10)]
    findings: list[Any] = []
    from phi_tui import project
    from phi_tui.engine import raw

    file = make(tmp_path, "classification", rows)
    with pytest.raises(Refusal, match=r"rows.jsonl:1: label is the number 0.5"):
        raw.build(project.load(file), tmp_path, tmp_path / "raw", on_finding=findings.append)
    assert findings[0].fix == 'is it model.task = "regression"?'


def test_a_class_that_only_validation_has_is_refused_unless_it_is_named(tmp_path: Path) -> None:
    file = make(tmp_path, "classification", classes(30))
    projects.write_jsonl(tmp_path / "held.jsonl", [{"text": "a stone", "label": "rock"}, *classes(6, seed=4)])
    more = '[[data.sources]]\npath = "held.jsonl"\nrole = "validation"\n[train]'
    file.write_text(file.read_text().replace("[train]", more))
    with pytest.raises(Refusal, match=r'a class that no training row has: "rock" \(held.jsonl:1\)'):
        prepare(file)
    findings = prepare(file, 'data.labels=["animals", "food", "weather", "rock"]')
    assert any(found.code == "not-in-training" and "rock" in found.message for found in findings)


def test_imbalance_missing_classes_and_names_alike_are_told(tmp_path: Path) -> None:
    names = ["common"] * 60 + ["rare"] * 3 + ["Common"] * 10
    rows = [{"text": f"row {n}", "label": name} for n, name in enumerate(names)]
    codes = {found.code: found for found in prepare(make(tmp_path, "classification", rows, split=0.98))}
    assert "times the training rows" in codes["imbalance"].message
    assert "rare" in codes["not-in-validation"].message
    assert "case or white space" in codes["label-alike"].message
    assert "common" in codes["labels"].message


@pytest.mark.parametrize(
    ("task", "overrides", "words"),
    [
        ("causal-lm", ('data.labels=["a", "b"]',), 'model.task = "causal-lm" has none'),
        ("regression", ('data.labels=["a", "b"]',), "regression learns numbers"),
        ("classification", ('data.labels=["a"]',), "a single class"),
        ("classification", ('data.labels=["a", "a"]',), "twice"),
        ("classification", ("data.format=chat",), "has no label"),
        ("classification", ("data.template=qa",), "lays out answers in words"),
    ],
)
def test_settings_that_cannot_go_together_are_refused_before_anything_is_read(
    tmp_path: Path, task: str, overrides: tuple[str, ...], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        prepare(make(tmp_path, task, classes(6)), *overrides)


def test_preflight_refuses_what_a_head_cannot_have(tmp_path: Path) -> None:
    file = tiny(tmp_path, "classification", classes(30))
    with pytest.raises(Refusal) as caught:
        projects.execute(file, "train.method=full", "train.score=rouge-l", "lora.modules_to_save=['score']")
    for words in ('train.method = "lora"', "train.score", "leave it out of the [lora] table"):
        assert words in str(caught.value)


def test_a_missing_label_column_is_named_and_another_one_can_be_mapped(tmp_path: Path) -> None:
    rows = [{"text": row["text"], "mood": row["label"]} for row in classes(30)]
    file = make(tmp_path, "classification", rows)
    with pytest.raises(
        InputError, match=r"the rows have the columns text, mood, and classification needs one with the"
    ):
        prepare(file)
    file.write_text(file.read_text().replace('"rows.jsonl"', '"rows.jsonl"\ncolumns = { label = "mood" }'))
    assert any(found.code == "labels" for found in prepare(file))
    with pytest.raises(InputError, match="reads none"):
        prepare(file, "model.task=causal-lm")


def test_cells_of_a_table_are_numbers_and_lists_too(tmp_path: Path) -> None:
    from phi_tui.engine import labels

    file = make(tmp_path, "regression", [])
    file.write_text(file.read_text().replace("rows.jsonl", "rows.csv"))
    lines = [f"row {n},{n}.5" for n in range(12)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,score", *lines]) + "\n")
    prepare(file)
    found = labels.read(tmp_path / "datasets" / "raw" / "toy")
    assert 0.5 <= found.mean <= 11.5 and found.std > 1
    lines = [f'row {n},"[""a"", ""{"bc"[n % 2]}""]"' for n in range(12)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,labels", *lines]) + "\n")
    prepare(file, "model.task=multi-label")
    assert labels.read(tmp_path / "datasets" / "raw" / "toy").names == ("a", "b", "c")


def test_skipping_bad_rows_leaves_rows_without_a_label_out(tmp_path: Path) -> None:
    rows = [*classes(30), {"text": "no label here", "label": None}]
    file = make(tmp_path, "classification", rows)
    with pytest.raises(Refusal, match="1 of 31 rows"):
        prepare(file)
    prepare(file, "data.skip_bad=true")
    report = json.loads((tmp_path / "datasets" / "raw" / "toy" / "report.json").read_text())
    assert report["train_rows"] + report["validation_rows"] == 30


@pytest.mark.slow
def test_the_commands_score_a_text_measure_the_run_and_print_the_figures(tmp_path: Path) -> None:
    file = tiny(tmp_path, "classification", classes(60), settings="max_steps = 4")
    trained = projects.command("--replay", file, "--json", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    figures = json.loads(trained.stdout)
    assert figures["perplexity"] is None and 0 <= figures["accuracy"] <= 1
    assert "macro F1" in trained.stderr and "always saying" in trained.stderr
    asked = projects.command("chat", file, "--prompt", "the cat and the dog", cwd=tmp_path)
    lines = [line.split("\t") for line in asked.stdout.splitlines()]
    assert {name for name, _ in lines} == {"animals", "food", "weather"}
    assert sum(float(share) for _, share in lines) == pytest.approx(1.0, abs=1e-3)


def test_the_evaluation_stage_measures_what_training_reported_and_a_bare_base_is_not_asked(tmp_path: Path) -> None:
    from phi_tui import project, talk
    from phi_tui.engine.measure import measure

    file = tiny(tmp_path, "classification", classes(60), settings="max_steps = 4")
    figures = projects.execute(file)
    measured = measure(project.load(file), tmp_path, Workspace(tmp_path), "", lambda *said, **more: None)
    assert measured["confusion"] == figures["confusion"]
    for name in ("accuracy", "macro_f1", "eval_loss", "base_accuracy"):
        assert measured[name] == pytest.approx(figures[name], abs=1e-6), name
    with pytest.raises(InputError, match="no trained head"):
        talk.talk(file, workspace=None, run_id="", base=True, prompt="x", overrides=())


def test_the_process_behind_the_chat_screen_scores_texts_as_the_command_does(tmp_path: Path) -> None:
    from phi_tui.engine.service import Task
    from phi_tui.engine.speakers import Speakers

    file = tiny(tmp_path, "classification", classes(60), settings="max_steps = 4\nsave_every = 2")
    projects.execute(file)
    newest = run.listed(Workspace(tmp_path), "toy")[0]
    speakers = Speakers()

    def ask(do: str, **arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = getattr(speakers, do)(Task(1, arguments, lambda told: None))
        return found

    place = {"project": file.read_text(), "root": str(tmp_path), "workspace": str(tmp_path)}
    voices = [
        {"key": "a", "kind": "adapter", "run": str(newest.path), "step": 0},
        {"key": "c", "kind": "checkpoint", "run": str(newest.path), "step": 2},
    ]
    loaded = ask("load", voices=voices, **place)["voices"]
    assert [voice["task"] for voice in loaded] == ["classification"] * 2
    text = "the cat and the dog"
    said = ask("classify", key="a", text=text)
    assert said["scores"] == list(load(file).score(text).scores)
    assert ask("answer", key="a", messages=[{"role": "user", "content": text}])["scores"] == said["scores"]
    assert ask("classify", key="c", text=text)["scores"] != said["scores"]
    assert ask("classify", key="a", text=text)["scores"] == said["scores"]
    base = [{"key": "b", "kind": "base", "run": str(newest.path), "step": 0}]
    with pytest.raises(InputError, match="no trained head"):
        ask("load", voices=base, **place)
    with pytest.raises(InputError, match="no text"):
        ask("classify", key="a", text="  ")


def test_the_doctor_looks_at_the_labels_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from phi_tui import cli

    names = ["common"] * 40 + ["rare"] * 2
    rows: list[dict[str, Any]] = [{"text": f"row {n}", "label": name} for n, name in enumerate(names)]
    file = projects.write_jsonl(tmp_path / "rows.jsonl", rows)
    assert cli.main(["doctor", "--task", "classification", str(file)]) == 0
    said = capsys.readouterr().out
    assert "common 40, rare 2" in said and "20 times the training rows" in said
    projects.write_jsonl(file, [*rows, {"text": "x", "label": 0.5}])
    assert cli.main(["doctor", "--task", "classification", str(file)]) == 3
    assert f"rows.jsonl:{len(rows) + 1}: label is the number 0.5" in capsys.readouterr().out
    assert cli.main(["doctor", str(file)]) == 0  # as plain texts there is nothing wrong with it
