"""The style sheet that parses each source once.

The library's own forgets what it parsed whenever it looks whether a theme changed its colours: six times before the
first picture, a tenth of a second or so; and it keeps 64 sources, which are fewer than the widgets of eight screens.
"""

from __future__ import annotations

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

_SOURCES = 1024


class Sheet(Stylesheet):
    """A style sheet that parses a source again only when the colours changed."""

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        """`variables` are the theme's: names and colours."""
        super().__init__(variables=variables)
        self._parse_cache = LRUCache(_SOURCES)

    def set_variables(self, variables: dict[str, str]) -> None:
        """Take a theme's variables; nothing is forgotten when they are the ones it has."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Parse what is not parsed yet; errors leave the rules as they were."""
        self.parse()
