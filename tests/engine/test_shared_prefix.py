"""Rows that share a prefix lie behind one copy of it: the fewest tokens, the same loss and the same gradients."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch
from adapted_llama import adapted, assert_same_gradients, gradients

from phi_tui.engine import batching, loss, shared_prefix
from phi_tui.engine.packed_llama import PackedLlama


def _row(prefix: list[int], rest: list[int], trained: int) -> dict[str, Any]:
    """A row whose last `trained` tokens carry loss."""
    ids = prefix + rest
    return {"input_ids": ids, "labels": [-100] * (len(ids) - trained) + ids[len(ids) - trained :]}


def _rows(prefix: int, trained: str, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with two prefixes, rows without, one of them long, one twice, one that is a prefix of another."""
    numbers = random.Random(seed)
    draw = lambda count: [numbers.randrange(99) for _ in range(count)]  # noqa: E731
    front, other, made = draw(prefix), draw(12), []
    for length in (4, 9, 1, 200, 17, 30):
        rest = draw(length)
        made.append(_row(front, rest, len(front) + length if trained == "everything" else max(1, length // 2)))
    made += [_row(other, draw(length), 2) for length in (3, 6)]
    made += [_row([], draw(length), length // 2) for length in (7, 150)]
    made.append(made[1])
    made.append(_row(made[1]["input_ids"], draw(3), 3))
    numbers.shuffle(made)
    return made


@pytest.mark.parametrize("prefix", [8, 21, 128, 300])
@pytest.mark.parametrize("trained", ["completion", "everything"])
def test_loss_and_gradients_are_the_librarys_row_by_row(prefix: int, trained: str) -> None:
    model = adapted()
    rows = _rows(prefix, trained)
    expected = sum(loss.nll(model, loss.collate([row], 0)) for row in rows)
    expected.backward()
    wanted = gradients(model)
    batch = shared_prefix.pack(rows)
    assert batch["input_ids"].numel() < sum(batch["row_lengths"]) == sum(len(row["input_ids"]) for row in rows)
    about = (batch["labels"][0], batch["row_lengths"], True, batch["groups"])
    found = PackedLlama(model).nll(batch["input_ids"][0], *about)
    found.backward()
    assert float(found) == pytest.approx(float(expected), rel=1e-6)
    assert_same_gradients(model, wanted)
    assert int(loss.trained_tokens(batch["labels"])) == sum(
        int(loss.trained_tokens(loss.collate([row], 0)["labels"])) for row in rows
    )
    assert batching.tokens(batch) == sum(len(row["input_ids"]) for row in rows)


def test_rows_without_a_prefix_lie_as_they_came() -> None:
    numbers = random.Random(3)
    rows = [_row([], [numbers.randrange(99) for _ in range(length)], 2) for length in (30, 4, 50)]
    made, plain = shared_prefix.pack(rows), batching.pack(rows)
    assert made["groups"] == [(0, 3)]
    for name in ("input_ids", "labels"):
        assert torch.equal(made[name], plain[name])
    assert made["row_lengths"] == plain["row_lengths"]


def test_each_group_sees_its_own_prefix_and_no_other() -> None:
    laid = shared_prefix.layout([12, 10, 13, 5], [(9, 2), (10, 1), (0, 1)])
    assert [(one.front, one.seen, one.start, one.end) for one in laid.blocks] == [
        ((0, 0), 0, 0, 9),
        ((0, 9), 9, 9, 13),
        ((0, 0), 13, 13, 23),
        ((13, 23), 23, 23, 26),
        ((0, 0), 26, 26, 31),
    ]
    assert laid.positions.tolist() == [*range(9), 9, 10, 11, 9, *range(10), 10, 11, 12, *range(5)]
    assert laid.places.tolist() == [*range(12), *range(9), 12, *range(13, 26), *range(26, 31)]


def _computed(rows: list[list[int]], found: list[tuple[int, list[int]]]) -> int:
    return sum(shared + sum(len(rows[number]) - shared for number in members) for shared, members in found)


def test_groups_hold_every_row_once_and_leave_the_fewest_tokens() -> None:
    numbers = random.Random(0)
    for _ in range(60):
        stems = [[numbers.randrange(3) for _ in range(numbers.choice([0, 8, 12]))] for _ in range(2)]
        rows = [
            [*numbers.choice(stems), *(numbers.randrange(2) for _ in range(numbers.randint(1, 12)))] for _ in range(5)
        ]
        found = shared_prefix.groups(rows)
        assert sorted(number for _, members in found for number in members) == list(range(len(rows)))
        for shared, members in found:
            assert len({tuple(rows[number][:shared]) for number in members}) == 1
            assert all(len(rows[number]) > shared for number in members)
            assert shared == 0 or shared >= shared_prefix.LEAST
        best = min(_computed(rows, one) for one in _partitions(rows))
        assert _computed(rows, found) == best


@pytest.mark.parametrize("budget", [1, 40, 128, 350, 5000])
def test_packs_are_cut_by_the_tokens_that_are_computed(budget: int) -> None:
    rows = [row["input_ids"] for seed in range(3) for row in _rows(21, "completion", seed)]
    packs = batching.thrifty(rows, budget)
    assert sorted(itertools.chain(*packs)) == list(range(len(rows)))
    for pack in packs:
        held = [rows[number] for number in pack]
        assert len(pack) == 1 or _computed(held, shared_prefix.groups(held)) <= budget
    assert len(packs) <= len(batching.filled([len(row) for row in rows], budget))


def test_a_prefix_makes_room_for_more_rows_and_none_changes_nothing() -> None:
    numbers = random.Random(1)
    front = [numbers.randrange(99) for _ in range(30)]
    tails = [[numbers.randrange(99) for _ in range(15)] for _ in range(60)]
    assert len(batching.thrifty([front + tail for tail in tails], 480)) == 2  # 30 + 30 * 15 computed tokens each
    assert len(batching.filled([45] * 60, 480)) == 6
    lengths = [30, 4, 50, 7, 90]
    plain = [[numbers.randrange(99) for _ in range(length)] for length in lengths]
    assert sorted(map(sorted, batching.thrifty(plain, 100))) == sorted(map(sorted, batching.filled(lengths, 100)))


def _partitions(rows: list[list[int]]) -> list[list[tuple[int, list[int]]]]:
    """Every way to put rows into groups, each with the longest prefix it can have."""
    ways = []
    for marks in itertools.product(range(len(rows)), repeat=len(rows)):
        parts = [[n for n, mark in enumerate(marks) if mark == each] for each in set(marks)]
        way = []
        for members in parts:
            shared = min(len(rows[n]) for n in members) - 1
            while len({tuple(rows[n][:shared]) for n in members}) > 1:
                shared -= 1
            way.append((shared if shared >= shared_prefix.LEAST and len(members) > 1 else 0, members))
        ways.append(way)
    return ways
