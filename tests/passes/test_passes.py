"""Every pass, interpreted before and after: the same values from other graphs, and the rewrite that each is there for."""

from __future__ import annotations

import numpy
import pytest
from kernel_cases import CASES
from kernel_harness import Case, draw, uniform, wanted_of
from lamina import pipeline
from lamina.ir.graph import Builder, Graph, Output, TensorSpec
from lamina.ir.interpret import interpret
from lamina.ir.verify import verify
from lamina.lang.check import load
from lamina.lang.checked import Axis, Entry, length_symbol
from lamina.passes.divisions import share_reciprocals
from lamina.passes.invariance import outputs_invariant
from lamina.passes.planar import planar
from lamina.passes.recompute import split
from lamina.passes.resolve_views import resolve_views
from lamina.passes.simplify import simplify
from lamina.passes.ties import compared_extrema, needs_same_bits
from lamina.passes.unroll import recognize_and_unroll

EVERY = [name for name, case in CASES.items() if "long" not in name and "low precision" not in name]


def builder(graph: Graph) -> Builder:
    return Builder(graph.name, graph.axes, graph.inputs, simplify)


def written(case: Case) -> Graph:
    return pipeline.layer_graph(load(case.text, case.layer, case.sizes))


def layer(body: str) -> Graph:
    return pipeline.layer_graph(load(f"layer example {{ {body} }}"))


def assert_same_values(first: Graph, second: Graph, arrays: dict[str, numpy.ndarray], tolerance: float = 1e-11) -> None:
    expected, found = interpret(first, arrays), interpret(second, arrays)
    assert list(expected) == list(found)
    for name, values in expected.items():
        scale = max(1.0, float(numpy.abs(values[numpy.isfinite(values)]).max(initial=0.0)))
        numpy.testing.assert_allclose(found[name], values, rtol=tolerance, atol=tolerance * scale, equal_nan=True, err_msg=name)


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def cotangents(graph: Graph, arrays: dict[str, numpy.ndarray]) -> dict[str, numpy.ndarray]:
    generator = numpy.random.default_rng(7)
    return {f"grad_{name}": like(value, generator) for name, value in interpret(graph, arrays).items()}


def like(value: numpy.ndarray, generator: numpy.random.Generator) -> numpy.ndarray:
    """Random numbers in the shape of the value, complex where it is."""
    drawn = generator.standard_normal(numpy.shape(value))
    return drawn + 1j * generator.standard_normal(numpy.shape(value)) if numpy.iscomplexobj(value) else drawn


def inner(first: numpy.ndarray, second: numpy.ndarray) -> numpy.ndarray:
    """The products whose sum is the derivative along a direction; real, of the parts, for complex values."""
    return (first * numpy.conj(second)).real


@pytest.mark.parametrize("name", EVERY)
def test_passes_keep_the_values(name: str) -> None:
    """Views, recognition, reciprocals and what is saved, one after the other on every layer of the table."""
    case = CASES[name]
    graph = written(case)
    arrays = draw(case, graph)
    pairs = planar(graph)
    assert_same_values(graph, pairs, arrays, 1e-10)
    resolved = resolve_views(pairs, builder(pairs))
    assert_same_values(pairs, resolved, arrays)
    recognized = recognize_and_unroll(resolved, builder(resolved))
    verify(recognized)
    assert_same_values(resolved, recognized, arrays, 1e-9)
    assert_same_values(recognized, share_reciprocals(recognized, builder(recognized)), arrays, 1e-10)
    if case.orders == 0:
        return
    derived = pipeline.backward_graph(recognized, wanted_of(case, recognized))
    verify(derived)
    everything = arrays | cotangents(graph, arrays)
    assert_same_values(derived, share_reciprocals(derived, builder(derived)), everything, 1e-9)
    first, second = split(recognized, derived)
    verify(first)
    verify(second)
    saved = interpret(first, arrays)
    assert_same_values(derived, second, everything | {k: v for k, v in saved.items() if k.startswith("saved")}, 1e-9)
    for output in recognized.outputs:
        numpy.testing.assert_array_equal(saved[output.spec.name], interpret(recognized, arrays)[output.spec.name])


# the derivative is not smooth here, or its layer has none before its sums are written out
_NOT_BY_DIFFERENCES = ("ties", "zeros", "not taken", "guarded", "nested", "nan", "comparisons", "empty", "zero", "functions 0")


