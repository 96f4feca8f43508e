"""The loops of a nest, adjacent ones merged where every access walks them as one.

In: a nest and its accesses. Out: `Loop`s, outer ones first.

Before: loops u, v. After: one loop over u_length * v_length points.
Why it is legal: for every access stride(u) = stride(v) * length(v) (or both are 0), no value asks for the index u or v, and every
reduction runs over both or neither, so the merged variable visits the same elements in the same order. A loop over one point
joins the next if only the reductions agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy

from ..ir.graph import Node, size_of
from ..lang.checked import Length
from ..schedule.nest import Nest
from .access import Access, Fitted
from .lengths import identifier


@dataclass(frozen=True)
class Loop:
    """`variable` runs from 0 to `length`; accesses step by the stride of the last of `axes`."""

    axes: tuple[str, ...]
    variable: str
    length: Length

    @property
    def step_axis(self) -> str:
        return self.axes[-1]


def moves(fitted: Fitted, loop: Loop) -> bool:
    """Whether an index moves with the loop, by a step known now."""
    return (
        isinstance(fitted.index, Access)
        and fitted.index.stride(loop.step_axis) != 0
        and fitted.index.stride(loop.step_axis).is_Integer
    )


def merged_loops(
    axes: Sequence[str],
    nest: Nest,
    nodes: Sequence[Node],
    lengths: Mapping[str, Length],
    accesses: Sequence[Access],
    apart: frozenset[str] = frozenset(),
) -> tuple[Loop, ...]:
    """The loops over `axes` (all outer or all inner), merged where legal; the axes in `apart` stay alone."""
    indexed = {nodes[n].attribute("axis") for n in nest.cone if nodes[n].op == "index"} | apart
    overs = [set(nodes[n].attribute("over")) for n in (*nest.row, *nest.column)]
    # a value at the level of one of two loops (no access of its own need show it) keeps them apart
    levels = [set(nodes[n].axes) for n in nest.cone if nodes[n].op != "input"]
    groups: list[list[str]] = []
    for axis in axes:
        group = groups[-1] if groups else []
        # an axis of length 1 joins any other, but the one before it in the group must walk as one with what follows
        previous = next((other for other in reversed(group) if lengths[other] != 1), None)
        if (
            group
            and all((group[-1] in over) == (axis in over) for over in overs)
            and (
                previous is None
                or (
                    not {previous, axis} & indexed
                    and all((previous in level) == (axis in level) for level in levels)
                    and all(_walks_as_one(each, previous, axis, lengths[axis]) for each in accesses)
                )
            )
        ):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    loops = []
    for group in groups:
        length = size_of(lengths[axis] for axis in group)
        named = [axis for axis in group if lengths[axis] != 1] or group[-1:]
        loops.append(Loop(tuple(group), "i_" + "_".join(identifier(axis) for axis in named), length))
    return tuple(loops)


def _walks_as_one(each: Access, outer: str, inner: str, length: Length) -> bool:
    return bool(sympy.expand(each.stride(outer) - each.stride(inner) * length) == 0)
