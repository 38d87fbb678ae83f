"""Training does what it says: the right loss, the best adapter kept, the same bytes again, and a stop that resumes."""

import json
import math
import threading
from pathlib import Path
from typing import Any

import projects
import pytest
from safetensors.torch import load_file

from phi_tui import run
from phi_tui.engine import checkpoints
from phi_tui.engine.batching import Batching
from phi_tui.engine.checkpoints import sha256
from phi_tui.errors import Refusal, Stopped, TrainingFailed
from phi_tui.workspace import Workspace


def weights(figures: dict[str, Any]) -> str:
    return sha256(Path(figures["adapter"]) / "adapter_model.safetensors")


@pytest.mark.parametrize("kind", ["gpt_neo", "gpt_neox", "gpt2", "llama", "opt", "qwen2"])
def test_each_architecture_trains_to_the_end_and_its_adapter_gives_the_reported_perplexity(
    tmp_path: Path, kind: str
) -> None:
    file = projects.make(tmp_path, kind=kind)
    figures = projects.execute(file)
    losses = [event["loss"] for event in projects.events(figures, "step")]
    assert len(losses) == figures["steps"] > 0
    assert sum(losses[-3:]) < sum(losses[:3])
    assert figures["perplexity"] < figures["base_perplexity"]
    assert independent_perplexity(tmp_path / "base", Path(figures["adapter"]), tmp_path) == pytest.approx(
        figures["perplexity"], rel=1e-3
    )


def independent_perplexity(base: Path, adapter: Path, workspace: Path) -> float:
    """Perplexity by plain transformers and peft, one row at a time, from the data set on disk."""
    import torch
    from datasets import load_from_disk
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter).eval()
    total, count = 0.0, 0
    for row in load_from_disk(str(workspace / "datasets" / "ready" / "toy"))["validation"]:
        labels = torch.tensor([row["labels"]])
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([row["input_ids"]]), labels=labels).loss
        predicted = int((labels[:, 1:] != -100).sum())
        total += float(loss) * predicted
        count += predicted
    return math.exp(total / count)


def test_two_runs_of_one_project_give_the_same_bytes(tmp_path: Path) -> None:
    file = projects.make(tmp_path)
    first, second = projects.execute(file), projects.execute(file)
    assert first["run"] != second["run"]
    assert weights(first) == weights(second)
    assert weights(first) != weights(projects.execute(file, "seed=7"))


@pytest.mark.parametrize(
    ("overrides", "stop_at"),
    [
        ((), 3),
        ((), 7),
        ((), 9),
        (("train.batch_size=2", "train.grad_accum=2"), 5),
        (("train.eval_every=2", "train.early_stopping=50", "train.scheduler=phi_restarts"), 4),
    ],
    ids=["first epoch", "end of an epoch", "second epoch", "accumulation", "early stopping"],
)
def test_a_stopped_run_resumes_to_the_bytes_of_an_unstopped_one(
    tmp_path: Path, overrides: tuple[str, ...], stop_at: int
) -> None:
    whole = projects.execute(projects.make(tmp_path / "whole"), *overrides)
    file = projects.make(tmp_path / "stopped")
    with pytest.raises(Stopped):
        projects.execute(file, *overrides, stop_at=stop_at)
    stopped = run.listed(Workspace(file.parent), "toy")[0]
    assert stopped.state() == "stopped"
    assert checkpoints.listed(stopped.checkpoints)[0][0] == stop_at
    resumed = projects.execute(file, *overrides, resume=True)
    assert resumed["run"] == stopped.id
    assert weights(resumed) == weights(whole)
    assert resumed["perplexity"] == whole["perplexity"]
    assert [e["loss"] for e in projects.events(resumed, "step")] == [e["loss"] for e in projects.events(whole, "step")]


