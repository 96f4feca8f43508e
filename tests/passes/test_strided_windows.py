"""Sums over strided windows written out: the same values, and no loop along a window that vectors would run in."""

from __future__ import annotations

import numpy
import pytest
from lamina import pipeline
from lamina.ir.graph import Builder, Graph
from lamina.ir.interpret import interpret
from lamina.ir.verify import verify
from lamina.lang.check import load
from lamina.passes.autodiff import differentiate
from lamina.passes.strided_windows import write_out_strided_windows

HEAD = "layer t(I = 3, J = 5) { in x[B, C, H, W] param w[C, I, J] = 1"
TEXTS = {
    "inside": f"{HEAD} axis P = (H - 3)/2 + 1 axis Q = (W - 5)/3 + 1 "
    "out y[B, C, P, Q] = sum[I, J](w * x[B, C, 2*P + I, 3*Q + J]) }",
    "padded": f"{HEAD} axis P = (H + 1)/2 axis Q = (W + 1)/2 "
    "out y[B, C, P, Q] = sum[I, J](w * zero(x)[B, C, 2*P + I - 1, 2*Q + J - 2]) }",
    "of channels, too": f"{HEAD} axis Q = (W - 5)/2 + 1 out y[B, H, Q] = sum[C, J](w[C, 0, J] * x[B, C, H, 2*Q + J]) }}",
}


def written_out(graph: Graph) -> Graph:
    return write_out_strided_windows(graph, Builder(graph.name, graph.axes, graph.inputs))


def window_sums(graph: Graph) -> int:
    """The sums that run along the window in the last dimension."""
    return sum(node.op == "reduce" and "J" in node.attribute("over") for node in graph.nodes)


@pytest.mark.parametrize("name", TEXTS)
def test_same_values(name: str) -> None:
    graph = pipeline.layer_graph(load(TEXTS[name]))
    generator = numpy.random.default_rng(0)
    arrays = {"x": generator.standard_normal((2, 3, 7, 11)), "w": generator.standard_normal((3, 3, 5))}
    assert window_sums(graph) == 1
    outputs = interpret(graph, arrays)
    arrays_of_gradient = arrays | {f"grad_{out}": generator.standard_normal(value.shape) for out, value in outputs.items()}
    for before, given in ((graph, arrays), (differentiate(graph, ("w",)), arrays_of_gradient)):
        after = written_out(before)
        verify(after)
        assert window_sums(after) == 0
        for output, values in interpret(before, given).items():
            numpy.testing.assert_allclose(interpret(after, given)[output], values, rtol=1e-12, atol=1e-12, err_msg=output)


def test_the_gradient_of_the_window_is_a_stack() -> None:
    graph = written_out(differentiate(pipeline.layer_graph(load(TEXTS["inside"])), ("w",)))
    stack = graph.nodes[graph.outputs[0].node]
    assert stack.op == "stack"
    assert all("Q" in graph.nodes[each].attribute("over") for each in stack.operands)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD} axis Q = W - 4 out y[B, C, H, Q] = sum[J](w[C, 0, J] * x[B, C, H, Q + J]) }}",
        "layer t(J = 65) { in x[B, W] param w[J] = 1 axis Q = (W - 65)/2 + 1 out y[B, Q] = sum[J](w * x[B, 2*Q + J]) }",
        "layer t { in x[B, W] param w[J] = 1 axis Q = (W - J)/2 + 1 out y[B, Q] = sum[J](w * x[B, 2*Q + J]) }",
    ],
    ids=["steps of one", "long", "of unknown length"],
)
def test_what_stays(text: str) -> None:
    graph = pipeline.layer_graph(load(text))
    assert written_out(graph) == graph
