"""Sums over windows that take steps along the last dimension, written out.

Before: y[P, Q] = sum over i, j of w[i, j] * x[2*P + i, 2*Q + j], of no axes to make a matrix product with. After: the sum of its
terms, one for each (i, j), so that the loop over Q is the innermost and runs in vectors; j, along which x lies side by side, is too
short for that. Its adjoint, g[i, j] = sum over P, Q of v[P, Q] * x[2*P + i, 2*Q + j], becomes a stack along j of sums over P and Q.
Why it is legal: a finite sum is its terms; a stack holds the values at each position. Done after the last derivative, which takes a
window as a whole.
"""

from __future__ import annotations

import itertools
import math

from ..ir.graph import Affine, Builder, Graph, Node
from ..ir.scans import FreeValues
from .factors import product_factors
from .recognize import add_terms
from .substitute import constant_index, rewritten, substitute

LONGEST_WINDOW = 32
MOST_TERMS = 64


def write_out_strided_windows(graph: Graph, builder: Builder) -> Graph:
    """The pass over a whole graph."""
    free = FreeValues(builder.nodes)

    def hook(b: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        if node.op != "reduce" or node.attribute("operation") != "sum" or node.kind != "real" or free.of(operands[0]):
            return None
        body, over = operands[0], node.attribute("over")
        tap = _tap(b, body, over)
        if tap is None:
            return None
        try:
            return _summed(b, body, over) if tap in over else _stacked(b, body, over, tap)
        except NotImplementedError:
            return None

    return rewritten(builder, graph, hook)


def _tap(builder: Builder, body: int, over: tuple[str, ...]) -> str | None:
    """The short axis along which a factor of the body lies side by side, another one taking steps there; one of the two is summed
    over."""
    for factor in product_factors(builder, body):
        node = builder.nodes[factor]
        if node.op != "read" or len(node.operands) > 1 or not node.attribute("indices"):
            continue
        last = node.attribute("indices")[-1]
        if not isinstance(last, Affine):
            continue
        near = [axis for axis, step in last.terms if step == 1 and _is_short(builder, axis)]
        far = [axis for axis, step in last.terms if step.is_Integer and abs(step) > 1]
        if len(near) == 1 and len(far) == 1 and (near[0] in over) != (far[0] in over):
            return near[0]
    return None


def _is_short(builder: Builder, axis: str) -> bool:
    length = builder.lengths[axis]
    return bool(length.is_Integer) and 0 < int(length) <= LONGEST_WINDOW


def _summed(builder: Builder, body: int, over: tuple[str, ...]) -> int | None:
    short = [axis for axis in over if _is_short(builder, axis)]
    lengths = [int(builder.lengths[axis]) for axis in short]
    if math.prod(lengths) > MOST_TERMS:
        return None
    rest = tuple(axis for axis in over if axis not in short)
    terms = []
    for point in itertools.product(*map(range, lengths)):
        term = substitute(builder, body, {axis: constant_index(k) for axis, k in zip(short, point, strict=True)})
        present = tuple(axis for axis in rest if axis in builder.nodes[term].axes)
        if present != rest:
            return None
        terms.append(builder.reduce("sum", term, rest))
    return add_terms(builder, terms)


def _stacked(builder: Builder, body: int, over: tuple[str, ...], tap: str) -> int:
    values = [substitute(builder, body, {tap: constant_index(k)}) for k in range(int(builder.lengths[tap]))]
    return builder.add("stack", [builder.reduce("sum", value, over) for value in values], axis=tap)