def test_a_stop_during_an_evaluation_owes_it_and_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    whole = projects.execute(projects.make(tmp_path / "whole"))
    file = projects.make(tmp_path / "stopped")
    loaded_steps = whole["steps"]
    state = {"asked": False}

    def say(kind: str, /, **payload: Any) -> None:
        if kind == "step" and payload["step"] == loaded_steps // 2:
            state["asked"] = True  # the step before the evaluation at the end of the first epoch

    from phi_tui import project
    from phi_tui.engine import pipeline

    place = Workspace(file.parent)
    with pytest.raises(Stopped):
        pipeline.execute(project.load(file), file.parent, place, say, stopping=lambda: state["asked"])
    stopped = run.listed(place, "toy")[0]
    newest, _ = checkpoints.newest_whole(stopped.checkpoints)
    assert newest is not None
    assert (newest / "evaluation-owed").is_file()
    resumed = projects.execute(file, resume=True)
    assert weights(resumed) == weights(whole)
    assert len(projects.events(resumed, "eval")) == len(projects.events(whole, "eval"))


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    whole = projects.execute(projects.make(tmp_path / "whole", settings="save_every = 2"))
    file = projects.make(tmp_path / "stopped", settings="save_every = 2")
    with pytest.raises(Stopped):
        projects.execute(file, stop_at=5)
    stopped = run.listed(Workspace(file.parent), "toy")[0]
    newest = checkpoints.listed(stopped.checkpoints)[0][1]
    (newest / "optimizer.pt").write_bytes((newest / "optimizer.pt").read_bytes()[:-10])
    resumed = projects.execute(file, resume=True)
    assert any("optimizer.pt" in event["message"] for event in projects.events(resumed, "warning"))
    assert weights(resumed) == weights(whole)


def test_resuming_under_another_setting_is_refused_by_name(tmp_path: Path) -> None:
    file = projects.make(tmp_path)
    with pytest.raises(Stopped):
        projects.execute(file, stop_at=2)
    with pytest.raises(Refusal, match=r"train\.learning_rate"):
        projects.execute(file, "train.learning_rate=1e-4", resume=True)
    (tmp_path / "train.jsonl").write_text(
        json.dumps(projects.rows(1)[0]) + "\n" + (tmp_path / "train.jsonl").read_text()
    )
    with pytest.raises(Refusal, match="data"):
        projects.execute(file, resume=True)


def test_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    file = projects.make(tmp_path)
    projects.execute(file)
    with pytest.raises(Refusal, match="is done"):
        projects.execute(file, resume=True)


def test_the_loss_of_a_step_is_the_mean_over_its_trained_tokens_whatever_the_batching(tmp_path: Path) -> None:
    settings = "max_steps = 3\nwarmup = 0.0"
    one = projects.execute(projects.make(tmp_path / "a", settings=settings), "train.batch_size=8", "lora.dropout=0.0")
    two = projects.execute(
        projects.make(tmp_path / "b", settings=settings), "train.batch_size=2", "train.grad_accum=4", "lora.dropout=0.0"
    )
    for a, b in zip(projects.events(one, "step"), projects.events(two, "step"), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-5)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-4)


