"""The panel that tells about the run under the cursor."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.widgets import Static

from phi_tui.compare import number
from phi_tui.run_list import Glance
from phi_tui.safe_text import clean
from phi_tui.widgets import runs_rows
from phi_tui.widgets.runs_facts import Facts


class RunDetails(Static):
    """Title and state at once; the facts when they are read."""

    COMPONENT_CLASSES = {"runs-details--label"}

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, classes="panel", markup=False)
        self._shown: tuple[Glance, Facts | None] | None = None

    def on_resize(self, event: events.Resize) -> None:
        """There may be more room now."""
        if self._shown:
            self.show(*self._shown)

    def show(self, glance: Glance | None, facts: Facts | None) -> None:
        """Tell about a run, or about none."""
        self._shown = (glance, facts) if glance else None
        if glance is None:
            self.border_title = ""
            self.update("")
            return
        self.border_title = Text(clean(glance.name, one_line=True, limit=70))
        label = self.get_component_rich_style("runs-details--label", partial=True)
        lines = [Text.assemble((glance.state, "bold"), self._figures(glance))]
        if facts is not None:
            made_of = [Text.assemble(("made of  ", label), facts.made_of)] if facts.made_of else []
            go_on = [Text(facts.go_on)] if facts.go_on else []
            if facts.last_words:  # what matters first: the panel may be low
                room = self.content_size.width * max(1, self.content_size.height - 3) - 20
                words = clean(facts.last_words, limit=max(60, room))
                lines += [Text.assemble(("last words  ", label), words), *go_on, *made_of]
            else:
                lines += [*made_of, *go_on]
        self.update(Text("\n").join(lines))

    @staticmethod
    def _figures(glance: Glance) -> str:
        words = [""]
        if glance.steps:
            words.append(f"step {glance.step:,} of {glance.steps:,}")
        if glance.state == "running" and glance.phase:
            words.append(clean(glance.phase, one_line=True, limit=40))
        figures = glance.figures
        perplexity, base = number(figures.get("perplexity")), number(figures.get("base_perplexity"))
        if perplexity is not None:
            before = f"{runs_rows.shown(base, 'number')} (base) -> " if base is not None else ""
            if (unigram := number(figures.get("unigram_perplexity"))) is not None:
                before = f"{runs_rows.shown(unigram, 'number')} (unigram) -> "
            words.append(f"perplexity {before}{runs_rows.shown(perplexity, 'number')}")
        if (memory := number(figures.get("peak_memory_bytes"))) is not None:
            words.append(f"memory {runs_rows.shown(memory, 'bytes')}")
        return "  ".join(words)
