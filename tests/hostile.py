"""Text that wants to be obeyed: by a terminal, by markup, by a reader of bytes; and the places it can come from.

`workspace` fills a workspace with it: project files, a base, rows, finished and failed runs.  `foreign` reads what
an app wrote to a terminal and returns what did not come from the app itself.  Run as a module this file is the
process behind the chat screen, with a model that says nothing else.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import projects
import tiny_bases

CANARY = "kanarienvogel"
_IN_CLIPBOARD = base64.b64encode(CANARY.encode()).decode()

TEXTS = {
    "clipboard": f"\x1b]52;c;{_IN_CLIPBOARD}\x07",
    "link": f"\x1b]8;;http://{CANARY}.example\x1b\\click\x1b]8;;\x1b\\",
    "title": f"\x1b]0;{CANARY}\x07",
    "cursor": "\x1b[2J\x1b[1;1H\x1b[31;5H\x1b[?1049l\x1b[6n\x1b[5A\x1b[3T",
    "device": f"\x1bP$q{CANARY}\x1b\\\x1b_{CANARY}\x1b\\\x1b^{CANARY}\x1b\\\x1bc\x1b(0",
    "c1": f"\x9b2J\x9d0;{CANARY}\x9c\x90{CANARY}\x9c\x85",
    "c0": "\r\b\b\x0b\x0c\x0e\x0f\x05\x07\x7f\x00",
    "bidi": "\u202egnp.exe\u202c \u2066a\u2069 \u200f\u061c",
    "action": f"[@click=app.quit]{CANARY}[/]",
    "close": "[/foo] [/] [/b]",
    "open": "[bold [red]x[/red] [link=http://x]y[/link] \\[bold]",
    "markdown": f"[x](http://{CANARY}.example) `a` **b** <script>",
    "emoji": "\U0001f469\u200d\U0001f680\U0001f3f3\ufe0f\u200d\U0001f308 \U0001f1e9\U0001f1ea",
    "marks": "z" + "\u0301\u0316" * 60 + "a",
    "cjk": "漢字かな한글" * 4,
    "narrow": "a\u200b\u200c\u200d\u2060\ufeffb\u00ad\u180e",
    "separators": "a\u2028b\u2029c\x1c\x1d\x1e",
    "tags": "".join(chr(0xE0000 + ord(letter)) for letter in "hidden"),
}
"""Texts by what they want; all can stand in a TOML or JSON file."""

TOGETHER = " ".join(TEXTS.values())
SURROGATES = "\ud83d \udc00\udcff"
"""Halves of pairs: no file in UTF-8 holds them, but a JSON escape does."""
LONG = "A\x1b]52;c;" + _IN_CLIPBOARD + "\x07" + "b" * 1_000_000
EVERYTHING = [*TEXTS.values(), SURROGATES, TOGETHER]

IN_A_NAME = f"h\x1b]0;{CANARY}\x07\x9b31m\u202e[@click=app.quit][b"
"""As a file name: what a name cannot hold is not in it."""

# What the library itself writes: styles, places, its modes and queries, the pointer's shape.
_OWN = re.compile(
    r"\x1b\[[0-9;]*m|\x1b\[\d+;\d+H|\x1b\[H"
    r"|\x1b\[\?(?:7|25|1000|1003|1004|1006|1015|1016|1049|2004|2026|2048)[hl]"
    r"|\x1b\[\?(?:2026|2048)\$p|\x1b\[>\d+u|\x1b\[<u"
    r"|\x1b\]22;[a-z-]*\x07"
)
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def foreign(raw: bytes) -> list[str]:
    """What in a terminal's input is no text and none of the library's own sequences, each with what follows it.

    Newlines are the library's: it ends lines with them.  A carriage return comes from the line discipline.
    """
    text = _OWN.sub("", raw.decode("utf-8", "surrogateescape")).replace("\r\n", "\n")
    return [text[found.start() : found.start() + 24] for found in _CONTROL.finditer(text)]


def workspace(folder: Path) -> Path:
    """Fill a workspace and return its project file; the base is a real one, with hostile words in its files."""
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / IN_A_NAME
    _base(base)
    data = folder / f"{IN_A_NAME}.jsonl"
    _rows(data)
    file = folder / "hostile.toml"
    file.write_text(_project(base.name, data.name), "utf-8")
    named = f"schema = 1\nname = {_toml(TOGETHER)}\n[lora]\nrank = {_toml(TOGETHER)}\n"
    (folder / f"{IN_A_NAME}.toml").write_text(named)
    (folder / "key.toml").write_text(f'schema = 1\nname = "key"\n[lora]\n{_toml(TOGETHER)} = 8\n')
    (folder / "syntax.toml").write_text(f"schema = 1\n# {TEXTS['clipboard']}\n{TEXTS['title']} = [/foo]\n")
    for number, end in enumerate(("done", "failed", "stopped", "died"), start=1):
        _run(folder / "runs" / "hostile" / f"20260101-00000{number}", end)
    return file


def _toml(text: str) -> str:
    return '"' + "".join(f"\\U{ord(one):08X}" if not one.isalnum() or ord(one) > 126 else one for one in text) + '"'


def _project(base: str, data: str) -> str:
    return (
        f'schema = 1\nname = "hostile"\n[model]\nbase = {_toml(base)}\n'
        f"[data]\nmax_length = 512\nskip_bad = true\n[[data.sources]]\npath = {_toml(data)}\n"
        f"[train]\nepochs = 1.0\n[chat]\nsystem = {_toml(TOGETHER)}\n"
    )


def _base(folder: Path) -> None:
    tiny_bases.make("llama", folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"_name_or_path": TOGETHER, "torch_dtype_note": TOGETHER}
    (folder / "config.json").write_text(json.dumps(config))
    licence = json.dumps(TEXTS["title"] + TEXTS["action"])
    (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n{TOGETHER}\n")
    for name, broken in (
        ("broken", {"model_type": TOGETHER, "architectures": [TOGETHER], "vocab_size": TOGETHER}),
        ("strange", config | {"architectures": [TEXTS["title"] + "ForCausalLM"], "max_position_embeddings": TOGETHER}),
    ):
        other = folder.parent / f"{name}{IN_A_NAME}"
        shutil.copytree(folder, other)
        (other / "config.json").write_text(json.dumps(broken))


def _rows(file: Path) -> None:
    rows = [{"instruction": text, "input": text, "output": text} for text in EVERYTHING]
    rows += projects.rows(30)
    lines = [json.dumps(row) for row in rows]
    long = json.dumps({"instruction": LONG, "output": LONG})
    lines[5:5] = [TOGETHER.replace("\n", " "), json.dumps({TOGETHER: TOGETHER}), long]
    file.write_text("\n".join(lines) + "\n", "utf-8", "surrogatepass")


def _run(path: Path, end: str) -> None:
    (path / "adapter").mkdir(parents=True)
    (path / "project.toml").write_text(_project("base", "train.jsonl"))
    (path / "console.log").write_bytes(f"{TOGETHER}\nbar 1%\rbar 2%\x1b[31mred\x1b[0m\n{LONG}\n{TOGETHER}".encode())
    (path / "lock.toml").write_text(f"[packages]\ntorch = {_toml(TOGETHER)}\n[base]\nid = {_toml(TOGETHER)}\n")
    (path / "adapter" / "phi-tui.json").write_text(json.dumps({"template": TOGETHER}))
    (path / "adapter" / "adapter_model.safetensors").write_bytes(b"")
    with open(path / "journal.jsonl", "w", encoding="utf-8") as book:
        for number, event in enumerate(_events(end), start=1):
            book.write(json.dumps({"seq": number, "time": 1_767_225_600.0 + number, **event}) + "\n")


def _events(end: str) -> list[dict[str, Any]]:
    """A journal as somebody writes it who means harm: words where words go, and odd values where numbers go."""
    odd: list[Any] = [TOGETHER, None, True, [], {}, 10**400, -1, 1e308]
    events: list[dict[str, Any]] = [{"kind": "phase", "name": "start", "steps": 40, "notes": EVERYTHING + odd}]
    events += [{"kind": "phase", "name": text, "detail": text} for text in EVERYTHING]
    events += [{"kind": "eval", "step": 0, "base": True, "eval_loss": 5.5, "perplexity": 246.8}]
    events += [{"kind": "step", "step": step, "steps": 40, "loss": 4.0 / step, "lr": 1e-3} for step in range(1, 30)]
    for value in odd:
        events += [
            {"kind": "step", **dict.fromkeys(("step", "steps", "loss", "lr", "epoch", "tokens"), value)},
            {"kind": "eval", "step": value, "eval_loss": value, "perplexity": value, "base": value},
            {"kind": "phase", "name": value, "detail": value, "done": value, "total": value, "notes": value},
            {"kind": "sample", "step": value, "prompt": value, "text": value, "wanted": value},
            {"kind": "checkpoint", "step": value, "path": value},
            {"kind": "warning", "message": value, "time": value},
            {"kind": "control", "request": value},
            {"kind": value, "message": value},
        ]
    said = [*EVERYTHING, LONG]
    events += [{"kind": "sample", "step": 20, **dict.fromkeys(("prompt", "text", "wanted"), text)} for text in said]
    events += [{"kind": "warning", "message": text} for text in said]
    events += [{"kind": "step", "step": 30, "steps": 40, "loss": 0.2, "lr": 1e-3, "grad_norm": 1.0}]
    figures: dict[str, Any] = dict.fromkeys(("run", "adapter", "best_step", "seconds", "tokens_per_second"), TOGETHER)
    figures |= {"steps": 10**400, "perplexity": TOGETHER, "base_perplexity": [TOGETHER], "peak_memory_bytes": TOGETHER}
    if end == "done":
        events.append({"kind": "done", **figures})
    elif end != "died":
        events.append({"kind": end, "message": TOGETHER})
    return events


def _speak() -> int:
    from phi_tui.engine.service import Task, serve

    def load(task: Task) -> dict[str, Any]:
        task.tell("phase", detail=TOGETHER)
        told = {"title": TOGETHER, "template": TOGETHER, "template_text": TOGETHER, "stops": [TOGETHER], "context": 512}
        more = {"weights": TOGETHER, "device": TOGETHER, "base": TOGETHER}
        return {"voices": [{"key": voice["key"], **told, **more} for voice in task.arguments["voices"]]}

    def answer(task: Task) -> dict[str, Any]:
        for number, text in enumerate(EVERYTHING):
            task.tell("piece", text=text, tokens=number)
        return {"text": " ".join(EVERYTHING), "tokens": 99, "seconds": 1.0, "ended": True, "tokens_per_second": 99.0}

    def prompt_text(task: Task) -> dict[str, Any]:
        return {"text": " ".join(EVERYTHING), "tokens": 12}

    return serve({"load": load, "answer": answer, "prompt_text": prompt_text})


if __name__ == "__main__":
    sys.exit(_speak())
