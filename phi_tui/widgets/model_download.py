"""A download on its way: how far, how fast, how long still, and how it ended.

It has a child process of its own, since a child answers one request after another and gigabytes take hours.  Leaving
the screen leaves it running; leaving the app ends it, and what came stays for the next time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from textual.app import RenderResult
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from phi_tui.child import Child, Reply
from phi_tui.safe_text import clean
from phi_tui.widgets.model_text import cut, duration, part, size

State = Literal["coming", "stopping", "whole", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """A download: bytes of all its files together, `rate` in bytes a second, `eta` in seconds."""

    base: str
    state: State = "coming"
    words: str = "asking the Hub"
    done: int = 0
    total: int = 0
    rate: float | None = None
    eta: float | None = None
    fix: str = ""

    @property
    def live(self) -> bool:
        """Whether it is still on its way."""
        return self.state in ("coming", "stopping")


def heard(transfer: Transfer, reply: Reply) -> Transfer:
    """The download after one more reply to its request."""
    said = reply.payload
    if reply.kind == "bytes":
        return replace(
            transfer,
            words="",
            done=int(said.get("done") or 0),
            total=int(said.get("total") or 0),
            rate=_number(said.get("rate")),
            eta=_number(said.get("eta")),
        )
    if reply.kind == "phase":
        return replace(transfer, words=str(said.get("detail") or said.get("name") or ""))
    if reply.kind == "result":
        return replace(transfer, state="whole", words="", fix="")
    if reply.kind == "cancelled":
        return replace(transfer, state="interrupted", words="")
    if reply.kind == "error":
        what = str(said.get("what") or "no reason was given")
        return replace(transfer, state="failed", words=what, fix=str(said.get("fix") or ""))
    return transfer


class ModelDownload(Widget):
    """One or two lines below the list; hidden while there is nothing to say."""

    DEFAULT_CSS = """
    ModelDownload { height: auto; width: 1fr; display: none; }
    """

    class Moved(Message):
        """The download came further, or ended."""

        def __init__(self, transfer: Transfer) -> None:
            super().__init__()
            self.transfer = transfer

    class _Heard(Message):
        def __init__(self, reply: Reply) -> None:
            super().__init__()
            self.reply = reply

    transfer: reactive[Transfer | None] = reactive(None, layout=True)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # the library's own name
        super().__init__(id=id)
        self._child: Child | None = None
        self._request = 0

    @property
    def live(self) -> bool:
        """Whether something comes."""
        return self.transfer is not None and self.transfer.live

    def start(self, base: str, here: int, log: Path, arguments: dict[str, Any]) -> None:
        """Ask for a base of which `here` bytes are there already; its child process prints to `log`."""
        if self._child is None:
            self._child = Child("phi_tui.engine.inspector", log)
        self.transfer = Transfer(base, done=here)
        self._request = self._child.ask("fetch", self._pass_on, weights=True, **arguments)

    def stop(self) -> None:
        """Ask for the end of it; what came stays."""
        if self._child and self.transfer and self.transfer.live:
            self.transfer = replace(self.transfer, state="stopping")
            self._child.cancel(self._request)

    def on_unmount(self) -> None:
        """End the child process."""
        if self._child:
            self._child.close()

    def _pass_on(self, reply: Reply) -> None:
        self.post_message(self._Heard(reply))  # on the reader's thread

    def on_model_download__heard(self, event: _Heard) -> None:
        """The child process said something about the download."""
        event.stop()
        if self.transfer and event.reply.id == self._request:
            self.transfer = heard(self.transfer, event.reply)
            self.post_message(self.Moved(self.transfer))

    def watch_transfer(self, transfer: Transfer | None) -> None:
        """Come up with the first word."""
        self.display = transfer is not None

    def render(self) -> RenderResult:
        """The lines, as wide as there is room."""
        return Content("") if self.transfer is None else told(self.transfer, self.size.width or 78)


def told(transfer: Transfer, width: int) -> Content:
    """A download in lines of `width` cells: a bar and figures while it comes, else what became of it."""
    base = clean(transfer.base, one_line=True, limit=120)
    if transfer.state == "whole":
        return Content.assemble(("downloaded ", "bold $success"), f"{base} is on this machine")
    if transfer.state == "interrupted":
        kept = f"{part(transfer.done, transfer.total)} are kept" if transfer.total else "what came is kept"
        return Content.assemble(("interrupted ", "bold $warning"), f"{base}: {kept}; d on it resumes")
    if transfer.state == "failed":
        words = clean(transfer.words, one_line=True, limit=400)
        words = words if words.startswith(base) else f"{base}: {words}"
        fix = f" ({clean(transfer.fix, one_line=True, limit=300)})" if transfer.fix else ""
        return Content.assemble(("download failed ", "bold $error"), f"{words}{fix}")
    word = "stopping" if transfer.state == "stopping" else "downloading"
    if not transfer.total:
        return Content.assemble((f"{word} ", "bold $accent"), cut(f"{base}: {transfer.words}", width - len(word) - 1))
    share = min(1.0, transfer.done / transfer.total)
    figures = f" {share:4.0%}  {part(transfer.done, transfer.total)}"
    if transfer.rate:
        figures += f"  {size(transfer.rate)}/s"
    if left := duration(transfer.eta):
        figures += f"  {left} left"
    first = Content.assemble((f"{word} ", "bold $accent"), cut(base, width - len(word) - 1))
    room = max(4, width - len(figures))
    filled = round(room * share)
    bar = Content.assemble(("━" * filled, "$accent"), ("─" * (room - filled), "dim"), figures)
    return Content("\n").join([first, bar])


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
