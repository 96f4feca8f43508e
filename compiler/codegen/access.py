"""Where a loop nest reads and writes: element offsets as sums of stride * loop variable.

In: a place (buffer and index per dimension), buffers, axis lengths. Out: for each axis its stride in elements, and a constant
offset, as sympy expressions; strides passed at the call are symbols named "stride <variable>". Indices that need more than a sum
(gathered ones, and those that may leave their dimension) are kept apart, as `Fitted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from ..ir.graph import Affine
from ..ir.ranges import can_leave
from ..lang.checked import Length
from ..schedule.steps import Buffer, Place
from .lengths import identifier


@dataclass(frozen=True)
class Access:
    """`fitted`: the dimensions whose indices are brought into their range one by one."""

    strides: tuple[tuple[str, Length], ...]
    offset: Length
    fitted: tuple[Fitted, ...] = ()

    def stride(self, axis: str) -> Length:
        for name, stride in self.strides:
            if name == axis:
                return stride
        return sympy.Integer(0)


@dataclass(frozen=True)
class Fitted:
    """A dimension of `length`, `stride` apart in memory, indexed by the loops (an access of its own) or the value of a node.

    `boundary` says what an index outside stands for; None where none is.
    """

    stride: Length
    length: Length
    index: Access | int
    boundary: str | None


def stride_variable(buffer: str, dimension: int) -> str:
    """The name of the variable that holds a strided input's element stride."""
    return f"stride_{identifier(buffer)}_{dimension}"


def passed_strides(buffer: Buffer) -> range:
    """The dimensions whose strides are passed at the call."""
    count = len(buffer.dimensions) - buffer.parts
    return range({"strided": count, "rows": max(count - 1, 0)}.get(buffer.layout, 0))


def dimension_strides(buffer: Buffer) -> tuple[Length, ...]:
    """Element strides of a buffer's dimensions; of a complex tensor's, in real numbers."""
    if buffer.strided:
        passed = passed_strides(buffer)
        known = sympy.Integer(0 if buffer.layout == "expanded" else 1)
        own = tuple(
            sympy.Symbol(f"stride {stride_variable(buffer.name, d)}", integer=True) if d in passed else known
            for d in range(len(buffer.dimensions) - buffer.parts)
        )
        return (*(2 * stride for stride in own), sympy.Integer(1)) if buffer.parts else own
    strides: list[Length] = []
    step: Length = sympy.Integer(1)
    for length in reversed(buffer.dimensions):
        strides.append(step)
        step = step * length
    return tuple(reversed(strides))


def access(place: Place, buffers: Mapping[str, Buffer], lengths: Mapping[str, Length]) -> Access:
    """Strides by axis and constant offset of a place, and the dimensions that are not such a sum."""
    strides: dict[str, Length] = {}
    offset: Length = sympy.Integer(0)
    fitted: list[Fitted] = []
    buffer = buffers[place.buffer]
    for index, length, step in zip(place.indices, buffer.dimensions, dimension_strides(buffer), strict=True):
        if not isinstance(index, Affine):
            fitted.append(Fitted(step, length, index.node, place.boundary))
            continue
        if place.boundary is not None and can_leave(index, length, lengths):
            fitted.append(Fitted(step, length, Access(index.terms, sympy.expand(index.offset)), place.boundary))
            continue
        offset = offset + step * index.offset
        for axis, coefficient in index.terms:
            strides[axis] = strides.get(axis, sympy.Integer(0)) + step * coefficient
    return Access(tuple((axis, sympy.expand(stride)) for axis, stride in strides.items()), sympy.expand(offset), tuple(fitted))
