"""The token view: what a token looks like, how lines are laid out, and that nothing in a row can act."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult

from phi_tui.widgets.token_view import Token, TokenView, layout, tokens_of, visible

HOSTILE = "\x1b]52;c;aGk=\x07 [/foo] [@click=app.quit]x[/] \u202egnp.exe \x9b31m"


def test_spaces_at_a_tokens_borders_are_dots_and_inner_ones_stay() -> None:
    assert visible(Token(" the two ", 1, "prompt")) == "·the two·"
    assert visible(Token("   ", 1, "prompt")) == "···"


def test_a_newline_is_a_sign_and_a_break() -> None:
    lines = layout([Token("a\n\nb", 1, "trained"), Token("c", 2, "trained")], 20)
    assert ["".join(piece.text for piece in line) for line in lines] == ["a⏎", "⏎", "bc"]


def test_a_special_token_stays_on_one_line_whatever_its_name_holds() -> None:
    lines = layout([Token("<|im\nend|>", 1, "special")], 40)
    assert len(lines) == 1


def test_a_later_part_of_a_character_is_visible() -> None:
    assert visible(Token("", 1, "trained")) == "◦"


def test_control_characters_are_shown_as_pictures() -> None:
    shown = visible(Token(HOSTILE, 1, "trained"))
    assert "\x1b" not in shown and "\x9b" not in shown and "\u202e" not in shown
    assert "␛]52" in shown and "[@click=app.quit]" in shown


def test_a_row_of_the_inspector_becomes_tokens_and_an_unknown_kind_is_not_trained() -> None:
    tokens = tokens_of({"tokens": [["a", 5, "trained"], ["b", 6, "new-kind"], ["</s>", 2, "special-trained"]]})
    assert [token.trained for token in tokens] == [True, False, True]
    assert [token.special for token in tokens] == [False, False, True]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=30), st.integers(2, 40))
def test_no_line_is_wider_than_the_view_and_every_token_is_there_in_order(texts: list[str], width: int) -> None:
    tokens = [Token(text, at, "prompt") for at, text in enumerate(texts)]
    lines = layout(tokens, width)
    assert all(sum(piece.cells for piece in line) <= width for line in lines)
    order = [piece.token for line in lines for piece in line]
    assert order == sorted(order)
    assert set(order) == set(range(len(tokens)))
    joined = "".join(piece.text for line in lines for piece in line)
    assert joined == "".join(visible(token).replace("\n", "") for token in tokens)


def test_wide_characters_count_two_cells() -> None:
    lines = layout([Token("日本語日本語", 1, "prompt")], 5)
    assert [cell_len(line[0].text) for line in lines] == [4, 4, 4]


class _Alone(App[None]):
    CSS = """
    TokenView > .token-view--trained { text-style: bold underline; }
    TokenView > .token-view--special { text-style: reverse; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.named: list[tuple[int, Token | None]] = []

    def compose(self) -> ComposeResult:
        yield TokenView()

    def on_token_view_named(self, event: TokenView.Named) -> None:
        self.named.append((event.place, event.token))


def _shown(view: TokenView) -> list[tuple[str, Any]]:
    return [(segment.text, segment.style) for line in range(len(view.lines)) for segment in view.render_line(line)]


def test_trained_and_special_tokens_differ_without_colour() -> None:
    async def run() -> None:
        app = _Alone()
        async with app.run_test(size=(40, 10)) as pilot:
            view = app.query_one(TokenView)
            view.show([Token("ask", 1, "prompt"), Token("say", 2, "trained"), Token("</s>", 3, "special")])
            await pilot.pause()
            looks = {text: style for text, style in _shown(view) if text.strip()}
            assert looks["say"].underline and looks["say"].bold
            assert not looks["ask"].underline and not looks["ask"].bold
            assert looks["</s>"].reverse

    asyncio.run(run())


def test_the_cursor_names_tokens_and_scrolls_to_them() -> None:
    async def run() -> None:
        app = _Alone()
        async with app.run_test(size=(20, 5)) as pilot:
            view = app.query_one(TokenView)
            view.show([Token(f"t{at}\n", at + 100, "trained") for at in range(50)])
            view.focus()
            await pilot.press("right")
            assert app.named[-1][1] == Token("t0\n", 100, "trained")
            await pilot.press("right", "w", "left")
            assert app.named[-1][0] == 1
            await pilot.press("G")
            await pilot.pause()
            assert app.named[-1][0] == 49
            assert view.scroll_offset.y >= 45

    asyncio.run(run())


def test_the_pointer_names_the_token_under_it() -> None:
    async def run() -> None:
        app = _Alone()
        async with app.run_test(size=(20, 5)) as pilot:
            view = app.query_one(TokenView)
            view.show([Token("one", 1, "prompt"), Token("two", 2, "trained")])
            await pilot.pause()
            await pilot.hover(TokenView, offset=(4, 0))
            await pilot.pause()
            assert app.named[-1][1] == Token("two", 2, "trained")

    asyncio.run(run())


def test_a_row_of_thousands_of_tokens_is_laid_out_at_once() -> None:
    tokens = [Token(f" word{at}", at, "trained") for at in range(4096)]
    layout(tokens, 70)
    start = time.perf_counter()
    lines = layout(tokens, 70)
    assert time.perf_counter() - start < 0.5
    assert len(lines) > 100
