"""Voices side by side say what each would say alone, in one memory, and let go of what is no longer asked for."""

import gc
import json
import os
import queue
import shutil
import signal
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_bases

from phi_tui import demo, project
from phi_tui.atomic import folder as atomic_folder
from phi_tui.child import Child, Reply
from phi_tui.engine import adapters, chat, checkpoints, loading
from phi_tui.engine.service import Cancelled, Task
from phi_tui.engine.speakers import PIECE_SECONDS, Speakers
from phi_tui.errors import InputError
from phi_tui.run import Run
from phi_tui.schema import Chat
from phi_tui.workspace import Workspace

ASKED = [{"role": "user", "content": "What is the golden ratio?"}]
GREEDY = {"system": "", "temperature": 0.0, "top_p": 1.0, "max_tokens": 16}
SAMPLED = {"system": "", "temperature": 0.9, "top_p": 0.8, "max_tokens": 16}


def write_adapter(folder: Path, base: Path, seed: int, *, rank: int = 4, note: bool = True) -> None:
    """An adapter that was never trained and is no nothing: both of its matrices are random."""
    import torch
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=rank,
            lora_alpha=32,
            lora_dropout=0.5,
            target_modules="all-linear",
            init_lora_weights=False,
        )
        model = get_peft_model(loading.base(base, torch.float32), config)
        with atomic_folder(folder) as staged:
            model.save_pretrained(str(staged), save_embedding_layers=False)
            if note:
                known = chat.layout(project.parse('name = "toy"\nschema = 1'), base, None)
                known.tokenizer.chat_template = known.template.jinja
                known.tokenizer.save_pretrained(str(staged))
                said = {
                    "template": known.template.name,
                    "stops": list(known.template.stops),
                    "weights": "float32",
                }
                (staged / "phi-tui.json").write_text(json.dumps(said))


def make_run(root: Path, base: Path, *, name: str = "one", adapter: bool = True) -> Run:
    """A run directory with an adapter and a checkpoint that differ, on the base in `base`."""
    made = Run(root / "runs" / "toy" / name)
    first = base.parent / f"run-of-{base.name}" if base != demo.BASE else made.path
    if not first.exists():
        write_adapter(first / "adapter", base, seed=1)
        write_adapter(first / "checkpoints" / "step-7", base, seed=2, note=False)
        checkpoints.write_manifest(first / "checkpoints" / "step-7")
        (first / "project.toml").write_text(f'schema = 1\nname = "toy"\n[model]\nbase = "{base}"\n')
    if first != made.path:
        shutil.copytree(first, made.path)
    if not adapter:
        shutil.rmtree(made.adapter)
    return made


def voice(key: str, kind: str, of: Run | None = None, step: int | None = None) -> dict[str, Any]:
    return {"key": key, "kind": kind, "run": str(of.path) if of else "", "step": step}


def three(of: Run) -> list[dict[str, Any]]:
    return [voice("a", "base", of), voice("b", "adapter", of), voice("c", "checkpoint", of, 7)]


class Desk:
    """The requests made in this process, with what was told meanwhile."""

    def __init__(self, root: Path, base: Path) -> None:
        self.speakers = Speakers()
        self.root = root
        self.project = f'schema = 1\nname = "toy"\n[model]\nbase = "{base}"\n'
        self.told: list[dict[str, Any]] = []

    def task(self, write: Callable[[dict[str, Any]], None] | None = None, **arguments: Any) -> Task:
        self.told = []
        return Task(1, arguments, write or self.told.append)

    def load(self, *voices: dict[str, Any]) -> list[dict[str, Any]]:
        place = str(self.root)
        task = self.task(voices=list(voices), project=self.project, root=place, workspace=place)
        loaded: list[dict[str, Any]] = self.speakers.load(task)["voices"]
        return loaded

    def answer(self, key: str, settings: dict[str, Any] = GREEDY, seed: int = 3, **more: Any) -> dict[str, Any]:
        task = self.task(key=key, settings=settings, seed=seed, **({"messages": ASKED} | more))
        return self.speakers.answer(task)

    def alone(self, of: Run, key: str, *settings: dict[str, Any]) -> list[chat.Answer]:
        """What a speaker says, under each of `settings`, that was loaded by itself."""
        adapter = {"a": None, "b": of.adapter, "c": of.checkpoints / "step-7"}[key]
        speaker = chat.load(of.project(), self.root, Workspace(self.root), adapter, with_template_of=of.adapter)
        return [speaker.answer(ASKED, Chat(**one), 3, lambda piece: None) for one in settings]


