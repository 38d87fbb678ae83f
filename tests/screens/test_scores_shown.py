"""What a head says is shown: its figures on the Train screen, and the scores of a text on the Chat screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import walking
from textual.pilot import Pilot
from walking import HOSTILE, seen, shows, until

from phi_tui import journal
from phi_tui.app import PhiApp
from phi_tui.child import OnReply, Reply
from phi_tui.metrics import MetricStore
from phi_tui.run import Run
from phi_tui.screens.chat import ChatScreen
from phi_tui.widgets import score_box
from phi_tui.widgets.voice_choice import first_choice, found
from phi_tui.workspace import Workspace

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)])
BEFORE = {"accuracy": 1 / 3, "macro_f1": 0.17, "confusion": [[5, 0, 0], [5, 0, 0], [5, 0, 0]]}
AFTER = {"accuracy": 14 / 15, "macro_f1": 0.933, "confusion": [[5, 0, 0], [1, 4, 0], [0, 0, 5]]}
CLASSES = {"classes": ["animals", "food", "weather"]}


@pytest.fixture(autouse=True)
def own_preferences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "config"))


class Scoring(walking.StandIn):
    """Loads whatever is asked for and scores every text the same."""

    def __init__(self, score: dict[str, Any]) -> None:
        super().__init__()
        self.score = score

    def ask(self, do: str, on_reply: OnReply, /, **arguments: Any) -> int:
        self.asked.append((do, arguments))
        about = {"template": "plain", "device": "cpu", "weights": "float32", "context": 512, "task": "classification"}
        if do == "load":
            voices = [{"key": voice["key"], **about} for voice in arguments["voices"]]
            on_reply(Reply(len(self.asked), "result", {"voices": voices}))
        elif do == "answer":
            on_reply(Reply(len(self.asked), "result", self.score | {"tokens": 7, "cut": 0, "seconds": 0.02}))
        return len(self.asked)


def a_run(place: Path, *, task: str = "classification", figures: dict[str, Any] | None = None) -> tuple[Path, Run]:
    """A project with a head and its finished run; returns the project's file and the run."""
    text = f'schema = 1\nname = "moods"\n[model]\nbase = "builtin:phi-demo"\ntask = "{task}"\n'
    text += '[[data.sources]]\npath = "moods.jsonl"\n'
    file = place / "moods.toml"
    file.write_text(text)
    (place / "moods.jsonl").write_text('{"text": "a", "label": "b"}\n')
    made = Run(place / "runs" / "moods" / "20260101-000001")
    (made.path / "adapter").mkdir(parents=True)
    (made.path / "project.toml").write_text(text)
    (made.path / "adapter" / "adapter_model.safetensors").write_bytes(b"")
    note = {"template": "plain", "labels": {"task": task, "names": CLASSES["classes"]}}
    (made.path / "adapter" / "phi-tui.json").write_text(json.dumps(note))
    book = journal.Journal(made.journal)
    book.write("phase", name="start", steps=20, notes=[])
    common = {"perplexity": None, "seconds": 0.1, "rows": 15}
    book.write("eval", step=0, epoch=0.0, base=True, eval_loss=1.1, **common, **BEFORE, **CLASSES)
    book.write("step", step=20, steps=20, epoch=1.0, loss=0.3, lr=1e-3, grad_norm=1.0, tokens=9, tokens_per_second=9.0)
    book.write("eval", step=20, epoch=1.0, eval_loss=0.2, **common, **AFTER, **CLASSES)
    book.write(
        "done", run=made.id, adapter=str(made.adapter), steps=20, best_step=20, train_loss=0.5, eval_loss=0.2,
        perplexity=None, base_perplexity=None, tokens_per_second=9.0, peak_memory_bytes=7, seconds=7.0,
        base_accuracy=1 / 3, base_macro_f1=0.17, **(figures or AFTER | CLASSES),
    )  # fmt: skip
    book.close()
    return file, made


@SIZES
def test_the_train_screen_shows_the_figures_the_mistakes_and_the_matrix(tmp_path: Path, size: tuple[int, int]) -> None:
    _, done = a_run(tmp_path)

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "✓ done", "accuracy 93.3%, macro F1 0.933", "(untrained accuracy 33.3%")
        await shows(pilot, "mistakes: food taken for animals 1", "loss 0.3")
        assert "perplexity" not in seen(app).replace("perplexity –", "")
        await shows(pilot, "matrix", "weather")

    walking.open_app(tmp_path, size, work, attach=done)


