"""A push against a hub on the loopback interface: what arrives, who may see it, and what is told when it cannot be."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import projects
import pytest
from loopback_hub import LoopbackHub

TOKEN = "hf_thisismysecrettoken"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one finished run."""
    file = projects.make(tmp_path_factory.mktemp("trained"), settings="max_steps = 2\nsamples = 0")
    projects.execute(file)
    return file


@pytest.fixture
def server() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.writers[TOKEN] = "me"
        yield hub


def environment(server: LoopbackHub, home: Path, token: str = TOKEN) -> dict[str, str]:
    roots = str(Path(__file__).parents[2])
    return server.environment(home) | {"PYTHONPATH": roots} | ({"HF_TOKEN": token} if token else {})


def push(
    file: Path, server: LoopbackHub, home: Path, *flags: str, token: str = TOKEN
) -> subprocess.CompletedProcess[str]:
    return projects.command("push", file, *flags, cwd=file.parent, env=environment(server, home, token))


def pushed(server: LoopbackHub, repo: str) -> dict[str, bytes]:
    repository = server.repositories["models", repo]
    return repository.commits[repository.refs["main"]]


def test_the_adapter_arrives_whole_private_and_with_a_card_that_names_the_repository(
    trained: Path, server: LoopbackHub, tmp_path: Path
) -> None:
    done = push(trained, server, tmp_path, "--to", "me/toy", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["url"] == f"{server.endpoint}/me/toy" and told["private"] is True
    folder = next((trained.parent / "runs" / "toy").glob("2*")) / "adapter"
    files = pushed(server, "me/toy")
    assert set(files) == {path.name for path in folder.iterdir()}
    for name, data in files.items():
        assert name == "README.md" or data == (folder / name).read_bytes(), name
    card = files["README.md"].decode()
    assert 'PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("base"), "me/toy")' in card
    assert str(trained.parent) not in card
    assert server.repositories["models", "me/toy"].private
    assert told["run"] in server.repositories["models", "me/toy"].message
    assert {one.authorization for one in server.requests if "/upload/" not in one.path} == {f"Bearer {TOKEN}"}
    everything = [path for path in trained.parent.rglob("*") if path.is_file()] + [*tmp_path.rglob("*.log")]
    assert TOKEN not in done.stdout + done.stderr
    assert all(TOKEN.encode() not in path.read_bytes() for path in everything)
    again = push(trained, server, tmp_path, "--to", "me/toy", "--yes")
    assert again.returncode == 0 and again.stdout.strip() == told["url"]
    assert "is there and gets another commit" in again.stderr


def test_what_is_refused_says_why_and_pushes_nothing(trained: Path, server: LoopbackHub, tmp_path: Path) -> None:
    server.add("me/open", {"README.md": b"mine"})
    before = pushed(server, "me/open")
    cases: list[tuple[tuple[str, ...], str, int, str]] = [
        (("--to", "you/toy", "--yes"), TOKEN, 2, "may not write to you"),
        (("--to", "me/toy", "--yes"), "hf_a_stranger", 2, "refuses the token"),
        (("--to", "me/toy", "--yes"), "", 2, "hf auth login"),
        (("--to", "me/toy"), TOKEN, 2, "--yes"),
        (("--to", "toy", "--yes"), TOKEN, 2, "no Hub id"),
        (("--to", "me/open", "--yes"), TOKEN, 3, "public"),
        (("--to", "me/toy", "--yes", "--run", "20200101-000000"), TOKEN, 2, "no run"),
    ]
    for flags, token, code, said in cases:
        done = push(trained, server, tmp_path, *flags, token=token)
        assert (done.returncode, said in done.stderr) == (code, True), (flags, done.stderr)
        assert "Traceback" not in done.stderr and (not token or token not in done.stderr)
    assert pushed(server, "me/open") == before
    assert [name for _, name in server.repositories] == ["me/open"]
    server.close()
    done = push(trained, server, tmp_path, "--to", "me/toy", "--yes")
    assert done.returncode == 2 and "does not answer" in done.stderr


@pytest.mark.parametrize(("answer", "code"), [("n", 130), ("y", 0)])
def test_on_a_terminal_it_asks_first(
    trained: Path, server: LoopbackHub, tmp_path: Path, answer: str, code: int
) -> None:
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "phi_tui", "push", str(trained), "--to", "me/asked", "--public"],
        stdin=there, stdout=subprocess.PIPE, stderr=there, cwd=trained.parent, env=environment(server, tmp_path),
    )  # fmt: skip
    os.close(there)
    seen, until = b"", time.monotonic() + 120
    while b"[y/N]" not in seen:
        assert time.monotonic() < until
        seen += os.read(here, 4096)
    assert b"anyone can read it" in seen and ("models", "me/asked") not in server.repositories
    os.write(here, answer.encode() + b"\n")
    out, _ = process.communicate(timeout=120)
    os.close(here)
    assert process.returncode == code
    assert (("models", "me/asked") in server.repositories) == (answer == "y")
    if answer == "y":
        assert out.decode().strip() == f"{server.endpoint}/me/asked"
        assert not server.repositories["models", "me/asked"].private
