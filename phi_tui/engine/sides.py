"""Which rows train and which validate, written out in their order, and the report of it all."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from phi_tui import phi
from phi_tui.engine.doctor import DataReport, MixReport, SourceReport, lengths
from phi_tui.engine.formats import Detected
from phi_tui.engine.gathered import Gathered, twins
from phi_tui.engine.rows import Finding
from phi_tui.engine.split import MixPlan, last_training, mix
from phi_tui.engine.told_rows import Told
from phi_tui.errors import Refusal
from phi_tui.schema import Project, Source


@dataclass(slots=True)
class Part:
    """One source: its good rows, and what was seen while it was read."""

    source: Source
    name: str
    rows: Gathered
    detected: Detected | None = None
    read: int = 0
    duplicates: int = 0
    trains: Any = None
    """A truth value a row, once the rows are divided."""

    @property
    def training(self) -> int:
        """How many rows train."""
        return int(self.trains.sum())


@dataclass(slots=True)
class Sides:
    """The rows of either side; training rows in the order of a mix where there is one."""

    parts: Sequence[Part]
    share: float | None
    mixed: MixPlan | None = None
    sources: list[int] = field(default_factory=list)
    """The parts that a mix draws from, in its own numbering, and the rows of each that train."""
    rows: list[Any] = field(default_factory=list)

    def write(self, staged: Path) -> None:
        """Write train and validation: `NAME.jsonl`, and in `NAME.origins` the place of each row."""
        with contextlib.ExitStack() as open_files:
            files = {
                (side, kind): open_files.enter_context(create(staged / f"{side}.{kind}"))
                for side in ("train", "validation")
                for kind in ("jsonl", "origins")
            }
            for part in self.parts:
                quoted = [json.dumps(file).encode() for file in part.rows.files]
                for first, sizes, text in part.rows.texts():
                    trains = part.trains[first : first + len(sizes)]
                    for side, chosen in (("train", trains), ("validation", ~trains)):
                        if self.mixed is not None and side == "train":
                            continue
                        files[side, "jsonl"].write(text[chosen.repeat(sizes)].tobytes())
                        files[side, "origins"].write(_origins(part.rows, first, chosen, quoted))
            if self.mixed is not None:
                self._write_mixed(files["train", "jsonl"], files["train", "origins"])

    def _write_mixed(self, texts: BinaryIO, origins: BinaryIO) -> None:
        """Write the training rows in the order of the mix, which goes to and fro in the sources."""
        quoted = {
            number: [json.dumps(file).encode() for file in self.parts[number].rows.files] for number in self.sources
        }
        for number, row in self._mixed_rows():
            rows = self.parts[number].rows
            texts.write(rows.text(row))
            file, line = rows.numbers(row)
            origins.write(b"%s\t%d\n" % (quoted[number][file], line))

    def _mixed_rows(self) -> Iterator[tuple[int, int]]:
        assert self.mixed
        for place, row in self.mixed.order:
            yield self.sources[place], int(self.rows[place][row])

    def report(self, tell: Told) -> DataReport:
        """Tell of validation rows that say the same as a training row, and return the report."""
        trained = sum(part.training for part in self.parts)
        validated = sum(part.rows.rows - part.training for part in self.parts)
        both = self._tell_in_both(tell) if trained and validated and len(self.parts) > 1 else 0
        names = [part.name for part in self.parts if part.source.role == "train"]
        mixed: list[MixReport] = []
        stopped = ""
        if plan := self.mixed:
            columns: Any = zip(names, phi.mix_weights(len(names)), plan.used, plan.repeated, plan.left_out, strict=True)
            mixed = [MixReport(*column) for column in columns]
            stopped = plan.reason if plan.stopped_by is None else f"{names[plan.stopped_by]}: {plan.reason}"
        return DataReport(
            sources=[_report(part) for part in self.parts],
            findings=dict(tell.counts),
            train_rows=len(plan.rows) if plan is not None else trained,
            validation_rows=validated,
            in_both=both,
            split=self.share,
            split_reached=None if self.share is None else trained / (trained + validated),
            mix=mixed,
            mix_stopped=stopped,
            characters={
                "train": lengths(self._lengths(training=True)),
                "validation": lengths(self._lengths(training=False)),
            },
        )

    def _lengths(self, *, training: bool) -> Counter[int]:
        """How many rows of a side have each length, in characters."""
        import numpy

        counts: Counter[int] = Counter()
        times: dict[int, Any] = {}
        if training and self.mixed is not None:
            places = numpy.frombuffer(self.mixed.sources, dtype="u4")
            drawn = numpy.frombuffer(self.mixed.rows, dtype="u8")
            for place, number in enumerate(self.sources):
                used = numpy.bincount(drawn[places == place].astype("i8"), minlength=len(self.rows[place]))
                times[number] = numpy.zeros(self.parts[number].rows.rows, dtype="i8")
                times[number][self.rows[place]] = used
        for number, part in enumerate(self.parts):
            for first, (sizes,) in part.rows.chunks("length"):
                own = part.trains[first : first + len(sizes)]
                if number in times:
                    weights = times[number][first : first + len(sizes)]
                else:
                    weights = (own if training else ~own).astype("i8")
                kinds, inverse = numpy.unique(sizes, return_inverse=True)
                for length, count in zip(kinds, numpy.bincount(inverse, weights=weights), strict=True):
                    if count:
                        counts[int(length)] += int(count)
        return counts

    def _tell_in_both(self, tell: Told) -> int:
        import numpy

        starts = list(itertools.accumulate((part.rows.rows for part in self.parts), initial=0))
        drawn: dict[int, Any] = {}
        if self.mixed is not None:
            places = numpy.frombuffer(self.mixed.sources, dtype="u4")
            rows = numpy.frombuffer(self.mixed.rows, dtype="u8").astype("i8")
            for place, number in enumerate(self.sources):
                drawn[number] = numpy.full(self.parts[number].rows.rows, -1, dtype="i8")
                at = numpy.flatnonzero(places == place)[::-1]  # of a row that is drawn again, the first place counts
                drawn[number][self.rows[place][rows[at]]] = at

        def trains(number: int, rows: Any) -> Any:
            if self.mixed is not None:
                return drawn[number][rows] if number in drawn else numpy.full(len(rows), -1)
            return numpy.where(self.parts[number].trains[rows], starts[number] + rows, -1)

        def validates(number: int, rows: Any) -> Any:
            return numpy.where(self.parts[number].trains[rows], -1, starts[number] + rows)

        def where(place: int) -> tuple[str, int]:
            number = int(numpy.searchsorted(starts, place, side="right")) - 1
            return self.parts[number].rows.place(place - starts[number])

        found = twins([part.rows for part in self.parts], trains, validates)
        for row, twin in found:
            file, line = where(row)
            if self.mixed is not None:
                source = self.mixed.sources[twin]
                mate = int(self.rows[source][self.mixed.rows[twin]])
                other, other_line = self.parts[self.sources[source]].rows.place(mate)
            else:
                other, other_line = where(twin)
            message = f"stands in training too, at {other}:{other_line}: its loss says nothing about new rows"
            tell(Finding("warning", "in-both", file, line, message))
        return len(found)


def divide(project: Project, parts: Sequence[Part]) -> Sides:
    """Say which rows train, by the split, the mix and the sources' roles.  Raises Refusal where that cannot be done."""
    import numpy

    data = project.data
    share = {"phi": phi.TRAIN_SHARE, "none": None}[data.split] if isinstance(data.split, str) else data.split
    if any(part.source.role == "validation" for part in parts):
        share = None
    for part in parts:
        part.trains = numpy.full(part.rows.rows, part.source.role == "train")
        if share is not None:
            try:
                last = last_training(part.rows.ranks, part.rows.rows, share)
            except Refusal as error:
                raise Refusal(error.what, where=part.name, fix=error.fix) from None
            high, low = (numpy.uint64(int.from_bytes(half, "big")) for half in (last[:8], last[8:]))
            for first, (ranks,) in part.rows.chunks("rank"):
                upto = (ranks[:, 0] < high) | ((ranks[:, 0] == high) & (ranks[:, 1] <= low))
                part.trains[first : first + len(ranks)] = upto
    if data.mix != "phi":
        return Sides(parts, share)
    training = [number for number, part in enumerate(parts) if part.source.role == "train"]
    sizes = [parts[number].training for number in training]
    mixed = mix(sizes, phi.mix_weights(len(training)), project.seed, data.mix_stop)
    return Sides(parts, share, mixed, training, [numpy.flatnonzero(parts[number].trains) for number in training])


def _origins(rows: Gathered, first: int, chosen: Any, quoted: Sequence[bytes]) -> bytes:
    """The lines of an origins file for the chosen ones of the rows from `first` on."""
    files, lines = rows.origins(first, len(chosen))
    pairs = zip(files[chosen].tolist(), lines[chosen].tolist(), strict=True)
    return b"".join([b"%s\t%d\n" % (quoted[file], line) for file, line in pairs])


def _report(part: Part) -> SourceReport:
    detected, kept = part.detected, part.rows.rows
    return SourceReport(
        name=part.name,
        role=part.source.role,
        files=list(part.rows.files),
        format=detected.format if detected else "unknown",
        columns=dict(detected.columns) if detected else {},
        reason=detected.reason if detected else "",
        read=part.read,
        kept=kept,
        broken=part.read - kept,
        duplicates=part.duplicates,
        train=part.training,
        validation=kept - part.training,
    )


def create(path: Path) -> BinaryIO:
    """Open a new file for its owner alone."""
    return open(path, "wb", buffering=1 << 18, opener=lambda name, flags: os.open(name, flags, 0o600))
