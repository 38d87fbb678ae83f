"""Project files and data files mutated at random: a message and exit 2 or 3, never a traceback, never a hang."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import projects
import pytest
import tiny_bases
from trials import Zygote

WANTED = 200
"""How many mutants must be refused; those that happen to be valid are run to their end too, and not counted."""
MOST = 900


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bases.make("llama", tmp_path_factory.mktemp("corpus") / "base")


def _flawed(zygote: Zygote, folder: Path, given: list[str]) -> tuple[int, str]:
    """Run a command line in a folder; return its exit code and what is wrong with how it ended."""
    outcome = zygote.run("corpus", folder=str(folder), given=given, seconds=60)
    said = (folder / "out.txt").read_text("utf-8", "replace")
    if outcome.signal:
        return -1, "hangs"
    if outcome.error:
        return -1, f"{outcome.error} escapes: {outcome.what[-300:]}"
    code = int(outcome.value)
    if "Traceback" in said or "internal error" in said:
        return code, f"traceback: {said[-300:]}"
    if code not in (0, 2, 3):
        return code, f"exit code {code}: {said[-300:]}"
    if code and len(said.strip()) < 15:
        return code, f"no message: {said!r}"
    control = [one for one in said if (ord(one) < 32 and one not in "\n\t") or 0x7F <= ord(one) < 0xA0]
    return code, f"control characters {control[:5]!r}" if control else ""


def _through(
    mutants: Iterator[tuple[Callable[[Path], None], str]],
    zygote: Zygote,
    folder: Path,
    given: list[str],
    wanted: int,
) -> tuple[Counter[int], dict[str, str]]:
    """Run mutants until `wanted` of them were refused; return the exit codes and what was wrong with whom."""
    codes: Counter[int] = Counter()
    wrong: dict[str, str] = {}
    for number, (spoil, name) in enumerate(mutants):
        if codes[2] + codes[3] >= wanted or number >= MOST:
            break
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        spoil(folder)
        code, flaw = _flawed(zygote, folder, given)
        codes[code] += 1
        if flaw:
            wrong[f"{number} {name}"] = flaw
    return codes, wrong


VALUES = (
    *("-1", "0", "1e309", "nan", "inf", "true", '""', '"\\u0000"', "[]", "[[]]", "{}", "{ a = 1 }", "9" * 400),
    *('"../../x"', '"/etc/passwd"', '"\\u001b]0;x\\u0007"', "1979-05-27", "0x7f", "'x", '"""', "= =", "null"),
    *("[1, 'a', {}]", '"auto"', "1e-400", "-0.0", "0.9999999999999999999", '"\\ud800"', '"phi"', "{ path = 3 }"),
    *('"' + "x" * 9999 + '"', "1_0_0"),
)


def _project_mutants(base: Path, seed: int) -> Iterator[tuple[Callable[[Path], None], str]]:
    chance = random.Random(seed)
    text = (
        f'schema = 1\nname = "toy"\nseed = 7\n[model]\nbase = "{base}"\ndtype = "auto"\n[data]\nmax_length = 64\n'
        'split = "phi"\nformat = "auto"\n[[data.sources]]\npath = "train.jsonl"\n[[data.transforms]]\ndo = "shuffle"\n'
        '[lora]\nrank = 8\nalpha = 16\ndropout = 0.05\ntargets = "all-linear"\n[train]\nepochs = 2.0\nbatch_size = 4\n'
        'learning_rate = 5e-3\nscheduler = "cosine"\nwarmup = 0.0618\nsamples = 0\n[chat]\nmax_tokens = 8\n'
    )

    def value(lines: list[str]) -> None:
        keyed = [number for number, line in enumerate(lines) if "=" in line]
        number = chance.choice(keyed)
        lines[number] = f"{lines[number].split('=')[0]}= {chance.choice(VALUES)}"

    def key(lines: list[str]) -> None:
        keyed = [number for number, line in enumerate(lines) if "=" in line]
        number = chance.choice(keyed)
        name, _, rest = lines[number].partition("=")
        lines[number] = (
            f"{chance.choice((name[1:], name.strip() + 's ', name.upper(), 'x.' + name, '[' + name))}={rest}"
        )

    def repeat(lines: list[str]) -> None:
        lines.insert(chance.randrange(len(lines)), chance.choice(lines))

    def drop(lines: list[str]) -> None:
        del lines[chance.randrange(len(lines))]

    def shuffle(lines: list[str]) -> None:
        chance.shuffle(lines)

    def bytes_(data: bytearray) -> None:
        for _ in range(chance.choice((1, 1, 3, 20))):
            place = chance.randrange(len(data))
            data[place : place + chance.choice((0, 1, 5))] = chance.choice(
                (b"", b"\xff", b"\x00", b"\x1b[2J", b"]", b'"', b"\n", b"\xe2\x80\xae", bytes([chance.randrange(256)]))
            )

    while True:
        lines = text.splitlines()
        how = chance.choice((value, value, value, key, repeat, drop, shuffle, None))
        data = bytearray()
        if how is None:
            data = bytearray(text.encode())
            bytes_(data)
        else:
            for _ in range(chance.choice((1, 1, 2))):
                how(lines)
            data = bytearray("\n".join(lines).encode("utf-8", "surrogatepass"))

        def spoil(folder: Path, content: bytes = bytes(data)) -> None:
            projects.write_jsonl(folder / "train.jsonl", projects.rows(12))
            (folder / "toy.toml").write_bytes(content)

        yield spoil, how.__name__ if how else "bytes"


