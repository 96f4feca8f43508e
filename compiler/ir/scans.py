"""Running values: where they are in force, and which scans run together.

In: nodes of a graph or of a builder. Out: for each node the running values that it depends on; the parts of a scan.

What holds: a running value has one name in its graph, and exactly the nodes between it and its scan depend on it. Such a node is no
value of the graph at large: it can be stored, shared or moved only within its scan's body.
"""

from __future__ import annotations

from collections.abc import Sequence

from .graph import Builder, Node


def initials_of(node: Node) -> tuple[int, ...]:
    """The values of a scan before its first step, one a running value."""
    return node.operands[: len(node.attribute("names"))]


def bodies_of(node: Node) -> tuple[int, ...]:
    """What a step of a scan makes of its running values, one each."""
    return node.operands[len(node.attribute("names")) :]


def same_recurrence(first: Node, second: Node) -> bool:
    """Whether two scans are one recurrence, read at the same or at different running values."""

    def identity(node: Node) -> tuple[object, ...]:
        return node.operands, node.attribute("axis"), node.attribute("names"), node.attribute("reverse")

    return first.op == second.op == "scan" and identity(first) == identity(second)


class FreeValues:
    """The running values that each node depends on, for a list of nodes that may grow."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._free: list[frozenset[str]] = []

    def of(self, number: int) -> frozenset[str]:
        """The names of the running values that node `number` depends on and within whose scans it lies."""
        for position in range(len(self._free), number + 1):
            node = self._nodes[position]
            if node.op == "carried":
                self._free.append(frozenset((node.attribute("name"),)))
            elif node.op == "scan":
                inside = frozenset().union(*(self._free[body] for body in bodies_of(node)))
                outside = (self._free[initial] for initial in initials_of(node))
                self._free.append((inside - frozenset(node.attribute("names"))).union(*outside))
            else:
                self._free.append(frozenset().union(*(self._free[operand] for operand in node.operands)))
        return self._free[number]


def free_running_values(nodes: Sequence[Node]) -> tuple[frozenset[str], ...]:
    """For each node the running values it depends on whose scan it lies within."""
    free = FreeValues(nodes)
    return tuple(free.of(number) for number in range(len(nodes)))


def fresh_name(builder: Builder, stem: str) -> str:
    """A name that no running value of the builder has."""
    taken = {node.attribute("name") for node in builder.nodes if node.op == "carried"}
    taken.update(name for node in builder.nodes if node.op == "scan" for name in node.attribute("names"))
    name, count = stem, 2
    while name in taken:
        name, count = f"{stem}.{count}", count + 1
    return name
