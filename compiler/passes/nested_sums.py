"""A sum over many axes that contains a smaller sum which is computed anyway.

Before: s[b] = sum over c of f[b, c] * g[b, c], and t = sum over b, c of h[b] * f[b, c] * g[b, c]. After: t = sum over b of h[b] *
s[b].
Why it is legal: h does not vary along c, so it leaves the inner sum. Done only where s is there already: a new inner sum would be
one more value to keep for every b.
"""

from __future__ import annotations

from ..ir.graph import Builder, Graph, Node, Output
from .factors import product, product_factors
from .substitute import copy_into, copy_needed

_Key = tuple[tuple[str, ...], tuple[int, ...]]


def share_nested_sums(graph: Graph, builder: Builder) -> Graph:
    """The pass over a whole graph. Inner sums come before the sums that use them in the result."""
    numbers = copy_into(builder, graph)
    sums: dict[_Key, int] = {}
    for number, node in enumerate(builder.nodes):
        if _is_sum(node):
            sums.setdefault((node.attribute("over"), tuple(sorted(product_factors(builder, node.operands[0])))), number)
    shared: dict[int, int] = {}
    for (over, factors), number in list(sums.items()):
        replacement = _through_inner(builder, over, factors, sums)
        if replacement is not None:
            shared[number] = replacement
    if not shared:
        return graph
    return _replaced(graph, builder, numbers, shared)


def _is_sum(node: Node) -> bool:
    return node.op == "reduce" and node.attribute("operation") == "sum" and node.kind == "real"


def _through_inner(builder: Builder, over: tuple[str, ...], factors: tuple[int, ...], sums: dict[_Key, int]) -> int | None:
    nodes = builder.nodes
    partial = [f for f in factors if not set(over) <= set(nodes[f].axes)]
    lacked = {axis for f in partial for axis in over if axis not in nodes[f].axes}
    inner_over = tuple(axis for axis in over if axis in lacked)
    if not partial or inner_over == over or any(set(nodes[f].axes) & lacked for f in partial):
        return None
    inner = sums.get((inner_over, tuple(f for f in factors if f not in partial)))
    if inner is None:
        return None
    rest = tuple(axis for axis in over if axis not in inner_over)
    return builder.reduce("sum", builder.add("mul", (product(builder, partial), inner)), rest)


def _replaced(graph: Graph, joint: Builder, numbers: dict[int, int], shared: dict[int, int]) -> Graph:
    """The graph with the shared sums in place of those they replace, rebuilt so that operands come first."""
    builder = Builder(graph.name, joint.axes.values(), joint.inputs.values(), None)
    new: dict[int, int] = {}
    roots = [numbers[out.node] for out in graph.outputs]
    copy_needed(builder, joint.nodes, roots, new, shared)
    return builder.finish((Output(out.spec, new[number]) for out, number in zip(graph.outputs, roots, strict=True)), graph.level)
