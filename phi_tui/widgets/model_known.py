"""What the Model screen has found out so far, and the list that is made of it; no textual, no thread, no network.

Each part is replaced whole when a thread or a child process brings news, so the list can be made again at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from phi_tui.engine.curated import curated
from phi_tui.engine.model_list import Interrupted, LocalModel
from phi_tui.machine import Machine
from phi_tui.widgets.model_entries import (
    Entry,
    Group,
    absolute,
    described,
    grouped,
    is_chosen,
    is_hub_id,
    of_local,
)


@dataclass
class Known:
    """The machine, its models, half-finished downloads, the Hub's answers, and the project's base."""

    root: Path = field(default_factory=Path)
    """The folder that the project's relative paths refer to."""
    base: str | None = None
    """The project's base; None while no project is open."""
    revision: str = ""
    machine: Machine | None = None
    local: list[LocalModel] = field(default_factory=list)
    halves: list[Interrupted] = field(default_factory=list)
    found: list[Entry] = field(default_factory=list)
    hub_title: str = ""
    hub_note: str = ""
    named: dict[str, Entry] = field(default_factory=dict)
    """Bases typed by hand, or said by a project, by what the project says."""
    looks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What a look at a base said, by its id; an empty one while it is under way, "problem" where it failed."""

    @property
    def memory(self) -> int:
        """Bytes of the device that estimates are held against, 0 while it is not known."""
        return self.machine.device.memory_total if self.machine else 0

    def groups(self, coming: tuple[str, int] | None = None) -> list[Group]:
        """The whole list; `coming` is a download of this process, as (base, bytes that are here)."""
        halves = [half for half in self.halves if not coming or half.base != coming[0]]
        if coming:
            halves.insert(0, Interrupted(coming[0], "", Path(), coming[1], True))
        groups = grouped(
            self.local,
            halves,
            curated(),
            self.found,
            [entry for base, entry in self.named.items() if self.listed(base) == base],
            hub_title=self.hub_title,
            hub_note=self.hub_note,
        )
        return [replace(group, entries=tuple(map(self._looked_at, group.entries))) for group in groups]

    def is_chosen(self, entry: Entry) -> bool:
        """Whether an entry is the project's base."""
        return self.base is not None and is_chosen(entry, self.base, self.root)

    def chosen_entry(self) -> str:
        """The list's name for the project's base, empty without a project."""
        return self.listed(self.base) if self.base else ""

    def listed(self, base: str) -> str:
        """The list's name for a base: a place that is listed by its whole path may be named by another."""
        return next((model.base for model in self.local if is_chosen(of_local(model), base, self.root)), base)

    def is_away(self, base: str) -> bool:
        """Whether a base must come from the Hub and has not."""
        if not is_hub_id(base) or any(model.base == base for model in self.local):
            return False
        return not absolute(base, self.root).is_dir()

    def name(self, base: str) -> bool:
        """Put a base that a person or a project names into the list; returns whether its place must be looked at."""
        listed = any(one.id == base for one in curated()) or base.startswith("builtin:")
        if listed or base in self.named:
            return False
        away = is_hub_id(base) and not absolute(base, self.root).is_dir()
        self.named[base] = Entry(base, base, "typed", note="" if away else "looking at it ...")
        return not away

    def _looked_at(self, entry: Entry) -> Entry:
        look = self.looks.get(entry.base)
        if not look or entry.here:
            return entry
        return replace(entry, note=str(look["problem"])) if "problem" in look else described(entry, look)
