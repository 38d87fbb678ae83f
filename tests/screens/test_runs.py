"""The Runs screen by its keys: what is listed, compared, exported, looked into, deleted and brought back."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from phi_tui import journal, project, run
from phi_tui.app import PhiApp
from phi_tui.run import Run
from phi_tui.run_list import Glance
from phi_tui.session import Session
from phi_tui.widgets import runs_rows
from phi_tui.widgets.canvas import pixel_columns
from phi_tui.widgets.dialogs import Ask, AskText
from phi_tui.widgets.messages import RunsSeen
from phi_tui.widgets.runs_curves import RunCurves
from phi_tui.widgets.runs_export import ExportChoice
from phi_tui.widgets.runs_lines import plot
from phi_tui.widgets.runs_table import PAGE
from phi_tui.widgets.runs_text import tail
from phi_tui.workspace import Workspace

HOSTILE = "\x1b]52;c;QUJD\x07 [/foo] [@click=app.quit]x[/] \u202egnp 🙂 漢字"
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)])


@pytest.fixture(autouse=True)
def own_preferences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("PHI_TUI_CHARSET", "braille")


def made(
    root: Path,
    name: str = "toy",
    number: int = 1,
    *,
    end: str = "done",
    rank: int = 8,
    rows: str = "d1",
    loss: float = 1.0,
    message: str = "it broke",
    steps: int = 20,
) -> Run:
    path = root / "runs" / name / f"20260101-00000{number}"
    path.mkdir(parents=True)
    frozen = project.validate({"schema": 1, "name": "toy", "lora": {"rank": rank}}, "test")
    (path / "project.toml").write_text(project.text(frozen, defaults=True))
    (path / "lock.toml").write_text(f'[base]\nid = "b"\n[data]\nrows_sha256 = "{rows}"\n')
    (path / "console.log").write_text("Loading 0%\rLoading 100%\nthe last line\n")
    (path / "adapter").mkdir()
    (path / "adapter" / "weights").write_bytes(b"x" * 2000)
    book = journal.Journal(path / "journal.jsonl")
    book.write("phase", name="start", steps=steps)
    book.write("eval", step=0, epoch=0.0, base=True, eval_loss=3.0, perplexity=20.0)
    for step in range(1, steps + 1):
        book.write("step", step=step, steps=steps, epoch=step / steps, loss=loss + 1 / step, tokens_per_second=900.0)
    book.write("eval", step=steps, epoch=1.0, eval_loss=loss, perplexity=loss * 2)
    if end == "done":
        book.write(
            "done", steps=steps, best_step=steps, train_loss=loss, eval_loss=loss, perplexity=loss * 2,
            base_perplexity=20.0, tokens_per_second=900.0, peak_memory_bytes=10**9, seconds=61.0,
        )  # fmt: skip
    elif end in ("failed", "stopped"):
        book.write(end, message=message)  # type: ignore[arg-type]
    book.close()
    return Run(path)


def on_runs(root: Path, size: tuple[int, int], work: Callable[[PhiApp, Pilot[int]], Awaitable[None]]) -> None:
    """Open the Runs screen on a workspace and do `work` once its runs are listed."""

    async def all_of_it() -> None:
        app = PhiApp(Session(Workspace(root)), start_on="runs")
        async with app.run_test(size=size) as pilot:
            expected = len(run.listed(Workspace(root)))
            await until(pilot, lambda: len(app.glances) == expected and hasattr(app.screen, "table"))
            await until(pilot, lambda: app.screen.table.row_count == min(expected, PAGE))
            await work(app, pilot)

    asyncio.run(all_of_it())


async def until(pilot: Pilot[int], true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to be\n" + shown(pilot.app)
        await pilot.pause(0.02)


def shown(app: Any) -> str:
    """The characters on the screen."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


def told(app: PhiApp) -> str:
    return "\n".join(notice.message for notice in app._notifications)


@SIZES
def test_runs_are_listed_with_their_figures(tmp_path: Path, size: tuple[int, int]) -> None:
    made(tmp_path, number=1, loss=1.25)
    made(tmp_path, number=2, end="failed")

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: "last words" in shown(app))
        text = shown(app)
        assert "20260101-000001" in text
        assert "done" in text
        assert "failed" in text
        assert "20/20" in text
        assert "2.5" in text  # the perplexity
        assert "it broke" in text
        assert "--resume" in text
        assert ("base ppl" in text) == (size[0] > 80)
        assert max(len(line) for line in text.splitlines()) <= size[0]

    on_runs(tmp_path, size, work)


