"""Where the derivative of a maximum compares a value with the largest of the very same values.

In: a graph. Out: whether its program must compute a value to the same bit wherever it computes it again.

Why: the gradient of max[A](v) goes to the points where v equals the maximum. The maximum may come from the forward program, or
from an earlier
loop; v is computed again beside the comparison. Were a product fused with the sum after it in one place and not in the other, no
point would be
equal, and the gradient would be lost. So a program that compares so, and a forward program that saves for one, rounds every
product on its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.graph import Graph, Node
from ..ir.walk import with_operands
from .invariance import outputs_invariant


def compared_extrema(graph: Graph) -> list[int]:
    """The nodes that a computed value is compared with for equality, where they are extrema or were saved by the forward pass."""
    found: dict[int, None] = {}
    for node in graph.nodes:
        if node.op != "eq":
            continue
        for extremum, other in (node.operands, node.operands[::-1]):
            if _is_extremum(graph, extremum) and not is_given(graph.nodes, other):
                found.setdefault(extremum)
    return list(found)


def is_given(nodes: Sequence[Node], number: int) -> bool:
    """Whether a value is an element of an input, rather than computed: the same bits wherever it is read."""
    node = nodes[number]
    return node.op == "read" and nodes[node.operands[0]].op == "input"


def needs_same_bits(graph: Graph) -> bool:
    """Whether products must be rounded on their own in the graph's program."""
    if compared_extrema(graph):
        return True
    outs = tuple(output for output in graph.outputs if output.spec.role == "out")
    if len(outs) == len(graph.outputs):
        return False
    plain = Graph(graph.name, graph.axes, graph.inputs, graph.nodes, outs, graph.level)
    return any(
        _extremum_op(node) and not is_given(graph.nodes, node.operands[0]) and not outputs_invariant(plain, number)
        for number, node in enumerate(graph.nodes)
    )


def sums_below_extrema(nodes: Sequence[Node]) -> frozenset[int]:
    """The sums and products that a maximum or minimum of computed values depends on: another loop may add in another order."""
    extrema = [number for number, node in enumerate(nodes) if _extremum_op(node) and not is_given(nodes, node.operands[0])]
    below = with_operands(nodes, [operand for number in extrema for operand in nodes[number].operands])
    return frozenset(n for n in below if nodes[n].op == "reduce" and nodes[n].attribute("operation") in ("sum", "prod"))


def _extremum_op(node: Node) -> bool:
    return node.op == "reduce" and node.kind == "real" and node.attribute("operation") in ("max", "min")


def _is_extremum(graph: Graph, number: int) -> bool:
    node = graph.nodes[number]
    if node.op == "read":
        source = graph.nodes[node.operands[0]]
        return source.op == "input" and graph.input_spec(source.attribute("name")).role == "saved"
    return _extremum_op(node)
