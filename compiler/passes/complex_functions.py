"""Functions of complex values in terms of their parts.

Before: a planar graph, with functions of pairs (`exp`, `sqrt`, `div`, ...). After: the same with real operations in their place;
of complex kind only transforms and their operands are left.
Why it is legal: each formula is the function's definition, written so that it neither overflows nor cancels where the function does
not. Branch cuts and their sides are C99's, but that a zero has no sign. The inverse functions are Kahan's ("Branch cuts for complex
elementary functions", in The State of the Art in Numerical Analysis, 1987), the quotient is Smith's (CACM 5(8), 1962).

It runs last, after all derivatives are taken: a formula chooses among cases, and its slope on the border of one is not the
function's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir.graph import Builder, Graph, Node
from .planar import Pair, imaginary, joined, parts, product_of
from .simplify import constant
from .substitute import rewritten

_Real = int  # the number of a real value


def expand_complex_functions(graph: Graph, builder: Builder) -> Graph:
    """The pass."""
    if not any(node.kind == "complex" for node in graph.nodes):
        return graph

    def hook(b: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        if node.op in ("re", "im"):
            pair = parts(b, operands[0])
            return pair[0] if node.op == "re" else imaginary(b, pair)
        formula = _FORMULAS.get(node.op)
        if formula is None or node.kind != "complex":
            return None
        pairs = [parts(b, operand) for operand in operands]
        return joined(b, formula(_Formulas(b), *((re, imaginary(b, (re, im))) for re, im in pairs)))

    return rewritten(builder, graph, hook)


class _Formulas:
    """Short hands for formulas: methods add nodes; numbers among the operands become constants."""

    def __init__(self, builder: Builder) -> None:
        self.b = builder

    def __call__(self, op: str, *operands: _Real | float) -> _Real:
        return self.b.add(op, [self.b.const(each) if isinstance(each, float) else each for each in operands])

    def scaled(self, factor: float, x: _Real) -> _Real:
        return self("mul", factor, x)


_Full = tuple[_Real, _Real]


def _div(f: _Formulas, x: _Full, y: _Full) -> Pair:
    """(a + ib) / (c + id), both divided by the larger of c and d."""
    (a, b), (c, d) = x, y
    first = f("ge", f("abs", c), f("abs", d))
    large, small = f("select", first, c, d), f("select", first, d, c)
    ratio = f("div", small, large)
    below = f("add", large, f("mul", small, ratio))
    ahead, behind = f("select", first, a, b), f("select", first, b, a)
    re = f("add", ahead, f("mul", behind, ratio))
    im = f("sub", behind, f("mul", ahead, ratio))
    return f("div", re, below), f("div", f("select", first, im, f("neg", im)), below)


def _exp(f: _Formulas, z: _Full) -> Pair:
    return _polar(f, f("exp", z[0]), z[1])


def _exp2(f: _Formulas, z: _Full) -> Pair:
    return _polar(f, f("exp2", z[0]), f.scaled(math.log(2.0), z[1]))


def _polar(f: _Formulas, length: _Real, angle: _Real) -> Pair:
    return f("mul", length, f("cos", angle)), f("mul", length, f("sin", angle))


def _expm1(f: _Formulas, z: _Full) -> Pair:
    """e^a cos b - 1 = (e^a - 1) cos b - 2 sin^2(b/2)"""
    a, b = z
    half = f("sin", f.scaled(0.5, b))
    re = f("sub", f("mul", f("expm1", a), f("cos", b)), f.scaled(2.0, f("mul", half, half)))
    return re, f("mul", f("exp", a), f("sin", b))


def _log(f: _Formulas, z: _Full) -> Pair:
    a, b = z
    first = f("ge", f("abs", a), f("abs", b))
    large, small = f("select", first, a, b), f("select", first, b, a)
    above = f("add", f("mul", f("sub", large, 1.0), f("add", large, 1.0)), f("mul", small, small))
    return _log_length(f, f("hypot", a, b), above), f("atan2", b, a)


def _log_length(f: _Formulas, length: _Real, above: _Real) -> _Real:
    """The logarithm of a length, by its square less 1 where that is small."""
    near = f("lt", f("abs", above), 0.5)
    return f("select", near, f.scaled(0.5, f("log1p", above)), f("log", length))


def _log2(f: _Formulas, z: _Full) -> Pair:
    re, im = _log(f, z)
    assert im is not None
    return f.scaled(1.0 / math.log(2.0), re), f.scaled(1.0 / math.log(2.0), im)


def _log1p(f: _Formulas, z: _Full) -> Pair:
    a, b = z
    ahead = f("add", a, 1.0)
    above = f("add", f("mul", a, f("add", a, 2.0)), f("mul", b, b))
    return _log_length(f, f("hypot", ahead, b), above), f("atan2", b, ahead)


def _sqrt(f: _Formulas, z: _Full) -> _Full:
    """t = sqrt((|a| + |z|) / 2) is one part, b / 2t the other: nothing cancels."""
    a, b = z
    half = f.scaled(0.5, f("hypot", a, b))  # halves first, so that the sum does not overflow
    t = f("sqrt", f("add", f.scaled(0.5, f("abs", a)), half))
    other = f("select", f("gt", t, 0.0), f("div", b, f.scaled(2.0, t)), b)
    right = f("ge", a, 0.0)
    re = f("select", right, t, f("abs", other))
    return re, f("select", right, other, f("select", f("lt", b, 0.0), f("neg", t), t))


def _rsqrt(f: _Formulas, z: _Full) -> Pair:
    """The root's conjugate over its squared length, |z|."""
    re, im = _sqrt(f, z)
    length = f("hypot", *z)
    return f("div", re, length), f("neg", f("div", im, length))


