"""The Hyperparameters screen, driven by keys: editing, errors, golden values, what follows, saving."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from phi_tui import project
from phi_tui.app import PhiApp
from phi_tui.child import Reply
from phi_tui.safe_text import clean
from phi_tui.schema import Project
from phi_tui.screens.hparams import HparamsScreen
from phi_tui.session import Session
from phi_tui.widgets.consequences import Consequences, figures, summary, told
from phi_tui.widgets.form_detail import FormDetail
from phi_tui.widgets.form_list import FormList
from phi_tui.widgets.form_row import FieldInput, FormRow
from phi_tui.widgets.schedule_curve import ScheduleCurve, picture, restarts_at, schedule_of
from phi_tui.workspace import Workspace

PLAN: dict[str, Any] = {
    "device": {"type": "cpu", "name": "Some CPU", "memory": 16_000_000_000},
    "precision": "fp32",
    "weights": "float32",
    "parameters": 2_830_000,
    "trainable": 165_888,
    "layers": 6,
    "hidden": 192,
    "batch_size": 5,
    "grad_accum": 2,
    "steps": 120,
    "steps_per_epoch": 40,
    "warmup_steps": 8,
    "rows_per_step": 10,
    "tokens_per_step": 512,
    "checkpointing": False,
    "memory": {
        "weights": 11_000_000,
        "adapter": 2_600_000,
        "activations": 60_000_000,
        "logits": 9_000_000,
        "total": 82_600_000,
    },
    "notes": ["3 of 40 training rows are cut at 64 tokens and lose 12 tokens"],
    "golden": ["rank 8, a Fibonacci number"],
    "targets": ["q_proj", "v_proj"],
    "seconds_estimate": 95.0,
}

HOSTILE = "\x1b]52;c;aGk=\x07 [/foo] [@click=app.quit]x[/] \u202egnp.exe 漢字 🙂"


class Inspector:
    """Stands for the child process: keeps what it is asked, and answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, dict[str, Any], Callable[[Reply], None]]] = []
        self.cancelled: list[int] = []

    def ask(self, do: str, on_reply: Callable[[Reply], None], /, **arguments: Any) -> int:
        assert do == "plan"
        self.asked.append((len(self.asked) + 1, arguments, on_reply))
        return len(self.asked)

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)

    def close(self, *, wait: float = 0.0) -> None:
        pass

    def answer(self, kind: str, payload: dict[str, Any], number: int = 0) -> None:
        number, _, on_reply = self.asked[number - 1]
        on_reply(Reply(number, kind, payload))

    @property
    def settings(self) -> Project:
        return project.parse(self.asked[-1][1]["project"])


