"""Graphs as pictures.

In: a graph. Out: the text of a Graphviz digraph.

What holds: one box a node with its op, attributes and type, one arrow an operand slot, in the graph's order.
"""

from __future__ import annotations

import json

from .graph import Graph, Node
from .text import value_text


def to_dot(graph: Graph) -> str:
    """The graph in the DOT language: stored tensors as ellipses, values as boxes, operand slots as numbers at the heads."""
    lines = [f"digraph {json.dumps(graph.name)} {{", "  node [shape=box, fontname=monospace];"]
    for number, node in enumerate(graph.nodes):
        shape = ", shape=ellipse" if node.op == "input" else ""
        lines.append(f"  n{number} [label={json.dumps(_label(number, node))}{shape}];")
        for slot, operand in enumerate(node.operands):
            head = f" [headlabel={slot}]" if len(node.operands) > 1 else ""
            lines.append(f"  n{operand} -> n{number}{head};")
    for position, output in enumerate(graph.outputs):
        entries = ", ".join("*".join(entry.axes) for entry in output.spec.entries)
        label = f"{output.spec.role} {output.spec.name}[{entries}] : {output.spec.dtype}"
        lines.append(f"  out{position} [label={json.dumps(label)}, shape=ellipse];")
        lines.append(f"  n{output.node} -> out{position};")
    return "\n".join([*lines, "}"]) + "\n"


def _label(number: int, node: Node) -> str:
    title = f"%{number} {node.op}" if node.name is None else f"%{number} {node.op}  # {node.name}"
    attributes = [f"{name} = {value_text(value)}" for name, value in node.attributes]
    return "\n".join([title, *attributes, f"{node.kind}[{', '.join(node.axes)}]"])
