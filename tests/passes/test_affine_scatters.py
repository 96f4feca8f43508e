"""Scatters as reads: the same values, for every mode, and what stays a scatter."""

from __future__ import annotations

import numpy
import pytest
from kernel_cases_reads import BEYOND, DIGITS, GATHERS, MIXED, SHIFTS
from kernel_harness import draw, wanted_of
from lamina import pipeline
from lamina.ir.graph import Builder, Graph
from lamina.ir.interpret import interpret
from lamina.ir.verify import verify
from lamina.lang.check import load
from lamina.passes.affine_scatters import transpose_scatters
from lamina.passes.autodiff import differentiate

AFFINE = {**BEYOND, **MIXED, **SHIFTS}
CASES = {
    **AFFINE,
    **{f"digits {name}": case for name, case in DIGITS.items()},
    **{f"gather {name}": case for name, case in GATHERS.items()},
}
# every axis of an index of these has a coefficient other than 1 and -1
STAYING = ("strided", "in two dimensions", "sliced")


def transposed(graph: Graph) -> Graph:
    return transpose_scatters(graph, Builder(graph.name, graph.axes, graph.inputs))


def scatters(graph: Graph) -> int:
    return sum(node.op == "scatter" for node in graph.nodes)


@pytest.mark.parametrize("name", CASES)
def test_same_values(name: str) -> None:
    case = CASES[name]
    graph = pipeline.layer_graph(load(case.text, case.layer, case.sizes))
    arrays = draw(case, graph)
    for order in range(2):
        generator = numpy.random.default_rng(order)
        arrays |= {f"grad_{out}": generator.standard_normal(value.shape) for out, value in interpret(graph, arrays).items()}
        before = differentiate(graph, wanted_of(case, graph))
        after = transposed(before)
        verify(after)
        expected, found = interpret(before, arrays), interpret(after, arrays)
        for output, values in expected.items():
            numpy.testing.assert_allclose(found[output], values, rtol=1e-10, atol=1e-10, err_msg=output)
        if name in AFFINE and not any(word in name for word in STAYING):
            assert scatters(after) == 0
        graph = after


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("in x[N, M] require N == M out y[N] = x[N, N]", 0),
        ("in x[N, M] out y[N, M] = zero(x)[N - M, N + M]", 1),
        ("in x[N, M] out y[N, M] = zero(x)[N - M, 2*N - M]", 0),
        ("in x[B, N] in i[B]: i64 out y[B, N] = zero(x)[i, N - 1]", 1),
        ("in x[B, L] out y[B, L] = zero(x)[B, 2*L - 1]", 0),  # read at windows: its adjoint never was a scatter
        ("in x[B, L] out y[B, L] = zero(x)[B, L - 1] * x", 0),
        ("in x[B, L] out y[B] = sum[i < 3](zero(x)[B, 2*i - 1])", 1),
        ("in x[B, L] out y[B, L] = sum[i < 3](zero(x)[B, L + 2*i - 2])", 0),
    ],
)
def test_what_stays(body: str, left: int) -> None:
    graph = pipeline.layer_graph(load(f"layer example {{ {body} }}"))
    assert scatters(transposed(differentiate(graph, ("x",)))) == left


def test_the_ends_are_summed_apart() -> None:
    """The sums of clamp at an end run over the points beyond it, however long the axis."""
    graph = pipeline.layer_graph(load("layer example { in x[B, L] axis K = L out y[B, K, L] = clamp(x)[B, L - 20*len(B)] }"))
    after = transposed(differentiate(graph, ("x",)))
    sums = {axis for node in after.nodes if node.op == "reduce" for axis in node.attribute("over")}
    assert sorted(str(after.axis_lengths[axis]) for axis in sums) == ["0", "20*B", "L"]


def test_few_points_beyond_the_ends_are_written_out() -> None:
    for mode in ("wrap", "clamp", "reflect"):
        graph = pipeline.layer_graph(load(f"layer example {{ in x[B, L] out y[B, L] = {mode}(x)[B, L - 2] }}"))
        after = transposed(differentiate(graph, ("x",)))
        assert not [node for node in after.nodes if node.op == "reduce"]
