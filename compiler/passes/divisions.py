"""Divisions by a shared or slowly varying divisor become products with its reciprocal.

Before: x / y, where y varies over fewer axes than x / y does, or divides more than one value. After: x * (1 / y), 1 / y computed
once.
Why it is legal: one more rounding (at most one ulp of the quotient). The results differ further only where y is subnormal, when 1
/ y overflows; divisions by such values are outside what a layer's formula can mean. Quotients that are rounded or compared stay:
there one more rounding can change the result by a whole step (floor(49 * (1 / 49)) is 0).
"""

from __future__ import annotations

from ..ir.graph import Builder, Graph, Node
from .substitute import rewritten

_STEPS = ("floor", "round", "sign", "eq", "ne", "lt", "le", "gt", "ge")


def share_reciprocals(graph: Graph, builder: Builder) -> Graph:
    """The pass over a whole graph."""
    dividends: dict[int, set[int]] = {}
    for node in graph.nodes:
        if node.op == "div" and node.kind == "real":
            dividends.setdefault(node.operands[1], set()).add(node.operands[0])
    stepped = {operand for node in graph.nodes if node.op in _STEPS for operand in node.operands}
    shared = {divisor for divisor, values in dividends.items() if len(values) > 1}
    originals = iter(enumerate(graph.nodes))

    def hook(b: Builder, _: Node, operands: tuple[int, ...]) -> int | None:
        number, node = next(originals)
        if node.op != "div" or number in stepped or node.kind != "real" or graph.nodes[node.operands[1]].kind != "real":
            return None
        divisor = graph.nodes[node.operands[1]]
        if divisor.op == "const" or not (node.operands[1] in shared or len(divisor.axes) < len(node.axes)):
            return None
        return b.add("mul", (operands[0], b.add("div", (b.const(1.0), operands[1]))))

    return rewritten(builder, graph, hook)
