"""Finding contractions: sums of products that are computed as such, not point by point.

matrix product
  Before: sum over K of a product whose factors fall into two groups, A over (batch, M, K) and B over (batch, N, K), M and N not
  empty. After: contract(A, B, over=K), times the factors without K.
sum over windows
  Before: sum over K of a product with a factor x that is read at overlapping windows (`windows.py`). After: contract(x, the other
  factors, over=K), times the factors without K.
several factors
  Before: sum over K of a product of three factors or more, sum[j, k](a[i, j] * b[j, k] * c[k, l]). After: sums of pairs, in the
  order that takes fewest steps: a times the contraction of b and c over k, contracted over j.
Why it is legal: multiplication is commutative and associative, a factor without K distributes out of the sum, and K axes that only
one group has are summed there first. Nothing is assumed about layout.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.graph import Builder
from .costs import nominal
from .factors import product, product_factors
from .orders import Tree, best_order
from .windows import window_roles, worth_a_step

LEAST_CONTRACTION_SIDE = 4  # shorter M, N or K are better computed in a loop
LEAST_CONTRACTION_WORK = 4096
LEAST_SAVING = 4  # sums of pairs take intermediate values to memory; one sum over everything does not


def as_contraction(builder: Builder, body: int, over: tuple[str, ...]) -> int | None:
    """sum over `over` of `body` as contractions, or None where it is not one of worthwhile size."""
    node = builder.nodes[body]
    if node.op in ("add", "sub"):
        if any(not set(over) <= set(builder.nodes[operand].axes) for operand in node.operands):
            return None
        parts = [as_contraction(builder, operand, over) for operand in node.operands]
        if parts[0] is None or parts[1] is None:
            return None
        return builder.add(node.op, (parts[0], parts[1]))
    if node.kind != "real":
        return None
    factors = product_factors(builder, body)
    inside = [f for f in factors if set(builder.nodes[f].axes) & set(over)]
    outside = [f for f in factors if not set(builder.nodes[f].axes) & set(over)]
    result = _in_order(builder, inside, over)
    if result is None:
        result = _as_product(builder, inside, over)
    if result is None:
        result = _as_window_sum(builder, inside, over)
    if result is None:
        return None
    return product(builder, [*outside, result]) if outside else result


def _in_order(builder: Builder, factors: list[int], over: tuple[str, ...]) -> int | None:
    """Sums of pairs, where these take much less than one sum over everything."""
    if len(factors) < 3:
        return None
    axes = [frozenset(builder.nodes[factor].axes) for factor in factors]
    every = frozenset().union(*axes)
    found = best_order(axes, every - set(over), builder.lengths)
    if found is None or found[1] * LEAST_SAVING > nominal(builder.lengths, every):
        return None

    def numbers(tree: Tree) -> list[int]:
        return [tree] if isinstance(tree, int) else [number for branch in tree for number in numbers(branch)]

    def summed(tree: Tree) -> int:
        if isinstance(tree, int):
            return factors[tree]
        outside = frozenset().union(*(axes[n] for n in range(len(factors)) if n not in numbers(tree)))
        inner = [summed(branch) for branch in tree]
        joint = product(builder, inner)
        gone = tuple(a for a in over if a in builder.nodes[joint].axes and a not in outside)
        if not gone:
            return joint
        contraction = as_contraction(builder, joint, gone)
        return contraction if contraction is not None else builder.reduce("sum", joint, gone)

    return summed(found[0])


def _as_product(builder: Builder, inside: list[int], over: tuple[str, ...]) -> int | None:
    """A contraction of two groups of factors, each with axes of its own."""
    groups = _split(builder, inside, over)
    if groups is None:
        return None
    sides: list[int] = []
    shared = [axis for axis in over if all(any(axis in builder.nodes[f].axes for f in group) for group in groups)]
    if not shared:
        return None
    for group in groups:
        value = product(builder, group)
        alone = [axis for axis in over if axis not in shared and axis in builder.nodes[value].axes]
        sides.append(builder.reduce("sum", value, alone))
    if not worth_a_product(builder, sides[0], sides[1], shared):
        return None
    return builder.add("contract", sides, over=builder.sorted_axes(shared))


def worth_a_product(builder: Builder, left: int, right: int, over: Sequence[str]) -> bool:
    """Whether a contraction is large enough in every direction to be computed as a matrix product."""
    first, second = (set(builder.nodes[side].axes) for side in (left, right))
    m, n, k = (nominal(builder.lengths, axes) for axes in (first - second, second - first, over))
    return min(m, n, k) >= LEAST_CONTRACTION_SIDE and m * n * k >= LEAST_CONTRACTION_WORK


def _as_window_sum(builder: Builder, inside: list[int], over: tuple[str, ...]) -> int | None:
    """A contraction of one factor, read at overlapping windows, with the others."""
    for data in inside:
        rest = [factor for factor in inside if factor != data]
        if not rest or len(rest) < len(inside) - 1:
            continue
        weight = product(builder, rest)
        roles = window_roles(builder, data, weight, over)
        if roles is not None and worth_a_step(builder, roles, data, weight, over):
            return builder.add("contract", (data, weight), over=over)
    return None


def _split(builder: Builder, factors: list[int], over: tuple[str, ...]) -> tuple[list[int], list[int]] | None:
    """The factors in two groups, each with free axes the other lacks."""
    free = [frozenset(builder.nodes[f].axes) - frozenset(over) for f in factors]
    best: tuple[int, int, int] | None = None
    for i in range(len(factors)):
        for j in range(i + 1, len(factors)):
            if free[i] - free[j] and free[j] - free[i]:
                size = len(free[i] | free[j])
                if best is None or size > best[0]:
                    best = (size, i, j)
    if best is None:
        return None
    _, i, j = best
    first_axes, second_axes = free[i], free[j]
    first, second = [factors[i]], [factors[j]]
    lengths = builder.lengths
    for number, factor in enumerate(factors):
        if number in (i, j):
            continue
        fits_first, fits_second = free[number] <= first_axes, free[number] <= second_axes
        if not fits_first and not fits_second:
            return None
        smaller_first = nominal(lengths, first_axes) <= nominal(lengths, second_axes)
        if fits_first and (not fits_second or smaller_first):
            first.append(factor)
        else:
            second.append(factor)
    return first, second
