"""The chat screen: pressed keys, a stand-in for the process that holds the models, hostile text."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from phi_tui import project, run
from phi_tui.app import PhiApp
from phi_tui.child import Child, OnReply, Reply
from phi_tui.screens.chat import ChatScreen
from phi_tui.session import Session
from phi_tui.widgets.chat_log import ChatLog
from phi_tui.widgets.chat_prompt import ChatPrompt
from phi_tui.widgets.chat_settings import ChatSettings, settled
from phi_tui.widgets.chat_template import ChatTemplate
from phi_tui.widgets.chat_turn import Answer
from phi_tui.widgets.voice_choice import Voice, first_choice, found, with_base
from phi_tui.widgets.voice_head import perplexity
from phi_tui.widgets.voice_picker import VoicePicker
from phi_tui.workspace import Workspace

HOSTILE = "\x1b]52;c;cm0gLXJm\x07 [/foo] [@click=app.quit]x[/] \u202egnp.exe \u2066 \U0001f600 漢字 \x9b31m"


class StandIn:
    """Answers as the process with the models would; `hold` keeps answers back until they are cancelled or let go."""

    def __init__(self, *, template: str = "instruction", text: str = "an answer") -> None:
        self.template, self.text = template, text
        self.hold = False
        self.fail_load = ""
        self.asked: list[dict[str, Any]] = []
        self.cancelled: list[int] = []
        self.closed = 0
        self._held: dict[int, OnReply] = {}

    @property
    def pid(self) -> int | None:
        return None

    def answers(self) -> list[dict[str, Any]]:
        return [one for one in self.asked if one["do"] == "answer"]

    def loads(self) -> list[dict[str, Any]]:
        return [one for one in self.asked if one["do"] == "load"]

    def ask(self, do: str, on_reply: OnReply, /, **arguments: Any) -> int:
        self.asked.append({"do": do, **json.loads(json.dumps(arguments))})
        number = len(self.asked)
        if do == "load" and self.fail_load:
            on_reply(Reply(number, "error", {"what": self.fail_load, "where": "base", "fix": "choose another"}))
        elif do == "load":
            on_reply(Reply(number, "phase", {"detail": "reading weights"}))
            on_reply(Reply(number, "result", {"voices": [self._voice(one["key"]) for one in arguments["voices"]]}))
        elif do == "prompt_text":
            said = arguments["messages"][-1]["content"]
            text = f"<|im_start|>user\n{said}<|im_end|>\n"
            on_reply(Reply(number, "result", {"text": text, "tokens": 7}))
        else:
            on_reply(Reply(number, "piece", {"text": self.text[:3]}))
            if self.hold:
                self._held[number] = on_reply
            else:
                self._end(number, on_reply)
        return number

    def _voice(self, key: str) -> dict[str, Any]:
        about = {"title": key, "template": self.template, "template_text": "{{ jinja }}", "stops": ["<|im_end|>"]}
        return {"key": key, **about, "context": 512, "weights": "float32", "device": "cpu", "base": "demo"}

    def _end(self, number: int, on_reply: OnReply) -> None:
        figures = {"tokens": 45, "ended": True, "seconds": 1.3, "tokens_per_second": 34.6, "prompt_tokens": 9}
        on_reply(Reply(number, "result", {"text": self.text, "first_token_seconds": 0.1, **figures}))

    def let_go(self) -> None:
        for number, on_reply in self._held.items():
            self._end(number, on_reply)
        self._held = {}

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)
        if on_reply := self._held.pop(number, None):
            on_reply(Reply(number, "stopped", {"text": self.text[:3], "tokens": 2}))
            on_reply(Reply(number, "cancelled"))

    def close(self, *, wait: float = 0.0) -> None:
        self.closed += 1
        self._held = {}


def workspace(folder: Path, *, trained: int = 1) -> Path:
    """A project with `trained` runs that have an adapter and a checkpoint; return its file."""
    file = folder / "toy.toml"
    file.write_text('schema = 1\nname = "toy"\nseed = 7\n[model]\nbase = "builtin:phi-demo"\n', "utf-8")
    for number in range(trained):
        made = run.create(Workspace(folder), project.load(file))
        step = made.checkpoints / "step-20"
        for place in (made.adapter, step):
            place.mkdir(parents=True)
            (place / "adapter_model.safetensors").write_bytes(b"")
        (made.adapter / "phi-tui.json").write_text('{"template": "instruction"}')
        events = [
            {"seq": 1, "time": 0, "kind": "eval", "step": 20, "perplexity": 4.5},
            {"seq": 2, "time": 0, "kind": "done", "steps": 20, "perplexity": 3.25 + number, "base_perplexity": 41.0},
        ]
        made.journal.write_text("".join(json.dumps(event) + "\n" for event in events))
    return file


Test = Callable[[Pilot[int], ChatScreen, Any], Awaitable[None]]


def play(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    test: Test,
    *,
    size: tuple[int, int] = (120, 40),
    trained: int = 1,
    speakers: Any = None,
    opened: bool = True,
) -> None:
    """Open the app on the chat screen with a stand-in and let `test` press keys."""
    monkeypatch.setenv("PHI_TUI_CONFIG", str(folder / "config"))
    place = folder / "workspace"
    place.mkdir()
    session = Session(Workspace(place))
    if opened:
        session.open(workspace(place, trained=trained))

    async def playing() -> None:
        app = PhiApp(session, start_on="chat")
        stand_in: Any = speakers or StandIn()
        app.speakers = stand_in
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: isinstance(app.screen, ChatScreen))
            screen = app.screen
            assert isinstance(screen, ChatScreen)
            if opened:
                await until(pilot, lambda: bool(screen._talk.voices))
            await test(pilot, screen, stand_in)

    asyncio.run(playing())


async def until(pilot: Pilot[int], true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something to become so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not happen"
        await pilot.pause(0.02)
    await pilot.pause()


async def ask(pilot: Pilot[int], screen: ChatScreen, question: str) -> None:
    """Type a question, send it and wait for the answers."""
    await pilot.press(*question, "enter")
    await until(pilot, lambda: bool(screen._talk.turns) and not screen._talk.turns[-1].open)
    await until(pilot, lambda: "done" in seen(screen) or "failed" in seen(screen))


def seen(screen: ChatScreen) -> str:
    """All that the screen shows, as text."""
    width, height = screen.size
    lines = screen._compositor.render_strips()
    assert len(lines) <= height
    return "\n".join("".join(segment.text for segment in strip)[:width] for strip in lines)


def titles(screen: ChatScreen) -> list[str]:
    return [voice.title for voice in screen._talk.voices]


# Which voices come up


def test_a_wide_screen_shows_the_base_beside_the_newest_adapter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        assert titles(screen) == ["base", "adapter"]
        newest = run.listed(Workspace(tmp_path / "workspace"), "toy")[0]
        assert {voice.run for voice in screen._talk.voices} == {str(newest.path)}
        assert "perplexity 41.00" in seen(screen) and "perplexity 4.250" in seen(screen)

    play(monkeypatch, tmp_path, test, trained=2)


def test_a_narrow_screen_shows_the_adapter_and_b_puts_the_base_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        assert titles(screen) == ["adapter"]
        await pilot.press("escape", "b")
        assert titles(screen) == ["base", "adapter"] and screen.has_class("stacked")
        await pilot.press("i")
        await ask(pilot, screen, "hi")
        regions = [answer.region for answer in screen.query(Answer)]
        assert regions[0].x == regions[1].x and regions[0].y < regions[1].y
        await pilot.press("escape", "b")
        assert titles(screen) == ["adapter"]

    play(monkeypatch, tmp_path, test, size=(80, 24))


def test_without_an_adapter_the_base_is_asked_and_how_to_train_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        assert "No adapter yet" in seen(screen)
        await ask(pilot, screen, "hi")
        assert [(one["kind"], one["run"]) for one in speakers.loads()[0]["voices"]] == [("base", "")]

    play(monkeypatch, tmp_path, test, trained=0, size=(80, 24))


def test_without_a_project_the_screen_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        assert "No project is open" in seen(screen)
        for key in ("v", "b", "ctrl+r", "ctrl+e", "ctrl+y", "ctrl+s", "ctrl+t", "ctrl+g", "ctrl+l", "ctrl+x"):
            await pilot.press(key)
        assert not speakers.asked and pilot.app.screen is screen
        await pilot.press("1")
        await until(pilot, lambda: pilot.app.current_mode == "home")

    play(monkeypatch, tmp_path, test, opened=False)


def test_the_picker_chooses_a_checkpoint_and_no_more_than_three(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(pilot.app.screen, VoicePicker))
        picker = pilot.app.screen
        assert "perplexity   4.500" in str(picker.query_one(OptionList).get_option("v2").prompt)
        await pilot.press("j", "j", "space", "j", "space")  # the third column, and one too many
        assert "there is room for 3" in str(picker.query_one("#voice-flaw", Static).content)
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert titles(screen) == ["base", "adapter", "step 20"]
        await ask(pilot, screen, "hi")
        assert [one["step"] for one in speakers.loads()[-1]["voices"]] == [0, 0, 20]
        assert len(speakers.answers()) == 3

    play(monkeypatch, tmp_path, test, trained=2)


def test_the_base_is_put_beside_at_most_two_others_and_never_taken_away_alone() -> None:
    voices = [Voice("base", "r"), Voice("adapter", "r"), Voice("checkpoint", "r", 1), Voice("checkpoint", "r", 2)]
    assert [voice.title for voice in with_base(tuple(voices[1:]), voices)] == ["base", "step 1", "step 2"]
    assert with_base((voices[0],), voices) == (voices[0],)
    assert first_choice(voices, wide=True) == (voices[0], voices[1])


def test_a_run_without_adapter_and_checkpoint_is_no_voice(tmp_path: Path) -> None:
    file = workspace(tmp_path, trained=1)
    run.create(Workspace(tmp_path), project.load(file))
    assert [voice.title for voice in found(Workspace(tmp_path), "toy")] == ["base", "adapter", "step 20"]


def test_perplexities_are_rounded_for_people() -> None:
    assert [perplexity(value) for value in (1.0389, 12.345, 246.83, 12345.6)] == ["1.039", "12.35", "246.8", "12,346"]


# Asking


def test_keys_that_come_in_one_burst_are_obeyed_in_their_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from textual import events

    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        for key in ("h", "i", "enter", "y", "o"):
            pilot.app.post_message(events.Key(key, key if len(key) == 1 else "\r"))
        await until(pilot, lambda: len(speakers.answers()) == 1)
        assert speakers.answers()[0]["messages"][-1]["content"] == "hi"
        await until(pilot, lambda: screen.query_one(ChatPrompt).text == "yo")
        pilot.app.post_message(events.Key("f2", None))
        await until(pilot, lambda: isinstance(pilot.app.screen, VoicePicker))
        for key, character in (("down", None), ("space", " "), ("enter", "\r")):
            pilot.app.post_message(events.Key(key, character))
        await until(pilot, lambda: titles(screen) == ["adapter", "step 20"])

    play(monkeypatch, tmp_path, test, size=(80, 24))


def test_digits_go_into_the_field_until_escape_gives_the_jump_keys_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await pilot.press(*"1 2")
        assert screen.query_one(ChatPrompt).text == "1 2"
        await pilot.press("escape", "1")
        await until(pilot, lambda: pilot.app.current_mode == "home")

    play(monkeypatch, tmp_path, test)


def test_every_column_is_asked_with_the_projects_settings_and_says_how_it_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await pilot.press(*"one", "ctrl+j", *"two", "enter")
        await until(pilot, lambda: len(speakers.answers()) == 2 and "done" in seen(screen))
        for asked in speakers.answers():
            assert asked["messages"] == [{"role": "user", "content": "one\ntwo"}]
            assert asked["settings"] == {"system": "", "temperature": 0.0, "top_p": 1.0, "max_tokens": 256}
            assert asked["seed"] == 7
        assert seen(screen).count("done in 1.3 s, 45 tokens, 35 tokens/s, ended by itself") == 2
        assert screen.query_one(ChatPrompt).text == ""

    play(monkeypatch, tmp_path, test)


@pytest.mark.parametrize(("template", "messages"), [("instruction", 1), ("chat", 3)])
def test_only_a_chat_template_carries_earlier_turns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, template: str, messages: int
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await ask(pilot, screen, "one")
        await ask(pilot, screen, "two")
        assert [len(one["messages"]) for one in speakers.answers()] == [1, messages]
        assert ("are remembered" in seen(screen)) == (template == "chat")
        assert ("stands alone" in seen(screen)) == (template != "chat")

    play(monkeypatch, tmp_path, test, size=(80, 24), speakers=StandIn(template=template))


def test_the_first_escape_stops_the_answers_and_the_second_leaves_the_field(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        speakers.hold = True
        await pilot.press(*"hi", "enter")
        await until(pilot, lambda: "speaking" in seen(screen) and "an " in seen(screen))
        await pilot.press(*"more", "enter")
        assert len(screen._talk.turns) == 1 and screen.query_one(ChatPrompt).text == "more"
        await pilot.press("escape")
        await until(pilot, lambda: seen(screen).count("stopped, 2 tokens") == 2)
        assert len(speakers.cancelled) == 2 and screen.focused is screen.query_one(ChatPrompt)
        await pilot.press("escape")
        assert screen.focused is None

    play(monkeypatch, tmp_path, test)


def test_a_failed_load_is_told_once_and_the_next_question_tries_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        speakers.fail_load = "no such base [/foo]"
        await ask(pilot, screen, "hi")
        assert "no such base [/foo]; choose another" in " ".join(seen(screen).split())
        assert not speakers.answers()
        speakers.fail_load = ""
        await pilot.press("ctrl+r")
        await until(pilot, lambda: len(speakers.answers()) == 2 and "done" in seen(screen))

    play(monkeypatch, tmp_path, test)


def test_a_process_that_dies_fails_its_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        speakers.hold = True
        await pilot.press(*"hi", "enter")
        await until(pilot, lambda: "speaking" in seen(screen))
        for number, on_reply in list(speakers._held.items()):
            on_reply(Reply(number, "error", {"what": "the process was killed", "where": "", "fix": "try again"}))
        await until(pilot, lambda: "the process was killed; try again" in seen(screen))

    play(monkeypatch, tmp_path, test, size=(80, 24))


def test_retry_asks_again_under_the_next_seed_when_there_is_randomness(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        screen.phi.set(chat__temperature=0.7)
        await ask(pilot, screen, "hi")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: len(speakers.answers()) == 2)
        assert [one["seed"] for one in speakers.answers()] == [7, 8] and len(screen._talk.turns) == 1

    play(monkeypatch, tmp_path, test, size=(80, 24))


def test_an_edited_question_takes_the_place_of_the_last_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await ask(pilot, screen, "hi")
        await pilot.press("ctrl+e")
        assert screen.query_one(ChatPrompt).text == "hi"
        await pilot.press("escape")
        assert screen.query_one(ChatPrompt).text == "" and not screen._talk.editing
        await pilot.press("ctrl+e")
        await ask(pilot, screen, "!")
        await until(pilot, lambda: [turn.question for turn in screen._talk.turns] == ["hi!"])

    play(monkeypatch, tmp_path, test, size=(80, 24))


def test_up_brings_earlier_questions_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await ask(pilot, screen, "one")
        await ask(pilot, screen, "two")
        await pilot.press("up", "up")
        assert screen.query_one(ChatPrompt).text == "one"
        await pilot.press("down", "down")
        assert screen.query_one(ChatPrompt).text == ""

    play(monkeypatch, tmp_path, test, size=(80, 24))


def test_a_new_conversation_can_be_taken_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await ask(pilot, screen, "one")
        await pilot.press("ctrl+l")
        assert not screen._talk.turns and "Ask the model something" in seen(screen)
        await pilot.press("ctrl+l")
        assert [turn.question for turn in screen._talk.turns] == ["one"]

    play(monkeypatch, tmp_path, test, size=(80, 24))


def test_each_project_keeps_its_own_conversation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await ask(pilot, screen, "one")
        first = screen.phi.session.file
        assert first is not None
        screen.phi.session.new("other")
        screen.phi.changed()
        await until(pilot, lambda: titles(screen) == ["base"])
        assert not screen._talk.turns
        await ask(pilot, screen, "two")
        assert 'name = "other"' in speakers.loads()[-1]["project"]
        screen.phi.open(first)
        await until(pilot, lambda: [turn.question for turn in screen._talk.turns] == ["one"])

    play(monkeypatch, tmp_path, test, size=(80, 24))


# Settings, template, memory


def test_settings_are_saved_to_the_project_and_load_nothing_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await ask(pilot, screen, "one")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatSettings))
        page = pilot.app.screen
        page.query_one("#set-temperature", Input).value = "9"
        await pilot.press("enter")
        assert "less than or equal to 5" in str(page.query_one("#set-flaw", Static).content)
        page.query_one("#set-temperature", Input).value = "0.5"
        page.query_one("#set-seed", Input).value = "11"
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert screen.phi.session.file and project.load(screen.phi.session.file).chat.temperature == 0.5
        assert project.load(screen.phi.session.file).seed == 7
        await ask(pilot, screen, "two")
        await until(pilot, lambda: len(speakers.answers()) == 2)
        assert speakers.answers()[-1]["settings"]["temperature"] == 0.5 and speakers.answers()[-1]["seed"] == 11
        assert len(speakers.loads()) == 1

    play(monkeypatch, tmp_path, test, size=(80, 24))


@pytest.mark.parametrize(
    ("field", "typed", "why"),
    [
        ("temperature", "warm", "is not a number"),
        ("max_tokens", "1.5", "is not a whole number"),
        ("seed", "-1", "from 0"),
    ],
)
def test_a_setting_that_will_not_do_is_refused_with_its_reason(field: str, typed: str, why: str) -> None:
    texts = {"system": "", "temperature": "0", "top_p": "1", "max_tokens": "8", "seed": "1", field: typed}
    value, flaw = settled(texts)
    assert value is None and why in flaw


def test_the_template_page_shows_what_the_model_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await pilot.press(*"hi", "ctrl+t")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatTemplate))
        page = pilot.app.screen
        assert str(page.query_one(".given-text", Static).content) == "<|im_start|>user↵\nhi<|im_end|>↵\n▏"
        assert len(page.query(".given-text")) == 1  # both columns are given the same
        assert not screen._talk.turns
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen)

    play(monkeypatch, tmp_path, test)


def test_unloading_ends_the_process_and_what_it_was_saying(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        speakers.hold = True
        await pilot.press(*"hi", "enter")
        await until(pilot, lambda: "speaking" in seen(screen))
        await pilot.press("ctrl+x")
        await until(pilot, lambda: "stopped" in seen(screen))
        assert speakers.closed == 1
        speakers.hold = False
        await ask(pilot, screen, "again")
        assert len(speakers.loads()) == 2

    play(monkeypatch, tmp_path, test, size=(80, 24))


def test_a_live_run_is_named_and_typing_loads_nothing_then(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        live = run.listed(Workspace(tmp_path / "workspace"), "toy")[0]
        with live.locked():
            screen.phi.look_at_runs()
            await until(pilot, lambda: "chatting shares the machine" in seen(screen))
            await pilot.press(*"hi")
            await pilot.pause(0.1)
            assert not speakers.asked
            await pilot.press("enter")
            await until(pilot, lambda: len(speakers.answers()) == 1)

    play(monkeypatch, tmp_path, test, size=(80, 24))


@pytest.mark.slow
def test_the_embedded_base_answers_and_its_process_ends_with_the_app(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pids: list[int] = []

    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: Any) -> None:
        await pilot.press(*"What is a model?", "enter")
        await until(pilot, lambda: "done in" in seen(screen), seconds=120)
        assert "ready on" in seen(screen)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatTemplate), seconds=60)
        assert "What is a model?" in str(pilot.app.screen.query_one(".given-text", Static).content)
        pids.append(speakers.pid)

    play(monkeypatch, tmp_path, test, trained=0, speakers=Child("phi_tui.engine.speakers", tmp_path / "log"))
    end = time.monotonic() + 10
    while Path(f"/proc/{pids[0]}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{pids[0]}").exists()


# Copying, saving, foreign text


def test_copying_begins_with_the_trained_voice_and_saving_says_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copied: list[str] = []
    told: list[str] = []
    monkeypatch.setattr(PhiApp, "copy_to_clipboard", lambda self, text: copied.append(text))
    monkeypatch.setattr(PhiApp, "say", lambda self, text, **more: told.append(str(text)))

    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await ask(pilot, screen, "hi")
        await until(pilot, lambda: len(speakers.answers()) == 2 and not screen._exchange.busy)
        await pilot.press("ctrl+y", "ctrl+y")
        assert copied == ["an answer", "an answer"]
        assert "the answer of adapter" in told[-2] and "the answer of base" in told[-1] and "OSC 52" in told[-1]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "chats/toy-" in told[-1])
        folder = tmp_path / "workspace" / "chats"
        rows = [json.loads(line) for line in next(folder.glob("*.jsonl")).read_text().splitlines()]
        assert [row["messages"][-1]["content"] for row in rows] == ["an answer", "an answer"]
        assert "an answer" in next(folder.glob("*.md")).read_text()

    play(monkeypatch, tmp_path, test)


def test_a_folder_that_cannot_be_written_to_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[str] = []

    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        monkeypatch.setattr(PhiApp, "say", lambda self, text, **more: told.append(str(text)))
        (tmp_path / "workspace" / "chats").write_text("in the way")
        await ask(pilot, screen, "hi")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("cannot be" in one for one in told))

    play(monkeypatch, tmp_path, test, size=(80, 24))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_hostile_answers_are_shown_and_do_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: tuple[int, int]
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await ask(pilot, screen, "hi")
        await until(pilot, lambda: "漢字" in seen(screen))
        text = seen(screen)
        assert "[/foo] [@click=app.quit]x[/]" in text
        assert not any(sign in text for sign in "\x1b\x07\x9b\u202e\u2066")
        assert pilot.app.is_running
        answer = screen.query(Answer).last().query_one(".answer-text")
        await pilot.click(answer, offset=(20, 0))
        assert pilot.app.is_running

    play(monkeypatch, tmp_path, test, size=size, speakers=StandIn(text=HOSTILE))


def test_a_megabyte_in_one_line_is_cut_for_the_eye_and_saved_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        began = time.monotonic()
        await ask(pilot, screen, "hi")
        assert time.monotonic() - began < 8
        assert "more characters; ctrl+s saves all of them" in seen(screen)
        await pilot.press("ctrl+s")
        folder = tmp_path / "workspace" / "chats"
        await until(pilot, lambda: any(path.stat().st_size > 1_000_000 for path in folder.glob("*.jsonl")))

    play(monkeypatch, tmp_path, test, size=(80, 24), speakers=StandIn(text="x" * 1_000_000))


def test_what_is_pasted_loses_its_control_characters_and_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from textual import events

    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        prompt = screen.query_one(ChatPrompt)
        prompt.post_message(events.Paste(HOSTILE))
        await until(pilot, lambda: bool(prompt.text))
        assert "\x1b" not in prompt.text and "\u202e" not in prompt.text and "[/foo]" in prompt.text
        prompt.put("")
        prompt.post_message(events.Paste("y" * 1_000_000))
        await until(pilot, lambda: len(prompt.text) == 60_000)

    play(monkeypatch, tmp_path, test, size=(80, 24))


def test_the_turns_follow_the_newest_unless_a_person_scrolled_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        log = screen.query_one(ChatLog)
        await ask(pilot, screen, "hi")
        await until(pilot, lambda: log.max_scroll_y > 0 and log.scroll_offset.y == log.max_scroll_y)
        speakers.hold = True
        await pilot.press(*"more", "enter")
        await until(pilot, lambda: "speaking" in seen(screen))
        await pilot.press("pageup")
        place = log.scroll_offset.y
        assert place < log.max_scroll_y
        speakers.let_go()
        await until(pilot, lambda: log.max_scroll_y > place + 60)
        assert log.scroll_offset.y == place
        await pilot.press("escape", "G")
        await until(pilot, lambda: log.scroll_offset.y == log.max_scroll_y)

    play(monkeypatch, tmp_path, test, size=(80, 24), speakers=StandIn(text="a line\n" * 60))


def test_the_clipboard_gets_no_control_characters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def test(pilot: Pilot[int], screen: ChatScreen, speakers: StandIn) -> None:
        await ask(pilot, screen, "hi")
        await pilot.press("ctrl+y")
        assert "\x1b" not in pilot.app.clipboard and "漢字" in pilot.app.clipboard
        assert base64.b64encode(pilot.app.clipboard.encode())  # has no half of a surrogate pair either

    play(monkeypatch, tmp_path, test, size=(80, 24), speakers=StandIn(text=HOSTILE + "\udc80"))
