"""Recognising sums, and writing out those over short indices.

Before: reductions as written. After: a sum of products over two groups of axes is a `contract`; any other reduction over an index
of short known length is written out term by term, polynomials in Horner's form, but for extrema, which are written out last
(`write_out_extrema`), when nothing is differentiated any more; what a contraction's operand computes from an index of its
own (`chebyshev(d, t)`, `x^d`) becomes a `stack` of its values at each position.
Why it is legal: a finite reduction is its terms; a stack holds exactly the values that its body takes along the axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy

from ..ir.graph import Affine, Builder, Graph, Node
from ..ir.scalar_ops import ORDERED_POLYNOMIALS
from ..ir.scans import FreeValues
from ..ir.walk import depth_first
from .contractions import as_contraction
from .recognize import add_terms
from .substitute import constant_index, push_slice, rewritten, stacked_axes, substitute
from .ties import is_given

LONGEST_UNROLLED = 32
LONGEST_UNROLLED_POLYNOMIAL_ORDER = 256
MOST_UNROLLED_NODES = 20_000


@dataclass(frozen=True)
class _Context:
    """The axes that tensors are stored along, and the running values that each node of the builder depends on."""

    stored: frozenset[str]
    free: FreeValues


def recognize_and_unroll(graph: Graph, builder: Builder) -> Graph:
    """The pass over a whole graph."""
    stored = frozenset(axis for spec in graph.inputs for entry in spec.entries for axis in entry.axes)
    context = _Context(stored, FreeValues(builder.nodes))

    def hook(b: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        if node.op == "slice" and b.nodes[operands[0]].op == "reduce":  # a sum that is no contraction
            return push_slice(b, operands[0], node.attribute("axis"), node.attribute("position"), through_sums=True)
        if node.op != "reduce":
            return None
        return _reduction(b, operands[0], node.attribute("operation"), node.attribute("over"), context)

    return rewritten(builder, graph, hook, "math")


def write_out_extrema(graph: Graph, builder: Builder, of_inputs_only: bool) -> Graph:
    """Before: max and min as reductions. After: those over short indices of their own are chains of binary extrema.

    Why it is legal: the largest of some values is the same number in any order, and nothing is differentiated afterwards, so that
    who shares a tie no longer matters. `of_inputs_only`: of elements of inputs alone, which equal the extremum wherever they
    are read again; computed ones that are compared with it must be known as its points (see ties.py).
    """
    stored = frozenset(axis for spec in graph.inputs for entry in spec.entries for axis in entry.axes)
    context = _Context(stored, FreeValues(builder.nodes))

    def hook(b: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        if node.op != "reduce" or node.attribute("operation") not in ("max", "min"):
            return None
        if (of_inputs_only and not is_given(b.nodes, operands[0])) or context.free.of(operands[0]):
            return None
        return _term_by_term(b, operands[0], node.attribute("operation"), node.attribute("over"), context)

    return rewritten(builder, graph, hook)


def _reduction(builder: Builder, body: int, operation: str, over: tuple[str, ...], context: _Context) -> int:
    if context.free.of(body):
        # within a step of a scan: no product of matrices, and a running value has no value at a point
        try:
            return _written_out(builder, body, operation, over, context)
        except NotImplementedError:
            return builder.reduce(operation, body, over)
    if operation == "sum":
        contraction = as_contraction(builder, body, over)
        if contraction is not None:
            return _stack_operands(builder, contraction, context)
    return _written_out(builder, body, operation, over, context)


def _written_out(builder: Builder, body: int, operation: str, over: tuple[str, ...], context: _Context) -> int:
    """The reduction term by term along an index of its own that is short, else as it is.

    An extremum keeps its reduction: points that tie share its gradient equally, which a chain of binary extrema does not do.
    """
    if operation in ("max", "min"):
        return builder.reduce(operation, _orders_chosen(builder, body, over, context), over)
    return _term_by_term(builder, body, operation, over, context)


def _term_by_term(builder: Builder, body: int, operation: str, over: tuple[str, ...], context: _Context) -> int:
    stacked = stacked_axes(builder, body)
    for axis in (*(each for each in over if each in stacked), *(each for each in over if each not in stacked)):
        length = builder.lengths[axis]
        if not length.is_Integer or (axis in context.stored and axis not in stacked):
            continue
        limit = LONGEST_UNROLLED_POLYNOMIAL_ORDER if _has_order(builder, body, axis) else LONGEST_UNROLLED
        # a kernel has no index along which values are written out already
        if axis not in stacked and (not 0 < int(length) <= limit or len(builder.nodes) > MOST_UNROLLED_NODES):
            continue
        rest = tuple(other for other in over if other != axis)
        terms = [substitute(builder, body, {axis: constant_index(k)}) for k in range(int(length))]
        return _combine(builder, operation, [_rest(builder, term, operation, rest, context) for term in terms])
    return builder.reduce(operation, body, over)


def _rest(builder: Builder, term: int, operation: str, over: tuple[str, ...], context: _Context) -> int:
    """The term reduced over the remaining axes; along an axis it does not vary on, a sum is a multiple and a product a power."""
    present = tuple(axis for axis in over if axis in builder.nodes[term].axes)
    value = term
    if present:
        extremum = operation in ("max", "min")
        value = (_term_by_term if extremum else _reduction)(builder, term, operation, present, context)
    for axis in over:
        if axis not in present and operation in ("sum", "prod"):
            count = builder.add("length", length=builder.lengths[axis])
            value = builder.add("mul" if operation == "sum" else "pow", (value, count))
    return value


def _combine(builder: Builder, operation: str, values: list[int]) -> int:
    if operation == "sum":
        return add_terms(builder, values)
    op = {"prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}[operation]
    result = values[0]
    for value in values[1:]:
        result = builder.add(op, (result, value))
    return result


def _orders_chosen(builder: Builder, body: int, over: tuple[str, ...], context: _Context) -> int:
    """The body, as a choice between its values along axes that the order of a polynomial varies on, or that values are
    written out along already."""
    stacked = stacked_axes(builder, body)
    for axis in over:
        length = builder.lengths[axis]
        ordered = axis not in context.stored and length.is_Integer and 0 < int(length) <= LONGEST_UNROLLED_POLYNOMIAL_ORDER
        if axis in stacked or (ordered and _has_order(builder, body, axis)):
            values = [substitute(builder, body, {axis: constant_index(k)}) for k in range(int(length))]
            position = builder.add("index", axis=axis)
            body = values[-1]
            for k in reversed(range(len(values) - 1)):
                body = builder.add("select", (builder.add("eq", (position, builder.const(k))), values[k], body))
    return body


def _depends(builder: Builder, number: int, axis: str, found: Any) -> bool:
    """Whether a value's own scalar definition (above reads and reductions) has a node that `found` accepts."""
    nodes = builder.nodes
    below = depth_first([number], lambda each: nodes[each].operands if axis in nodes[each].axes else ())
    return any(axis in nodes[each].axes and found(nodes[each]) for each in below)


