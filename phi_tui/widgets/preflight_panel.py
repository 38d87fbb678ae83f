"""Before a run: preflight's words on what will happen, or every reason why it will not be let start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Static

from phi_tui import figures
from phi_tui.safe_text import clean

if TYPE_CHECKING:
    from phi_tui.schema import Project


class PreflightPanel(VerticalScroll):
    """The plan, and the button that starts it."""

    can_focus = False

    def compose(self) -> ComposeResult:
        """Words above the button, so that they are read first."""
        yield Static("", id="preflight-what", markup=False)
        with Horizontal(id="preflight-buttons"):
            yield Button("Start training", id="start", variant="primary")
            yield Button("In the background", id="where")
        yield Static("", id="preflight-words", markup=False)

    def show_project(self, project: Project, last: str) -> None:
        """Say what would be trained on what."""
        sources = ", ".join(source.path or source.hub for source in project.data.sources) or "no data yet"
        text = Text()
        text.append(f"{project.name}\n", "bold")
        new = project.model.init == "scratch"
        base = f"a new model of {project.scratch.parameters} parameters" if new else project.model.base
        text.append("base     ", "dim").append(clean(base, one_line=True) + "\n")
        text.append("data     ", "dim").append(clean(sources, one_line=True, limit=300) + "\n")
        if last:
            text.append("last run ", "dim").append(clean(last, one_line=True, limit=300) + "\n")
        self.query_one("#preflight-what", Static).update(text)
        here = project.launch.where == "here"
        self.query_one("#where", Button).label = "Inside this app" if here else "In the background"

    def show_phase(self, words: str) -> None:
        """Say what preflight is at."""
        self.query_one("#preflight-words", Static).update(
            Text(f"preflight: {clean(words, one_line=True)}", style="dim")
        )

    def show_plan(self, plan: dict[str, Any]) -> None:
        """Say what will happen."""
        self._say(words(plan))

    def show_refusal(self, payload: dict[str, Any]) -> None:
        """Say why it will not start, and what to do."""
        text = Text("This run would not be let start.\n", style="bold red")
        if payload.get("where"):
            text.append(f"{clean(payload['where'], one_line=True)}: ", "bold")
        text.append(clean(payload.get("what", ""), limit=4000) + "\n")
        if payload.get("fix"):
            text.append("\n" + clean(payload["fix"], limit=2000))
        self._say(text)

    def _say(self, text: Text) -> None:
        shown = self.query_one("#preflight-words", Static)
        shown.update(text)
        # An answer that comes before the first layout would keep the height of what stood there.
        self.call_after_refresh(shown.refresh, layout=True)


def words(plan: dict[str, Any]) -> Text:
    """The plan in lines; pure."""
    memory, device = plan["memory"], plan["device"]
    share = memory["total"] / max(1, device["memory"])
    lines = Text()

    def line(name: str, value: str, style: str = "") -> None:
        lines.append(f"{name:<9}", "dim").append(value + "\n", style)

    line("steps", f"{plan['steps']:,} of {plan['rows_per_step']} rows, about {plan['tokens_per_step']:,} tokens each")
    line("warm-up", f"{plan['warmup_steps']:,} steps")
    line(
        "batch",
        f"{plan['batch_size']} rows x {plan['grad_accum']}" + (", recomputing" if plan["checkpointing"] else ""),
    )
    trained = plan["trainable"] / max(1, plan["parameters"])
    line("trains", f"{plan['trainable']:,} of {plan['parameters']:,} parameters ({trained:.2%}), {plan['precision']}")
    fits = "fits" if share <= 0.85 else "tight" if share <= 1 else "does not fit"
    style = "" if share <= 0.85 else "yellow" if share <= 1 else "bold red"
    name = clean(device["name"], one_line=True)
    line(
        "memory", f"about {figures.size(memory['total'])} of {figures.size(device['memory'])} on {name}: {fits}", style
    )
    if parts := memory.get("parts"):
        line("", ", ".join(f"{part} {figures.size(held)}" for part, held in parts.items()), "dim")
    if plan.get("seconds_estimate"):
        line("time", f"about {figures.duration(plan['seconds_estimate'])}, as fast as the last run was")
    for golden in plan.get("golden", []):
        line("φ", clean(golden, one_line=True))
    for note in plan.get("notes", []):
        line("note", clean(note), "yellow")
    return lines
