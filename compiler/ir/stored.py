"""Reading and writing stored arrays at index maps, for the interpreter.

In: an array with stored dimensions, one array of positions for each dimension, each over named axes. Out: the array of the values
there (`read`), or its adjoint (`scatter`: values added up at those positions).

What holds: an array over axes has one dimension an axis, in the order of the axes' names given beside it; positions that leave a
dimension are treated as its boundary mode says, or are an `OutsideError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ..lang.checked import Entry

Array = numpy.ndarray[Any, Any]


class OutsideError(Exception):
    """Dimension `dimension` is indexed from `low` to `high`, but has `length`, and no boundary mode says what lies outside."""

    def __init__(self, dimension: int, low: int, high: int, length: int) -> None:
        self.dimension, self.low, self.high, self.length = dimension, low, high, length
        super().__init__(f"dimension {dimension}: {low}..{high} of {length}")


@dataclass(frozen=True)
class Positions:
    """Indices into one stored dimension, over the axes named."""

    values: Array
    axes: tuple[str, ...]


@dataclass(frozen=True)
class AffinePositions:
    """Indices base + sum of coefficient * 0..size-1 into one stored dimension, over the axes named."""

    base: int
    coefficients: tuple[int, ...]
    sizes: tuple[int, ...]
    axes: tuple[str, ...]

    @property
    def values(self) -> Array:
        values: Array = numpy.full(self.sizes, self.base)
        for axis, coefficient, size in zip(self.axes, self.coefficients, self.sizes, strict=True):
            values = values + align(coefficient * numpy.arange(size), (axis,), self.axes)
        return values

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest index, where there is any."""
        reach = [coefficient * (size - 1) for coefficient, size in zip(self.coefficients, self.sizes, strict=True)]
        return self.base + sum(min(0, each) for each in reach), self.base + sum(max(0, each) for each in reach)


def align(array: Array, axes: Sequence[str], target: Sequence[str]) -> Array:
    """The array over `axes` as one over `target` (which holds them in any order), of length 1 along the axes it lacks."""
    order = [axes.index(axis) for axis in target if axis in axes]
    shape = [array.shape[axes.index(axis)] if axis in axes else 1 for axis in target]
    return array.transpose(order).reshape(shape)


def within(
    positions: Positions | AffinePositions, length: int, boundary: str | None, dimension: int
) -> tuple[Positions, Array | None]:
    """The positions brought into 0..length-1, and where they count (None: everywhere)."""
    values = positions.values
    outside = (values < 0) | (values >= length)
    if not outside.any():
        return Positions(values, positions.axes), None
    if boundary is None or (length == 0 and boundary != "zero"):
        raise OutsideError(dimension, int(values.min()), int(values.max()), length)
    if boundary == "zero":
        return Positions(numpy.where(outside, 0, values), positions.axes), ~outside
    if boundary == "wrap":
        values = values % length
    elif boundary == "clamp":
        values = values.clip(0, length - 1)
    elif length == 1:
        values = numpy.zeros_like(values)
    else:  # reflect, without repeating the edge
        values = values % (2 * (length - 1))
        values = numpy.where(values >= length, 2 * (length - 1) - values, values)
    return Positions(values, positions.axes), None


def read(stored: Array, positions: Sequence[Positions | AffinePositions], boundary: str | None, axes: Sequence[str]) -> Array:
    """The stored array at the positions of each dimension, over `axes` (all that the positions vary over).

    Dimensions that share no axis are read one by one, affine ones without copying: a window into a sequence is a view of it.
    """
    names = [axis for each in positions for axis in each.axes]
    if len(set(names)) < len(names):
        return _read_at_once(stored, positions, boundary, axes)
    result = stored
    lines: list[AffinePositions | None] = []
    for dimension, each in enumerate(positions):
        line = (
            each if isinstance(each, AffinePositions) and 0 not in each.sizes and _is_dense(each, stored.shape[dimension]) else None
        )
        if line is not None:
            low, high = line.bounds
            result = _take(result, Positions(numpy.arange(low, high + 1), ("",)), boundary, dimension)
        lines.append(line)
    for dimension in reversed(range(len(positions))):
        line = lines[dimension]
        if line is None:
            result = _take(result, positions[dimension], boundary, dimension)
        else:
            start = (slice(None),) * dimension + (slice(line.base - line.bounds[0], None),)
            step = result.strides[dimension]
            shape = result.shape[:dimension] + line.sizes + result.shape[dimension + 1 :]
            strides = result.strides[:dimension] + tuple(c * step for c in line.coefficients) + result.strides[dimension + 1 :]
            result = numpy.lib.stride_tricks.as_strided(result[start], shape, strides, writeable=False)
    return align(result, names, axes)


def _is_dense(line: AffinePositions, length: int) -> bool:
    """Whether the stretch that the positions span is not much longer than what they read and what there is."""
    low, high = line.bounds
    return high - low < 4 * (int(numpy.prod(line.sizes)) + length)


