"""Ten thousand strings, random and hostile, on their way to a real terminal: no byte of control comes through."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import hostile
import pytest

from phi_tui.safe_text import clean

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_RICH = re.compile(rb"\x1b\[(?:\?25[hl]|\d*[AKG]|\d+(?:;\d+)*m|2K|m)")
"""What the reporter's library writes of its own: styles, and the moves of its one live line."""


def strings(count: int, seed: int = 1618) -> list[str]:
    """Strings of any code points, of controls above all, and pieces of hostile ones put together."""
    chance = random.Random(seed)
    controls = [chr(code) for code in (*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF)] + list(_BIDI)
    pieces = [*hostile.EVERYTHING, "\x1b[", "\x9b", "\x9d", "\x1b]", "\x07", "\x1b\\", "\r\n", "[/b]"]

    def one() -> str:
        kind = chance.random()
        if kind < 0.4:
            return "".join(chr(chance.randrange(0x110000)) for _ in range(chance.randrange(60)))
        if kind < 0.7:
            return "".join(chance.choice((chance.choice(controls), chr(chance.randrange(32, 127)))) for _ in range(40))
        text = "".join(chance.choice(pieces) for _ in range(chance.randrange(1, 4)))
        at = chance.randrange(len(text) + 1)
        return text[at : at + chance.randrange(200)]

    found: dict[str, None] = {}
    while len(found) < count:
        found[one()] = None
    return list(found)


def through_a_terminal(code: str, texts: list[str], folder: Path) -> bytes:
    """Run `code` with the texts as `texts` on a pty and return every byte that arrived."""
    (folder / "texts.json").write_text(json.dumps(texts))
    ours, theirs = pty.openpty()
    head = f"import json, sys\ntexts = json.load(open({str(folder / 'texts.json')!r}))\n"
    started = subprocess.Popen(
        [sys.executable, "-c", head + code], stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "PYTHONUTF8": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    os.close(theirs)
    seen = bytearray()
    try:
        while chunk := os.read(ours, 65_536):
            seen += chunk
    except OSError:  # the terminal is gone once the process has ended
        pass
    os.close(ours)
    assert started.wait(60) == 0, bytes(seen[-2000:])
    return bytes(seen)


def control(raw: bytes) -> list[str]:
    """The control characters in what a terminal got; line ends and tabs are none."""
    text = raw.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    bad = (one for one in text if one not in "\n\t" and (unicodedata.category(one) in ("Cc", "Cs") or one in _BIDI))
    return [f"{ord(one):x}" for one in bad]


_CLEANED = """
from phi_tui.safe_text import clean
for text in texts:
    print(clean(text))
"""
_REPORTED = """
from phi_tui.report import Reporter
reporter = Reporter(sys.stderr)
for text in texts:
    reporter.line(text)
    reporter.say("warning", message=text)
    reporter.say("phase", name=text, detail=text)
reporter._queue.put(("end", {}))
reporter._thread.join()
"""


def test_a_thousand_strings_leave_no_control_byte(tmp_path: Path) -> None:
    texts = strings(1_000)
    raw = through_a_terminal(_CLEANED, texts, tmp_path)
    assert len(raw) > 20_000 and control(raw) == []


@pytest.mark.slow
def test_ten_thousand_strings_leave_no_control_byte(tmp_path: Path) -> None:
    texts = strings(10_000, seed=271828)
    assert len(set(texts)) == 10_000
    raw = through_a_terminal(_CLEANED, texts, tmp_path)
    assert control(raw) == []
    assert all(len(clean(text)) == len(text) for text in texts)
    reported = through_a_terminal(_REPORTED, texts, tmp_path)
    assert len(reported) > len(raw)
    left = control(_RICH.sub(b"", reported).replace(b"\r", b""))
    print(f"{len(texts)} strings, {len(raw):,} and {len(reported):,} bytes, {len(left)} of control")
    assert left == []


def test_without_the_function_control_bytes_do_come_through(tmp_path: Path) -> None:
    """The trial can fail: it does where the texts go out as they are."""
    raw = through_a_terminal(
        "for text in texts: sys.stdout.buffer.write(text.encode('utf-8', 'replace'))", strings(99), tmp_path
    )
    assert len(control(raw)) > 100