@pytest.mark.parametrize("name", [n for n in EVERY if not any(word in n for word in _NOT_BY_DIFFERENCES)])
def test_gradients_by_differences(name: str) -> None:
    """Each graph of derivatives against central differences of the graph before it, along a random direction."""
    case = CASES[name]
    graph = written(case)
    graph = resolve_views(graph, builder(graph))  # a read of a computed value is differentiated as the value
    arrays = draw(case, graph)
    for order in range(case.orders):
        if order == 0 and case.derived_from_math:
            graph = pipeline.forward_graph(load(case.text, case.layer, case.sizes))
        derived = pipeline.backward_graph(graph, wanted_of(case, graph))
        generator = numpy.random.default_rng(order)
        given = cotangents(graph, arrays)
        gradients = interpret(derived, arrays | given)
        names = [name.removeprefix("grad_") for name in gradients]
        directions = {name: like(arrays[name], generator) for name in names}
        step = 1e-6
        ahead, behind = (
            interpret(graph, arrays | {name: arrays[name] + sign * step * directions[name] for name in names}) for sign in (1, -1)
        )
        floating = [out for out in ahead if ahead[out].dtype.kind in "fc"]
        numeric = sum(float(inner((ahead[out] - behind[out]) / (2 * step), given[f"grad_{out}"]).sum()) for out in floating)
        terms = [inner(gradients[f"grad_{name}"], directions[name]) for name in names]
        assert abs(numeric - sum(float(t.sum()) for t in terms)) <= 1e-5 * (1 + sum(float(numpy.abs(t).sum()) for t in terms))
        graph, arrays = derived, arrays | given


# ---------------------------------------------------------------------------------------------------- resolve_views


def test_views_at_plain_axes_are_the_values() -> None:
    graph = layer("in x[B, C] axis J = C let u[B, C] = sin(x) out y[B, C, J] = u * u[B, J] out z[B] = u[B, 0]")
    resolved = resolve_views(graph, builder(graph))
    assert "view" in ops(graph) and "view" not in ops(resolved)


RESOLVED = {
    "a shift": ("let u[B, C] = sin(x) out y[B, C] = zero(u)[B, C - 1]", True),
    "a shift of two factors": ("let u[B, C] = x * exp(x * x) out y[B, C] = zero(u)[B, C - 1]", True),
    "a shift of what does not vary there": ("let v[B] = x[B, 0] let u[B, C] = 1 + v out y[B, C] = zero(u)[B, C - 1]", True),
    "a shift of what an index is part of": ("let u[B, C] = index(C) * x[B, 0] out y[B, C] = zero(u)[B - 1, C - 1]", True),
    "a shift of a split axis": ("let u[B, C] = 1 / x out y[B, C] = zero(u)[B - 1, len(C) - C]", True),
    "little work, twice": ("let u[B, C] = x * x + 1 out y[B, C] = zero(u)[B, C - 1] + zero(u)[B, C + 1]", True),
    "much work, twice": ("let u[B, C] = exp(x) out y[B, C] = zero(u)[B, C - 1] + zero(u)[B, C + 1]", False),
    "a window": ("let u[B, C] = x * x out y[B, C] = sum[i < 3](zero(u)[B, C + i - 1])", False),
    "a sum": ("let u[B] = sum[C](x) out y[B] = zero(u)[B - 1]", False),
    "beyond the ends": ("let u[B, C] = x * x out y[B, C] = wrap(u)[B, C - 1]", False),
    "gathered": ("in i[B]: i64 let u[B, C] = x * x out y[B, C] = u[i, C]", False),
}


@pytest.mark.parametrize("name", RESOLVED)
def test_views_are_moved_to_other_indices_where_that_repeats_little(name: str) -> None:
    body, resolved = RESOLVED[name]
    graph = layer(f"in x[B, C] {body}")
    found = resolve_views(graph, builder(graph))
    verify(found)
    assert ("view" not in ops(found)) == resolved
    arrays = {"x": numpy.linspace(0.5, 2.0, 12).reshape(3, 4), "i": numpy.array([2, 0, 1])}
    assert_same_values(graph, found, arrays)
    arrays["x"][1, 2] = numpy.inf
    if "1 / x" in body or "sin" in body:
        assert_same_values(graph, found, arrays)


def test_a_renamed_read_does_not_capture_a_reduced_axis() -> None:
    graph = layer("in x[B, C] axis J = C let u[B] = sum[J](x[B, J]) let w[B, C] = x * u out y[B, J] = w[B, J]")
    resolved = resolve_views(graph, builder(graph))
    assert_same_values(graph, resolved, {"x": numpy.arange(6.0).reshape(2, 3)})
    assert "view" not in ops(resolved)


# ---------------------------------------------------------------------------------------------------- recognize_and_unroll


def recognized(body: str) -> Graph:
    graph = layer(body)
    return recognize_and_unroll(graph, builder(graph))


def test_a_sum_of_products_is_a_contraction() -> None:
    graph = recognized("in x[..., I] param w[O, I] = 1 param g[I] = 1 out y[..., O] = sum[I](tanh(x) * w * g)")
    assert ops(graph).count("contract") == 1 and "reduce" not in ops(graph)


