"""A skimmed journal: an outline of steps that are really there, whatever else the file holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phi_tui import skimmed
from phi_tui.metrics import MetricStore


def _line(number: int, step: int) -> str:
    event = {"seq": number, "time": 1e9 + number, "kind": "step", "step": step, "steps": 9000, "loss": 3.0 + step / 1e4}
    return json.dumps(event) + "\n"


def _store(path: Path) -> MetricStore:
    store = MetricStore()
    store.become(skimmed.outline(path))
    return store


def test_the_outline_goes_from_the_first_step_to_the_last_through_steps_of_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("".join(_line(step, step) for step in range(1, 9001)))
    assert path.stat().st_size > 4 * 64 * 1024
    store = _store(path)
    assert store.loss.extent() == (1, 9000)
    assert store.snapshot().step == store.snapshot().steps == 9000
    drawn = store.loss.window(columns=100)
    assert all(column.low is not None for column in drawn), "no column of a chart is left empty"


def test_steps_that_a_resume_took_back_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    lines = [_line(step, step) for step in range(1, 6001)]
    lines.append('{"seq": 6001, "time": 1000006001.0, "kind": "resumed", "step": 3000}\n')
    lines += [_line(step, step) for step in range(3001, 4501)]
    path.write_text("".join(lines))
    store = _store(path)
    assert store.loss.extent() == (1, 4500)
    assert store.snapshot().step == 4500


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"\xff\xfe{]" * 50_000,
        b"x" * 300_000 + b"\n",
        (_line(1, 1) * 3).encode()[:-10],
        b'{"kind": "step"}\n{"kind": "step", "step": "7"}\n{"kind": "step", "step": true}\n[]\n' * 5000,
        b'{"kind": "eval", "step": 3, "eval_loss": 1}\n' * 9000,
    ],
)
def test_what_is_no_journal_gives_an_empty_outline_or_what_steps_it_has(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(raw)
    assert _store(path).snapshot().step <= 1


def test_a_missing_journal_gives_an_empty_outline(tmp_path: Path) -> None:
    assert _store(tmp_path / "none").loss.extent() is None


def test_a_short_journal_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("".join(_line(step, step) for step in range(1, 51)))
    store = _store(path)
    assert sum(bucket.count for bucket in store.loss.contents().buckets) == 50
