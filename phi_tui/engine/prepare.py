"""From a project to tokenised rows: the base found, the sources read and split, the rows rendered and tokenised.

Each stage is skipped when its output already stands for the same inputs; what was skipped is said.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi_tui.atomic import settle, write_text
from phi_tui.engine import bases, labels, loading, pretrain, raw, ready, tokenising
from phi_tui.engine.checkpoints import sha256
from phi_tui.engine.render import Template, choose
from phi_tui.engine.sources import Finding
from phi_tui.engine.tokenising import Tokeniser, facts_from, facts_key
from phi_tui.errors import InputError
from phi_tui.run import lock
from phi_tui.schema import Project
from phi_tui.workspace import Workspace, make_folder

Say = Callable[..., None]


@dataclass(frozen=True)
class Prepared:
    """The base with its tokenizer, the template, the data report as plain tables, and the tokenised rows."""

    base: bases.Base
    template: Template
    stops: tuple[int, ...]
    report: dict[str, Any]
    ready: ready.Ready
    labels: labels.Labels | None = None
    """What the head is to learn, where the project trains one."""
    rows: Path = Path()
    """The folder of the split rows."""
    loaded: Any = None
    """The tokenizer, where preparing had to load it."""

    @functools.cached_property
    def tokenizer(self) -> Any:
        """The base's tokenizer, loaded when it is first asked for: that takes torch and some seconds."""
        return self.loaded if self.loaded is not None else loading.tokenizer(self.base.folder)


def prepare(
    project: Project,
    root: Path,
    workspace: Workspace,
    say: Say,
    *,
    weights: bool = True,
    on_finding: Callable[[Finding], None] | None = None,
) -> Prepared:
    """Bring the base and the data to where training can start; relative paths are relative to `root`.

    Raises InputError or Refusal; nothing half-written is left behind.  One process prepares a project at a time.
    """
    labels.check(project)
    workspace.prepare()
    pretrain.check(project)
    new = pretrain.from_scratch(project)  # its base is made from the rows, so they come first
    say("phase", name="base", detail="a new one" if new else project.model.base)
    rows, tokens = workspace.raw(project.name), pretrain.tokens_folder(project, workspace)
    known = ready.kept_facts(tokens)

    def check(folder: Path) -> None:
        """Look at the architecture of the base, unless the tokens that stand were made with it or a crew will look."""
        if facts_from(known, facts_key(folder)) is None and raw.size(project, root) < tokenising.WORTH:
            bases.check_architecture(folder)

    base = None
    if not new:
        base = bases.resolve(
            project.model,
            root,
            workspace.models,
            weights=weights,
            on_progress=lambda text: say("phase", name="base", detail=text),
            check=check,
        )
    make_folder(rows.parent)
    make_folder(tokens.parent)
    told = 0.0

    def waiting() -> None:
        """Another process, perhaps the app's preflight, prepares the same project: its work is used, not refused."""
        nonlocal told
        if time.monotonic() - told > 1.0:
            told = time.monotonic()
            say("phase", name="read", detail="waiting: another process prepares this project")

    with (
        contextlib.ExitStack() as stack,
        lock(rows.parent / f".{project.name}.lock", f"preparing {project.name}", waiting=waiting),
    ):
        settle(rows.parent, rows.name)
        settle(tokens.parent, tokens.name)
        tokeniser = stack.enter_context(Tokeniser(base.folder, known)) if base else None
        if raw.fresh(project, root, rows):
            say("phase", name="read", detail="unchanged, skipped")
        else:
            if tokeniser:
                tokeniser.expect(raw.size(project, root))
            say("phase", name="read", detail="reading the sources")
            raw.build(project, root, rows, on_finding=on_finding, on_progress=_paced(say, "read"))
        report = json.loads((rows / "report.json").read_text("utf-8"))
        hashed = data_hash(rows)
        if base is None or tokeniser is None:
            base = pretrain.new_base(project, root, workspace, rows, hashed, say, weights=weights)
            tokeniser = stack.enter_context(Tokeniser(base.folder, known))
        size = sum((rows / name).stat().st_size for name in ("train.jsonl", "validation.jsonl"))
        try:
            paced = _paced(say, "read")  # whoever listens may end it, and hears of rows that were read already
            facts = tokeniser.facts(size, lambda: paced(report["train_rows"] + report["validation_rows"]))
        except InputError:  # it is the base that is wrong, whatever else was done before that was known
            say("phase", name="base", detail="its tokenizer cannot be loaded")
            raise
        template = choose(project.data.template, _format(report), facts, facts.stops)
        fingerprint, build = pretrain.token_stage(project)
        expected = fingerprint(project, hashed, ready.tokenizer_hash(base.folder), template)
        made = ready.opened(tokens, expected)
        if made:
            say("phase", name="tokenise", detail="unchanged, skipped")
        else:
            tokeniser.expect(size)
            say("phase", name="tokenise", detail="rendering and tokenising")
            made = build(
                project,
                rows,
                tokens,
                tokeniser.loaded,
                template,
                data_hash=hashed,
                expected=expected,
                on_finding=on_finding,
                on_progress=_paced(say, "tokenise"),
                crew=tokeniser.crew,
                facts=tokeniser.table(),
            )
        labelled = labels.read(rows) if labels.has_head(project) else None
    return Prepared(base, template, facts.stops, report, made, labelled, rows, tokeniser.loaded)


def data_hash(rows: Path) -> str:
    """SHA-256 over the split rows; kept beside them until a file's size or time changes."""
    files = [rows / "train.jsonl", rows / "validation.jsonl"]
    stamp = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    note = rows / ".sha256.json"
    try:
        kept = json.loads(note.read_text())
        if kept["stamp"] == stamp:
            return str(kept["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    whole = hashlib.sha256("".join(sha256(path) for path in files).encode()).hexdigest()
    write_text(note, json.dumps({"stamp": stamp, "sha256": whole}))
    return whole


def _format(report: dict[str, Any]) -> str:
    """The rows' format; conversations decide where sources differ, since they need a template most."""
    formats = [source["format"] for source in report["sources"]]
    known = ("chat", "instruction", "prompt-completion", "summarisation", "qa")
    return next((form for form in known if form in formats), "text")


def _paced(say: Say, name: str, every: float = 0.25) -> Callable[[int], None]:
    """Report rows done at most four times a second."""
    spoke = 0.0

    def report(done: int) -> None:
        nonlocal spoke
        now = time.monotonic()
        if now - spoke >= every:
            spoke = now
            say("phase", name=name, done=done)

    return report
