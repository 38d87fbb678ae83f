"""A project file: parsed, refused with a reason, overridden, saved without losing a person's text."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phi_tui import project
from phi_tui.errors import InputError
from phi_tui.schema import Chat, Data, Launch, Lora, Model, Project, Source, Train

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=20)
names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,30}", fullmatch=True)
rates = st.floats(1e-9, 1.0, allow_nan=False)
projects = st.builds(
    Project,
    name=names,
    seed=st.integers(0, 2**32 - 1),
    model=st.builds(Model, base=words, dtype=st.sampled_from(["auto", "float32"])),
    data=st.builds(
        Data,
        split=st.one_of(st.sampled_from(["phi", "none"]), st.floats(0.01, 0.99)),
        mix=st.sampled_from(["none", "phi"]),
        skip_bad=st.booleans(),
        max_length=st.integers(8, 4096),
        sources=st.lists(
            st.builds(Source, path=words, columns=st.dictionaries(st.sampled_from(["text", "output"]), words)),
            max_size=3,
        ).map(tuple),
    ),
    lora=st.builds(
        Lora, rank=st.integers(1, 64), targets=st.one_of(st.just("all-linear"), st.lists(words, min_size=1).map(tuple))
    ),
    train=st.builds(
        Train,
        learning_rate=rates,
        warmup=st.floats(0, 100),
        scheduler=st.sampled_from(["constant", "phi_restarts"]),
        gradient_checkpointing=st.sampled_from(["auto", True, False]),
        report_to=st.sampled_from([(), ("wandb",)]),
    ),
    chat=st.builds(Chat, system=st.one_of(st.just(""), words)),
    launch=st.builds(Launch, where=st.sampled_from(["background", "here"])),
)


@settings(max_examples=200, deadline=None)
@given(projects)
def test_every_project_survives_the_round_trip(one: Project) -> None:
    assert project.parse(project.text(one)) == one
    assert project.parse(project.text(one, defaults=True)) == one


@settings(max_examples=60, deadline=None)
@given(projects, projects)
def test_saving_over_a_file_gives_the_new_project_and_keeps_its_comments(
    tmp_path_factory: pytest.TempPathFactory, old: Project, new: Project
) -> None:
    path = tmp_path_factory.mktemp("p") / "p.toml"
    path.write_text("# the one from Tuesday\n" + project.text(old), "utf-8")
    project.save(new, path)
    assert project.load(path) == new
    assert path.read_text("utf-8").startswith("# the one from Tuesday\n")


def test_saving_keeps_comments_order_and_spelling(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        '# mine\nname = "toy"  # short\n\n[train]\nepochs = 2 # enough\nlearning_rate = 2e-4\n[lora]\nrank = 8\n'
    )
    project.save(project.load(path, ("lora.rank=13",)), path)
    assert path.read_text() == (
        '# mine\nname = "toy"  # short\n\n[train]\nepochs = 2 # enough\nlearning_rate = 2e-4\n[lora]\nrank = 13\n'
    )


def test_saving_over_what_is_no_project_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('[tool.poetry]\nname = "else"\n')
    with pytest.raises(InputError):
        project.save(Project(name="toy"), path)
    assert path.read_text() == '[tool.poetry]\nname = "else"\n'


def test_only_what_differs_is_written() -> None:
    tables = tomllib.loads(project.text(Project(name="toy", train=Train(epochs=2.0))))
    assert tables == {
        "schema": 1,
        "name": "toy",
        "seed": 42,
        "model": {"base": "builtin:phi-demo"},
        "train": {"epochs": 2.0},
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name="x"\n[train]\nepoch=2', ["train.epoch", "'epochs'"]),
        ('name="x"\n[trian]\nepochs=2', ["trian", "'train'"]),
        ('name="x"\n[train]\nscheduler="cos"', ["train.scheduler", '"cosine"', '"phi_restarts"']),
        ('name="x"\n[train]\nlearning_rate="fast"', ["train.learning_rate", "number"]),
        ('name="x"\n[train]\nepochs=true', ["train.epochs"]),
        ('name="x"\n[train]\nbatch_size=1.5', ["train.batch_size", "integer"]),
        ('name="x"\n[train]\nlearning_rate=nan', ["train.learning_rate", "finite"]),
        ('name="x"\n[data]\nsplit="golden"', ["data.split", '"phi"']),
        ('name="x"\n[data]\nsplit=1.5', ["data.split"]),
        ('name="x"\n[[data.sources]]\npth="a"', ["data.sources.0.pth", "'path'"]),
        ('name="x"\n[[data.sources]]\npath="a"\nhub="b/c"', ["data.sources.0", "path or hub"]),
        ('name="x"\n[[data.sources]]\npath="a"\ncolumns={reply="b"}', ["answer", "output"]),
        ('name="x"\n[lora]\ntargets=[]', ["lora.targets"]),
        ('name="x"\n[lora]\nrank=0', ["lora.rank"]),
        ('name="x"\nschema=9', ["schema"]),
        ("seed=1", ["name", "missing"]),
        ('name="../x"', ["name", "letters"]),
        ('name="x"\nname="y"', ["TOML"]),
        ("name=", ["TOML"]),
    ],
)
def test_what_does_not_fit_is_told_with_key_and_allowed_values(text: str, told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        project.parse(text, where="toy.toml")
    for part in ["toy.toml", *told]:
        assert part in str(caught.value)


def test_all_errors_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        project.parse('name="x"\n[train]\nepochs=-1\n[lora]\nrank="a"')
    assert "train.epochs" in str(caught.value)
    assert "lora.rank" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("train.epochs=3", "epochs", 3.0),
        ("train.scheduler=linear", "scheduler", "linear"),
        ("train.learning_rate=1e-4", "learning_rate", 1e-4),
        ("train.evaluate=false", "evaluate", False),
    ],
)
def test_set_reads_toml_values_and_plain_words(override: str, key: str, value: Any) -> None:
    assert getattr(project.parse('name="x"', overrides=(override,)).train, key) == value


@pytest.mark.parametrize("override", ["train.epoch=3", "train", "=3", "train.=3", "train.epochs", "lora=3", "x.y.z=1"])
def test_set_refuses_what_is_no_key(override: str) -> None:
    with pytest.raises(InputError, match="--set"):
        project.parse('name="x"', overrides=(override,))


def test_every_key_has_a_sentence() -> None:
    for key, (_, sentence) in project.keys().items():
        assert sentence.strip(), key
