"""The checker, rule by rule of the language reference (the numbers are its): axes, indices, reductions, numbers, functions."""

from __future__ import annotations

import pytest
import sympy
from checking import EXAMPLES, HEAD, C, D, K, L, X, affine, codes, layer_of, read, value_of, walk
from lamina.errors import SpecError
from lamina.lang import checked
from lamina.lang.check import load
from lamina.lang.checked import AffineIndex, Entry, length_symbol
from lamina.lang.parse import parse

# ---------------------------------------------------------------------------------------------- examples of the reference


@pytest.mark.parametrize("name", [item.name.name for item in parse(EXAMPLES).items if type(item).__name__ == "Layer"])
def test_examples_check(name: str) -> None:
    layer = load(EXAMPLES, name)
    assert layer.name == name
    assert layer.requirements == ()
    assert layer.text.startswith(f"layer {name}")


def test_group_rational() -> None:
    layer = load(EXAMPLES, "group_rational")
    assert layer.sizes == (("G", 8), ("M", 5), ("N", 4))
    lengths = {axis.name: axis.length for axis in layer.axes}
    assert lengths == {"...": length_symbol("..."), "G": 8, "C": C, "N": 4, "a.1": 6, "i": 6, "j": 4}
    assert [tensor.entries for tensor in layer.tensors] == [
        (Entry(("...",)), Entry(("G", "C"))),
        (Entry(("G",)), Entry(("a.1",))),
        (Entry(("G",)), Entry(("N",))),
    ]
    fit = layer.tensors[1].init
    assert isinstance(fit, checked.FitInit)
    assert (fit.function, fit.low, fit.high) == ("silu", -3.0, 3.0)
    product = fit.body
    assert isinstance(product, checked.Apply)
    assert product.function == "mul"
    assert isinstance(product.arguments[0], checked.Carried)


# ---------------------------------------------------------------------------------------------- axes


def test_rule_1_axes_unite() -> None:
    layer = layer_of("out y[B, C, L] = x + t")
    assert set(layer.outs[0].value.axes) == {"B", "C", "L"}


def test_rule_2_known_axes_are_broadcast() -> None:
    assert layer_of("out y[L, B, C] = x").outs[0].entries == (Entry(("L",)), Entry(("B",)), Entry(("C",)))
    assert codes(f"layer f(G = 4, M = 2) {{ {HEAD} out y[B] = x }}") == ["LAM202"]


def test_rule_3_split_axes() -> None:
    source = read(value_of("p", "..., G*D"))
    assert source.axes == ("...", "G", "D")
    assert source.indices == (AffineIndex((("...", sympy.Integer(1)),)), affine(G=D, D=1))


def test_rule_5_anonymous_axes() -> None:
    layer = load("layer f { in x[B, 2*P + 1]  out y[B, P] = x[B, 2*P] - x[B, 2*P + 1] }")
    assert layer.axis_length("x.1") == 2 * length_symbol("P") + 1
    assert layer.axis_length("P") == length_symbol("P")


def test_rule_5_a_size_alone_is_an_axis() -> None:
    layer = load("layer f(M = 3) { in x[B]  param w[M] = 1  out y[B] = x * sum[M](w) }")
    assert layer.axis_length("M") == 3


def test_rule_6_indices() -> None:
    assert read(value_of("zero(t)[B, 2*L + 1 - len(L)]", "B, L")).indices == (affine(B=1), affine(1 - L, L=2))
    assert read(value_of("w[G, M]", "G")).indices == (affine(G=1), affine(2))
    assert read(value_of("p[..., G*D]", "..., G*D")) == read(value_of("p", "..., G*D"))
    gather = read(value_of("zero(v)[n + 1]", "B, K"))
    assert gather.axes == ("B", "K")
    (index,) = gather.indices
    assert isinstance(index, checked.TensorIndex)
    assert index.value.kind == "int"


def test_rule_6_a_gather_may_use_the_running_index() -> None:
    gather = read(value_of("zero(v)[n + K]", "B, K"))
    (index,) = gather.indices
    assert isinstance(index, checked.TensorIndex)
    assert isinstance(index.value, checked.Apply)
    assert isinstance(index.value.arguments[1], checked.IndexValue)


def test_rule_6_a_let_is_indexed_where_its_order_is_settled() -> None:
    assert layer_of("let s = t * v  out y[B, L] = zero(s)[B, L - 1]")
    with pytest.raises(SpecError, match="LAM204"):
        layer_of("let s = x * v  out y[B, C, L] = zero(s)[B, C, L - 1]")
    assert layer_of("let s[B, C, L] = x * v  out y[B, C, L] = zero(s)[B, C, L - 1]")


def test_rule_7_lengths_and_indices_as_values() -> None:
    product = value_of("x * C + index(C)", "B, C")
    assert isinstance(product, checked.Apply)
    times, index = product.arguments
    assert isinstance(times, checked.Apply)
    length = times.arguments[1]
    assert isinstance(length, checked.LengthValue)
    assert (length.length, length.axes) == (C, ())
    assert isinstance(index, checked.IndexValue)
    assert index.axes == ("C",)


