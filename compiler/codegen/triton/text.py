"""Lines of Python text, and the names that emitted Python cannot give away."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator
from contextlib import contextmanager

_OWN = """
    tl triton program split splits block blocks row column point inside row_inside column_inside point_inside first start stop step
    row_blocks column_blocks fixed rows columns lane lane_inside
"""
PYTHON_WORDS = frozenset([*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *_OWN.split()])


class PythonLines:
    """Collects lines; `block` indents what is added within it."""

    def __init__(self, depth: int = 0) -> None:
        self._lines: list[str] = []
        self._depth = depth

    def add(self, line: str) -> None:
        self._lines.append(f"{'    ' * self._depth}{line}" if line else "")

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.add(head)
        self._depth += 1
        yield
        self._depth -= 1

    def indent(self) -> None:
        self._depth += 1

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)
