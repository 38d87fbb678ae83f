"""What the Data screen knows of the project's data: the state that a survey's replies build up, event by event.

It is plain data without a widget, so that every order in which replies can come (late, doubled, after an error) is
tested without a terminal.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phi_tui import project as projects
from phi_tui.child import Reply
from phi_tui.schema import Project

FINDINGS_KEPT = 300
"""Findings held for the table: a table of more is slow to fill, and nobody reads it."""


@dataclass
class Survey:
    """One survey: where it stands, and its result when it has one."""

    key: str = ""
    """What was surveyed: the file and the settings that decide the answer."""
    request: int = 0
    """Number of the request; 0 before it is asked."""
    running: bool = False
    phase: str = ""
    findings: list[dict[str, Any]] = field(default_factory=list)
    """The first findings, as they came."""
    heard: int = 0
    """How many findings came."""
    result: dict[str, Any] = field(default_factory=dict)
    """What is known; while it runs, what the survey before it found."""
    stale: bool = False
    """Whether the result is that of the survey before."""
    counts: dict[str, int] = field(default_factory=dict)
    """Rows read, kept and broken, where the data is refused and there is no result."""
    error: dict[str, Any] = field(default_factory=dict)

    def take(self, reply: Reply) -> bool:
        """Take in a reply; returns whether it was one for this survey."""
        if not self.request or reply.id != self.request:
            return False
        if reply.kind == "phase":
            self.phase = phase_words(reply.payload)
        elif reply.kind == "finding":
            self.heard += 1
            self._keep(dict(reply.payload))
        elif reply.kind == "partial":
            self.counts = {name: count for name, count in reply.payload.items() if isinstance(count, int)}
        elif reply.kind == "result":
            self.result, self.stale = dict(reply.payload), False
        elif reply.kind == "error":
            self.error, self.result, self.stale = dict(reply.payload), {}, False
        if reply.final:
            self.running = False
            self.phase = ""
        return True

    def _keep(self, finding: dict[str, Any]) -> None:
        """Hold a finding; where there is no room, one that matters takes the place of a mere remark."""
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(finding)
        elif finding.get("severity") != "info":
            place = next((at for at, one in enumerate(self.findings) if one.get("severity") == "info"), None)
            if place is not None:
                self.findings[place] = finding

    @property
    def known(self) -> bool:
        """Whether it ended with a result or an error."""
        return bool(self.request) and not self.running and not self.stale and bool(self.result or self.error)

    @property
    def report(self) -> dict[str, Any]:
        """The data report, or an empty table."""
        report = self.result.get("report")
        return report if isinstance(report, dict) else {}

    @property
    def sources(self) -> list[dict[str, Any]]:
        """What is known of each source, in the project's order."""
        return list(self.report.get("sources") or [])

    @property
    def tokens(self) -> dict[str, dict[str, Any]]:
        """Counts of tokens for train and validation; empty when the base could not be used."""
        tokens = self.result.get("tokens")
        return tokens if isinstance(tokens, dict) else {}

    @property
    def base_error(self) -> dict[str, Any]:
        """Why there are no tokens."""
        error = self.result.get("base_error")
        return error if isinstance(error, dict) else {}

    @property
    def total_findings(self) -> int:
        """How many findings there are, shown or not."""
        counts = {} if self.stale else self.result.get("findings") or {}
        return max(self.heard, sum(counts.values()) if isinstance(counts, dict) else 0)

    def severities(self) -> dict[str, int]:
        """How many of the findings held are of each severity."""
        counts: dict[str, int] = {}
        for finding in self.findings:
            name = str(finding.get("severity", ""))
            counts[name] = counts.get(name, 0) + 1
        return counts


@dataclass(frozen=True)
class Known:
    """What a pane needs to draw itself."""

    project: Project
    root: Path
    survey: Survey
    """The newest survey; it may be of an older text of the project while the next one runs."""


def survey_key(project: Project, file: Path | None) -> str:
    """What decides a survey's answer: the settings of data, model, chat, name and seed.  Others change nothing."""
    tables = projects.dump(project, defaults=True)
    kept = {name: tables.get(name) for name in ("name", "seed", "model", "data", "chat")}
    return json.dumps([str(file), kept], sort_keys=True, default=str)


def phase_words(payload: dict[str, Any]) -> str:
    """One line for a phase event."""
    words = str(payload.get("name", ""))
    if payload.get("detail"):
        words += f": {payload['detail']}"
    done, total = payload.get("done"), payload.get("total")
    if isinstance(done, int):
        words += f"  {done:,}" + (f" of {total:,}" if isinstance(total, int) and total else "") + " rows"
    return words


def error_words(error: dict[str, Any]) -> str:
    """One paragraph for an error: where, what, and what to do."""
    where = f"{error['where']}: " if error.get("where") else ""
    fix = f"\n{error['fix']}" if error.get("fix") else ""
    return f"{where}{error.get('what', '')}{fix}"


def source_columns(known: Known, number: int) -> dict[str, str]:
    """Which column of a source holds which field: as detected, else as the project maps them."""
    if number < len(known.survey.sources):
        return dict(known.survey.sources[number].get("columns") or {})
    return dict(known.project.data.sources[number].columns)
