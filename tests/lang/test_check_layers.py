"""The checker, rule by rule of the language reference (the numbers are its): calls, initial values, sizes; its entry points."""

from __future__ import annotations

from pathlib import Path

import pytest
import sympy
from checking import EXAMPLES, C, D, X, affine, codes, read
from lamina.errors import ArgumentError, Error, SpecError
from lamina.lang import checked
from lamina.lang.check import check, check_file, load
from lamina.lang.checked import Entry, length_symbol
from lamina.lang.parse import parse

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
