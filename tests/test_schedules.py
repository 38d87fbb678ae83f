"""The schedules agree with transformers', step by step."""

import math
from pathlib import Path

import projects
import pytest

from phi_tui import phi, project, schedules
from phi_tui.errors import Stopped


@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "cosine_with_restarts"])
def test_each_schedule_equals_the_librarys(name: str, warmup: int) -> None:
    torch = pytest.importorskip("torch")
    from transformers import get_scheduler

    steps, restarts = 61, 2
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    library = get_scheduler(
        "constant_with_warmup" if name == "constant" else name,
        optimizer,
        num_warmup_steps=warmup,
        num_training_steps=steps,
        scheduler_specific_kwargs={"num_cycles": restarts + 1} if name == "cosine_with_restarts" else None,
    )
    for step in range(steps):
        assert schedules.factor(name, step, steps, warmup, restarts) == pytest.approx(
            library.get_last_lr()[0], abs=1e-9
        )
        optimizer.step()
        library.step()


def test_phi_restarts_starts_again_at_the_peak_after_warm_up() -> None:
    steps, warmup, restarts = 1000, 62, 3
    peaks = [round(warmup + end) for end in (0, *phi.restart_bounds(steps - warmup, restarts)[:-1])]
    values = [schedules.factor("phi_restarts", step, steps, warmup, restarts) for step in range(steps)]
    assert values[0] == 0.0
    for peak in peaks:
        assert max(values[max(0, peak - 1) : peak + 2]) > 0.99
    rises = [s for s in range(warmup + 1, steps) if values[s] > values[s - 1]]
    assert len(rises) == restarts


@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize(("floor", "steps"), [(0.1, 61), (0.0, 20), (1.0, 5)])
def test_cosine_with_floor_equals_the_librarys(floor: float, steps: int, warmup: int) -> None:
    warmup = min(warmup, steps)
    rates = librarys("cosine_with_min_lr", steps, warmup, {"min_lr_rate": floor})
    for step in range(steps):
        expected = step / max(1, warmup) if step < warmup else rates[step]  # a warm-up of ours rises from 0
        assert schedules.factor("cosine_with_floor", step, steps, warmup, 0, floor=floor) == pytest.approx(
            expected, abs=1e-9
        )
    assert schedules.factor("cosine_with_floor", steps, steps, warmup, 0, floor=floor) == pytest.approx(floor)


@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize(("decay", "falling"), [(0.2, 13), (0.5, 31), (0.0, 0)])
def test_warmup_stable_decay_equals_the_librarys_one_minus_sqrt(decay: float, falling: int, warmup: int) -> None:
    steps = 61
    rates = librarys("warmup_stable_decay", steps, warmup, {"num_decay_steps": falling, "decay_type": "1-sqrt"})
    for step in range(steps):
        assert schedules.factor("warmup_stable_decay", step, steps, warmup, 0, decay=decay) == pytest.approx(
            rates[step], abs=1e-9
        )


def test_a_decay_over_everything_starts_after_the_warm_up() -> None:
    assert schedules.decay_start(100, 7, 1.0) == 7
    assert schedules.factor("warmup_stable_decay", 7, 100, 7, 0, decay=1.0) == 1.0


def librarys(name: str, steps: int, warmup: int, specific: dict[str, object]) -> list[float]:
    """The factors of transformers' own schedule."""
    torch = pytest.importorskip("torch")
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_scheduler(
        name, optimizer, num_warmup_steps=warmup, num_training_steps=steps, scheduler_specific_kwargs=specific
    )
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


def closed_form(name: str, at: int) -> float:
    """Each schedule of the training below (14 steps, 2 of warm-up) by its formula, written out once more."""
    if at < 2:
        return at / 2
    x = (at - 2) / 12
    return {
        "constant": 1.0,
        "linear": 1 - x,
        "cosine": (1 + math.cos(math.pi * x)) / 2,
        "cosine_with_floor": 0.25 + 0.75 * (1 + math.cos(math.pi * x)) / 2,
        "cosine_with_restarts": (1 + math.cos(math.pi * (2 * x % 1))) / 2,
        "phi_restarts": golden(at - 2),
        "warmup_stable_decay": 1.0 if at < 9 else 1 - math.sqrt((at - 9) / 5),
    }[name]


def golden(at: int) -> float:
    first = 12 / (1 + phi.PHI)
    return (1 + math.cos(math.pi * (at / first if at < first else (at - first) / (12 - first)))) / 2


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("constant", marks=pytest.mark.slow),
        pytest.param("linear", marks=pytest.mark.slow),
        pytest.param("cosine", marks=pytest.mark.slow),
        pytest.param("cosine_with_floor", marks=pytest.mark.slow),
        pytest.param("cosine_with_restarts", marks=pytest.mark.slow),
        "phi_restarts",
        "warmup_stable_decay",
    ],
)
def test_the_journals_rate_is_the_closed_form_at_every_step_before_and_after_a_resume(
    tmp_path: Path, name: str
) -> None:
    file = projects.make(
        tmp_path, settings="max_steps = 14\nwarmup = 2.0\nrestarts = 1\nfloor = 0.25\ndecay = 0.33\nsamples = 0"
    )
    settings = (f"train.scheduler={name}", "train.evaluate=false")
    with pytest.raises(Stopped):
        projects.execute(file, *settings, stop_at=6)
    figures = projects.execute(file, *settings, resume=True)
    steps = projects.events(figures, "step")
    assert [event["step"] for event in steps] == list(range(1, 15))
    train = project.load(file, settings).train
    for event in steps:
        assert event["lr"] == pytest.approx(5e-3 * closed_form(name, event["step"] - 1), rel=1e-9, abs=1e-12)
        assert event["lr"] == train.learning_rate * schedules.of(train, event["step"] - 1, 14, 2)
