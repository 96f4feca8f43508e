"""How commands print.

In: values and rows. Out: text on standard output. Holds: with `--json`, standard output is one JSON document and nothing else.
Not a command: it has no `register`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, sort_keys=True))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table without rules, its header left out if `columns` are empty texts.

    No cell is cut or broken to fit a terminal: what is printed can be searched, copied and piped.
    """
    lines = [list(columns)] if any(columns) else []
    lines += [list(row) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))] if lines else []
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def readable_size(size: int) -> str:
    """`size` in bytes, as people write it."""
    if size < 1024:
        return f"{size} B"
    if size < 1024**2:
        return f"{size / 1024:.1f} KiB"
    return f"{size / 1024**2:.1f} MiB"
