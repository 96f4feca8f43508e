"""The plan of a matrix product on a device: its loops, flattened by group, and how many programs share a sum.

In: a product step. Out: `ProductPlan`. Holds: the operand that varies along the result's innermost axis is on the right; adjacent
loops that every tensor walks as one are one loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy

from ...lang.checked import Length
from ...schedule.steps import Place, ProductStep, Schedule
from ..access import Access, access
from ..lengths import identifier
from ..loops import Loop
from ..products import operands, stored_axes


@dataclass(frozen=True)
class ProductPlan:
    """result[batch, m, n] = sum over k of left[batch, m, k] * right[batch, n, k]."""

    batch: tuple[Loop, ...]
    m: tuple[Loop, ...]
    n: tuple[Loop, ...]
    k: tuple[Loop, ...]
    places: tuple[Place, Place, Place]
    left: Access
    right: Access
    result: Access


def plan_product(schedule: Schedule, step: ProductStep) -> ProductPlan:
    """The plan of a product step."""
    given = operands(step)
    places = (given.left, given.right, step.result)
    left, right, result = (access(place, schedule.buffers, schedule.lengths) for place in places)
    stored = stored_axes(step.result)
    sums = (*stored_axes(given.right), *stored_axes(given.left))

    def group(axes: Sequence[str], order: Sequence[str], accesses: Sequence[Access]) -> tuple[Loop, ...]:
        ordered = sorted(axes, key=lambda axis: order.index(axis) if axis in order else len(order))
        return merged(ordered, accesses, schedule.lengths)

    return ProductPlan(
        group(step.batch, stored, (left, right, result)),
        group(given.m, stored, (left, result)),
        group(given.n, stored, (right, result)),
        group(step.k, sums, (left, right)),
        places,
        left,
        right,
        result,
    )


def merged(axes: Sequence[str], accesses: Sequence[Access], lengths: Mapping[str, Length]) -> tuple[Loop, ...]:
    """Loops over the axes, adjacent ones merged where every access walks them as one."""
    groups: list[list[str]] = []
    for axis in axes:
        if lengths[axis] == 1:
            continue
        last = groups[-1][-1] if groups else None
        if last is not None and all(sympy.expand(each.stride(last) - each.stride(axis) * lengths[axis]) == 0 for each in accesses):
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