def _pow(f: _Formulas, x: _Full, y: _Full) -> Pair:
    """|x|^c e^(-d arg x) at the angle c arg x + d log |x|, for the exponent c + id; 0 to a power other than 0 is 0."""
    length, angle = f("hypot", *x), f("atan2", x[1], x[0])
    c, d = y
    if constant(f.b, d) == 0:
        return _polar(f, f("pow", length, c), f("mul", c, angle))
    logarithm = f("log", length)
    scale = f("exp", f("sub", f("mul", c, logarithm), f("mul", d, angle)))
    re, im = _polar(f, scale, f("add", f("mul", c, angle), f("mul", d, logarithm)))
    assert im is not None
    nothing, flat = f("eq", length, 0.0), f("and", f("eq", c, 0.0), f("eq", d, 0.0))
    return f("select", nothing, f("select", flat, 1.0, 0.0), re), f("select", nothing, 0.0, im)


def _sigmoid(f: _Formulas, z: _Full) -> Pair:
    """1 / (1 + w) on the right, w / (1 + w) on the left, w being e^-z or e^z, whichever is small."""
    a, b = z
    right = f("ge", a, 0.0)
    small = f("exp", f("neg", f("abs", a)))
    c = f("mul", small, f("cos", b))
    d = f("mul", small, f("sin", f("select", right, f("neg", b), b)))
    ahead = f("add", c, 1.0)
    below = f("add", f("mul", ahead, ahead), f("mul", d, d))
    left = f("add", f("mul", c, ahead), f("mul", d, d))
    re = f("div", f("select", right, ahead, left), below)
    return re, f("div", f("select", right, f("neg", d), d), below)


def _sinh(f: _Formulas, z: _Full) -> Pair:
    a, b = z
    return f("mul", f("sinh", a), f("cos", b)), f("mul", f("cosh", a), f("sin", b))


def _cosh(f: _Formulas, z: _Full) -> Pair:
    a, b = z
    return f("mul", f("cosh", a), f("cos", b)), f("mul", f("sinh", a), f("sin", b))


def _sin(f: _Formulas, z: _Full) -> Pair:
    a, b = z
    return f("mul", f("sin", a), f("cosh", b)), f("mul", f("cos", a), f("sinh", b))