def names_on(desk: Desk) -> set[str]:
    """The names of the adapters that are on the one model in memory."""
    (model,) = desk.speakers._models.values()
    return {name.split(".")[-2] for name, _ in model.model.named_parameters() if "lora_" in name}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bases.make("llama", tmp_path_factory.mktemp("bases") / "llama", chat=True)


@pytest.fixture
def desk(tmp_path: Path, llama: Path) -> Desk:
    return Desk(tmp_path, llama)


@pytest.mark.parametrize("kind", ["llama", "gpt_neo", "gpt2", "qwen2", "demo"])
def test_each_voice_says_what_it_says_alone(tmp_path: Path, kind: Any) -> None:
    base = demo.BASE if kind == "demo" else tiny_bases.make(kind, tmp_path / "base")
    made = make_run(tmp_path, base)
    desk = Desk(tmp_path, base)
    desk.load(*three(made))
    said = [{key: desk.answer(key, settings) for key in "abacba"} for settings in (GREEDY, SAMPLED)]
    for key in "abc":
        for together, alone in zip(said, desk.alone(made, key, GREEDY, SAMPLED), strict=True):
            now = together[key]
            assert (now["text"], now["tokens"], now["ended"]) == (alone.text, alone.tokens, alone.ended)
    assert [len({answer["text"] for answer in together.values()}) for together in said] == [3, 3]


