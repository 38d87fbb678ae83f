"""The chart: what it draws in every size and set of characters, and what a redraw costs on the wire."""

from __future__ import annotations

import asyncio
import io
import math
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from textual.app import App, ComposeResult

import phi_tui
from phi_tui.series import Column, Series
from phi_tui.widgets.canvas import Charset, compact, draw, pixel_columns, smoothed
from phi_tui.widgets.chart import Chart, charset_for

STYLES = Path(phi_tui.__file__).parent / "styles" / "chart.tcss"
CHARSETS: list[Charset] = ["braille", "blocks", "ascii"]


def filled(values: list[float | None], every: int = 1) -> Series:
    series = Series()
    for number, value in enumerate(values, 1):
        series.append(number * every, value)
    return series


def training(points: int, noise: float = 0.15, seed: int = 3) -> list[float | None]:
    """A loss as it looks: falling, noisy."""
    source = random.Random(seed)
    return [1.8 + 2.2 * math.exp(-n / (points / 6)) + source.gauss(0, noise) for n in range(points)]


def picture(values: list[float | None], charset: Charset = "ascii", width: int = 30, height: int = 8, **more: object):
    series = filled(values)
    start, end = series.extent() or (0.0, 0.0)
    columns = series.window(start, end, pixel_columns(charset, width))
    return draw(columns, width=width, height=height, start=start, end=end, charset=charset, **more)


class ChartApp(App[None]):
    CSS_PATH = STYLES

    def __init__(self, chart: Chart, theme: str = "textual-dark") -> None:
        super().__init__()
        self.chart = chart
        self.theme = theme

    def compose(self) -> ComposeResult:
        yield self.chart


def in_app(
    chart: Chart, size: tuple[int, int], check: Callable[[ChartApp, object], Awaitable[None]], **app: str
) -> None:
    async def go() -> None:
        it = ChartApp(chart, **app)
        async with it.run_test(size=size) as pilot:
            chart.focus()
            await pilot.pause()
            await check(it, pilot)

    asyncio.run(go())


def lines(chart: Chart) -> list[str]:
    return [chart.render_line(y).text for y in range(chart.size.height)]