def test_a_short_sum_of_products_stays_a_loop() -> None:
    graph = recognized("in x[N, 3] param w[2, 3] = 1 axis O = 2 out y[N, O] = sum[k < 3](x[N, k] * w[O, k])")
    assert "contract" not in ops(graph)


def test_a_polynomial_is_in_horners_form() -> None:
    graph = recognized("in x[N] param a[6] = 1 out y[N] = sum[i < 6](a[i] * x^i)")
    assert ops(graph).count("mul") == 5 and ops(graph).count("add") == 5 and "pow" not in ops(graph)


def test_a_polynomial_in_even_powers_uses_the_square() -> None:
    graph = recognized("in x[N] param a[4] = 1 out y[N] = sum[i < 4](a[i] * x^(2 * i))")
    assert ops(graph).count("mul") <= 7


def test_a_long_index_stays_a_loop() -> None:
    graph = recognized("in x[N] out y[N] = sum[i < 100](sin(x * i))")
    assert "reduce" in ops(graph) and ops(graph).count("sin") == 1


# ---------------------------------------------------------------------------------------------------- share_reciprocals


def test_a_shared_divisor_is_inverted_once() -> None:
    graph = layer("in x[B, C] in z[B, C] out y[B, C] = x / z out w[B, C] = exp(x) / z")
    assert ops(graph).count("div") == 2
    shared = share_reciprocals(graph, builder(graph))
    assert ops(shared).count("div") == 1
    arrays = {"x": numpy.ones((2, 3)), "z": numpy.array([[1.0, 0.0, -0.0], [numpy.inf, numpy.nan, 3.0]])}
    assert_same_values(graph, shared, arrays, 1e-15)


def test_a_divisor_that_varies_less_is_inverted_outside() -> None:
    graph = layer("in x[B, C] param s[B] = 1 out y[B, C] = x / s")
    shared = share_reciprocals(graph, builder(graph))
    assert next(node for node in shared.nodes if node.op == "div").axes == ("B",)


def test_a_divisor_used_once_is_left_alone() -> None:
    graph = layer("in x[B] in z[B] out y[B] = x / z")
    assert ops(share_reciprocals(graph, builder(graph))) == ops(graph)


def test_a_quotient_that_is_rounded_stays_a_quotient() -> None:
    graph = layer("in x[B, C] param s[B] = 1 out y[B, C] = floor(x / s) out z[B, C] = select(x / s >= 1, 1, 0)")
    shared = share_reciprocals(graph, builder(graph))
    divisors = numpy.arange(1.0, 61.0)
    numbers = {"x": divisors[:, None] * numpy.arange(60.0), "s": divisors}
    for name, values in interpret(graph, numbers).items():
        numpy.testing.assert_array_equal(interpret(shared, numbers)[name], values)


# ---------------------------------------------------------------------------------------------------- split


def saved_of(body: str) -> tuple[Graph, Graph]:
    graph = layer(body)
    graph = recognize_and_unroll(graph, builder(graph))
    return pipeline.training_pair(graph, [spec.name for spec in graph.inputs if spec.dtype == "float"])


def test_pointwise_layers_save_nothing() -> None:
    first, _ = saved_of("in x[B, C] param a[C] = 1 out y[B, C] = sin(a * x) * exp(x)")
    assert [output.spec.role for output in first.outputs] == ["out"]


def test_a_norm_saves_its_statistics_alone() -> None:
    first, second = saved_of("in x[B, C] out y[B, C] = x * rsqrt(mean[C](x * x) + 1)")
    saved = [output.spec for output in first.outputs if output.spec.role == "saved"]
    assert [spec.entries for spec in saved] == [(Entry(("B",)),)]
    assert "rsqrt" not in ops(second) or "reduce" in ops(second)


def test_products_are_not_computed_twice() -> None:
    first, second = saved_of("in x[B, I] param w[O, I] = 1 out y[B, O] = sigmoid(sum[I](x * w))")
    assert any(output.spec.role == "saved" for output in first.outputs)
    assert ops(second).count("contract") == 2  # the two gradients


def test_what_no_input_reaches_is_never_saved() -> None:
    first, second = saved_of("in x[N] out y[N] = sum[i < 100](sin(x * (i + 1)))")
    for graph in (first, second):
        verify(graph)
    assert all(output.spec.role == "out" for output in first.outputs)


# ---------------------------------------------------------------------------------------------------- ties


