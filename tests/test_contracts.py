"""The three contracts of the house, statically and in a running process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "peft", "datasets", "accelerate", "textual", "pyarrow", "pydantic", "rich")


def modules_after(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after `code`."""
    tail = "\nimport sys; print('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_help_imports_nothing_heavy() -> None:
    code = "from phi_tui.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not modules_after(code) & set(HEAVY)


@pytest.mark.parametrize("command", ["wizard", "chat", "runs", "doctor", "prepare", "stop", "attach", "eval", "demo"])
def test_each_commands_help_imports_no_model_library(command: str) -> None:
    code = f"from phi_tui.cli import main\ntry: main([{command!r}, '--help'])\nexcept SystemExit: pass"
    assert not modules_after(code) & {"torch", "transformers", "peft", "datasets", "textual"}


def test_listing_runs_imports_no_model_library(tmp_path: Path) -> None:
    code = f"from phi_tui.cli import main\nmain(['runs', '--workspace', {str(tmp_path)!r}])"
    assert not modules_after(code) & {"torch", "transformers", "peft", "datasets", "textual"}


def test_importing_every_engine_module_but_those_that_subclass_loads_no_model_library() -> None:
    names = [
        f"phi_tui.engine.{path.stem}"
        for path in (ROOT / "phi_tui" / "engine").glob("*.py")
        if path.stem not in ("__init__", "trainer", "llama_layer", "packed_llama", "shrink")
    ]
    loaded = modules_after("\n".join(f"import {name}" for name in names))
    assert not loaded & {"torch", "transformers", "peft", "datasets", "textual"}


def test_the_import_contracts_are_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(linter), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