@SIZES
def test_an_empty_workspace_says_what_to_do(tmp_path: Path, size: tuple[int, int]) -> None:
    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: "No runs in this workspace yet" in shown(app))
        assert "Home (1)" in shown(app)
        await pilot.press("space", "c", "e", "delete", "l", "o", "enter", "j", "S", "s")
        assert "No runs in this workspace yet" in shown(app)
        await pilot.press("1")
        await until(pilot, lambda: app.current_mode == "home")

    on_runs(tmp_path, size, work)


def test_a_live_run_is_on_top_and_is_not_deleted(tmp_path: Path) -> None:
    live = made(tmp_path, number=1, end="")
    made(tmp_path, number=2)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        assert app.screen.table.current.run == live
        assert "running" in shown(app)
        await pilot.press("delete")
        await until(pilot, lambda: "is live and is not deleted" in told(app))
        assert live.path.is_dir()

    with live.locked():
        on_runs(tmp_path, (80, 24), work)


def test_a_run_that_came_alive_after_the_question_is_not_moved(tmp_path: Path) -> None:
    one = made(tmp_path, end="stopped")

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        with one.locked():
            await pilot.press("tab", "enter")
            await until(pilot, lambda: "already at work" in told(app))
        assert (one.path / "journal.jsonl").is_file()

    on_runs(tmp_path, (80, 24), work)


def test_a_run_is_deleted_after_a_question_with_its_size_and_brought_back(tmp_path: Path) -> None:
    one = made(tmp_path, number=1)
    made(tmp_path, number=2)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("j", "delete")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        assert " kB" in shown(app)
        await pilot.press("escape")
        assert one.path.is_dir()
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("enter")  # the first choice keeps it
        await until(pilot, lambda: not isinstance(app.screen, Ask))
        assert one.path.is_dir()
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(app.glances) == 1 and app.screen.table.row_count == 1)
        assert not one.path.exists()
        assert len(os.listdir(tmp_path / ".trash")) == 1
        await pilot.press("u")
        await until(pilot, lambda: app.screen.table.row_count == 2)
        assert one.path.is_dir()
        assert os.listdir(tmp_path / ".trash") == []

    on_runs(tmp_path, (80, 24), work)


def test_the_palette_empties_the_trash_after_a_question_with_its_size(tmp_path: Path) -> None:
    made(tmp_path, number=1)
    made(tmp_path, number=2)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(app.glances) == 1)
        await pilot.press("ctrl+p")
        await pilot.press(*"empty the trash")
        await until(pilot, lambda: "Empty the trash" in shown(app))
        await pilot.pause(0.3)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        assert "1 run is in the trash" in shown(app)
        assert " kB" in shown(app)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "removed for good" in told(app))
        assert os.listdir(tmp_path / ".trash") == []
        await pilot.press("u")
        await until(pilot, lambda: "nothing was deleted" in told(app))

    on_runs(tmp_path, (80, 24), work)


@SIZES
def test_the_filter_leaves_what_has_every_word(tmp_path: Path, size: tuple[int, int]) -> None:
    made(tmp_path, "alpha", 1)
    made(tmp_path, "beta", 2, end="failed")
    made(tmp_path, "beta", 3)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("slash", *"BETA fail")
        await until(pilot, lambda: app.screen.table.row_count == 1)
        assert app.screen.table.current.project == "beta"
        await pilot.press("enter")
        assert app.focused is app.screen.table
        await pilot.press("slash", *"zz")
        await until(pilot, lambda: "No run has all of these words" in shown(app))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen.table.row_count == 3)
        assert not app.screen.query_one("#runs-filter", Input).display

    on_runs(tmp_path, size, work)


def test_the_sort_goes_through_the_columns_and_turns_round(tmp_path: Path) -> None:
    made(tmp_path, "b", 1, loss=3.0)
    made(tmp_path, "a", 2, loss=2.0)
    made(tmp_path, "c", 3, loss=1.0)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        table = app.screen.table
        await pilot.press("s")
        assert [glance.project for glance in table._rows] == ["a", "b", "c"]
        await pilot.press("S")
        assert [glance.project for glance in table._rows] == ["c", "b", "a"]
        assert "project↓" in shown(app)
        await pilot.press("s", "s", "s", "s")
        assert "sorted by loss" in shown(app)
        assert [glance.project for glance in table._rows] == ["c", "a", "b"]

    on_runs(tmp_path, (80, 24), work)


