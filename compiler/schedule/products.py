"""Placing the operands and results of contractions as matrices.

In: a contract node in a builder. Out: the order of its batch, M, N and K axes, and whether an operand can be read where it is
stored.

What holds: within a group (M, N, K) both sides of the product use one order. Axes that an operand was written out along (`stack`)
come first in their group, so that the kernel which fills the operand stores runs of adjacent elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir.graph import Affine, Builder
from .steps import Buffer, Matrix, Place

SHORT_AXIS = 64  # a known axis this short goes before the long ones of its group, so that elementwise code runs along a long one


@dataclass(frozen=True)
class ProductAxes:
    batch: tuple[str, ...]
    m: tuple[str, ...]
    n: tuple[str, ...]
    k: tuple[str, ...]


def stacked_axes(builder: Builder, number: int) -> tuple[str, ...]:
    """The axes along which a value's scalar definition holds stacks, in the order met."""
    found: dict[str, None] = {}
    pending, seen = [number], set()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        node = builder.nodes[current]
        if node.op == "stack":
            found.setdefault(node.attribute("axis"))
        if node.op not in ("contract", "input", "read"):
            pending.extend(node.operands)
    return tuple(axis for axis in found if axis in builder.nodes[number].axes)


def stored_order(builder: Builder, number: int, buffers: dict[str, Buffer]) -> tuple[str, ...] | None:
    """The axes of a value in the order its tensor stores them, if it is an input read whole in the compute dtype; else None."""
    node = builder.nodes[number]
    if node.op != "read" or node.attribute("boundary") is not None or len(node.operands) > 1:
        return None
    source = builder.nodes[node.operands[0]]
    if source.op != "input":
        return None
    buffer = buffers[source.attribute("name")]
    if buffer.strided or buffer.dtype != "compute":
        return None
    order: list[str] = []
    lengths = builder.lengths
    for length, index in zip(buffer.dimensions, node.attribute("indices"), strict=True):
        if not isinstance(index, Affine) or index.offset != 0:
            return None
        stride = 1
        for axis, coefficient in reversed(index.terms):
            if coefficient != stride:
                return None
            stride = stride * lengths[axis]
        if stride != length:
            return None
        order.extend(index.axes)
    return tuple(order) if len(set(order)) == len(order) else None


def product_axes(builder: Builder, number: int, orders: Sequence[tuple[str, ...] | None]) -> ProductAxes:
    """The four groups of a contraction's axes, in the order its matrices are stored; `orders`: the operands' stored orders, if
    any."""
    node = builder.nodes[number]
    left, right = (builder.nodes[operand] for operand in node.operands)
    over = node.attribute("over")
    preferred: list[str] = []
    for axes in ([a for a in node.axes if a in left.axes], [a for a in node.axes if a in right.axes], over):
        short = [axis for axis in axes if builder.lengths[axis].is_Integer and int(builder.lengths[axis]) <= SHORT_AXIS]
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


def as_matrix(
    place: Place, order: Sequence[str], batch: Sequence[str], rows: Sequence[str], columns: Sequence[str]
) -> Matrix | None:
    """The stored tensor as batch x rows x columns, or transposed; None if its order is neither."""
    if tuple(order) == (*batch, *rows, *columns):
        return Matrix(place, False)
    if tuple(order) == (*batch, *columns, *rows):
        return Matrix(place, True)
    return None
