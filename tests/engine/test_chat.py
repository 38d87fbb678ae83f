"""A chat asks in the words that were trained, stops where the answer ends, and is cut off where it must be."""

from pathlib import Path

import projects
import pytest

from phi_tui import project, run
from phi_tui.engine import chat
from phi_tui.errors import InputError
from phi_tui.schema import Chat
from phi_tui.workspace import Workspace


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    file = projects.make(folder, count=32)
    # One answer for every question, so that a tiny model can learn it by heart.
    rows = [row | {"output": "blue moon"} for row in projects.rows(64)]
    projects.write_jsonl(folder / "train.jsonl", rows)
    projects.execute(file, "train.epochs=30", "train.learning_rate=2e-2", "train.evaluate=false", "lora.rank=16")
    return file


def load(file: Path, *, adapter: bool) -> chat.Speaker:
    place = Workspace(file.parent)
    folder = run.listed(place, "toy")[0].adapter
    return chat.load(project.load(file), file.parent, place, folder if adapter else None, with_template_of=folder)


def test_a_trained_adapter_gives_its_answer_in_pieces_and_stops(trained: Path) -> None:
    pieces: list[str] = []
    asked = [{"role": "user", "content": "Say red and sun number 5."}]
    answer = load(trained, adapter=True).answer(asked, Chat(max_tokens=40), 0, pieces.append)
    assert answer.text == "blue moon"
    assert answer.ended
    assert "".join(pieces).strip() == answer.text
    assert len(pieces) > 1


def test_the_base_is_asked_in_the_same_words_and_answers_otherwise(trained: Path) -> None:
    speaker = load(trained, adapter=False)
    assert speaker.template == load(trained, adapter=True).template
    answer = speaker.answer([{"role": "user", "content": "Say red."}], Chat(max_tokens=8), 0, lambda piece: None)
    assert answer.text != "blue moon"
    assert answer.tokens == 8
    assert not answer.ended


def test_sampling_follows_the_seed(trained: Path) -> None:
    speaker = load(trained, adapter=False)
    settings = Chat(temperature=1.5, max_tokens=12)
    asked = [{"role": "user", "content": "Say red."}]
    said = [speaker.answer(asked, settings, seed, lambda piece: None).text for seed in (1, 1, 2)]
    assert said[0] == said[1] != said[2]


def test_a_conversation_beyond_the_context_is_refused(trained: Path) -> None:
    speaker = load(trained, adapter=False)
    with pytest.raises(InputError, match="context"):
        speaker.answer([{"role": "user", "content": "word " * 5000}], Chat(), 0, lambda piece: None)


def test_whoever_listens_can_stop_an_answer(trained: Path) -> None:
    def enough(piece: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(trained, adapter=True).answer([{"role": "user", "content": "x"}], Chat(), 0, enough)
