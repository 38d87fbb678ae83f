"""What a tracker holds is what the journal says: the same loss at the same steps, and no secret."""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import projects
import pytest

from phi_tui import project, run
from phi_tui.engine import trackers
from phi_tui.engine.checkpoints import sha256
from phi_tui.errors import Stopped
from phi_tui.workspace import Workspace

SHORT = "max_steps = 6\nsave_every = 2\neval_every = 3\nsamples = 0\nwarmup = 1.0"

Series = dict[str, dict[int, float]]


def installed(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


def journaled(one: run.Run | dict[str, Any]) -> Series:
    """The journal's numbers under the trackers' names; what a resume did again counts as it was last."""
    found: Series = {}
    for event in projects.events(one):
        if event["kind"] in ("step", "eval"):
            for name, value in trackers.metrics(event["kind"], event).items():
                found.setdefault(name, {})[event["step"]] = value
    return found


def newest(folder: Path) -> run.Run:
    return run.listed(Workspace(folder), "toy")[0]


def stopped_and_resumed(file: Path, *overrides: str) -> run.Run:
    with pytest.raises(Stopped):
        projects.execute(file, *overrides, stop_at=4)
    projects.execute(file, *overrides, resume=True)
    return newest(file.parent)


def tensorboard(one: run.Run) -> Series:
    """What TensorBoard's own reader finds."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(one.path / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return {
        name: {event.step: event.value for event in read.Scalars(name)}
        for name in read.Tags()["scalars"]
        if "/" in name
    }


@installed("tensorboard")
def test_tensorboard_holds_the_journals_numbers_at_its_steps_after_a_resume_too(tmp_path: Path) -> None:
    file = projects.make(tmp_path, settings=SHORT)
    one = stopped_and_resumed(file, 'train.report_to=["tensorboard"]')
    expected = journaled(one)
    assert list(expected["train/loss"]) == [1, 2, 3, 4, 5, 6] and list(expected["eval/loss"]) == [3, 6]
    found = tensorboard(one)
    assert set(expected) <= set(found)
    for name, values in expected.items():
        single = {step: struct.unpack("f", struct.pack("f", value))[0] for step, value in values.items()}
        assert found[name] == single, name  # the file holds single precision
    details = [event["detail"] for event in projects.events(one, "phase") if event["name"] == "tracker"]
    assert details == ["tensorboard: tensorboard/ in the run", "tensorboard: goes on"]


@installed("tensorboard")
def test_tensorboard_changes_nothing_of_what_is_trained_and_gets_the_settings(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    plain = projects.execute(projects.make(tmp_path / "plain", settings=SHORT))
    told = projects.execute(projects.make(tmp_path / "told", settings=SHORT + '\nreport_to = ["tensorboard"]'))
    weights = [sha256(Path(one["adapter"]) / "adapter_model.safetensors") for one in (plain, told)]
    assert weights[0] == weights[1]
    one = newest(tmp_path / "told")
    read = EventAccumulator(str(one.path / "tensorboard")).Reload()
    content = read.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    table = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert table["lora.rank"].number_value == 8 and table["train.scheduler"].string_value == "cosine"
    assert set(table) == set(trackers.config(one.project()))


@installed("tensorboard")
def test_a_step_done_again_after_a_kill_is_told_once(tmp_path: Path) -> None:
    file = projects.make(tmp_path, settings=SHORT + '\nreport_to = ["tensorboard"]')

    class Killed(BaseException):
        pass

    def say(kind: str, /, **payload: Any) -> None:
        if kind == "step" and payload["step"] == 4:
            raise Killed

    from phi_tui.engine import pipeline

    with pytest.raises(Killed):
        pipeline.execute(project.load(file), tmp_path, Workspace(tmp_path), say)
    projects.execute(file, resume=True)
    one = newest(tmp_path)
    assert [event["step"] for event in projects.events(one, "step")] == [1, 2, 3, 4, 4, 5, 6] or [
        event["step"] for event in projects.events(one, "step")
    ] == [1, 2, 3, 4, 3, 4, 5, 6]
    assert list(tensorboard(one)["train/loss"]) == [1, 2, 3, 4, 5, 6]


def test_a_tracker_that_fails_is_told_about_once_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def log(self, step: int, values: dict[str, float]) -> None:
            raise OSError(f"no route to host at step {step}, key hf_abcdefghijklmnop")

        def close(self, failed: bool) -> None:
            raise AssertionError("it was given up already")

    def refuses(*given: object) -> Any:
        raise RuntimeError("no disk")

    monkeypatch.setitem(trackers._OPEN, "tensorboard", lambda *given: (Broken(), "here"))
    monkeypatch.setitem(trackers._OPEN, "wandb", refuses)
    monkeypatch.setattr("phi_tui.engine.preflight._environment", lambda *given: [])
    figures = projects.execute(projects.make(tmp_path, settings=SHORT + '\nreport_to = ["tensorboard", "wandb"]'))
    warned = [event["message"] for event in projects.events(figures, "warning") if "report_to" in event["message"]]
    assert len(warned) == 2
    assert "wandb cannot be used" in warned[0] and "no disk" in warned[0]
    assert "tensorboard fails" in warned[1] and "hf_abc" not in warned[1]
    assert figures["steps"] == 6


def test_what_is_no_number_and_what_is_no_metric_is_not_told() -> None:
    assert trackers.metrics("step", {"step": 1, "loss": float("nan"), "lr": 0.5}) == {"train/learning_rate": 0.5}
    assert trackers.metrics("eval", {"step": 0, "base": True, "eval_loss": 2.0}) == {"base/loss": 2.0}
    assert trackers.metrics("sample", {"step": 1, "text": "loss"}) == {}


def test_the_config_is_every_setting_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-secret-of-mine")
    made = project.parse(
        'schema = 1\nname = "toy"\n[chat]\nsystem = "say a-secret-of-mine"\n'
        '[[data.sources]]\npath = "https://me:password@host/hf_abcdefghijklm.jsonl"'
    )
    found = trackers.config(made)
    assert set(found) == set(project.keys())
    assert found["lora.rank"] == 8 and found["train.evaluate"] is True
    assert json.loads(str(found["data.sources"]))[0]["path"] == "https://***@host/***.jsonl"
    assert found["chat.system"] == "say ***"


SCRIPT = """
import sys
from pathlib import Path
import projects
from phi_tui.errors import Stopped
file = Path(sys.argv[1])
try:
    projects.execute(file, stop_at=4)
except Stopped:
    pass
projects.execute(file, resume=True)
"""


def in_a_process(tmp_path: Path, tracker: str, **variables: str) -> run.Run:
    """Train, stop and resume in a process whose environment has no network in it and a secret."""
    file = projects.make(tmp_path, settings=SHORT + f'\nreport_to = ["{tracker}"]')
    roots = [str(Path(__file__).parents[2]), str(Path(projects.__file__).parent)]
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("WANDB", "TRACKIO", "HF_"))}
    environment = kept | {
        "PYTHONPATH": os.pathsep.join(roots),
        "HF_TOKEN": "hf_secretsecretsecret",
        "HF_HUB_OFFLINE": "1",
        "NETRC": str(tmp_path / "none"),
        **variables,
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return newest(tmp_path)


@installed("wandb")
def test_wandb_offline_holds_the_journals_numbers_at_its_steps(tmp_path: Path) -> None:
    one = in_a_process(tmp_path, "wandb")
    files = sorted((one.path / "wandb").glob("offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime)
    assert len(files) == 2  # the resume is a second part with the same id
    found: Series = {}
    names, configs = set(), []
    for path in files:
        assert b"hf_secret" not in path.read_bytes()
        for record in wandb_records(path):
            if record.WhichOneof("record_type") == "run":
                names.add((record.run.project, record.run.display_name, record.run.run_id))
                configs.append({item.key: json.loads(item.value_json) for item in record.run.config.update})
            elif record.WhichOneof("record_type") == "history":
                for item in record.history.item:
                    name = item.key or "/".join(item.nested_key)
                    if "/" in name:
                        found.setdefault(name, {})[record.history.step.num] = json.loads(item.value_json)
    assert names == {("toy", one.id, f"toy-{one.id}")}
    expected = trackers.config(one.project())
    assert all(configs[0][key] == value for key, value in expected.items())
    assert found == journaled(one)


def wandb_records(path: Path) -> list[Any]:
    """The records of an offline run: W&B's own message type in the framing of a LevelDB log."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, parts, records = path.read_bytes(), 7, b"", []  # seven bytes of W&B's own come first
    while place + 7 <= len(data):
        left = 32_768 - place % 32_768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            records.append(Record.FromString(parts))
            parts = b""
    return records


@installed("trackio")
def test_trackio_holds_the_journals_numbers_at_its_steps(tmp_path: Path) -> None:
    one = in_a_process(tmp_path, "trackio", TRACKIO_DIR=str(tmp_path / "trackio"))
    script = (
        "import json, sys, trackio\n"
        "run, = trackio.Api().runs('toy')\n"
        "from trackio.sqlite_storage import SQLiteStorage\n"
        "print(json.dumps([run.name, SQLiteStorage.get_logs('toy', run.name), run.config]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    name, logs, config = json.loads(done.stdout.splitlines()[-1])
    found: Series = {}
    for entry in logs:
        for key, value in entry.items():
            if "/" in key:
                found.setdefault(key, {})[entry["step"]] = value
    assert name == one.id
    assert found == journaled(one)
    assert trackers.config(one.project()).items() <= config.items()
    assert all(b"hf_secret" not in path.read_bytes() for path in (tmp_path / "trackio").rglob("*") if path.is_file())