def _data_mutants(base: Path, seed: int) -> Iterator[tuple[Callable[[Path], None], str]]:
    import pyarrow
    import pyarrow.parquet as parquet

    chance = random.Random(seed)
    rows = projects.rows(20)
    table = pyarrow.Table.from_pylist(rows)
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink)
    comma = "instruction,input,output\n" + "".join(f'"{r["instruction"]}",,"{r["output"]}"\n' for r in rows)
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    whole = {
        "rows.jsonl": lines,
        "rows.json": json.dumps(rows).encode(),
        "rows.csv": comma.encode(),
        "rows.tsv": comma.replace(",", "\t").encode(),
        "rows.jsonl.gz": gzip.compress(lines, mtime=0),
        "rows.parquet": sink.getvalue().to_pybytes(),
        "rows.txt": lines,
    }
    pieces = (
        *(b"", b"\xff\xfe", b"\x00", b"\x1b]52;c;aGk=\x07", b"{", b"}", b'"', b"\\", b"\n", b"\r", b"[" * 3000),
        *(b"null", b"NaN", b'"output": 5', b'{"instruction": []}', b"\\ud800", b"\xe2\x80\xa8", b"x" * 70_000),
        *(b"\xef\xbb\xbf", b"1e999"),
    )
    while True:
        name = chance.choice(list(whole))
        data = bytearray(whole[name])
        how = chance.choice(("insert", "insert", "cut", "flip", "drop", "reverse", "double"))
        place = chance.randrange(len(data))
        if how == "insert":
            for _ in range(chance.choice((1, 3, 9))):
                at = chance.randrange(len(data))
                data[at:at] = chance.choice(pieces)
        elif how == "cut":
            del data[place:]
        elif how == "flip":
            for _ in range(chance.choice((1, 8, 64))):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif how == "drop":
            del data[place : place + chance.choice((1, 10, 200))]
        elif how == "reverse":
            data[place : place + 80] = data[place : place + 80][::-1]
        else:
            data[place:place] = data[: chance.randrange(len(data))]

        def spoil(folder: Path, name: str = name, content: bytes = bytes(data)) -> None:
            (folder / name).write_bytes(content)
            (folder / "toy.toml").write_text(
                f'schema = 1\nname = "toy"\n[model]\nbase = "{base}"\n[data]\nmax_length = 64\n'
                f'[[data.sources]]\npath = "{name}"\n'
            )

        yield spoil, f"{how} {name}"


GIVEN = {"projects": ["--replay", "toy.toml", "--dry-run"], "data": ["prepare", "toy.toml"]}
MUTANTS = {"projects": _project_mutants, "data": _data_mutants}


@pytest.mark.parametrize("kind", ["projects", "data"])
def test_a_few_mutants_end_in_a_message(base: Path, zygote: Zygote, tmp_path: Path, kind: str) -> None:
    codes, wrong = _through(MUTANTS[kind](base, 3), zygote, tmp_path / "work", GIVEN[kind], 12)
    assert wrong == {}
    assert codes[2] + codes[3] == 12


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["projects", "data"])
def test_two_hundred_mutants_end_in_a_message(base: Path, zygote: Zygote, tmp_path: Path, kind: str) -> None:
    codes, wrong = _through(MUTANTS[kind](base, 11), zygote, tmp_path / "work", GIVEN[kind], WANTED)
    print(f"{kind}: exit codes {dict(codes)}, {len(wrong)} wrong")
    assert wrong == {}
    assert codes[2] + codes[3] == WANTED


def test_an_error_that_escapes_is_seen(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial can fail: where errors are raised instead of told, and where a command hangs."""
    monkeypatch.setenv("PHI_TUI_DEBUG", "1")
    (tmp_path / "toy.toml").write_text("schema = 1\nname = 5\n")
    with Zygote("phi_tui.cli") as raw:
        assert "escapes" in _flawed(raw, tmp_path, ["--replay", "toy.toml"])[1]
        hanging = raw.run("corpus", folder=str(tmp_path), given=["wizard", "--help"], kill_after=0.001)
    assert hanging.signal == 9
