"""The raw line that a finding is about, read with a limit and shown harmless."""

from __future__ import annotations

import gzip
import os
import stat
import threading
import time
from pathlib import Path
from typing import IO, Any, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from phi_tui.safe_text import clean

SHOWN = 8000
"""Bytes of a line that are shown."""
_SECONDS = 10.0
_CHUNK = 1 << 20


def raw_line(path: Path, line: int, limit: int = SHOWN) -> str:
    """The beginning of a line (from 1) of a text file or a .gz of one; what cannot be shown is said in its place.

    Reads no more than `limit` bytes of the line into memory at once, and gives up after some seconds.
    """
    name = path.name.lower()
    if name.endswith(".parquet"):
        return f"(row {line:,} of a parquet file: it has no text line; the Tokens part shows rows that can be used)"
    if name.removesuffix(".gz").endswith(".json"):
        return f"(item {line:,} of a .json file, which is one value: open the file to see it)"
    if line < 1:
        return "(this is about the file as a whole)"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "(no regular file)"
        with _opened(path) as file:
            if not _skip(file, line - 1):
                return f"(line {line:,} is too far into the file to be shown here)"
            head = file.readline(limit + 1)
    except (OSError, EOFError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        return f"(cannot be read: {reason})"
    if not head:
        return f"(the file has no line {line:,} any more)"
    text = head[:limit].decode("utf-8", "replace").rstrip("\r\n")
    return text + ("\n… the line goes on" if len(head) > limit else "")


def _opened(path: Path) -> IO[bytes]:
    zipped = path.name.lower().endswith(".gz")
    return cast(IO[bytes], gzip.open(path, "rb") if zipped else open(path, "rb"))


def _skip(file: IO[bytes], lines: int) -> bool:
    """Read past so many lines, in pieces; False when that takes too long."""
    until = time.monotonic() + _SECONDS
    passed = 0
    while passed < lines:
        piece = file.readline(_CHUNK)
        if not piece:
            return True
        passed += piece.endswith(b"\n")
        if time.monotonic() > until:
            return False
    return True


class RowDialog(ModalScreen[None]):
    """A finding and the line it is about."""

    HORIZONTAL_BREAKPOINTS = [(0, "narrow"), (100, "wide")]
    BINDINGS = [
        Binding("escape,q,enter", "close", "Close", id="row.close", tooltip="Back to the findings"),
        Binding("j,down", "scroll(1)", "Down", show=False, id="row.down", tooltip="Scroll down"),
        Binding("k,up", "scroll(-1)", "Up", show=False, id="row.up", tooltip="Scroll up"),
        Binding("space,pagedown", "scroll(10)", "Page down", show=False, id="row.page", tooltip="Scroll a page"),
    ]

    class Read(Message):
        """The line was read."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, finding: dict[str, Any], root: Path) -> None:
        super().__init__()
        self._finding, self._root = finding, root

    def compose(self) -> ComposeResult:
        """What is wrong, what to do, and the line."""
        finding = self._finding
        place = clean(f"{finding.get('file', '')}:{finding.get('line', 0)}", one_line=True, limit=300)
        words = Text(f"{place}\n{finding.get('severity', '')}  ", style="bold")
        words.append(clean(finding.get("message", ""), limit=1000), "not bold")
        if finding.get("fix"):
            words.append(f"\n{clean(finding['fix'], limit=600)}", "not bold italic")
        with Vertical(classes="dialog data-dialog"):
            yield Label(words, markup=False, classes="dialog-question")
            with VerticalScroll(id="row-scroll"):
                yield Static("reading", id="row-text", markup=False)

    def on_mount(self) -> None:
        """Read the line on a thread."""
        self.query_one("#row-scroll").focus()
        path = self._root / str(self._finding.get("file", ""))
        line = int(self._finding.get("line") or 0)

        def work() -> None:
            self.post_message(self.Read(raw_line(path, line)))

        threading.Thread(target=work, name="read a line", daemon=True).start()

    def on_row_dialog_read(self, event: Read) -> None:
        """Show the line."""
        self.query_one("#row-text", Static).update(Text(clean(event.text)))

    def action_close(self) -> None:
        """Back to the findings."""
        self.dismiss(None)

    def action_scroll(self, lines: int) -> None:
        """Scroll the line."""
        self.query_one("#row-scroll").scroll_relative(y=lines, animate=False)
