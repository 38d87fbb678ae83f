"""The plan: batches and steps from the rows, and a batch size found without touching anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phi_tui.engine import plan
from phi_tui.engine.ready import Tokens
from phi_tui.schema import Project, Train

SHAPE = plan.Shape(135_000_000, 2_000_000, 30, 576, 1536, 49_152)


def tokens(rows: int, mean: int = 100) -> Tokens:
    return Tokens(rows, rows * mean, rows * mean // 2, mean, 2 * mean, 4 * mean, 0, 0, 0)


def planned(train: Train, rows: int, **more: object) -> plan.Plan:
    arguments = {"on_gpu": False, "weight_bytes": 2, "available": 24 * 10**9} | more
    return plan.make(Project(name="x", train=train), tokens(rows), SHAPE, **arguments)  # type: ignore[arg-type]


@given(st.integers(1, 5000), st.integers(0, 64), st.integers(0, 64), st.floats(0.1, 5), st.booleans())
def test_the_steps_cover_the_epochs(rows: int, batch: int, accum: int, epochs: float, on_gpu: bool) -> None:
    made = planned(Train(batch_size=batch, grad_accum=accum, epochs=epochs), rows, on_gpu=on_gpu)
    assert made.batch_size >= 1
    assert made.grad_accum >= 1
    assert made.steps >= 1
    assert made.rows_per_step * made.steps_per_epoch >= rows
    assert not batch or made.batch_size == batch
    assert not accum or made.grad_accum == accum


def test_max_steps_wins_over_epochs() -> None:
    assert planned(Train(max_steps=7, epochs=100.0), 1000).steps == 7


def test_a_small_data_set_still_gets_eight_steps_an_epoch() -> None:
    assert planned(Train(), 80).steps_per_epoch >= 8


def test_a_step_sees_about_the_tokens_asked_for() -> None:
    made = planned(Train(tokens_per_step=4096), 100_000)
    assert made.tokens_per_step == pytest.approx(4096, rel=0.15)


def test_checkpointing_is_chosen_when_memory_asks_for_it() -> None:
    assert not planned(Train(), 1000).checkpointing
    assert planned(Train(), 1000, available=500_000_000).checkpointing


def test_the_probe_halves_until_it_fits() -> None:
    tried = []

    def attempt(rows: int) -> None:
        tried.append(rows)
        if rows > 5:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    assert plan.probe(32, attempt) == 4
    assert tried == [32, 16, 8, 4]


def test_the_probe_gives_up_when_not_one_row_fits_and_passes_other_errors_on() -> None:
    def never(rows: int) -> None:
        raise RuntimeError("out of memory")

    def broken(rows: int) -> None:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="memory"):
        plan.probe(4, never)
    with pytest.raises(RuntimeError, match="shape"):
        plan.probe(4, broken)