@SIZES
def test_marked_runs_are_compared(tmp_path: Path, size: tuple[int, int]) -> None:
    made(tmp_path, number=1, rank=8, loss=1.0)
    made(tmp_path, number=2, rank=13, loss=2.0)
    made(tmp_path, "other", 3, rank=21, loss=3.0, rows="d2")

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("space", "space", "space")
        assert "3 marked" in shown(app)
        await pilot.press("c")
        await until(pilot, lambda: "Warning: the data differs" in shown(app))
        text = shown(app)
        assert "A other/20260101-000003" in text
        assert "C toy/20260101-000001" in text
        plotted = "".join(cell.text for row in app.screen.query_one(RunCurves)._plot(60, 12).rows for cell in row)
        assert set("ABCabc") <= set(plotted)
        await pilot.press("G")
        await until(pilot, lambda: "data.rows_sha256" in shown(app))
        await pilot.press("g", "m", "x", "y", "s")
        await until(pilot, lambda: "loss  log  smoothed 0.6" in shown(app))
        assert "epochs" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.focused is app.screen.table)

    on_runs(tmp_path, size, work)


def test_the_highlighted_run_is_compared_with_the_newest_other_of_its_project(tmp_path: Path) -> None:
    made(tmp_path, number=1, rank=8)
    made(tmp_path, number=2, rank=13, loss=2.0)
    made(tmp_path, "other", 3)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("c")
        await until(pilot, lambda: "no other run of this project" in told(app))
        await pilot.press("G", "c")
        await until(pilot, lambda: "A 20260101-000001  B 20260101-000002" in shown(app))
        assert "Warning" not in shown(app)
        await until(pilot, lambda: "2 *" in shown(app))  # the better perplexity, marked
        await pilot.press("G")
        await until(pilot, lambda: "lora.rank" in shown(app))
        assert "they ran on the same" in shown(app)

    on_runs(tmp_path, (80, 24), work)


def test_a_comparison_that_was_left_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, number=1)
    made(tmp_path, number=2)
    stopped = []

    def endless(one: Run, stopping: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not stopping() and time.monotonic() < deadline:
            time.sleep(0.01)
        stopped.append(stopping())
        from phi_tui.compare import Cancelled

        raise Cancelled

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        monkeypatch.setattr("phi_tui.compare.read", endless)
        await pilot.press("c")
        await until(pilot, lambda: "reading 1 of 2" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: stopped == [True])
        assert app.screen.view == "runs-list"
        assert told(app) == ""

    on_runs(tmp_path, (80, 24), work)


@pytest.mark.parametrize(
    ("kind", "name", "inside"),
    [
        (0, "out", "weights"),
        (1, "out", "toy.toml"),
        (2, "out", "adapter"),
        (3, "out.csv", "seq,time"),
        (4, "out.json", '"eval"'),
    ],
)
def test_exports_go_where_one_says_and_overwrite_nothing(tmp_path: Path, kind: int, name: str, inside: str) -> None:
    made(tmp_path)
    (tmp_path / "there").write_text("dear")

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ExportChoice))
        await until(pilot, lambda: app.screen.query_one(OptionList).highlighted == 0)
        await pilot.press(*["j"] * kind, "enter")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        field = app.screen.query_one(Input)
        field.value = str(tmp_path / "there")
        await pilot.press("enter")
        await until(pilot, lambda: "nothing is overwritten" in shown(app))
        field.value = name  # relative to the workspace
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / name).exists() and name in told(app))
        target = tmp_path / name
        found = os.listdir(target) if target.is_dir() else target.read_text()
        assert inside in found
        assert (tmp_path / "there").read_text() == "dear"

    on_runs(tmp_path, (80, 24), work)


