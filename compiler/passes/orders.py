"""The order in which a sum of a product of several factors is best taken.

In: the axes of each factor, the axes kept, lengths. Out: a binary tree of factor numbers, or None where the factors are too many.

How: dynamic programming over subsets (Lam, Sadayappan and Wenger, "On optimizing a class of multi-dimensional loops with reductions
for parallel execution", 1997). What a subset amounts to does not depend on the order within it: its factors' axes, without those
that are summed over and that nothing outside it has. The cost of joining two subsets is the number of points of the axes of both.
Holds: of orders that cost the same, the one is taken whose intermediate values are smallest, then the first; no set's order shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from ..lang.checked import Length
from .costs import nominal

Tree = Union[int, tuple["Tree", "Tree"]]

MOST_FACTORS = 10


def best_order(factors: Sequence[frozenset[str]], kept: frozenset[str], lengths: dict[str, Length]) -> tuple[Tree, int] | None:
    """The cheapest tree, and its cost in points."""
    count = len(factors)
    if not 2 <= count <= MOST_FACTORS:
        return None
    whole = (1 << count) - 1

    def axes_of(subset: int) -> frozenset[str]:
        inside: frozenset[str] = frozenset().union(*(factors[n] for n in range(count) if subset >> n & 1))
        outside: frozenset[str] = kept.union(*(factors[n] for n in range(count) if not subset >> n & 1))
        return inside & outside

    axes = [frozenset[str]()] * (whole + 1)
    best: list[tuple[int, int, Tree] | None] = [None] * (whole + 1)
    for subset in range(1, whole + 1):
        if subset & (subset - 1) == 0:
            number = subset.bit_length() - 1
            axes[subset], best[subset] = factors[number], (0, 0, number)
            continue
        axes[subset] = axes_of(subset)
        size = nominal(lengths, sorted(axes[subset]))
        first = (subset - 1) & subset
        while first:
            second = subset ^ first
            left, right = best[first], best[second]
            if first < second and left is not None and right is not None:
                cost = left[0] + right[0] + nominal(lengths, sorted(axes[first] | axes[second]))
                sizes = left[1] + right[1] + size
                found = best[subset]
                if found is None or (cost, sizes) < found[:2]:
                    best[subset] = (cost, sizes, (left[2], right[2]))
            first = (first - 1) & subset
    result = best[whole]
    return None if result is None else (result[2], result[0])
