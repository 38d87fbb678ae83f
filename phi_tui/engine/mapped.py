"""Pages of a mapped file of weights that nobody reads any more, given back.

A base in the type that it is computed in is not read but mapped, and a mapping goes as a whole: weights that were
copied elsewhere stay in memory beside their copies for as long as any other weight of the file is in use.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_MADV_RANDOM, _MADV_DONTNEED = 1, 4


def places(model: Any) -> dict[int, int]:
    """Where a model's parameters lie: how many bytes at which address."""
    return {weight.data_ptr(): weight.nbytes for weight in model.parameters()}


def let_go(left: Iterable[tuple[int, int]]) -> int:
    """Give back the pages that lie wholly within these places, (address, bytes) each; returns how many bytes they are.

    Only where a .safetensors file is mapped: its pages come again from the file if they are read after all.  What
    lies in memory of any other kind is left alone, and so is everything on a system without Linux's /proc.
    """
    given = 0
    mappings = _mappings()
    for address, size in left:
        first = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (address + size) // mmap.PAGESIZE * mmap.PAGESIZE
        if first < end and any(start <= first and end <= stop for start, stop in mappings):
            advise = ctypes.CDLL(None, use_errno=True).madvise
            place = ctypes.c_void_p(first), ctypes.c_size_t(end - first)
            # Read in another way than its neighbours, it is a mapping of its own: else whoever reads a page of theirs
            # is given up to 2 MB around it.
            advise(*place, _MADV_RANDOM)
            if advise(*place, _MADV_DONTNEED) == 0:
                given += end - first
    return given


def _mappings() -> list[tuple[int, int]]:
    """Where in memory .safetensors files are mapped, (address, behind the last byte)."""
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
            addresses, *_, name = line.split(maxsplit=5)
            if name.endswith(".safetensors"):
                start, end = addresses.split("-")
                found.append((int(start, 16), int(end, 16)))
    return found
