"""Finding structure in sums that are written out: polynomials.

polynomial
  Before: a sum of terms c_k * x^k, the c_k not depending on what x varies over.
  After: Horner's form, (..(c_n x + c_{n-1}) x + ..) x + c_0.
  Why it is legal: real algebra; Horner's error bound is no worse than that of the sum of powers.
"""

from __future__ import annotations

from ..ir.graph import Builder
from .factors import product, product_factors
from .simplify import constant


def sum_terms(builder: Builder, number: int) -> list[tuple[int, int]]:
    """The terms of a sum tree as (sign, value)."""
    node = builder.nodes[number]
    if node.op == "add":
        return sum_terms(builder, node.operands[0]) + sum_terms(builder, node.operands[1])
    if node.op == "sub":
        return sum_terms(builder, node.operands[0]) + [(-s, v) for s, v in sum_terms(builder, node.operands[1])]
    if node.op == "neg":
        return [(-s, v) for s, v in sum_terms(builder, node.operands[0])]
    return [(1, number)]


def add_terms(builder: Builder, terms: list[int]) -> int:
    """The sum of the terms: in Horner's form where they are a polynomial in one value, else from the left."""
    polynomial = _as_polynomial(builder, terms)
    if polynomial is not None:
        return polynomial
    result = terms[0]
    for term in terms[1:]:
        result = builder.add("add", (result, term))
    return result


def _bases(builder: Builder, term: int) -> set[int]:
    """The values of which a term has powers as written: u of u^3 and of u * u, products themselves or not."""
    node = builder.nodes[term]
    if node.op == "pow":
        return {node.operands[0]}
    if node.op == "mul" and node.operands[0] == node.operands[1]:
        return {node.operands[0]}
    if node.op in ("mul", "neg"):
        return set().union(*(_bases(builder, operand) for operand in node.operands))
    return set()


def _powers(builder: Builder, term: int, whole: frozenset[int]) -> dict[int, int]:
    """base -> exponent for the factors of a term (constants left out)."""
    powers: dict[int, int] = {}
    for factor in product_factors(builder, term, whole):
        node = builder.nodes[factor]
        base, exponent = factor, 1
        if node.op == "pow":
            value = constant(builder, node.operands[1])
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                base, exponent = node.operands[0], value
        if builder.nodes[base].op != "const":
            powers[base] = powers.get(base, 0) + exponent
    return powers


def _as_polynomial(builder: Builder, terms: list[int]) -> int | None:
    if len(terms) < 3:
        return None
    whole: frozenset[int] = frozenset().union(*(_bases(builder, term) for term in terms))
    exponents = [_powers(builder, term, whole) for term in terms]
    candidates: dict[int, int] = {}
    for powers in exponents:
        for base, exponent in powers.items():
            candidates[base] = max(candidates.get(base, 0), exponent)
    # the base is what reaches the highest power; among equals the one that most terms have
    ranked = sorted(candidates, key=lambda base: (-candidates[base], -sum(base in powers for powers in exponents), base))
    if not ranked or candidates[ranked[0]] < 2:
        return None
    base = ranked[0]
    degrees = [powers.get(base, 0) for powers in exponents]
    if len(set(degrees)) < 3:
        return None
    coefficients: dict[int, list[int]] = {}
    for term, degree in zip(terms, degrees, strict=True):
        coefficients.setdefault(degree, []).append(_without(builder, term, base, whole))
    descending = sorted(coefficients, reverse=True)
    result: int | None = None
    for position, degree in enumerate(descending):
        coefficient = coefficients[degree][0]
        for other in coefficients[degree][1:]:
            coefficient = builder.add("add", (coefficient, other))
        result = coefficient if result is None else builder.add("add", (result, coefficient))
        lower = descending[position + 1] if position + 1 < len(descending) else 0
        if degree > lower:
            gap = degree - lower
            power = base if gap == 1 else builder.add("pow", (base, builder.const(gap)))
            result = power if _is_one(builder, result) else builder.add("mul", (result, power))
    return result


def _is_one(builder: Builder, number: int) -> bool:
    return constant(builder, number) == 1 and builder.nodes[number].kind != "bool"


def _without(builder: Builder, term: int, base: int, whole: frozenset[int]) -> int:
    """The term without its factors base^k."""
    rest = []
    for factor in product_factors(builder, term, whole):
        node = builder.nodes[factor]
        if factor == base:
            continue
        if node.op == "pow" and node.operands[0] == base:
            value = constant(builder, node.operands[1])
            if isinstance(value, int) and value > 0:
                continue
        rest.append(factor)
    return product(builder, rest)
