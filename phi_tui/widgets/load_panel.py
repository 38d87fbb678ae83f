"""How busy the machine is: each GPU with utilisation, memory, heat and power, the CPU, and the trainer's share."""

from __future__ import annotations

from collections import deque

from rich.text import Text
from textual.widgets import Static

from phi_tui import figures
from phi_tui.machine import Sample
from phi_tui.safe_text import clean

_HISTORY = 60
_LEVELS = " ▁▂▃▄▅▆▇█"


class LoadPanel(Static):
    """Bars with short histories; `show` draws a sample."""

    def __init__(self, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._history: dict[str, deque[float]] = {}
        self._shown: Sample | None = None
        self._rows = -1

    def show(self, sample: Sample | None) -> None:
        """Draw the newest sample, or that there is none; nothing when it was drawn already."""
        if sample is self._shown and self._rows >= 0:
            return
        self._shown = sample
        text = Text("The machine's load is shown while a run is live.", style="dim")
        if sample is not None:
            text = self._lines(sample, max(20, self.size.width))
        rows = len(text.plain.splitlines())
        self.update(text, layout=rows != self._rows)
        self._rows = rows

    def on_resize(self) -> None:
        """The bars follow the width: the next sample is drawn whatever was drawn before."""
        self._shown, self._rows = None, -1

    def _lines(self, sample: Sample, width: int) -> Text:
        rows: list[Text] = []
        for gpu in sample.gpus:
            memory = gpu.memory_used / gpu.memory_total if gpu.memory_total else 0.0
            rows.append(Text(f"GPU {gpu.index} {clean(gpu.name, one_line=True)}", style="bold"))
            rows.append(self._bar(f"gpu{gpu.index}", "busy", (gpu.utilisation or 0) / 100, "", width))
            used = f"{figures.size(gpu.memory_used)} of {figures.size(gpu.memory_total)}"
            rows.append(self._bar(f"mem{gpu.index}", "memory", memory, used, width))
            heat = [f"{gpu.temperature:.0f} °C"] if gpu.temperature is not None else []
            power = (
                [f"{gpu.power:.0f} W" + (f" of {gpu.power_limit:.0f}" if gpu.power_limit else "")] if gpu.power else []
            )
            if heat or power:
                rows.append(Text("       " + "  ".join(heat + power), style="dim"))
        rows.append(self._bar("cpu", "CPU", sample.cpu_percent / 100, "", width))
        ram = f"{figures.size(sample.ram_used)} of {figures.size(sample.ram_total)}"
        rows.append(self._bar("ram", "RAM", sample.ram_used / max(1, sample.ram_total), ram, width))
        if sample.process_rss is not None:
            cores = f", {sample.process_cpu:.0f}% of a core" if sample.process_cpu is not None else ""
            rows.append(Text(f"trainer {figures.size(sample.process_rss)}{cores}", style="dim"))
        return Text("\n").join(rows)

    def _bar(self, key: str, word: str, share: float, note: str, width: int) -> Text:
        past = self._history.setdefault(key, deque(maxlen=_HISTORY))
        past.append(min(1.0, max(0.0, share)))
        tail = f" {share:4.0%} {note}"
        room = max(6, width - 7 - len(tail) - 1)
        long = min(20, room // 2)
        spark = "".join(_LEVELS[round(value * 8)] for value in list(past)[-(room - long - 1) :])
        line = Text(f"{word:<7}", no_wrap=True)
        line.append(figures.bar(share, long), "yellow" if share > 0.9 else "green")
        line.append(tail).append(" " + spark, "dim")
        line.truncate(width)
        return line
