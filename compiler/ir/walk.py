"""The order in which values are visited from what uses them.

In: the values to start at, and what lies behind each. Out: every value reached, once, depth first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .graph import Node  # the graph itself is walked, too


def depth_first(roots: Iterable[int], behind: Callable[[int], Iterable[int]]) -> Iterator[int]:
    """Every number reached from the roots through `behind`, each once, before those behind it; the last root comes first.

    `behind` is asked when the next number is, so that it may depend on what was done with this one.
    """
    pending = list(roots)
    seen: set[int] = set()
    while pending:
        number = pending.pop()
        if number not in seen:
            seen.add(number)
            yield number
            pending.extend(behind(number))


def with_operands(nodes: Sequence[Node], roots: Iterable[int]) -> Iterator[int]:
    """The roots and everything that they are computed from."""
    return depth_first(roots, lambda number: nodes[number].operands)
