"""Transforms of the rows: what each does, what it refuses, that rows keep their place, and that memory stays flat."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import projects
import pytest

from phi_tui import project as projects_of
from phi_tui.engine import pipeline, raw
from phi_tui.engine.rows import Finding, Row
from phi_tui.engine.text_cleaning import normalise, strip_html
from phi_tui.engine.transform_preview import preview
from phi_tui.engine.transforms import Transforms
from phi_tui.errors import InputError, Refusal
from phi_tui.row_templates import RowTemplate, TemplateFlaw
from phi_tui.schema import Project, Source, Transform

ROWS: list[dict[str, Any]] = [
    {"q": "Why?", "a": "Because", "score": "3"},
    {"q": "How?", "a": "So", "score": "5"},
    {"q": "Why?", "a": "Because", "score": "3"},
    {"q": "When?", "a": "<b>Now</b> &amp; then", "score": None},
]


def project(*transforms: dict[str, Any], sources: int = 1, seed: int = 42) -> Project:
    return projects_of.validate(
        {
            "name": "x", "seed": seed,
            "data": {
                "transforms": list(transforms), "sources": [{"path": f"{n}.jsonl"} for n in range(1, sources + 1)],
            },
        },
        "x.toml",
    )  # fmt: skip


def run(tmp_path: Path, rows: list[dict[str, Any]], *transforms: dict[str, Any], **more: Any) -> list[Row | Finding]:
    chain = Transforms(project(*transforms, **more))
    items: Iterator[Row | Finding] = (Row("1.jsonl", line, dict(row)) for line, row in enumerate(rows, 1))
    done = list(chain.apply(0, items, tmp_path))
    chain.finish()
    return done


def fields(items: list[Row | Finding]) -> list[dict[str, Any]]:
    return [item.fields for item in items if isinstance(item, Row)]


def lines(items: list[Row | Finding]) -> list[int]:
    return [item.line for item in items]


def test_rename_and_drop_keep_the_order_of_the_columns(tmp_path: Path) -> None:
    done = run(tmp_path, ROWS, {"do": "rename", "columns": {"question": "q", "a": "score", "answer": "a"}})
    assert fields(done)[0] == {"question": "Why?", "answer": "Because", "a": "3"}
    assert list(fields(done)[0]) == ["question", "answer", "a"]
    assert fields(run(tmp_path, ROWS, {"do": "drop", "columns": ["q", "score"]}))[1] == {"a": "So"}


def test_a_rename_over_a_column_that_is_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a column 'a' already"):
        run(tmp_path, ROWS, {"do": "rename", "columns": {"a": "q"}})


def test_filter_keeps_the_rows_it_holds_for_and_their_lines(tmp_path: Path) -> None:
    done = run(tmp_path, ROWS, {"do": "filter", "where": "len(a) > 2 and not contains(a, '<')"})
    assert lines(done) == [1, 3]


def test_cast_changes_types_and_tells_the_row_that_cannot_be(tmp_path: Path) -> None:
    done = run(tmp_path, [*ROWS, {"score": "many"}], {"do": "cast", "columns": {"score": "int"}})
    assert [row["score"] for row in fields(done)] == [3, 5, 3, None]
    broken = done[-1]
    assert isinstance(broken, Finding)
    assert (broken.severity, broken.line) == ("error", 5)
    assert "score is 'many', which is no int" in broken.message


@pytest.mark.parametrize(
    ("value", "kind", "made"),
    [("1.0", "float", 1.0), (2.0, "int", 2), (True, "int", 1), ("Yes", "bool", True), (0, "bool", False),
     (1.5, "text", "1.5"), (True, "text", "true"), ([1, "é"], "text", '[1, "é"]'), (" 7 ", "int", 7)],
)  # fmt: skip
def test_each_cast(tmp_path: Path, value: Any, kind: str, made: Any) -> None:
    (row,) = fields(run(tmp_path, [{"x": value}], {"do": "cast", "columns": {"x": kind}}))
    assert row["x"] == made
    assert type(row["x"]) is type(made)


@pytest.mark.parametrize(
    ("value", "kind"), [(1.5, "int"), ("9" * 5000, "int"), ("inf", "int"), ([], "float"), ("maybe", "bool")]
)
def test_what_cannot_be_cast_is_a_finding(tmp_path: Path, value: Any, kind: str) -> None:
    (found,) = run(tmp_path, [{"x": value}], {"do": "cast", "columns": {"x": kind}})
    assert isinstance(found, Finding)


def test_a_template_makes_a_column_of_others(tmp_path: Path) -> None:
    text = "{{ q }} {% if score %}({{ score }}){% else %}-{% endif %}"
    done = run(tmp_path, ROWS, {"do": "template", "column": "prompt", "template": text})
    assert [row["prompt"] for row in fields(done)] == ["Why? (3)", "How? (5)", "Why? (3)", "When? -"]
    (broken,) = run(tmp_path, [{"x": 1}], {"do": "template", "column": "y", "template": "{{ missing }}"})
    assert isinstance(broken, Finding)
    assert "'missing' is undefined" in broken.message


def test_a_template_can_go_over_a_conversation() -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "bot", "content": "Ho"}]
    text = "{% for t in turns %}{{ t.role|upper }}: {{ t['content'] }}{% if not loop.last %}\n{% endif %}{% endfor %}"
    assert RowTemplate(text).render({"turns": turns}) == "USER: Hi\nBOT: Ho"


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}", "{{ x['__class__'] }}", "{{ x.upper() }}", "{{ range(9) }}", "{{ x|attr('y') }}",
        "{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}", "{% include 'x' %}", "{% import 'x' as y %}",
        "{% set x = 1 %}", "{% macro m() %}{% endmacro %}", "{{ 9 ** 9 ** 9 }}", "{{ x ~ x }}", "{{ 'a' * 999999999 }}",
        "{{ cycler }}", "{{ self }}", "{{ x.format(1) }}", "{{ x|replace('', x) }}", "{{ x", "{{ (" * 3000,
        "{% for c in l %}{{ x }}{% endfor %}", "{{ l|join(x) }}", "{{ x + x + x }}{{ x + x + x }}" * 20,
    ],
)  # fmt: skip
def test_a_template_can_neither_reach_out_nor_run_away(text: str) -> None:
    with pytest.raises(TemplateFlaw):
        RowTemplate(text).render({"x": "x" * 900_000, "l": list(range(9000))})


def test_html_becomes_text() -> None:
    page = (
        "<p>Hello&nbsp;<b>you</b> &amp; <a href='x>y'>me</a><br/>a < b <script>if (a<b) x()</script>end<!-- no --></p>"
    )
    assert strip_html(page) == "Hello you & me\na < b end"
    assert strip_html("1 < 2 and 3 > 2") == "1 < 2 and 3 > 2"
    assert strip_html("<ul><li>one</li><li>two</li></ul>") == "one\n\ntwo"
    assert strip_html("&#" + "9" * 9000 + ";").startswith("&#999")


def test_text_is_brought_into_one_form() -> None:
    assert normalise("e\u0301  \u00a0x \r\n\tif  a:\r\n", "NFC") == "\u00e9 x\n\tif a:"
    assert normalise("\ufb01", "NFC") == "\ufb01"
    assert normalise("\ufb01", "NFKC") == "fi"


def test_strip_html_and_normalise_touch_the_named_columns_alone(tmp_path: Path) -> None:
    done = run(tmp_path, ROWS, {"do": "strip-html", "columns": ["a"]}, {"do": "normalise", "columns": ["q"]})
    assert fields(done)[3] == {"q": "When?", "a": "Now & then", "score": None}


def test_deduplicate_keeps_the_first_across_sources(tmp_path: Path) -> None:
    assert lines(run(tmp_path, ROWS, {"do": "deduplicate", "on": ["q"]})) == [1, 2, 4]
    chain = Transforms(project({"do": "deduplicate"}, sources=2))
    kept = [
        len(list(chain.apply(number, (Row("f", n, dict(row)) for n, row in enumerate(ROWS)), tmp_path)))
        for number in (0, 1)
    ]
    assert kept == [3, 0]


MANY = [{"n": number} for number in range(200)]


def test_a_sample_is_exact_stable_and_seeded(tmp_path: Path) -> None:
    by_rows = run(tmp_path, MANY, {"do": "sample", "rows": 20})
    assert len(by_rows) == 20
    assert lines(by_rows) == sorted(lines(by_rows))
    assert lines(by_rows) == lines(run(tmp_path, MANY, {"do": "sample", "rows": 20}))
    backwards = fields(run(tmp_path, MANY[::-1], {"do": "sample", "rows": 20}))
    assert sorted(row["n"] for row in backwards) == [row["n"] for row in fields(by_rows)]
    assert set(lines(by_rows)) < set(lines(run(tmp_path, MANY, {"do": "sample", "share": 0.25})))
    assert len(run(tmp_path, MANY, {"do": "sample", "share": 0.25})) == 50
    assert lines(by_rows) != lines(run(tmp_path, MANY, {"do": "sample", "rows": 20}, seed=7))
    assert len(run(tmp_path, MANY, {"do": "sample", "rows": 2000})) == 200


def test_a_shuffle_is_a_seeded_order_of_all_rows(tmp_path: Path) -> None:
    once = lines(run(tmp_path, MANY, {"do": "shuffle"}))
    assert once != sorted(once) == list(range(1, 201))
    assert once == lines(run(tmp_path, MANY, {"do": "shuffle"}))
    assert once != lines(run(tmp_path, MANY, {"do": "shuffle"}, seed=7))


def test_transforms_follow_one_another_and_are_counted(tmp_path: Path) -> None:
    chain = Transforms(
        project(
            {"do": "deduplicate", "on": ["q", "a"]},
            {"do": "rename", "columns": {"instruction": "q", "output": "a"}},
            {"do": "strip-html", "columns": ["output"]},
            {"do": "filter", "where": "instruction != 'How?'"},
        )
    )
    done = list(chain.apply(0, (Row("f", n, dict(row)) for n, row in enumerate(ROWS, 1)), tmp_path))
    assert lines(done) == [1, 4]
    assert [(c.do, c.rows_in, c.rows_out, c.changed) for c in chain.counts] == [
        ("deduplicate", 4, 3, 0), ("rename", 3, 3, 3), ("strip-html", 3, 3, 1), ("filter", 3, 2, 0),
    ]  # fmt: skip
    assert chain.counts[1].words() == "2 rename: 3 rows in, 3 out, 3 changed"


@pytest.mark.parametrize("named", [2, "2.jsonl"])
def test_a_transform_can_be_for_one_source(tmp_path: Path, named: int | str) -> None:
    chain = Transforms(project({"do": "drop", "columns": ["n"], "source": named}, sources=2))
    for number, wanted in ((0, {"n": 0}), (1, {})):
        (first, *_) = fields(list(chain.apply(number, (Row("f", 1, dict(row)) for row in MANY), tmp_path)))
        assert first == wanted


def test_a_source_that_is_not_there_is_told() -> None:
    for named in (3, "other.jsonl"):
        with pytest.raises(InputError, match="source"):
            Transforms(project({"do": "shuffle", "source": named}))


@pytest.mark.parametrize(
    "transform",
    [{"do": "drop", "columns": ["typo"]}, {"do": "filter", "where": "typo == 1"}, {"do": "deduplicate", "on": ["typo"]},
     {"do": "rename", "columns": {"a": "typo"}}, {"do": "cast", "columns": {"typo": "int"}}],
)  # fmt: skip
def test_a_column_that_no_row_has_is_told_with_those_there_are(tmp_path: Path, transform: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="names the column typo, which no row has") as caught:
        run(tmp_path, MANY, transform)
    assert "the rows have n" in str(caught.value)


@pytest.mark.parametrize(
    ("transform", "told"),
    [
        ({"do": "filter", "where": "a.b"}, "where at character 1"),
        ({"do": "filter"}, "is empty"),
        ({"do": "template", "column": "x", "template": "{{ a() }}"}, "line 1: a call"),
        ({"do": "template", "template": "x"}, "takes column"),
        ({"do": "cast", "columns": {"x": "date"}}, "int, float, text, bool"),
        ({"do": "drop", "columns": {"a": "b"}}, "takes columns = ["),
        ({"do": "rename", "columns": ["a"]}, "takes columns = {"),
        ({"do": "rename", "columns": {"a": "x", "b": "x"}}, "renamed twice"),
        ({"do": "sample"}, "either rows or share"),
        ({"do": "sample", "rows": 1, "share": 0.5}, "either rows or share"),
        ({"do": "shuffle", "rows": 1}, "has no key rows"),
        ({"do": "shuffle", "source": -1}, "a number from 1"),
        ({"do": "explode"}, "allowed"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_is_written(transform: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        project(transform)
    assert told in str(caught.value)


def test_saving_writes_only_what_is_set_and_keeps_it(tmp_path: Path) -> None:
    made = project({"do": "filter", "where": "len(q) > 3"}, {"do": "cast", "columns": {"a": "int"}})
    file = tmp_path / "x.toml"
    projects_of.save(made, file)
    text = file.read_text()
    assert "rows" not in text
    assert projects_of.load(file) == made
    assert projects_of.parse(projects_of.text(made, defaults=True)) == made
    more = made.model_copy(
        update={"data": made.data.model_copy(update={"transforms": (*made.data.transforms, Transform(do="shuffle"))})}
    )
    projects_of.save(more, file)
    assert projects_of.load(file) == more


# Through the stage that reads


def stage(tmp_path: Path, rows: list[dict[str, Any]], *transforms: dict[str, Any], **data: Any) -> tuple[Project, Any]:
    projects.write_jsonl(tmp_path / "1.jsonl", rows)
    made = project(*transforms)
    made = made.model_copy(update={"data": made.data.model_copy(update={"split": "none", **data})})
    return made, raw.build(made, tmp_path, tmp_path / "out")


def test_a_finding_of_a_transformed_row_points_to_the_line_of_its_source(tmp_path: Path) -> None:
    rows = [{"q": f"Q{n}", "a": "" if n == 5 else "A", "keep": n != 2} for n in range(8)]
    renamed = {"do": "rename", "columns": {"instruction": "q", "output": "a"}}
    with pytest.raises(Refusal, match=r"1\.jsonl:6: output is empty"):
        stage(tmp_path, rows, {"do": "filter", "where": "keep"}, {"do": "shuffle"}, renamed)
    stage(tmp_path, rows, {"do": "filter", "where": "keep"}, {"do": "shuffle"}, renamed, skip_bad=True)
    origins = [int(line.split("\t")[1]) for line in (tmp_path / "out/train.origins").read_text().splitlines()]
    texts = [json.loads(line)["instruction"] for line in (tmp_path / "out/train.jsonl").read_text().splitlines()]
    assert texts == [f"Q{line - 1}" for line in origins]
    assert sorted(origins) == [1, 2, 4, 5, 7, 8]
    written = json.loads((tmp_path / "out/report.json").read_text())["transforms"]
    assert [(one["rows_in"], one["rows_out"]) for one in written] == [(8, 7), (7, 7), (7, 7)]
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".source")]


def test_a_shuffle_of_a_folder_names_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").mkdir()
    for name in "ab":
        projects.write_jsonl(tmp_path / "1.jsonl" / f"{name}.jsonl", [{"text": f"{name}{n}"} for n in range(20)])
    made = project({"do": "shuffle"})
    report = raw.build(made, tmp_path, tmp_path / "out")
    assert sorted(report.sources[0].files) == ["1.jsonl/a.jsonl", "1.jsonl/b.jsonl"]
    places = [line.split("\t") for line in (tmp_path / "out/train.origins").read_text().splitlines()]
    texts = [json.loads(line)["text"] for line in (tmp_path / "out/train.jsonl").read_text().splitlines()]
    assert texts == [f"{json.loads(name)[8]}{int(line) - 1}" for name, line in places]


def test_a_broken_row_stops_the_run_unless_it_may_be_left_out(tmp_path: Path) -> None:
    rows = [{"text": "a", "n": "1"}, {"text": "b", "n": "x"}, {"text": "c", "n": "3"}]
    cast = {"do": "cast", "columns": {"n": "int"}}
    with pytest.raises(Refusal, match=r"1 of 3 rows cannot be used:\n  1\.jsonl:2: data\.transforms 1 \(cast\): n is"):
        stage(tmp_path, rows, cast)
    assert stage(tmp_path, rows, cast, skip_bad=True)[1].train_rows == 2


def test_the_stage_is_done_again_when_a_transform_changes_and_only_then(tmp_path: Path) -> None:
    rows = [{"text": f"row {n}"} for n in range(9)]
    made, _ = stage(tmp_path, rows, {"do": "sample", "rows": 5, "source": "1.jsonl"})
    assert raw.fresh(made, tmp_path, tmp_path / "out")
    assert raw.fresh(pipeline.absolute(made, tmp_path), tmp_path, tmp_path / "out")
    other = project({"do": "sample", "rows": 6, "source": "1.jsonl"})
    other = other.model_copy(update={"data": other.data.model_copy(update={"split": "none"})})
    assert not raw.fresh(other, tmp_path, tmp_path / "out")


def test_memory_stays_flat(tmp_path: Path) -> None:
    def rows() -> Iterator[Row | Finding]:
        for number in range(4000):
            yield Row("f", number, {"text": f"{number} " + "x" * 5000})

    chain = Transforms(project({"do": "shuffle"}, {"do": "sample", "share": 0.5}, {"do": "deduplicate"}))
    tracemalloc.start()
    try:
        kept = sum(1 for _ in chain.apply(0, rows(), tmp_path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kept == 2000
    assert peak < 4_000_000  # the rows themselves are 20 MB


# Dialects


def read(tmp_path: Path, content: bytes, name: str = "t.csv", **keys: Any) -> list[dict[str, Any]]:
    from phi_tui.engine.doctor import read_all
    from phi_tui.engine.sources import files_of

    (tmp_path / name).write_bytes(content)
    source = Source(path=name, **keys)
    return fields(list(read_all(files_of(source, tmp_path), tmp_path, source)))


def test_a_table_can_have_another_dialect(tmp_path: Path) -> None:
    assert read(tmp_path, b"a;b\n'x;y';2\n", delimiter=";", quote="'") == [{"a": "x;y", "b": "2"}]
    assert read(tmp_path, b'a\tb\n"x\ty\n', delimiter="\t", quote="") == [{"a": '"x', "b": "y"}]
    assert read(tmp_path, b"1,2\n3,4\n", header=False) == [
        {"column1": "1", "column2": "2"}, {"column1": "3", "column2": "4"},
    ]  # fmt: skip
    assert read(tmp_path, "a,b\né,ü\n".encode("cp1252"), encoding="cp1252") == [{"a": "é", "b": "ü"}]
    assert read(tmp_path, "a,b\né,猫\n".encode("utf-16"), encoding="utf-16") == [{"a": "é", "b": "猫"}]


def test_any_text_file_can_have_another_encoding(tmp_path: Path) -> None:
    long = "é" * 100_000
    assert read(
        tmp_path, json.dumps({"text": long}, ensure_ascii=False).encode("latin-1"), "t.jsonl", encoding="latin-1"
    ) == [{"text": long}]
    assert read(tmp_path, "日本\n語\n".encode("shift_jis"), "t.txt", encoding="shift_jis") == [
        {"text": "日本"},
        {"text": "語"},
    ]


def test_a_file_in_another_encoding_than_named_is_refused_with_the_byte(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not in ascii: byte 70000 does not fit"):
        read(tmp_path, b"x" * 70_000 + b"\xe9\n", "t.txt", encoding="ascii")


@pytest.mark.parametrize(
    "keys",
    [{"delimiter": ";;"}, {"quote": "''"}, {"delimiter": "'", "quote": "'"}, {"encoding": "rot13"},
     {"encoding": "nope"}, {"encoding": "unicode_escape"}, {"path": "a.jsonl", "header": False},
     {"path": "a.parquet", "encoding": "latin-1"}],
)  # fmt: skip
def test_a_dialect_that_cannot_be_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        projects_of.validate({"name": "x", "data": {"sources": [{"path": "a.csv", **keys}]}}, "x.toml")


# The preview


def test_the_preview_shows_each_row_before_and_after_and_what_dropped_it(tmp_path: Path) -> None:
    projects.write_jsonl(tmp_path / "1.jsonl", ROWS)
    made = project(
        {"do": "deduplicate"}, {"do": "cast", "columns": {"score": "int"}}, {"do": "filter", "where": "score > 4"},
        {"do": "rename", "columns": {"output": "a"}},
    )  # fmt: skip
    shown = preview(made, tmp_path, 10, lambda: None)
    assert shown["error"] is None
    assert [(row["line"], row["dropped_by"]) for row in shown["rows"]] == [(1, 3), (2, None), (3, 1), (4, 3)]
    assert shown["rows"][1]["before"] == {"q": "How?", "a": "So", "score": "5"}
    assert shown["rows"][1]["after"] == {"q": "How?", "output": "So", "score": "5"}
    assert [(one["rows_in"], one["rows_out"]) for one in shown["counts"]] == [(4, 3), (3, 3), (3, 1), (1, 1)]


def test_the_preview_tells_what_is_wrong_with_a_row_and_with_a_transform(tmp_path: Path) -> None:
    projects.write_jsonl(tmp_path / "1.jsonl", [{"n": "x"}, {"n": "1"}])
    shown = preview(project({"do": "cast", "columns": {"n": "int"}}), tmp_path, 10, lambda: None)
    assert (shown["rows"][0]["dropped_by"], shown["rows"][0]["after"]) == (1, None)
    assert "no int" in shown["rows"][0]["broken"]
    shown = preview(project({"do": "drop", "columns": ["m"]}), tmp_path, 10, lambda: None)
    assert "which no row has" in shown["error"]["what"]
    assert len(shown["rows"]) == 2


def test_a_transformed_project_trains_and_the_command_shows_the_counts(tmp_path: Path) -> None:
    file = projects.make(tmp_path, settings="samples = 0")
    rows = [{"q": f"<p>{row['instruction']}</p>", "a": row["output"], "lang": "en" if n % 2 else "de"}
            for n, row in enumerate(projects.rows(40))]  # fmt: skip
    projects.write_jsonl(tmp_path / "train.jsonl", rows)
    file.write_text(
        file.read_text()
        + '[[data.transforms]]\ndo = "filter"\nwhere = "lower(lang) == \'en\'"\n'
        + '[[data.transforms]]\ndo = "strip-html"\ncolumns = ["q"]\nsource = "train.jsonl"\n'
        + '[[data.transforms]]\ndo = "rename"\ncolumns = { instruction = "q", output = "a" }\n'
    )
    figures = projects.execute(file)
    assert figures["steps"] > 0
    kept = [json.loads(line) for line in (tmp_path / "datasets/raw/toy/train.jsonl").read_text().splitlines()]
    assert all(row["instruction"].startswith("Say") for row in kept)
    done = projects.command("prepare", file, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 filter: 40 rows in, 20 out" in done.stderr
    assert "2 strip-html: 20 rows in, 20 out, 20 changed" in done.stderr


def test_the_process_that_looks_at_data_answers_with_a_preview_and_with_columns_as_they_are_transformed(
    tmp_path: Path,
) -> None:
    from phi_tui.engine import inspector
    from phi_tui.engine.service import Task

    (tmp_path / "t.csv").write_text("q;a\nWhy?;So\n")
    text = (
        'schema = 1\nname = "x"\n[[data.sources]]\npath = "t.csv"\ndelimiter = ";"\n'
        '[[data.transforms]]\ndo = "rename"\ncolumns = { prompt = "q" }\n'
    )
    place = {"project": text, "root": str(tmp_path), "workspace": str(tmp_path)}
    shown = inspector.HANDLERS["transform_preview"](Task(1, {**place, "count": 5}, lambda message: None))
    assert shown["rows"][0]["before"] == {"q": "Why?", "a": "So"}
    assert shown["rows"][0]["after"] == {"prompt": "Why?", "a": "So"}
    asked = {**place, "files": ["t.csv"], "count": 5, "source": 0}
    (file,) = inspector.HANDLERS["raw_rows"](Task(2, asked, lambda message: None))["files"]
    assert file["columns"] == ["prompt", "a"]
