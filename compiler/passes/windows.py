"""The structure of a sum over windows: which axis plays which part.

In: the operands of a sum of products, data x and weights w, found in their index maps alone. Out: `WindowRoles`, or None.

A sum over windows reads x where an index is the sum of an axis that is summed over and one that is not. Where the weights have an
axis of their own too, it is a matrix product. Where they have not (a convolution of each channel by itself, a long filter, and the
gradients of these), there is nothing to share but the data: outputs side by side need elements side by side. Two forms:
- spread: y[.., row, column] = sum over window, tap of w[.., window, tap] * x[.., row + dilation * window, column + tap]
- collect: y[.., window, tap] = sum over row, column of w[.., row, column] * x[.., row + dilation * window, column + tap]
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Affine, Builder, GatherSlot
from .costs import nominal, nominal_length

LEAST_TERMS = 8  # a shorter window is better written out within a loop, where it needs no array of its own
LEAST_COLUMNS = 8


@dataclass(frozen=True)
class WindowRoles:
    """`column` steps by one element in x. x's index along `row` and `window` is row + dilation * window, or, `reversed`, row -
    dilation * window; None where there is no such pair. `tap`: one more axis of the window, if it has one."""

    spreads: bool
    column: str
    row: str | None
    window: str | None
    dilation: int
    reversed: bool
    tap: str | None


def window_roles(builder: Builder, data: int, weight: int, over: tuple[str, ...]) -> WindowRoles | None:
    """The roles in sum over `over` of data * weight, if it is a sum over windows of `data`."""
    node = builder.nodes[data]
    if node.op != "read" or len(node.operands) > 1 or not set(over) <= set(node.axes):
        return None
    indices = [index for index in node.attribute("indices") if not isinstance(index, GatherSlot)]
    own = [axis for axis in node.axes if axis not in builder.nodes[weight].axes and axis not in over]
    shared = [axis for axis in over if axis in builder.nodes[weight].axes]
    if not shared or not any(set(index.axes) & set(own) and set(index.axes) & set(over) for index in indices):
        return None
    column = _column(builder, indices, own, shared)
    if column is None:
        return None
    axis, spreads = column
    outputs, sums = (own, list(over)) if spreads else (shared, own)
    pair = _pair(indices[:-1], outputs, sums)
    row, window, step = pair if pair is not None else (None, None, 1)
    rest = [each for each in sums if each not in (axis, window)]
    near = [each for each in rest if each in indices[-1].axes]
    tap = max(near or rest, key=lambda each: nominal_length(builder.lengths[each]), default=None)
    return WindowRoles(spreads, axis, row, window, abs(step), step < 0, tap)


def worth_a_step(builder: Builder, roles: WindowRoles, data: int, weight: int, over: tuple[str, ...]) -> bool:
    """Whether the sum is long enough to be computed by itself."""
    own = set(builder.nodes[data].axes) - set(builder.nodes[weight].axes)
    terms = nominal(builder.lengths, over) if roles.spreads else nominal(builder.lengths, own)
    return terms >= LEAST_TERMS and nominal_length(builder.lengths[roles.column]) >= LEAST_COLUMNS


def _column(builder: Builder, indices: list[Affine], own: list[str], shared: list[str]) -> tuple[str, bool] | None:
    """The longest axis along which the data's elements lie side by side, and whether it is one of the result's."""
    if not indices:
        return None
    # a window is a parameter's: of unknown lengths, the others are longer
    trained = {axis for spec in builder.inputs.values() if spec.role == "param" for entry in spec.entries for axis in entry.axes}
    elsewhere = {axis for index in indices[:-1] for axis in index.axes}
    found: list[tuple[tuple[bool, int], bool, str]] = []
    for axis, coefficient in indices[-1].terms:
        if coefficient == 1 and axis not in elsewhere and axis in (*own, *shared):
            length = builder.lengths[axis]
            found.append(((length.is_Integer or axis not in trained, nominal_length(length)), axis in own, axis))
    if not found:
        return None
    longest = max(length for length, _, _ in found)
    chosen = [each for each in found if each[0] == longest]
    few = nominal(builder.lengths, shared) <= nominal(builder.lengths, own)
    _, spreads, axis = next((each for each in chosen if each[1] == few), chosen[0])
    return axis, spreads


def _pair(indices: list[Affine], rows: list[str], windows: list[str]) -> tuple[str, str, int] | None:
    """A row and a window that share an index, the window's steps a multiple of the row's: and that multiple."""
    listed = [axis for index in indices for axis in index.axes]
    for index in indices:
        once = [(axis, coefficient) for axis, coefficient in index.terms if listed.count(axis) == 1]
        for row, unit in once:
            for window, coefficient in once:
                ratio = coefficient / unit
                if row in rows and window in windows and row != window and ratio.is_Integer:
                    return row, window, int(ratio)
    return None
