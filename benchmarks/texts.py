"""Rows of real text that any machine has: what the docstrings of Python's own library and of installed packages say.

`short` rows ask what a name does and answer with the first sentence of its docstring, like the entries of a dictionary;
`long` rows ask for the whole docstring, and their lengths are drawn lognormally, with a long tail that is cut at 1,024
tokens.  Both are rendered by the product itself through the base's own chat template, which here begins every row with
the same system message.  `short-random` and `long-random` are rows of random words of the same lengths that begin
with nothing in common, laid out as they stand.  The same Python, packages and seed give the same rows.
"""

from __future__ import annotations

import ast
import bisect
import hashlib
import importlib.util
import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = ("short", "long", "short-random", "long-random")
SPREADS = {"short": (3.8, 0.35), "long": (4.87, 0.8)}
"""Mean and standard deviation of a row's length's logarithm: medians of 45 and 130 tokens."""
LONGEST = 1024
PACKAGES = (
    "numpy",
    "datasets",
    "textual",
    "rich",
    "pydantic",
    "peft",
    "torch.nn",
    "torch.optim",
    "torch.distributions",
)
"""What is read beside the standard library; a package that is not installed is passed over."""

Row = dict[str, str]


def folders() -> list[Path]:
    """Where the sources lie."""
    found = [Path(sysconfig.get_paths()["stdlib"])]
    for name in PACKAGES:
        top, *inner = name.split(".")
        spec = importlib.util.find_spec(top)
        if spec and spec.origin:
            found.append(Path(spec.origin).parent.joinpath(*inner))
    return found


def docstrings() -> Iterator[tuple[str, str, str]]:
    """Yield (full name, signature, docstring) of every documented public class and function, file by file in order."""
    for folder in folders():
        for path in sorted(folder.rglob("*.py")):
            inner = path.relative_to(folder).parts
            if {"test", "tests", "site-packages", "idlelib", "lib2to3"} & set(inner):
                continue
            try:
                tree = ast.parse(path.read_text("utf-8"))
            except (SyntaxError, ValueError, OSError):
                continue
            module = ".".join(part for part in (*inner[:-1], path.stem) if part != "__init__") or folder.name
            yield from _of(tree, module)


def _of(node: Any, name: str) -> Iterator[tuple[str, str, str]]:
    for child in node.body:
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or child.name.startswith("_"):
            continue
        full = f"{name}.{child.name}"
        said = ast.get_docstring(child)
        if said:
            kind = isinstance(child, ast.ClassDef)
            yield full, f"class {child.name}" if kind else f"{child.name}({ast.unparse(child.args)})", said
        if isinstance(child, ast.ClassDef):
            yield from _of(child, full)


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, its lines joined."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s", paragraph, maxsplit=1)[0]


def candidates(kind: str) -> list[Row]:
    """Every row of real text that could be had, each answer once."""
    found: dict[str, Row] = {}
    for name, signature, said in docstrings():
        if kind == "short":
            row = {"instruction": f"What does {name.rpartition('.')[2]} do?", "output": first_sentence(said)}
            fit = 12 <= len(row["output"]) <= 300
        else:
            row = {"instruction": f"Document {name}: {signature}"[:400], "output": said}
            fit = len(said) >= 12
        if fit and said.isascii() and "<|" not in said:
            found.setdefault(row["output"], row)
    return list(found.values())


def draw(kind: str, count: int, base: str, seed: int = 1) -> list[Row]:
    """Return `count` different rows of a kind, in random order; rendered, their lengths are spread as SPREADS says.

    For each length that is drawn the row of the nearest length that is left is taken.  Fewer come where fewer are had.
    """
    numbers = random.Random(f"{kind} {seed}")
    real = kind.removesuffix("-random")
    wanted = [min(LONGEST, max(8, round(numbers.lognormvariate(*SPREADS[real])))) for _ in range(count)]
    if real != kind:
        return _random_words(wanted, base, numbers)
    rows = candidates(kind)
    numbers.shuffle(rows)
    left = sorted(((length, place) for place, length in enumerate(lengths(rows, base))))
    chosen: list[Row] = []
    for length in wanted[: len(rows)]:
        at = bisect.bisect_left(left, (length, 0))
        near = [place for place in (at - 1, at) if 0 <= place < len(left)]
        taken = min(near, key=lambda place: abs(min(left[place][0], LONGEST) - length))
        chosen.append(rows[left.pop(taken)[1]])
    return chosen


def lengths(rows: list[Row], base: str) -> list[int]:
    """Tokens of each row as the product renders it."""
    from phi_tui.engine import loading
    from phi_tui.engine.render import Encoder, choose, segments

    tokenizer = loading.tokenizer(Path(base))
    template = choose("auto", "instruction", tokenizer, loading.stop_ids(Path(base), tokenizer))
    encoder = Encoder(tokenizer, template)
    return [len(ids) for ids, _ in encoder.encode([segments(row, template, tokenizer) for row in rows])]


def _random_words(wanted: list[int], base: str, numbers: random.Random) -> list[Row]:
    """Rows of words of one token each, half prompt and half completion; the end-of-text token is the row's last."""
    from phi_tui.engine import loading

    tokenizer = loading.tokenizer(Path(base))
    words = [text for text, _ in sorted(tokenizer.get_vocab().items()) if re.fullmatch(r"Ġ[a-z]{3,}", text)]
    rows = []
    for length in wanted:
        drawn = [" " + numbers.choice(words)[1:] for _ in range(length - 1)]
        half = length // 2
        rows.append({"prompt": "".join(drawn[:half]), "completion": "".join(drawn[half:])})
    return rows


def told(kind: str, rows: list[list[int]], labels: list[list[int]]) -> str:
    """What is to be known of a set of tokenised rows, in a line."""
    ordered = sorted(map(len, rows))
    common = 0
    while common < ordered[0] and len({row[common] for row in rows}) == 1:
        common += 1
    trained = sum(label != -100 for row in labels for label in row[1:])
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()[:12]
    return (
        f"{kind}: {len(rows)} rows, {sum(ordered)} tokens of which {trained} are trained; a row has a median of "
        f"{ordered[len(ordered) // 2]}, a mean of {sum(ordered) / len(ordered):.1f}, a 95th percentile of "
        f"{ordered[int(0.95 * len(ordered))]}, at most {ordered[-1]}; common to the beginning of all: {common}; "
        f"SHA-256 {digest}"
    )
