"""What the schema demands of [[data.transforms]] and of a source's dialect beyond the type of each key.

The rules stand apart from the schema so that it stays a list of settings.  Expressions and templates are parsed here
already: a misspelt one is refused where the project is read or edited, with the place in it.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phi_tui.schema import Source, Transform

KEYS: dict[str, tuple[str, ...]] = {
    "rename": ("columns",), "drop": ("columns",), "filter": ("where",), "cast": ("columns",),
    "template": ("column", "template"), "strip-html": ("columns",), "normalise": ("columns", "form"),
    "deduplicate": ("on",), "sample": ("rows", "share"), "shuffle": (),
}  # fmt: skip
"""The keys of each transform beside do and source."""
_CASTS = ("int", "float", "text", "bool")
_NO_ENCODINGS = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "unicode-escape", "raw-unicode-escape",
                 "undefined", "mbcs", "oem", "utf-7"}  # fmt: skip
_TABLES = (".csv", ".tsv")
_OTHERS = (".jsonl", ".ndjson", ".json", ".txt", ".parquet")


def check(transform: Transform) -> None:
    """Raise ValueError where a transform lacks a key, has one of another transform, or one that does not fit."""
    do = transform.do
    if transform.source == "" or (isinstance(transform.source, int) and transform.source < 0):
        raise ValueError("source: a number from 1, a path, or 0 for every source")
    default = type(transform).model_fields
    for key in ("columns", "where", "column", "template", "form", "on", "rows", "share"):
        if key not in KEYS[do] and getattr(transform, key) != default[key].default:
            raise ValueError(f'do = "{do}" has no key {key}; it has {", ".join(KEYS[do]) or "none"}')
    if do in ("rename", "cast"):
        example = '{ new = "old" }' if do == "rename" else '{ score = "int" }'
        if not isinstance(transform.columns, dict) or not transform.columns:
            raise ValueError(f'do = "{do}" takes columns = {example}')
        if do == "cast":
            for column, kind in transform.columns.items():
                if kind not in _CASTS:
                    raise ValueError(f"columns.{column}: allowed: {', '.join(_CASTS)}")
        elif len(set(transform.columns.values())) < len(transform.columns):
            raise ValueError("a column is renamed twice")
    elif "columns" in KEYS[do] and (isinstance(transform.columns, dict) or not transform.columns):
        raise ValueError(f'do = "{do}" takes columns = ["one", "other"]')
    if do == "filter":
        from phi_tui.expressions import ExpressionError, parse

        try:
            parse(transform.where)
        except ExpressionError as error:
            raise ValueError(f"where {error}") from None
    if do == "template":
        from phi_tui.row_templates import RowTemplate, TemplateFlaw

        if not transform.column or not transform.template:
            raise ValueError('do = "template" takes column = "name" and template = "text with {{ column }}"')
        try:
            RowTemplate(transform.template)
        except TemplateFlaw as flaw:
            raise ValueError(f"template: {flaw}") from None
    if do == "sample" and bool(transform.rows) == bool(transform.share):
        raise ValueError('do = "sample" takes either rows or share')


def encoding(name: str) -> str:
    """Return the name of an encoding of text; ValueError for any other."""
    if not name:
        return name
    try:
        found = codecs.lookup(name)
        text = bool(getattr(found, "_is_text_encoding", True)) and found.name not in _NO_ENCODINGS
    except (LookupError, ValueError):
        text = False
    if not text:
        raise ValueError('allowed: an encoding of text, such as "utf-8", "latin-1", "cp1252", "utf-16" or "shift_jis"')
    return name


def dialect(source: Source) -> None:
    """Raise ValueError for a dialect that no table can have, or one of what is no table."""
    for key in ("delimiter", "quote"):
        mark = getattr(source, key)
        if len(mark) > 1 or mark in ("\n", "\r", "\0"):
            raise ValueError(f"{key}: allowed: one character" + (", or none" if key == "quote" else ""))
    if source.delimiter and source.delimiter == source.quote:
        raise ValueError("delimiter and quote are the same character")
    stem = source.path.lower().removesuffix(".gz")
    table = bool(source.delimiter) or source.quote != '"' or not source.header
    if table and (source.hub or stem.endswith(_OTHERS)):
        raise ValueError("delimiter, quote and header are for .csv and .tsv files")
    if source.encoding and (source.hub or stem.endswith(".parquet")):
        raise ValueError("encoding is for text files")
