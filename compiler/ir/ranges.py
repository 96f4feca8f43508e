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
    return not (_never_negative(low) and _never_negative(length - 1 - high))


def largest(length: Length) -> int | None:
    """A bound that the length never exceeds, if it is a number: of 2*floor((H + 1)/2) - H it is 1."""
    bound = _rounded_nowhere(-sympy.expand(length))
    return int(sympy.floor(-bound)) if bound.is_Rational else None


def _never_negative(length: Length) -> bool:
    length = sympy.expand(length)
    return bool(at_most(sympy.Integer(0), length)) or (
        length.has(sympy.floor) and bool(at_most(sympy.Integer(0), _rounded_nowhere(length)))
    )


def _rounded_nowhere(length: Length) -> Length:
    """Something no larger, without the floors that it is a sum of: floor(n/q) lies between (n - q + 1)/q and n/q for integers n."""
    bound = sympy.Integer(0)
    for term in sympy.Add.make_args(length):
        coefficient, rest = term.as_coeff_Mul()
        if coefficient < 0 and rest.is_nonnegative:  # 1 for Min(1, n), which makes it smaller still
            rest = sympy.Mul(*(factor for factor in sympy.Mul.make_args(rest) if not _is_zero_or_one(factor)))
            term = coefficient * rest
        if isinstance(rest, sympy.floor):
            numerator, denominator = sympy.together(rest.args[0]).as_numer_denom()
            if denominator.is_Integer:
                term = coefficient * (numerator - (denominator - 1 if coefficient > 0 else 0)) / denominator
        bound = bound + term
    return sympy.expand(bound)


def _is_zero_or_one(length: Length) -> bool:
    return isinstance(length, sympy.Min) and 1 in length.args and bool(length.is_nonnegative)
