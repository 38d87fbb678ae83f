"""What a person chose for the app itself: theme and keys, in TOML in the platform's config folder.

`config.toml` is ours to write; `keys.toml` is theirs: a table of binding id = "key,key", read and never written.
A file that is broken costs its settings, never the start.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from phi_tui.atomic import write_text


@dataclass(frozen=True, slots=True)
class Preferences:
    """The settings, and what was wrong with the files they came from."""

    theme: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    flaws: tuple[str, ...] = ()


def config_folder() -> Path:
    """PHI_TUI_CONFIG, else the platform's folder for configuration."""
    named = os.environ.get("PHI_TUI_CONFIG")
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_config_path

    return user_config_path("phi-tui")


def load(folder: Path | None = None) -> Preferences:
    """Read both files; what cannot be read is left out and named in `flaws`."""
    folder = folder or config_folder()
    flaws: list[str] = []
    config = _tables(folder / "config.toml", flaws)
    keys: dict[str, str] = {}
    for name, value in _tables(folder / "keys.toml", flaws).items():
        for binding, key in value.items() if isinstance(value, dict) else [("", value)]:
            whole = f"{name}.{binding}" if binding else name
            if isinstance(key, str) and key.strip():
                keys[whole] = ",".join(part.strip() for part in key.split(","))
            else:
                flaws.append(f'{folder / "keys.toml"}: {whole} must be a text such as "ctrl+s" or "j,down"')
    theme = config.get("theme", "")
    return Preferences(theme if isinstance(theme, str) else "", keys, tuple(flaws))


def keep_theme(theme: str, folder: Path | None = None) -> None:
    """Remember the theme; other settings in the file stay."""
    import tomli_w

    folder = folder or config_folder()
    tables = _tables(folder / "config.toml", [])
    if tables.get("theme") == theme:
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_text(folder / "config.toml", tomli_w.dumps({**tables, "theme": theme}))


def without(preferences: Preferences, unknown: set[str]) -> Preferences:
    """Return the preferences without keys for bindings that do not exist, each of them a flaw."""
    flaws = tuple(f"keys.toml: there is no binding {name!r}" for name in sorted(unknown))
    kept = {name: key for name, key in preferences.keys.items() if name not in unknown}
    return replace(preferences, keys=kept, flaws=preferences.flaws + flaws)


def _tables(path: Path, flaws: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        flaws.append(f"{path}: {error}")
        return {}
