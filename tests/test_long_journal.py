"""A long journal is known as if it had been told event by event, whatever stands in it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from phi_tui import ahead, journal, long_journal, step_columns
from phi_tui.metrics import MetricStore


def _lines(seed: int, *, runs: int = 4, long: int = 700) -> list[bytes]:
    """A journal with all that may come between steps, and some of what may not."""
    noise, found, seq, step = random.Random(seed), [], 0, 0

    def tell(kind: str, **payload: Any) -> None:
        nonlocal seq
        seq += 1
        found.append(json.dumps({"seq": seq, "time": 1e9 + seq / 2, "kind": kind, **payload}).encode())

    tell("phase", name="start", steps=9000, notes=["a: b", '"kind": "step"'])
    tell("eval", step=0, base=True, eval_loss=5.0, perplexity=148.4)
    for number in range(runs):
        for _ in range(noise.choice([3, 70, long])):
            step += 1
            loss = noise.choice([None, noise.gauss(2, 1), -1.5e-7, 3, 0.1, 1e300]) if noise.random() < 0.5 else 2.5
            more = {"grad_norm": noise.random()} if number != 2 else {}
            tell(
                "step", step=step, steps=9000, epoch=step / 2500, loss=loss, lr=1e-3 / step, **more,
                tokens=step * 500, tokens_per_second=round(900 + noise.random(), 1),
            )  # fmt: skip
            if noise.random() < 0.002:
                found.append(noise.choice([b'{"kind": "st', b"", b"[1]", b"\xff\xfe", found[-1][:40] + found[-1]]))
        tell("sample", step=step, prompt='{"kind": "step", "step": 1}', text="a: 1, b: 2")
        tell("eval", step=step, eval_loss=noise.random(), perplexity=2.0)
        tell("checkpoint", step=step, path=f"checkpoints/step-{step}")
        if number % 2:
            tell("stopped", message="stopped")
            tell("phase", name="start", steps=9000)
            step = max(0, step - noise.choice([0, 5, 900]))
            tell("resumed", step=step)
        elif noise.random() < 0.5:
            step = max(0, step - 3)  # told again without a word
    tell("done", steps=step, perplexity=2.0)
    return found


def _told(path: Path) -> MetricStore:
    store, follower = MetricStore(), journal.Follower(path)
    while events := follower.poll():
        store.feed(events)
    return store


@pytest.mark.parametrize("seed", range(12))
def test_a_journal_read_as_columns_is_known_as_one_that_was_told(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_journal, "_CHUNK", 60_000)
    path = tmp_path / "j"
    path.write_bytes(b"\n".join(_lines(seed)) + b'\n{"seq": 1, "kind": "st')
    columnar: list[int] = []
    pieces = step_columns.pieces

    def counting(*given: Any) -> list[step_columns.Piece]:
        found = pieces(*given)
        columnar.extend(len(one.steps) for one in found if one.steps is not None)
        return found

    monkeypatch.setattr(step_columns, "pieces", counting)
    store, size = long_journal.read(path)
    told = _told(path)
    assert store.contents() | {"_warming": 0} == told.contents() | {"_warming": 0}
    assert store.snapshot(2e9) == told.snapshot(2e9)
    assert size == path.read_bytes().rfind(b"\n") + 1
    if any(line.count(b'"step"') for line in _lines(seed)[:900]) and seed == 0:
        assert sum(columnar) > 500


def test_the_process_hands_over_what_it_read(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b"\n".join(_lines(5, runs=6)) + b"\n")
    reading, store, told = ahead.Ahead(path), MetricStore(), _told(path)
    loss = store.loss
    assert reading.result(store) == path.stat().st_size
    assert store.loss is loss and store.contents() | {"_warming": 0} == told.contents() | {"_warming": 0}
    assert store.loss.window(columns=100) == told.loss.window(columns=100)
    more = {"kind": "step", "time": 3e9, "step": 100_000, "loss": 1.0}
    for one in (store, told):
        one.feed([more])
    assert store.snapshot() == told.snapshot() and store.loss.latest() == (100_000, 1.0)


def test_a_process_that_fails_says_so_and_leaves_the_store_alone(tmp_path: Path) -> None:
    store = MetricStore()
    assert ahead.Ahead(tmp_path / "none").result(store) == 0
    reading = ahead.Ahead(tmp_path / "none")
    reading.close()
    assert reading.result(store) == 0 and store.contents() == MetricStore().contents()


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "step", "step": 7, "loss": 1.0, "lr": 2.0}',
        '{"kind": "step", "step": 7, "lr": 2.0, "loss": 1.0}',
        '{"kind": "step", "step": 7, "loss": 1.0, "mr": 2.0}',
        '{"kind": "step", "step": 7, "boss": 1.0, "lr": 2.0}',
        '{"kind": "stop", "step": 7, "loss": 1.0, "lr": 2.0}',
        '{"kind": "step", "step": 7, "loss": "1.0", "lr": 2.0}',
        '{"kind": "step", "step": 7, "loss": 1.0e, "lr": 2.0}',
        '{"kind": "step", "step": 7, "loss": [1.0], "lr": 2.0}',
        '{"kind": "step", "step": 7, "loss": 1e999, "lr": true}',
        '{"kind": "step", "step": 7.5, "loss": 1.0, "lr": NaN}',
        '{"kind": "step", "step": null, "loss": 1.0, "lr": 2.0}',
        '{"kind":"step","step":7,"loss":1.0,"lr":2.0}',
        '{"kind": "step", "step": 7, "loss": 12345678901234567890123456789.0, "lr": -2.0}',
        '{"kind": "step",  "step": 7, "loss": 1.0, "lr": 2.0}',
    ],
)
def test_a_line_laid_out_otherwise_means_what_it_means_by_itself(tmp_path: Path, line: str) -> None:
    around = [json.dumps({"kind": "step", "step": step, "loss": 0.5, "lr": 0.1}) for step in range(8, 2008)]
    path = tmp_path / "j"
    path.write_text("\n".join([*around[:1000], line, *around[1000:]]) + "\n")
    raw = path.read_bytes()
    assert sum(len(one.steps) for one in step_columns.pieces(raw, 0, len(raw)) if one.steps is not None) > 1800
    store, told = long_journal.read(path)[0], _told(path)
    assert store.contents() | {"_warming": 0} == told.contents() | {"_warming": 0}
