"""The one family of errors that a person gets to read.

Whatever goes wrong because of the world (a file, a row, a setting, a full disk) is raised as a `PhiError`:
what is wrong, where, and what to do.  The command line prints it and exits with the class's code; anything
else that escapes is a bug in phi-tui.
"""

from __future__ import annotations


class PhiError(Exception):
    """A failure that the person at the keyboard can act on.

    `what` is one sentence, `where` names a file, line or key, `fix` says what to do.  Texts may hold foreign
    bytes (paths, rows): whoever prints them sends them through `safe_text.clean`.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        fix = f"\n  {self.fix}" if self.fix else ""
        return f"{place}{self.what}{fix}"


class InputError(PhiError):
    """The command line, the project file or a file it names is wrong.  Exit code 2."""


class Refusal(PhiError):
    """Preflight, the doctor or a lock will not let the run start.  Exit code 3."""

    exit_code = 3


class TrainingFailed(PhiError):
    """Training started and could not go on; the journal says why.  Exit code 4."""

    exit_code = 4


class Stopped(PhiError):
    """A stop was asked for; everything needed to resume is on disk.  Exit code 130."""

    exit_code = 130
