"""The embedded demo teaches the embedded base what it says, and stays small."""

from pathlib import Path

import pytest

from phi_tui import demo, project, run
from phi_tui.engine import chat
from phi_tui.replay import Options
from phi_tui.workspace import Workspace

LIMIT = 6_000_000


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("demo")
    assert demo.run_demo(Options(workspace=folder)) == 0
    return Workspace(folder)


def test_the_base_is_within_its_size() -> None:
    assert sum(path.stat().st_size for path in demo.BASE.rglob("*") if path.is_file()) <= LIMIT


def test_no_question_that_is_held_out_stands_in_the_toy_set() -> None:
    import json

    taught = {json.loads(line)["instruction"] for line in demo.TOY.read_text("utf-8").splitlines()}
    assert len(taught) > 300
    assert not taught & {row["instruction"] for row in demo.held_out()}


@pytest.mark.slow
def test_held_out_perplexity_falls_by_more_than_half(workspace: Workspace) -> None:
    figures = run.listed(workspace, "phi_demo")[0].result()
    assert figures is not None
    assert figures["perplexity"] < figures["base_perplexity"] / 2


@pytest.mark.slow
def test_held_out_phrasings_are_answered_where_the_base_does_not(workspace: Workspace) -> None:
    loaded = project.load(workspace.root / "phi_demo.toml")
    adapter = run.listed(workspace, "phi_demo")[0].adapter
    right: dict[str, set[str]] = {}
    for name, given in (("adapter", adapter), ("base", None)):
        speaker = chat.load(loaded, workspace.root, workspace, given, with_template_of=adapter)
        right[name] = set()
        for row in demo.held_out():
            asked = [{"role": "user", "content": row["instruction"]}]
            answer = speaker.answer(asked, loaded.chat.model_copy(update={"max_tokens": 40}), 42, lambda piece: None)
            if answer.ended and all(word in answer.text for word in row["keywords"]):
                right[name].add(row["instruction"])
    assert len(right["adapter"] - right["base"]) >= 5


def test_a_demo_project_that_is_there_is_left_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "phi_demo.toml").write_text('# mine\nname = "phi_demo"\n[train]\nepochs = -1\n')
    with pytest.raises(Exception, match=r"train\.epochs"):
        demo.run_demo(Options(workspace=tmp_path))
    assert (tmp_path / "phi_demo.toml").read_text().startswith("# mine")
