"""Axis lengths from the shapes of the tensors of a call.

In: tensor specs, the graph's axes, the shapes found. Out: the value of every axis and size, and the leading shape that `...` stands
for.

What holds: each stored dimension's length is the product of its axes' lengths, expressions in length symbols. A dimension with one
unknown symbol gives its value; every other dimension is checked. Nothing is guessed: a length that several values would fit (a
rounded quotient) is left to other dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sympy

from ..errors import ArgumentError
from ..lang.checked import ELLIPSIS, Axis, Entry, Length
from .graph import TensorSpec, entry_length
from .tensors import stored_entries

_LARGEST_LENGTH = 2**62


@dataclass(frozen=True)
class Lengths:
    """`values`: axis or size name -> length. `leading`: the dimensions that `...` stands for (None: no tensor has it)."""

    values: Mapping[str, int]
    leading: tuple[int, ...] | None

    def of(self, length: Length) -> int:
        """The value of a length expression. Raises KeyError with the name of a symbol that has no value."""
        return evaluate(length, self.values)


def evaluate(length: Length, values: Mapping[str, int]) -> int:
    """The integer value of a length expression. Raises KeyError with the name of a symbol that has no value."""
    length = sympy.sympify(length)
    if not length.is_Integer:
        length = length.xreplace({symbol: sympy.Integer(values[symbol.name]) for symbol in symbols(length)})
    if not length.is_Integer:
        raise ValueError(f"the length {length} is not an integer")
    return int(length)


def symbols(length: Length) -> tuple[sympy.Symbol, ...]:
    """The symbols of a length expression, by name."""
    return tuple(sorted(sympy.sympify(length).free_symbols, key=lambda symbol: symbol.name))


def entry_text(entry: Entry, lengths: Mapping[str, Length]) -> str:
    """An entry as its author wrote it: its axes' names, or the length of an anonymous axis."""
    return "*".join(str(lengths[axis]) if "." in axis and axis != ELLIPSIS else axis for axis in entry.axes)


@dataclass(frozen=True)
class _Dimension:
    tensor: str
    dimension: int
    text: str
    expected: Length
    found: int


def solve_lengths(
    specs: Iterable[TensorSpec],
    axes: Sequence[Axis],
    shapes: Mapping[str, Sequence[int]],
    known: Mapping[str, int] | None = None,
) -> Lengths:
    """Every axis and size length, from the stored shape of each spec's tensor; `known` gives some beforehand.

    Raises ArgumentError, by tensor and dimension, where a shape does not fit, and where a length cannot be told.
    """
    lengths = {axis.name: axis.length for axis in axes}
    values = dict(known or {})
    dimensions, leading = _dimensions(tuple(specs), lengths, shapes)
    if leading is not None:
        product = 1
        for found in leading:
            product *= found
        values[ELLIPSIS] = product
    elif ELLIPSIS in values:
        leading = (values[ELLIPSIS],)
    pending = dimensions
    progress = True
    while pending and progress:
        progress = False
        left = []
        for each in pending:
            unknown = [symbol for symbol in symbols(each.expected) if symbol.name not in values]
            if not unknown:
                _check(each, values)
                progress = True
            elif len(unknown) == 1 and (solved := _solve(each, unknown[0], values)) is not None:
                values[unknown[0].name] = solved
                progress = True
            else:
                left.append(each)
        pending = left
    for axis in axes:
        missing = [symbol.name for symbol in symbols(axis.length) if symbol.name not in values]
        if missing:
            raise ArgumentError(
                f"the length {missing[0]} cannot be told from the tensors' shapes: give it as a size, or give one of the tensors "
                f"a dimension of that length"
            )
        if axis.name != ELLIPSIS:
            values[axis.name] = evaluate(axis.length, values)
    for each in pending:
        _check(each, values)
    return Lengths(values, leading)