def bytes_of(app: ChartApp) -> int:
    """What the driver would be given for a redraw of every row, cursor movements included."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor")
    update = app.screen._compositor.render_full_update()
    return len(update.render_segments(console).encode())


# --- pictures ----------------------------------------------------------------------------------------------


def test_a_falling_line_goes_from_the_top_left_to_the_bottom_right_without_a_hole() -> None:
    drawn = picture([float(n) for n in range(100, 0, -1)])
    assert drawn.rows[0][0] != " " and drawn.rows[-1][-1] != " "
    assert all(any(row[at] != " " for row in drawn.rows) for at in range(30))
    assert drawn.note == ""


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_jump_is_joined_from_bottom_to_top(charset: Charset) -> None:
    drawn = picture([0.0] * 50 + [10.0] * 50, charset)
    assert any(all(row[at - 1 : at + 1].strip() for row in drawn.rows) for at in range(1, 30))


@pytest.mark.parametrize("charset", CHARSETS)
def test_few_points_are_joined_over_the_columns_between_them(charset: Charset) -> None:
    drawn = picture([1.0, 3.0, 2.0], charset, width=40)
    assert all(any(row[at] != " " for row in drawn.rows) for at in range(40))


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_gap_breaks_the_line_and_is_marked_on_the_axis(charset: Charset) -> None:
    values: list[float | None] = [1.0] * 20 + [None] * 10 + [2.0] * 20
    drawn = picture(values, charset, width=50)
    assert [at for at in range(50) if all(row[at] == " " for row in drawn.rows)] == list(range(20, 30))
    assert drawn.axis[20:30] == "x" * 10 and drawn.axis.count("x") == 10
    assert set(drawn.marks) == set(range(20, 30))


def test_a_single_gap_between_points_breaks_the_line() -> None:
    drawn = picture([1.0, 1.0, None, 1.0, 1.0], width=41)
    row = next(row for row in drawn.rows if row.strip())
    assert row[0:11].strip(" ") and row[11:30].strip() == "" and row[30:41].strip(" ")
    assert drawn.axis[20] == "x"


def test_checkpoints_and_evaluations_are_marked_on_the_axis() -> None:
    drawn = picture([1.0] * 31, width=31, checkpoints=[11, 900], evaluations=[6, 11])
    assert drawn.axis[5] == "o" and drawn.axis[10] == "^"
    assert drawn.marks == (5, 10)


def test_a_log_axis_leaves_out_what_is_not_positive_and_says_so() -> None:
    drawn = picture([100.0, 0.0, -5.0, 0.01], log=True, height=16)
    assert "left out" in drawn.note
    assert [label for label in drawn.labels if label] == ["100", "10", "1", "0.1", "0.01"]
    assert drawn.rows[0][0] == "*" and drawn.rows[-1][-1] == "*"
    nothing = picture([0.0, -1.0], log=True)
    assert "left out" in nothing.note and not "".join(nothing.rows).strip()


def test_equal_distances_on_a_log_axis_are_equal_factors() -> None:
    drawn = picture([1.0, 1000.0], height=13, log=True)
    rows = {label: row for row, label in enumerate(drawn.labels) if label}
    assert rows["1"] - rows["10"] == rows["10"] - rows["100"] == rows["100"] - rows["1k"] == 4


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("value", [0.0, 2.5, -3.0, 1e300, -1e308, 5e-324])
@pytest.mark.parametrize("log", [False, True])
def test_equal_values_make_a_level_line(charset: Charset, value: float, log: bool) -> None:
    drawn = picture([value] * 10, charset, log=log)
    filled_rows = [row for row in drawn.rows if row.strip()]
    assert len(filled_rows) == (0 if log and value <= 0 else 1)


@pytest.mark.parametrize("charset", CHARSETS)
def test_one_point_none_and_only_gaps_are_drawn(charset: Charset) -> None:
    assert sum(cell != " " for row in picture([2.0], charset).rows for cell in row) == 1
    empty = picture([], charset)
    assert empty.note == "no points yet" and not "".join(empty.rows).strip()
    broken = picture([None, None], charset)
    assert broken.note == "no finite value" and broken.axis.count("x") == 2


def test_the_second_series_is_drawn_as_points() -> None:
    line, points = filled([1.0] * 100), filled([2.0, 3.0], every=50)
    drawn = draw(
        line.window(1, 100, 60), points.window(1, 100, 60), width=30, height=8, start=1, end=100, charset="braille"
    )
    assert sum(row.count("o") for row in drawn.rows) == 2
    assert drawn.rows[0][-1] == "o" and drawn.points[0] == (29,)


def test_numbers_are_short() -> None:
    shown = [compact(value) for value in (1e-4, 2.5e-5, 0.25, 1, 0, 12_000, 1_250, 3e6, -0.5, 999_999, 1e18)]
    assert shown == ["1e-4", "2.5e-5", "0.25", "1", "0", "12k", "1.25k", "3M", "-0.5", "1M", "1e18"]


def test_tick_labels_tell_close_values_apart() -> None:
    labels = [label for label in picture([10.5, 11.5], height=16).labels if label]
    assert labels == sorted(labels, key=float, reverse=True) and len(labels) >= 3
    assert all(10.4 < float(label) < 11.6 for label in labels)


def test_smoothing_is_a_debiased_mean_that_keeps_a_constant_and_calms_noise() -> None:
    level = smoothed([Column(5, 5, 5, False, 5)] * 10, 0.9)
    assert all(column.last == pytest.approx(5) for column in level)
    values = [Column(v, v, v, False, v) for v in [0.0, 10.0] * 50]
    calm = [column.last for column in smoothed(values, 0.9)]
    assert calm[0] == 0 and all(v is not None and 4 < v < 6 for v in calm[50:])
    gapped = smoothed([Column(1, 1, 1, False, 1), Column(gap=True), Column()], 0.6)
    assert gapped[1:] == [Column(gap=True), Column()]


@given(
    values=st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=40),
    charset=st.sampled_from(CHARSETS),
    width=st.integers(0, 40),
    height=st.integers(0, 12),
    log=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.9]),
)
@settings(max_examples=300, deadline=None)
def test_any_finite_values_draw_a_picture_of_the_size_asked_for(
    values: list[float | None], charset: Charset, width: int, height: int, log: bool, smoothing: float
) -> None:
    series = filled(values)
    start, end = series.extent() or (0.0, 0.0)
    columns = series.window(start, end, pixel_columns(charset, width))
    columns = smoothed(columns, smoothing) if smoothing else columns
    drawn = draw(columns, columns, width=width, height=height, start=start, end=end, charset=charset, log=log)
    assert len(drawn.rows) == len(drawn.labels) == len(drawn.points) == height
    assert {len(row) for row in (*drawn.rows, drawn.axis, drawn.x_labels)} == {width}
    assert all(len(label) <= 6 for label in drawn.labels)


# --- the widget --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("size", [(20, 6), (80, 24), (120, 40)])
def test_the_chart_is_drawn_at_every_size(charset: Charset, size: tuple[int, int]) -> None:
    chart = Chart(filled(training(500)), filled([3.0, 2.5, 2.2], every=150), title="loss", charset=charset)
    chart.set_marks([150, 300], [150, 300, 450])

    async def check(app: ChartApp, pilot: object) -> None:
        shown = lines(chart)
        assert len(shown) == size[1] and {len(line) for line in shown} == {size[0]}
        assert shown[0].startswith("loss  ")
        assert shown[-2].count("^") == 2
        assert "".join(shown[-1]).split()
        assert sum(line.count("o") for line in shown[1:-2]) == 3
        left = 7 if size[0] >= 40 else 6
        body = [line[left:] for line in shown[1:-2]]
        assert any(line.strip() for line in body)
        if charset == "ascii":
            assert all(line.isascii() for line in shown)
        elif charset == "braille":
            assert any("\u2801" <= cell <= "\u28ff" for line in body for cell in line)
        else:
            assert any(cell in "▀▄█" for line in body for cell in line)

    in_app(chart, size, check)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (10, 3), (200, 4)])
def test_a_chart_with_hardly_any_room_does_not_fail(size: tuple[int, int]) -> None:
    chart = Chart(filled(training(50)), title="loss")
    chart.styles.min_height = 1

    async def check(app: ChartApp, pilot: object) -> None:
        assert {len(line) for line in lines(chart)} == {size[0]}

    in_app(chart, size, check)


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("noise", [0.15, 5.0])
def test_a_full_redraw_at_120x40_costs_less_than_8_kb(charset: Charset, noise: float) -> None:
    points = filled([2.0 + math.sin(n) for n in range(40)], every=500)
    chart = Chart(filled(training(20_000, noise)), points, title="loss", second_title="eval", charset=charset)
    chart.set_marks(range(0, 20_000, 1000), range(0, 20_000, 500))

    async def check(app: ChartApp, pilot: object) -> None:
        assert bytes_of(app) < 8192
        console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor")
        assert sum(len(chart.render_line(y).render(console).encode()) for y in range(40)) < 8192

    in_app(chart, (120, 40), check)


def test_only_rows_that_changed_are_repainted() -> None:
    series = filled([1.0] * 90)
    chart = Chart(series, title="loss", charset="ascii")

    async def check(app: ChartApp, pilot: object) -> None:
        chart.refresh_points()
        await pilot.pause()  # type: ignore[attr-defined]
        assert chart.refresh_points() == 0
        assert not chart._repaint_regions
        series.append(91, 1.0)
        before = lines(chart)
        changed = chart.refresh_points()
        after = lines(chart)
        assert changed == sum(a != b for a, b in zip(before, after, strict=True)) == 1
        assert {(region.y, region.height) for region in chart._repaint_regions} == {
            (row, 1) for row in range(24) if before[row] != after[row]
        }
        screen = [strip.text for strip in app.screen._compositor.render_strips()]
        await pilot.pause()  # type: ignore[attr-defined]
        screen = [strip.text for strip in app.screen._compositor.render_strips()]
        assert screen == after

    in_app(chart, (80, 24), check)


@pytest.mark.parametrize("window", [0, 1000, 100])
def test_new_points_of_a_long_run_leave_most_rows_as_they_are(window: int) -> None:
    series = filled(training(5_000))
    chart = Chart(series, title="loss")
    chart.window = window

    async def check(app: ChartApp, pilot: object) -> None:
        chart.refresh_points()
        changed = []
        for step in range(5_001, 5_031):
            series.append(step, 1.8)
            changed.append(chart.refresh_points())
        assert sum(changed) / len(changed) < 8

    in_app(chart, (120, 40), check)


def test_keys_switch_the_axis_the_smoothing_and_the_window() -> None:
    chart = Chart(filled([float(n) for n in range(1, 2001)]), title="loss", charset="ascii")

    async def check(app: ChartApp, pilot: object) -> None:
        press = pilot.press  # type: ignore[attr-defined]
        plain = lines(chart)
        await press("y")
        assert chart.log_axis and "log" in lines(chart)[0].split() and lines(chart)[1:] != plain[1:]
        await press("y", "s")
        assert chart.smoothing == 0.6 and "smoothed 0.6" in lines(chart)[0]
        await press("s", "s")
        assert chart.smoothing == 0 and lines(chart) == plain
        await press("w")
        assert chart.window == 1000 and "last 1000" in lines(chart)[0]
        assert lines(chart)[-1].split()[0] == "1.2k"
        await press("w", "w")
        assert chart.window == 0 and lines(chart) == plain

    in_app(chart, (80, 24), check)


@pytest.mark.parametrize("newest", [500, 507, 512, 600])
def test_a_window_shows_the_newest_steps_it_names_and_at_most_an_eighth_more(newest: int) -> None:
    chart = Chart(filled([float(n == newest - 99) for n in range(1, newest + 1)]), charset="ascii")
    chart.window = 100

    async def check(app: ChartApp, pilot: object) -> None:
        shown = chart._picture(113, 20, 6).rows
        assert shown[0].count("*") == 1  # the step that is 99 before the newest
        start, end = chart._span()
        assert start <= newest - 99 and newest <= end and end - start < 113

    in_app(chart, (120, 24), check)


def test_every_binding_has_an_id_and_a_tooltip() -> None:
    found = [binding for _, binding in Chart._merged_bindings or [] if (binding.id or "").startswith("chart.")]
    assert {binding.id for binding in found} == {"chart.log", "chart.smoothing", "chart.window"}
    assert all(binding.tooltip for binding in found)


def test_smoothing_and_window_stay_within_their_bounds() -> None:
    chart = Chart()
    chart.smoothing, chart.window = 7.0, -3
    assert chart.smoothing == 0.99 and chart.window == 0


def test_a_title_from_outside_cannot_reach_the_terminal_raw() -> None:
    chart = Chart(filled([1.0]), title="a\x1b]52;c;eA==\x07[bold]\nb")

    async def check(app: ChartApp, pilot: object) -> None:
        title = lines(chart)[0]
        assert "\x1b" not in title and "\x07" not in title and "\n" not in title and "[bold]" in title

    in_app(chart, (80, 24), check)


@pytest.mark.parametrize("theme", ["textual-light", "ansi-dark", "ansi-light"])
def test_the_chart_is_drawn_in_every_theme_and_redrawn_when_it_changes(theme: str) -> None:
    chart = Chart(filled(training(100)), title="loss")

    async def check(app: ChartApp, pilot: object) -> None:
        before = chart.render_line(5)
        app.theme = theme
        await pilot.pause()  # type: ignore[attr-defined]
        after = chart.render_line(5)
        assert before.text == after.text and before != after

    in_app(chart, (80, 24), check)


def test_the_chart_is_drawn_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    chart = Chart(filled(training(100)), filled([2.0, 1.0], every=40), title="loss")

    async def check(app: ChartApp, pilot: object) -> None:
        assert "o" in "".join(lines(chart)[1:-2])
        app.screen._compositor.render_full_update().render_segments(Console(file=io.StringIO()))

    in_app(chart, (80, 24), check)


def test_other_series_can_be_shown() -> None:
    chart = Chart(filled([1.0, 2.0]), title="loss")

    async def check(app: ChartApp, pilot: object) -> None:
        assert "  2" in lines(chart)[0]
        chart.show_series(filled([5.0, 7.0]))
        assert "  7" in lines(chart)[0]
        chart.show_series(None)
        assert "no points yet" in lines(chart)[0]

    in_app(chart, (80, 24), check)


def test_drawing_a_long_run_is_quick_enough_for_the_event_loop() -> None:
    chart = Chart(filled(training(100_000, 5.0)), title="loss")

    async def check(app: ChartApp, pilot: object) -> None:
        best = math.inf
        for _ in range(5):
            begun = time.perf_counter()
            chart.refresh_points()
            best = min(best, time.perf_counter() - begun)
        assert best < 0.1  # 10 to 20 ms; the bound leaves room for a busy machine

    in_app(chart, (120, 40), check)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}, "braille"),
        ({"TERM": "xterm", "LC_CTYPE": "C.utf8"}, "braille"),
        ({"TERM": "xterm", "LC_ALL": "C", "LANG": "en_US.UTF-8"}, "ascii"),
        ({"TERM": "xterm", "LANG": "de_DE.ISO-8859-1"}, "ascii"),
        ({"TERM": "xterm"}, "ascii"),
        ({"TERM": "linux", "LANG": "en_US.UTF-8"}, "ascii"),
        ({"TERM": "dumb", "LANG": "en_US.UTF-8"}, "ascii"),
        ({"TERM": "dumb", "PHI_TUI_CHARSET": "Blocks"}, "blocks"),
        ({"TERM": "xterm", "LANG": "C.UTF-8", "PHI_TUI_CHARSET": "runes"}, "braille"),
    ],
)
def test_the_characters_follow_the_terminal_and_the_locale(environ: dict[str, str], expected: str) -> None:
    assert charset_for(environ) == expected
