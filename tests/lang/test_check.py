"""The checker, rule by rule of the language reference (the numbers are its), and its entry points."""

from __future__ import annotations

from pathlib import Path

import pytest
import sympy
from lamina.errors import ArgumentError, Error, SpecError
from lamina.lang import checked
from lamina.lang.check import check, check_file, load
from lamina.lang.checked import AffineIndex, CheckedLayer, Entry, length_symbol
from lamina.lang.parse import parse

EXAMPLES = Path(__file__).with_name("examples.lam").read_text(encoding="utf-8")
HEAD = "in x[B, C]  in t[B, L]  in n[B, K]: i64  in z[B, L]: complex  in p[..., G*D]  param w[G, M+1] = 0  param v[L] = 1\n"


def layer_of(statements: str, sizes: str = "(G = 4, M = 2)") -> CheckedLayer:
    """A layer with the inputs of HEAD."""
    return load(f"layer f{sizes} {{ {HEAD} {statements} }}")


def value_of(expression: str, axes: str = "B") -> checked.Expr:
    return layer_of(f"out y[{axes}] = {expression}").outs[0].value


def read(expression: checked.Expr) -> checked.Read:
    assert isinstance(expression, checked.Read)
    return expression


def affine(offset: object = 0, **terms: object) -> AffineIndex:
    return AffineIndex(tuple((axis, sympy.sympify(value)) for axis, value in terms.items()), sympy.sympify(offset))