def test_rule_7_a_size_listed_by_an_out_is_an_axis() -> None:
    layer = load("layer f(N = 3) { in x[B]  out y[B, N] = x * index(N) }")
    assert layer.axis_length("N") == 3


# ---------------------------------------------------------------------------------------------- leaving the range


@pytest.mark.parametrize("index", ["L", "len(L) - 1 - L"])
def test_rule_8_indices_that_stay(index: str) -> None:
    assert layer_of(f"out y[B, L] = t[B, {index}]").requirements == ()


@pytest.mark.parametrize("index", ["L + 1", "len(L)", "L - 1 - len(L)", "-1"])
def test_rule_8_indices_that_leave(index: str) -> None:
    assert codes(f"layer f(G = 4, M = 2) {{ {HEAD} out y[B, L] = t[B, {index}] }}") == ["LAM301"]


def test_rule_8_indices_that_may_leave_are_checked_at_the_call() -> None:
    layer = layer_of("out y[B, K] = t[B, K]")
    (requirement,) = layer.requirements
    assert requirement.condition == (K - 1 <= L - 1)
    assert requirement.text == "K - 1 <= L - 1"
    assert requirement.condition.subs({K: 3, L: 3}) == sympy.true
    assert requirement.condition.subs({K: 4, L: 3}) == sympy.false


@pytest.mark.parametrize("boundary", ["zero", "wrap", "clamp", "reflect"])
def test_rule_8_boundaries(boundary: str) -> None:
    assert read(value_of(f"{boundary}(t)[B, L + 5]", "B, L")).boundary == boundary


# ---------------------------------------------------------------------------------------------- reductions, transforms, recurrences


def test_rule_9_ranges_start_at_zero() -> None:
    reduction = value_of("sum[i in 1..3](w[G, i] * i)", "G")
    assert isinstance(reduction, checked.Reduce)
    assert reduction.over == ("i",)
    body = reduction.body
    assert isinstance(body, checked.Apply)
    assert read(body.arguments[0]).indices[1] == affine(1, i=1)
    assert isinstance(body.arguments[1], checked.Apply)
    assert body.arguments[1].function == "add"


def test_rule_9_indices_are_renamed_apart() -> None:
    layer = layer_of("out y[B] = sum[i < 2](w[0, i]) + sum[i < 3](w[1, i]) + 0 * n[B, 0]")
    assert [(a.name, a.length) for a in layer.axes if a.name.startswith("i")] == [("i", 2), ("i_2", 3)]


def test_rule_9_an_index_the_body_does_not_use() -> None:
    reduction = value_of("sum[i < 3](x)", "B, C")
    assert isinstance(reduction, checked.Reduce)
    assert "i" in reduction.body.axes
    assert reduction.axes == ("B", "C")


def test_rule_9_several_at_once() -> None:
    reduction = value_of("mean[B, C](x)", "")
    assert isinstance(reduction, checked.Reduce)
    assert (reduction.over, reduction.axes) == (("B", "C"), ())


def test_rule_9_an_empty_range() -> None:
    assert load("layer f(N = 0) { in x[B]  out y[B] = x + sum[k in 2..N](1) }").axis_length("k") == 0


def test_rule_10_transforms_define_lengths() -> None:
    layer = load("layer f { in x[B, X]  let s = rfft[X -> F, n = 2*X](x)  out y[B, F] = s }")
    assert layer.axis_length("F") == X + 1
    transform = layer.statements[0].value
    assert isinstance(transform, checked.Transform)
    assert (transform.n, transform.kind, transform.axes) == (2 * X, "complex", ("B", "F"))


def test_rule_10_lengths_given_must_fit() -> None:
    text = "layer f {{ in x[B, X]  axis F = {}  out y[B, F] = fft[X -> F](x) }}"
    assert load(text.format("X")).requirements == ()
    (requirement,) = load(text.format("8")).requirements
    assert requirement.condition == sympy.Eq(8, X)
    assert codes(text.format("X + 1")) == ["LAM305"]


def test_rule_10_irfft_needs_the_length() -> None:
    assert codes("layer f { in x[B, F]: complex  let s = irfft[F -> X](x)  out y[B, F] = x }") == ["LAM203"]


@pytest.mark.parametrize(("function", "kind"), [("fft", "complex"), ("ifft", "complex"), ("dct", "real"), ("idct", "real")])
def test_rule_10_kinds(function: str, kind: str) -> None:
    assert value_of(f"{function}[L -> F](t)", "B, F").kind == kind


def test_rule_11_scan() -> None:
    scan = value_of("scan[L](h = 0 : v*h + t)", "B, L")
    assert isinstance(scan, checked.Scan)
    assert (scan.axis, scan.name, scan.kind, set(scan.axes)) == ("L", "h", "real", {"B", "L"})
    carried = [part for part in walk(scan.body) if isinstance(part, checked.Carried)]
    assert [(part.name, part.axes, part.kind) for part in carried] == [("h", ("B",), "real")]


