"""Rebuilding a value with some of its axes replaced by affine indices, and resolving reads of computed values with it.

Before: a value v over axes J, D, and replacements such as J -> I, d -> 3, L -> L - 1 + ... (single axes with coefficient 1, or
constants). After: v's definition with each replaced axis exchanged in every index below it.
Why it is legal: a value is a function of its axes; substitution composes that function with the index map. Axes bound inside (a
reduction's own) are renamed apart first, so none is captured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sympy

from ..ir.graph import Affine, Builder, GatherSlot, Graph, Node, Output, whole_index
from ..ir.scalar_ops import SCALAR_OPS
from ..ir.scans import FreeValues
from ..ir.walk import depth_first
from ..lang.checked import Entry

Replacements = dict[str, Affine]
# (builder, node of the graph copied, its operands in the builder) -> what stands for it, or None: the node as it is
Hook = Callable[[Builder, Node, tuple[int, ...]], int | None]


def constant_index(position: int) -> Affine:
    return Affine((), sympy.Integer(position))


def renamed_axis(axis: str) -> Affine:
    return Affine(((axis, sympy.Integer(1)),))


def replaced_indices(indices: Iterable[Affine | GatherSlot], replacements: Replacements) -> tuple[Affine | GatherSlot, ...]:
    """A read's indices with axes replaced; gathered ones vary by their operands."""
    return tuple(index if isinstance(index, GatherSlot) else index.substitute(replacements) for index in indices)


def read_at(
    builder: Builder, node: Node, indices: tuple[Affine | GatherSlot, ...], gathers: tuple[int, ...], boundary: str | None
) -> int:
    """What a read gives at other indices: where these are a computed value's own (zero(r)[L + k - 1] at k = 1), that value."""
    source = builder.nodes[node.operands[0]]
    of_same_axes = source.op == "view" and source.axes == builder.nodes[source.operands[0]].axes
    if of_same_axes and indices == tuple(whole_index(entry, builder.lengths) for entry in source.attribute("entries")):
        return source.operands[0]
    attributes = {**dict(node.attributes), "indices": indices, "boundary": boundary}
    return builder.add("read", (node.operands[0], *gathers), label=node.name, span=node.span, **attributes)


def affine_value(builder: Builder, index: Affine) -> int:
    """The index as an integer value."""
    result: int | None = None
    for axis, coefficient in index.terms:
        term = builder.add("index", axis=axis)
        if coefficient != 1:
            term = builder.add("mul", (builder.add("length", length=coefficient), term))
        result = term if result is None else builder.add("add", (result, term))
    offset = builder.add("length", length=sympy.sympify(index.offset))
    if result is None:
        return offset
    return result if index.offset == 0 else builder.add("add", (result, offset))


def substitute(builder: Builder, number: int, replacements: Replacements, memo: dict[int, int] | None = None) -> int:
    """The value `number` with axes replaced. Raises NotImplementedError where an op cannot be rebuilt so."""
    memo = {} if memo is None else memo
    if number in memo:
        return memo[number]
    node = builder.nodes[number]
    active = {axis: index for axis, index in replacements.items() if axis in node.axes}
    if not active:
        memo[number] = number
        return number
    if len(active) < len(replacements):
        result = _rebuild(builder, number, active, {})
    else:
        result = _rebuild(builder, number, active, memo)
    memo[number] = result
    return result


