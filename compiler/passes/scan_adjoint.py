"""The adjoint of a recurrence.

In: a recurrence H_t = f(H_(t-1), p_t) that starts from z, and the cotangents g of its values. Out: the cotangents lambda of what
each of its steps computes, as values along the axis, and the cotangent of z.

    M_t = (df/dH at H_(t-1))^T lambda_t,    lambda_t = g_t + M_(t+1),    M = 0 behind the last step

is a recurrence too, run from the other end: its running values are the M's and the lambdas, and its body is the vector-Jacobian
product of f. What f depends on beside H gets its gradient from lambda by reverse mode through a copy of f at H_(t-1), over all
steps at once; the gradient of z is M at the first step. Scans give scans, so any order follows. (Griewank and Walther, Evaluating
Derivatives, 2008, chapter 3: the adjoint of an evolution.)

`Stepwise` is what the caller provides: reverse mode within a step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sympy

from ..ir.graph import Affine, Builder, Graph, Node
from ..ir.scans import FreeValues, bodies_of, fresh_name, initials_of
from ..ir.walk import depth_first, with_operands
from ..lang.checked import Entry
from .simplify import constant
from .substitute import constant_index, renamed_axis, spread

# (body's node of the graph, its cotangent) of each -> cotangents of the running values by node of the graph
Stepwise = Callable[[Sequence[tuple[int, int]]], Mapping[int, int]]


@dataclass(frozen=True)
class Adjoint:
    """By position: the lambdas, and the cotangents of the initial values over the axes of the running values."""

    steps: Mapping[int, int]
    initial: Mapping[int, int]


def running_nodes(graph: Graph, scan: Node) -> dict[int, int]:
    """Position of a running value -> its node, for those that the bodies use."""
    names = scan.attribute("names")
    inside = set(bodies_of(scan))
    found: dict[int, int] = {}
    for number in reversed(range(max(inside) + 1)):
        node = graph.nodes[number]
        if number in inside:
            inside.update(node.operands)
            if node.op == "carried" and node.attribute("name") in names:
                found[names.index(node.attribute("name"))] = number
    return dict(sorted(found.items()))


def paths(graph: Graph, scan: Node, running: Mapping[int, int]) -> tuple[set[int], dict[int, frozenset[int]]]:
    """The nodes through which a running value reaches a body, and for each body the positions of the running values that do."""
    origins: dict[int, frozenset[int]] = {number: frozenset((position,)) for position, number in running.items()}
    for number in range(max(bodies_of(scan)) + 1):
        node = graph.nodes[number]
        if number not in origins and node.kind in ("real", "complex"):
            found = frozenset().union(*(origins.get(operand, frozenset()) for operand in node.operands))
            if found:
                origins[number] = found
    return set(origins), {position: origins.get(body, frozenset()) for position, body in enumerate(bodies_of(scan))}


def move_to_earlier_values(
    builder: Builder, graph: Graph, free: Sequence[frozenset[str]], scan: Node, numbers: dict[int, int], new: int
) -> None:
    """From here on, in `numbers`, a node of the scan's bodies stands for its values at the running values before every step.

    `new` is the scan in the builder. Raises NotImplementedError.
    """
    everywhere = {position: numbers[number] for position, number in running_nodes(graph, scan).items()}
    nodes = {position: number for position, number in everywhere.items() if builder.nodes[number].op == "carried"}
    if not nodes:
        return
    before = values_before(builder, builder.nodes[new], list(nodes))
    values = {number: before[position] for position, number in nodes.items()}
    made = at_values(builder, [numbers[body] for body in bodies_of(scan)], values)
    for number, names in enumerate(free):
        if names and numbers[number] in made:
            numbers[number] = made[numbers[number]]


def values_before(builder: Builder, scan: Node, positions: Sequence[int]) -> dict[int, int]:
    """The running values before each step, as values along the axis: what the step before has left, first the initial value.

    `scan` is a closed scan of the builder.
    """
    axis, reverse = scan.attribute("axis"), scan.attribute("reverse")
    length = builder.lengths[axis]
    before: dict[int, int] = {}
    for position in positions:
        value = builder.add("scan", scan.operands, **{**dict(scan.attributes), "result": position})
        axes = builder.nodes[value].axes
        view = builder.add("view", (value,), entries=tuple(Entry((each,)) for each in axes))
        shifted = Affine(((axis, sympy.Integer(1)),), sympy.Integer(1 if reverse else -1))
        indices = tuple(shifted if each == axis else renamed_axis(each) for each in axes)
        initial = initials_of(scan)[position]
        if constant(builder, initial) == 0:
            before[position] = builder.add("read", (view,), indices=indices, boundary="zero")
            continue
        index = builder.add("index", axis=axis)
        last = builder.add("sub", (builder.add("length", length=length), builder.const(1)))
        first = builder.add("eq", (index, last if reverse else builder.const(0)))
        earlier = builder.add("read", (view,), indices=indices, boundary="clamp")
        before[position] = builder.add("select", (first, initial, earlier))
    return before


def at_values(builder: Builder, roots: Sequence[int], values: Mapping[int, int]) -> dict[int, int]:
    """The nodes below `roots`, and what stands for each once running values are replaced: {carried node: value}.

    A scan within is rebuilt over the axes that the values bring. Raises NotImplementedError at a view of a running value.
    """
    free = FreeValues(builder.nodes)
    names = frozenset(builder.nodes[number].attribute("name") for number in values)
    brought = {
        axis for number, value in values.items() for axis in set(builder.nodes[value].axes) - set(builder.nodes[number].axes)
    }
    cone = sorted(with_operands(builder.nodes, roots))
    inner = {
        name
        for number in cone
        if builder.nodes[number].op == "scan" and free.of(number) & names
        for name in builder.nodes[number].attribute("names")
    }
    renamed: dict[str, str] = {}
    made = {number: number for number in cone}
    made.update(values)
    for number in cone:
        node = builder.nodes[number]
        if number in values:
            continue
        if node.op == "carried" and node.attribute("name") in inner:
            name = node.attribute("name")
            renamed[name] = fresh_name(builder, name)
            axes = builder.sorted_axes({*node.axes, *brought})
            made[number] = builder.add("carried", name=renamed[name], kind=node.kind, axes=axes)
            continue
        operands = tuple(made[operand] for operand in node.operands)
        if operands == node.operands:
            continue
        if node.op == "view":
            raise NotImplementedError("a running value read at another index")
        attributes = dict(node.attributes)
        if node.op == "scan":
            attributes["names"] = tuple(renamed.get(name) or fresh_name(builder, name) for name in attributes["names"])
            operands = _of_equal_axes(builder, operands, brought, attributes["axis"])
        made[number] = builder.add(node.op, operands, label=node.name, span=node.span, **attributes)
    return made


def _of_equal_axes(builder: Builder, operands: tuple[int, ...], brought: set[str], axis: str) -> tuple[int, ...]:
    """A scan's initial values made to vary along the axes that its running values have got."""
    count = len(operands) // 2
    return (*(spread(builder, value, builder.sorted_axes(brought - {axis})) for value in operands[:count]), *operands[count:])