@pytest.mark.parametrize(
    "body",
    [
        "in x[B, C] param a[C] = 1 out y[B] = max[C](a * x + 1)",
        "in x[B, C] param a[C] = 1 let t[B, C] = a * x + 1 out y[B, C] = min[i < 2](wrap(t)[B, C - 3*i])",
    ],
)
def test_maxima_of_computed_values_ask_for_the_same_bits(body: str) -> None:
    first, second = saved_of(body)
    assert compared_extrema(second) and needs_same_bits(first) and needs_same_bits(second)


@pytest.mark.parametrize("body", ["in x[B, C] out y[B] = max[C](x)", "in x[B, C] param a[C] = 1 out y[B, C] = softmax[C](a * x)"])
def test_maxima_that_need_no_comparison_do_not(body: str) -> None:
    first, second = saved_of(body)
    assert not needs_same_bits(first) and not needs_same_bits(second)


# ---------------------------------------------------------------------------------------------------- invariance


@pytest.mark.parametrize(
    ("body", "invariant"),
    [
        ("out y[B, C] = softmax[C](x)", True),
        ("out y[B] = logsumexp[C](x)", False),
        ("out y[B, C] = log_softmax[C](x)", True),
        ("out y[B, C] = exp(x - max[C](x))", False),
        ("out y[B, C] = x - max[C](x)", False),
        ("let m = max[C](x) out y[B, C] = exp(x - m) / sum[C](exp(x - m)) + m", False),
        ("let m = max[C](x) out y[B] = sum[C](exp(x - m)) * exp(m)", True),
        ("let m = max[C](x) out y[C] = sum[B](exp(x - m) * exp(m))", True),
        ("let m = max[C](x) out y[C] = sum[B](exp(x - m)) * 2", False),
    ],
)
def test_shifts_that_no_output_sees(body: str, invariant: bool) -> None:
    graph = layer(f"in x[B, C] {body}")
    extremum = next(n for n, node in enumerate(graph.nodes) if node.op == "reduce" and node.attribute("operation") == "max")
    assert outputs_invariant(graph, extremum) is invariant


# ---------------------------------------------------------------------------------------------------- simplify


N = length_symbol("N")
VALUES = numpy.array([0.0, -0.0, 1.0, -2.5, numpy.inf, -numpy.inf, numpy.nan])


@pytest.mark.parametrize(
    "make",
    [
        lambda b, x: b.add("add", (x, b.const(0.0))),
        lambda b, x: b.add("sub", (b.const(0.0), x)),
        lambda b, x: b.add("mul", (b.const(-1.0), b.add("neg", (x,)))),
        lambda b, x: b.add("mul", (x, b.const(0.0))),
        lambda b, x: b.add("div", (x, b.const(4.0))),
        lambda b, x: b.add("pow", (x, b.const(0))),
        lambda b, x: b.add("pow", (x, b.const(2.0))),
        lambda b, x: b.add("pow", (x, b.const(0.5))),
        lambda b, x: b.add("add", (b.add("sub", (x, b.const(3))), b.const(5))),
        lambda b, x: b.add("select", (b.add("gt", (x, b.const(0.0))), b.add("select", (b.add("gt", (x, b.const(0.0))), x, x)), x)),
        lambda b, x: b.add("sub", (x, b.add("neg", (x,)))),
    ],
)
def test_local_rules_keep_values(make) -> None:
    results = []
    for rule in (None, simplify):
        b = Builder("rules", (Axis("N", N),), (TensorSpec("x", "in", (Entry(("N",)),), "f64"),), rule)
        value = make(b, b.read_whole(b.inputs["x"]))
        graph = b.finish([Output(TensorSpec("y", "out", (Entry(("N",)),), "f64"), value)], "layer")
        results.append(interpret(graph, {"x": VALUES})["y"])
    numpy.testing.assert_array_equal(*results)


def test_factors_leave_sums() -> None:
    graph = layer("in x[B, C] param a[B] = 1 out y[B] = sum[C](a * x * 2)")
    shared = recognize_and_unroll(graph, builder(graph))
    assert_same_values(graph, shared, draw(Case("", {"x": (3, 4), "a": (3,)}, {"x": uniform(-1, 1)}), graph))
    assert [node.axes for node in shared.nodes if node.op == "reduce"] == [("B",)]
    assert next(node for node in shared.nodes if node.op == "reduce").operands == (
        next(n for n, node in enumerate(shared.nodes) if node.op == "read" and node.axes == ("B", "C")),
    )


def test_polynomial_of_a_computed_product_is_in_horners_form() -> None:
    text = "layer f { in x[N] param s[N] = 1 param a[5] = 1 let u = s * x out y[N] = sum[i < 5](a[i] * u^i) }"
    graph = pipeline.forward_graph(load(text))
    assert not any(node.op == "pow" for node in graph.nodes)
    assert sum(node.op == "mul" for node in graph.nodes) == 5  # the product and four steps
