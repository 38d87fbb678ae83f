"""What is known of one base, and whether training it fits this machine."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from phi_tui.machine import Machine
from phi_tui.safe_text import clean
from phi_tui.widgets.fit_bar import FitBar
from phi_tui.widgets.model_entries import Entry
from phi_tui.widgets.model_text import size

_LABEL = 11


class ModelDetail(VerticalScroll):
    """The panel beside the list; it scrolls where it must."""

    help_text = "What is known of the highlighted base; the bars hold an estimate against this machine's memory."

    BINDINGS = [
        Binding("j", "scroll_down", "Down", show=False, id="detail.down"),
        Binding("k", "scroll_up", "Up", show=False, id="detail.up"),
        Binding("g", "scroll_home", "Top", show=False, id="detail.top"),
        Binding("G", "scroll_end", "End", show=False, id="detail.end"),
    ]

    def compose(self) -> ComposeResult:
        """Facts, the two bars, and why one would take it."""
        yield Static("", id="detail-facts", markup=False)
        yield Static("", id="detail-device", markup=False)
        yield FitBar("LoRA", id="fit-lora")
        yield FitBar("QLoRA", id="fit-qlora")
        yield Static("", id="detail-why", markup=False)

    def show(self, entry: Entry | None, machine: Machine | None, *, looking: bool) -> None:
        """Show a base; `looking` says that more is being found out about it."""
        facts = self.query_one("#detail-facts", Static)
        for widget in self.query("FitBar, #detail-device, #detail-why"):
            widget.display = entry is not None
        if entry is None:
            facts.update(Content("No base holds these words: press escape twice to see all of them again."))
            return
        facts.update(told(entry, looking=looking))
        device = machine.device if machine else None
        self.query_one("#detail-device", Static).update(Content.styled(on_device(machine), "dim"))
        for bar, need in (("#fit-lora", entry.lora), ("#fit-qlora", entry.qlora)):
            widget = self.query_one(bar, FitBar)
            widget.need, widget.memory = need, device.memory_total if device else 0
        self.query_one("#detail-why", Static).update(Content(reasons(entry, machine)))


def told(entry: Entry, *, looking: bool) -> Content:
    """The facts as aligned lines; what is not known is left out, or said to be looked for."""
    lines: list[Content] = [Content.styled(clean(entry.title, one_line=True, limit=300), "bold $primary")]
    if entry.problem:
        lines.append(Content.styled(f"broken: {clean(entry.problem, one_line=True, limit=300)}", "$error"))
    if entry.note:
        lines.append(Content.styled(clean(entry.note, one_line=True, limit=400), "$warning"))
    if entry.gated:
        page = "its page on the Hub" if entry.here else f"huggingface.co/{clean(entry.base, one_line=True, limit=200)}"
        words = f": accept its licence on {page}, then set HF_TOKEN or run hf auth login"
        lines.append(Content.assemble(("gated", "bold $warning"), words))
    if looking:
        lines.append(Content.styled("looking at it ...", "italic"))
    parameters = f"{entry.parameters:,}" if entry.parameters else ""
    shape = f"{entry.layers:,} layers x {entry.hidden:,}" if entry.layers and entry.hidden else ""
    context = f"{entry.context:,} tokens" if entry.context else ""
    chat = {True: "yes, has a template", False: "no, continues text", None: ""}[entry.chat]
    for label, value in (
        ("Parameters", parameters),
        ("Licence", entry.licence),
        ("Context", context),
        ("Type", entry.architecture),
        ("Shape", shape),
        ("Chat model", chat),
    ):
        if value or not looking:
            lines.append(_fact(label, value or "not known", "" if value else "dim"))
    lines.append(_fact("On disk", *on_disk(entry)))
    if entry.partial is not None and not entry.live:
        lines.append(_fact("", "d resumes it", "$warning"))
    return Content("\n").join(lines)


def on_disk(entry: Entry) -> tuple[str, str]:
    """Where a base is, what a key does about it, and the colour."""
    if entry.here:
        place = {"builtin": "built in", "cache": "in the Hub's cache"}.get(entry.kind, "yes")
        return (f"{place}, {size(entry.bytes_on_disk)}" if entry.bytes_on_disk else place), "$success"
    if entry.live:
        return "on its way", "$warning"
    if entry.partial is not None:
        return f"half, {size(entry.partial)}", "$warning"
    if entry.on_hub:
        return "no; d downloads it", ""
    return "not known", "dim"


def on_device(machine: Machine | None) -> str:
    """The device that the bars are about."""
    if machine is None:
        return "looking at this machine ..."
    device = machine.device
    kind = {"cuda": "GPU", "mps": "GPU", "cpu": "CPU"}[device.kind]
    return f"{kind} {clean(device.name, one_line=True, limit=60)}, {size(device.memory_total)}"


def reasons(entry: Entry, machine: Machine | None) -> str:
    """Why one would take it, and what the bars do not say."""
    said = []
    if machine and entry.lora and machine.device.memory_free < entry.lora <= machine.device.memory_total:
        said.append(f"Only {size(machine.device.memory_free)} are free right now: something else holds the rest.")
    if entry.why:
        said.append(clean(entry.why, limit=600))
    if entry.on_hub and not entry.layers and not entry.here:
        said.append("i fetches its configuration, without weights, to work out the memory.")
    if machine and machine.disk_free and entry.on_hub and not entry.here:
        said.append(f"{size(machine.disk_free)} of disk are free.")
    if entry.lora:
        said.append("Estimates for rank 8, one row of 1,024 tokens at a time.")
    return "\n".join(["", *said])


def _fact(label: str, value: str, style: str = "") -> Content:
    return Content.assemble((f"{label:<{_LABEL}}", "dim"), (clean(value, one_line=True, limit=200), style))