def _has_order(builder: Builder, number: int, axis: str) -> bool:
    return _depends(builder, number, axis, lambda n: n.op in ORDERED_POLYNOMIALS and axis in builder.nodes[n.operands[0]].axes)


def _stack_operands(builder: Builder, number: int, context: _Context) -> int:
    """Every contraction in the sum `number` with operands that compute from an index written out along it."""
    node = builder.nodes[number]
    if node.op != "contract":
        if node.op in ("add", "sub", "mul", "neg"):
            return builder.add(node.op, tuple(_stack_operands(builder, operand, context) for operand in node.operands))
        return number
    operands = tuple(_stacked(builder, operand, context) for operand in node.operands)
    return _without_constants(builder, operands, node.attribute("over"))


def _without_constants(builder: Builder, operands: tuple[int, ...], over: tuple[str, ...]) -> int:
    """The contraction, with the positions of a stack that do not vary along its free axes summed apart: sum over i of 1 * w is no
    product."""
    for slot in (0, 1):
        stack, other = builder.nodes[operands[slot]], operands[1 - slot]
        if stack.op != "stack" or stack.attribute("axis") not in over:
            continue
        axis = stack.attribute("axis")
        free = set(stack.axes) - set(over)
        plain = [k for k, value in enumerate(stack.operands) if not free & set(builder.nodes[value].axes)]
        if not plain or plain != list(range(len(plain))) or len(plain) == len(stack.operands):
            continue
        rest = builder.fresh_axis(axis, sympy.Integer(len(stack.operands) - len(plain)))
        shifted = Affine(((rest, sympy.Integer(1)),), sympy.Integer(len(plain)))
        try:
            remaining = substitute(builder, other, {axis: shifted})
        except NotImplementedError:
            return builder.add("contract", operands, over=over)
        pair = [builder.add("stack", stack.operands[len(plain) :], axis=rest), remaining]
        inner = [other_axis for other_axis in over if other_axis != axis]
        total = builder.add("contract", pair if slot == 0 else pair[::-1], over=builder.sorted_axes([*inner, rest]))
        for position in plain:
            fixed = substitute(builder, other, {axis: constant_index(position)})
            term = builder.add("mul", (stack.operands[position], fixed))
            present = [a for a in inner if a in builder.nodes[term].axes]
            total = builder.add("add", (total, builder.reduce("sum", term, present)))
        return total
    return builder.add("contract", operands, over=over)


def _stacked(builder: Builder, number: int, context: _Context) -> int:
    for axis in builder.nodes[number].axes:
        length = builder.lengths[axis]
        if not length.is_Integer or axis in context.stored or int(length) > LONGEST_UNROLLED_POLYNOMIAL_ORDER:
            continue
        if _depends(builder, number, axis, lambda n: n.op == "index"):
            values = [substitute(builder, number, {axis: constant_index(k)}) for k in range(int(length))]
            number = builder.add("stack", values, axis=axis)
    return number
