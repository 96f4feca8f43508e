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