def _dimensions(
    specs: tuple[TensorSpec, ...], lengths: Mapping[str, Length], shapes: Mapping[str, Sequence[int]]
) -> tuple[list[_Dimension], tuple[int, ...] | None]:
    """What each stored dimension must be and what it is, `...` set apart."""
    dimensions = []
    leading: tuple[int, ...] | None = None
    leading_tensor = ""
    for spec in specs:
        shape = tuple(int(length) for length in shapes[spec.name])
        entries = stored_entries(spec)
        texts = [entry_text(entry, lengths) for entry in entries]
        place = next((k for k, entry in enumerate(entries) if entry.axes == (ELLIPSIS,)), None)
        least = len(entries) - (place is not None)
        if len(shape) < least or (place is None and len(shape) != least):
            count = f"at least {least}" if place is not None else str(least)
            raise ArgumentError(
                f"{spec.name}: expected {count} dimension{'' if least == 1 else 's'} [{', '.join(texts)}], "
                f"found {len(shape)}, of shape {shape}"
            )
        extra = len(shape) - least
        found_leading: tuple[int, ...] = ()
        dimension = 0
        for k, entry in enumerate(entries):
            if k == place:
                found_leading = shape[dimension : dimension + extra]
                dimension += extra
                continue
            dimensions.append(_Dimension(spec.name, dimension, texts[k], entry_length(entry, dict(lengths)), shape[dimension]))
            dimension += 1
        if place is not None:
            if leading is not None and leading != found_leading:
                raise ArgumentError(
                    f"{spec.name}: the dimensions of ... must be {leading}, as in {leading_tensor}, found {found_leading}"
                )
            if leading is None:
                leading, leading_tensor = found_leading, spec.name
    return dimensions, leading


def _check(each: _Dimension, values: Mapping[str, int]) -> None:
    expected = evaluate(each.expected, values)
    if expected != each.found:
        said = each.text if each.text == str(expected) else f"{each.text} = {expected}{_where(each, values)}"
        raise ArgumentError(f"{each.tensor}: dimension {each.dimension} must be {said}, found {each.found}")


def _where(each: _Dimension, values: Mapping[str, int]) -> str:
    named = [f"{symbol.name} = {values[symbol.name]}" for symbol in symbols(each.expected) if symbol.name in values]
    named = [] if named and str(each.expected) == each.text == symbols(each.expected)[0].name else named
    return f" ({', '.join(named)})" if named else ""


def _solve(each: _Dimension, symbol: sympy.Symbol, values: Mapping[str, int]) -> int | None:
    """The one value of the symbol that gives the length found; None where several do; ArgumentError where none does."""
    known = {s: sympy.Integer(values[s.name]) for s in symbols(each.expected) if s.name in values}
    length = sympy.expand(each.expected.xreplace(known))
    if not length.has(symbol):  # multiplied by an empty axis
        if int(length) != each.found:
            raise _no_value(each, symbol, values, length)
        return None
    slope = length.coeff(symbol, 1)
    rest = sympy.expand(length - slope * symbol)
    if slope.is_Integer and rest.is_Integer:
        quotient = (each.found - rest) / slope
        if not quotient.is_Integer or quotient < 0:
            raise _no_value(each, symbol, values, length)
        return int(quotient)
    # lengths grow with their symbols: bisect for the first and the last value that fit

    def first_at_least(bound: int) -> int:
        low, high = 0, 1
        while int(length.xreplace({symbol: sympy.Integer(high)})) < bound and high < _LARGEST_LENGTH:
            low, high = high, high * 2
        while low < high:
            middle = (low + high) // 2
            if int(length.xreplace({symbol: sympy.Integer(middle)})) < bound:
                low = middle + 1
            else:
                high = middle
        return low

    first, after = first_at_least(each.found), first_at_least(each.found + 1)
    if first == after or int(length.xreplace({symbol: sympy.Integer(first)})) != each.found:
        raise _no_value(each, symbol, values, length)
    return first if after == first + 1 else None


def _no_value(each: _Dimension, symbol: sympy.Symbol, values: Mapping[str, int], length: Length) -> ArgumentError:
    quotient = length / symbol
    if quotient.is_Integer:
        return ArgumentError(
            f"{each.tensor}: dimension {each.dimension} must be {each.text}, a multiple of {quotient}"
            f"{_where(each, values)}, found {each.found}"
        )
    return ArgumentError(
        f"{each.tensor}: dimension {each.dimension} must be {each.text}{_where(each, values)} for some {symbol.name}, "
        f"found {each.found}"
    )