class Drive:
    """The app with a project open on the screen, and the ways to look at it."""

    def __init__(self, app: PhiApp, pilot: Pilot[int], inspector: Inspector) -> None:
        self.app, self.pilot, self.inspector = app, pilot, inspector

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, met: Callable[[], object]) -> None:
        end = time.monotonic() + 8
        while not met():
            assert time.monotonic() < end, "it did not come to pass"
            await self.pilot.pause(0.02)

    async def to(self, key: str) -> None:
        """Put the cursor on a setting."""
        self.form.go_to(key)
        await self.pilot.pause()
        assert self.form.field.key == key

    async def type(self, text: str) -> None:
        await self.press("enter", "ctrl+u", *text)

    @property
    def screen(self) -> HparamsScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, HparamsScreen)
        return screen

    @property
    def form(self) -> FormList:
        return self.screen.query_one(FormList)

    @property
    def saved(self) -> Project:
        assert self.app.session.file
        return project.load(self.app.session.file)

    def row(self, key: str) -> str:
        row = next(row for row in self.screen.query(FormRow) if row.field.key == key)
        return str(row.render())

    def text(self, selector: str) -> str:
        return str(self.screen.query_one(selector, Static).render())

    @property
    def follows(self) -> str:
        return self.text("#consequences-text")

    @property
    def details(self) -> str:
        return str(self.screen.query_one(FormDetail).query_one(Static).render())

    @property
    def shown(self) -> list[str]:
        return [row.field.key for row in self.screen.query(FormRow) if row.display]


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a scenario on the screen at a size, with toy.toml open unless `toml` is empty."""
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "config"))

    def run(
        scenario: Callable[[Drive], Awaitable[None]],
        size: tuple[int, int] = (120, 40),
        toml: str = 'schema = 1\nname = "toy"\n# mine\n[lora]\nrank = 16\n',
    ) -> None:
        session = Session(Workspace(tmp_path))
        if toml:
            (tmp_path / "toy.toml").write_text(toml, "utf-8")
            session.open(tmp_path / "toy.toml")
        app = PhiApp(session, start_on="hparams")
        inspector = Inspector()
        app.inspector = inspector  # type: ignore[assignment]

        async def go() -> None:
            async with app.run_test(size=size) as pilot:
                one = Drive(app, pilot, inspector)
                await one.until(lambda: isinstance(app.screen, HparamsScreen) and app.screen.query(FormRow))
                await pilot.pause()
                await scenario(one)

        asyncio.run(go())

    return run


def notices(app: PhiApp) -> str:
    return "\n".join(f"{notice.title} {notice.message}" for notice in app._notifications)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_a_number_is_edited_in_its_place_and_saved_with_the_files_comments(drive: Any, size: tuple[int, int]) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("lora.rank")
        assert "16" in one.row("lora.rank")
        assert "default 8" in one.row("lora.rank")
        await one.type("21")
        await one.press("enter")
        assert one.saved.lora.rank == 21
        assert "φ" in one.row("lora.rank")
        assert "# mine" in one.app.session.file.read_text()  # type: ignore[union-attr]
        assert one.screen.focused is one.form

    drive(scenario, size)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_a_text_that_does_not_fit_stays_in_its_field_with_the_reason_and_is_not_saved(
    drive: Any, size: tuple[int, int]
) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("train.epochs")
        await one.type("lots")
        assert "valid number" in one.row("train.epochs")
        assert "'lots' will not do" in one.details
        await one.press("down")
        assert "lots" in one.row("train.epochs")
        assert "!" in one.row("train.epochs")
        assert one.saved.train.epochs == 1.0
        await one.press("up", "enter")
        assert one.screen.query_one(FieldInput).value == "lots"
        await one.press("ctrl+u", "3", "escape")
        assert one.saved.train.epochs == 3.0
        assert "!" not in one.row("train.epochs")

    drive(scenario, size)


def test_what_does_not_fit_survives_another_screen_and_is_named_by_ctrl_s(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("train.epochs")
        await one.type("lots")
        await one.press("escape", "f1", "escape")
        one.app.go("home")
        await one.pilot.pause()
        one.app.go("hparams")
        await one.pilot.pause()
        assert "lots" in one.row("train.epochs")
        await one.press("ctrl+s")
        assert "train.epochs" in notices(one.app)
        assert "toy.toml" in notices(one.app)

    drive(scenario)


def test_the_cursor_moves_by_arrows_and_vim_keys_and_never_beyond_the_ends(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        keys = [field.key for field in one.form.fields]
        for pressed, place in (
            ("k", 0),
            ("j", 1),
            ("down", 2),
            ("up", 1),
            ("end", -1),
            ("j", -1),
            ("home", 0),
            ("G", -1),
        ):
            await one.press(pressed)
            assert one.form.field.key == keys[place]
            assert one.row(keys[place]).startswith(">")

    drive(scenario)


def test_an_open_field_is_saved_when_another_screen_comes_up(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("train.epochs")
        await one.type("5")
        one.app.go("home")
        await one.until(lambda: one.saved.train.epochs == 5.0)

    drive(scenario)


def test_what_fits_is_saved_after_a_pause_while_the_field_stays_open(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("lora.alpha")
        await one.type("32")
        await one.until(lambda: one.saved.lora.alpha == 32)
        assert one.screen.query_one(FieldInput).value == "32"
        await one.press("backspace", "escape", "u")
        assert one.saved.lora.alpha == 16

    drive(scenario)


def test_choices_cycle_and_booleans_toggle(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("train.scheduler")
        await one.press("right", "l")
        assert one.saved.train.scheduler == "cosine_with_restarts"
        await one.press("h")
        assert one.saved.train.scheduler == "cosine_with_floor"
        await one.to("train.evaluate")
        await one.press("space")
        assert one.saved.train.evaluate is False
        await one.to("train.gradient_checkpointing")
        await one.press("right")
        assert one.saved.train.gradient_checkpointing is True

    drive(scenario)


def test_enter_on_a_choice_opens_the_list_of_its_values(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("train.scheduler")
        await one.press("enter")
        assert one.app.screen.query_one(OptionList).highlighted == 2
        await one.press("k", "k", "enter")
        assert one.saved.train.scheduler == "constant"
        await one.press("enter", "j", "escape")
        assert one.saved.train.scheduler == "constant"

    drive(scenario)


def test_golden_values_go_round_with_their_formula_and_the_default_comes_back(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("lora.rank")
        for rank in (8, 13, 21, 34, 8, 13):
            await one.press("g")
            assert one.saved.lora.rank == rank
        assert "13, the 7th Fibonacci number" in one.details
        assert "heuristic" in one.details
        await one.until(lambda: "Not measured here" in one.details)
        await one.press("r")
        assert one.saved.lora.rank == 8
        await one.to("train.warmup")
        await one.type("0.2")
        await one.press("enter", "g")
        assert one.saved.train.warmup == 0.0618
        assert "0.1/phi" in one.details
        await one.to("lora.alpha")
        await one.press("g")
        assert "no golden value" in notices(one.app)

    drive(scenario)


def test_undo_takes_back_change_by_change(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("train.epochs")
        await one.type("7")
        await one.press("enter")
        await one.to("lora.rank")
        await one.press("g")
        await one.press("u")
        assert one.saved.lora.rank == 16
        await one.press("u")
        assert one.saved.train.epochs == 1.0
        await one.press("u")
        assert "nothing was changed" in notices(one.app)

    drive(scenario)


def test_the_filter_finds_names_and_sentences(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        everything = one.shown
        await one.press("slash", *"warm-up")
        assert "train.warmup" in one.shown
        assert "train.scheduler" in one.shown  # its sentence says warm-up
        assert "lora.rank" not in one.shown
        await one.press("enter", "j")
        assert one.form.field.key in one.shown
        await one.press("slash", "escape")
        assert one.shown == everything
        assert one.screen.focused is one.form

    drive(scenario)


def test_only_what_differs_is_shown_on_request(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.press("D")
        assert one.shown == ["lora.rank"]
        await one.press("D", "a")
        assert "train.weight_decay" not in one.shown
        assert "train.epochs" in one.shown

    drive(scenario)


def test_the_name_is_shown_and_not_edited_and_save_as_duplicates(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("name")
        await one.press("enter", "r", "space")
        assert not one.screen.query(FieldInput)
        await one.press("w")
        box = one.app.screen.query_one(Input)
        assert box.value == "toy_2"
        await one.press("ctrl+u", *"../x", "enter")
        assert one.app.session.project.name == "toy"  # type: ignore[union-attr]
        await one.press("ctrl+u", *"toy", "enter")
        assert "already" in str(one.app.screen.query_one(".dialog-flaw", Static).render())
        await one.press("ctrl+u", *"wide", "enter")
        await one.until(lambda: one.app.session.project and one.app.session.project.name == "wide")
        assert "wide" in one.row("name")
        assert "# mine" in one.app.session.file.read_text()  # type: ignore[union-attr]

    drive(scenario)


def test_a_plan_is_asked_once_after_the_last_of_several_changes_and_older_answers_are_dropped(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.until(lambda: one.inspector.asked)
        assert "omputing" in one.follows
        await one.to("lora.rank")
        await one.press("g", "g", "g")
        assert 1 in one.inspector.cancelled
        await one.until(lambda: len(one.inspector.asked) == 2)
        assert one.inspector.settings.lora.rank == 21
        one.inspector.answer("result", {**PLAN, "steps": 999}, number=1)
        one.inspector.answer("phase", {"name": "preflight", "detail": "checking"}, number=2)
        await one.until(lambda: "preflight checking" in one.follows)
        assert "999" not in one.follows
        one.inspector.answer("result", PLAN, number=2)
        await one.until(lambda: "120, 40 an epoch" in one.follows)
        assert "omputing" not in one.follows
        assert len(one.inspector.asked) == 2

    drive(scenario)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_what_follows_is_shown_beside_the_form_or_behind_a_key(drive: Any, size: tuple[int, int]) -> None:
    async def scenario(one: Drive) -> None:
        await one.until(lambda: one.inspector.asked)
        one.inspector.answer("result", PLAN)
        await one.until(lambda: "512" in one.follows)
        for words in (
            "165,888 of 2.83M = 5.86%",
            "82.6 MB of 16 GB, estimated",
            "about 2 min",
            "are cut at 64",
        ):
            assert words in one.follows
        panel = one.screen.query_one("#hparams-consequences")
        if size[0] < 100:
            assert not panel.region
            assert "120 steps" in one.text("#hparams-summary")
            await one.press("p")
            await one.until(lambda: bool(panel.region))
            await one.press("p")
            await one.until(lambda: not panel.region)
        else:
            assert panel.region

    drive(scenario, size)


def test_a_refusal_is_told_in_its_own_words_and_the_last_figures_are_said_to_be_old(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.until(lambda: one.inspector.asked)
        one.inspector.answer("result", PLAN)
        await one.until(lambda: "512" in one.follows)
        await one.to("train.early_stopping")
        await one.type("3")
        await one.until(lambda: len(one.inspector.asked) == 2)
        what = "this run would fail or mislead:\n  - no token carries loss\n  - too little disk"
        one.inspector.answer("error", {"what": what, "where": "toy.toml", "fix": f"look {HOSTILE}"})
        await one.until(lambda: "! no token carries loss" in one.follows)
        assert "! too little disk" in one.follows
        assert "toy.toml: look" in one.follows
        assert "\x1b" not in one.follows
        assert "[/foo]" in one.follows
        assert "Before the last change" in one.follows

    drive(scenario)


def test_coming_back_to_the_screen_computes_again_and_leaving_cancels(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.until(lambda: one.inspector.asked)
        one.app.go("home")
        await one.until(lambda: 1 in one.inspector.cancelled)
        one.app.go("hparams")
        await one.until(lambda: len(one.inspector.asked) == 2)

    drive(scenario)


def test_the_curve_follows_what_is_typed(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        curve = one.screen.query_one(ScheduleCurve)
        await one.to("train.scheduler")
        await one.press("g")
        assert curve.schedule is not None
        assert curve.schedule.name == "phi_restarts"
        assert "T(k) = T(0) * phi^k" in str(curve.render())
        await one.to("train.restarts")
        await one.type("5")
        assert curve.schedule.restarts == 5
        await one.type("x")
        assert curve.schedule.restarts == 5 or one.saved.train.restarts == curve.schedule.restarts

    drive(scenario)


def test_the_marks_of_phi_restarts_are_phi_apart() -> None:
    settings = Project(name="toy").train.model_copy(
        update={"scheduler": "phi_restarts", "restarts": 4, "max_steps": 1000}
    )
    schedule = schedule_of(Project(name="toy").model_copy(update={"train": settings}))
    marks = [float(schedule.warmup), *restarts_at(schedule), 1000.0]
    lengths = [end - start for start, end in itertools.pairwise(marks)]
    assert all(abs(longer / shorter - 1.618034) < 1e-5 for shorter, longer in itertools.pairwise(lengths))
    rows = picture(schedule, 70, 9, "ascii")
    assert all(row.isascii() for row in rows)
    assert rows[-3].count("^") == 5  # the end of the warm-up and four restarts


def test_without_a_project_the_screen_says_what_to_do(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        assert "Go to Home with 1" in one.text("#hparams-empty")
        await one.press("g", "enter", "space", "w", "u", "ctrl+s", "slash", "p", "r", "D")
        assert not one.screen.query_one("#hparams-main").display
        assert not one.inspector.asked

    drive(scenario, toml="")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_hostile_texts_are_shown_harmless_and_kept(drive: Any, size: tuple[int, int]) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("chat.system")
        await one.press("enter", "escape")
        assert one.saved.chat.system == HOSTILE
        for text in (one.row("chat.system"), one.follows, one.details):
            assert text == clean(text)
        await one.press("enter")
        box = one.screen.query_one(FieldInput)
        assert box.value == clean(box.value, one_line=True)
        box.action_end()
        box.insert_text_at_cursor("\x9b31m")
        assert "\x9b" not in box.value

    toml = f'schema = 1\nname = "toy"\n[chat]\nsystem = "{HOSTILE}"\n'
    drive(scenario, size, toml.replace("\x1b", "\\u001b").replace("\x07", "\\u0007"))


def test_a_text_too_long_for_a_line_is_not_cut_but_sent_to_the_file(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        await one.to("chat.system")
        await one.press("enter")
        assert not one.screen.query(FieldInput)
        assert "1,000,000 characters" in notices(one.app)
        assert len(one.saved.chat.system) == 1_000_000

    drive(scenario, toml=f'schema = 1\nname = "toy"\n[chat]\nsystem = "{"x" * 1_000_000}"\n')


def test_a_change_that_cannot_be_saved_is_told_and_kept(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        assert one.app.session.file
        one.app.session.file.write_text("not toml [", "utf-8")
        await one.to("lora.rank")
        await one.press("g")
        assert "not valid TOML" in notices(one.app)
        assert "could not be saved" in one.row("lora.rank")
        assert one.app.session.file.read_text("utf-8") == "not toml ["

    drive(scenario)


def test_a_click_chooses_a_setting_and_another_one_opens_it(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        row = next(row for row in one.screen.query(FormRow) if row.field.key == "data.max_length")
        await one.pilot.click(row, offset=(28, 0))
        assert one.form.field.key == "data.max_length"
        await one.pilot.click(row, offset=(28, 0))
        assert one.screen.query(FieldInput)
        assert one.app.focused is one.screen.query_one(FieldInput)

    drive(scenario)


def test_every_row_fits_the_smallest_terminal(drive: Any) -> None:
    async def scenario(one: Drive) -> None:
        for row in one.screen.query(FormRow):
            assert max(row.size.width, 60) >= len(str(row.render()))
            assert row.field.name in str(row.render())
        assert one.form.max_scroll_x == 0

    drive(scenario, (80, 24))


def test_an_answer_of_another_shape_does_no_harm() -> None:
    odd = Consequences("ready", {"steps": "many", "memory": None, "device": None, "notes": None, "parameters": True})
    assert figures(odd.plan, 40)
    assert "0 steps" in str(summary(odd))
    assert "Differs from the defaults" in str(told(odd, Project(name="toy"), 40))
