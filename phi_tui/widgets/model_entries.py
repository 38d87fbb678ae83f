"""The bases that the Model screen lists: facts from three places brought into one shape, grouped and filtered.

Data in, data out, without textual: what is on this machine, what phi-tui offers and what the Hub found look alike
here, so that the list and the panel beside it need no cases.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from phi_tui.engine.curated import CuratedBase
from phi_tui.engine.model_list import Interrupted, LocalModel, fits

Kind = Literal["builtin", "hub", "folder", "gguf", "cache", "offered", "found", "typed"]
Verdict = Literal["fits", "tight", "does not fit", "unknown"]

TIGHT = 0.85
"""Share of the memory above which an estimate is called tight: it knows nothing of what else needs memory."""

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_BUILTIN = ("builtin:phi-demo",)
_SIZES = (
    ("offered: below 200M", 200e6),
    ("offered: below 800M", 800e6),
    ("offered: about 1.3B", 1.65e9),
    ("offered: larger", float("inf")),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One base in the list; None and empty texts stand for what is not known.

    `base` is what the project will say; `lora` and `qlora` are estimates in bytes; `partial` counts the bytes of a
    download that is not whole, and `live` says that another process is at it; `note` is what a look at it said.
    """

    base: str
    title: str
    kind: Kind
    parameters: int | None = None
    licence: str = ""
    context: int | None = None
    architecture: str = ""
    layers: int | None = None
    hidden: int | None = None
    chat: bool | None = None
    gated: bool = False
    here: bool = False
    bytes_on_disk: int = 0
    lora: int | None = None
    qlora: int | None = None
    partial: int | None = None
    live: bool = False
    why: str = ""
    problem: str = ""
    note: str = ""

    @property
    def is_path(self) -> bool:
        """Whether `base` names a place on this machine."""
        return self.kind in ("folder", "gguf", "cache")

    @property
    def on_hub(self) -> bool:
        """Whether the Hub is where it comes from and `base` its id there."""
        return self.kind in ("hub", "offered", "found") or (self.kind == "typed" and is_hub_id(self.base))


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under a heading; `note` is a line in their place or below them."""

    title: str
    entries: tuple[Entry, ...]
    note: str = ""


def verdict(need: int | None, memory: int) -> Verdict:
    """Whether an estimate of `need` bytes goes into `memory` bytes."""
    if need is None or memory <= 0:
        return "unknown"
    if need > memory:
        return "does not fit"
    return "tight" if need > TIGHT * memory else "fits"


def of_local(model: LocalModel) -> Entry:
    """A model on this machine as an entry."""
    fit = fits(model, 0)
    return Entry(
        model.base,
        model.title,
        model.kind,
        parameters=model.parameters,
        licence=model.licence,
        context=model.context,
        architecture=model.architecture,
        layers=model.layers,
        hidden=model.hidden,
        chat=model.chat,
        here=True,
        bytes_on_disk=model.bytes_on_disk,
        lora=fit.lora,
        qlora=fit.qlora,
        problem=model.problem,
    )


def from_place(model: LocalModel, said: str) -> Entry:
    """A model that a person or a project named by a path, under the words that were used."""
    return replace(of_local(model), base=said, title=said)


def of_curated(base: CuratedBase) -> Entry:
    """A base that phi-tui offers as an entry."""
    fit = fits(base, 0)
    return Entry(
        base.id,
        base.id,
        "offered",
        parameters=base.parameters,
        licence=base.licence,
        context=base.context,
        architecture=base.architecture,
        layers=base.layers,
        hidden=base.hidden,
        chat=base.chat,
        gated=base.gated,
        lora=fit.lora,
        qlora=fit.qlora,
        why=base.why,
    )


def of_found(answer: Mapping[str, Any]) -> Entry:
    """A model that the Hub's search found as an entry."""
    said = [f"{int(answer[key]):,} {key}" for key in ("downloads", "likes") if isinstance(answer.get(key), int)]
    if answer.get("library"):
        said.append(str(answer["library"]))
    return Entry(
        str(answer["id"]),
        str(answer["id"]),
        "found",
        parameters=_whole(answer.get("parameters")),
        licence=str(answer.get("licence") or ""),
        gated=bool(answer.get("gated")),
        why=", ".join(said),
    )


def described(entry: Entry, answer: Mapping[str, Any]) -> Entry:
    """The entry with what a look at the base itself said; what it does not say stays."""
    chat = answer.get("chat")
    parameters = _whole(answer.get("parameters")) or entry.parameters
    layers, hidden, vocab = (_whole(answer.get(key)) for key in ("layers", "hidden", "vocab"))
    # Without the weights it is not known whether the head is tied; untied needs more, so that is assumed.
    sized = LocalModel(
        entry.base, "", "hub", Path(), parameters=parameters, layers=layers, hidden=hidden, vocab=vocab, tied=False
    )
    fit = fits(sized, 0)
    return replace(
        entry,
        parameters=parameters,
        licence=str(answer.get("licence") or entry.licence),
        context=_whole(answer.get("context")) or entry.context,
        architecture=str(answer.get("architecture") or entry.architecture),
        layers=layers or entry.layers,
        hidden=hidden or entry.hidden,
        chat=chat if isinstance(chat, bool) else entry.chat,
        lora=_whole(answer.get("lora_bytes")) or entry.lora or fit.lora,
        qlora=_whole(answer.get("qlora_bytes")) or entry.qlora or fit.qlora,
        note="",
    )


