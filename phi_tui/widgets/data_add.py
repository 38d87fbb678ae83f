"""Adding a source: a path typed with completion, or a file found in the tree of folders."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import DirectoryTree, Input, Label, OptionList
from textual.widgets._directory_tree import DirEntry
from textual.widgets.option_list import Option
from textual.widgets.tree import TreeNode

from phi_tui.errors import PhiError
from phi_tui.safe_text import clean
from phi_tui.schema import Source
from phi_tui.session import Session
from phi_tui.widgets.data_pane import VimList
from phi_tui.widgets.path_input import PathInput, is_data_file


def checked(text: str, session: Session) -> tuple[Source | None, str]:
    """The source that a typed path means, or what is wrong with the path; looks at the disk."""
    from phi_tui.engine.sources import files_of

    text = text.strip()
    if not text:
        return None, "type a path, or press escape"
    path = Path(os.path.expanduser(text))
    try:
        named = session.relative(path if path.is_absolute() else session.root / path)
        source = Source(path=named)
        files_of(source, session.root)
    except PhiError as error:
        return None, error.what + (f"; {error.fix}" if error.fix else "")
    except (OSError, ValueError, RuntimeError) as error:
        return None, str(error)
    return source, ""


class Checked(Message):
    """A path was looked at."""

    def __init__(self, text: str, source: Source | None, flaw: str) -> None:
        super().__init__()
        self.text, self.source, self.flaw = text, source, flaw


class _Adding(ModalScreen[Source | None]):
    """What both ways share: a path is looked at on a thread, and taken when nothing is wrong with it."""

    HORIZONTAL_BREAKPOINTS = [(0, "narrow"), (100, "wide")]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def _check(self, text: str) -> None:
        def work() -> None:
            self.post_message(Checked(text, *checked(text, self._session)))

        threading.Thread(target=work, name="look at a path", daemon=True).start()

    def on_checked(self, event: Checked) -> None:
        """Take the source, or say what is wrong."""
        if event.source is not None:
            self.dismiss(event.source)
        else:
            self.query_one(".dialog-flaw", Label).update(clean(event.flaw, limit=400))

    def action_cancel(self) -> None:
        """Add nothing."""
        self.dismiss(None)


class AddPath(_Adding):
    """A line for a path over what would complete it."""

    BINDINGS = [
        Binding("escape", "cancel", "Cancel", id="add.cancel", tooltip="Add nothing"),
        Binding("down", "to_list", "To the list", show=False, id="add.list", tooltip="Choose among the names"),
    ]

    def compose(self) -> ComposeResult:
        """The line, the names, what is wrong."""
        root = clean(self._session.root, one_line=True, limit=200)
        with Vertical(classes="dialog data-dialog"):
            yield Label(
                f"A data file or a folder of them.  Paths are relative to {root}; ~ is home.  Tab completes.",
                markup=False,
                classes="dialog-question",
            )
            yield PathInput(self._session.root, placeholder="train.jsonl", id="add-path")
            yield Label("", markup=False, classes="dialog-flaw")
            yield VimList(id="add-names", markup=False)

    @on(PathInput.Suggested)
    def _suggested(self, event: PathInput.Suggested) -> None:
        names = self.query_one("#add-names", VimList)
        names.set_options(Option(Text(clean(one.name, one_line=True)), id=None) for one in event.suggestions)
        self._texts = [one.text for one in event.suggestions]
        self.query_one(".dialog-flaw", Label).update("" if event.suggestions else "no data file begins like this")

    @on(OptionList.OptionSelected, "#add-names")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        line = self.query_one(PathInput)
        line.value = self._texts[event.option_index]
        line.cursor_position = len(line.value)
        line.focus()
        if not line.value.endswith("/"):
            self._check(line.value)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        self._check(event.value)

    def action_to_list(self) -> None:
        """Go from the line to the names."""
        names = self.query_one("#add-names", VimList)
        if names.option_count:
            names.focus()
            names.highlighted = names.highlighted or 0


class DataTree(DirectoryTree):
    """A tree of folders and data files, without pictures, with names made harmless."""

    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "
    ICON_FILE = "  "
    BINDINGS = [
        Binding("j", "cursor_down", "Down", show=False, id="tree.down", tooltip="Next line"),
        Binding("k", "cursor_up", "Up", show=False, id="tree.up", tooltip="Line before"),
    ]

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Folders and data files, none of them hidden."""
        return [path for path in paths if not path.name.startswith(".") and (is_data_file(path.name) or path.is_dir())]

    def render_label(self, node: TreeNode[DirEntry], base_style: Style, style: Style) -> Text:
        """The name, made harmless."""
        name = node.data.path.name or str(node.data.path) if node.data else ""
        folder = self.ICON_NODE_EXPANDED if node.is_expanded else self.ICON_NODE
        icon = folder if node.allow_expand else self.ICON_FILE
        return Text.assemble((icon, base_style), (clean(name, one_line=True, limit=200), style))


class Browse(_Adding):
    """The tree of folders; Enter on a file takes it, `a` takes a folder as a whole."""

    BINDINGS = [
        Binding("escape", "cancel", "Cancel", id="browse.cancel", tooltip="Add nothing"),
        Binding("a", "take", "Take", id="browse.take", tooltip="Add the file, or all files of the folder"),
        Binding("backspace", "up", "Folder above", id="browse.up", tooltip="Show the folder above this one"),
        Binding("tilde", "home", "Home", id="browse.home", tooltip="Show the home folder"),
    ]

    def compose(self) -> ComposeResult:
        """The tree and what is wrong."""
        with Vertical(classes="dialog data-dialog"):
            yield Label(
                "Enter takes a file or opens a folder; a takes a folder as a whole; backspace goes up; ~ home.",
                markup=False,
                classes="dialog-question",
            )
            yield DataTree(self._session.root, id="browse-tree")
            yield Label("", markup=False, classes="dialog-flaw")

    @on(DirectoryTree.FileSelected)
    def _file(self, event: DirectoryTree.FileSelected) -> None:
        event.stop()
        self._check(str(event.path))

    def action_take(self) -> None:
        """Take what the cursor is on."""
        node = self.query_one(DataTree).cursor_node
        if node is not None and node.data is not None:
            self._check(str(node.data.path))

    def action_up(self) -> None:
        """The folder above."""
        tree = self.query_one(DataTree)
        tree.path = Path(tree.path).absolute().parent

    def action_home(self) -> None:
        """The home folder."""
        self.query_one(DataTree).path = Path.home()
