"""The whole way as somebody goes it who has never seen the app, by keys alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, OptionList

from phi_tui.app import PhiApp
from phi_tui.replay import Options, replay
from phi_tui.run import Run
from phi_tui.session import Session
from phi_tui.workspace import Workspace

pytestmark = pytest.mark.slow  # real terminals or whole trainings: minutes on two cores


async def until(pilot: Pilot[int], condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait for something to be so, while the app goes on."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what} on {pilot.app.screen}"
        await pilot.pause(0.05)


@pytest.mark.slow
def test_a_newcomer_trains_the_demo_and_talks_to_it_in_under_25_keys_and_a_replay_gives_the_same_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "config"))
    place = Workspace(tmp_path / "workspace")
    pressed: list[str] = []

    async def walk() -> None:
        app = PhiApp(Session(place))
        async with app.run_test(size=(80, 24)) as pilot:

            async def press(*keys: str) -> None:
                pressed.extend(keys)
                await pilot.press(*keys)

            await until(pilot, lambda: app.current_mode == "home" and _has_demo(app), "the demo's line")
            await press("enter")
            await until(
                pilot, lambda: isinstance(app.focused, Button) and app.focused.id == "start", "the start button"
            )
            await press("enter")
            await until(pilot, lambda: app.follow is not None and app.follow.state == "done", "a trained demo", 400)
            await pilot.pause(0.6)
            await press("c")
            await until(pilot, lambda: app.current_mode == "chat" and app.focused is not None, "the question's field")
            await press(*"what is a mole?", "enter")
            await until(pilot, lambda: "ended by itself" in _seen(app) or "cut off" in _seen(app), "an answer", 90)

    asyncio.run(walk())
    assert len(pressed) < 25, pressed
    run = next((place.root / "runs" / "phi_demo").glob("2*"))
    trained = (run / "adapter" / "adapter_model.safetensors").read_bytes()
    assert Run(run).state() == "done"
    assert replay(place.root / "phi_demo.toml", Options(json=True)) == 0
    again = max((place.root / "runs" / "phi_demo").glob("2*"))
    assert again != run
    assert (again / "adapter" / "adapter_model.safetensors").read_bytes() == trained


def _has_demo(app: PhiApp) -> bool:
    lists = app.screen.query("#projects").results(OptionList)
    return any(options.option_count and options.get_option_at_index(0).id == "demo" for options in lists)


def _seen(app: PhiApp) -> str:
    """The screen as text."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())
