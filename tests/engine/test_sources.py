"""Reading: every kind of file gives its rows with file and line, every kind of damage a finding."""

from __future__ import annotations

import csv
import gzip
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phi_tui.engine import text_rows
from phi_tui.engine.rows import Finding, Row
from phi_tui.engine.sources import files_of, read
from phi_tui.errors import InputError
from phi_tui.schema import Source


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    return [(item.line, item.fields) for item in read(path) if isinstance(item, Row)]


def findings(path: Path, severity: str = "error") -> list[Finding]:
    return [item for item in read(path, "f") if isinstance(item, Finding) and item.severity == severity]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", b'{"text": "x"}\n\n{"text": "y"}\r\n', [(1, {"text": "x"}), (3, {"text": "y"})]),
        ("a.ndjson", b'{"text": "x"}', [(1, {"text": "x"})]),
        ("a.json", b'[{"text": "x"},\n {"text": "y"}]', [(1, {"text": "x"}), (2, {"text": "y"})]),
        ("a.json", b'{"version": 1, "data": [{"text": "x"}]}', [(1, {"text": "x"})]),
        ("a.json", b'{"text": "x"}\n{"text": "y"}\n', [(1, {"text": "x"}), (2, {"text": "y"})]),
        ("a.csv", b'q,a\n"x\ny",b\nc,"d,e"\n', [(2, {"q": "x\ny", "a": "b"}), (4, {"q": "c", "a": "d,e"})]),
        ("a.tsv", b"q\ta\nb\tc,d\n", [(2, {"q": "b", "a": "c,d"})]),
        ("a.txt", b"one\n\n  \ntwo\r\n", [(1, {"text": "one"}), (4, {"text": "two"})]),
        ("A.JSONL", b'\xef\xbb\xbf{"text": "x"}\n', [(1, {"text": "x"})]),
        ("a.csv", b"\xef\xbb\xbfq,a\nb,c\n", [(2, {"q": "b", "a": "c"})]),
    ],
)  # fmt: skip
def test_each_kind_of_file_gives_its_rows_with_lines(
    tmp_path: Path, name: str, content: bytes, expected: list[Any]
) -> None:
    assert rows(write(tmp_path / name, content)) == expected
    assert rows(write(tmp_path / f"{name}.gz", gzip.compress(content))) == expected


def test_parquet_gives_its_rows_numbered_across_batches(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    turns = [[{"role": "user", "content": str(number)}] for number in range(1200)]
    pyarrow.parquet.write_table(pyarrow.table({"messages": turns}), tmp_path / "a.parquet")
    read_back = rows(tmp_path / "a.parquet")
    assert [line for line, _ in read_back] == list(range(1, 1201))
    assert read_back[700][1] == {"messages": turns[700]}


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (b'{"text": ', "json", "column"),
        (b"[1]", "not-an-object", "a list"),
        (b"3", "not-an-object", "a number"),
        (b"null", "not-an-object", "null"),
        (b'{"text": "\xff"}', "encoding", "invalid UTF-8 at byte 24 "),
        (b'{"text": "\x00"}', "nul", "NUL byte at byte 24 "),
        (b'{"text": NaN}', "not-a-number", "NaN"),
        (b'{"a": [{"b": -Infinity}]}', "not-a-number", "-Infinity"),
        (b'{"text": "\\ud800"}', "surrogate", "surrogate"),
        (b"[" * 100_000, "json", "nested"),
        (b'{"a": ' + b"1" * 5000 + b"}", "json", "integer string"),
    ],
)
def test_a_broken_json_line_is_an_error_and_the_others_are_read(
    tmp_path: Path, line: bytes, code: str, said: str
) -> None:
    path = write(tmp_path / "a.jsonl", b'{"text": "x"}\n' + line + b'\n{"text": "y"}\n')
    (finding,) = findings(path)
    assert (finding.code, finding.file, finding.line) == (code, "f", 2)
    assert said in finding.message
    assert [number for number, _ in rows(path)] == [1, 3]


def test_an_escaped_emoji_is_no_lone_surrogate(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "\U0001f600"}) + "\n")
    assert rows(path) == [(1, {"text": "\U0001f600"})]


def test_flaws_inside_a_json_array_name_their_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '{"rows": [{"t": "x"}, {"t": NaN}, {"t": "a", "t": "b"}, {"t": "\\udc00"}, 5]}')
    assert [(found.line, found.code) for found in findings(path)] == [
        (2, "not-a-number"),
        (4, "surrogate"),
        (5, "not-an-object"),
    ]
    assert [(found.line, found.code) for found in findings(path, "warning")] == [(3, "repeated-key")]
    assert rows(path) == [(1, {"t": "x"}), (3, {"t": "b"})]


def test_a_key_that_stands_twice_is_a_warning_that_names_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "x", "deep": {"k": 1, "k": 2}}\n')
    (finding,) = findings(path, "warning")
    assert '"k"' in finding.message
    assert rows(path)[0][1]["deep"] == {"k": 2}


def test_byte_order_marks_are_told_and_only_those_before_a_line_are_left_out(tmp_path: Path) -> None:
    mark = "\ufeff"
    path = write(tmp_path / "a.txt", f"{mark}one\n{mark}two\nth{mark}ree\n")
    assert [fields["text"] for _, fields in rows(path)] == ["one", "two", f"th{mark}ree"]
    assert [found.line for found in findings(path, "info")] == [1]
    assert [found.line for found in findings(path, "warning")] == [2, 3]


