"""`lamina ops`: the layer library, with what each entry is, where it comes from and what it takes."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import typer

from .output import JsonOption, print_json

if TYPE_CHECKING:
    from ..lang import syntax

_ARXIV = re.compile(r"arXiv:\d{4}\.\d{4,5}")


@dataclass(frozen=True)
class Entry:
    """One layer of the library.

    `summary`: the first sentence of the comment above it; `source`: the paper it cites; `sizes`: name and default as written (None
    where there is none); `tensors`: as declared, each with its role.
    """

    name: str
    summary: str
    source: str | None
    sizes: dict[str, str | None]
    tensors: list[str]


def register(app: typer.Typer) -> None:
    app.command("ops", help="List the entries of the layer library.")(ops)


def ops(as_json: JsonOption = False) -> None:
    listed = entries()
    if as_json:
        print_json([asdict(entry) for entry in listed])
        return
    for entry in listed:
        sizes = ", ".join(name if default is None else f"{name} = {default}" for name, default in entry.sizes.items())
        typer.echo(f"{entry.name}({sizes})" if sizes else entry.name)
        typer.echo(f"  {entry.summary}" + (f" [{entry.source}]" if entry.source and entry.source not in entry.summary else ""))
        typer.echo(f"  {'; '.join(entry.tensors)}")
    typer.echo(f"{len(listed)} layers; `lamina compile NAME` compiles one")


def entries() -> tuple[Entry, ...]:
    """Every layer of the library, by name."""
    from ..lang.diagnostics import Reporter
    from ..lang.library import Workspace, library_layers

    reporter = Reporter()
    workspace = Workspace(reporter)
    found = []
    for name in library_layers():
        module, _ = workspace.open(name)
        reporter.raise_if_any()
        layer = next(item for item in module.layers if item.name.name == name)
        found.append(_entry(layer, module.file.text))
    return tuple(found)


def _entry(layer: syntax.Layer, text: str) -> Entry:
    from ..lang import syntax

    comment = _comment_above(layer.span.line, text)
    sizes = {size.name: None if size.default is None else _written(size.default, text) for size in layer.sizes}
    tensors = [
        f"{statement.role if isinstance(statement, syntax.Declaration) else 'out'} {_declared(statement, text)}"
        for statement in layer.statements
        if isinstance(statement, syntax.Declaration | syntax.Out)
    ]
    citation = _ARXIV.search(comment)
    return Entry(layer.name.name, _first_sentence(comment), citation[0] if citation else None, sizes, tensors)


def _comment_above(line: int, text: str) -> str:
    """The comment that the file begins with, or, where it does not, the one right above `line` (from 1)."""
    lines = text.splitlines()
    opening: list[str] = []
    for each in lines:
        if not each.startswith("#"):
            break
        opening.append(each)
    if not opening:
        for each in reversed(lines[: line - 1]):
            if not each.startswith("#"):
                break
            opening.insert(0, each)
    return " ".join(each.lstrip("# ").rstrip() for each in opening)


def _first_sentence(comment: str) -> str:
    """Up to the first full stop or colon that ends a clause, outside brackets."""
    depth = 0
    for place, letter in enumerate(comment):
        depth += (letter in "([") - (letter in ")]")
        if depth == 0 and letter in ".:" and comment[place + 1 : place + 2] in ("", " "):
            return comment[:place]
    return comment


def _written(node: syntax.Node, text: str) -> str:
    span = node.span
    lines = text.splitlines()
    if span.line == span.end_line:
        return lines[span.line - 1][span.column - 1 : span.end_column - 1]
    first, last = lines[span.line - 1][span.column - 1 :], lines[span.end_line - 1][: span.end_column - 1]
    return " ".join([first.strip(), *(line.strip() for line in lines[span.line : span.end_line - 1]), last.strip()])


def _declared(statement: syntax.Declaration | syntax.Out, text: str) -> str:
    """The tensor as written, name and brackets: `x[..., G*C]`."""
    entries = ", ".join(_written(entry, text) for entry in statement.entries)
    return f"{statement.name.name}[{entries}]"
