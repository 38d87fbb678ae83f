"""The short ways to a row's tokens are held against the libraries' own, and a difference stops everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import projects
import pytest

from phi_tui import project as files
from phi_tui.engine import prepare, render, traced
from phi_tui.errors import Refusal
from phi_tui.workspace import Workspace


def _prepared(folder: Path) -> Any:
    file = projects.make(folder)
    return prepare.prepare(files.load(file), folder, Workspace(folder), lambda *_, **__: None, weights=False)


@pytest.mark.parametrize("which", ["words", "layout"])
def test_a_row_that_came_out_otherwise_is_refused_and_the_long_way_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    if which == "words":
        given = render.Encoder._ids
        monkeypatch.setattr(render.Encoder, "_ids", lambda self, texts: [ids[:-4] for ids in given(self, texts)])
    else:
        plain = traced.Renderer.apply_chat_template
        monkeypatch.setattr(
            traced.Renderer, "apply_chat_template", lambda self, *about, **more: plain(self, *about, **more) + " "
        )
    with pytest.raises(Refusal, match="came out otherwise") as refused:
        _prepared(tmp_path)
    assert "PHI_TUI_PLAIN_ROWS" in refused.value.fix
    assert not (tmp_path / "datasets" / "ready" / "toy").exists()


def test_the_long_way_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import load_from_disk

    def rows(name: str) -> str:
        found = _prepared(tmp_path / name)
        data = load_from_disk(str(found.ready.folder))
        return json.dumps({side: data[side][:] for side in data})

    (tmp_path / "short").mkdir()
    (tmp_path / "long").mkdir()
    short = rows("short")
    monkeypatch.setenv("PHI_TUI_PLAIN_ROWS", "1")
    assert rows("long") == short