def _cos(f: _Formulas, z: _Full) -> Pair:
    a, b = z
    return f("mul", f("cos", a), f("cosh", b)), f("neg", f("mul", f("sin", a), f("sinh", b)))


_FLAT = 20.0  # beyond it tanh has reached 1 in float64


def _tanh(f: _Formulas, z: _Full) -> Pair:
    """With s = sinh a, u = cos b, v = sin b: (s cosh a + i u v) / (s^2 + u^2)."""
    a, b = z
    bounded = f("clamp", a, -_FLAT, _FLAT)
    s, u, v = f("sinh", bounded), f("cos", b), f("sin", b)
    below = f("add", f("mul", s, s), f("mul", u, u))
    across = f("mul", u, v)
    far = f("gt", f("abs", a), _FLAT)
    im = f("select", far, f.scaled(4.0, f("mul", across, f("exp", f.scaled(-2.0, f("abs", a))))), f("div", across, below))
    return f("select", far, f("sign", a), f("div", f("mul", s, f("cosh", bounded)), below)), im


def _atanh(f: _Formulas, z: _Full) -> Pair:
    a, b = z
    left = f("sub", 1.0, a)
    re = f.scaled(0.25, f("log1p", f("div", f.scaled(4.0, a), f("add", f("mul", left, left), f("mul", b, b)))))
    across = f("sub", f("mul", left, f("add", a, 1.0)), f("mul", b, b))
    return re, f.scaled(0.5, f("atan2", f.scaled(2.0, b), across))


def _roots(f: _Formulas, z: _Full) -> tuple[_Full, _Full]:
    """The square roots of 1 - z and 1 + z."""
    a, b = z
    return _sqrt(f, (f("sub", 1.0, a), f("neg", b))), _sqrt(f, (f("add", a, 1.0), b))


def _real_of_product(f: _Formulas, x: _Full, y: _Full) -> _Real:
    return product_of(f.b, x, y)[0]


def _imaginary_of_product(f: _Formulas, x: _Full, y: _Full) -> _Real:
    """Of conj(x) y."""
    return f("sub", f("mul", x[0], y[1]), f("mul", x[1], y[0]))


def _asin(f: _Formulas, z: _Full) -> Pair:
    below, above = _roots(f, z)
    return f("atan2", z[0], _real_of_product(f, below, above)), f("asinh", _imaginary_of_product(f, below, above))


def _acos(f: _Formulas, z: _Full) -> Pair:
    below, above = _roots(f, z)
    return f.scaled(2.0, f("atan2", below[0], above[0])), f("asinh", _imaginary_of_product(f, above, below))


def _acosh(f: _Formulas, z: _Full) -> Pair:
    a, b = z
    below, above = _sqrt(f, (f("sub", a, 1.0), b)), _sqrt(f, (f("add", a, 1.0), b))
    length = f("add", f("mul", below[0], above[0]), f("mul", below[1], above[1]))
    return f("asinh", length), f.scaled(2.0, f("atan2", below[1], above[0]))


def _turned(function: Callable[[_Formulas, _Full], Pair]) -> Callable[[_Formulas, _Full], Pair]:
    """-i f(iz): tan of tanh, atan of atanh, asinh of asin."""

    def turned(f: _Formulas, z: _Full) -> Pair:
        re, im = function(f, (f("neg", z[1]), z[0]))
        assert im is not None
        return im, f("neg", re)

    return turned


_FORMULAS: dict[str, Callable[..., Pair]] = {
    "div": _div,
    "pow": _pow,
    "exp": _exp,
    "exp2": _exp2,
    "expm1": _expm1,
    "log": _log,
    "log2": _log2,
    "log1p": _log1p,
    "sqrt": _sqrt,
    "rsqrt": _rsqrt,
    "sigmoid": _sigmoid,
    "sin": _sin,
    "cos": _cos,
    "tan": _turned(_tanh),
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": _tanh,
    "asin": _asin,
    "acos": _acos,
    "atan": _turned(_atanh),
    "asinh": _turned(_asin),
    "acosh": _acosh,
    "atanh": _atanh,
}
