"""What reading data gives, whatever it is read from: rows, and findings about what is wrong with them.

Both know the file and line they came from, since a finding helps nobody without.  They stand apart from the
readers so that each kind of file can have its own module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was read; `line` is the line of a text file on which it starts, else its number, from 1."""

    file: str
    line: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know about a row or, at line 0, a file; an error makes the row unusable."""

    severity: Literal["error", "warning", "info"]
    code: str
    file: str
    line: int
    message: str
    fix: str = ""