def test_the_base_is_loaded_once_and_let_go_of(desk: Desk, llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    whole = loading.base

    def counted(*arguments: Any, **more: Any) -> Any:
        model = whole(*arguments, **more)
        loaded.append(weakref.ref(model))
        return model

    made = make_run(desk.root, llama)
    monkeypatch.setattr(loading, "base", counted)
    desk.load(*three(made))
    desk.load(voice("a", "adapter", made), voice("b", "base"))
    assert len(loaded) == 1
    assert loaded[0]() is not None
    desk.speakers.unload(desk.task())
    gc.collect()
    assert loaded[0]() is None
    with pytest.raises(InputError, match="no voice"):
        desk.answer("a")


def test_an_adapter_nobody_asks_for_leaves_no_trace(desk: Desk, llama: Path) -> None:
    import torch

    made = make_run(desk.root, llama)
    desk.load(*three(made))
    before = {key: desk.answer(key, SAMPLED)["text"] for key in "abc"}
    model = next(iter(desk.speakers._models.values()))
    desk.load(voice("x", "checkpoint", made, 7), voice("y", "base", made))
    assert len(names_on(desk)) == 1
    assert desk.answer("x", SAMPLED)["text"] == before["c"]
    assert desk.answer("y", SAMPLED)["text"] == before["a"]
    desk.load(voice("z", "base", made))
    assert desk.answer("z", SAMPLED)["text"] == before["a"]
    fresh = loading.base(llama, torch.float32).state_dict()
    held = model.model.state_dict()
    assert list(held) == list(fresh)
    assert all(torch.equal(held[name], fresh[name]) for name in fresh)


def test_a_load_tells_what_each_voice_is(desk: Desk, llama: Path) -> None:
    made = make_run(desk.root, llama)
    base, adapter, checkpoint = desk.load(*three(made))
    assert [one["title"] for one in (base, adapter, checkpoint)] == ["base", "adapter of one", "step 7 of one"]
    assert base == base | {
        "key": "a",
        "template": "chat",
        "template_text": tiny_bases.CHAT_TEMPLATE,
        "stops": ["<|im_end|>"],
        "context": tiny_bases.CONTEXT,
        "weights": "float32",
        "device": "cpu",
        "base": str(llama),
    }
    same = ("template", "template_text", "stops", "context", "weights", "device", "base")
    assert {key: base[key] for key in same} == {key: adapter[key] for key in same} == {k: checkpoint[k] for k in same}
    assert [event["kind"] for event in desk.told] == ["phase"] * 4


def test_a_voice_of_a_run_speaks_in_the_words_that_were_trained(desk: Desk, llama: Path) -> None:
    made = make_run(desk.root, llama)
    note = made.adapter / "phi-tui.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"template": "plain"}))
    assert [one["template"] for one in desk.load(*three(made), voice("d", "base"))] == ["plain"] * 3 + ["chat"]


def test_a_checkpoint_speaks_before_its_run_has_an_adapter(desk: Desk, llama: Path) -> None:
    made = make_run(desk.root, llama, adapter=False)
    (loaded,) = desk.load(voice("a", "checkpoint", made, 7))
    assert loaded["template"] == "chat"
    assert desk.answer("a")["text"] == desk.alone(made, "c", GREEDY)[0].text


def test_an_adapter_that_its_run_replaced_is_read_anew(desk: Desk, llama: Path) -> None:
    made = make_run(desk.root, llama)
    desk.load(*three(made))
    before = desk.answer("b")["text"]
    write_adapter(made.adapter, llama, seed=9)
    assert desk.answer("b")["text"] == before
    desk.load(*three(made))
    after = desk.answer("b")["text"]
    assert after != before
    assert after == desk.alone(made, "b", GREEDY)[0].text
    assert desk.answer("c")["text"] == desk.alone(made, "c", GREEDY)[0].text


def test_a_folder_replaced_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    target = tmp_path / "adapter"

    def write(text: str) -> None:
        with atomic_folder(target) as staged:
            for name in ("one", "two"):
                (staged / name).write_text(text)

    write("old")
    read: list[str] = []

    def both() -> tuple[str, str]:
        first = (target / "one").read_text()
        if not read:
            write("new")
        read.append(first)
        return first, (target / "two").read_text()

    assert adapters.steadily(target, both) == ("new", "new")
    assert read == ["old", "new"]
    with pytest.raises(InputError, match="being replaced"):
        adapters.steadily(target, lambda: write("newer"))
    assert adapters.steadily(tmp_path / "none", both) is None


@pytest.mark.parametrize("name", [adapters.WEIGHTS, adapters.CONFIG])
def test_a_damaged_checkpoint_is_refused(desk: Desk, llama: Path, name: str) -> None:
    made = make_run(desk.root, llama)
    path = made.checkpoints / "step-7" / name
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="is damaged"):
        desk.load(voice("a", "checkpoint", made, 7))


def test_a_damaged_adapter_is_refused(desk: Desk, llama: Path) -> None:
    made = make_run(desk.root, llama)
    weights = made.adapter / adapters.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        desk.load(voice("a", "adapter", made))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (voice("a", "adapter", Run(Path("/nowhere/run"))), "no such project file"),
        (voice("a", "checkpoint"), "is not said"),
        (voice("a", "ghost"), "not 'ghost'"),
    ],
)
def test_a_voice_that_is_not_there_changes_nothing(desk: Desk, asked: dict[str, Any], said: str) -> None:
    desk.load(voice("a", "base"))
    before = desk.answer("a")["text"]
    with pytest.raises(InputError, match=said):
        desk.load(asked)
    assert desk.answer("a")["text"] == before


def test_a_run_without_what_is_asked_for_says_so(desk: Desk, llama: Path) -> None:
    made = make_run(desk.root, llama, adapter=False)
    for asked in (voice("a", "adapter", made), voice("a", "checkpoint", made, 8)):
        with pytest.raises(InputError, match="holds no adapter"):
            desk.load(asked)