def _take(array: Array, positions: Positions | AffinePositions, boundary: str | None, dimension: int) -> Array:
    """One dimension of the array read at the positions, whose axes replace it."""
    length = array.shape[dimension]
    fitting, mask = within(positions, length, boundary, dimension)
    values = fitting.values
    if mask is None:
        if values.ndim == 1 and values.size and values[-1] - values[0] == values.size - 1 and (numpy.diff(values) == 1).all():
            return array[(slice(None),) * dimension + (slice(int(values[0]), int(values[-1]) + 1),)]
        return array.take(values, axis=dimension)
    if length == 0:
        return numpy.zeros(array.shape[:dimension] + values.shape + array.shape[dimension + 1 :], array.dtype)
    mask = mask.reshape((1,) * dimension + values.shape + (1,) * (array.ndim - dimension - 1))
    return numpy.where(mask, array.take(values, axis=dimension), numpy.zeros((), array.dtype))


def _read_at_once(
    stored: Array, positions: Sequence[Positions | AffinePositions], boundary: str | None, axes: Sequence[str]
) -> Array:
    """A read whose dimensions share axes: a diagonal, or a gather along an axis of its own index."""
    inside, counts = [], []
    for dimension, each in enumerate(positions):
        fitting, mask = within(each, stored.shape[dimension], boundary, dimension)
        inside.append(align(fitting.values, fitting.axes, axes))
        if mask is not None:
            counts.append(align(mask, each.axes, axes))
            if stored.shape[dimension] == 0:
                stored = numpy.zeros([length or 1 for length in stored.shape], stored.dtype)
    result = stored[tuple(inside)]
    for mask in counts:
        result = numpy.where(mask, result, numpy.zeros((), result.dtype))
    return result


def scatter(
    value: Array,
    loop: Sequence[str],
    positions: Sequence[Positions | AffinePositions],
    boundary: str | None,
    entries: Sequence[Entry],
    over: Sequence[str],
    sizes: Mapping[str, int],
    axes: Sequence[str],
) -> Array:
    """The adjoint of `read`: the value, over `loop`, summed over `over` at the positions; over `axes`.

    An axis of the entries that is also one of the loop's, and not summed, is the same index in both.
    """
    own = [axis for entry in entries for axis in entry.axes]
    kept = [axis for axis in loop if axis not in over]
    rest = [axis for axis in kept if axis not in own]
    shape = [sizes[axis] for axis in rest]
    flat: Array = numpy.zeros((), numpy.int64)
    for axis in rest:
        flat = flat * sizes[axis] + align(numpy.arange(sizes[axis]), (axis,), loop)
    counts: Array = numpy.ones((), bool)
    for dimension, (entry, each) in enumerate(zip(entries, positions, strict=True)):
        length = int(numpy.prod([sizes[axis] for axis in entry.axes]))
        fitting, mask = within(each, length, boundary, dimension)
        if mask is not None:
            counts = counts & align(mask, each.axes, loop)
        place = align(fitting.values, fitting.axes, loop)
        flat = flat * length + place
        shape.append(length)
        if length > 0:
            for axis, component in zip(entry.axes, numpy.unravel_index(place, [sizes[axis] for axis in entry.axes]), strict=True):
                if axis in kept:
                    counts = counts & (component == align(numpy.arange(sizes[axis]), (axis,), loop))
    full = numpy.broadcast_shapes(value.shape, flat.shape, counts.shape, tuple(sizes[axis] for axis in loop))
    chosen = numpy.broadcast_to(counts, full)
    result = numpy.zeros(int(numpy.prod(shape)), value.dtype)
    numpy.add.at(result, numpy.broadcast_to(flat, full)[chosen], numpy.broadcast_to(value, full)[chosen])
    listed = [*rest, *own]
    return align(result.reshape([sizes[axis] for axis in listed]), listed, axes)


def store(array: Array, axes: Sequence[str], entries: Sequence[Entry], sizes: Mapping[str, int]) -> Array:
    """A value over `axes` laid out in the stored dimensions of `entries`, broadcast along the axes it lacks."""
    listed = [axis for entry in entries for axis in entry.axes]
    shape = tuple(int(numpy.prod([sizes[axis] for axis in entry.axes])) for entry in entries)
    return numpy.broadcast_to(align(array, axes, listed), [sizes[axis] for axis in listed]).reshape(shape)


def parts(array: Array) -> Array:
    """A complex array as real numbers: real and imaginary part along a further, last dimension."""
    return numpy.stack([array.real, array.imag], axis=-1)


def joined(array: Array) -> Array:
    """The complex array of the parts along the last dimension."""
    result = numpy.empty(array.shape[:-1], numpy.complex128)
    result.real, result.imag = array[..., 0], array[..., 1]
    return result


def of_length(array: Array, dimension: int, length: int) -> Array:
    """The array cut to a length in one dimension, or padded with zeros."""
    found = array.shape[dimension]
    if found >= length:
        return array.take(numpy.arange(length), axis=dimension)
    return numpy.pad(array, [(0, length - found if place == dimension else 0) for place in range(array.ndim)])
