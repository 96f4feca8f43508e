"""The groups of a contraction's axes, and the order of each.

In: a contract node in a builder. Out: its batch, M, N and K axes, in the order in which what is made for it is stored.

What holds: within a group (M, N, K) both sides of the product use one order. Axes that an operand was written out along (`stack`)
come first in their group, so that the kernel which fills the operand stores runs of adjacent elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..ir.graph import Builder, whole_index
from ..lang.checked import Entry
from ..passes.substitute import stacked_axes
from .steps import Buffer, Place

SHORT_AXIS = 64  # computing an operand, a known axis this short goes before the long ones of its group: loops run along a long one


@dataclass(frozen=True)
class ProductAxes:
    batch: tuple[str, ...]
    m: tuple[str, ...]
    n: tuple[str, ...]
    k: tuple[str, ...]


def stored_order(builder: Builder, number: int) -> tuple[str, ...] | None:
    """The axes of a value in the order that its tensor's dimensions have them, if it is read as it is stored; else None."""
    node = builder.nodes[number]
    if node.op != "read" or node.attribute("boundary") is not None or len(node.operands) > 1:
        return None
    return tuple(dict.fromkeys(axis for index in node.attribute("indices") for axis in index.axes))


def is_window(builder: Builder, number: int) -> bool:
    """Whether a value is read as it is stored, at more points than are stored: an index is a sum of several axes."""
    node = builder.nodes[number]
    if stored_order(builder, number) is None:
        return False
    lengths = builder.lengths
    return any(len(index.axes) > 1 and index != whole_index(Entry(index.axes), lengths) for index in node.attribute("indices"))


def adjacent_axes(place: Place, buffers: Mapping[str, Buffer]) -> tuple[str, ...]:
    """The axes along which the elements of a place lie side by side."""
    if not place.indices or buffers[place.buffer].layout not in ("contiguous", "rows"):
        return ()
    return tuple(axis for axis, coefficient in place.affine[-1].terms if coefficient == 1)


def product_axes(builder: Builder, number: int, orders: Sequence[tuple[str, ...] | None]) -> ProductAxes:
    """The four groups of a contraction's axes, in the order its matrices are stored; `orders`: the operands' stored orders, if
    any."""
    node = builder.nodes[number]
    left, right = (builder.nodes[operand] for operand in node.operands)
    over = node.attribute("over")
    preferred: list[str] = []
    computed = {axis for operand, order in zip((left, right), orders, strict=True) if order is None for axis in operand.axes}
    for axes in ([a for a in node.axes if a in left.axes], [a for a in node.axes if a in right.axes], over):
        known = [axis for axis in axes if axis in computed and builder.lengths[axis].is_Integer]
        short = [axis for axis in known if int(builder.lengths[axis]) <= SHORT_AXIS]
        if len(short) < len(axes):
            preferred.extend(short)
    for operand in node.operands:
        preferred.extend(stacked_axes(builder, operand))
    for order in orders:
        preferred.extend(order or ())
    preferred.extend(builder.axes)
    rank = {axis: place for place, axis in reversed(list(enumerate(preferred)))}

    def group(axes: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted(axes, key=lambda axis: rank[axis]))

    free = [axis for axis in builder.axes if axis in node.axes]
    return ProductAxes(
        group([axis for axis in free if axis in left.axes and axis in right.axes]),
        group([axis for axis in free if axis not in right.axes]),
        group([axis for axis in free if axis not in left.axes]),
        group(over),
    )
