"""A run that the kernel killed is said to have died, with the end of its log and how to go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import projects
import pytest

from phi_tui import journal, run
from phi_tui.cli import main
from phi_tui.follow import Follow
from phi_tui.workspace import Workspace


def test_a_killed_trainer_is_said_to_have_died_within_five_seconds(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = projects.make(tmp_path, settings="max_steps = 4000\neval_every = 4000\nsamples = 0\n")
    started = subprocess.Popen(
        [sys.executable, "-m", "phi_tui", "--replay", str(file)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (runs := run.listed(Workspace(tmp_path))) or not any(
        event["kind"] == "step" for event in journal.read(runs[0].journal)
    ):
        assert time.monotonic() < deadline and started.poll() is None
        time.sleep(0.05)
    with open(runs[0].console, "ab") as log:
        log.write(b"\x1b[31mlast print\x1b[0m \x1b]52;c;aGk=\x07 of a library\n")
    follow = Follow(runs[0], lambda: None)
    while not follow.live:
        time.sleep(0.05)
    os.kill(started.pid, signal.SIGKILL)
    killed = time.monotonic()
    started.wait(10)
    while follow.state != "died" or not follow.printed:
        assert time.monotonic() - killed < 5
        time.sleep(0.05)
    follow.close()
    assert "last print" in follow.printed[-1]
    for command in (["runs"], ["attach", "toy"]):
        main([*command, "--workspace", str(tmp_path)])
        said = "".join(capfd.readouterr())
        assert time.monotonic() - killed < 8
        assert "died" in said and "last print" in said and f"--replay {file} --resume" in said.replace("\n", " ")
        assert "\x1b]52" not in said and "\x07" not in said
