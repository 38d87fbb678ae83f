"""What came out of a run: figures and the next key when it is done, last words and what to do when it is not."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.widgets import Static

from phi_tui import figures
from phi_tui.engine import scores
from phi_tui.metrics import Snapshot
from phi_tui.run import State
from phi_tui.safe_text import clean


class RunOutcome(Static):
    """Hidden while the run is live."""

    def show(self, state: State, shot: Snapshot, printed: Sequence[str] = ()) -> None:
        """Say how it ended; `printed` is the end of the log of a run that died, made safe."""
        self.display = state in ("done", "stopped", "failed", "died")
        if self.display:
            self.update(words(state, shot, printed))


def words(state: State, shot: Snapshot, printed: Sequence[str] = ()) -> Text:
    """The words for an ended run; pure."""
    found = shot.figures or {}
    if state == "done":
        text = Text()
        if found.get("perplexity") is not None:
            base, now = found.get("base_perplexity"), found["perplexity"]
            before = figures.number(base)
            if found.get("unigram_perplexity") is not None:  # a new model has no base
                before = f"{figures.number(found['unigram_perplexity'])} (unigram)"
            text.append(f"perplexity {before} → {figures.number(now)}", "bold green")
            best = found.get("best_step")
            text.append(f"  best at step {figures.count(best)}" if best != found.get("steps") else "", "dim")
        elif good := scores.summary(found):
            text.append(good, "bold green")
            wrong = clean(scores.mistakes(found), one_line=True, limit=160)
            text.append(f"  mistakes: {wrong}" if wrong else "", "dim")
        else:
            text.append("trained, without validation rows to measure it on", "bold green")
        text.append(
            f"  {figures.count(found.get('tokens_per_second'))} tokens/s, peak memory "
            f"{figures.size(found.get('peak_memory_bytes'))}, {figures.duration(found.get('seconds'))}\n"
        )
        text.append(f"adapter {clean(found.get('adapter', ''), one_line=True)}\n", "dim")
        return text.append("c to chat with it, n for another run", "bold")
    text = Text(
        clean(shot.message, limit=1500) if shot.message else "", style="yellow" if state == "stopped" else "red"
    )
    if state == "died":
        text = Text("The trainer ended without a last word: killed, or the machine went down.", style="bold red")
        if printed:
            text.append("\nits log ends: ", "dim").append("\n".join(line[:200] for line in printed[-3:]), "dim")
    return text.append("\nr to go on from its newest checkpoint, n for a new run", "bold")
