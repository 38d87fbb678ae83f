"""The sources of the project's data, what was found in each, and the settings that say how they are used."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from phi_tui.errors import PhiError
from phi_tui.safe_text import clean
from phi_tui.schema import Data, Source
from phi_tui.session import Session
from phi_tui.widgets.data_figures import cycle_split, short, split_words
from phi_tui.widgets.data_pane import Pane, VimList
from phi_tui.widgets.data_survey import Known, source_columns
from phi_tui.widgets.dialogs import Ask, AskText

_FORMATS = ("auto", "text", "instruction", "prompt-completion", "chat")
_HUB = (
    "A data set on the Hub, as org/name; a configuration and a split may follow.\n"
    "For example: HuggingFaceH4/no_robots default train"
)


class SourcesPane(Pane):
    """The list of [[data.sources]] and the settings of [data]."""

    NAME, WORD, KEY, MAIN = "sources", "Sources", "s", "#source-list"
    BINDINGS = [
        Binding("a", "add", "Add", id="data.add", tooltip="Add a file by typing its path"),
        Binding("e", "explore", "Tree", id="data.browse", tooltip="Add a file from the tree of folders"),
        Binding("u", "hub", "Hub", id="data.hub", tooltip="Add a data set of the Hub by its name"),
        Binding("delete,d", "remove", "Remove", id="data.remove", tooltip="Take the source out of the project"),
        Binding("r", "role", "Role", id="data.role", tooltip="Train with the source, or validate with it"),
        Binding("c", "columns", "Map", id="data.columns", tooltip="Say which column holds what"),
        Binding("p", "split", "Split", show=False, id="data.split", tooltip="Next split: phi, 0.9, 0.95, none"),
        Binding("m", "mix", "Mix", show=False, id="data.mix", tooltip="Mix the sources with golden weights, or not"),
        Binding("b", "skip_bad", "Skip bad rows", show=False, id="data.skip-bad", tooltip="Leave broken rows out"),
        Binding("y", "train_on", "Train on", show=False, id="data.train-on", tooltip="Answers alone, or everything"),
        Binding("o", "format", "Format", show=False, id="data.format", tooltip="Next format of the rows"),
        Binding("w", "mix_stop", "Mix end", show=False, id="data.mix-stop", tooltip="When the mix ends"),
    ]

    class EditColumns(Message):
        """The mapping of a source is to be edited."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def compose(self) -> ComposeResult:
        """The list over the settings."""
        yield VimList(id="source-list", markup=False)
        yield Static("", id="source-empty", markup=False)
        yield Static("", id="data-settings", markup=False)

    def show(self, known: Known) -> None:
        """Draw sources and settings."""
        sources = known.project.data.sources
        self.border_subtitle = f"{len(sources)} source{'s' * (len(sources) != 1)}" if sources else ""
        listed = self.query_one("#source-list", VimList)
        at = listed.highlighted
        listed.set_options(Option(self._prompt(known, number)) for number in range(len(sources)))
        if sources:
            listed.highlighted = min(at or 0, len(sources) - 1)
        empty = self.query_one("#source-empty", Static)
        empty.display = not sources
        empty.update(
            "No data yet.\n\n"
            "a  type the path of a file (.jsonl .json .csv .tsv .txt .parquet, .gz of them) or of a folder\n"
            "e  find it in the tree of folders\n"
            "u  take a data set from the Hub by its name\n\n"
            "A row is an instruction with its answer, a prompt with its completion, a conversation, or plain text."
        )
        self.query_one("#data-settings", Static).update(_settings(known.project.data))

    def _prompt(self, known: Known, number: int) -> Text:
        source = known.project.data.sources[number]
        name = source.path or " ".join(filter(None, (f"hub {source.hub}", source.hub_config, source.hub_split)))
        text = Text(clean(name, one_line=True, limit=300), style="bold")
        text.append(f"  {source.role}\n", "not bold")
        text.append(f"  {_counts(known, number)}\n", "not bold")
        columns = source_columns(known, number)
        mapping = ", ".join(f"{name} = {column}" if name != column else name for name, column in columns.items())
        words = f"columns{' as named' if source.columns else ''}: {clean(mapping, one_line=True, limit=200)}"
        text.append(f"  {words}" if mapping else "  columns: not known yet", "not bold")
        return text

    # Changing the list

    def _source(self) -> tuple[int, Source] | None:
        project = self.phi.session.project
        at = self.query_one("#source-list", OptionList).highlighted
        if project is None or at is None or at >= len(project.data.sources):
            return None
        return at, project.data.sources[at]

    def _take(self, sources: tuple[Source, ...]) -> None:
        try:
            if sources:
                self.phi.session.set_sources(sources)
            else:
                _empty(self.phi.session)
        except (PhiError, OSError, ValueError) as error:
            self.phi.say(error, severity="error")
            return
        self.phi.changed()

    def add(self, source: Source | None) -> None:
        """Put a source at the end of the list; what is there already is told."""
        project = self.phi.session.project
        if source is None or project is None:
            return
        same = [one for one in project.data.sources if (one.path, one.hub) == (source.path, source.hub)]
        if same and (source.path or (same[0].hub_config, same[0].hub_split) == (source.hub_config, source.hub_split)):
            self.phi.say("This source is in the list already.", severity="warning")
            return
        self._take((*project.data.sources, source))
        self.query_one("#source-list", OptionList).highlighted = len(project.data.sources)

    def change(self, number: int, **values: Any) -> None:
        """Change fields of one source."""
        project = self.phi.session.project
        if project is None or number >= len(project.data.sources):
            return
        sources = list(project.data.sources)
        sources[number] = sources[number].model_copy(update=values)
        self._take(tuple(sources))

    def action_add(self) -> None:
        """Ask for a path."""
        from phi_tui.widgets.data_add import AddPath

        if self.phi.session.project:
            self.phi.push_screen(AddPath(self.phi.session), self.add)

    def action_explore(self) -> None:
        """Show the tree of folders."""
        from phi_tui.widgets.data_add import Browse

        if self.phi.session.project:
            self.phi.push_screen(Browse(self.phi.session), self.add)

    def action_hub(self) -> None:
        """Ask for a data set's name."""
        if self.phi.session.project:
            self.phi.push_screen(AskText(_HUB, placeholder="org/name", check=_hub_flaw), self._named_on_hub)

    def _named_on_hub(self, text: str | None) -> None:
        if text:
            self.add(hub_source(text))

    def action_remove(self) -> None:
        """Ask, then take the highlighted source out; the file stays."""
        chosen = self._source()
        if chosen is None:
            return
        number, source = chosen
        name = source.path or source.hub

        def answered(answer: str | None) -> None:
            project = self.phi.session.project
            if answer == "remove" and project and project.data.sources[number : number + 1] == (source,):
                self._take(project.data.sources[:number] + project.data.sources[number + 1 :])

        question = f"Take {clean(name, one_line=True, limit=200)} out of the project?  The file itself stays."
        self.phi.push_screen(Ask(question, [("keep", "Keep"), ("remove", "Remove")], danger="remove"), answered)

    def action_role(self) -> None:
        """train becomes validation and the other way round."""
        if chosen := self._source():
            self.change(chosen[0], role="validation" if chosen[1].role == "train" else "train")

    def action_columns(self) -> None:
        """Edit the mapping of columns; the screen has the first rows read."""
        if chosen := self._source():
            self.post_message(self.EditColumns(chosen[0]))

    # Settings

    def _data(self) -> Data:
        project = self.phi.session.project
        return project.data if project else Data()

    def action_split(self) -> None:
        """The next of the usual splits."""
        self.phi.set(data__split=cycle_split(self._data().split))

    def action_mix(self) -> None:
        """The phi mix on or off."""
        data = self._data()
        training = sum(source.role == "train" for source in data.sources)
        if data.mix == "none" and training < 2:
            self.phi.say("A mix needs two sources to train on.", severity="warning")
            return
        self.phi.set(data__mix="none" if data.mix == "phi" else "phi")

    def action_mix_stop(self) -> None:
        """Where the mix ends."""
        one = self._data().mix_stop == "first_exhausted"
        self.phi.set(data__mix_stop="all_exhausted" if one else "first_exhausted")

    def action_skip_bad(self) -> None:
        """Leave broken rows out, or refuse them."""
        self.phi.set(data__skip_bad=not self._data().skip_bad)

    def action_train_on(self) -> None:
        """Answers alone or everything."""
        self.phi.set(data__train_on="everything" if self._data().train_on == "completion" else "completion")

    def action_format(self) -> None:
        """The next format."""
        self.phi.set(data__format=_FORMATS[(_FORMATS.index(self._data().format) + 1) % len(_FORMATS)])


