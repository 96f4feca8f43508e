"""The plan of a matrix product on a device: its loops, flattened by group, and where its tensors are.

In: a product, perhaps fused with kernels. Out: `ProductPlan`. Holds: the operand that varies along the result's innermost axis is
on the right; adjacent loops that every tensor walks as one are one loop, in a product that is not fused; the axis that a product is
written out along is in none of the groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy

from ...lang.checked import Length
from ...schedule.steps import KernelStep, Place, Schedule
from ..access import Access, access
from ..lengths import identifier
from ..loops import Loop
from ..products import operands, stored_axes
from .fusion import FusedProduct


@dataclass(frozen=True)
class Operand:
    """Read at `place`, or computed by the stores of `kernel`; `unrolled`: whether it varies along the axis that is written out."""

    place: Place
    access: Access
    kernel: KernelStep | None
    unrolled: bool


@dataclass(frozen=True)
class ProductPlan:
    """result[batch, m, n] = sum over k of left[batch, m, k] * right[batch, n, k], for each position of `unrolled`, if there is one.

    `summed`: whether the positions are terms of one sum, not results of their own.
    """

    batch: tuple[Loop, ...]
    m: tuple[Loop, ...]
    n: tuple[Loop, ...]
    k: tuple[Loop, ...]
    left: Operand
    right: Operand
    result: Access
    unrolled: str | None
    positions: int
    summed: bool


def plan_product(schedule: Schedule, fused: FusedProduct) -> ProductPlan:
    """The plan of a product."""
    step = fused.step
    given = operands(step)
    swapped = given.left == step.right and given.left != step.left
    kernels = (fused.right, fused.left) if swapped else (fused.left, fused.right)
    result = access(step.result, schedule.buffers, schedule.lengths)
    sides = []
    for place, kernel in zip((given.left, given.right), kernels, strict=True):
        own = access(place, schedule.buffers, schedule.lengths)
        sides.append(Operand(place, own, kernel, fused.unrolled in stored_axes(place)))
    left, right = sides
    apart = fused.left is not None or fused.right is not None or fused.after is not None
    stored = stored_axes(step.result)
    sums = (*stored_axes(given.right), *stored_axes(given.left))

    def group(axes: Sequence[str], order: Sequence[str], accesses: Sequence[Access]) -> tuple[Loop, ...]:
        kept = [axis for axis in axes if axis != fused.unrolled]
        ordered = sorted(kept, key=lambda axis: order.index(axis) if axis in order else len(order))
        return merged(ordered, accesses, schedule.lengths, apart)

    return ProductPlan(
        group(step.batch, stored, (left.access, right.access, result)),
        group(given.m, stored, (left.access, result)),
        group(given.n, stored, (right.access, result)),
        group(step.k, sums, (left.access, right.access)),
        left,
        right,
        result,
        fused.unrolled,
        1 if fused.unrolled is None else int(schedule.lengths[fused.unrolled]),
        fused.unrolled in step.k,
    )


def merged(axes: Sequence[str], accesses: Sequence[Access], lengths: Mapping[str, Length], apart: bool) -> tuple[Loop, ...]:
    """Loops over the axes, adjacent ones merged, unless they are to be apart, where every access walks them as one."""
    groups: list[list[str]] = []
    for axis in axes:
        if lengths[axis] == 1:
            continue
        last = groups[-1][-1] if groups else None
        if last is not None and not apart and all(_walks_as_one(each, last, axis, lengths[axis]) for each in accesses):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    loops = []
    for group in groups:
        length: Length = sympy.Integer(1)
        for axis in group:
            length = length * lengths[axis]
        loops.append(Loop(tuple(group), "i_" + "_".join(map(identifier, group)), length))
    return tuple(loops)


def _walks_as_one(each: Access, outer: str, inner: str, length: Length) -> bool:
    return bool(sympy.expand(each.stride(outer) - each.stride(inner) * length) == 0)
