"""The scalar operations: one record each, with type rule, reference, derivative, C++ text and test ranges in one place.

In: nothing. Out: `SCALAR_OPS`, name -> `ScalarOp`. Tests run over this table; adding a function is adding a record.

What holds: `derivative` builds, in the graph under construction, each operand's share of the cotangent (None: no gradient flows).
Conventions are PyTorch's (see the language reference): sign(0) = 0 is the gradient of abs at 0, binary max and min share a tie
equally, x^0 has gradient 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ..lang.checked import Kind
from .graph import Builder

# (builder, operand numbers, result number, cotangent number) -> one number or None per operand
Derivative = Callable[[Builder, Sequence[int], int, int], Sequence[int | None]]


@dataclass(frozen=True)
class ScalarOp:
    """`kind`: a fixed result kind, or "promote" (the widest operand's, at least `floor`).

    `cpp` is a format string over the operands; `ranges` are the intervals on which tests draw each operand.
    """

    name: str
    arity: int
    kind: Kind | str
    reference: Callable[..., Any]
    derivative: Derivative | None
    cpp: str
    ranges: tuple[tuple[float, float], ...]
    floor: Kind = "bool"
    complex_allowed: bool = False


SCALAR_OPS: dict[str, ScalarOp] = {}


def _special(name: str) -> Callable[..., Any]:
    """A function of scipy.special, imported when it is first called: only the interpreter calls it, and the import is slow."""

    def function(*arguments: Any) -> Any:
        import scipy.special

        return getattr(scipy.special, name)(*arguments)

    return function


def _define(
    name: str,
    reference: Callable[..., Any],
    derivative: Derivative | None,
    *,
    cpp: str | None = None,
    ranges: tuple[tuple[float, float], ...] = ((-3.0, 3.0),),
    kind: Kind | str = "real",
    floor: Kind = "bool",
    complex_allowed: bool = False,
) -> None:
    arity = len(ranges)
    text = cpp if cpp is not None else f"lamina::{name}({', '.join(f'{{{slot}}}' for slot in range(arity))})"
    SCALAR_OPS[name] = ScalarOp(name, arity, kind, reference, derivative, text, ranges, floor, complex_allowed)


def _define_function(
    name: str, reference: Callable[..., Any], rule: Derivative, ranges: tuple[tuple[float, float], ...] = ((-3.0, 3.0),)
) -> None:
    """A function of one real or complex number, holomorphic up to its branch cuts; `rule` as for real values."""
    _define(name, reference, _holomorphic(rule), ranges=ranges, kind="promote", floor="real", complex_allowed=True)


def _unary(factor: Callable[[Builder, int, int], int]) -> Derivative:
    """The rule cotangent * factor(x, f(x))."""
    return lambda b, operands, result, g: (b.add("mul", (g, factor(b, operands[0], result))),)


def _holomorphic(rule: Derivative) -> Derivative:
    """The rule of a holomorphic function, written for real values, for complex ones too: conj(f'(z)) g = conj(f'(z) conj(g))."""

    def both(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
        if b.nodes[result].kind != "complex":
            return rule(b, operands, result, g)
        shares = rule(b, operands, result, conjugate(b, g))
        return [None if share is None else conjugate(b, share) for share in shares]

    return both


def _no_gradient(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    return (None,) * len(operands)


# ------------------------------------------------------------------------------------------------ arithmetic


def _d_mul(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    x, y = operands
    return b.add("mul", (g, b.add("conj", (y,)) if b.nodes[y].kind == "complex" else y)), b.add(
        "mul", (g, b.add("conj", (x,)) if b.nodes[x].kind == "complex" else x)
    )


def _d_div(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    x, y = operands
    if "complex" in (b.nodes[x].kind, b.nodes[y].kind):
        y = b.add("conj", (y,)) if b.nodes[y].kind == "complex" else y
        result = b.add("conj", (result,)) if b.nodes[result].kind == "complex" else result
    share = b.add("div", (g, y))
    return share, b.add("neg", (b.add("mul", (share, result)),))


def conjugate(b: Builder, x: int) -> int:
    return b.add("conj", (x,)) if b.nodes[x].kind == "complex" else x


def _d_pow(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    x, exponent = operands
    zero, one = b.const(0), b.const(1)
    if b.nodes[exponent].op == "const" and b.nodes[exponent].kind == "int":
        n = b.nodes[exponent].attribute("value")
        if n == 0:
            return None, None
        slope = b.add("mul", (b.const(float(n)), b.add("pow", (x, b.const(n - 1))))) if n != 1 else b.const(1.0)
        return b.add("mul", (g, conjugate(b, slope))), None
    if b.nodes[exponent].kind in ("int", "bool"):
        is_zero = b.add("eq", (exponent, zero))
        lower = b.add("select", (is_zero, zero, b.add("sub", (exponent, one))))
        return b.add("mul", (g, conjugate(b, b.add("mul", (exponent, b.add("pow", (x, lower))))))), None
    if "complex" in (b.nodes[x].kind, b.nodes[exponent].kind):
        return _d_complex_pow(b, x, exponent, result, g)
    lower = b.add("pow", (x, b.add("sub", (exponent, b.const(1.0)))))
    base = b.add("select", (b.add("eq", (exponent, b.const(0.0))), b.const(0.0), b.add("mul", (exponent, lower))))
    # at x = 0 the derivative in y is 0 for y >= 0; log(0) must not make it NaN
    flat = b.add("and", (b.add("eq", (x, b.const(0.0))), b.add("ge", (exponent, b.const(0.0)))))
    logarithm = b.add("select", (flat, b.const(0.0), b.add("mul", (result, b.add("log", (x,))))))
    return b.add("mul", (g, base)), b.add("mul", (g, logarithm))


def _d_complex_pow(b: Builder, x: int, exponent: int, result: int, g: int) -> Sequence[int | None]:
    """conj(y x^(y-1)) g and conj(x^y log x) g, the latter 0 at x = 0."""
    base = b.add("mul", (exponent, b.add("pow", (x, b.add("sub", (exponent, b.const(1.0)))))))
    point = x if b.nodes[x].kind == "complex" else b.add("complex", (x, b.const(0.0)))  # a negative number has a logarithm
    logarithm = b.add("mul", (result, b.add("log", (point,))))
    logarithm = b.add("select", (b.add("eq", (point, b.const(0.0))), b.const(0.0), logarithm))
    return b.add("mul", (g, conjugate(b, base))), b.add("mul", (g, conjugate(b, logarithm)))


def _d_extremum(worse: str) -> Derivative:
    """Ties share the gradient; where either is NaN, both have all of it, as in torch."""

    def rule(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
        x, y = operands
        shared = b.add("select", (b.add("eq", (x, y)), b.add("mul", (g, b.const(0.5))), g))
        zero = b.const(0.0)
        first = b.add("select", (b.add(worse, (x, y)), zero, shared))
        second = b.add("select", (b.add(worse, (y, x)), zero, shared))
        return first, second

    return rule


def _d_clamp(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    """Where any operand is NaN no condition on it holds, as in torch."""
    x, low, high = operands
    zero = b.const(0.0)
    within = b.add("and", (b.add("ge", (x, low)), b.add("le", (x, high))))
    at_low = b.add("and", (b.add("lt", (x, low)), b.add("lt", (low, high))))
    at_high = b.add("or", (b.add("gt", (x, high)), b.add("gt", (low, high))))
    return tuple(b.add("select", (chosen, g, zero)) for chosen in (within, at_low, at_high))


def _d_select(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    zero = b.const(0.0)
    return None, b.add("select", (operands[0], g, zero)), b.add("select", (operands[0], zero, g))


def _power(x: Any, exponent: Any) -> Any:
    with numpy.errstate(all="ignore"):
        return numpy.power(numpy.asarray(x) * 1.0, exponent)


def _divide(x: Any, y: Any) -> Any:
    with numpy.errstate(all="ignore"):
        return numpy.asarray(x) / numpy.asarray(y)


_PAIR = ((-3.0, 3.0), (-3.0, 3.0))
_NONZERO = ((-3.0, 3.0), (0.5, 3.0))

_define(
    "add", numpy.add, lambda b, o, r, g: (g, g), cpp="{0} + {1}", ranges=_PAIR, kind="promote", floor="int", complex_allowed=True
)
_define(
    "sub",
    numpy.subtract,
    lambda b, o, r, g: (g, b.add("neg", (g,))),
    cpp="{0} - {1}",
    ranges=_PAIR,
    kind="promote",
    floor="int",
    complex_allowed=True,
)
_define("mul", numpy.multiply, _d_mul, cpp="{0} * {1}", ranges=_PAIR, kind="promote", floor="int", complex_allowed=True)
_define("div", _divide, _d_div, cpp="{0} / {1}", ranges=_NONZERO, kind="promote", floor="real", complex_allowed=True)
_define(
    "neg", numpy.negative, lambda b, o, r, g: (b.add("neg", (g,)),), cpp="-{0}", kind="promote", floor="int", complex_allowed=True
)
_define("pow", _power, _d_pow, ranges=((0.3, 3.0), (-2.0, 2.0)), kind="promote", floor="real", complex_allowed=True)
_define("abs", numpy.abs, _unary(lambda b, x, r: b.add("sign", (x,))), kind="promote", floor="int")
_define("sign", lambda a: numpy.nan_to_num(numpy.sign(a)), _no_gradient, kind="promote", floor="int")
_define(  # of integers, as large as the second at most and of its sign; 0 where that is 0
    "remainder",
    lambda x, y: numpy.remainder(numpy.asarray(x).astype(numpy.int64), numpy.asarray(y).astype(numpy.int64)),
    _no_gradient,
    ranges=((-9.0, 9.0), (1.0, 5.0)),
    kind="int",
)
_define("floor", numpy.floor, _no_gradient, kind="promote", floor="int")
_define("round", numpy.round, _no_gradient, kind="promote", floor="int")
_define("min", numpy.minimum, _d_extremum("gt"), ranges=_PAIR, kind="promote", floor="int")
_define("max", numpy.maximum, _d_extremum("lt"), ranges=_PAIR, kind="promote", floor="int")
_define(
    "clamp",
    lambda x, low, high: numpy.minimum(numpy.maximum(x, low), high),
    _d_clamp,
    ranges=((-3.0, 3.0), (-1.0, -0.5), (0.5, 1.0)),
    kind="promote",
    floor="int",
)

# ------------------------------------------------------------------------------------------------ comparisons, logic, choice

for _name, _reference, _text in (
    ("eq", numpy.equal, "{0} == {1}"),
    ("ne", numpy.not_equal, "{0} != {1}"),
    ("lt", numpy.less, "{0} < {1}"),
    ("le", numpy.less_equal, "{0} <= {1}"),
    ("gt", numpy.greater, "{0} > {1}"),
    ("ge", numpy.greater_equal, "{0} >= {1}"),
):
    _define(_name, _reference, _no_gradient, cpp=_text, ranges=_PAIR, kind="bool", complex_allowed=_name in ("eq", "ne"))
_define("and", numpy.logical_and, _no_gradient, cpp="{0} & {1}", ranges=_PAIR, kind="bool")
_define("or", numpy.logical_or, _no_gradient, cpp="{0} | {1}", ranges=_PAIR, kind="bool")
_define("not", numpy.logical_not, _no_gradient, cpp="!{0}", kind="bool")
_define(
    "select",
    lambda c, x, y: numpy.where(numpy.asarray(c) != 0, x, y),
    _d_select,
    cpp="({0} ? {1} : {2})",
    ranges=((-1.0, 1.0), (-3.0, 3.0), (-3.0, 3.0)),
    kind="promote",
    complex_allowed=True,
)
_define("to_real", lambda x: numpy.asarray(x) * 1.0, lambda b, o, r, g: (g,), cpp="Real({0})", kind="real")

# ------------------------------------------------------------------------------------------------ functions

_TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)


def _square(b: Builder, x: int) -> int:
    return b.add("mul", (x, x))


def _one_minus_square(b: Builder, x: int) -> int:
    return b.add("sub", (b.const(1.0), _square(b, x)))


def _scaled(b: Builder, factor: float, x: int) -> int:
    return b.add("mul", (b.const(factor), x))


def _gaussian_slope(sign: float) -> Callable[[Builder, int, int], int]:
    return lambda b, x, r: _scaled(b, sign * _TWO_OVER_SQRT_PI, b.add("exp", (b.add("neg", (_square(b, x),)),)))


def _acosh_slope(b: Builder, x: int, result: int) -> int:
    if b.nodes[x].kind != "complex":
        return b.add("rsqrt", (b.add("sub", (_square(b, x), b.const(1.0))),))
    # not one root of the product, which has another branch cut
    below, above = (b.add("rsqrt", (b.add(op, (x, b.const(1.0))),)) for op in ("sub", "add"))
    return b.add("mul", (below, above))


def _sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + numpy.exp(-x)) if numpy.iscomplexobj(x) else _special("expit")(x)


def _d_atan2(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    """(x, -y) / (y^2 + x^2), and 0 at the origin, as torch has it."""
    y, x = operands
    squared = b.add("add", (_square(b, y), _square(b, x)))
    at_origin = b.add("eq", (squared, b.const(0.0)))
    share = b.add("select", (at_origin, b.const(0.0), b.add("div", (g, squared))))
    return b.add("mul", (share, x)), b.add("neg", (b.add("mul", (share, y)),))


def _d_hypot(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    """The operands over the result, and 0 at the origin: the gradient of a complex absolute value, as torch has it."""
    at_origin = b.add("eq", (result, b.const(0.0)))
    share = b.add("select", (at_origin, b.const(0.0), b.add("div", (g, result))))
    return b.add("mul", (share, operands[0])), b.add("mul", (share, operands[1]))


_define("hypot", numpy.hypot, _d_hypot, ranges=_PAIR)
_define_function("sqrt", numpy.sqrt, lambda b, o, r, g: (b.add("div", (b.add("mul", (g, b.const(0.5))), r)),), ranges=((0.1, 4.0),))
_define_function(
    "rsqrt",
    lambda x: 1.0 / numpy.sqrt(x),
    _unary(lambda b, x, r: _scaled(b, -0.5, b.add("mul", (r, _square(b, r))))),
    ranges=((0.1, 4.0),),
)
_define_function("exp", numpy.exp, _unary(lambda b, x, r: r))
_define_function("exp2", numpy.exp2, _unary(lambda b, x, r: _scaled(b, math.log(2.0), r)))
_define_function("expm1", numpy.expm1, _unary(lambda b, x, r: b.add("add", (r, b.const(1.0)))))
_define_function("log", numpy.log, lambda b, o, r, g: (b.add("div", (g, o[0])),), ranges=((0.1, 4.0),))
_define_function(
    "log2", numpy.log2, lambda b, o, r, g: (b.add("div", (_scaled(b, 1.0 / math.log(2.0), g), o[0])),), ranges=((0.1, 4.0),)
)
_define_function(
    "log1p", numpy.log1p, lambda b, o, r, g: (b.add("div", (g, b.add("add", (b.const(1.0), o[0])))),), ranges=((-0.5, 4.0),)
)
_define_function("sin", numpy.sin, _unary(lambda b, x, r: b.add("cos", (x,))))
_define_function("cos", numpy.cos, _unary(lambda b, x, r: b.add("neg", (b.add("sin", (x,)),))))
_define_function("tan", numpy.tan, _unary(lambda b, x, r: b.add("add", (b.const(1.0), _square(b, r)))), ranges=((-1.3, 1.3),))
_define_function("sinh", numpy.sinh, _unary(lambda b, x, r: b.add("cosh", (x,))))
_define_function("cosh", numpy.cosh, _unary(lambda b, x, r: b.add("sinh", (x,))))
_define_function("tanh", numpy.tanh, _unary(lambda b, x, r: _one_minus_square(b, r)))
_define_function("asinh", numpy.arcsinh, _unary(lambda b, x, r: b.add("rsqrt", (b.add("add", (b.const(1.0), _square(b, x))),))))
_define_function(
    "acosh",
    numpy.arccosh,
    _unary(_acosh_slope),
    ranges=((1.1, 4.0),),
)
_define_function("atanh", numpy.arctanh, lambda b, o, r, g: (b.add("div", (g, _one_minus_square(b, o[0]))),), ranges=((-0.9, 0.9),))
_define_function("atan", numpy.arctan, lambda b, o, r, g: (b.add("div", (g, b.add("add", (b.const(1.0), _square(b, o[0]))))),))
_define(
    "atan2",
    numpy.arctan2,
    _d_atan2,
    ranges=((-3.0, 3.0), (0.5, 3.0)),
)
_define_function("asin", numpy.arcsin, _unary(lambda b, x, r: b.add("rsqrt", (_one_minus_square(b, x),))), ranges=((-0.9, 0.9),))
_define_function(
    "acos",
    numpy.arccos,
    _unary(lambda b, x, r: b.add("neg", (b.add("rsqrt", (_one_minus_square(b, x),)),))),
    ranges=((-0.9, 0.9),),
)
_define_function(
    "sigmoid",
    _sigmoid,
    _unary(lambda b, x, r: b.add("mul", (r, b.add("sub", (b.const(1.0), r))))),
)
_define(
    "softplus",
    lambda x: numpy.logaddexp(0.0, x),
    _unary(lambda b, x, r: b.add("sigmoid", (x,))),
)
_define("erf", _special("erf"), _unary(_gaussian_slope(1.0)))
_define("erfc", _special("erfc"), _unary(_gaussian_slope(-1.0)))
_define("lgamma", _special("gammaln"), _unary(lambda b, x, r: b.add("digamma", (x,))), ranges=((0.2, 5.0),))
_define(
    "digamma",
    _special("digamma"),
    _unary(lambda b, x, r: b.add("polygamma", (b.const(1), x))),
    ranges=((0.2, 5.0),),
)
_define(
    "polygamma",
    lambda n, x: _special("polygamma")(numpy.asarray(n).astype(numpy.int64), x),
    lambda b, o, r, g: (None, b.add("mul", (g, b.add("polygamma", (b.add("add", (o[0], b.const(1))), o[1]))))),
    ranges=((1.0, 1.0), (0.2, 5.0)),
)

# ------------------------------------------------------------------------------------------------ complex values

_define("re", numpy.real, lambda b, o, r, g: (g,), cpp="{0}.re")
_define("im", numpy.imag, lambda b, o, r, g: (b.add("complex", (b.const(0.0), g)),), cpp="{0}.im")
_define("conj", numpy.conj, lambda b, o, r, g: (b.add("conj", (g,)),), kind="promote", complex_allowed=True)
_define(
    "complex",
    lambda x, y: numpy.asarray(x) + 1j * numpy.asarray(y),
    lambda b, o, r, g: (b.add("re", (g,)), b.add("im", (g,))),
    ranges=_PAIR,
    kind="complex",
)

# ------------------------------------------------------------------------------------------------ families of compile-time order


def _bspline(degree: Any, t: Any) -> Any:
    """Cardinal B-spline of the given degree on 0..degree+1, by the Cox-de Boor recurrence."""
    degree, t = numpy.broadcast_arrays(numpy.asarray(degree).astype(numpy.int64), numpy.asarray(t, dtype=numpy.float64))
    result = numpy.zeros(t.shape)
    for order in numpy.unique(degree):
        chosen = degree == order
        s = t[chosen]
        pieces = [((s >= j) & (s < j + 1)).astype(numpy.float64) for j in range(order + 1)]
        for p in range(1, order + 1):
            pieces = [((s - j) * pieces[j] + (j + p + 1 - s) * pieces[j + 1]) / p for j in range(order + 1 - p)]
        result[chosen] = pieces[0]
    return result


def _d_bspline(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    """B_p'(t) = B_{p-1}(t) - B_{p-1}(t - 1); a degree-0 spline is constant between its knots."""
    degree, t = operands
    order = b.nodes[degree]
    if order.op != "const":
        raise ValueError("the degree of bspline must be known when it is differentiated")
    if order.attribute("value") == 0:
        return None, None
    lower = b.const(order.attribute("value") - 1)
    shifted = b.add("bspline", (lower, b.add("sub", (t, b.const(1.0)))))
    return None, b.add("mul", (g, b.add("sub", (b.add("bspline", (lower, t)), shifted))))


def _no_rule(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    raise ValueError("polynomials of an index-dependent order are expanded before they are differentiated")


_ORDER = ((0.0, 5.0), (-1.0, 1.0))
_define("bspline", _bspline, _d_bspline, cpp="lamina::bspline<{0}>({1})", ranges=((3.0, 3.0), (-1.0, 5.0)))
_define("chebyshev", _special("eval_chebyt"), _no_rule, ranges=_ORDER)
_define("legendre", _special("eval_legendre"), _no_rule, ranges=_ORDER)
_define("hermite", _special("eval_hermite"), _no_rule, ranges=_ORDER)

ORDERED_POLYNOMIALS = ("chebyshev", "legendre", "hermite")