@pytest.mark.parametrize("damage", ["shape", "lacking", "foreign", "no target"])
def test_an_adapter_that_does_not_fit_spoils_no_other_voice(desk: Desk, llama: Path, damage: str) -> None:
    from safetensors.torch import load_file, save_file

    made, other = make_run(desk.root, llama), make_run(desk.root, llama, name="two")
    weights, config = other.adapter / adapters.WEIGHTS, other.adapter / adapters.CONFIG
    tensors = load_file(str(weights))
    first = next(iter(tensors))
    tensor = tensors.pop(first)
    if damage == "shape":
        tensors[first] = tensor[:1].clone()
    elif damage == "foreign":
        tensors |= {first: tensor, first.replace("layers.0", "layers.77"): tensor.clone()}
    elif damage == "no target":
        tensors[first] = tensor
        config.write_text(json.dumps(json.loads(config.read_text()) | {"target_modules": ["nothing_here"]}))
    save_file(tensors, str(weights))
    desk.load(*three(made))
    before = {key: desk.answer(key)["text"] for key in "abc"}
    with pytest.raises(InputError, match="does not fit this base"):
        desk.load(*three(made), voice("d", "adapter", other))
    desk.load(*three(made))
    assert {key: desk.answer(key)["text"] for key in "abc"} == before
    assert len(names_on(desk)) == 2


def test_the_prompt_shown_is_the_prompt_given(desk: Desk, llama: Path) -> None:
    desk.load(*three(make_run(desk.root, llama)))
    shown = desk.speakers.prompt_text(desk.task(key="b", messages=ASKED, system="Be brief."))
    assert shown["text"] == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is the golden ratio?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    given = desk.answer("b", GREEDY | {"system": "Be brief."})
    assert shown["tokens"] == given["prompt_tokens"]
    assert given["text"] != desk.answer("b")["text"]


def test_pieces_are_whole_and_few_and_make_up_the_answer(desk: Desk, llama: Path) -> None:
    desk.load(voice("a", "base"))
    answer = desk.answer("a", SAMPLED | {"max_tokens": 200})
    pieces = [event["text"] for event in desk.told]
    counts = [event["tokens"] for event in desk.told]
    assert counts == sorted(counts)
    assert (counts[0] < 10, counts[-1]) == (True, 200)
    assert "".join(pieces) == answer["text"]
    assert 2 <= len(pieces) <= 2 + answer["seconds"] / PIECE_SECONDS
    assert answer["tokens"] == 200
    assert not answer["ended"]
    assert 0 < answer["first_token_seconds"] < answer["seconds"]
    behind = answer["seconds"] - answer["first_token_seconds"]
    assert answer["tokens_per_second"] == pytest.approx(199 / behind)


def test_a_cancelled_answer_stops_at_the_next_token_and_tells_what_it_said(desk: Desk) -> None:
    desk.load(voice("a", "base"))
    whole = desk.answer("a", SAMPLED | {"max_tokens": 100})["text"]
    told: list[dict[str, Any]] = []
    forwards = 0

    def write(message: dict[str, Any]) -> None:
        nonlocal forwards
        told.append(message)
        if message["kind"] == "piece":
            task.cancelled.set()
            forwards = 0

    def count(*_: Any) -> None:
        nonlocal forwards
        forwards += 1

    hook = next(iter(desk.speakers._models.values())).model.register_forward_hook(count)
    task = desk.task(write, key="a", messages=ASKED, settings=SAMPLED | {"max_tokens": 100}, seed=3)
    with pytest.raises(Cancelled):
        desk.speakers.answer(task)
    hook.remove()
    assert [event["kind"] for event in told] == ["piece", "stopped"]
    assert forwards == 1
    assert whole.startswith(told[-1]["text"])
    assert told[-1]["text"].startswith(told[0]["text"])
    assert 2 <= told[-1]["tokens"] < 20
    assert desk.answer("a", SAMPLED | {"max_tokens": 100})["text"] == whole


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"messages": [{"role": "user", "content": "word " * 2000}]}, "the model's context is 256"),
        ({"messages": []}, "nothing to answer"),
        ({"messages": [*ASKED, {"role": "assistant", "content": "Phi."}]}, "nothing to answer"),
        ({"messages": [{"role": "user", "content": "\ud83d"}]}, "surrogate"),
        ({"settings": GREEDY | {"temperature": -1.0}}, "temperature"),
        ({"settings": {"warmth": 1.0}}, "warmth"),
        ({"seed": -1}, "no seed"),
    ],
)
def test_what_cannot_be_answered_is_told(desk: Desk, more: dict[str, Any], said: str) -> None:
    desk.load(voice("a", "base"))
    with pytest.raises(InputError, match=said) as error:
        desk.answer("a", **more)
    assert error.value.fix or "settings" in more


