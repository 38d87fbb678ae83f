"""`phi-tui doctor`: what is wrong with a data set, row by row, or with this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from rich.console import Console
from rich.text import Text

from phi_tui.safe_text import clean
from phi_tui.workspace import place_of


def examine_files(files: list[Path], task: str = "") -> int:
    """Read every row of the files, print each finding with file and line, and return 3 when rows are broken.

    With a `task` other than causal-lm the rows are read as a text and a label.
    """
    from phi_tui.engine.doctor import examine

    console = Console(highlight=False, soft_wrap=True)
    report, findings = examine(files, task)
    style = {"error": "red", "warning": "yellow", "info": "dim"}
    for found in findings:
        where = f"{found.file}:{found.line}" if found.line else found.file
        fix = f" ({found.fix})" if found.fix else ""
        console.print(Text(clean(f"{found.severity:<8} {where}: {found.message}{fix}"), style=style[found.severity]))
    tables = report.to_json()
    for source in tables["sources"]:
        console.print(
            Text(
                clean(
                    f"{source['name']}: {source['format']}, {source['kept']:,} of {source['read']:,} rows good",
                    one_line=True,
                )
            )
        )
    errors = sum(found.severity == "error" for found in findings)
    console.print(Text(f"{errors} broken rows" if errors else "no broken rows", style="red" if errors else "green"))
    return 3 if errors else 0


def examine_machine(workspace: Path | None) -> int:
    """Print what this machine has for training, and what is missing."""
    from phi_tui.engine import device, lockfile

    console = Console(highlight=False, soft_wrap=True)
    found = device.current()
    place = place_of(workspace)
    free = shutil.disk_usage(place.root if place.root.exists() else Path.home()).free
    lines = [
        ("device", f"{found.name}, {found.memory / 1e9:.1f} GB, {'bf16' if found.bf16 else 'no fast bf16'}"),
        ("threads", f"{found.threads} of {os.cpu_count()} cores"),
        ("disk", f"{free / 1e9:.1f} GB free at {place.root}"),
        (
            "bitsandbytes",
            "installed" if importlib.util.find_spec("bitsandbytes") else "missing: no quantised bases",
        ),
    ]
    if found.type == "cpu" and (unused := device.unused_gpu()):
        lines.append(("GPU", unused))
    if found.type == "cuda":
        flash = importlib.util.find_spec("flash_attn") is not None
        lines.append(("flash-attn", "installed" if flash else "not installed: SDPA is used"))
    lines += list(lockfile.versions().items())
    for name, value in lines:
        console.print(Text(clean(f"{name:<14} {value}", one_line=True)))
    if not os.access(place.root if place.root.exists() else place.root.parent, os.W_OK):
        console.print(
            Text(f"the workspace {place.root} cannot be written to: name another with --workspace", style="red")
        )
        return 3
    return 0
