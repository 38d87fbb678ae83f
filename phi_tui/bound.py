"""Which bindings there are: every screen and widget is imported for it, which takes half a second."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable

from textual.binding import Binding

from phi_tui import screens, widgets


def ids(of_app: Iterable[object]) -> set[str]:
    """The ids of the app's bindings, which are given, and of all its screens' and widgets'."""
    found = {binding.id for binding in of_app if isinstance(binding, Binding)}
    for package in (screens, widgets):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for thing in vars(importlib.import_module(module.name)).values():
                for binding in vars(thing).get("BINDINGS", ()) if isinstance(thing, type) else ():
                    found.add(getattr(binding, "id", None))
    return {name for name in found if name}