def test_a_line_beyond_the_limit_is_skipped_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rows, "MAX_LINE", 1 << 20)
    path = tmp_path / "a.jsonl"
    with open(path, "wb") as file:
        file.write(b'{"text": "x"}\n{"text": "')
        for _ in range(40):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n{"text": "y"}\n')
    tracemalloc.start()
    (finding,) = findings(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "a line of 40.0 MB" in finding.message
    assert peak < 8 << 20
    assert [line for line, _ in rows(path)] == [1, 3]


def test_csv_records_that_break_are_told_at_the_line_they_start_on(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'q,a\n"x\ny",1\nonly\na,b,c\nbad\xff,2\nz\x00,3\nok,4\n"open,5\nlost,6\n')
    assert [(found.line, found.code) for found in findings(path)] == [
        (4, "ragged"),
        (5, "ragged"),
        (6, "encoding"),
        (7, "nul"),
        (9, "csv"),
    ]
    assert "never closed; lines 9 to 10 are lost" in findings(path)[-1].message
    assert rows(path) == [(2, {"q": "x\ny", "a": "1"}), (8, {"q": "ok", "a": "4"})]


def test_a_csv_field_beyond_the_limit_is_told_and_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_rows, "MAX_LINE", 1000)
    content = 'q,a\nx,"' + "line\n" * 300 + 'y"\n' + "".join(f"a{n},b\n" for n in range(5))
    path = write(tmp_path / "a.csv", content)
    assert "a quote never closed" in findings(path)[0].message
    assert {"q": "a4", "a": "b"} in [fields for _, fields in rows(path)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named_as_such(tmp_path: Path, encoding: str) -> None:
    (finding,) = findings(write(tmp_path / "a.jsonl", '{"text": "hello there"}\n'.encode(encoding)))
    assert "UTF-16" in finding.message
    assert "iconv" in finding.fix


def test_damaged_gzip_is_an_error_behind_the_rows_that_could_be_read(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b'{"text": "%d"}\n' % (number * 7919) for number in range(50_000)))
    path = write(tmp_path / "a.jsonl.gz", whole[: len(whole) // 2])
    assert "cut off" in findings(path)[0].message
    assert len(rows(path)) > 1000
    assert findings(write(tmp_path / "b.txt.gz", b"plain text"))[0].code == "gzip"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b"\n \n", "holds no row"),
        ("a.csv", b"q,a\n", "holds no row"),
        ("a.json", b"[]", "holds no row"),
        ("a.json", b'{"a": 1}', "no list of rows"),
        ("a.json", b'{"a": [{}], "b": [{}]}', "several lists"),
        ("a.json", b'{"messages": [{"role": "user", "content": "x"}]}', "no list of rows"),
        ("a.json", b"[1, 2", "broken JSON"),
        ("a.json", b"[" * 100_000, "nested"),
        ("a.json", b'["\xff"]', "invalid UTF-8 at byte 2"),
        ("a.csv", b"a,a\n1,2\n", "two columns"),
        ("a.csv", b"a;b\n1;2\n", "semicolons"),
        ("a.csv", b'"a,b\n1,2\n', "header"),
        ("a.parquet", b"PAR1 but not really", "parquet"),
        ("a.parquet", b"text", "parquet"),
        ("a.txt", b"PK\x03\x04rest", "zip"),
        ("a.txt", bytes(range(256)) * 8, "binary"),
        ("a.docx", b"x", "no known kind"),
        ("a.parquet.gz", b"x", "no known kind"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_an_input_error_that_names_it(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        list(read(path, "the-name"))
    assert said in caught.value.what
    assert "the-name" in caught.value.where


def test_the_files_of_a_folder_are_sorted_once_each_and_visible(tmp_path: Path) -> None:
    for name in ("d/b.jsonl", "d/a.csv", "d/sub/c.txt", "d/.hidden.txt", "d/.git/x.txt", "d/README.md"):
        write(tmp_path / name, "text\nx\n")
    (tmp_path / "d/sub/loop").symlink_to(tmp_path / "d")
    (tmp_path / "d/again.csv").symlink_to(tmp_path / "d/a.csv")
    found = files_of(Source(path="d"), tmp_path)
    assert [path.name for path in found] == ["a.csv", "b.jsonl", "c.txt"]


def test_what_is_no_readable_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "empty").mkdir()
    (tmp_path / "round.txt").symlink_to(tmp_path / "round.txt")
    for name, said in [
        ("a.jsonl", "no regular file"),
        ("empty", "no data file"),
        ("missing.jsonl", "no such file"),
        ("round.txt", "symbolic links"),
        ("a\x00b.txt", "null"),
        ("x" * 300 + ".txt", "too long"),
    ]:
        with pytest.raises(InputError) as caught:
            files_of(Source(path=name), tmp_path)
        assert said in caught.value.what
        assert caught.value.where == name


@given(
    st.binary(max_size=400),
    st.sampled_from([".jsonl", ".csv", ".tsv", ".txt", ".json", ".parquet", ".jsonl.gz"]),
)
def test_no_bytes_at_all_raise_anything_but_an_input_error(content: bytes, suffix: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / f"a{suffix}", content)
        try:
            items = list(read(path))
        except InputError:
            return
        assert any(isinstance(item, Row) or item.severity == "error" for item in items)


@given(
    st.lists(
        st.lists(
            # Control characters stay out: a file with many of them counts as binary and is refused.
            st.text(
                st.characters(
                    codec="utf-8", exclude_categories=("Cc",), include_characters="\n\t", exclude_characters="\ufeff"
                )
            ),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
    )
)
def test_csv_written_by_the_standard_library_comes_back_as_it_was(table: list[list[str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["one", "two"], *table])
        assert [list(fields.values()) for _, fields in rows(path)] == table
