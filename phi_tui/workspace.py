"""Where things lie: one folder holds projects, data, runs and downloaded bases.

The folder that a project file lies in is its workspace.  Names that come from a person are checked before
they become a path, and no path of ours follows a symbolic link out of the workspace.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from phi_tui.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder `root` and the fixed places below it."""

    root: Path

    @property
    def models(self) -> Path:
        """Downloaded and converted bases."""
        return self.root / "models"

    def raw(self, project: str) -> Path:
        """The split rows: train.jsonl, validation.jsonl and the doctor's report."""
        return self._below("datasets/raw", project)

    def ready(self, project: str) -> Path:
        """The tokenised rows, a DatasetDict on disk."""
        return self._below("datasets/ready", project)

    def runs(self, project: str) -> Path:
        """The project's run directories."""
        return self._below("runs", project)

    def _below(self, folder: str, name: str) -> Path:
        path = self.root / folder / checked_name(name)
        for step in (self.root / folder.split("/")[0], self.root / folder, path):
            if step.is_symlink():
                raise InputError("is a symbolic link", where=str(step), fix="outputs go only into real folders")
        return path

    def prepare(self) -> None:
        """Create the root; raises InputError when it cannot be written to."""
        make_folder(self.root)
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise InputError(
                "the workspace cannot be written to",
                where=str(self.root),
                fix="choose another folder with --workspace",
            )


def checked_name(name: str) -> str:
    """Return `name` if it can name a folder inside the workspace, else raise InputError."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name",
            fix="letters, digits, dot, dash and underscore, 100 at most, not starting with a dot or dash",
        )
    return name


def make_folder(path: Path) -> None:
    """Create `path` and its parents for this user alone (0700); an InputError says why it cannot be."""
    try:
        for missing in reversed([one for one in (path, *path.parents) if not one.exists()]):
            missing.mkdir(exist_ok=True, mode=0o700)  # with parents=True the mode would be the last one's alone
        path.mkdir(exist_ok=True)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(
            f"the folder cannot be made: {reason}", where=str(path), fix="choose another one with --workspace"
        ) from None


def default_root() -> Path:
    """The app's own workspace: PHI_TUI_WORKSPACE, else the platform's data folder."""
    named = os.environ.get("PHI_TUI_WORKSPACE")
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("phi-tui")


def for_project(file: Path, workspace: Path | None = None) -> Workspace:
    """The workspace of a project file: `workspace` when it is named, else the folder the file lies in."""
    return Workspace((workspace.expanduser() if workspace else file.expanduser().parent).absolute())


def place_of(workspace: Path | None) -> Workspace:
    """The workspace named, else the current folder when it has projects or runs, else the app's own."""
    if workspace:
        return Workspace(workspace.expanduser().absolute())
    here = Path.cwd()
    if (here / "runs").is_dir() or any(here.glob("*.toml")):
        return Workspace(here)
    return Workspace(default_root())
