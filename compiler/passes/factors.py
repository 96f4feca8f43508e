"""Products as trees of `mul` and `neg` nodes: their factors, products of factors, and trees without some of them.

In: a builder and the number of a value. Out: numbers of values. Holds: the order of factors is that of the tree.
"""

from __future__ import annotations

from ..ir.graph import Builder


def product_factors(builder: Builder, number: int, whole: frozenset[int] = frozenset()) -> list[int]:
    """The factors of a product tree, in order; a negation contributes the factor -1. The values in `whole` are not taken apart."""
    node = builder.nodes[number]
    if number in whole:
        return [number]
    if node.op == "mul":
        return product_factors(builder, node.operands[0], whole) + product_factors(builder, node.operands[1], whole)
    if node.op == "neg":
        return [builder.const(-1.0), *product_factors(builder, node.operands[0], whole)]
    return [number]


def product(builder: Builder, factors: list[int]) -> int:
    """The product of the factors, from the left; 1 for none."""
    if not factors:
        return builder.const(1.0)
    result = factors[0]
    for factor in factors[1:]:
        result = builder.add("mul", (result, factor))
    return result


def strip_factors(builder: Builder, number: int, dropped: set[int]) -> int | None:
    """The product tree without the dropped factors, its shape otherwise kept so that shared parts stay shared."""
    if number in dropped:
        return None
    node = builder.nodes[number]
    if node.op == "neg":
        inner = strip_factors(builder, node.operands[0], dropped)
        return builder.const(-1.0) if inner is None else builder.add("neg", (inner,))
    if node.op != "mul":
        return number
    first, second = (strip_factors(builder, operand, dropped) for operand in node.operands)
    if first is None or second is None:
        return second if first is None else first
    return builder.add("mul", (first, second))
