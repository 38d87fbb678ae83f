"""Child processes: answers in order, cancelled requests, deaths that are told, no orphan."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phi_tui.child import Child, Reply

_SERVER = """
import os, time
from phi_tui.engine.service import serve
from phi_tui.errors import InputError

def echo(task):
    print("noise of a library")
    os.write(1, b"noise of C code")
    task.tell("phase", name="echo")
    return {"text": task.arguments["text"], "not_finite": float("nan")}

def slow(task):
    for number in range(2000):
        task.tell("tick", number=number)
        time.sleep(0.01)
    return {}

def wrong(task):
    raise InputError("it is wrong", where="here", fix="do so")

def bug(task):
    raise KeyError("oh")

serve({"echo": echo, "slow": slow, "wrong": wrong, "bug": bug})
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    (tmp_path / "a_server.py").write_text(_SERVER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(__file__).parent.parent}")
    return Child("a_server", tmp_path / "log")


def _final(replies: queue.Queue[Reply]) -> Reply:
    while not (reply := replies.get(timeout=30)).final:
        pass
    return reply


def test_events_come_before_the_result_and_prints_go_to_the_log(child: Child, tmp_path: Path) -> None:
    replies: queue.Queue[Reply] = queue.Queue()
    child.ask("echo", replies.put, text="grüß\x1b[31m")
    assert replies.get(timeout=30).kind == "phase"
    result = replies.get(timeout=30)
    assert result.kind == "result" and result.payload == {"text": "grüß\x1b[31m", "not_finite": None}
    assert "noise of a library" in (tmp_path / "log").read_text() and "C code" in (tmp_path / "log").read_text()
    child.close(wait=5)


def test_errors_are_told_with_what_to_do_and_a_bug_ends_no_process(child: Child) -> None:
    replies: queue.Queue[Reply] = queue.Queue()
    child.ask("wrong", replies.put)
    assert _final(replies).payload == {"what": "it is wrong", "where": "here", "fix": "do so"}
    child.ask("bug", replies.put)
    assert "KeyError" in _final(replies).payload["what"]
    child.ask("no such thing", replies.put)
    assert _final(replies).kind == "error"
    child.ask("echo", replies.put, text="still here")
    assert _final(replies).payload["text"] == "still here"
    child.close(wait=5)


def test_a_request_is_cancelled_while_it_runs_and_while_it_waits(child: Child) -> None:
    running: queue.Queue[Reply] = queue.Queue()
    waiting: queue.Queue[Reply] = queue.Queue()
    first = child.ask("slow", running.put)
    second = child.ask("slow", waiting.put)
    assert running.get(timeout=30).kind == "tick"
    child.cancel(second)
    child.cancel(first)
    assert _final(running).kind == "cancelled" and _final(waiting).kind == "cancelled"
    child.close(wait=5)


def test_a_death_is_told_and_the_next_request_starts_anew(child: Child) -> None:
    replies: queue.Queue[Reply] = queue.Queue()
    child.ask("slow", replies.put)
    assert replies.get(timeout=30).kind == "tick"
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    assert "memory" in _final(replies).payload["what"]
    child.ask("echo", replies.put, text="again")
    assert _final(replies).payload["text"] == "again"
    child.close(wait=5)


def test_a_child_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "a_server.py").write_text(_SERVER)
    (tmp_path / "starter.py").write_text(
        "import time\nfrom phi_tui.child import Child\nchild = Child('a_server')\n"
        "child.ask('slow', lambda reply: print(child.pid, flush=True))\ntime.sleep(600)\n"
    )
    path = f"{tmp_path}{os.pathsep}{Path(__file__).parent.parent}"
    starter = subprocess.Popen(
        [sys.executable, str(tmp_path / "starter.py")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert starter.stdout
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait(10)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"
