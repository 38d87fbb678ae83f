"""Tokens of the environment are found nowhere under the workspace, and what is written there is its owner's alone."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import projects
import pytest

CANARIES = {"HF_TOKEN": "hf_kanarienvogelImKaefig", "WANDB_API_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c"}
LEAKS = """
import logging, os, sys, warnings
from phi_tui.engine import loading, train
load, keep = loading.base, train._Training.keep_adapter
token, key = os.environ["HF_TOKEN"], os.environ["WANDB_API_KEY"]

def leaky(*given, **more):
    print("Authorization: Bearer", token)
    print("key", key, file=sys.stderr)
    warnings.warn(f"https://user:{key}@host refuses {token}")
    logging.getLogger("transformers").warning("the token %s has expired", token)
    return load(*given, **more)

def failing(self):
    if "fail" in sys.argv:
        raise RuntimeError(f"401 for {token}")
    self.say("warning", message=f"uploading with {token}", nested=[{"key": key}])
    return keep(self)

loading.base, train._Training.keep_adapter = leaky, failing
from phi_tui.cli import main
sys.exit(main([one for one in sys.argv[1:] if one != "fail"]))
"""
"""A library that prints tokens in every way Python has, and an error that quotes one."""


def _found(folder: Path) -> list[str]:
    """Where a canary is, plain, in base64 or inside an archive."""
    words = [word for canary in CANARIES.values() for word in (canary.encode(), base64.b64encode(canary.encode())[:-4])]
    found = []
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        found += [str(path) for word in words for content in contents if word in content]
    return found


def _leaky(folder: Path, *given: str) -> subprocess.CompletedProcess[str]:
    (folder / "tmp").mkdir(exist_ok=True)
    environment = os.environ | CANARIES | {"TMPDIR": str(folder / "tmp"), "HF_HUB_OFFLINE": "1"}
    argv = [sys.executable, "-c", LEAKS, "--replay", str(folder / "toy.toml"), "--json", *given]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.parametrize("fails", [pytest.param(False, marks=pytest.mark.slow), True], ids=["to the end", "an error"])
def test_a_token_is_found_nowhere_under_the_workspace(tmp_path: Path, fails: bool) -> None:
    file = projects.make(tmp_path, settings="max_steps = 4\nsave_every = 2\nsamples = 0\n")
    done = _leaky(tmp_path, *(["fail"] if fails else []))
    assert done.returncode == (4 if fails else 0), done.stderr
    (folder,) = file.parent.glob("runs/toy/2*")
    log = (folder / "console.log").read_text()
    assert log.count("***") >= 4, "the library's prints are in the log"
    assert "***" in (folder / "journal.jsonl").read_text()
    assert _found(tmp_path) == []
    assert not list(folder.rglob("training_args.bin"))


@pytest.mark.slow
def test_a_canary_that_is_there_is_found(tmp_path: Path) -> None:
    """The trial can fail: a canary is seen plain, in base64 and in an archive."""
    token = CANARIES["HF_TOKEN"]
    (tmp_path / "plain").write_text(f"x {token} y")
    (tmp_path / "encoded").write_bytes(base64.b64encode(token.encode()))
    with zipfile.ZipFile(tmp_path / "archive", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", token * 9)
    assert {Path(place).name for place in _found(tmp_path)} == {"plain", "encoded", "archive"}


def test_everything_that_is_written_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        file = projects.make(tmp_path / "work", settings="max_steps = 4\nsave_every = 2\n")
        theirs = set(file.parent.rglob("*"))
        done = projects.command("--replay", file, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    finally:
        os.umask(before)
    made = [path for path in file.parent.rglob("*") if path not in theirs]
    assert len(made) > 30 and json.loads(done.stdout)["steps"] == 4
    wrong = [
        f"{path.relative_to(file.parent)} {path.stat().st_mode & 0o777:o}"
        for path in made
        if path.stat().st_mode & 0o777 != (0o700 if path.is_dir() else 0o600)
    ]
    assert wrong == []


def test_no_pickle_of_a_stranger_is_loaded(tmp_path: Path) -> None:
    """An adapter that comes as a pickle is refused unread."""
    import pickle

    from phi_tui.engine import loading
    from phi_tui.errors import InputError

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    for name in ("adapter_model.bin", "adapter_model.pt", "pytorch_model.bin"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "task_type": "CAUSAL_LM"}')
    with pytest.raises(InputError, match=r"adapter_model\.safetensors"):
        loading.with_adapter(object(), tmp_path)
    with pytest.raises(InputError):
        loading.base(tmp_path, None)
    assert not (tmp_path / "sprung").exists()