def _rebuild(builder: Builder, number: int, replacements: Replacements, memo: dict[int, int]) -> int:
    node = builder.nodes[number]
    attributes: dict[str, Any] = dict(node.attributes)
    if node.op == "index":
        return affine_value(builder, replacements[attributes["axis"]])
    if node.op == "read":
        gathers = tuple(substitute(builder, operand, replacements, memo) for operand in node.operands[1:])
        return read_at(builder, node, replaced_indices(attributes["indices"], replacements), gathers, attributes["boundary"])
    if node.op in ("reduce", "contract"):
        targets = {axis for index in replacements.values() for axis in index.axes}
        captured = [axis for axis in attributes["over"] if axis in targets]
        if captured:
            replacements = dict(replacements)
            memo = {}
            for axis in captured:
                replacements[axis] = renamed_axis(builder.fresh_axis(axis, builder.lengths[axis]))
            attributes["over"] = builder.sorted_axes(
                replacements[axis].axes[0] if axis in captured else axis for axis in attributes["over"]
            )
    elif node.op in ("stack", "slice"):
        return _rebuild_position(builder, number, replacements, memo)
    elif _computed_whole(builder, number) and not FreeValues(builder.nodes).of(number):
        return _read_at(builder, number, replacements)
    elif node.op in ("view", "scatter", "transform", "scan", "carried"):
        raise NotImplementedError(f"a {node.op} cannot be read at another index yet")
    operands = tuple(substitute(builder, operand, replacements, memo) for operand in node.operands)
    label = node.name if node.op not in ("reduce", "contract") else None
    return builder.add(node.op, operands, label=label, span=node.span, **attributes)


def _computed_whole(builder: Builder, number: int) -> bool:
    """Whether a value comes from a step that computes it at all its points: a part of a complex transform does, too."""
    return builder.nodes[number].op in ("scan", "scatter", "transform") or is_part_of_transform(builder, number)


def _read_at(builder: Builder, number: int, replacements: Replacements) -> int:
    """The value read at other indices once it is there as a whole: it is not computed again for each of them."""
    axes = builder.nodes[number].axes
    view = builder.add("view", (number,), entries=tuple(Entry((axis,)) for axis in axes))
    indices = tuple(replacements.get(axis, renamed_axis(axis)) for axis in axes)
    return builder.add("read", (view,), indices=indices, boundary=None)


def _rebuild_position(builder: Builder, number: int, replacements: Replacements, memo: dict[int, int]) -> int:
    node = builder.nodes[number]
    axis = node.attribute("axis")
    if node.op == "slice":
        position = constant_index(node.attribute("position"))
        return substitute(builder, node.operands[0], {**replacements, axis: position})
    index = replacements.get(axis)
    rest = {name: value for name, value in replacements.items() if name != axis}
    operands = [substitute(builder, operand, rest, {}) if rest else operand for operand in node.operands]
    if index is None:
        return builder.add("stack", operands, axis=axis)
    if not index.terms and index.offset.is_Integer:
        return operands[int(index.offset)]
    if len(index.terms) == 1 and index.terms[0][1] == 1 and index.offset == 0:
        target = index.terms[0][0]
        if not any(target in builder.nodes[operand].axes for operand in operands):
            return builder.add("stack", operands, axis=target)
    if FreeValues(builder.nodes).of(number):
        raise NotImplementedError("values unrolled along an axis cannot be read at a shifted index within a scan yet")
    return _read_at(builder, number, replacements)


def spread(builder: Builder, value: int, axes: Iterable[str]) -> int:
    """The value made to vary along every one of the axes (adding zero along those that it lacks)."""
    for axis in axes:
        if axis not in builder.nodes[value].axes:
            inside = builder.add("ge", (builder.add("index", axis=axis), builder.const(0)))
            value = builder.add("add", (value, builder.add("select", (inside, builder.const(0.0), builder.const(1.0)))))
    return value


def is_simple(index: Affine | GatherSlot) -> bool:
    """Whether an index is an axis by itself or a constant."""
    if isinstance(index, GatherSlot):
        return False
    return not index.terms or (len(index.terms) == 1 and index.terms[0][1] == 1 and index.offset == 0)


def copy_into(builder: Builder, graph: Graph, hook: Hook | None = None) -> dict[int, int]:
    """Copies the graph's nodes through the builder; the hook may build another value.

    Gives the new number of each old node.
    """
    numbers: dict[int, int] = {}
    for old, node in enumerate(graph.nodes):
        operands = tuple(numbers[operand] for operand in node.operands)
        new = hook(builder, node, operands) if hook is not None else None
        if new is None:
            new = builder.add(node.op, operands, label=node.name, span=node.span, **dict(node.attributes))
        elif node.name is not None:
            builder.label(new, node.name, node.span)
        numbers[old] = new
    return numbers


