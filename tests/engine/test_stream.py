"""Packed blocks: every token once, whole again after an interruption, and the same bytes however it was made."""

import json
from pathlib import Path
from typing import Any

import projects
import pytest
import tiny_bases

from phi_tui import project
from phi_tui.engine import ready, stream, token_rows
from phi_tui.engine.render import choose
from phi_tui.engine.unigram import counts, unigram
from phi_tui.errors import InputError, Refusal
from phi_tui.schema import Project

CONTEXT = 16


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_bases.make_tokenizer()


def texts(count: int) -> list[dict[str, Any]]:
    return [
        {"text": " ".join(["golden", "ratio", "line"] * (1 + number % 7)) + f" {number}"} for number in range(count)
    ]


def raw(folder: Path, train: list[dict[str, Any]], validation: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("validation", validation)):
        projects.write_jsonl(folder / f"{name}.jsonl", rows)
        places = "".join(f"{json.dumps('data.jsonl')}\t{number}\n" for number in range(1, len(rows) + 1))
        (folder / f"{name}.origins").write_text(places)
    return folder


def settings(*overrides: str) -> Project:
    tables = {
        "name": "new",
        "model": {"init": "scratch"},
        "scratch": {"context": CONTEXT},
        "data": {"sources": [{"path": "data.jsonl"}]},
    }
    return project.validate(project.override(tables, overrides), "test")


def build(folder: Path, tokenizer: Any, train: list[Any], validation: list[Any], *overrides: str, **more: Any) -> Any:
    chosen = settings(*overrides)
    template = choose("auto", "text", tokenizer)
    rows = raw(folder / "raw", train, validation)
    (folder / "ready").mkdir(exist_ok=True)
    return stream.build(
        chosen, rows, folder / "ready" / "new", tokenizer, template, data_hash="h", expected="e", **more
    )


def blocks(made: ready.Ready, part: str) -> list[list[int]]:
    from datasets import load_from_disk

    return [list(row) for row in load_from_disk(str(made.folder))[part]["input_ids"]]


