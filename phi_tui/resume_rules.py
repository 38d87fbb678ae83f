"""Which settings matter when a run goes on: those that may differ, and those that only a new run may go on with.

A resumed run comes to the bytes of one that was never stopped, so a setting that decides any of them must be as it
was.  `--resume-as new` starts a new run from the newest checkpoint of the old one instead, under the settings as they
are now; what gives the weights or the optimiser's state their shape cannot change even then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["free", "new", "fixed"]
Change = tuple[str, Any, Any]
"""A dotted key, what the run has, what the project has."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a change of the keys that begin with one of `keys` means for a run that goes on."""

    keys: tuple[str, ...]
    kind: Kind
    why: str


RULES = (
    Rule(("chat.",), "free", "it is read when you talk to the result"),
    Rule(("launch.where",), "free", "the same engine runs in the background and here"),
    Rule(("train.keep_checkpoints",), "free", "it decides which resume points stay"),
    Rule(("train.report_to",), "free", "trackers hear what the journal hears"),
    Rule(("train.on_oom",), "free", "it decides what follows when memory runs out"),
    Rule(("schema", "name"), "fixed", "it says what the file is, and names the folder that the runs are in"),
    Rule(("model.", "scratch."), "fixed", "the checkpoint's weights belong to that base"),
    Rule(
        ("lora.rank", "lora.targets", "lora.variant", "lora.init", "lora.modules_to_save", "lora.trainable_tokens"),
        "fixed",
        "it gives the adapter its shape",
    ),
    Rule(("lora.plus_ratio", "train.method", "train.optimizer"), "fixed", "it gives the optimiser's state its shape"),
    Rule(("data.labels",), "fixed", "it gives the head its shape"),
    Rule(("seed", "data."), "new", "other rows, or the same in another order"),
    Rule(("lora.",), "new", "the adapter acts otherwise from there on"),
    Rule(("train.", "launch.processes"), "new", "other steps, another learning rate, or another best adapter"),
)
"""The first rule that fits a key decides."""


def rule(key: str) -> Rule:
    """Return the rule for a dotted key."""
    return next(one for one in RULES if any(_fits(key, prefix) for prefix in one.keys))


def mattering(changes: list[Change]) -> list[Change]:
    """Return the changes under which a run cannot go on as itself."""
    return [change for change in changes if rule(change[0]).kind != "free"]


def fixed(changes: list[Change]) -> list[Change]:
    """Return the changes under which not even a new run can go on from a checkpoint."""
    return [change for change in changes if rule(change[0]).kind == "fixed"]


def line(change: Change) -> str:
    """Say a change in a line, with the reason why it matters."""
    key, before, after = change
    return f"{key}: the run has {before}, the project {after} ({rule(key).why})"


def table() -> str:
    """Return the rules as a table for the documents."""
    words = {"free": "goes on", "new": "`--resume-as new`", "fixed": "refused"}
    rows = [
        f"| {', '.join(f'`{key}*`' if key.endswith('.') else f'`{key}`' for key in one.keys)} | {words[one.kind]} | "
        f"{one.why} |"
        for one in RULES
    ]
    return "\n".join(["| changed | then | because |", "| --- | --- | --- |", *rows])


def _fits(key: str, prefix: str) -> bool:
    return key.startswith(prefix) if prefix.endswith(".") else key == prefix or key.startswith(f"{prefix}.")