@SIZES
def test_a_runs_files_are_shown_and_left(tmp_path: Path, size: tuple[int, int]) -> None:
    one = made(tmp_path)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("o")
        await until(pilot, lambda: "schema = 1" in shown(app))
        assert "project.toml" in shown(app)
        await pilot.press("escape", "l")
        await until(pilot, lambda: "the last line" in shown(app))
        assert "Loading 100%" in shown(app)
        assert "Loading 0%" not in shown(app)
        await pilot.press("escape")
        one.console.unlink()
        await pilot.press("l")
        await until(pilot, lambda: "No such file" in told(app))
        assert app.screen.view == "runs-list"

    on_runs(tmp_path, size, work)


def test_enter_watches_the_run(tmp_path: Path) -> None:
    one = made(tmp_path)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "train" and app.follow is not None)
        assert app.follow is not None
        assert app.follow.run == one

    on_runs(tmp_path, (80, 24), work)


@SIZES
def test_a_finished_runs_figures_fill_their_line_from_the_start(tmp_path: Path, size: tuple[int, int]) -> None:
    made(tmp_path, loss=1.25)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: "elapsed" in shown(app) and "perplexity 2.5 (base 20)" in shown(app))
        assert "✓ done  toy/20260101-000001" in shown(app)

    on_runs(tmp_path, size, work)


@SIZES
def test_hostile_text_is_shown_and_does_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    one = made(tmp_path, "漢 [foo] [@click=app.quit]x \u202e", 1, end="failed", message=HOSTILE + "x" * 30_000)
    two = made(tmp_path, "漢 [foo] [@click=app.quit]x \u202e", 2)
    (one.path / "console.log").write_text(HOSTILE + "\n" + "y" * 1_000_000)
    (two.path / "project.toml").write_text(HOSTILE)
    (two.path / "lock.toml").write_text(f"[data]\nrows_sha256 = {json.dumps(HOSTILE)[:20]}")

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        def safe() -> bool:
            return not any(character in shown(app) for character in "\x1b\x07\u202e")

        await pilot.press("j")
        await until(pilot, lambda: "last words" in shown(app))
        assert safe()
        for key in ("l", "o"):
            await pilot.press(key)
            await until(pilot, lambda: app.screen.view == "runs-file")
            assert safe()
            await pilot.press("escape")
        await pilot.press("k", "o")
        await until(pilot, lambda: "[/foo]" in shown(app) and app.screen.view == "runs-file")
        assert "␛]52;c;QUJD␇" in shown(app)
        assert safe()
        await pilot.press("escape", "c")
        await until(pilot, lambda: "mean train loss" in shown(app))
        assert safe()
        await pilot.press("escape", "e")
        await until(pilot, lambda: isinstance(app.screen, ExportChoice))
        assert safe()
        await pilot.press("escape", "delete")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        assert safe()
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "no name" in told(app))
        assert two.path.is_dir()
        await pilot.press("slash", *"[foo]")
        await until(pilot, lambda: app.screen.table.filter == "[foo]" and app.screen.table.row_count == 2)

    on_runs(tmp_path, size, work)


def test_many_runs_come_page_by_page(tmp_path: Path) -> None:
    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        glances = [
            Glance(
                Run(tmp_path / "runs" / "toy" / f"{n:05}"),
                "toy",
                "done",
                1,
                1,
                1.0,
                "",
                "",
                {"perplexity": 1.0},
                n + 1.0,
            )
            for n in range(PAGE * 2 + 1)
        ]
        app._watching.clear()
        await pilot.pause(0.1)
        app.glances = glances
        app.screen.post_message(RunsSeen(0))
        app.on_runs_seen(RunsSeen(0))
        await until(pilot, lambda: app.screen.table.row_count == PAGE)
        assert "page 1 of 3" in shown(app)
        await pilot.press("]", "]", "]")
        assert app.screen.table.row_count == 1
        assert app.screen.table.current == glances[0]
        await pilot.press("[")
        assert "page 2 of 3" in shown(app)

    made(tmp_path)
    on_runs(tmp_path, (80, 24), work)


def test_a_look_at_the_runs_leaves_the_cursor_on_its_run(tmp_path: Path) -> None:
    made(tmp_path, number=1)
    made(tmp_path, number=2)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("j")
        before = app.screen.table.current.run
        made(tmp_path, number=3)
        app.look_at_runs()
        await until(pilot, lambda: app.screen.table.row_count == 3)
        assert app.screen.table.current.run == before

    on_runs(tmp_path, (80, 24), work)