def test_a_template_that_refuses_the_conversation_is_told(desk: Desk, llama: Path) -> None:
    made = make_run(desk.root, llama)
    (made.adapter / "chat_template.jinja").write_text("{{ raise_exception('no system role') }}")
    desk.load(voice("a", "adapter", made))
    with pytest.raises(InputError, match="no system role"):
        desk.answer("a")


class Screen:
    """A front end: what a real child process replied, request by request."""

    def __init__(self, log: Path) -> None:
        self.child = Child("phi_tui.engine.speakers", log)

    def ask(self, do: str, **arguments: Any) -> tuple[int, "queue.SimpleQueue[Reply]"]:
        replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        return self.child.ask(do, replies.put, **arguments), replies

    def told(self, do: str, **arguments: Any) -> list[Reply]:
        return rest(self.ask(do, **arguments)[1])


def rest(replies: "queue.SimpleQueue[Reply]") -> list[Reply]:
    told = [replies.get(timeout=60)]
    while not told[-1].final:
        told.append(replies.get(timeout=60))
    return told


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    screen = Screen(tmp_path_factory.mktemp("log") / "speakers.log")
    yield screen
    screen.child.close(wait=5.0)


def test_a_child_process_loads_answers_cancels_and_can_be_killed(screen: Screen, tmp_path: Path) -> None:
    made = make_run(tmp_path, demo.BASE)
    place = {"project": "", "root": str(tmp_path), "workspace": str(tmp_path)}
    *phases, loaded = screen.told("load", voices=three(made), **place)
    assert loaded.kind == "result", loaded
    assert {phase.kind for phase in phases} == {"phase"}
    assert [one["key"] for one in loaded.payload["voices"]] == ["a", "b", "c"]

    desk = Desk(tmp_path, demo.BASE)
    for key in "abc":
        *pieces, result = screen.told("answer", key=key, messages=ASKED, settings=SAMPLED, seed=3)
        (alone,) = desk.alone(made, key, SAMPLED)
        assert (result.kind, result.payload["text"]) == ("result", alone.text)
        assert "".join(piece.payload["text"] for piece in pieces) == alone.text

    long = {"key": "b", "messages": ASKED, "settings": SAMPLED | {"max_tokens": 9999, "temperature": 5.0}, "seed": 1}
    number, replies = screen.ask("answer", **long)
    assert replies.get(timeout=60).kind == "piece"
    screen.child.cancel(number)
    *_, stopped, cancelled = rest(replies)
    assert (stopped.kind, cancelled.kind) == ("stopped", "cancelled")
    assert 0 < stopped.payload["tokens"] < 300
    assert stopped.payload["text"]

    (error,) = screen.told("answer", key="q", messages=ASKED, settings=GREEDY, seed=0)
    assert (error.kind, error.payload["fix"]) == ("error", "choose a model for it again")

    _, replies = screen.ask("answer", **long)
    assert replies.get(timeout=60).kind == "piece"
    assert screen.child.pid
    os.kill(screen.child.pid, signal.SIGKILL)
    *_, killed = rest(replies)
    assert killed.kind == "error"
    assert "killed" in killed.payload["what"]

    (error,) = screen.told("answer", key="a", messages=ASKED, settings=GREEDY, seed=0)
    assert "no voice 'a' is loaded" in error.payload["what"]