def codes(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(text)
    return [diagnostic.code for diagnostic in caught.value.diagnostics]


C, D, L, K, X = (length_symbol(name) for name in "CDLKX")


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


def test_rule_11_iterate() -> None:
    iterate = value_of("iterate[2^3](a = x, b = 0 : b, a + b*t[B, 0])", "B, C")
    assert isinstance(iterate, checked.Iterate)
    assert (iterate.count, iterate.names, iterate.axes) == (8, ("a", "b"), ("B", "C"))
    kinds = {
        part.name: (part.axes, part.kind) for body in iterate.bodies for part in walk(body) if isinstance(part, checked.Carried)
    }
    assert kinds == {"a": (("B", "C"), "real"), "b": (("B", "C"), "real")}


def walk(expression: checked.Expr) -> list[checked.Expr]:
    """An expression and all below it."""
    below: list[checked.Expr] = []
    if isinstance(expression, checked.Apply):
        below = list(expression.arguments)
    elif isinstance(expression, (checked.Reduce, checked.Transform)):
        below = [expression.body]
    return [expression, *(part for child in below for part in walk(child))]


# ---------------------------------------------------------------------------------------------- layer calls

LINEAR = "layer linear(O) { in x[..., I]  param w[O, I] = normal(1/sqrt(I))  param b[O] = 0  out y[..., O] = sum[I](x * w) + b }\n"


def test_rule_12_parameters_and_sizes() -> None:
    layer = load(LINEAR + "layer f { in x[B, L, D]  let h[B, L, F] = linear(x, O = 4*D)  out y[B, L, F] = relu(h) }", "f")
    assert [(t.name, [e.axes for e in t.entries]) for t in layer.tensors] == [
        ("x", [("B",), ("L",), ("D",)]),
        ("h.w", [("F",), ("D",)]),
        ("h.b", [("F",)]),
    ]
    assert layer.axis_length("F") == 4 * D
    assert [statement.name for statement in layer.statements] == ["h", "y"]


def test_rule_12_the_let_gives_the_size() -> None:
    layer = load(LINEAR + "layer f { in x[B, D]  axis F = 2*D  let h[B, F] = linear(x)  out y[B, F] = h }", "f")
    assert layer.axis_length("F") == 2 * D
    layer = load(LINEAR + "layer f { in x[B, D]  let h[B, F] = linear(x)  out y[B, F] = h }", "f")
    assert layer.axis_length("F") == length_symbol("F")


def test_rule_12_split_axes_are_one_axis_to_the_callee() -> None:
    layer = load(LINEAR + "layer f(G = 2) { in x[B, G*C]  let h[B, G*C] = linear(x, O = G*C)  out y[B, G*C] = h }", "f")
    assert layer.axis_length("h.I") == 2 * C
    assert layer.axis_length("h.O") == 2 * C
    assert [statement.name for statement in layer.statements] == ["h.y", "h", "y"]
    hidden = layer.statements[1].value
    assert read(hidden).indices == (affine(B=1), affine(G=C, C=1))


def test_rule_12_axes_of_two_inputs_stay_apart() -> None:
    text = "layer scores { in q[B, M, D]  in k[B, N, D]  out y[B, M, N] = sum[D](q * k) }"
    layer = load(f"{text} layer f {{ in x[B, T, D]  axis S = T  let a[B, T, S] = scores(x, x)  out y[B, T, S] = a }}", "f")
    assert layer.axis_length("a.N") == length_symbol("T")
    value = layer.statements[0].value
    assert value.axes == ("B", "T", "a.N")


def test_rule_12_lengths_are_solved() -> None:
    text = "layer half { in x[B, 2*P]  out y[B, P] = x[B, 2*P] + x[B, 2*P + 1] }"
    layer = load(f"{text} layer f {{ in x[B, T]  let a[B, Q] = half(x)  out y[B, Q] = a }}", "f")
    assert layer.axis_length("Q") == sympy.floor(length_symbol("T") / 2)
    (requirement,) = layer.requirements
    assert requirement.condition == sympy.Eq(sympy.Mod(length_symbol("T"), 2), 0)
    with pytest.raises(SpecError, match="does not fit its entry `2\\*P`"):
        load(f"{text} layer f {{ param w[3, 7] = 0  axis R = 3  let a[R, P] = half(w)  out y[R, P] = a }}", "f")


def test_rule_12_defaults_follow_from_sizes_found_in_the_call() -> None:
    text = "layer wide(O, K = 2*O) { in x[..., O]  param w[K, O] = 0  out y[..., K] = sum[O](x * w) }"
    layer = load(f"{text} layer f {{ in x[B, D]  let h[B, F] = wide(x)  out y[B, F] = h }}", "f")
    assert layer.axis_length("F") == 2 * D
    assert layer.tensors[1].entries == (Entry(("F",)), Entry(("D",)))


def test_rule_12_calls_nest() -> None:
    text = (
        LINEAR
        + "layer two(H) { in x[..., I]  let h[..., H] = linear(x, O = H)  let g[..., I] = linear(h, O = I)  out y[..., I] = g }\n"
    )
    layer = load(text + "layer f { in x[B, T, D]  let r[B, T, D] = two(x, H = 8)  out y[B, T, D] = x + r }", "f")
    assert [t.name for t in layer.tensors] == ["x", "r.h.w", "r.h.b", "r.g.w", "r.g.b"]
    assert [statement.name for statement in layer.statements] == ["r.h", "r.g", "r", "y"]


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


# ---------------------------------------------------------------------------------------------- initial values


def test_initial_values() -> None:
    layer = load(
        """layer f(M = 3) { in x[B, C]
          param a[M] = [1, -0.5, 2]
          param b[C] = uniform(-1/sqrt(C), 1/sqrt(C))
          param c[C] = cos(2*pi*index(C)/C)
          param d[] = 1/3
          buffer e[C]: bool = index(C) < 3
          buffer g[C]: i64 = index(C)
          param h[C, M+1]: complex = normal(0.1)
          out y[B, C] = x }"""
    )
    kinds = [type(tensor.init).__name__ for tensor in layer.tensors[1:]]
    assert kinds == ["ValuesInit", "UniformInit", *["ExpressionInit"] * 4, "NormalInit"]
    assert [tensor.role for tensor in layer.tensors] == ["in", *["param"] * 4, "buffer", "buffer", "param"]


def test_a_list_along_an_axis_known_at_the_call() -> None:
    layer = load("layer f { in x[B, C]  param a[C] = [1, 2]  out y[B, C] = a * x }")
    (requirement,) = layer.requirements
    assert requirement.condition == sympy.Eq(C, 2)


# ---------------------------------------------------------------------------------------------- sizes, axes, requirements


def test_sizes() -> None:
    text = "layer f(O, G = 8, H = 2*G) { in x[B, G*C]  param w[O] = 0  param v[H] = 0  out y[B, G*C] = x }"
    assert load(text).sizes == (("O", None), ("G", 8), ("H", 16))
    assert load(text, sizes={"G": 3, "O": 2}).sizes == (("O", 2), ("G", 3), ("H", 6))
    assert load(text, sizes={"H": 3}).axis_length("H") == 3


def test_axis_statements() -> None:
    layer = load("layer f { in x[B, X]  axis F = X/2 + 1  axis E = 2*F  out y[B, F, E] = sum[X](x) }")
    assert layer.axis_length("F") == sympy.floor(X / 2) + 1
    assert layer.axis_length("E") == 2 * sympy.floor(X / 2) + 2


def test_requirements() -> None:
    layer = load('layer f(G = 2) { in x[B, C]  require G > 1  require C >= G and C != 5, "odd"  out y[B, C] = x }')
    (requirement,) = layer.requirements
    assert (requirement.text, requirement.message) == ("C >= G and C != 5", "odd")
    assert [bool(requirement.condition.subs(C, value)) for value in (1, 2, 5)] == [False, True, False]


def test_accuracy() -> None:
    layer = load("layer f { accuracy tanh, exp: 2 ulp  accuracy abs 1e-3  in x[B]  out y[B] = tanh(x) }")
    assert layer.accuracies == (checked.Accuracy(("tanh", "exp"), "ulp", 2.0), checked.Accuracy((), "abs", 1e-3))


# ---------------------------------------------------------------------------------------------- entry points


def test_wrong_sizes_are_argument_errors() -> None:
    text = "layer f(Groups = 8) { in x[Groups*C]  out y[Groups*C] = x }"
    with pytest.raises(ArgumentError, match="did you mean `Groups`"):
        load(text, sizes={"groups": 4})
    for value in (-1, 2.0, True, 2**80):
        with pytest.raises(ArgumentError, match="expected an integer"):
            load(text, sizes={"Groups": value})  # type: ignore[dict-item]


def test_layers_by_name() -> None:
    with pytest.raises(ArgumentError, match="did you mean `linear`"):
        load(EXAMPLES, "liner")
    with pytest.raises(ArgumentError, match="layer library"):
        load("no_such_layer_at_all")
    with pytest.raises(ArgumentError, match="cannot read"):
        load(Path("no/such/file.lam"))


def test_files_use_files(tmp_path: Path) -> None:
    (tmp_path / "parts.lam").write_text("const two = 2\ndef twice(x) = two * x\n" + LINEAR)
    main = tmp_path / "main.lam"
    main.write_text('use twice, linear from "parts.lam"\nlayer f { in x[B]  let h[F] = linear(x, O = 3)  out y[F] = twice(h) }')
    layer = load(main)
    assert [tensor.name for tensor in layer.tensors] == ["x", "h.w", "h.b"]
    assert load(str(main)) == layer


def test_mistakes_in_a_used_file_are_shown_there(tmp_path: Path) -> None:
    (tmp_path / "parts.lam").write_text("def broken(x) = x +\n\ndef wrong(x) = y\ndef good(x) = x\n")
    main = tmp_path / "main.lam"
    main.write_text('use good, wrong from "parts.lam"\nlayer f { in x[B]  out y[B] = good(wrong(x)) + z }')
    with pytest.raises(SpecError) as caught:
        load(main)
    assert [(Path(d.span.file).name, d.span.line) for d in caught.value.diagnostics] == [
        ("main.lam", 2),
        ("parts.lam", 3),
        ("parts.lam", 3),
    ]


def test_files_that_use_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.lam").write_text('use g from "b.lam"\ndef f(x) = g(x)\nlayer l { in x[B]  out y[B] = f(x) }')
    (tmp_path / "b.lam").write_text('use f from "a.lam"\ndef g(x) = f(x)')
    with pytest.raises(SpecError, match="circle"):
        load(tmp_path / "a.lam")


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "spec.lam"
    path.write_bytes(b"layer f {\n in x[B] \xff }")
    with pytest.raises(SpecError, match=r"spec.lam:2:1: error LAM005"):
        load(path)


def test_used_files_can_be_supplied() -> None:
    file = parse("use twice\nlayer f { in x[B]  out y[B] = twice(x) }", "mine")
    library = parse("def twice(x) = 2 * x", "theirs")
    assert check(file, resolve_use=lambda name, source, using: library).name == "f"


def test_check_file_reports_every_layer() -> None:
    assert [layer.name for layer in check_file(parse(EXAMPLES))] == [
        item.name.name for item in parse(EXAMPLES).items if type(item).__name__ == "Layer"
    ]
    file = parse(
        "layer a { in x[B]  out y[B] = p }\nlayer b(N) { in x[B]  out y[B] = chebyshev(N, x) }\nlayer c { in x[B]  out y[C] = x }"
    )
    with pytest.raises(SpecError) as caught:
        check_file(file)
    assert [(d.span.line, d.code) for d in caught.value.diagnostics] == [(1, "LAM101"), (3, "LAM201")]


def test_every_error_of_the_front_end_is_a_lamina_error() -> None:
    assert issubclass(SpecError, Error)
    assert issubclass(ArgumentError, Error)


@pytest.mark.parametrize(
    "length",
    ["(A+B+C)^4*(A+B+C)^4*(A+B+C)^4", "((((A+B)^4)^4)^4)^4", "2^62*4", "A^5", "(1 - 2)^9223372036854775807", "4/(2 - 2)"],
)
def test_lengths_stay_small(length: str) -> None:
    text = f"layer f {{ in x[A, B, C]  axis F = {length}  out y[A, B, C] = x }}"
    if length.startswith("(1 - 2)"):
        assert codes(text) == ["LAM304"]
    else:
        assert codes(text) == ["LAM306"]


def test_reads_far_away_stay_within_arithmetic() -> None:
    assert codes("layer f { in x[9000000000, B]  out y[B] = x[4000000000*4000000000, B] }") == ["LAM306"]