def _empty(session: Session) -> None:
    """Take the last source out of the project's file: saving a [data] without any setting left is done here by hand."""
    import tomlkit

    from phi_tui import atomic, project

    if session.file is None:
        return
    project.load(session.file)
    document: Any = tomlkit.parse(session.file.read_text("utf-8-sig"))
    document.get("data", {}).pop("sources", None)
    written = tomlkit.dumps(document)
    project.parse(written, where=str(session.file))
    atomic.write_text(session.file, written)
    session.reload()


def _counts(known: Known, number: int) -> str:
    """One line on a source: format and rows."""
    if number >= len(known.survey.sources):
        return "not read" if known.survey.error else "being read"
    seen = known.survey.sources[number]
    words = f"{seen.get('format', '')}, {short(seen.get('kept'))} of {short(seen.get('read'))} rows kept"
    flaws = []
    if seen.get("duplicates"):
        flaws.append(f"{short(seen['duplicates'])} duplicate{'s' * (seen['duplicates'] != 1)}")
    if seen.get("broken"):
        flaws.append(f"{short(seen['broken'])} broken")
    return clean(words, one_line=True) + (f"\n  {', '.join(flaws)}" if flaws else "")


def _settings(data: Data) -> Text:
    """The settings with the keys that change them."""
    rows = [
        ("p", "split", split_words(data.split)),
        ("m", "mix", data.mix + (f", w ends: {data.mix_stop.replace('_', ' ')}" if data.mix == "phi" else "")),
        ("b", "bad rows", "left out, counted" if data.skip_bad else "stop the run"),
        ("y", "train on", "answers alone" if data.train_on == "completion" else "everything, prompts too"),
        ("o", "format", data.format),
        ("l", "max_length", f"{data.max_length:,} tokens"),
    ]
    text = Text(no_wrap=True, overflow="ellipsis")
    for key, name, value in rows:
        text.append(f"{key} ", "bold")
        text.append(f"{name:<11}")
        text.append(f"{value}\n")
    text.right_crop(1)
    return text


def hub_source(text: str) -> Source:
    """A source from "org/name [configuration [split]]"."""
    parts = text.split()
    if len(parts) == 2:
        return Source(hub=parts[0], hub_config=parts[1])
    return Source(hub=parts[0], hub_config=parts[1], hub_split=parts[2]) if len(parts) > 2 else Source(hub=parts[0])


def _hub_flaw(text: str) -> str:
    parts = text.split()
    if not parts:
        return "type a name, or press escape"
    if len(parts) > 3:
        return "a name, a configuration and a split at most"
    owner, slash, name = parts[0].partition("/")
    if not (owner and slash and name) or "/" in name:
        return "a data set's name is org/name"
    return ""