def test_rule_11_running_values_are_named_apart() -> None:
    layer = layer_of("let h = scan[L](s = 0 : s + t)  out s[B, L] = scan[L](s = 0 : s + h)")
    scans = [statement.value for statement in layer.statements]
    assert [scan.name for scan in scans if isinstance(scan, checked.Scan)] == ["s_2", "s_3"]


def test_rule_11_a_running_value_reduced_over_axes_that_each_step_gives_it() -> None:
    """At first h is 0, without axes; that it varies along C is known once the whole step is."""
    scan = value_of("scan[L](h = 0 : h / sqrt(1 + sum[C](h*h)) + t + x[B, C])", "B, L, C")
    assert isinstance(scan, checked.Scan)
    assert {(part.name, part.axes) for part in walk(scan.body) if isinstance(part, checked.Carried)} == {("h", ("C", "B"))}


@pytest.mark.parametrize("step", ["0.5*sum[C](h)", "sum[C](h) + t", "sum[C](h) + q"])
def test_rule_11_a_running_value_reduced_over_axes_that_it_never_has(step: str) -> None:
    expected = ["LAM208", "LAM101"] if "q" in step else ["LAM208"]
    assert codes(f"layer f {{ in t[B, L] in x[B, C] out y[B, L] = scan[L](h = 0 : {step}) }}") == expected


def test_rule_11_iterate() -> None:
    iterate = value_of("iterate[2^3](a = x, b = 0 : b, a + b*t[B, 0])", "B, C")
    assert isinstance(iterate, checked.Iterate)
    assert (iterate.count, iterate.names, iterate.axes) == (8, ("a", "b"), ("B", "C"))
    kinds = {
        part.name: (part.axes, part.kind) for body in iterate.bodies for part in walk(body) if isinstance(part, checked.Carried)
    }
    assert kinds == {"a": (("B", "C"), "real"), "b": (("B", "C"), "real")}


# ---------------------------------------------------------------------------------------------- numbers, functions, fits


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("1", "int"),
        ("1.0", "real"),
        ("1 / 2", "real"),
        ("index(C) + 1", "int"),
        ("index(C)^2", "int"),
        ("x", "real"),
        ("x > 0", "bool"),
        ("any[C](x > 0)", "bool"),
        ("select(x > 0, 1, 2)", "int"),
        ("z[B, 0] * x", "complex"),
        ("abs(z[B, 0])", "real"),
        ("cis(x)", "complex"),
        ("n[B, 0]", "int"),
        ("mean[K](n)", "real"),
        ("sum[K](n)", "int"),
        ("floor(x)", "real"),
        ("exp(n[B, 0])", "real"),
        ("chebyshev(3, x)", "real"),
        ("min(n[B, 0], 3)", "int"),
    ],
)
def test_rule_13_kinds(expression: str, kind: str) -> None:
    assert value_of(expression, "B, C").kind == kind


def test_rule_13_dtypes() -> None:
    names = ["f64", "f32", "f16", "bf16", "i64", "i32", "bool", "c64", "c128", "float", "complex"]
    inputs = " ".join(f"in x{position}[B]: {name}" for position, name in enumerate(names))
    layer = load(f"layer f {{ {inputs} in x[B]  out y[B] = x }}")
    assert [tensor.dtype for tensor in layer.tensors] == [*names, "float"]


def test_rule_14_orders() -> None:
    assert value_of("sum[d < M + 1](w[G, d] * chebyshev(d, x))", "B, C, G")
    assert value_of("bspline(2*M - 1, x)", "B, C")
    layer = load("layer f(N) { in x[B]  out y[B] = chebyshev(N, x) }", sizes={"N": 3})
    apply = layer.outs[0].value
    assert isinstance(apply, checked.Apply)
    order = apply.arguments[0]
    assert isinstance(order, checked.LengthValue)
    assert order.length == 3


def test_rule_14_defs_take_axes_and_hide_their_names() -> None:
    text = """
    def centred[A](t) = t - mean[A](t)
    def powers(t) = sum[i < 3](t^i)
    layer f { in t[B, C]  param i[C] = 1  out y[B, C] = centred[C](t * i) + sum[j < 2](powers(t + j)) }
    """
    layer = load(text)
    assert [axis.name for axis in layer.axes] == ["B", "C", "j", "i_2"]


def test_rule_15_fit_of_a_def() -> None:
    text = (
        "def target(u) = u * tanh(u)\nlayer f { in x[B]  param a[3] = fit(target, -pi, 2*pi)  out y[B] = sum[i < 3](a[i] * x^i) }"
    )
    fit = load(text).tensors[1].init
    assert isinstance(fit, checked.FitInit)
    assert fit.low == pytest.approx(-3.141592653589793)
    assert fit.body.kind == "real"


def test_floating_point_structure_is_kept() -> None:
    expression = value_of("(x + 1) - 1 + 0 * x", "B, C")
    assert isinstance(expression, checked.Apply)
    assert expression.function == "add"
    left, right = expression.arguments
    assert isinstance(left, checked.Apply)
    assert isinstance(right, checked.Apply)
    assert (left.function, right.function) == ("sub", "mul")