def test_foreign_names_of_classes_do_nothing_on_the_train_screen(tmp_path: Path) -> None:
    names = {"classes": ["a" + HOSTILE, "b", "c"]}
    _, done = a_run(tmp_path, figures=AFTER | names | {"confusion": [[1, 2, 0], [0, 1, 0], [0, 0, 1]]})

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        await shows(pilot, "✓ done", "mistakes")
        assert "\x1b" not in seen(app) and "\u202e" not in seen(app)

    walking.open_app(tmp_path, (120, 40), work, attach=done)


def test_the_store_keeps_the_newest_scores_and_those_of_the_untrained_head(tmp_path: Path) -> None:
    _, done = a_run(tmp_path)
    store = MetricStore()
    store.feed(journal.read(done.journal))
    shot = store.snapshot()
    assert shot.scores and shot.scores["accuracy"] == AFTER["accuracy"]
    assert shot.base_scores and shot.base_scores["accuracy"] == BEFORE["accuracy"]
    assert shot.base_perplexity is None and store.perplexity.latest() is None
    said = [line.text for line in shot.log if line.kind == "evaluation"]
    assert said == [
        "of the base: loss 1.1, accuracy 33.3%, macro F1 0.170",
        "at step 20: loss 0.2, accuracy 93.3%, macro F1 0.933",
    ]
    assert [line.text.split() for line in shot.log if line.kind == "matrix"][2] == ["food", "1", "4", "0"]


@SIZES
def test_a_text_is_scored_on_the_chat_screen(tmp_path: Path, size: tuple[int, int]) -> None:
    file, _ = a_run(tmp_path)
    speakers = Scoring({"scores": [["food", 0.9], ["animals" + HOSTILE, 0.09], ["weather", 0.01]]})

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        app.speakers = speakers  # type: ignore[assignment]
        await shows(pilot, "it is scored", "each class with its probability")
        await pilot.press(*"hot soup", "enter")
        await shows(pilot, "> hot soup", "food", "90.0%", "1.0%", "scored in 0.02 s, 7 tokens read")
        assert "\x1b" not in seen(app) and "\u202e" not in seen(app)
        assert isinstance(app.screen, ChatScreen)
        said = next(iter(app.screen._talk.turns[0].answers.values()))
        assert said.text.splitlines()[0] == "food  0.9000"
        assert [voice.kind for voice in app.screen._talk.voices] == ["adapter"]
        await pilot.press("escape", "escape", "b")
        await until(pilot, lambda: [voice.kind for voice in app.screen._talk.voices] == ["adapter"], "no base")  # type: ignore[attr-defined]

    walking.open_app(tmp_path, size, work, file=file, start_on="chat")


def test_a_number_is_shown_as_one(tmp_path: Path) -> None:
    file, _ = a_run(tmp_path, task="regression")

    async def work(app: PhiApp, pilot: Pilot[int]) -> None:
        app.speakers = Scoring({"value": 1234.5})  # type: ignore[assignment]
        await shows(pilot, "A text gets a number")
        await pilot.press(*"hot soup", "enter")
        await shows(pilot, "1234.5", "scored in")

    walking.open_app(tmp_path, (80, 24), work, file=file, start_on="chat")


def test_a_run_with_a_head_offers_no_bare_base(tmp_path: Path) -> None:
    a_run(tmp_path)
    voices = found(Workspace(tmp_path), "moods")
    assert [voice.kind for voice in voices] == ["adapter"]
    assert [voice.kind for voice in first_choice(voices, wide=True)] == ["adapter"]


def test_scores_are_drawn_with_their_numbers_and_the_rest_is_counted() -> None:
    payload = {"scores": [[f"class {n}", 1 / 30] for n in range(30)] + ["junk", [1], ["x", "y"]]}
    shown = score_box.content(payload).plain
    assert shown.count("3.3%") == score_box.MOST and "and 10 less likely ones" in shown
    assert len(score_box.plain(payload).splitlines()) == 30
    assert score_box.is_score({"value": 2}) and not score_box.is_score({"text": "words"})
