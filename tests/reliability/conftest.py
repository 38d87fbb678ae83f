"""What every harness here starts from: one process that has imported everything, and forks each trial."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from trials import Zygote


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as made:
        yield made
