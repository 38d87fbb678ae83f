"""Summaries and answers: their layouts, cuts that spare question and answer, scores as worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import projects
import pytest
import tiny_bases
from hypothesis import given
from hypothesis import strategies as st

from phi_tui import project, run
from phi_tui.cli import main
from phi_tui.engine import pipeline, scoring
from phi_tui.engine.checkpoints import sha256
from phi_tui.engine.prepare import prepare
from phi_tui.engine.render import QA, SUMMARISATION, Template, prompt, segments
from phi_tui.errors import InputError, Refusal, Stopped
from phi_tui.workspace import Workspace

TINY = "llama"


def qa_rows(count: int, *, long: int = 0) -> list[dict[str, Any]]:
    out = []
    for number, row in enumerate(projects.rows(count)):
        word = row["output"].split()[0]
        context = f"Box {number} holds a {word}. " + "Nothing else is in it. " * (long if number % 2 else 0)
        out.append({"context": context, "question": f"What is in box {number}?", "answer": f"a {word}"})
    return out


def make(folder: Path, rows: list[dict[str, Any]], data: str = 'template = "qa"', train: str = "") -> Path:
    file = projects.make(folder, settings=train)
    projects.write_jsonl(folder / "train.jsonl", rows)
    file.write_text(file.read_text().replace("[data]\n", f"[data]\n{data}\n"))
    return file


def weights(figures: dict[str, Any]) -> str:
    return sha256(Path(figures["adapter"]) / "adapter_model.safetensors")


# The measures


@pytest.mark.parametrize(
    ("said", "wanted", "score"),
    [
        ("police kill the gunman", "police killed the gunman", 3 / 4),  # the three sentences of Lin 2004, section 3.1
        ("the gunman kill police", "police killed the gunman", 2 / 4),
        ("the gunman police killed", "police killed the gunman", 2 / 4),
        ("The cat sat on the mat.", "the cat sat on the mat", 1.0),
        ("the cat", "the cat sat on the mat", 2 * (2 / 6) * 1 / (2 / 6 + 1)),  # recall 1/3, precision 1: 1/2
        ("dogs bark", "cats purr", 0.0),
        ("", "cats purr", 0.0),
        ("", "", 1.0),
        ("猫が好き", "犬が好き", 3 / 4),
    ],
)
def test_rouge_l_is_that_of_the_paper(said: str, wanted: str, score: float) -> None:
    assert scoring.rouge_l(said, wanted) == pytest.approx(score)


@pytest.mark.parametrize(
    ("said", "wanted", "exact", "f1"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1.0, 1.0),
        ("Paris, France", "Paris", 0.0, 2 * 0.5 * 1 / 1.5),
        ("a cat and a cat", "the cat", 0.0, 2 * (1 / 3) * 1 / (1 / 3 + 1)),  # cat and cat: one of three in common
        ("no", "yes", 0.0, 0.0),
        ("", "", 1.0, 1.0),
        ("the", "", 1.0, 1.0),
        ("x", "", 0.0, 0.0),
    ],
)
def test_exact_match_and_token_f1_are_those_of_squad(said: str, wanted: str, exact: float, f1: float) -> None:
    assert scoring.exact_match(said, wanted) == exact
    assert scoring.token_f1(said, wanted) == pytest.approx(f1)


@given(st.lists(st.sampled_from("abc"), max_size=7), st.lists(st.sampled_from("abc"), max_size=7))
def test_the_common_subsequence_is_the_longest_of_all_subsequences(one: list[str], other: list[str]) -> None:
    def all_of(letters: list[str]) -> set[str]:
        found = {""}
        for letter in letters:
            found |= {before + letter for before in found}
        return found

    assert scoring.common_subsequence(one, other) == max(map(len, all_of(one) & all_of(other)))


# The layouts


def test_the_layouts_have_clear_delimiters_and_train_the_answer_alone(tmp_path: Path) -> None:
    from phi_tui.engine.loading import tokenizer as load

    tiny_bases.make(TINY, tmp_path)
    tokenizer = load(tmp_path)
    eos = tokenizer.eos_token
    qa = Template("qa", QA, eos, (eos,))
    row = {"context": "It rains.\n\nOften.", "question": "Does it?", "answer": "yes"}
    parts = segments(row, qa, tokenizer)
    asked = "### Context\nIt rains.\n\nOften.\n\n### Question\nDoes it?\n\n### Answer\n"
    assert [(part.text, part.trained) for part in parts] == [(asked, False), (f"yes{eos}", True)]
    closed = segments({**row, "context": ""}, qa, tokenizer)
    assert closed[0].text == "### Question\nDoes it?\n\n### Answer\n"
    # In a chat, what stands above an empty line is the context.
    typed = [{"role": "user", "content": "It rains.\n\nOften.\n\nDoes it?"}]
    assert prompt(typed, qa, tokenizer) == asked
    summary = Template("summarisation", SUMMARISATION, eos, (eos,))
    parts = segments({"source": "A long\n\nstory.", "summary": "Short."}, summary, tokenizer)
    assert parts[0].text == "### Document\nA long\n\nstory.\n\n### Summary\n"
    assert (parts[1].text, parts[1].trained) == (f"Short.{eos}", True)


def prepared(file: Path, *overrides: str) -> Any:
    return prepare(project.load(file, overrides), file.parent, Workspace(file.parent), lambda *_, **__: None)


def test_fields_are_detected_and_mapped(tmp_path: Path) -> None:
    rows = [{"passage": "P", "query": f"Q{n}", "answers": {"text": ["A", "B"], "answer_start": [0]}} for n in range(9)]
    found = prepared(make(tmp_path, rows)).report["sources"][0]
    assert found["format"] == "qa"
    assert found["columns"] == {"question": "query", "context": "passage", "answer": "answers"}
    kept = [json.loads(line) for line in (tmp_path / "datasets/raw/toy/train.jsonl").read_text().splitlines()]
    assert kept[0]["answer"] == "A"
    with pytest.raises(InputError, match="none is taken for the source"):
        prepared(make(tmp_path, rows, 'template = "summarisation"'))
    rows = [{"body": f"B{n}", "tl": "T", "headline": f"H{n}"} for n in range(9)]
    file = make(tmp_path, rows, 'template = "summarisation"')
    file.write_text(file.read_text().replace('"train.jsonl"', '"train.jsonl"\ncolumns = { summary = "headline" }'))
    assert prepared(file).report["sources"][0]["columns"] == {"source": "body", "summary": "headline"}


def test_without_the_layout_a_question_is_an_instruction_as_before(tmp_path: Path) -> None:
    assert prepared(make(tmp_path, qa_rows(9), "")).report["sources"][0]["format"] == "instruction"


def test_the_layout_and_another_format_are_refused_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave format at"):
        project.load(make(tmp_path, qa_rows(9), 'template = "qa"\nformat = "chat"'))


# The cut


def decoded(made: Any, part: str = "train") -> list[tuple[str, str]]:
    """(prompt, answer) of every row as it is trained."""
    from datasets import load_from_disk

    out = []
    for row in load_from_disk(str(made.ready.folder))[part]:
        start = next(place for place, label in enumerate(row["labels"]) if label != -100)
        ids = row["input_ids"]
        out.append((made.tokenizer.decode(ids[:start]), made.tokenizer.decode(ids[start:])))
    return out


def test_a_long_source_is_cut_and_neither_question_nor_answer(tmp_path: Path) -> None:
    file = make(tmp_path, qa_rows(20, long=40), 'template = "qa"\ncut = "source"')
    made = prepared(file, "data.max_length=120")
    train = made.ready.train
    assert train.rows == 12
    assert 0 < train.source_cut_rows == train.cut_rows < train.rows
    assert train.cut_tokens > 100
    assert 100 < train.longest <= 120
    for asked, answer in decoded(made):
        assert asked.count("### Question") == asked.count("### Answer") == asked.count("### Context") == 1
        assert "What is in box" in asked
        assert answer.startswith("a ")
        assert answer.endswith(made.tokenizer.eos_token)


def test_a_row_that_is_too_long_without_its_source_is_told_and_refused(tmp_path: Path) -> None:
    file = make(tmp_path, qa_rows(20, long=40), 'template = "qa"\ncut = "source"')
    with pytest.raises(Refusal, match="without any of its context it is longer"):
        prepared(file, "data.max_length=10")


def test_by_default_the_end_is_cut_as_before(tmp_path: Path) -> None:
    rows = [{"context": "long " * 200, "question": "Why?", "answer": "so"} for _ in range(9)]
    rows = [{**row, "question": f"Why {n}?"} for n, row in enumerate(rows)]
    with pytest.raises(Refusal, match="its prompt alone fills"):
        prepared(make(tmp_path, rows), "data.max_length=64")


def test_the_input_of_an_instruction_is_cut_too(tmp_path: Path) -> None:
    rows = [{**row, "input": "much " * 100} for row in projects.rows(20)]
    made = prepared(make(tmp_path, rows, 'cut = "source"'), "data.max_length=80")
    assert made.ready.train.source_cut_rows == made.ready.train.rows
    assert all(answer.strip() for _, answer in decoded(made))


def test_a_source_that_no_row_has_cannot_be_cut(tmp_path: Path) -> None:
    file = make(tmp_path, [{"text": f"row {n}"} for n in range(20)], 'cut = "source"')
    with pytest.raises(Refusal, match="no source, context or input"):
        pipeline.ready(project.load(file), tmp_path, Workspace(tmp_path), lambda *_, **__: None)


# Scores of a run

SCORED = "score_rows = 6\nscore_tokens = 6\nsamples = 0"


def test_scores_are_in_events_and_figures_beside_the_base_s_and_change_no_byte(tmp_path: Path) -> None:
    rows = qa_rows(30)
    plain = projects.execute(make(tmp_path / "plain", rows, train="samples = 0"))
    scored = projects.execute(make(tmp_path / "scored", rows, train=f'score = "exact-match"\n{SCORED}'))
    assert weights(plain) == weights(scored)
    assert [e["loss"] for e in projects.events(plain, "step")] == [e["loss"] for e in projects.events(scored, "step")]
    events = projects.events(scored, "eval")
    assert events[0]["base"]
    assert all(0 <= event["exact_match"] <= event["token_f1"] <= 1 for event in events)
    assert scored["base_token_f1"] == events[0]["token_f1"]
    best = next(event for event in events if event["step"] == scored["best_step"])
    assert scored["token_f1"] == best["token_f1"]
    assert "token_f1" not in plain
    assert "token_f1" in (Path(scored["adapter"]) / "README.md").read_text()


def test_a_run_that_learns_its_rows_by_heart_scores_higher_than_the_base(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [{"source": f"{'abcdefgh'[n % 8]} words {n}", "summary": "one two three four"} for n in range(30)]
    file = make(tmp_path, rows, 'template = "summarisation"', f'score = "rouge-l"\n{SCORED}')
    figures = projects.execute(file, "train.epochs=6", "train.learning_rate=2e-2")
    assert figures["rouge_l"] > 0.6 > figures["base_rouge_l"]
    assert main(["eval", str(file), "--json"]) == 0  # loaded afresh, it scores the same
    again = json.loads(capfd.readouterr().out)
    assert again["rouge_l"] == pytest.approx(figures["rouge_l"], abs=1e-6)
    assert again["base_rouge_l"] == pytest.approx(figures["base_rouge_l"], abs=1e-6)


def test_a_scored_run_that_was_stopped_resumes_to_the_same_bytes_and_scores(tmp_path: Path) -> None:
    train = f'score = "rouge-l"\n{SCORED}'
    whole = projects.execute(make(tmp_path / "whole", qa_rows(30), train=train))
    file = make(tmp_path / "stopped", qa_rows(30), train=train)
    with pytest.raises(Stopped):
        projects.execute(file, stop_at=3)
    resumed = projects.execute(file, resume=True)
    assert resumed["run"] == run.listed(Workspace(file.parent), "toy")[0].id
    assert weights(resumed) == weights(whole)
    for name in ("rouge_l", "base_rouge_l"):
        assert resumed[name] == whole[name]


@pytest.mark.parametrize(
    ("data", "train", "told"),
    [
        ("", "evaluate = false", "needs validation rows"),
        ('split = "none"', "", "needs validation rows"),
    ],
)
def test_a_score_without_validation_rows_is_refused(tmp_path: Path, data: str, train: str, told: str) -> None:
    file = make(tmp_path, qa_rows(12), f'template = "qa"\n{data}', f'score = "rouge-l"\n{train}')
    with pytest.raises(Refusal, match=told):
        pipeline.ready(project.load(file), tmp_path, Workspace(tmp_path), lambda *_, **__: None)


def test_a_score_of_plain_text_is_refused(tmp_path: Path) -> None:
    file = make(tmp_path, [{"text": f"row {n}"} for n in range(20)], "", 'score = "rouge-l"')
    with pytest.raises(Refusal, match="plain text have none"):
        pipeline.ready(project.load(file), tmp_path, Workspace(tmp_path), lambda *_, **__: None)


@pytest.mark.parametrize("kind", ["llama", "gpt_neo", "gpt2", "opt"])
def test_answers_generated_together_are_those_generated_alone(tmp_path: Path, kind: str) -> None:
    import contextlib

    import torch
    from transformers import AutoModelForCausalLM

    from phi_tui.engine.loading import pad_id
    from phi_tui.engine.loading import tokenizer as load

    tiny_bases.make(kind, tmp_path)
    tokenizer = load(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    texts = ["one two", "one two three red blue green cat", "cat dog bird sun moon"]
    questions = [scoring.Question(tokenizer(text, add_special_tokens=False)["input_ids"], text) for text in texts]

    def scored(chosen: list[scoring.Question]) -> float:
        found = scoring.score(
            "rouge-l", model, tokenizer, chosen, max_tokens=8, context=128, stops=[tokenizer.eos_token_id],
            pad_id=pad_id(tokenizer), autocast=contextlib.nullcontext,
        )  # fmt: skip
        return found["rouge_l"] * len(chosen)

    before = torch.random.get_rng_state()
    together = scored(questions)
    assert together == pytest.approx(sum(scored([one]) for one in questions))
    assert torch.equal(torch.random.get_rng_state(), before)
