"""Theme and keys from the configuration folder."""

from __future__ import annotations

from pathlib import Path

from phi_tui import preferences


def test_a_theme_is_kept_and_other_settings_stay(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('other = 1\ntheme = "light"\n')
    preferences.keep_theme("golden", tmp_path)
    assert preferences.load(tmp_path).theme == "golden"
    assert "other = 1" in (tmp_path / "config.toml").read_text()


def test_keys_are_read_as_tables_or_dotted_names(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text('"go.home" = "h"\n[train]\nsave = "ctrl+s, f5"\n')
    loaded = preferences.load(tmp_path)
    assert loaded.keys == {"go.home": "h", "train.save": "ctrl+s,f5"} and not loaded.flaws


def test_broken_files_cost_their_settings_and_are_named(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text("[train]\nsave = 3\n")
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    loaded = preferences.load(tmp_path)
    assert loaded.theme == "" and loaded.keys == {}
    assert len(loaded.flaws) == 2 and any("train.save" in flaw for flaw in loaded.flaws)


def test_the_folder_can_be_named_by_the_environment(tmp_path: Path, monkeypatch: object) -> None:
    monkeypatch.setenv("PHI_TUI_CONFIG", str(tmp_path / "here"))  # type: ignore[attr-defined]
    assert preferences.config_folder() == tmp_path / "here"
    assert preferences.load() == preferences.Preferences()
