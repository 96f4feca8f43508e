"""`lamina cache ls | explain | clear`: what has been built on this machine, why it is what it is, and how to be rid of it."""

from __future__ import annotations

import time

import typer

from .output import JsonOption, print_json, print_table, readable_size


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="List, explain and clear the artefact cache.", no_args_is_help=True)
    group.command("ls", help="List the entries: kernels, damaged entries set aside, builds that failed.")(list_entries)
    group.command("explain", help="Show what an entry was built from: every flag, the toolchain, the files.")(explain)
    group.command("clear", help="Remove everything from the cache.")(clear)
    app.add_typer(group, name="cache")


def list_entries(as_json: JsonOption = False) -> None:
    from ..runtime import cache

    entries = cache.entries()
    total = cache.size()
    if as_json:
        listed = [
            {"key": e.key, "name": e.name, "state": e.state, "size": e.size, "created": e.created, "folder": str(e.folder)}
            for e in entries
        ]
        print_json({"folder": str(cache.root()), "size": total, "entries": listed})
        return
    if entries:
        rows = [
            (e.key[:12], e.state, readable_size(e.size), time.strftime("%Y-%m-%d %H:%M", time.localtime(e.created)), e.name)
            for e in entries
        ]
        print_table(("key", "state", "size", "built", "name"), rows)
    noun = "entry" if len(entries) == 1 else "entries"
    typer.echo(f"{len(entries)} {noun}, {readable_size(total)} in {cache.root()}")


def explain(key: str = typer.Argument(help="The key, or the beginning of one."), as_json: JsonOption = False) -> None:
    from ..runtime import cache

    found = cache.explain(key)
    if as_json:
        print_json([{"state": entry.state, "folder": str(entry.folder), **clear} for entry, clear in found])
        return
    for entry, clear in found:
        rows = [("key", entry.key), ("name", entry.name), ("state", entry.state), ("size", readable_size(entry.size))]
        rows += _flatten(clear.get("settings", {}))
        rows += [("file", str(path)) for path in sorted(entry.folder.iterdir())]
        print_table(("", ""), rows)


def clear(as_json: JsonOption = False) -> None:
    from ..runtime import cache

    freed = cache.clear()
    if as_json:
        print_json({"folder": str(cache.root()), "freed": freed})
    else:
        typer.echo(f"{readable_size(freed)} removed from {cache.root()}")


def _flatten(value: object, prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as (dotted name, text) rows."""
    if isinstance(value, dict):
        return [row for name, inner in value.items() for row in _flatten(inner, f"{prefix}.{name}" if prefix else str(name))]
    if isinstance(value, list):
        return [(prefix, " ".join(str(item) for item in value) or "none")]
    return [(prefix, "none" if value is None else str(value))]
