"""How several processes share the rows of a step: the same rows as one process would take, in the same order.

The library fills up an epoch's last step with rows of its beginning, which then count twice; here it is filled with
rows that carry no loss, so a step of N processes is the step of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from phi_tui.engine.loss import IGNORED


class Filled:
    """The training rows, and behind their end a row without loss as often as it is asked for."""

    def __init__(self, rows: Any, pad_id: int) -> None:
        self.rows = rows
        self._filler = {"input_ids": [pad_id, pad_id], "labels": [IGNORED, IGNORED]}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row: dict[str, Any] = self.rows[number] if number < len(self.rows) else dict(self._filler)
        return row


class FullBatches:
    """Batches of one size, as many as the processes share evenly; what is missing is row number len(rows)."""

    def __init__(self, sampler: Any, batch_size: int, processes: int) -> None:
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, False
        self.processes = processes

    def __len__(self) -> int:
        return math.ceil(len(self.sampler) / (self.batch_size * self.processes)) * self.processes

    def __iter__(self) -> Iterator[list[int]]:
        rows = list(self.sampler)
        rows += [len(rows)] * (len(self) * self.batch_size - len(rows))
        for start in range(0, len(rows), self.batch_size):
            yield rows[start : start + self.batch_size]


def loader(rows: Any, batch_size: int, processes: int, pad_id: int, collator: Any, *, pin: bool) -> Any:
    """Return the loader of a whole step's rows, for the library to divide among the processes."""
    from torch.utils.data import DataLoader, RandomSampler

    sampler = FullBatches(RandomSampler(rows), batch_size, processes)
    filled: Any = Filled(rows, pad_id)
    return DataLoader(filled, batch_sampler=sampler, collate_fn=collator, pin_memory=pin)