def rewritten(builder: Builder, graph: Graph, hook: Hook, level: str | None = None) -> Graph:
    """The graph copied through the builder, with what the hook builds in it; at its own level unless another is given."""
    return with_outputs(builder, graph, copy_into(builder, graph, hook), level)


def with_outputs(builder: Builder, graph: Graph, numbers: Mapping[int, int], level: str | None = None) -> Graph:
    """The builder's nodes as a graph with the outputs of `graph`; `numbers`: its nodes in the builder."""
    return builder.finish((Output(out.spec, numbers[out.node]) for out in graph.outputs), level or graph.level)


def copy_needed(
    builder: Builder, nodes: Sequence[Node], roots: Iterable[int], numbers: dict[int, int], instead: Mapping[int, int]
) -> None:
    """Adds to `numbers` the roots and what they need, operands first; `instead`: nodes that others stand for.

    Unlike a copy in the order of the nodes this allows for nodes that come after what is made of them.
    """
    pending = list(roots)
    while pending:
        number = pending[-1]
        if number in numbers:
            pending.pop()
            continue
        node = nodes[instead.get(number, number)]
        missing = [operand for operand in node.operands if operand not in numbers]
        if missing:
            pending.extend(missing)
            continue
        operands = tuple(numbers[operand] for operand in node.operands)
        numbers[number] = builder.add(node.op, operands, label=node.name, span=node.span, **dict(node.attributes))
        pending.pop()


def stacked_axes(builder: Builder, number: int) -> tuple[str, ...]:
    """The axes along which a value's scalar definition holds stacks, in the order met."""
    opaque = ("contract", "scan", "transform", "input", "read", "view", "scatter")
    below = depth_first([number], lambda each: () if builder.nodes[each].op in opaque else builder.nodes[each].operands)
    stacks = [builder.nodes[each] for each in below if builder.nodes[each].op == "stack"]
    found = dict.fromkeys(node.attribute("axis") for node in stacks)
    return tuple(axis for axis in found if axis in builder.nodes[number].axes)


def push_slice(
    builder: Builder, number: int, axis: str, position: int, through_sums: bool = False, memo: dict[int, int] | None = None
) -> int:
    """The value at a fixed position of an axis: taken at the reads below it, or as a `slice` of what is opaque: a contraction,
    and a sum too unless `through_sums`."""
    memo = {} if memo is None else memo
    if number not in memo:
        memo[number] = _pushed(builder, number, axis, position, through_sums, memo)
    return memo[number]


def is_part_of_transform(builder: Builder, number: int) -> bool:
    """Whether a value is the real or the imaginary part of what a transform gives: opaque, as the transform is."""
    node = builder.nodes[number]
    return node.op in ("re", "im") and builder.nodes[node.operands[0]].op == "transform"


def _pushed(builder: Builder, number: int, axis: str, position: int, through_sums: bool, memo: dict[int, int]) -> int:
    node = builder.nodes[number]
    if axis not in node.axes:
        return number
    attributes: dict[str, Any] = dict(node.attributes)
    if node.op == "stack" and attributes["axis"] == axis:
        return node.operands[position]
    if node.op == "index":
        return builder.const(position)
    if node.op == "read":
        attributes["indices"] = replaced_indices(attributes["indices"], {axis: constant_index(position)})
        gathers = tuple(push_slice(builder, operand, axis, position, through_sums, memo) for operand in node.operands[1:])
        return builder.add("read", (node.operands[0], *gathers), label=node.name, span=node.span, **attributes)
    if is_part_of_transform(builder, number):
        return builder.add("slice", (number,), axis=axis, position=position)
    if node.op in SCALAR_OPS or node.op == "stack" or (node.op == "reduce" and through_sums):
        operands = tuple(push_slice(builder, operand, axis, position, through_sums, memo) for operand in node.operands)
        return builder.add(node.op, operands, **attributes)
    return builder.add("slice", (number,), axis=axis, position=position)
