"""Estimates of size where lengths are not known: what rewrites are weighed by.

In: lengths and axes. Out: numbers of points, an axis of unknown length counting as NOMINAL_LENGTH.
"""

from __future__ import annotations

from collections.abc import Iterable

import sympy

from ..lang.checked import Length

NOMINAL_LENGTH = 512
NOMINAL_SUBTRACTED = 16


def nominal(lengths: dict[str, Length], axes: Iterable[str]) -> int:
    """The estimated number of points of an index space."""
    size = 1
    for axis in axes:
        size *= nominal_length(lengths[axis])
    return size


def nominal_length(length: Length) -> int:
    """The estimated length; what is taken from another length counts as much shorter than that (the window of H - K + 1)."""
    if length.is_Integer:
        return int(length)
    less = {
        symbol
        for term in sympy.Add.make_args(sympy.expand(length))
        if term.could_extract_minus_sign()
        for symbol in term.free_symbols
    }
    guesses = {symbol: NOMINAL_SUBTRACTED if symbol in less else NOMINAL_LENGTH for symbol in length.free_symbols}
    return max(1, int(length.subs(guesses)))
