"""The form is read off the schema: every setting is there, and texts and values go both ways."""

import math
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field as SchemaField

from phi_tui import form, project, schema
from phi_tui.safe_text import clean
from phi_tui.schema import Project

FIELDS = {field.key: field for field in form.fields()}
PLAIN = Project(name="toy")


def test_every_setting_of_the_schema_but_the_sources_and_its_version_is_in_the_form() -> None:
    assert set(FIELDS) == set(project.keys()) - {"schema", "data.sources", "data.transforms"}


def test_every_setting_has_its_sentence_and_says_what_it_takes() -> None:
    for key, (_, sentence) in project.keys().items():
        if key in FIELDS:
            assert FIELDS[key].sentence == sentence.strip() != ""
            assert FIELDS[key].allowed


def test_groups_come_in_order_and_stay_together() -> None:
    groups = [field.group for field in form.fields()]
    assert list(dict.fromkeys(groups)) == list(form.GROUPS)
    assert groups == sorted(groups, key=form.GROUPS.index)


def test_types_words_and_bounds_are_those_of_the_schema() -> None:
    assert FIELDS["train.scheduler"].kind == "choice"
    assert "phi_restarts" in FIELDS["train.scheduler"].words
    assert FIELDS["train.evaluate"].kind == "bool"
    assert (FIELDS["lora.rank"].kind, dict(FIELDS["lora.rank"].bounds)) == ("int", {"ge": 1, "le": 1024})
    assert (FIELDS["data.split"].words, FIELDS["data.split"].types) == (("phi", "none"), ("float",))
    assert dict(FIELDS["data.split"].bounds) == {"gt": 0.0, "lt": 1.0}
    assert (FIELDS["train.gradient_checkpointing"].words, FIELDS["train.gradient_checkpointing"].types) == (
        ("auto",),
        ("bool",),
    )
    assert (FIELDS["lora.targets"].words, FIELDS["lora.targets"].types) == (("all-linear",), ("list",))
    assert FIELDS["train.report_to"].item_words == ("tensorboard", "wandb", "trackio")
    assert not FIELDS["name"].editable


def test_a_key_and_a_table_that_nobody_has_named_get_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sweep(schema.Table):
        trials: int = SchemaField(4, ge=1)
        """How many."""
        mode: Literal["grid", "random"] | None = "grid"
        """Which."""

    class Wider(Project):
        sweep: Sweep = Sweep()

    monkeypatch.setattr(form, "Project", Wider)
    found = {field.key: field for field in form.fields.__wrapped__()}
    assert found["sweep.trials"].kind == "int"
    assert found["sweep.mode"].words == ("grid", "random")
    assert [*dict.fromkeys(field.group for field in found.values())][-2:] == ["sweep", "run"]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("lora.rank", " 13 ", 13),
        ("lora.rank", "1e2", 100),
        ("train.learning_rate", "2e-4", 2e-4),
        ("train.epochs", "3", 3),
        ("train.evaluate", "no", False),
        ("data.split", "phi", "phi"),
        ("data.split", "0.9", 0.9),
        ("train.gradient_checkpointing", "true", True),
        ("train.gradient_checkpointing", "auto", "auto"),
        ("lora.targets", "all-linear", "all-linear"),
        ("lora.targets", "q_proj, v_proj", ["q_proj", "v_proj"]),
        ("lora.targets", '["q_proj"]', ["q_proj"]),
        ("train.report_to", "", []),
        ("chat.system", "Be short.", "Be short."),
        ("chat.system", r'"two\nlines"', "two\nlines"),
    ],
)
def test_a_text_is_read_as_the_value_it_stands_for(key: str, text: str, value: Any) -> None:
    read = form.parse(FIELDS[key], text)
    assert read == value
    assert isinstance(read, bool) == isinstance(value, bool)
    assert form.check(PLAIN, key, read) == ""


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("lora.rank", "many", "valid integer"),
        ("lora.rank", "3.5", "valid integer"),
        ("lora.rank", "0", "greater than or equal to 1"),
        ("lora.rank", "9" * 5000, "will not do"),
        ("train.epochs", "-1", "greater than 0"),
        ("train.learning_rate", "nan", "finite"),
        ("train.scheduler", "cosin", '"cosine"'),
        ("data.split", "1.5", '"phi"'),
        ("lora.targets", "", "trains nothing"),
        ("train.report_to", "mlflow", '"wandb"'),
        ("train.evaluate", "perhaps", "valid boolean"),
        ("model.base", "", "at least 1 character"),
        ("chat.system", '"\\', ""),
    ],
)
def test_a_text_that_does_not_fit_is_refused_in_the_schemas_words(key: str, text: str, said: str) -> None:
    error = form.check(PLAIN, key, form.parse(FIELDS[key], text))
    assert said in error
    assert bool(said) == bool(error)
    assert not error.startswith(key)


@pytest.mark.parametrize("key", sorted(FIELDS))
def test_every_default_is_read_back_from_its_text(key: str) -> None:
    field = FIELDS[key]
    assert form.parse(field, form.spell(field, field.default)) == field.default


@given(st.text())
@example('"')
@example(" led")
@example("\x1b]52;c;aGk=\x07")
@example("\u202egnp.exe")
@example("C:\\new")
@example("a\u2028b")
def test_any_text_is_read_back_from_its_spelling_which_is_harmless(value: str) -> None:
    field = FIELDS["chat.system"]
    spelled = form.spell(field, value)
    assert form.parse(field, spelled) == value
    assert clean(spelled, one_line=True) == spelled


@given(st.lists(st.text(), max_size=4))
@example(["all-linear"])
@example(["a,b"])
@example([" "])
def test_any_list_is_read_back_from_its_spelling(value: list[str]) -> None:
    field = FIELDS["lora.targets"]
    spelled = form.spell(field, value)
    assert form.parse(field, spelled) == value
    assert clean(spelled, one_line=True) == spelled


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_is_read_back_from_its_spelling(value: float) -> None:
    assert math.isclose(float(form.spelled(value)), value, rel_tol=0.0, abs_tol=0.0)


def test_small_numbers_are_spelled_as_people_write_them() -> None:
    assert [form.spelled(v) for v in (2e-4, 3.25e-4, 1e-5, 0.05, 1.0, True)] == [
        "2e-4",
        "3.25e-4",
        "1e-5",
        "0.05",
        "1",
        "true",
    ]


def test_a_text_that_no_file_can_hold_is_refused() -> None:
    assert "half a character" in form.check(PLAIN, "chat.system", "\ud800")


def test_what_differs_from_the_defaults_is_told_without_the_name() -> None:
    changed = form.with_value(form.with_value(PLAIN, "lora.rank", 13), "train.evaluate", False)
    assert [(field.key, value) for field, value in form.changed(changed)] == [
        ("lora.rank", 13),
        ("train.evaluate", False),
    ]
    assert form.changed(PLAIN) == []