def expected_stream(tokenizer: Any, rows: list[dict[str, Any]]) -> list[int]:
    ids: list[int] = []
    for row in rows:
        ids += tokenizer(row["text"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    return ids


def test_blocks_laid_end_to_end_are_the_texts_each_closed_by_the_end_token(tmp_path: Path, tokenizer: Any) -> None:
    rows = texts(50)
    made = build(tmp_path, tokenizer, rows, texts(9))
    whole = expected_stream(tokenizer, rows)
    found = blocks(made, "train")
    assert all(len(block) == CONTEXT for block in found)
    assert [block[-1] for block in found[:-1]] == [block[0] for block in found[1:]]
    joined = found[0] + [token for block in found[1:] for token in block[1:]]
    assert joined == whole[: len(joined)]
    assert made.train.cut_tokens == len(whole) - len(joined) < CONTEXT - 1
    assert made.train.rows == len(found)
    assert made.train.trained == len(found) * (CONTEXT - 1)


def test_validation_predicts_every_token_but_its_first(tmp_path: Path, tokenizer: Any) -> None:
    held_out = texts(9)
    made = build(tmp_path, tokenizer, texts(50), held_out)
    assert made.validation.trained == len(expected_stream(tokenizer, held_out)) - 1
    assert made.validation.cut_tokens == 0


def test_texts_that_fill_no_block_make_one_short_one(tmp_path: Path, tokenizer: Any) -> None:
    made = build(tmp_path, tokenizer, [{"text": "one"}], [])
    assert made.train.rows == 1
    assert blocks(made, "train") == [expected_stream(tokenizer, [{"text": "one"}])]
    assert made.validation.rows == 0


def test_a_block_is_no_longer_than_max_length(tmp_path: Path, tokenizer: Any) -> None:
    made = build(tmp_path, tokenizer, texts(50), texts(9), "data.max_length=8")
    assert {len(block) for block in blocks(made, "train")} == {8}
    template = choose("auto", "text", tokenizer)
    names = [stream.fingerprint(settings(*more), "h", "t", template) for more in ((), ("data.max_length=8",))]
    assert names[0] != names[1]


def test_an_interrupted_preparation_goes_on_behind_its_last_shard_to_the_same_blocks(
    tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_rows, "_ROWS", 5)
    monkeypatch.setattr(stream, "SHARD_TOKENS", 100)
    rows, held_out = texts(60), texts(30)
    whole = build(tmp_path / "whole", tokenizer, rows, held_out)
    heard: list[int] = []

    def interrupt(done: int) -> None:
        heard.append(done)
        if done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "cut", tokenizer, rows, held_out, on_progress=interrupt)
    kept = tmp_path / "cut" / "ready" / ".new.shards"
    note = json.loads((kept / "phi-tui.json").read_text())
    assert 0 < note["parts"]["train"]["rows"] < 40
    heard.clear()
    again = build(tmp_path / "cut", tokenizer, rows, held_out, on_progress=heard.append)
    assert heard[0] == note["parts"]["train"]["rows"] + 5  # what stood was not made again
    assert (again.train, again.validation) == (whole.train, whole.validation)
    for part in ("train", "validation"):
        assert blocks(again, part) == blocks(whole, part)
    assert not kept.exists()


def test_shards_of_other_rows_are_not_gone_on_with(
    tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SHARD_TOKENS", 1)
    monkeypatch.setattr(token_rows, "_ROWS", 5)

    def interrupt(done: int) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, tokenizer, texts(60), texts(9), on_progress=interrupt)
    note = tmp_path / "ready" / ".new.shards" / "phi-tui.json"
    note.write_text(note.read_text().replace('"expected": "e"', '"expected": "another"'))
    made = build(tmp_path, tokenizer, texts(60), texts(9))
    assert blocks(made, "train")[0] == expected_stream(tokenizer, texts(1) + texts(60)[1:])[:CONTEXT]
    assert made.train.trained + made.train.cut_tokens == len(expected_stream(tokenizer, texts(60))) - 1


def test_a_special_token_inside_a_text_is_told_with_its_line(tmp_path: Path, tokenizer: Any) -> None:
    found: list[Any] = []
    rows = [*texts(20), {"text": f"before {tokenizer.eos_token} behind"}]
    build(tmp_path, tokenizer, rows, [], on_finding=found.append)
    assert [(one.code, one.line) for one in found] == [("special-token", 21)]


def test_instructions_train_their_answers_alone_unless_asked_for_everything(tmp_path: Path, tokenizer: Any) -> None:
    rows = [{"instruction": f"Say {number}", "input": "", "output": f"{number}"} for number in range(40)]
    chosen = settings()
    template = choose("auto", "instruction", tokenizer)
    made = {}
    for train_on in ("completion", "everything"):
        place = raw(tmp_path / train_on, rows, [])
        chosen = settings(f"data.train_on={train_on}")
        target = tmp_path / f"ready-{train_on}"
        made[train_on] = stream.build(chosen, place, target, tokenizer, template, data_hash="h", expected="e").train
    assert 0 < made["completion"].trained < made["everything"].trained / 2


def test_rows_that_no_template_renders_are_refused_with_their_line(tmp_path: Path, tokenizer: Any) -> None:
    broken = {"messages": [{"role": "assistant", "content": "alone"}, {"role": "user", "content": "late"}]}
    tables = settings("data.template=chat")
    chat = tiny_bases.make_tokenizer(chat=True)
    strict = "{% for message in messages %}{{ raise_exception('no') }}{% endfor %}"
    chat.chat_template = strict
    rows = raw(tmp_path / "raw", [broken], [])
    with pytest.raises(Refusal, match=r"data\.jsonl:1"):
        stream.build(tables, rows, tmp_path / "ready", chat, choose("chat", "chat", chat), data_hash="h", expected="e")
    assert not (tmp_path / "ready").exists()


def test_the_unigram_baseline_is_the_add_one_smoothed_count_on_the_predicted_tokens(
    tmp_path: Path, tokenizer: Any
) -> None:
    import math
    from collections import Counter

    from datasets import load_from_disk

    rows, held_out = texts(50), texts(9)
    made = build(tmp_path, tokenizer, rows, held_out)
    data = load_from_disk(str(made.folder))
    size = len(tokenizer)
    seen = Counter(token for block in blocks(made, "train") for token in block[1:])
    asked = [token for block in blocks(made, "validation") for token in block[1:]]
    total = sum(seen.values()) + size
    by_hand = -sum(math.log((seen[token] + 1) / total) for token in asked) / len(asked)
    found = unigram(data["train"], data["validation"], size)
    assert found.loss == pytest.approx(by_hand, rel=1e-12)
    assert found.perplexity == pytest.approx(math.exp(by_hand), rel=1e-12)
    assert (found.counted, found.predicted) == (made.train.trained, made.validation.trained)
    masked = data["train"].map(lambda row: {"labels": [-100] * len(row["labels"])}, load_from_cache_file=False)
    assert int(counts(masked, size).sum()) == 0


def test_a_vocabulary_that_cannot_hold_the_bytes_is_refused(tmp_path: Path) -> None:
    from phi_tui.engine import tokenizer_training

    with pytest.raises(InputError, match="256 bytes"):
        tokenizer_training.train(raw(tmp_path, texts(3), []) / "train.jsonl", 100, 16)
