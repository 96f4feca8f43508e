"""The parser: precedence, places, and the form of each construct."""

from __future__ import annotations

from pathlib import Path

import pytest
from lamina.errors import SpecError
from lamina.lang import syntax
from lamina.lang.parse import MAXIMUM_DEPTH, parse
from lamina.spans import Span

EXAMPLES = Path(__file__).with_name("examples.lam").read_text(encoding="utf-8")


def expression(text: str) -> syntax.Expression:
    """The tree of one expression."""
    layer = parse(f"layer f {{ out y[] = {text} }}").items[0]
    assert isinstance(layer, syntax.Layer)
    statement = layer.statements[0]
    assert isinstance(statement, syntax.Out)
    return statement.value


def shape(node: object) -> str:
    """An expression with every operator in parentheses."""
    if isinstance(node, syntax.Binary):
        return f"({shape(node.left)} {node.operator} {shape(node.right)})"
    if isinstance(node, syntax.Unary):
        return f"({node.operator} {shape(node.operand)})"
    if isinstance(node, (syntax.Name, syntax.AxisName)):
        return node.name
    assert isinstance(node, syntax.Number)
    return str(node.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * c", "(a add (b mul c))"),
        ("a - b - c", "((a sub b) sub c)"),
        ("a / b * c", "((a div b) mul c)"),
        ("-x^2", "(neg (x pow 2))"),
        ("x^-1", "(x pow (neg 1))"),
        ("a^b^c", "(a pow (b pow c))"),
        ("-a * b", "((neg a) mul b)"),
        ("a * -b", "(a mul (neg b))"),
        ("not a == b and c or d", "(((not (a eq b)) and c) or d)"),
        ("a or b and c", "(a or (b and c))"),
        ("a + b < c * d", "((a add b) lt (c mul d))"),
        ("(a + b) * c", "((a add b) mul c)"),
        ("G*C", "(G mul C)"),
        ("2e-3", "0.002"),
        (".5", "0.5"),
        ("3.", "3.0"),
    ],
)
def test_precedence(text: str, expected: str) -> None:
    assert shape(expression(text)) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x", syntax.Name),
        ("C", syntax.AxisName),
        ("len(C)", syntax.AxisFunction),
        ("index(C)", syntax.AxisFunction),
        ("x[B, L - k]", syntax.Read),
        ("zero(x)[B, L - k]", syntax.Read),
        ("zero(x)", syntax.Call),
        ("max(a, b)", syntax.Call),
        ("max[C](a)", syntax.Reduction),
        ("sum[C, k < 3, j in 1..4](a)", syntax.Reduction),
        ("softmax[C](a)", syntax.Call),
        ("linear(x, O = 4*D)", syntax.Call),
        ("rfft[L -> F](x)", syntax.Transform),
        ("irfft[F -> L, n = 2*K](x)", syntax.Transform),
        ("scan[L](h = 0 : a*h + x)", syntax.Scan),
        ("iterate[5](a = 0, b = 1 : b, a + b)", syntax.Iterate),
    ],
)
def test_forms(text: str, kind: type) -> None:
    assert isinstance(expression(text), kind)


def test_ranges_are_not_numbers() -> None:
    reduction = expression("sum[k in 0..5](1)")
    assert isinstance(reduction, syntax.Reduction)
    over = reduction.over[0]
    assert isinstance(over, syntax.Range)
    assert (shape(over.low), shape(over.high)) == ("0", "5")
    reduction = expression("sum[k < K + 1](1)")
    assert isinstance(reduction, syntax.Reduction)
    over = reduction.over[0]
    assert isinstance(over, syntax.Range)
    assert over.low is None
    assert shape(over.high) == "(K add 1)"


def test_every_statement() -> None:
    file = parse(
        """
        use linear, softmax_layer
        use other from "other.lam"
        const half = 1/2
        def twice[A, B](x, y) = x + y
        layer f(G = 8, O) {
          in x[..., G*C]: f32
          in s[]
          param a[G, M+1]: complex = normal(0.1)
          buffer t[4]: i64 = [1, -2, 0.5, 3]
          axis F = C/2 + 1
          require C > 1 and not (G == 3), "too small"
          accuracy tanh, exp: 2 ulp
          accuracy rel 1e-3
          let h = x
          let g[..., G*C] = x
          out y[..., G*C] = h
        }
        """
    )
    kinds = [type(item).__name__ for item in file.items]
    assert kinds == ["Use", "Use", "Const", "Def", "Layer"]
    layer = file.items[-1]
    assert isinstance(layer, syntax.Layer)
    assert [type(statement).__name__ for statement in layer.statements] == [
        *["Declaration"] * 4,
        *["AxisStatement", "Require", "Accuracy", "Accuracy", "Let", "Let", "Out"],
    ]
    buffer, require, accuracy = layer.statements[3], layer.statements[5], layer.statements[6]
    assert isinstance(buffer, syntax.Declaration)
    assert buffer.init == syntax.NumberList(buffer.span, (1.0, -2.0, 0.5, 3.0))
    assert isinstance(require, syntax.Require)
    assert (require.text, require.message) == ("C > 1 and not (G == 3)", "too small")
    assert isinstance(accuracy, syntax.Accuracy)
    assert (accuracy.unit, accuracy.value, [name.name for name in accuracy.functions]) == ("ulp", 2.0, ["tanh", "exp"])


def test_words_of_constructs_can_name_tensors() -> None:
    """Only the words that begin a statement or an operator are reserved."""
    assert shape(expression("n + index + len + from + ulp + sum")) == "(((((n add index) add len) add from) add ulp) add sum)"


def test_places() -> None:
    layer = parse("layer f {\n  out y[] = sum[k < 3](\n    k) + (a)\n}").items[0]
    assert isinstance(layer, syntax.Layer)
    out = layer.statements[0]
    assert isinstance(out, syntax.Out)
    assert isinstance(out.value, syntax.Binary)
    assert out.value.left.span == Span("<text>", 2, 13, 3, 7)
    assert out.value.right.span == Span("<text>", 3, 10, 3, 13)
    assert layer.span == Span("<text>", 1, 1, 4, 2)
    assert layer.text.startswith("layer f {")
    assert layer.text.endswith("}")


def test_places_take_no_part_in_equality() -> None:
    assert parse("layer f { out y[] = 1 }") == parse("\n\n# a comment\nlayer  f { out y [ ] =\n1 } # end")


def test_examples_parse() -> None:
    assert len(parse(EXAMPLES).items) == 11


def test_depth_limit() -> None:
    assert parse(f"layer f {{ out y[] = {'-' * (MAXIMUM_DEPTH - 3)}1 }}").items
    with pytest.raises(SpecError, match="LAM004"):
        parse(f"layer f {{ out y[] = {'-' * MAXIMUM_DEPTH}1 }}")


def test_a_file_without_items_parses() -> None:
    assert parse("# nothing\n").items == ()
