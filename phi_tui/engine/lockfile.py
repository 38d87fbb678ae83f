"""lock.toml: what a run ran on, and what has drifted since.

Everything that decides the resulting bytes but does not stand in the project file: package versions, the base's
revision and weight hash, the hashes of the rows, the tokens and the template, the device and its number type.
"""

from __future__ import annotations

import platform
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from phi_tui import __version__
from phi_tui.atomic import write_text
from phi_tui.errors import InputError

PACKAGES = (
    "accelerate",
    "bitsandbytes",
    "datasets",
    "numpy",
    "peft",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)


def versions() -> dict[str, str]:
    """Return the installed versions of what decides a result."""
    found = {"phi-tui": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write(path: Path, lock: dict[str, Any]) -> None:
    """Write lock tables to `path`, whole or not at all."""
    import tomli_w

    write_text(path, tomli_w.dumps(lock))


def read(path: Path) -> dict[str, Any]:
    """Read lock tables; InputError when there are none or they are damaged."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            "no lock file", where=str(path), fix="a finished run has one: runs/<project>/<run>/lock.toml"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"is no lock file: {error}", where=str(path)) from None


def drift(locked: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return one line for each value that differs: "table.key: locked X, here Y".

    What a base is called does not count where its weights are the same: a folder has a relative and a whole path.
    """
    bases = locked.get("base", {}), now.get("base", {})
    same_weights = len({table.get("weights_sha256") for table in bases if isinstance(table, dict)}) == 1
    lines: list[str] = []
    for table in sorted(locked.keys() | now.keys()):
        left, right = locked.get(table, {}), now.get(table, {})
        if not isinstance(left, dict) or not isinstance(right, dict):
            continue
        for key in sorted(left.keys() | right.keys()):
            if left.get(key) != right.get(key) and not (same_weights and (table, key) == ("base", "id")):
                lines.append(f"{table}.{key}: locked {left.get(key, 'nothing')}, here {right.get(key, 'nothing')}")
    return lines
