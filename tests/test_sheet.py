"""The style sheet: nothing is parsed twice while the colours stay, everything when they change."""

from __future__ import annotations

from typing import Any

import pytest

from phi_tui.sheet import Sheet

_CSS = "Label { color: $ink; } .loud { text-style: bold; }"


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    import textual.css.stylesheet as module

    parsed: list[str] = []
    plain = module.parse

    def parse(scope: str, css: str, *rest: Any, **more: Any) -> Any:
        parsed.append(css)
        return plain(scope, css, *rest, **more)

    monkeypatch.setattr(module, "parse", parse)
    return parsed


def test_a_source_is_parsed_again_only_for_other_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = _counted(monkeypatch)
    sheet = Sheet(variables={"ink": "red"})
    sheet.add_source(_CSS, read_from=("a", ""))
    for _ in range(3):
        sheet.set_variables({"ink": "red"})
        sheet.reparse()
    assert parsed == [_CSS]
    red = sheet.rules_map["Label"][0].styles.color
    sheet.set_variables({"ink": "blue"})
    sheet.reparse()
    assert parsed == [_CSS, _CSS]
    assert sheet.rules_map["Label"][0].styles.color != red


def test_more_sources_than_the_library_keeps_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = _counted(monkeypatch)
    sheet = Sheet(variables={"ink": "red"})
    for number in range(100):
        sheet.add_source(_CSS, read_from=(f"file {number}", ""))
    for _ in range(3):
        sheet.reparse()
    assert len(parsed) == 100


def test_a_flawed_source_leaves_the_rules_as_they_were() -> None:
    sheet = Sheet(variables={"ink": "red"})
    sheet.add_source(_CSS, read_from=("a", ""))
    sheet.reparse()
    before = sheet.rules
    sheet.add_source("Label { colour: red; }", read_from=("b", ""))
    with pytest.raises(Exception, match=r"."):
        sheet.reparse()
    assert sheet._rules == before
