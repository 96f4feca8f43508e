"""Estimates of size where lengths are not known: what rewrites are weighed by.

In: lengths and axes. Out: numbers of points, an axis of unknown length counting as NOMINAL_LENGTH.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..lang.checked import Length

NOMINAL_LENGTH = 512


def nominal(lengths: dict[str, Length], axes: Iterable[str]) -> int:
    """The estimated number of points of an index space."""
    size = 1
    for axis in axes:
        size *= nominal_length(lengths[axis])
    return size


def nominal_length(length: Length) -> int:
    if length.is_Integer:
        return int(length)
    value = length.subs(dict.fromkeys(length.free_symbols, NOMINAL_LENGTH))
    return max(1, int(value))
