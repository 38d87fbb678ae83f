"""Which of several trainer processes this one is, and the few things they do together.

The first one alone reads requests, evaluates, speaks and writes; what it finds is given to all, so that they decide
alike.  With one process every function here is what it would be without: nothing is sent and torch is not imported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from phi_tui.atomic import folder as atomic_folder

T = TypeVar("T")


class Elsewhere(RuntimeError):
    """The first process cannot go on, and says why itself."""


class Ranks:
    """The processes of one training: this one's number and how many there are."""

    def __init__(self, number: int = 0, count: int = 1, group: Any = None) -> None:
        self.number, self.count, self._group = number, count, group

    @property
    def first(self) -> bool:
        """Whether this process speaks for all."""
        return self.number == 0

    def agree(self, value: T) -> T:
        """Return the first process's value in every process; all must call this at the same place."""
        if self.count == 1:
            return value
        from torch import distributed

        box: list[Any] = [value if self.first else None]
        distributed.broadcast_object_list(box, src=0, group=self._group)
        found: T = box[0]
        return found

    def gather(self, value: T) -> list[T]:
        """Return every process's value, in every process."""
        if self.count == 1:
            return [value]
        from torch import distributed

        found: list[Any] = [None] * self.count
        distributed.all_gather_object(found, value, group=self._group)
        return found

    def from_first(self, function: Callable[[], T]) -> T:
        """Run `function` in the first process alone and return its result, or its KeyboardInterrupt, in every one.

        Another error is raised where it happened, and Elsewhere in the other processes.
        """
        if self.count == 1:
            return function()
        outcome: tuple[str, Any] = ("", None)
        failure: BaseException | None = None
        if self.first:
            try:
                outcome = ("value", function())
            except KeyboardInterrupt:
                outcome = ("interrupted", None)
            except BaseException as error:
                failure, outcome = error, ("failed", None)
        kind, value = self.agree(outcome)
        if failure is not None:
            raise failure
        if kind == "interrupted":
            raise KeyboardInterrupt
        if kind == "failed":
            raise Elsewhere("the first process failed")
        result: T = value
        return result

    @contextlib.contextmanager
    def folder(self, target: Path) -> Iterator[Path]:
        """Give all processes one staging folder; it becomes `target`, whole, once the first leaves the block."""
        if self.first:
            with atomic_folder(target) as staged:
                self.agree(str(staged))
                yield staged
        else:
            yield Path(self.agree(""))


_here = Ranks()


def here() -> Ranks:
    """Return this process's place among the trainers; alone unless `enter` said otherwise."""
    return _here


def enter(number: int, count: int, group: Any) -> None:
    """Say that this process is one of several; `group` is torch's, on the CPU, and waits as long as it takes."""
    global _here
    _here = Ranks(number, count, group)
