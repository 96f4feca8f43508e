"""Complex values as pairs: the same values and derivatives, from graphs whose arithmetic is real."""

from __future__ import annotations

import numpy
import pytest
from kernel_cases_complex import COMPLEX
from kernel_harness import draw, wanted_of
from lamina import pipeline
from lamina.ir.graph import Graph
from lamina.ir.interpret import interpret
from lamina.ir.text import parse, to_text
from lamina.ir.verify import verify
from lamina.lang.check import load
from lamina.passes.autodiff import differentiate
from lamina.passes.pipeline import finish
from lamina.passes.planar import planar


def written(body: str) -> Graph:
    return pipeline.layer_graph(load(f"layer example {{ {body} }}"))


def assert_same(first: Graph, second: Graph, arrays: dict[str, numpy.ndarray]) -> dict[str, numpy.ndarray]:
    expected, found = interpret(first, arrays), interpret(second, arrays)
    assert list(expected) == list(found)
    for name, values in expected.items():
        scale = max(1.0, float(numpy.abs(values).max(initial=0.0)))
        numpy.testing.assert_allclose(found[name], values, rtol=1e-9, atol=1e-9 * scale, err_msg=name)
    return expected


def cotangents(results: dict[str, numpy.ndarray]) -> dict[str, numpy.ndarray]:
    generator = numpy.random.default_rng(3)
    drawn = {}
    for name, value in results.items():
        if value.dtype.kind in "fc":
            drawn[f"grad_{name}"] = generator.standard_normal(value.shape)
            if value.dtype.kind == "c":
                drawn[f"grad_{name}"] = drawn[f"grad_{name}"] + 1j * generator.standard_normal(value.shape)
    return drawn


@pytest.mark.parametrize("name", [name for name, case in COMPLEX.items() if case.orders == 2])
def test_values_and_derivatives_are_kept(name: str) -> None:
    """Complex derivatives of the layer as written against derivatives of pairs, to the second order; functions written out."""
    case = COMPLEX[name]
    complex_graph, real_graph = pipeline.layer_graph(load(case.text)), pipeline.forward_graph(load(case.text))
    arrays = draw(case, complex_graph)
    for _ in range(3):
        verify(real_graph)
        results = assert_same(complex_graph, real_graph, arrays)
        assert_same(complex_graph, finish(real_graph), arrays)
        arrays |= cotangents(results)
        wanted = wanted_of(case, complex_graph)
        complex_graph, real_graph = differentiate(complex_graph, wanted), pipeline.backward_graph(real_graph, wanted)


@pytest.mark.parametrize("name", COMPLEX)
def test_only_functions_of_pairs_are_complex(name: str) -> None:
    graph = pipeline.forward_graph(load(COMPLEX[name].text))
    for node in graph.nodes:
        if node.kind == "complex" and node.op != "complex":
            assert all(graph.nodes[o].op == "complex" for o in node.operands if graph.nodes[o].kind == "complex"), node
    for number, users in enumerate(graph.users):
        if graph.nodes[number].kind == "complex" and graph.nodes[number].op != "complex":
            assert all(graph.nodes[user].op in ("re", "im") for user in users)
    assert not any(node.kind == "complex" for node in finish(graph).nodes)
    assert parse(to_text(graph)) == graph
    assert planar(graph) == graph


def test_a_graph_without_complex_values_is_left_alone() -> None:
    graph = written("in x[N] out y[N] = exp(x)")
    assert planar(graph) is graph


def test_a_complex_matrix_product_is_four_real_ones() -> None:
    graph = pipeline.forward_graph(load("layer f { in x[B, I]: complex param w[O, I]: complex = 1 out y[B, O] = sum[I](x * w) }"))
    assert [node.op for node in graph.nodes].count("contract") == 4


def test_running_values_and_products_along_an_axis() -> None:
    """A recurrence of complex values is one of pairs; a product along an axis of any length is its last running product."""
    graph = written("in x[L, D]: complex param a[D]: complex = 1 out h[L, D] = scan[L](s = 0 : a*s + x) out p[D] = prod[L](x)")
    generator = numpy.random.default_rng(5)
    pairs = planar(graph)
    verify(pairs)
    assert not any(node.kind == "complex" for node in pairs.nodes if node.op not in ("complex",))
    for length in (5, 1):
        shapes = {"x": (length, 3), "a": (3,)}
        arrays = {name: generator.standard_normal(s) + 1j * generator.standard_normal(s) for name, s in shapes.items()}
        found = assert_same(graph, pairs, arrays)
        numpy.testing.assert_allclose(found["p"], arrays["x"].prod(axis=0))
    numpy.testing.assert_array_equal(interpret(pairs, {**arrays, "x": arrays["x"][:0]})["p"], numpy.ones(3))


def test_what_is_saved_is_a_value() -> None:
    """The running products that a gradient needs are saved, not the stored tensor that they are read from."""
    graph = pipeline.forward_graph(load("layer f { in z[B, N]: complex out y[B] = prod[N](z) }"))
    for part in pipeline.training_pair(graph, ["z"]):
        verify(part)
