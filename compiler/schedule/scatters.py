"""Placing the parts of a scatter: which axes run along with the result, which points are sorted by where they go.

In: a scatter node in a builder. Out: `ScatterPlan`: its axes in four groups, and the node of its keys.

The adjoint of `x[B, i[N], D]` adds values[B, N, D] to result[B, ., D]. A dimension indexed by an axis of its own, one to one, is
*outer* (before all others that are not) or *inner* (behind them). An axis that indexes one dimension one to one and is part of
another index besides (`x[B, i[B]]`) is a *group*: its points stay among themselves. The other dimensions are *placed*: a point's
key is the position in them, in row-major order, or -1 where it counts nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy

from ..ir.graph import Affine, Builder, GatherSlot, Node, entry_length, size_of
from ..ir.ranges import can_leave
from ..lang.checked import Entry, Length
from ..passes.affine_scatters import fitted
from ..passes.substitute import affine_value
from .steps import Buffer, Place


@dataclass(frozen=True)
class ScatterPlan:
    """Axes of the value, in this order: outer, groups, points, inner. `entries`: the result's, in the order outer, groups, placed,
    inner; `rows`: the product of the placed ones. `key`: an integer over groups and points."""

    outer: tuple[str, ...]
    groups: tuple[str, ...]
    points: tuple[str, ...]
    inner: tuple[str, ...]
    entries: tuple[Entry, ...]
    rows: Length
    key: int

    @property
    def value_axes(self) -> tuple[str, ...]:
        return self.outer + self.groups + self.points + self.inner

    @property
    def key_axes(self) -> tuple[str, ...]:
        return self.groups + self.points


def plan_scatter(builder: Builder, number: int) -> ScatterPlan:
    """The plan of the scatter `number`, all of whose axes are summed over."""
    node = builder.nodes[number]
    lengths = builder.lengths
    entries, indices = node.attribute("entries"), node.attribute("indices")
    used: list[tuple[str, ...]] = [
        index.axes if isinstance(index, Affine) else builder.nodes[node.operands[index.operand]].axes for index in indices
    ]
    plain = [_one_to_one(index, entry, lengths) for entry, index in zip(entries, indices, strict=True)]
    claimed: dict[str, int] = {}
    for place, each in enumerate(plain):
        if each and not any(axis in claimed for axis in used[place]):
            claimed.update(dict.fromkeys(used[place], place))
        else:
            plain[place] = False
    elsewhere = {axis for place, each in enumerate(plain) if not each for axis in used[place]}
    group = [each and any(axis in elsewhere for axis in used[place]) for place, each in enumerate(plain)]
    placed = [place for place, each in enumerate(plain) if not each]
    first = min([*placed, *(place for place, each in enumerate(group) if each)], default=len(plain))
    outer = [place for place, each in enumerate(plain) if each and not group[place] and place < first]
    groups = [place for place, each in enumerate(group) if each]
    inner = [place for place, each in enumerate(plain) if each and not group[place] and place > first]
    summed = builder.sorted_axes(axis for axis in node.attribute("over") if axis not in claimed)
    rows = size_of(entry_length(entries[place], lengths) for place in placed)

    def axes_of(places: Sequence[int]) -> tuple[str, ...]:
        return tuple(axis for place in places for axis in used[place])

    return ScatterPlan(
        axes_of(outer),
        axes_of(groups),
        summed,
        axes_of(inner),
        tuple(entries[place] for place in (*outer, *groups, *placed, *inner)),
        rows,
        _key(builder, node, placed),
    )


def _one_to_one(index: Affine | GatherSlot, entry: Entry, lengths: dict[str, Length]) -> bool:
    """Whether an index runs over the whole of a dimension in order."""
    if not isinstance(index, Affine) or index.offset != 0 or not index.terms:
        return False
    stride: Length = sympy.Integer(1)
    for axis, coefficient in reversed(index.terms):
        if sympy.expand(coefficient - stride) != 0:
            return False
        stride = stride * lengths[axis]
    return bool(sympy.expand(stride - entry_length(entry, lengths)) == 0)


def lies_densely(place: Place, axes: Sequence[str], buffer: Buffer, lengths: Mapping[str, Length]) -> bool:
    """Whether a value over the axes, read at the place, lies in memory in their order without gaps, in the compute dtype."""
    if buffer.strided or buffer.dtype != "compute" or place.boundary is not None:
        return False
    found = dict.fromkeys(axes, sympy.Integer(0))
    step: Length = sympy.Integer(1)
    for index, dimension in zip(reversed(place.indices), reversed(buffer.dimensions), strict=True):
        if not isinstance(index, Affine) or index.offset != 0 or not set(index.axes) <= set(axes):
            return False
        for axis, coefficient in index.terms:
            found[axis] = found[axis] + step * coefficient
        step = step * dimension
    step = sympy.Integer(1)
    for axis in reversed(axes):
        if sympy.expand(found[axis] - step) != 0:
            return False
        step = step * lengths[axis]
    return True


def _key(builder: Builder, node: Node, placed: Sequence[int]) -> int:
    """The position in the placed dimensions as an integer value, -1 outside where that counts as zero."""
    lengths = builder.lengths
    boundary = node.attribute("boundary")
    entries, indices = node.attribute("entries"), node.attribute("indices")
    zero = builder.const(0)
    key, inside = zero, None
    for place in placed:
        index, length = indices[place], entry_length(entries[place], lengths)
        count = builder.add("length", length=length)
        if isinstance(index, GatherSlot):
            position, leaves = node.operands[index.operand], boundary is not None
        else:
            position, leaves = affine_value(builder, index), boundary is not None and can_leave(index, length, lengths)
        if leaves and boundary == "zero":
            fits = builder.add("and", (builder.add("ge", (position, zero)), builder.add("lt", (position, count))))
            inside = fits if inside is None else builder.add("and", (inside, fits))
        elif leaves:
            position = fitted(builder, position, count, boundary)
        key = builder.add("add", (builder.add("mul", (key, count)), position))
    return key if inside is None else builder.add("select", (inside, key, builder.const(-1)))
