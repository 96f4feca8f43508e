"""Gradients of recurrences, to second order, against central differences of the interpreter."""

from __future__ import annotations

import numpy
import pytest
from lamina import pipeline
from lamina.ir.graph import Builder, Graph
from lamina.ir.interpret import interpret
from lamina.ir.verify import verify
from lamina.lang.check import load
from lamina.passes.autodiff import differentiate
from lamina.passes.resolve_views import resolve_views

STEP = 1e-6
CASES = {
    "linear": ("in x[B, L, D] in a[D] in z[D] out y[B, L, D] = scan[L](h = z : a*h + x)", {"x": (2, 3, 2), "a": (2,), "z": (2,)}),
    "constant factor": ("in x[B, L] out y[B, L] = scan[L](h = 0 : 0.5*h + x)", {"x": (2, 3)}),
    "cumulative product": ("in x[L] out y[L] = scan[L](h = 1 : h*x)", {"x": (4,)}),
    "nonlinear": ("in x[B, L] in a[] in z[] out y[B, L] = scan[L](h = z*z : tanh(a*h + x*x))", {"x": (2, 3), "a": (), "z": ()}),
    "no step": ("in x[B, L] in z[] out y[B, L] = scan[L](h = z : h*x)", {"x": (2, 0), "z": ()}),
    "reduction within": (
        "in x[L, D] in z[D] out y[L, D] = scan[L](h = z : tanh(h*x) / sqrt(mean[D](h*h) + 1))",
        {"x": (3, 2), "z": (2,)},
    ),
    "reduced": ("in x[L, D] in a[] out y[] = sum[L, D](scan[L](h = 0 : a*h + x))", {"x": (3, 2), "a": ()}),
    "not carried": ("in x[L] in w[L] out y[L] = scan[L](h = 0 : x*w)", {"x": (3,), "w": (3,)}),
    "of a scan": ("in x[L] in w[L] out y[L] = scan[L](h = 0 : h + scan[L](s = 0 : s*w + x))", {"x": (3,), "w": (3,)}),
    "within a scan": (
        "in x[L, K] in a[] out y[L] = scan[L](h = 1 : a*h + sum[K](scan[K](s = h : s*x + h*a)))",
        {"x": (2, 2), "a": ()},
    ),
    "iterated": ("in x[L] in a[] out y[] = iterate[2](z = x[0] : z * sum[L](scan[L](h = z : h*a + x)))", {"x": (3,), "a": ()}),
}


def differences(graph: Graph, arrays, cotangents, name: str) -> numpy.ndarray:
    """The gradient of sum(output * cotangent) by central differences."""
    found = numpy.zeros_like(arrays[name])
    for place in numpy.ndindex(found.shape):
        values = []
        for sign in (1, -1):
            moved = {each: array.copy() for each, array in arrays.items()}
            moved[name][place] += sign * STEP
            outputs = interpret(graph, moved)
            values.append(sum((outputs[each.removeprefix("grad_")] * array).sum() for each, array in cotangents.items()))
        found[place] = (values[0] - values[1]) / (2 * STEP)
    return found


@pytest.mark.parametrize("name", CASES)
def test_gradients_to_second_order(name: str):
    text, shapes = CASES[name]
    generator = numpy.random.default_rng(0)
    graph = pipeline.layer_graph(load(f"layer recurrence {{ {text} }}"))
    arrays = {each: generator.uniform(0.2, 0.9, shape) for each, shape in shapes.items()}
    for _ in range(2):
        graph = resolve_views(graph, Builder(graph.name, graph.axes, graph.inputs))
        wanted = [spec.name for spec in graph.inputs]
        derived = differentiate(graph, wanted)
        verify(derived)
        given = [spec.name for spec in derived.inputs if spec.role == "cotangent" and spec.name not in arrays]
        outputs = interpret(graph, arrays)
        cotangents = {each: generator.standard_normal(outputs[each.removeprefix("grad_")].shape) for each in given}
        found = interpret(derived, {**arrays, **cotangents})
        for each in wanted:
            expected = differences(graph, arrays, cotangents, each)
            numpy.testing.assert_allclose(
                found[f"grad_{each}"], expected, rtol=1e-6, atol=1e-6 * (1 + abs(expected).max(initial=0))
            )
        arrays, graph = {**arrays, **cotangents}, derived


def coupled(reverse: bool) -> Graph:
    """(a, b) <- (b + x, x * a * b): values that step at once, one of them read."""
    layer = pipeline.layer_graph(load("layer coupled { in x[L, D] in b0[D] out y[L, D] = x * b0 }"))
    builder = Builder(layer.name, layer.axes, layer.inputs)
    x, b0 = (builder.read_whole(spec) for spec in layer.inputs)
    a = builder.add("carried", name="a", kind="real", axes=("D",))
    b = builder.add("carried", name="b", kind="real", axes=("D",))
    bodies = (builder.add("add", (b, x)), builder.add("mul", (builder.add("mul", (x, a)), b)))
    scan = builder.add("scan", (builder.const(1.0), b0, *bodies), axis="L", names=("a", "b"), result=0, reverse=reverse)
    return builder.finish([type(layer.outputs[0])(layer.outputs[0].spec, scan)], "math")


@pytest.mark.parametrize("reverse", [False, True])
def test_coupled_values_in_either_direction(reverse: bool):
    graph = coupled(reverse)
    generator = numpy.random.default_rng(1)
    arrays = {"x": generator.uniform(0.2, 0.9, (4, 2)), "b0": generator.uniform(0.2, 0.9, 2)}
    derived = differentiate(graph, ["x", "b0"])
    verify(derived)
    cotangents = {"grad_y": generator.standard_normal((4, 2))}
    found = interpret(derived, {**arrays, **cotangents})
    for each in ("x", "b0"):
        numpy.testing.assert_allclose(found[f"grad_{each}"], differences(graph, arrays, cotangents, each), rtol=1e-6, atol=1e-7)