def grouped(
    local: Sequence[LocalModel],
    halves: Sequence[Interrupted],
    offered: Sequence[CuratedBase],
    found: Sequence[Entry],
    extra: Sequence[Entry] = (),
    *,
    hub_title: str = "",
    hub_note: str = "",
) -> list[Group]:
    """The whole list: this machine, what was typed or is chosen, downloads under way, offers by size, the Hub.

    A base stands in one place only: where it is furthest along.
    """
    curated = {base.id: of_curated(base) for base in offered}
    here = []
    for model in local:
        entry = of_local(model)
        about = curated.get(model.base)
        here.append(replace(entry, why=about.why, licence=about.licence or entry.licence) if about else entry)
    named = {entry.base for entry in here}
    known = {entry.base: entry for entry in (*found, *extra)} | curated
    partial = []
    for half in halves:
        if half.base not in named:
            entry = known.get(half.base, Entry(half.base, half.base, "typed"))
            partial.append(replace(entry, partial=half.bytes, live=half.live))
            named.add(half.base)
    own = [entry for entry in extra if entry.base not in named and entry.base not in curated]
    named |= {entry.base for entry in own}
    groups = [Group("on this machine", tuple(here)), Group("named by hand", tuple(own))]
    groups.append(Group("unfinished downloads", tuple(partial)))
    low = 0.0
    for title, high in _SIZES:
        rows = [one for one in curated.values() if low <= (one.parameters or 0) < high and one.base not in named]
        groups.append(Group(title, tuple(rows)))
        low = high
    named |= set(curated)
    rest = tuple(entry for entry in found if entry.base not in named)
    groups.append(Group(hub_title, rest, hub_note))
    return [group for group in groups if group.entries or group.note]


def filtered(groups: Iterable[Group], text: str, memory: int) -> list[Group]:
    """The groups with the entries that hold every word of `text`; groups without any are left out."""
    words = text.lower().split()
    if not words:
        return list(groups)
    kept = []
    for group in groups:
        entries = tuple(entry for entry in group.entries if all(word in _sought(entry, memory) for word in words))
        if entries:
            kept.append(replace(group, entries=entries))
    return kept


def is_chosen(entry: Entry, base: str, root: Path) -> bool:
    """Whether a project in the folder `root` that says `base` means this entry."""
    if entry.base == base:
        return True
    return entry.is_path and os.path.normpath(absolute(base, root)) == os.path.normpath(entry.base)


def absolute(base: str, root: Path) -> Path:
    """A base that is a path, from the root; raises nothing, whatever stands in it."""
    return (root / os.path.expanduser(base)).absolute()


def is_hub_id(text: str) -> bool:
    """Whether a text has the form of a Hub id (org/name)."""
    return _HUB_ID.fullmatch(text) is not None and not text.lower().endswith(".gguf")


def typed(text: str, root: Path) -> tuple[Literal["builtin", "hub", "path"], str, str]:
    """What a person typed, as (what it is, base, revision): a folder, a .gguf file, or a Hub id with @revision.

    Raises ValueError that says what is wrong with it.
    """
    text = text.strip()
    if not text:
        raise ValueError("type a Hub id (org/name), a folder or a .gguf file, or press escape")
    if text.startswith("builtin:"):
        if text not in _BUILTIN:
            raise ValueError(f"built in is {', '.join(_BUILTIN)} alone")
        return "builtin", text, ""
    try:
        place = absolute(text, root)
        if place.is_dir():
            if not (place / "config.json").is_file():
                files = sorted(path.name for path in place.glob("*.gguf"))
                hint = f"; did you mean {place / files[0]}?" if files else ""
                raise ValueError(f"{place} holds no config.json, so it is no base{hint}")
            return "path", str(place), ""
        if place.is_file():
            with place.open("rb") as file:
                if file.read(4) != b"GGUF":
                    raise ValueError(f"{place} is no GGUF file; name the folder of a base, or a .gguf file")
            return "path", str(place), ""
    except OSError as error:
        raise ValueError(f"{text[:200]} cannot be read: {error.strerror}") from None
    base, _, revision = text.partition("@")
    if is_hub_id(base):
        return "hub", base, revision
    raise ValueError(f"{place} does not exist, and it is no Hub id (org/name) either")


def _sought(entry: Entry, memory: int) -> str:
    """Everything that a filter looks at."""
    words = [entry.base, entry.title, entry.licence, entry.architecture, entry.kind, verdict(entry.lora, memory)]
    words += ["chat"] * bool(entry.chat) + ["gated"] * entry.gated
    return " ".join(words).lower()


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
