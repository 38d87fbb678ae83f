"""The drawing of a schedule follows the trainer's own function, its floor and its decay too."""

from __future__ import annotations

import pytest

from phi_tui import project, schedules
from phi_tui.widgets.schedule_curve import Schedule, columns, formula, picture, restarts_at, schedule_of


def drawn(settings: str) -> Schedule:
    return schedule_of(project.parse(f'schema = 1\nname = "toy"\n[train]\nmax_steps = 101\nwarmup = 10.0\n{settings}'))


def test_the_floor_of_the_settings_is_drawn() -> None:
    schedule = drawn('scheduler = "cosine_with_floor"\nfloor = 0.4\nlearning_rate = 1.0')
    shown = columns(schedule, 101)
    assert shown[-1].last == pytest.approx(schedules.factor("cosine_with_floor", 100, 101, 10, 3, floor=0.4))
    assert min(column.low for column in shown[11:]) > 0.4
    assert "0.4 of the peak" in formula(schedule)


def test_the_decay_of_the_settings_is_drawn_and_its_start_marked() -> None:
    schedule = drawn('scheduler = "warmup_stable_decay"\ndecay = 0.3\nlearning_rate = 1.0')
    assert restarts_at(schedule) == [70.0]  # 101 steps less the last 31
    shown = columns(schedule, 100)
    assert {column.last for column in shown[12:69]} == {1.0}
    assert shown[-1].last == pytest.approx(1 - (30 / 31) ** 0.5)
    rows = picture(schedule, 80, 12, "braille")
    assert rows[-3].count("^") == 2
    assert "last 0.3 of the steps" in rows[-1]
