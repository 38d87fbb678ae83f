"""The command line as a person and a script meet it: processes, pipes, signals, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import projects
import pytest

from phi_tui import journal, project, run
from phi_tui.cli import main
from phi_tui.engine.checkpoints import sha256
from phi_tui.workspace import Workspace

FIGURES = {
    "run", "adapter", "steps", "train_loss", "eval_loss", "perplexity", "base_perplexity", "tokens_per_second",
    "peak_memory_bytes", "seconds",
}  # fmt: skip


def test_a_replay_in_a_pipe_prints_one_json_object_and_nothing_else_on_standard_output(tmp_path: Path) -> None:
    file = projects.make(tmp_path)
    done = projects.command("--replay", file.name, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    figures = json.loads(done.stdout)
    assert figures.keys() >= FIGURES
    assert figures["perplexity"] < figures["base_perplexity"]
    assert "\x1b" not in done.stderr
    assert f"step       {figures['steps']}/{figures['steps']}" in done.stderr
    log = Path(figures["adapter"]).parent / "console.log"
    assert log.exists()
    again = projects.command("--replay", file.name, "--json", cwd=tmp_path)
    assert "unchanged, skipped" in again.stderr
    assert sha256(Path(json.loads(again.stdout)["adapter"]) / "adapter_model.safetensors") == sha256(
        Path(figures["adapter"]) / "adapter_model.safetensors"
    )


def test_a_replay_needs_no_textual(tmp_path: Path) -> None:
    file = projects.make(tmp_path, settings="max_steps = 2")
    code = (
        "import sys; sys.modules['textual'] = None\nfrom phi_tui.cli import main\n"
        f"sys.exit(main(['--replay', {str(file)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_signal_finishes_the_step_saves_exits_130_and_a_resume_gives_the_unstopped_bytes(
    tmp_path: Path, number: signal.Signals
) -> None:
    whole = projects.execute(projects.make(tmp_path / "whole"), "train.epochs=12")
    file = projects.make(tmp_path / "stopped")
    started = subprocess.Popen(
        [sys.executable, "-m", "phi_tui", "--replay", str(file), "--set", "train.epochs=12", "--json"],
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the tests may run under nohup themselves
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    place = Workspace(file.parent)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = run.listed(place, "toy")
        if runs and any(e["kind"] == "step" and e["step"] >= 3 for e in journal.read(runs[0].journal)):
            break
        time.sleep(0.02)
    started.send_signal(number)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 130, err
    assert "--resume" in json.loads(out)["fix"]
    assert run.listed(place, "toy")[0].state() == "stopped"
    done = projects.command("--replay", file, "--set", "train.epochs=12", "--resume", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    adapter = Path(json.loads(done.stdout)["adapter"]) / "adapter_model.safetensors"
    assert sha256(adapter) == sha256(Path(whole["adapter"]) / "adapter_model.safetensors")


def test_a_dry_run_says_what_would_happen_and_trains_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = projects.make(tmp_path, settings="warmup = 0.0618")
    assert main(["--replay", str(file), "--dry-run", "--json"]) == 0
    out, err = capfd.readouterr()
    plan = json.loads(out)
    assert plan["train_rows"] == 25
    assert plan["validation_rows"] == 15
    assert plan["steps"] == 14
    assert plan["trainable_parameters"] > 0
    assert plan["estimated_memory_bytes"] > 0
    for text in ("0.0618 = 0.1/phi", "rank 8, a Fibonacci number", "split 1/phi"):
        assert text in err
    assert not list(tmp_path.glob("runs/toy/2*"))


def test_the_trainable_parameters_of_a_dry_run_are_those_that_peft_trains(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = projects.make(tmp_path, kind="gpt2")
    assert main(["--replay", str(file), "--dry-run", "--json"]) == 0
    planned = json.loads(capfd.readouterr().out)["trainable_parameters"]
    from safetensors.torch import load_file

    figures = projects.execute(file)
    trained = load_file(str(Path(figures["adapter"]) / "adapter_model.safetensors"))
    assert sum(tensor.numel() for tensor in trained.values()) == planned


def test_stages_run_alone_and_eval_gives_what_training_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = projects.make(tmp_path)
    assert main(["prepare", str(file), "--json"]) == 0
    assert (tmp_path / "datasets/raw/toy/train.jsonl").is_file()
    assert (tmp_path / "datasets/ready/toy/dataset_dict.json").is_file()
    capfd.readouterr()
    assert main(["train", str(file), "--json"]) == 0
    trained = json.loads(capfd.readouterr().out)
    assert main(["eval", str(file), "--json"]) == 0
    measured = json.loads(capfd.readouterr().out)
    assert measured["perplexity"] == pytest.approx(trained["perplexity"], rel=1e-5)
    assert measured["base_perplexity"] == pytest.approx(trained["base_perplexity"], rel=1e-5)


def test_runs_are_listed_attached_to_and_not_stopped_once_done(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    figures = projects.execute(projects.make(tmp_path))
    where = ["--workspace", str(tmp_path)]
    assert main(["runs", "--json", *where]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert [(row["run"], row["state"]) for row in rows] == [(figures["run"], "done")]
    assert rows[0]["figures"]["perplexity"] == figures["perplexity"]
    assert main(["attach", "toy", *where]) == 0
    assert "perplexity" in capfd.readouterr().err
    assert main(["stop", "toy", *where]) == 2
    assert "not live" in capfd.readouterr().err


def test_a_live_run_is_stopped_from_another_terminal(tmp_path: Path) -> None:
    file = projects.make(tmp_path)
    started = subprocess.Popen(
        [sys.executable, "-m", "phi_tui", "--replay", str(file), "--set", "train.epochs=500"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    place = Workspace(tmp_path)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = run.listed(place, "toy")
        if runs and any(event["kind"] == "step" for event in journal.read(runs[0].journal)):
            break
        time.sleep(0.02)
    second = projects.command("--replay", file, cwd=tmp_path)
    assert second.returncode == 3
    assert str(started.pid) in second.stderr
    stopped = projects.command("stop", "toy", "--workspace", tmp_path, cwd=tmp_path)
    assert stopped.returncode == 0, stopped.stderr
    assert started.wait(timeout=60) == 130
    assert run.listed(place, "toy")[0].state() == "stopped"


def test_the_wizard_does_what_its_flags_say(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    projects.make(tmp_path)
    (tmp_path / "toy.toml").unlink()
    args = ["wizard", "--auto", "--base", str(tmp_path / "base"), "--project", "toy_phi"]
    args += [
        "--workspace",
        str(tmp_path),
        "--dataset",
        str(tmp_path / "train.jsonl"),
        "--tokenize",
        "--train",
        "--eval",
    ]
    args += ["--epochs", "1", "--rank", "8", "--warmup", "0.0618", "--lr", "1e-3", "--alpha", "32", "--dropout", "0.1"]
    args += ["--per-device-batch", "2", "--grad-accum", "2", "--precision", "fp32", "--json"]
    assert main(args) == 0
    figures = json.loads(capfd.readouterr().out)
    written = project.load(tmp_path / "toy_phi.toml")
    assert (written.train.epochs, written.train.learning_rate, written.train.warmup) == (1.0, 1e-3, 0.0618)
    assert (written.lora.rank, written.lora.alpha, written.lora.dropout) == (8, 32, 0.1)
    assert (written.train.batch_size, written.train.grad_accum, written.train.precision) == (2, 2, "fp32")
    assert written.model.base == "base"
    assert written.data.sources[0].path == "train.jsonl"
    for folder in ("datasets/raw/toy_phi", "datasets/ready/toy_phi", f"runs/toy_phi/{figures['run']}"):
        assert (tmp_path / folder).is_dir()
    assert figures["perplexity"] is not None


def test_the_wizard_mixes_two_sources_by_phi(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    projects.make(tmp_path)
    projects.write_jsonl(tmp_path / "other.jsonl", projects.rows(100, start=1000))
    args = ["wizard", "--auto", "--base", str(tmp_path / "base"), "--project", "mix_phi", "--workspace", str(tmp_path),
            "--dataset", str(tmp_path / "other.jsonl"), "--dataset", str(tmp_path / "train.jsonl"), "--phi-mix",
            "--tokenize", "--no-train"]  # fmt: skip
    assert main(args) == 0
    report = json.loads((tmp_path / "datasets/raw/mix_phi/report.json").read_text())
    assert [round(entry["weight"], 3) for entry in report["mix"]] == [0.618, 0.382]
    assert report["mix_stopped"]
    used = [entry["used"] for entry in report["mix"]]
    assert sum(used) == report["train_rows"]
    assert 0.4 < used[0] / sum(used) < 0.85
    assert "weight 0.618" in capfd.readouterr().err
    assert not list(tmp_path.glob("runs/mix_phi/2*"))


def test_the_wizard_keeps_a_projects_comments_and_other_settings(tmp_path: Path) -> None:
    file = projects.make(tmp_path)
    file.write_text("# by hand\n" + file.read_text())
    assert main(["wizard", "--auto", "--project", "toy", "--workspace", str(tmp_path), "--rank", "21",
                 "--no-download-tokenizer"]) == 0  # fmt: skip
    assert file.read_text().startswith("# by hand\n")
    assert project.load(file).lora.rank == 21
    assert project.load(file).train.learning_rate == 5e-3


def test_the_doctor_names_file_and_line_and_exits_3(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    projects.write_jsonl(tmp_path / "rows.jsonl", projects.rows(5))
    assert main(["doctor", str(tmp_path / "rows.jsonl")]) == 0
    with open(tmp_path / "rows.jsonl", "a") as file:
        file.write('{"instruction": 5}\n')
    capfd.readouterr()
    assert main(["doctor", str(tmp_path / "rows.jsonl")]) == 3
    assert "rows.jsonl:6" in capfd.readouterr().out


def test_the_machine_has_a_doctor_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--workspace", str(tmp_path)]) == 0
    out = capfd.readouterr().out
    for name in ("device", "torch", "transformers", "disk"):
        assert name in out


@pytest.mark.slow
def test_a_chat_answers_one_prompt_or_every_line_of_a_pipe(tmp_path: Path) -> None:
    file = projects.make(tmp_path, settings="max_steps = 2")
    projects.execute(file)
    one = projects.command("chat", file, "--prompt", "Say red.", "--max-tokens", "5", cwd=tmp_path)
    assert one.returncode == 0, one.stderr
    assert len(one.stdout.splitlines()) >= 1
    piped = subprocess.run(
        [sys.executable, "-m", "phi_tui", "chat", str(file), "--base", "--max-tokens", "3"],
        input="Say red.\nSay blue.\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert piped.returncode == 0, piped.stderr


def test_the_frozen_project_has_every_default_and_the_lock_names_what_it_ran_on(tmp_path: Path) -> None:
    folder = Path(projects.execute(projects.make(tmp_path))["adapter"]).parent
    frozen = tomllib.loads((folder / "project.toml").read_text())
    assert frozen["train"]["scheduler"] == "cosine"
    assert Path(frozen["data"]["sources"][0]["path"]).is_absolute()
    lock = tomllib.loads((folder / "lock.toml").read_text())
    assert {"torch", "transformers", "peft", "phi-tui"} <= lock["packages"].keys()
    for table, key in (
        ("base", "weights_sha256"),
        ("data", "rows_sha256"),
        ("template", "sha256"),
        ("device", "precision"),
    ):
        assert lock[table][key]
    assert os.stat(folder / "lock.toml").st_mode & 0o777 == 0o600


def test_on_a_terminal_what_libraries_print_goes_to_the_log_and_not_to_the_screen(tmp_path: Path) -> None:
    import pty

    file = projects.make(tmp_path, settings="max_steps = 3")
    ours, theirs = pty.openpty()
    started = subprocess.Popen(
        [sys.executable, "-m", "phi_tui", "--replay", str(file)], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65_536):
            seen += chunk
    except OSError:  # the terminal is gone once the process has ended
        pass
    os.close(ours)
    assert started.wait(timeout=60) == 0
    log = run.listed(Workspace(tmp_path), "toy")[0].console.read_text()
    assert "Loading weights" in log
    assert b"Loading weights" not in seen
    assert b"Warning" not in seen
    assert b"perplexity" in seen