@pytest.mark.parametrize("injected", [False, True], ids=["it diverges", "one bad batch in packs"])
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_adapter(
    tmp_path: Path, injected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = projects.make(tmp_path, settings="eval_every = 2\nmax_grad_norm = 0.0")
    settings = ["train.scheduler=constant", "train.epochs=400", "train.warmup=0"]
    if injected:
        whole, calls = Batching.loss, iter(range(1_000))

        def loss(self: Batching, model: Any, batch: Any) -> Any:
            found = whole(self, model, batch)
            return found * math.nan if model.training and next(calls) == 5 else found

        monkeypatch.setattr(Batching, "loss", loss)
    else:
        settings += ["train.learning_rate=10.0", "train.packing=false"]
    with pytest.raises(TrainingFailed, match="not finite"):
        projects.execute(file, *settings)
    failed = run.listed(Workspace(tmp_path), "toy")[0]
    assert failed.state() == "failed"
    kept = load_file(str(failed.adapter / "adapter_model.safetensors"))
    assert all(bool(tensor.isfinite().all()) for tensor in kept.values())


def test_early_stopping_stops_and_the_best_adapter_is_the_one_kept(tmp_path: Path) -> None:
    file = projects.make(tmp_path, settings="eval_every = 1\nearly_stopping = 2")
    figures = projects.execute(file, "train.learning_rate=0.5", "train.epochs=50", "train.warmup=0")
    evaluations = {e["step"]: e["eval_loss"] for e in projects.events(figures, "eval") if not e.get("base")}
    best = min(evaluations, key=lambda step: evaluations[step])
    assert figures["best_step"] == best
    assert figures["steps"] == best + 2 < 50
    assert figures["eval_loss"] == pytest.approx(evaluations[best], rel=1e-5)


def test_without_validation_rows_the_last_adapter_is_kept_and_no_perplexity_is_claimed(tmp_path: Path) -> None:
    figures = projects.execute(projects.make(tmp_path), "data.split=none")
    assert figures["perplexity"] is None
    assert (Path(figures["adapter"]) / "adapter_model.safetensors").is_file()


def test_every_step_has_its_event_and_the_run_directory_is_complete(tmp_path: Path) -> None:
    figures = projects.execute(projects.make(tmp_path))
    steps = projects.events(figures, "step")
    assert [event["step"] for event in steps] == list(range(1, figures["steps"] + 1))
    assert {"loss", "lr", "grad_norm", "tokens", "tokens_per_second", "epoch"} <= steps[0].keys()
    folder = Path(figures["adapter"]).parent
    for name in ("project.toml", "lock.toml", "journal.jsonl", "adapter/adapter_config.json", "adapter/README.md",
                 "adapter/tokenizer.json", "adapter/chat_template.jinja", "adapter/phi-tui.json"):  # fmt: skip
        assert (folder / name).is_file(), name
    assert projects.events(figures)[-1]["kind"] == "done"
    assert not list(folder.rglob("training_args.bin"))
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "base"


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    figures = projects.execute(projects.make(tmp_path, settings="save_every = 2\nkeep_checkpoints = 2"))
    folder = Path(figures["adapter"]).parent / "checkpoints"
    assert [step for step, _ in checkpoints.listed(folder)] == [14, 12]


def test_a_request_to_save_writes_a_checkpoint_and_goes_on(tmp_path: Path) -> None:
    file = projects.make(tmp_path)
    started = threading.Event()

    def on_run(made: run.Run, job: Any) -> None:
        made.ask("save")
        started.set()

    figures = projects.execute(file, "data.split=none", on_run=on_run)
    assert started.is_set()
    assert 1 in [event["step"] for event in projects.events(figures, "checkpoint")]


def test_a_lock_names_each_drift(tmp_path: Path) -> None:
    import tomllib

    file = projects.make(tmp_path)
    figures = projects.execute(file)
    lock = tomllib.loads((Path(figures["adapter"]).parent / "lock.toml").read_text())
    assert projects.execute(file, locked=lock)["perplexity"] == figures["perplexity"]
    lock["packages"]["torch"] = "1.0"
    lock["data"]["rows_sha256"] = "0"
    with pytest.raises(Refusal) as caught:
        projects.execute(file, locked=lock)
    assert "packages.torch: locked 1.0" in str(caught.value)
    assert "data.rows_sha256" in str(caught.value)


def test_gradient_checkpointing_changes_nothing_but_memory(tmp_path: Path) -> None:
    file = projects.make(tmp_path, settings="max_steps = 3\npacking = false")
    plain = projects.execute(file, "train.gradient_checkpointing=false")
    saving = projects.execute(file, "train.gradient_checkpointing=true")
    for a, b in zip(projects.events(plain, "step"), projects.events(saving, "step"), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-5)
