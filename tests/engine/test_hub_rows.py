"""Hub data sets, against a hub on the loopback interface: what streams, what is told, what a project makes of them.

The library reads the Hub's address when it is imported, so each test asks in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_bases
from loopback_hub import LoopbackHub

from phi_tui import phi

READ = """
import json, sys
from phi_tui.engine.hub_rows import read_hub
from phi_tui.errors import InputError
from phi_tui.schema import Source
for text in sys.argv[1:]:
    try:
        items = list(read_hub(Source(**json.loads(text))))
        print(json.dumps([[item.file, item.line, item.fields] for item in items]))
    except InputError as error:
        print(json.dumps([error.what, error.where, error.fix]))
"""


PROJECT = """
schema = 1
name = "toy"
[model]
base = "org/tiny"
revision = "v1"
[[data.sources]]
hub = "org/rows"
revision = "v1"
"""

PREPARE = """
import json
from pathlib import Path
from phi_tui import project
from phi_tui.engine import bases, raw
root = Path.cwd()
made = project.load(root / "toy.toml")
base = bases.resolve(made.model, root, root / "models")
fresh = raw.fresh(made, root, root / "rows")
if not fresh:
    raw.build(made, root, root / "rows")
print(json.dumps([base.kind, base.revision, str(base.folder), fresh]))
"""


def python(script: str, tmp_path: Path, environment: dict[str, str], *arguments: str) -> list[Any]:
    """Run `script` in a process of its own and return the JSON on each line that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def read(tmp_path: Path, environment: dict[str, str], *asked: dict[str, str]) -> list[Any]:
    return python(READ, tmp_path, environment, *map(json.dumps, asked))


def test_a_hub_data_set_streams_and_what_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "some" / "folder").mkdir(parents=True)
    with LoopbackHub() as server:
        server.add("org/rows", {"train.jsonl": b'{"text": "x"}\n{"text": "y"}\n'}, kind="datasets")
        good, split, missing, folder, name = read(
            tmp_path,
            server.environment(tmp_path / "home"),
            {"hub": "org/rows"},
            {"hub": "org/rows", "hub_split": "dev"},
            {"hub": "org/nothing"},
            {"hub": "some/folder"},
            {"hub": "json"},
        )
    assert good == [["hub:org/rows[train]", 1, {"text": "x"}], ["hub:org/rows[train]", 2, {"text": "y"}]]
    assert 'no split "dev"' in split[0]
    assert "train" in split[2]
    assert "not on the Hub" in missing[0]
    assert missing[1] == "hub:org/nothing[train]"
    assert "local folder" in folder[0]
    assert "no Hub id" in name[0]


def test_an_unreachable_hub_says_how_to_go_on_without_it(tmp_path: Path) -> None:
    environment = dict(os.environ) | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    ((what, where, fix),) = read(tmp_path, environment, {"hub": "org/rows"})
    assert "cannot be reached" in what
    assert where == "hub:org/rows[train]"
    assert "use path" in fix


def test_a_project_with_base_and_rows_from_the_hub_is_prepared_once_and_again_without_it(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(PROJECT, "utf-8")
    told = [json.dumps({"text": f"row {number}"}) for number in range(50)]
    with LoopbackHub() as server:
        commit = server.add("org/tiny", tiny_bases.make("llama", tmp_path / "source"), tag="v1")
        server.add("org/rows", {"train.jsonl": "\n".join(told).encode()}, kind="datasets", tag="v1")
        server.add("org/tiny", {"config.json": b"{}"})
        server.add("org/rows", {"train.jsonl": b'{"text": "later"}\n'}, kind="datasets")
        environment = server.environment(tmp_path / "home")
        (first,) = python(PREPARE, tmp_path, environment)
    assert first == ["hub", commit, str(tmp_path / "models" / "org--tiny"), False]
    train, validation = (
        (tmp_path / "rows" / f"{name}.jsonl").read_text("utf-8").splitlines() for name in ("train", "validation")
    )
    assert len(train) == phi.train_rows(50)
    assert sorted(train + validation) == sorted(told)
    origins = (tmp_path / "rows" / "train.origins").read_text("utf-8").splitlines()
    places = [f'"hub:org/rows[train]"\t{told.index(row) + 1}' for row in train]
    assert origins == places
    (second,) = python(PREPARE, tmp_path, environment)  # the server is gone
    assert second == [*first[:-1], True]


def test_a_gated_data_set_says_where_to_ask_and_opens_to_the_token(tmp_path: Path) -> None:
    with LoopbackHub() as server:
        server.add("org/rows", {"train.jsonl": b'{"text": "x"}\n'}, kind="datasets", token="hf_secret")
        environment = server.environment(tmp_path / "home")
        ((what, where, fix),) = read(tmp_path, environment, {"hub": "org/rows"})
        assert "gated" in what and where == "hub:org/rows[train]"
        assert f"{server.endpoint}/datasets/org/rows" in fix and "hf auth login" in fix
        (rows,) = read(tmp_path, environment | {"HF_TOKEN": "hf_secret"}, {"hub": "org/rows"})
        assert rows == [["hub:org/rows[train]", 1, {"text": "x"}]]


MEASURE = """
import json, resource, sys
from phi_tui.engine.hub_rows import read_hub
from phi_tui.schema import Source
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
peaks = []
for number, _ in enumerate(read_hub(Source(hub="org/large")), 1):
    if number % 1000 == 0:
        peaks.append(round(peak()))
print(json.dumps([number, peaks]))
"""


@pytest.mark.slow
def test_a_large_data_set_streams_in_flat_memory(tmp_path: Path) -> None:
    line = json.dumps({"text": "word " * 400}).encode() + b"\n"
    with LoopbackHub() as server:
        server.add("org/large", {"train.jsonl": line * 48_000}, kind="datasets")  # 96 MB
        ((rows, peaks),) = python(MEASURE, tmp_path, server.environment(tmp_path / "home"))
    assert rows == 48_000
    assert peaks[-1] - peaks[15] < 24, peaks  # from a third of the rows on