def adjoint(
    builder: Builder,
    graph: Graph,
    scan: Node,
    running: Mapping[int, int],
    axes: Mapping[int, tuple[str, ...]],
    cotangents: Mapping[int, int],
    reaches: Mapping[int, frozenset[int]],
    stepwise: Stepwise,
) -> Adjoint:
    """The adjoint of the recurrence `scan` of `graph`.

    running: position -> node of the graph, of running values that matter; axes: position -> the axes it has in the builder;
    cotangents: position -> cotangent of the scan's value at that position; reaches: position of a body -> positions of the running
    values it depends on.
    """
    bodies = bodies_of(scan)
    # a running value that an active body depends on has a cotangent, and so has the body that makes it
    positions = sorted(depth_first(cotangents, lambda position: reaches[position]))
    carried = [position for position in positions if any(position in reaches[other] for other in positions)]
    if not carried:
        return Adjoint({position: cotangents[position] for position in positions}, {})
    names = {position: fresh_name(builder, f"{scan.attribute('names')[position]}_adjoint") for position in carried}
    wanted = {position: set(axes[position]) for position in carried}
    axis = scan.attribute("axis")
    while True:
        values = {
            position: builder.add(
                "carried",
                name=names[position],
                kind=graph.nodes[running[position]].kind,
                axes=builder.sorted_axes(wanted[position]),
            )
            for position in carried
        }
        lambdas = {}
        for position in positions:
            terms = [each[position] for each in (cotangents, values) if position in each]
            lambdas[position] = terms[0] if len(terms) == 1 else builder.add("add", terms)
        found = stepwise([(bodies[position], lambdas[position]) for position in positions])
        products = {position: found.get(running[position], builder.const(0.0)) for position in carried}
        further = {position: set(builder.nodes[products[position]].axes) - wanted[position] - {axis} for position in carried}
        if not any(further.values()):
            break
        for position in carried:
            wanted[position] |= further[position]
    zero = builder.const(0.0)
    steps = [spread(builder, products[position], builder.sorted_axes(wanted[position])) for position in carried]
    steps += [lambdas[position] for position in positions]
    shown = [names[position] for position in carried]
    shown += [fresh_name(builder, f"{scan.attribute('names')[position]}_cotangent") for position in positions]
    operands = (*(zero for _ in steps), *steps)

    def result(number: int) -> int:
        reverse = not scan.attribute("reverse")
        return builder.add("scan", operands, axis=axis, names=tuple(shown), result=number, reverse=reverse)

    cotangents_of_steps = {position: result(len(carried) + place) for place, position in enumerate(positions)}
    initial = {position: _first(builder, result(place), axis, scan.attribute("reverse")) for place, position in enumerate(carried)}
    return Adjoint(cotangents_of_steps, initial)


def _first(builder: Builder, value: int, axis: str, reverse: bool) -> int:
    """The value at the recurrence's first step; 0 where it has none."""
    axes = builder.nodes[value].axes
    if FreeValues(builder.nodes).of(value):  # within a step of another scan nothing is stored to be read
        last = builder.add("sub", (builder.add("length", length=builder.lengths[axis]), builder.const(1)))
        here = builder.add("eq", (builder.add("index", axis=axis), last if reverse else builder.const(0)))
        return builder.reduce("sum", builder.add("select", (here, value, builder.const(0.0))), (axis,))
    view = builder.add("view", (value,), entries=tuple(Entry((each,)) for each in axes))
    place = Affine((), builder.lengths[axis] - 1) if reverse else constant_index(0)
    indices = tuple(place if each == axis else renamed_axis(each) for each in axes)
    return builder.add("read", (view,), indices=indices, boundary="zero")
