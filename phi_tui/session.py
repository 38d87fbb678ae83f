"""What the app works on: a workspace and the project that is open in it.

Every change is validated and saved to the project's file at once, over whatever stands there by then, so that
neither a crash nor an editor beside the app loses anything; a change that does not fit the schema changes nothing.
The schema is imported where it is needed: it takes 0.1 s, and the first screen is painted before.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phi_tui import run
from phi_tui.errors import InputError, PhiError
from phi_tui.workspace import Workspace, checked_name

if TYPE_CHECKING:
    from phi_tui.schema import Project, Source


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A project in the workspace: its file, the project, or why it cannot be read; its newest run."""

    path: Path
    project: Project | None
    flaw: str
    newest: run.Run | None


class Session:
    """The workspace at hand and the open project; no textual, no torch."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.file: Path | None = None
        self.project: Project | None = None

    @property
    def root(self) -> Path:
        """The folder that the open project's relative paths refer to."""
        return self.file.parent if self.file else self.workspace.root

    def projects(self) -> list[ProjectFile]:
        """The project files that lie in the workspace, newest change first; broken ones with their flaw."""
        try:
            files = [path for path in self.workspace.root.glob("*.toml") if not path.name.endswith(".lock.toml")]
        except OSError:
            return []
        return [self._one(path) for path in sorted(files, key=_changed, reverse=True)]

    def open(self, file: Path) -> Project:
        """Open a project file; its folder becomes the workspace.  Raises InputError and then changes nothing."""
        from phi_tui import project

        file = file.expanduser().absolute()
        opened = project.load(file)
        if file.parent != self.workspace.root:
            self.workspace = Workspace(file.parent)
        self.file, self.project = file, opened
        return opened

    def new(self, name: str) -> Project:
        """Make a project with every default and open it.  Raises InputError when a file of that name is there."""
        from phi_tui import project

        file = self._free(name)
        self.workspace.prepare()
        project.save(project.validate({"schema": 1, "name": name}, str(file)), file)
        return self.open(file)

    def duplicate(self, original: Path, name: str) -> Project:
        """Copy a project under another name, comments and all, and open the copy."""
        from phi_tui import project

        file = self._free(name)
        loaded = project.load(original)
        shutil.copyfile(original, file)
        try:
            project.save(loaded.model_copy(update={"name": name}), file)
        except PhiError:
            file.unlink(missing_ok=True)
            raise
        return self.open(file)

    def demo(self) -> Project:
        """Bring the embedded demo into the workspace, unless it is there, and open it."""
        from phi_tui.demo import bring

        self.workspace.prepare()
        return self.open(bring(self.workspace))

    def set(self, key: str, value: Any) -> Project:
        """Change one setting by its dotted key and save; raises InputError when the value does not fit."""
        return self._change(lambda tables: _put(tables, key, value))

    def set_many(self, values: dict[str, Any]) -> Project:
        """Change several settings at once: all of them or none."""

        def put(tables: dict[str, Any]) -> None:
            for key, value in values.items():
                _put(tables, key, value)

        return self._change(put)

    def set_sources(self, sources: tuple[Source, ...]) -> Project:
        """Replace the data sources and save."""
        plain = [source.model_dump(mode="json", exclude_defaults=True) for source in sources]
        return self._change(lambda tables: _put(tables, "data.sources", plain))

    def reload(self) -> Project:
        """Read the open project's file again, as an editor may have changed it."""
        return self.open(self._opened())

    def relative(self, path: Path) -> str:
        """A path as the project file names it: relative where it lies below the file's folder, else absolute."""
        whole = path.expanduser().absolute()
        return str(whole.relative_to(self.root)) if whole.is_relative_to(self.root) else str(whole)

    def text(self) -> str:
        """The open project as TOML text, as child processes get it."""
        from phi_tui import project

        assert self.project
        return project.text(self.project)

    def runs(self) -> list[run.Run]:
        """The runs of the open project, newest first."""
        return run.listed(self.workspace, self.project.name) if self.project else []

    def _change(self, put: Callable[[dict[str, Any]], None]) -> Project:
        from phi_tui import project

        file = self._opened()
        tables = project.dump(project.load(file), defaults=True)
        put(tables)
        changed = project.validate(tables, file.name)
        project.save(changed, file)
        self.project = changed
        return changed

    def _opened(self) -> Path:
        if self.file is None:
            raise InputError("no project is open", fix="open one on the Home screen, or make a new one")
        return self.file

    def _free(self, name: str) -> Path:
        file = self.workspace.root / f"{checked_name(name)}.toml"
        if file.exists():
            raise InputError(f"there is a project {name!r} already", where=str(file), fix="choose another name")
        return file

    def _one(self, path: Path) -> ProjectFile:
        from phi_tui import project

        try:
            loaded = project.load(path)
            runs = run.listed(self.workspace, loaded.name)
            return ProjectFile(path, loaded, "", runs[0] if runs else None)
        except PhiError as error:
            return ProjectFile(path, None, error.what, None)


def _put(tables: dict[str, Any], key: str, value: Any) -> None:
    *parents, leaf = key.split(".")
    table = tables
    for part in parents:
        table = table.setdefault(part, {})
    table[leaf] = list(value) if isinstance(value, tuple) else value


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
