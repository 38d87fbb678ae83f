"""The schedules agree with transformers', step by step."""

import pytest

from phi_tui import phi, schedules


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
