"""The split and the mix in counts: what each golden share costs in rows, and what the weights give each source."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from phi_tui.safe_text import clean
from phi_tui.widgets.data_figures import (
    Choice,
    bar,
    choices,
    chosen,
    mix_lines,
    short,
    sizes_of,
    split_value,
    train_share,
    trained_rows,
)
from phi_tui.widgets.data_pane import Pane, PickList
from phi_tui.widgets.data_survey import Known
from phi_tui.widgets.split_bar import SplitBar

_HEURISTIC = (
    "A heuristic: 38.2% is far more than the usual 1-10%. It buys a steadier estimate of the loss and costs rows to "
    "train on."
)


class SplitPane(Pane):
    """The split as a bar, the golden shares beside it, and the mix."""

    NAME, WORD, KEY, MAIN = "split", "Split & mix", "x", "#split-choices"
    BINDINGS = [
        Binding("m", "mix", "Mix", id="split.mix", tooltip="Mix the sources with golden weights, or not"),
        Binding("w", "mix_stop", "Mix end", show=False, id="split.mix-stop", tooltip="When the mix ends"),
        Binding("p", "number", "Share", id="split.number", tooltip="Type the training share, such as 0.91"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._values: list[str | float] = []

    def compose(self) -> ComposeResult:
        """Bar, choices, what they mean, mix."""
        yield SplitBar(id="split-bar")
        yield Static("", id="split-head", markup=False)
        yield PickList(id="split-choices", markup=False)
        yield Static(_HEURISTIC, id="split-words", classes="dim", markup=False)
        with VerticalScroll(id="mix-scroll", can_focus=False):
            yield Static("", id="split-mix", markup=False)
            yield Static("", id="split-mix-end", markup=False)

    def show(self, known: Known) -> None:
        """Draw the split of the project over the rows that the survey found."""
        data, report = known.project.data, known.survey.report
        held_out = any(source.role == "validation" for source in data.sources)
        sizes = sizes_of(report)
        train, validation = _sides(known)
        self.query_one(SplitBar).show(train, validation)
        self.border_subtitle = f"seed {known.project.seed}"
        head = self.query_one("#split-head", Static)
        flaw = self.nothing_yet(known)
        if flaw:
            head.update(flaw)
        elif held_out:
            head.update("A source has the role validation, so nothing else is split off: these shares are not used.")
        else:
            head.update(Text("validation share     trains  validates       tokens", style="bold"))
        offered = choices(report, known.survey.tokens)
        self._values = [one.value for one in offered]
        listed = self.query_one("#split-choices", PickList)
        at = listed.highlighted
        current = next((place for place, one in enumerate(offered) if chosen(data.split, one.value)), None)
        listed.set_options(Option(_line(one, chosen(data.split, one.value), bool(sizes))) for one in offered)
        listed.highlighted = at if at is not None else (current or 0)
        self.query_one("#split-mix", Static).update(_mix(known))
        self.query_one("#split-mix-end", Static).update(_mix_end(known))

    @on(OptionList.OptionSelected, "#split-choices")
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._set(event.option_index)

    def _set(self, at: int) -> None:
        if self.phi.session.project and at < len(self._values):
            self.phi.set(data__split=self._values[at])

    def action_number(self) -> None:
        """Ask for a training share."""
        from phi_tui.widgets.dialogs import AskText

        def taken(text: str | None) -> None:
            if text:
                self.phi.set(data__split=float(text))

        if self.phi.session.project:
            question = "Training share, between 0 and 1: 0.91 trains on 91% and validates on 9%."
            self.phi.push_screen(AskText(question, placeholder="0.91", check=_share_flaw), taken)

    def action_mix(self) -> None:
        """The phi mix on or off."""
        self.screen.query_one("#pane-sources").action_mix()  # type: ignore[attr-defined]

    def action_mix_stop(self) -> None:
        """Where the mix ends."""
        self.screen.query_one("#pane-sources").action_mix_stop()  # type: ignore[attr-defined]


def _share_flaw(text: str) -> str:
    try:
        share = float(text)
    except ValueError:
        return "a number between 0 and 1, such as 0.91"
    return "" if 0 < share < 1 else "it must lie between 0 and 1"


def _sides(known: Known) -> tuple[int, int]:
    """Rows that train and validate under the project's split; as counted where the survey knows that split."""
    data, report = known.project.data, known.survey.report
    sizes = sizes_of(report)
    held_out = sum(int(one["kept"]) for one in report.get("sources") or [] if one.get("role") == "validation")
    if held_out:
        return sum(sizes), held_out
    share = train_share(data.split)
    counted = [(int(one["train"]), int(one["validation"])) for one in report.get("sources") or []]
    asked = report.get("split")
    if counted and (abs((asked if asked is not None else 1.0) - share) < 1e-9):
        return sum(one for one, _ in counted), sum(one for _, one in counted)
    train = trained_rows(sizes, share)
    return train, sum(sizes) - train


def _line(one: Choice, current: bool, known: bool) -> Text:
    name = "phi" if one.value == split_value(2) else one.label
    text = Text(no_wrap=True, overflow="ellipsis", style="bold" if current else "")
    text.append("● " if current else "  ")
    text.append(f"{name:<8}{one.validation_share:>6.1%}  ")
    if known:
        text.append(f"{short(one.train):>9}{short(one.validation):>11}")
        text.append(f"{'about ' + short(one.tokens):>13}" if one.tokens is not None else "")
    return text


def _mix(known: Known) -> Text:
    data, report = known.project.data, known.survey.report
    training = [source for source in data.sources if source.role == "train"]
    text = Text(no_wrap=True, overflow="ellipsis")
    if data.mix == "none":
        if len(training) > 1:
            text.append("Mix  ", "bold")
            text.append("none: the sources follow one another.  m: mix them 0.618, 0.382, 0.236, ... normalised")
        return text
    text.append("Mix         weight                    used  repeated  left out\n", "bold")
    for line in mix_lines(known.project, report):
        weight = float(line.get("weight") or 0)
        text.append(f"{_fit(clean(line.get('source', ''), one_line=True), 11)} {weight:>6.3f} {bar(weight, 12):<12}")
        figures = (line.get("used"), line.get("repeated"), line.get("left_out"))
        text.append("".join(f"{short(value):>10}" for value in figures) if figures[0] is not None else "   being read")
        text.append("\n")
    text.right_crop(1)
    return text


def _mix_end(known: Known) -> Text:
    data = known.project.data
    if data.mix == "none":
        return Text()
    ends = "the first source that runs out" if data.mix_stop == "first_exhausted" else "the last that was seen whole"
    stopped = clean(known.survey.report.get("mix_stopped") or "", one_line=True, limit=200)
    return Text(f"ends at {ends}; w changes it" + (f"\n{stopped}" if stopped else ""))


def _fit(text: str, width: int) -> str:
    """A text of exactly so many cells, cut at its beginning: the end of a path tells more."""
    from rich.cells import cell_len, set_cell_size

    while cell_len(text) > width:
        text = "…" + text[2:]
    return set_cell_size(text, width)
