"""Where an affine index runs, in lengths.

In: an index, the lengths of axes, the length of a dimension. Out: its bounds, and whether it can leave the dimension. Holds: what
cannot be told for every length counts as leaving.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from ..lang.checked import Length
from ..lang.lengths import at_most
from .graph import Affine


def bounds(index: Affine, lengths: Mapping[str, Length]) -> tuple[Length, Length]:
    """The smallest and the largest index, where there is any."""
    low: Length = sympy.sympify(index.offset)
    high = low
    for axis, coefficient in index.terms:
        reach = sympy.expand(coefficient * (lengths[axis] - 1))
        if at_most(0, coefficient):
            high = high + reach
        elif at_most(coefficient, 0):
            low = low + reach
        else:
            low, high = low + sympy.Min(0, reach), high + sympy.Max(0, reach)
    return low, high


def can_leave(index: Affine, length: Length, lengths: Mapping[str, Length]) -> bool:
    """Whether the index may be below 0 or from `length` on."""
    low, high = bounds(index, lengths)
    return not (at_most(sympy.Integer(0), low) and at_most(high, length - 1))
