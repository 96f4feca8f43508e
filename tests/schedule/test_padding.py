"""Padded copies, interpreted before and after, and what is copied."""

from __future__ import annotations

import pytest
from kernel_cases_windows import DEPTHWISE, WINDOWS
from kernel_harness import Case, draw
from lamina import pipeline
from lamina.ir.graph import Builder, Graph, Output
from lamina.ir.interpret import interpret
from lamina.ir.verify import verify
from lamina.lang.check import load
from lamina.passes.simplify import simplify
from lamina.passes.substitute import copy_into
from lamina.schedule.padding import padded_operands
from numpy.testing import assert_allclose

CASES = {**WINDOWS, **{f"depthwise {name}": case for name, case in DEPTHWISE.items()}}


def padded(graph: Graph, copied: frozenset[str] = frozenset()) -> Graph:
    builder = Builder(graph.name, graph.axes, graph.inputs, simplify)
    numbers = copy_into(builder, graph, padded_operands(copied))
    return builder.finish((Output(out.spec, numbers[out.node]) for out in graph.outputs), graph.level)


def graph_of(case: Case) -> Graph:
    return pipeline.forward_graph(load(case.text, case.layer, case.sizes))


@pytest.mark.parametrize("name", CASES)
def test_same_values(name: str) -> None:
    graph = graph_of(CASES[name])
    arrays = draw(CASES[name], graph)
    expected = interpret(graph, arrays)
    for copied in (frozenset(), frozenset(spec.name for spec in graph.inputs)):
        changed = padded(graph, copied)
        verify(changed)
        found = interpret(changed, arrays)
        for output, values in expected.items():
            assert_allclose(found[output], values, rtol=1e-12, atol=1e-12)


def views(graph: Graph) -> int:
    return sum(node.op == "view" for node in graph.nodes)


def test_what_is_copied() -> None:
    """Reads beyond the ends, by contractions alone; in range only what a sum over windows cannot read as it is stored."""
    assert views(padded(graph_of(WINDOWS["padded"]))) == 1
    assert views(padded(graph_of(WINDOWS["convolution"]))) == 0
    assert views(padded(graph_of(WINDOWS["convolution"]), frozenset({"x", "w"}))) == 0
    assert views(padded(graph_of(DEPTHWISE["in range"]))) == 0
    assert views(padded(graph_of(DEPTHWISE["in range"]), frozenset({"x"}))) == 1
    pointwise = pipeline.forward_graph(load("layer shift { in x[B, L] out y[B, L] = x * zero(x)[B, L - 1] }"))
    assert views(padded(pointwise)) == 0
