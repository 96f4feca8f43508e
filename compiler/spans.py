"""Places in a specification's text.

In: nothing. Out: `Span`. Holds: lines and columns count from 1; the end column is exclusive; `text` is the first line, where known.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Span:
    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def contains(self, other: Span) -> bool:
        """Whether the other place lies within this one."""
        begin, end = (self.line, self.column), (self.end_line, self.end_column)
        return self.file == other.file and begin <= (other.line, other.column) and (other.end_line, other.end_column) <= end
