"""Proof that a graph's outputs do not change when one of its values is shifted.

In: a graph, a node m. Out: True if replacing m by m + delta (delta constant along every axis that m lacks) leaves every output
the same in real arithmetic. Used by autodiff: the maximum that softmax subtracts needs no gradient of its own.

How: each value is tracked as v + a * delta (additive weight a) or v * exp(d * delta) (multiplicative weight d); anything else is
unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node


@dataclass(frozen=True)
class _Weight:
    """Under m + delta a value becomes v + additive * delta, or v * exp(multiplicative * delta)."""

    additive: int = 0
    multiplicative: int = 0

    @property
    def invariant(self) -> bool:
        return self.additive == 0 and self.multiplicative == 0


_INVARIANT = _Weight()
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def outputs_invariant(graph: Graph, shifted: int) -> bool:
    """Whether every output is provably invariant under a shift of node `shifted`."""
    weights: dict[int, _Weight | None] = {}
    for number, node in enumerate(graph.nodes):
        if number == shifted:
            weights[number] = _Weight(additive=1)
            continue
        operands = [weights[operand] for operand in node.operands]
        if all(weight is not None and weight.invariant for weight in operands):
            weights[number] = _INVARIANT
        elif any(weight is None for weight in operands):
            weights[number] = None
        else:
            weights[number] = _propagate(node, [w for w in operands if w is not None], set(graph.nodes[shifted].axes))
    return all(weights[output.node] == _INVARIANT for output in graph.outputs)


def _propagate(node: Node, operands: list[_Weight], own_axes: set[str]) -> _Weight | None:
    first = operands[0]
    scaled = all(weight.additive == 0 for weight in operands)
    moved = all(weight.multiplicative == 0 for weight in operands)
    if node.op in ("add", "sub") and moved:
        sign = 1 if node.op == "add" else -1
        return _Weight(additive=first.additive + sign * operands[1].additive)
    if node.op in ("add", "sub") and scaled and first == operands[1]:
        return first
    if node.op == "neg":
        return _Weight(-first.additive, first.multiplicative)
    if node.op == "exp" and moved:
        return _Weight(multiplicative=first.additive)
    if node.op == "log" and scaled:
        return _Weight(additive=first.multiplicative)
    if node.op in ("mul", "div") and scaled:
        sign = 1 if node.op == "mul" else -1
        return _Weight(multiplicative=first.multiplicative + sign * operands[1].multiplicative)
    if node.op in _COMPARISONS and first == operands[1]:
        return _INVARIANT
    if node.op == "select" and first.invariant and operands[1] == operands[2]:
        return operands[1]
    if node.op in ("max", "min") and first == operands[1]:
        return first
    if node.op == "reduce" and not set(node.attribute("over")) & own_axes:
        operation = node.attribute("operation")
        if operation in ("max", "min") or (operation == "sum" and scaled):
            return first
    if node.op == "contract" and scaled and not set(node.attribute("over")) & own_axes:
        return _Weight(multiplicative=first.multiplicative + operands[1].multiplicative)
    return None
