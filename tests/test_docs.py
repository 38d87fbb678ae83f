"""The documents say what the code does."""

import importlib.util
import re
from pathlib import Path

from phi_tui import project, resume_rules

ROOT = Path(__file__).parent.parent


def test_the_reference_of_the_project_file_is_made_from_the_schema() -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "project_file_reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "project-file.md").read_text("utf-8") == module.page()


def test_every_project_file_in_the_repository_is_valid() -> None:
    files = [*(ROOT / "examples").rglob("*.toml"), *(ROOT / "phi_tui" / "demo").glob("*.toml")]
    assert len(files) >= 3
    for file in files:
        for source in project.load(file).data.sources:
            assert (file.parent / source.path).exists() or file.parent.name == "demo", f"{file}: {source.path}"


def test_the_project_in_the_readme_is_valid() -> None:
    for block in re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL):
        project.parse(block, where="README.md")


def test_the_first_level_holds_links_into_the_package() -> None:
    for name in ("screens", "styles"):
        assert (ROOT / name).is_symlink()
        assert (ROOT / name).resolve() == ROOT / "phi_tui" / name


def test_the_promises_name_tests_that_are_there() -> None:
    named = re.findall(
        r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`", (ROOT / "docs" / "reliability.md").read_text("utf-8")
    )
    assert len(named) > 30
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text("utf-8"), f"{file} has no {test}"


def test_the_table_of_what_may_change_on_a_resume_is_made_from_the_rules() -> None:
    assert resume_rules.table() in (ROOT / "docs" / "reliability.md").read_text("utf-8")
