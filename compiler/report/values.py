"""Frozen records as indented text.

In: a value made of dataclasses, tuples and plain values: a syntax tree, a checked layer. Out: its text, a line a record or value.
Holds: every field is there but for places in the text and the text itself, which takes no part in what is computed.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

_HIDDEN = ("span", "text")


def tree_text(value: Any) -> str:
    """The value as text, nested records indented by two."""
    lines: list[str] = []
    _write(value, "", 0, lines)
    return "\n".join(lines) + "\n"


def _write(value: Any, label: str, depth: int, lines: list[str]) -> None:
    start = "  " * depth + label
    if _is_plain(value):
        lines.append(start + _plain(value))
    elif is_dataclass(value):
        listed = [(field.name, getattr(value, field.name)) for field in fields(value) if field.name not in _HIDDEN]
        simple = [f"{name}={_plain(inner)}" for name, inner in listed if _is_plain(inner)]
        lines.append(start + " ".join([type(value).__name__, *simple]))
        for name, inner in listed:
            if not _is_plain(inner):
                _write(inner, f"{name}: ", depth + 1, lines)
    else:
        lines.append(start.rstrip())
        for inner in value:
            _write(inner, "", depth + 1, lines)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(not is_dataclass(inner) and not isinstance(inner, tuple) for inner in value)
    return not is_dataclass(value)


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_plain(inner) for inner in value)})"
    return "none" if value is None else str(value)
