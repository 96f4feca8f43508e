"""Lines of source text with indentation."""

from __future__ import annotations


class Lines:
    """Collects lines; `open` and `close` bound a block in braces."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def add(self, line: str) -> None:
        pad = "" if line.startswith("#") else "    " * self._depth
        self._lines.append(f"{pad}{line}" if line else "")

    def indent(self) -> None:
        self._depth += 1

    def open(self, head: str) -> None:
        self.add(f"{head} {{" if head else "{")
        self._depth += 1

    def close(self) -> None:
        self._depth -= 1
        self.add("}")

    def close_with(self, end: str) -> None:
        self._depth -= 1
        self.add("}" + end)

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)

    def append(self, other: Lines) -> None:
        """The lines of another text, which has been indented as it will stand here."""
        self._lines.extend(other._lines)
