"""`phi-tui shapes 125M`: the shapes a new model of a size can have, what they take, and which one a project gets.

Arithmetic alone: it needs no torch and answers at once.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from phi_tui import figures
from phi_tui.engine import scratch
from phi_tui.errors import InputError
from phi_tui.schema import Scratch

_HEAD = ("layers", "hidden", "heads", "ffn", "parameters", "width/depth", "weights+AdamW", "a row", "FLOPs a token", "")


def shapes(settings: Scratch, *, as_json: bool) -> int:
    """Print the table for the settings' budget and return the exit code."""
    rows = scratch.table(settings)
    chosen = scratch.choose(settings)
    if as_json:
        sys.stdout.write(json.dumps([_facts(shape) for shape in rows]) + "\n")
        return 0
    write = sys.stdout.write
    one = rows[0]
    write(
        f"{settings.parameters}: {one.architecture}, vocabulary {one.vocabulary:,}, context {one.context:,}; asks for "
        f"about {scratch.short(scratch.TOKENS_A_PARAMETER * settings.budget)} training tokens "
        f"({scratch.TOKENS_A_PARAMETER} a parameter, Hoffmann et al. 2022)\n\n"
    )
    cells = [_HEAD, *(_cells(shape, chosen) for shape in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(_HEAD) - 1)]
    for row in cells:
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=False))
        write(f"{numbers}  {row[-1]}".rstrip() + "\n")
    usual = scratch.usual_aspect(settings.budget)
    power = scratch.phi_power(settings.budget)
    write(
        f"\nconventional: width/depth nearest to {usual:.1f}, as in published models of the size\n"
        f"phi: width/depth nearest to phi^{power}, the power of phi nearest to that; a heuristic, not a better model\n"
        "weights+AdamW: 16 bytes a parameter; a row: activations and logits of one row of the whole context, fp32\n"
        "FLOPs a token: 6 N + 6 L T d (N parameters, L layers, T context, d width), training\n"
        f"* what scratch.shape = {json.dumps(settings.shape)} takes\n"
    )
    return 0


def settings(parameters: str, **given: Any) -> Scratch:
    """Return the [scratch] table for what the command line says; InputError for what does not fit the schema."""
    from phi_tui.project import validate

    table = {"parameters": parameters, **{key: value for key, value in given.items() if value is not None}}
    try:
        return validate({"name": "shapes", "scratch": table}, "phi-tui shapes").scratch
    except InputError as error:
        raise InputError(error.what.removeprefix("does not fit the schema:").strip(), where="phi-tui shapes") from None


def _facts(shape: scratch.Shape) -> dict[str, Any]:
    return {
        **asdict(shape),
        "parameters": shape.parameters,
        "aspect": shape.aspect,
        "state_bytes": shape.state_bytes,
        "row_bytes": shape.row_bytes,
        "flops_a_token": shape.flops_a_token,
        "tokens_wanted": shape.tokens_wanted,
    }


def _cells(shape: scratch.Shape, chosen: scratch.Shape) -> tuple[str, ...]:
    mark = "* " if (shape.layers, shape.hidden) == (chosen.layers, chosen.hidden) else "  "
    return (
        str(shape.layers),
        str(shape.hidden),
        f"{shape.heads}x{shape.head_dimension}",
        str(shape.intermediate),
        f"{shape.parameters:,}",
        f"{shape.aspect:.1f}",
        figures.size(shape.state_bytes),
        figures.size(shape.row_bytes),
        f"{shape.flops_a_token:.2e}",
        mark + shape.note,
    )
