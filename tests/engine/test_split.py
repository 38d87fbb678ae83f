"""Split and mix: exact, decided by content and seed alone, equal rows together, as the weights say."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phi_tui import phi
from phi_tui.engine.split import mix, row_key, split
from phi_tui.errors import Refusal

keys_of = st.lists(st.integers(0, 40).map(lambda n: row_key({"text": str(n)})), min_size=2, max_size=200).filter(
    lambda keys: len(set(keys)) > 1
)
shares = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32 - 1)


@given(keys_of, shares, seeds)
def test_equal_rows_stand_on_one_side_and_neither_side_is_empty(keys: list[bytes], share: float, seed: int) -> None:
    sides = split(keys, share, seed)
    assert len(sides) == len(keys)
    assert any(sides)
    assert not all(sides)
    assert len({*zip(keys, sides, strict=True)}) == len(set(keys))


@given(keys_of, shares, seeds)
def test_the_share_is_met_within_one_group_of_equal_rows(keys: list[bytes], share: float, seed: int) -> None:
    reached = sum(split(keys, share, seed))
    assert abs(reached - phi.train_rows(len(keys), share)) <= max(Counter(keys).values())


@given(st.integers(2, 300), seeds)
def test_distinct_rows_meet_the_phi_split_exactly(count: int, seed: int) -> None:
    keys = [row_key({"text": str(number)}) for number in range(count)]
    assert sum(split(keys, phi.TRAIN_SHARE, seed)) == phi.train_rows(count)


@given(keys_of, shares, seeds, st.randoms())
def test_the_order_of_the_rows_plays_no_part(keys: list[bytes], share: float, seed: int, rng: random.Random) -> None:
    before = dict(zip(keys, split(keys, share, seed), strict=True))
    shuffled = rng.sample(keys, len(keys))
    assert dict(zip(shuffled, split(shuffled, share, seed), strict=True)) == before


def test_the_seed_changes_who_trains() -> None:
    keys = [row_key({"text": str(number)}) for number in range(100)]
    assert len({tuple(split(keys, 0.5, seed)) for seed in range(20)}) == 20


@pytest.mark.parametrize("keys", [[], [b"a" * 16], [b"a" * 16] * 5])
def test_what_cannot_be_divided_is_refused_with_a_way_out(keys: list[bytes]) -> None:
    with pytest.raises(Refusal) as caught:
        split(keys, 0.5, 0)
    assert "cannot be split" in caught.value.what or "no rows" in caught.value.what
    assert 'data.split = "none"' in caught.value.fix


def test_a_key_stands_for_content_not_for_the_order_of_fields() -> None:
    assert row_key({"a": "x", "b": "y"}) == row_key({"b": "y", "a": "x"})
    assert row_key({"a": "x", "b": "y"}) != row_key({"a": "y", "b": "x"})
    assert len(row_key({"text": "é"})) == 16


sizes_of = st.lists(st.integers(1, 60), min_size=1, max_size=5)


@given(sizes_of, seeds, st.sampled_from(["first_exhausted", "all_exhausted"]))
def test_the_counts_of_a_mix_add_up(sizes: list[int], seed: int, stop: str) -> None:
    plan = mix(sizes, phi.mix_weights(len(sizes)), seed, stop)  # type: ignore[arg-type]
    drawn = Counter(plan.sources)
    distinct = Counter(source for source, _ in set(plan.order))
    for source, size in enumerate(sizes):
        assert plan.used[source] == drawn[source]
        assert plan.repeated[source] == drawn[source] - distinct[source]
        assert plan.left_out[source] == size - distinct[source]
    assert all(row < sizes[source] for source, row in plan.order)
    if stop == "first_exhausted":
        assert not any(plan.repeated)
        assert plan.left_out[plan.stopped_by] == 0  # type: ignore[index]
    else:
        assert not any(plan.left_out)
    assert f"source {plan.stopped_by + 1}" in plan.reason  # type: ignore[operator]


@given(sizes_of, seeds)
def test_a_row_comes_back_only_once_its_whole_source_was_seen(sizes: list[int], seed: int) -> None:
    plan = mix(sizes, phi.mix_weights(len(sizes)), seed, "all_exhausted")
    for source, size in enumerate(sizes):
        drawn = [row for place, row in plan.order if place == source]
        for start in range(0, len(drawn), size):
            deck = drawn[start : start + size]
            assert len(set(deck)) == len(deck)


def test_proportions_converge_to_the_weights() -> None:
    weights = phi.mix_weights(3)
    plan = mix([50_000] * 3, weights, 42)
    for used, weight in zip(plan.used, weights, strict=True):
        assert used / len(plan.rows) == pytest.approx(weight, abs=0.01)


def test_a_mix_is_the_same_for_a_seed_and_another_for_another() -> None:
    assert list(mix([50, 60], [0.6, 0.4], 1).order) == list(mix([50, 60], [0.6, 0.4], 1).order)
    assert list(mix([50, 60], [0.6, 0.4], 1).order) != list(mix([50, 60], [0.6, 0.4], 2).order)
