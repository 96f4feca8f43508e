"""Recurrences: which running values they need, and what each of their steps has to compute in between.

In: a scan in a list of nodes, and the places of values stored before. Out: a `Recurrence`.

What holds: everything a step uses is a running value, read from a buffer, or computed from these at the same point of the axis.
Along the axes in `within` a step sees other points than its own, through a reduction or through a scan inside; along the others the
recurrences are independent of each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..ir.graph import Builder, Node
from ..ir.scans import FreeValues, bodies_of, initials_of, same_recurrence
from ..ir.walk import depth_first
from .nest import cone_of, loop_order
from .steps import Place, Store


@dataclass(frozen=True)
class Recurrence:
    """running: position -> the node of a running value, of those that a wanted value depends on.

    results: scan node -> its position. cone: everything that initial values and steps use. free: the nodes of the cone that depend
    on a running value and so change from step to step. staged: reductions and scans that a step finishes before its values are
    computed, in order. rest: the axes of all values but the recurrence's own, in storage order.
    """

    axis: str
    reverse: bool
    initials: Mapping[int, int]
    bodies: Mapping[int, int]
    running: Mapping[int, int]
    results: Mapping[int, int]
    cone: tuple[int, ...]
    free: frozenset[int]
    staged: tuple[int, ...]
    rest: tuple[str, ...]
    within: frozenset[str]


def recurrence(
    nodes: Sequence[Node],
    axes: Sequence[str],
    leaves: Mapping[int, Place],
    stores: Sequence[Store],
    scans: Sequence[int],
    known: frozenset[str] = frozenset(),
) -> Recurrence:
    """The recurrence that `scans` read at one or several of its values; `known` names the running values of scans around it."""
    scan = nodes[scans[0]]
    names = scan.attribute("names")
    free = FreeValues(nodes)
    results = {number: nodes[number].attribute("result") for number in scans}
    bodies, initials = bodies_of(scan), initials_of(scan)
    wanted = dict.fromkeys(results.values())
    running: dict[int, int] = {}
    while True:  # the values that those wanted are made of
        cone = cone_of(nodes, leaves, [bodies[position] for position in wanted])
        carried = [n for n in cone if nodes[n].op == "carried" and nodes[n].attribute("name") in names]
        running = {names.index(nodes[n].attribute("name")): n for n in carried}
        if set(running) <= set(wanted):
            break
        wanted.update(dict.fromkeys(sorted(running)))
    cone = cone_of(nodes, leaves, [bodies[p] for p in wanted] + [initials[p] for p in running])
    own = frozenset(names)
    inside = frozenset(number for number in cone if free.of(number) & own)
    staged = tuple(n for n in sorted(inside) if nodes[n].op in ("reduce", "scan") and free.of(n) <= known | own)
    looked = {nodes[n].attribute("axis") for n in inside if nodes[n].op == "scan"}
    for number in inside:
        if nodes[number].op == "reduce":
            looked.update(nodes[number].attribute("over"))
    axis = scan.attribute("axis")
    present = {axis}
    for number in (*results, *running.values(), *(bodies[position] for position in wanted)):
        present.update(nodes[number].axes)
    order = loop_order(nodes, leaves, cone, stores, [each for each in axes if each in present])
    return Recurrence(
        axis,
        scan.attribute("reverse"),
        {position: initials[position] for position in running},
        {position: bodies[position] for position in wanted},
        dict(sorted(running.items())),
        results,
        cone,
        inside,
        staged,
        tuple(each for each in order if each != axis),
        frozenset(looked) & present - {axis},
    )


def members(nodes: Sequence[Node], scan: int, among: Sequence[int]) -> list[int]:
    """The scans that are one recurrence with `scan`."""
    return [number for number in among if same_recurrence(nodes[scan], nodes[number])]


def stored_before(builder: Builder, leaves: Mapping[int, Place], free: FreeValues, scan: int) -> list[int]:
    """The values that must be stored before a scan runs: reductions, and what is written out along an axis."""

    def must_be(number: int) -> bool:
        return number not in leaves and not free.of(number) and builder.nodes[number].op in ("reduce", "stack")

    def behind(number: int) -> tuple[int, ...]:
        node = builder.nodes[number]
        if number in leaves or must_be(number):
            return ()
        return node.operands[1:] if node.op == "read" else node.operands

    return sorted(number for number in depth_first(builder.nodes[scan].operands, behind) if must_be(number))
