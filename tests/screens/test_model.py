"""The Model screen: pressed keys, a stand-in for processes that fetch and search, hostile text, a real download."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets import Input

from phi_tui import machine, project
from phi_tui.app import PhiApp
from phi_tui.child import OnReply, Reply
from phi_tui.engine.curated import curated
from phi_tui.engine.model_list import Interrupted, LocalModel
from phi_tui.screens.model import ModelScreen
from phi_tui.session import Session
from phi_tui.widgets import model_bases, model_download, model_entries, model_text
from phi_tui.widgets.dialogs import AskText
from phi_tui.widgets.fit_bar import bar
from phi_tui.widgets.model_bases import ModelBases
from phi_tui.widgets.model_download import ModelDownload, Transfer, heard
from phi_tui.widgets.model_entries import Entry, filtered, grouped, is_chosen, of_curated, of_found, typed, verdict
from phi_tui.workspace import Workspace

HOSTILE = "\x1b]52;c;cm0gLXJm\x07 [/foo] [@click=app.quit]x[/] \u202egnp.exe \u2066 \U0001f600 漢字 \x9b31m"
DEMO = Path(machine.__file__).parent / "demo" / "base"
GB = 10**9


class StandIn:
    """Takes requests as a child process does; the test says what comes back."""

    made: list[StandIn]

    def __init__(self, *_: object) -> None:
        self.asked: list[dict[str, Any]] = []
        self.cancelled: list[int] = []
        self.closed = False
        self._open: dict[int, OnReply] = {}

    def ask(self, do: str, on_reply: OnReply, /, **arguments: Any) -> int:
        self.asked.append({"do": do, **json.loads(json.dumps(arguments))})
        self._open[len(self.asked)] = on_reply
        return len(self.asked)

    def reply(self, kind: str, number: int = 0, **payload: Any) -> None:
        number = number or len(self.asked)
        self._open[number](Reply(number, kind, payload))

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)

    def close(self, *, wait: float = 0.0) -> None:
        self.closed = True


Test = Callable[[Pilot[int], ModelScreen, StandIn], Awaitable[None]]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty workspace; nothing of this user's settings, caches or network is looked at."""
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def fetcher(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """What stands in for the process that downloads."""
    stand_in = StandIn()
    monkeypatch.setattr(model_download, "Child", lambda *_: stand_in)
    return stand_in


def of_memory(monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    """Make this a machine with a GPU of so many bytes."""
    device = machine.Device("Test GPU", memory, memory, "cuda")
    made = machine.Machine((device,), 32 * GB, 16 * GB, 100 * GB, 8)
    monkeypatch.setattr("phi_tui.screens.model.machine", lambda place: made)


def play(place: Path, test: Test, *, base: str = "builtin:phi-demo", size: tuple[int, int] = (80, 24)) -> None:
    """Open the app on the Model screen, on a project with this base or (empty) on none, and let `test` press keys."""
    session = Session(Workspace(place))
    if base:
        file = place / "toy.toml"
        file.write_text(f'# mine\nschema = 1\nname = "toy"\nseed = 7\n[model]\nbase = {json.dumps(base)}\n', "utf-8")
        session.open(file)

    async def playing() -> None:
        app = PhiApp(session, start_on="model")
        inspector = StandIn()
        app.inspector = inspector  # type: ignore[assignment]
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda: isinstance(app.screen, ModelScreen))
            screen = app.screen
            assert isinstance(screen, ModelScreen)
            await until(pilot, lambda: screen._known.machine is not None)
            await test(pilot, screen, inspector)

    asyncio.run(playing())


async def until(pilot: Pilot[int], true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something to become so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not happen:\n" + seen(pilot)
        await asyncio.sleep(0.01)
    await pilot.pause()


async def sees(pilot: Pilot[int], *words: str) -> None:
    """Wait until the screen shows all of these."""
    await until(pilot, lambda: all(word in seen(pilot) for word in words))


def seen(pilot: Pilot[int]) -> str:
    """All that is shown, as text; a line that wraps reads as two."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def highlighted(screen: ModelScreen) -> str:
    entry = screen.query_one(ModelBases).entry
    return entry.base if entry else ""


async def point_at(pilot: Pilot[int], screen: ModelScreen, base: str) -> None:
    assert screen.query_one(ModelBases).point_at(base), base
    await pilot.pause()


def saved(place: Path) -> tuple[str, str]:
    model = project.load(place / "toy.toml").model
    return model.base, model.revision


# What is listed


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_the_machines_own_bases_come_first_and_the_projects_is_marked_and_highlighted(
    size: tuple[int, int], place: Path
) -> None:
    shutil.copytree(DEMO, place / "own")

    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await sees(pilot, "● phi-demo", "The project's base", "2,828,736", "6 layers x 192", "QLoRA", "fits")
        text = seen(pilot)
        assert text.index("on this machine") < text.index(" own ") < text.index("offered: below 200M")
        bases = screen.query_one(ModelBases)
        assert bases.max_scroll_x == 0 and screen.max_scroll_x == 0
        assert all(cell_len(line) <= size[0] for line in text.splitlines())
        listed = {entry.base for entry in bases._rows if entry}
        assert {base.id for base in curated()} <= listed

    play(place, test, size=size)


def test_vim_keys_go_along_the_list_and_the_panel_follows(place: Path) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await pilot.press("j")
        assert highlighted(screen) == "openai-community/gpt2"
        await sees(pilot, "124,439,808", "Highlighted", "no; d downloads it")
        await pilot.press("G")
        assert highlighted(screen) == curated()[-1].id
        await pilot.press("k", "g")
        assert highlighted(screen) == "builtin:phi-demo"

    play(place, test)


def test_what_does_not_fit_is_said_in_words(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_memory(monkeypatch, int(6.2 * GB))

    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await point_at(pilot, screen, "HuggingFaceTB/SmolLM3-3B")
        await sees(pilot, "11.2 of 6.2 GB", "does not fit", "GPU Test GPU, 6.2 GB")
        assert [line.split()[-2] for line in seen(pilot).splitlines() if "SmolLM3-3B  " in line]
        rows = {
            entry.base: model_bases.short_word(entry, int(6.2 * GB))[0]
            for entry in screen.query_one(ModelBases)._rows
            if entry
        }
        assert rows["openai-community/gpt2"] == "fits"
        assert rows["EleutherAI/gpt-neo-1.3B"] == "tight"
        assert rows["HuggingFaceTB/SmolLM2-1.7B"] == "QLoRA"
        assert rows["HuggingFaceTB/SmolLM3-3B"] == "no"

    play(place, test, size=(120, 40))


def test_a_gated_base_says_how_to_get_access(place: Path) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await point_at(pilot, screen, "google/gemma-3-1b-pt")
        await until(pilot, lambda: "gated: accept its licence" in seen(pilot))
        words = " ".join(seen(pilot).replace("│", " ").split())
        assert "HF_TOKEN" in words and "hf auth" in words

    play(place, test)


def test_a_broken_folder_is_listed_with_the_reason_and_cannot_be_taken(place: Path) -> None:
    shutil.copytree(DEMO, place / "own")
    (place / "own" / "model.safetensors").write_bytes(b"\x00" * 40)

    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await point_at(pilot, screen, str(place / "own"))
        await sees(pilot, "broken")
        await pilot.press("enter")
        await pilot.pause()
        assert saved(place)[0] == "builtin:phi-demo"

    play(place, test)


# Taking a base


def test_enter_takes_the_base_and_clears_the_revision(place: Path) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        assert screen.phi.set(model__base="org/old", model__revision="abc1234")
        await point_at(pilot, screen, "EleutherAI/gpt-neo-1.3B")
        await pilot.press("enter")
        await sees(pilot, "● The project's base", "not on this machine: training will download it")
        assert saved(place) == ("EleutherAI/gpt-neo-1.3B", "")
        assert "# mine" in (place / "toy.toml").read_text()
        assert highlighted(screen) == "EleutherAI/gpt-neo-1.3B"

    play(place, test)


def test_a_folder_of_the_workspace_is_taken_by_its_relative_path(place: Path) -> None:
    shutil.copytree(DEMO, place / "own")

    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await point_at(pilot, screen, str(place / "own"))
        await pilot.press("enter")
        await sees(pilot, "● own")
        assert saved(place) == ("own", "")
        await pilot.pause(0.2)
        assert "not on this machine" not in seen(pilot)
        assert "named by hand" not in seen(pilot)  # it is listed once

    play(place, test)


def test_a_click_looks_and_a_second_click_takes(place: Path) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await pilot.click(ModelBases, offset=(6, 3))
        assert highlighted(screen) == "openai-community/gpt2"
        assert saved(place)[0] == "builtin:phi-demo"
        await pilot.click(ModelBases, offset=(6, 3))
        await until(pilot, lambda: saved(place)[0] == "openai-community/gpt2")

    play(place, test)


def test_a_base_can_be_typed_with_a_revision_and_a_wrong_one_is_told(place: Path) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await pilot.press("t")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskText))
        await pilot.press("n", "o", "enter")
        await sees(pilot, "(org/name) either")
        assert isinstance(pilot.app.screen, AskText)
        pilot.app.screen.query_one(Input).value = "me/mine@v1.0"
        await pilot.press("enter")
        await until(pilot, lambda: saved(place) == ("me/mine", "v1.0"))
        await sees(pilot, "me/mine@v1.0", "named by hand", "● me/mine", "d on it now")

    play(place, test)


def test_a_typed_folder_elsewhere_is_looked_at_and_taken(place: Path, tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path / "elsewhere")

    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await pilot.press("t")
        await pilot.pause()
        pilot.app.screen.query_one(Input).value = str(tmp_path / "elsewhere")
        await pilot.press("enter")
        await until(pilot, lambda: saved(place)[0] == str(tmp_path / "elsewhere"))
        await sees(pilot, "named by hand", "2,828,736", "The project's base")

    play(place, test)


def test_a_projects_folder_that_is_gone_is_told_and_not_called_a_download(place: Path) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await sees(pilot, "named by hand", "broken")
        assert "training will download" not in seen(pilot)

    play(place, test, base="./gone")


def test_without_a_project_one_can_look_and_is_told_where_to_go(place: Path) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await sees(pilot, "No project is open", "Home with 1", "SmolLM2-135M")
        await pilot.press("j", "enter")
        await pilot.pause()
        assert list(place.glob("*.toml")) == []

    play(place, test, base="")


# Filter and search


def test_the_filter_holds_all_words_and_escape_twice_clears_it(place: Path) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        screen.query_one("#model-filter", Input).value = "chat apache 1.7"
        await pilot.press("slash")
        await sees(pilot, "2 of 29")
        await pilot.press("enter")
        await pilot.pause()
        assert highlighted(screen) == "HuggingFaceTB/SmolLM2-1.7B-Instruct"
        await pilot.press("slash", "z", "z")
        await sees(pilot, "0 of 29", "No base holds these words")
        await pilot.press("escape")
        assert isinstance(screen.focused, ModelBases)
        await pilot.press("escape")
        await until(pilot, lambda: "of 29" not in seen(pilot))
        await pilot.press("5")
        await until(pilot, lambda: pilot.app.current_mode == "train")

    play(place, test)


def test_a_search_lists_what_the_hub_has_and_a_closer_look_tells_its_memory(place: Path) -> None:
    found = {"id": "org/new-1b", "parameters": GB, "licence": "mit", "gated": False, "downloads": 1234, "likes": 5}
    same = found | {"id": "openai-community/gpt2"}

    async def test(pilot: Pilot[int], screen: ModelScreen, inspector: StandIn) -> None:
        screen.query_one("#model-search", Input).value = "new one"
        await pilot.press("s", "enter")
        await until(pilot, lambda: bool(inspector.asked))
        assert inspector.asked[0] == {"do": "search", "query": "new one", "limit": 30}
        await sees(pilot, "asking the Hub")
        inspector.reply("result", models=[same, found | {"library": "transformers"}])
        await until(pilot, lambda: highlighted(screen) == "org/new-1b")
        await sees(pilot, "the Hub: new one", "1,000,000,000", "1,234 downloads", "not known")
        await pilot.press("i")
        await until(pilot, lambda: len(inspector.asked) == 2)
        assert inspector.asked[1]["do"] == "fetch" and inspector.asked[1]["weights"] is False
        await sees(pilot, "looking at it")
        inspector.reply("result", folder="x", revision="y")
        await until(pilot, lambda: len(inspector.asked) == 3)
        inspector.reply("result", layers=20, hidden=2048, vocab=50000, context=4096, architecture="llama", chat=True)
        await sees(pilot, "20 layers x 2,048", "4,096 tokens", "yes, has a template")
        entry = screen.query_one(ModelBases).entry
        assert entry and entry.lora and entry.qlora and 2 * GB < entry.qlora < 5 * GB

    play(place, test, size=(120, 40))


def test_without_a_network_the_search_says_so_in_one_line_and_the_rest_works(place: Path) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, inspector: StandIn) -> None:
        await pilot.press("s", "p", "enter")
        await until(pilot, lambda: bool(inspector.asked))
        inspector.reply("error", what="the Hub cannot be reached: no such host", where="", fix="")
        await sees(pilot, "the Hub cannot be reached")
        assert sum("the Hub cannot be reached" in line for line in seen(pilot).splitlines()) == 1
        await pilot.press("j", "enter")
        await until(pilot, lambda: saved(place)[0] == "openai-community/gpt2")

    play(place, test)


def test_the_answer_to_an_older_search_is_not_shown(place: Path) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, inspector: StandIn) -> None:
        for words in ("one", "two"):
            screen.query_one("#model-search", Input).value = words
            await pilot.press("s", "enter")
        await until(pilot, lambda: len(inspector.asked) == 2)
        assert inspector.cancelled == [1]
        inspector.reply("result", 1, models=[{"id": "org/late"}])
        inspector.reply("result", 2, models=[{"id": "org/asked"}])
        await until(pilot, lambda: highlighted(screen) == "org/asked")
        assert "org/late" not in [entry.base for entry in screen._known.found]

    play(place, test)


# Downloading


def test_a_download_shows_its_way_is_stopped_by_x_and_goes_on_with_d(place: Path, fetcher: StandIn) -> None:
    half = place / "models" / ".openai-community--gpt2.0123456789ab.partial"

    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await pilot.press("j", "d")
        await until(pilot, lambda: bool(fetcher.asked))
        asked = fetcher.asked[0]
        assert (asked["do"], asked["base"], asked["weights"]) == ("fetch", "openai-community/gpt2", True)
        assert asked["workspace"] == str(place)
        fetcher.reply("bytes", file="model.safetensors", done=120_000_000, total=480_000_000, rate=12e6, eta=30.0)
        await sees(
            pilot, "downloading", "25%", "120.0 of 480.0 MB", "12.0 MB/s", "30 s left", "x Stop", "unfinished downloads"
        )
        await pilot.press("2", "1")
        await until(pilot, lambda: pilot.app.current_mode == "home")
        fetcher.reply("bytes", file="model.safetensors", done=240_000_000, total=480_000_000, rate=12e6, eta=20.0)
        await pilot.press("2")
        await sees(pilot, "50%")
        half.mkdir(parents=True)
        (half / "model.safetensors.part").write_bytes(b"x" * 5_000_000)
        await pilot.press("x")
        assert fetcher.cancelled == [1]
        await sees(pilot, "stopping")
        fetcher.reply("cancelled")
        await sees(pilot, "240.0 of 480.0 MB are kept", "half", "half, 5.0 MB", "d resumes")
        assert highlighted(screen) == "openai-community/gpt2"
        await pilot.press("d")
        await until(pilot, lambda: len(fetcher.asked) == 2)
        fetcher.reply("result", folder="x", revision="y")
        await sees(pilot, "downloaded", "is on this machine")

    play(place, test)
    assert fetcher.closed


def test_a_download_that_failed_says_why_and_what_to_do(place: Path, fetcher: StandIn) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await point_at(pilot, screen, "google/gemma-3-1b-pt")
        await pilot.press("d")
        await until(pilot, lambda: bool(fetcher.asked))
        fetcher.reply("error", what="google/gemma-3-1b-pt is gated", where="", fix="accept it on the Hub")
        await sees(pilot, "download failed", "is gated (accept it on the Hub)", "d Download")

    play(place, test, size=(120, 40))


def test_what_is_here_already_is_not_fetched(place: Path, fetcher: StandIn) -> None:
    async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
        await pilot.press("d")
        await sees(pilot, "phi-demo is on")
        assert fetcher.asked == []

    play(place, test)


def test_a_base_really_comes_from_a_hub_and_is_then_on_this_machine(
    place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with LoopbackHub() as hub:
        hub.add("org/tiny", DEMO)
        for name, value in hub.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)

        async def test(pilot: Pilot[int], screen: ModelScreen, _: StandIn) -> None:
            await sees(pilot, "not on this machine")
            assert highlighted(screen) == "org/tiny"
            await pilot.press("d")
            download = screen.query_one(ModelDownload)
            await until(pilot, lambda: download.transfer is not None and not download.live, 60)
            assert download.transfer and download.transfer.state == "whole", download.transfer
            await sees(pilot, "2,828,736")
            await until(pilot, lambda: "not on this machine" not in seen(pilot))
            entry = screen.query_one(ModelBases).entry
            assert entry and (entry.base, entry.here, entry.kind) == ("org/tiny", True, "hub")

        play(place, test, base="org/tiny")


# Text of strangers


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_hostile_text_is_shown_and_does_nothing(size: tuple[int, int], place: Path, fetcher: StandIn) -> None:
    name = HOSTILE.replace("/", "|")
    shutil.copytree(DEMO, place / name)
    shutil.copytree(DEMO, place / "own")
    settings = json.loads((place / "own" / "config.json").read_text())
    (place / "own" / "config.json").write_text(json.dumps(settings | {"model_type": HOSTILE}))
    long = "Z" * 1_000_000

    async def test(pilot: Pilot[int], screen: ModelScreen, inspector: StandIn) -> None:
        for base in (str(place / name), str(place / "own")):
            await point_at(pilot, screen, base)
            harmless(seen(pilot), size)
        assert screen.query_one(ModelBases).entry
        await pilot.press("s", "a", "enter")
        await until(pilot, lambda: bool(inspector.asked))
        found = {"id": HOSTILE, "licence": HOSTILE, "library": HOSTILE, "parameters": 10**30}
        inspector.reply("result", models=[found, {"id": long, "licence": long}, {"no id": 1}, 7])
        await until(pilot, lambda: highlighted(screen) == HOSTILE)
        harmless(seen(pilot), size)
        await pilot.press("j")
        harmless(seen(pilot), size)
        await point_at(pilot, screen, "openai-community/gpt2")
        await pilot.press("d")
        await until(pilot, lambda: bool(fetcher.asked))
        fetcher.reply("phase", name="download", detail=HOSTILE + long)
        await sees(pilot, "downloading")
        harmless(seen(pilot), size)
        fetcher.reply("error", what=HOSTILE, where="", fix=long)
        await sees(pilot, "download failed", "[@click=app.quit]")
        harmless(seen(pilot), size)
        await pilot.press("s", "b", "enter")
        await until(pilot, lambda: len(inspector.asked) == 2)
        inspector.reply("error", what=HOSTILE + long, where="", fix="")
        await until(pilot, lambda: "[@click=app.quit]" in seen(pilot).split("Bases")[0])
        harmless(seen(pilot), size)
        assert pilot.app.is_running

    play(place, test, size=size)


def harmless(text: str, size: tuple[int, int]) -> None:
    """No control or reordering character is drawn, and no line is wider than the screen."""
    assert not [char for char in text if char != "\n" and (char < " " or "\x7f" <= char <= "\x9f")]
    assert not set(text) & set("\u202e\u2066\u202a\u2067")
    assert all(cell_len(line) <= size[0] for line in text.splitlines())


# The plain functions


def test_an_estimate_is_tight_above_85_percent() -> None:
    assert verdict(85, 100) == "fits"
    assert verdict(86, 100) == "tight"
    assert verdict(100, 100) == "tight"
    assert verdict(101, 100) == "does not fit"
    assert verdict(None, 100) == verdict(1, 0) == "unknown"


def test_a_base_stands_in_one_group_where_it_is_furthest_along() -> None:
    offered = curated()
    have, half, other = offered[0].id, offered[1].id, offered[2].id
    local = [LocalModel(have, have, "hub", Path(), parameters=1)]
    halves = [Interrupted(half, "", Path(), 7, False), Interrupted(have, "", Path(), 7, False)]
    found = [of_found({"id": one}) for one in (have, half, other, "org/x")]
    extra = [Entry(one, one, "typed") for one in (have, "org/x", "org/y")]
    groups = grouped(local, halves, offered, found, extra, hub_title="the Hub", hub_note="")
    bases = [entry.base for group in groups for entry in group.entries]
    assert len(bases) == len(set(bases)) == len(offered) + 2
    where = {entry.base: group.title for group in groups for entry in group.entries}
    assert where[have] == "on this machine" and where[half] == "unfinished downloads"
    assert where[other].startswith("offered") and where["org/x"] == where["org/y"] == "named by hand"
    assert groups[0].entries[0].why == offered[0].why and groups[0].entries[0].here


def test_curated_bases_stand_in_order_of_size() -> None:
    sizes = [entry.parameters for group in grouped([], [], curated(), []) for entry in group.entries]
    assert sizes == sorted(size for size in sizes if size) and len(sizes) == len(curated())


def test_a_filter_finds_by_licence_type_and_state() -> None:
    groups = grouped([], [], curated(), [])
    gated = [entry for group in filtered(groups, "GATED", 8 * GB) for entry in group.entries]
    assert gated and all(entry.gated for entry in gated)
    neo = [entry.base for group in filtered(groups, "gpt_neo mit", 8 * GB) for entry in group.entries]
    assert "EleutherAI/gpt-neo-1.3B" in neo
    assert filtered(groups, "nothing-at-all", 8 * GB) == []


def test_typed_bases_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "org" / "name" / "config.json").write_text("{}")
    (tmp_path / "a.gguf").write_bytes(b"GGUF....")
    (tmp_path / "b.txt").write_text("text")
    (tmp_path / "empty").mkdir()
    assert typed(" org/name ", tmp_path) == ("path", str(tmp_path / "org" / "name"), "")
    assert typed("org/other@main", tmp_path) == ("hub", "org/other", "main")
    assert typed("a.gguf", tmp_path) == ("path", str(tmp_path / "a.gguf"), "")
    assert typed("builtin:phi-demo", tmp_path) == ("builtin", "builtin:phi-demo", "")
    for text, said in {
        "": "type a Hub id",
        "builtin:x": "built in is",
        "b.txt": "no GGUF file",
        "empty": "no config.json",
        "missing.gguf": "does not exist",
        "a b": "no Hub id",
        "x" * 5000: "cannot be read",
        "nul\0l": "does not exist",
        "~nobody-of-that-name/x/y": "does not exist",
    }.items():
        with pytest.raises(ValueError, match=said):
            typed(text, tmp_path)


def test_a_path_means_the_same_base_however_it_is_written(tmp_path: Path) -> None:
    entry = Entry(str(tmp_path / "own"), "own", "folder")
    for base in ("own", "./own", "x/../own", str(tmp_path / "own")):
        assert is_chosen(entry, base, tmp_path)
    assert not is_chosen(entry, "other", tmp_path)


@pytest.mark.parametrize("width", [20, 37, 55, 56, 64, 120])
def test_every_line_of_the_list_is_as_wide_as_it_was_asked_to_be(width: int) -> None:
    odd = [Entry(HOSTILE, HOSTILE, "found"), Entry("漢" * 90, "漢" * 90, "found", licence="漢" * 40, lora=10**14)]
    for entry in [*map(of_curated, curated()), *odd]:
        assert cell_len(model_bases.line(entry, width, True, 8 * GB).plain) == width
    assert cell_len(model_bases.heads(width)) == width


@pytest.mark.parametrize(("need", "memory"), [(1, 100), (50, 100), (86, 100), (100, 100), (10**12, 1)])
def test_a_bar_fills_its_width_and_no_more(need: int, memory: int) -> None:
    for width in (1, 8, 31, 60):
        assert sum(len(text) for text, _ in bar(need, memory, width, "")) == width


def test_numbers_are_short() -> None:
    assert [model_text.count(n) for n in (None, 2_828_736, 124_439_808, 999_885_952, 1_345_000_000)] == [
        "", "2.8M", "124M", "1.0B", "1.3B",
    ]  # fmt: skip
    assert [model_text.size(n) for n in (0, 999, 5.7e6, 577e6, 11.2e9)] == [
        "0 B",
        "999 B",
        "5.7 MB",
        "577 MB",
        "11.2 GB",
    ]
    assert [model_text.tokens(n) for n in (None, 512, 2048, 131072)] == ["", "512", "2k", "128k"]
    assert [model_text.duration(s) for s in (None, 30, 720, 11100)] == ["", "30 s", "12 min", "3 h 05"]


def test_a_transfer_follows_its_replies() -> None:
    transfer = Transfer("org/x")
    transfer = heard(transfer, Reply(1, "phase", {"name": "download", "detail": "waiting"}))
    assert transfer.words == "waiting" and transfer.live
    transfer = heard(transfer, Reply(1, "bytes", {"done": 5, "total": 10, "rate": None, "eta": "soon"}))
    assert (transfer.done, transfer.total, transfer.rate, transfer.eta) == (5, 10, None, None)
    assert heard(transfer, Reply(1, "cancelled")).state == "interrupted"
    assert heard(transfer, Reply(1, "result", {})).state == "whole"
    assert not heard(transfer, Reply(1, "error", {"what": "no"})).live


def test_the_screen_needs_none_of_the_model_libraries() -> None:
    code = (
        "import sys; import phi_tui.screens.model;"
        "print([name for name in ('torch', 'transformers', 'peft', 'datasets', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_entries_know_where_they_come_from() -> None:
    assert of_curated(curated()[0]).on_hub
    assert not Entry("./x", "x", "typed").on_hub and Entry("a/b", "b", "typed").on_hub
    assert not Entry("/x", "x", "folder").on_hub and Entry("/x", "x", "cache").is_path
    assert model_entries.is_hub_id("org/name") and not model_entries.is_hub_id("org/name.gguf")