def test_help_and_another_theme_work_here(tmp_path: Path) -> None:
    made(tmp_path)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await pilot.press("f1")
        await until(pilot, lambda: "Every run of this workspace" in shown(app))
        await pilot.press("escape")
        app.action_theme("ansi-light")
        await until(pilot, lambda: "20260101-000001" in shown(app))
        assert app.screen.query_one("#runs-status", Static).display

    on_runs(tmp_path, (80, 24), work)


# What needs no terminal


def test_columns_give_way_to_a_narrow_table_and_fill_a_wide_one() -> None:
    for width in range(70, 220):
        columns, gap = runs_rows.columns(width, longest_project=30)
        assert sum(column.width + gap for column in columns) <= width
    narrow, wide = ([column.key for column in runs_rows.columns(width)[0]] for width in (77, 117))
    assert narrow == ["mark", "project", "run", "state", "step", "loss", "perplexity", "when"]
    assert wide == [column.key for column in runs_rows.COLUMNS]


def test_times_and_numbers_are_short() -> None:
    assert [runs_rows.duration(seconds) for seconds in (0, 59, 61, 3661, 10**6)] == [
        "0 s", "59 s", "1m01s", "1h01m", "11d13h",
    ]  # fmt: skip
    assert [runs_rows.ago(seconds) for seconds in (-5, 61, 7200, 3 * 86400, 90 * 86400)] == [
        "now", "1 min", "2 h", "3 d", "3 mo",
    ]  # fmt: skip
    assert runs_rows.size(1_234_567) == "1.23 MB"
    assert runs_rows.progress(6000, 12000) == "6000/12000"
    assert runs_rows.shown(float("nan"), "number") == "-"


def test_runs_without_a_value_are_sorted_last_either_way() -> None:
    def glance(number: int, loss: float | None, state: str = "done") -> Glance:
        path = Path(f"/runs/toy/{number}")
        return Glance(Run(path), "toy", state, 0, 0, loss, "", "", {"perplexity": None}, 0.0)  # type: ignore[arg-type]

    glances = [glance(1, None), glance(2, 2.0), glance(3, 1.0), glance(4, 9.0, "running")]
    order = [one.run.id for one in runs_rows.ordered(glances, {}, "loss")]
    turned = [one.run.id for one in runs_rows.ordered(glances, {}, "loss", reverse=True)]
    assert order == ["4", "3", "2", "1"]
    assert turned == ["4", "2", "3", "1"]


def test_a_plot_of_four_runs_tells_them_apart_without_colour() -> None:
    from phi_tui.series import Series

    lines = []
    for level in range(1, 5):
        series = Series()
        for step in range(100):
            series.append(step, None if step == 50 else float(level))
        lines.append(series.window(0, 99, pixel_columns("braille", 60)))
    drawn = plot(lines, [], width=60, height=20, start=0, end=99, unit="steps", charset="braille")
    for owner, letter in enumerate("ABCD"):
        own = [cell.text for row in drawn.rows for cell in row if cell.owner == owner]
        assert own.count(letter) >= 2
        assert set(own) - {letter}, "a line beside its letters"
    assert all(len(row) == 60 for row in drawn.rows)
    assert drawn.x_labels.startswith("0")
    assert drawn.x_labels.endswith("99")


def test_a_log_axis_leaves_out_what_it_cannot_show() -> None:
    from phi_tui.series import Series

    series = Series()
    for step, value in enumerate([0.0, -1.0, 10.0, 100.0]):
        series.append(step, value)
    columns = series.window(0, 3, pixel_columns("ascii", 20))
    drawn = plot([columns], [], width=20, height=8, start=0, end=3, unit="steps", charset="ascii", log=True)
    assert drawn.note == "0 and below left out"
    assert any(cell.text == "A" for row in drawn.rows for cell in row)
    nothing = plot([[]], [[]], width=20, height=8, start=0, end=0, unit="steps")
    assert all(cell.text == " " for row in nothing.rows for cell in row)


def test_the_tail_of_a_log_is_short_and_safe(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"\xff\x1b[31mred\x1b[0m\n" * 100_000 + b"a\rb\rlast \x1b]52;c;QUJD\x07")
    text = tail(log)
    assert len(text) < 10_000
    assert text.endswith("last ␛]52;c;QUJD␇")
    assert "\x1b" not in text
