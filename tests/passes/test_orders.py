"""The order of contractions against every order there is, and what the pass makes of it."""

from __future__ import annotations

import itertools

import numpy
import pytest
import sympy
from lamina import pipeline
from lamina.lang.check import load
from lamina.passes.costs import nominal
from lamina.passes.orders import MOST_FACTORS, Tree, best_order


def every_tree(numbers: tuple[int, ...]) -> list[Tree]:
    if len(numbers) == 1:
        return [numbers[0]]
    trees: list[Tree] = []
    rest = numbers[1:]
    for size in range(len(rest)):
        for others in itertools.combinations(rest, size):
            first = (numbers[0], *others)
            second = tuple(number for number in numbers if number not in first)
            trees += [(left, right) for left in every_tree(first) for right in every_tree(second)]
    return trees


def members(tree: Tree) -> set[int]:
    return {tree} if isinstance(tree, int) else members(tree[0]) | members(tree[1])


def cost_of(tree: Tree, factors: list[frozenset[str]], kept: frozenset[str], lengths) -> tuple[int, frozenset[str]]:
    if isinstance(tree, int):
        return 0, factors[tree]
    (left, first), (right, second) = (cost_of(branch, factors, kept, lengths) for branch in tree)
    outside = kept.union(*(axes for number, axes in enumerate(factors) if number not in members(tree)))
    return left + right + nominal(lengths, first | second), (first | second) & outside


@pytest.mark.parametrize("seed", range(40))
def test_no_order_is_cheaper(seed: int) -> None:
    generator = numpy.random.default_rng(seed)
    names = "abcdef"
    lengths = {name: sympy.Integer(int(generator.integers(1, 9))) for name in names}
    count = int(generator.integers(2, 6))
    factors = [frozenset(generator.choice(list(names), int(generator.integers(1, 4)))) for _ in range(count)]
    kept = frozenset(generator.choice(list(names), 2)) & frozenset().union(*factors)
    found = best_order(factors, kept, lengths)
    assert found is not None
    tree, cost = found
    assert members(tree) == set(range(count))
    assert cost_of(tree, factors, kept, lengths)[0] == cost
    assert cost == min(cost_of(other, factors, kept, lengths)[0] for other in every_tree(tuple(range(count))))


def test_too_many_factors_keep_their_sum() -> None:
    assert best_order([frozenset("a")] * (MOST_FACTORS + 1), frozenset("a"), {"a": sympy.Integer(2)}) is None


@pytest.mark.parametrize(
    "text, contractions",
    [
        ("in x[B, I] param u[R, I] = 1 param v[O, R] = 1 out y[B, O] = sum[R, I](x * u * v)", 2),
        ("in x[B, K, L] param a[I, K] = 1 param b[J, L] = 1 out y[B, I, J] = sum[K, L](a * b * x)", 2),
        # a factor without an axis of its own costs nothing to multiply in
        ("in x[B, I] param g[I] = 1 param w[O, I] = 1 out y[B, O] = sum[I](x * g * w)", 1),
    ],
)
def test_sums_of_pairs(text: str, contractions: int) -> None:
    graph = pipeline.forward_graph(load(f"layer chain {{ {text} }}"))
    assert sum(node.op == "contract" for node in graph.nodes) == contractions
    assert not any(node.op == "reduce" for node in graph.nodes)
