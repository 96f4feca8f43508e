"""The scalar operations: one record each, with type rule, reference, derivative, C++ text and test ranges in one place.

In: nothing. Out: `SCALAR_OPS`, name -> `ScalarOp`. Tests run over this table; adding a function is adding a record.

What holds: `derivative` builds, in the graph under construction, each operand's share of the cotangent (`scalar_rules.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy

from ..lang.checked import Kind
from .scalar_rules import (
    Derivative,
    acosh_slope,
    d_atan2,
    d_bspline,
    d_clamp,
    d_div,
    d_extremum,
    d_hypot,
    d_mul,
    d_pow,
    d_select,
    gaussian_slope,
    holomorphic,
    no_gradient,
    no_rule,
    one_minus_square,
    scaled,
    square,
    unary,
)


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
    _define(name, reference, holomorphic(rule), ranges=ranges, kind="promote", floor="real", complex_allowed=True)


# ------------------------------------------------------------------------------------------------ arithmetic


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
_define("mul", numpy.multiply, d_mul, cpp="{0} * {1}", ranges=_PAIR, kind="promote", floor="int", complex_allowed=True)
_define("div", _divide, d_div, cpp="{0} / {1}", ranges=_NONZERO, kind="promote", floor="real", complex_allowed=True)
_define(
    "neg", numpy.negative, lambda b, o, r, g: (b.add("neg", (g,)),), cpp="-{0}", kind="promote", floor="int", complex_allowed=True
)
_define("pow", _power, d_pow, ranges=((0.3, 3.0), (-2.0, 2.0)), kind="promote", floor="real", complex_allowed=True)
_define("abs", numpy.abs, unary(lambda b, x, r: b.add("sign", (x,))), kind="promote", floor="int")
_define("sign", lambda a: numpy.nan_to_num(numpy.sign(a)), no_gradient, kind="promote", floor="int")
_define(  # of integers, as large as the second at most and of its sign; 0 where that is 0
    "remainder",
    lambda x, y: numpy.remainder(numpy.asarray(x).astype(numpy.int64), numpy.asarray(y).astype(numpy.int64)),
    no_gradient,
    ranges=((-9.0, 9.0), (1.0, 5.0)),
    kind="int",
)
_define("floor", numpy.floor, no_gradient, kind="promote", floor="int")
_define("round", numpy.round, no_gradient, kind="promote", floor="int")
_define("min", numpy.minimum, d_extremum("gt"), ranges=_PAIR, kind="promote", floor="int")
_define("max", numpy.maximum, d_extremum("lt"), ranges=_PAIR, kind="promote", floor="int")
_define(
    "clamp",
    lambda x, low, high: numpy.minimum(numpy.maximum(x, low), high),
    d_clamp,
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
    _define(_name, _reference, no_gradient, cpp=_text, ranges=_PAIR, kind="bool", complex_allowed=_name in ("eq", "ne"))
_define("and", numpy.logical_and, no_gradient, cpp="{0} & {1}", ranges=_PAIR, kind="bool")
_define("or", numpy.logical_or, no_gradient, cpp="{0} | {1}", ranges=_PAIR, kind="bool")
_define("not", numpy.logical_not, no_gradient, cpp="!{0}", kind="bool")
_define(
    "select",
    lambda c, x, y: numpy.where(numpy.asarray(c) != 0, x, y),
    d_select,
    cpp="({0} ? {1} : {2})",
    ranges=((-1.0, 1.0), (-3.0, 3.0), (-3.0, 3.0)),
    kind="promote",
    complex_allowed=True,
)
_define("to_real", lambda x: numpy.asarray(x) * 1.0, lambda b, o, r, g: (g,), cpp="Real({0})", kind="real")

# ------------------------------------------------------------------------------------------------ functions


def _sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + numpy.exp(-x)) if numpy.iscomplexobj(x) else _special("expit")(x)


_define("hypot", numpy.hypot, d_hypot, ranges=_PAIR)
_define_function("sqrt", numpy.sqrt, lambda b, o, r, g: (b.add("div", (b.add("mul", (g, b.const(0.5))), r)),), ranges=((0.1, 4.0),))
_define_function(
    "rsqrt",
    lambda x: 1.0 / numpy.sqrt(x),
    unary(lambda b, x, r: scaled(b, -0.5, b.add("mul", (r, square(b, r))))),
    ranges=((0.1, 4.0),),
)
_define_function("exp", numpy.exp, unary(lambda b, x, r: r))
_define_function("exp2", numpy.exp2, unary(lambda b, x, r: scaled(b, math.log(2.0), r)))
_define_function("expm1", numpy.expm1, unary(lambda b, x, r: b.add("add", (r, b.const(1.0)))))
_define_function("log", numpy.log, lambda b, o, r, g: (b.add("div", (g, o[0])),), ranges=((0.1, 4.0),))
_define_function(
    "log2", numpy.log2, lambda b, o, r, g: (b.add("div", (scaled(b, 1.0 / math.log(2.0), g), o[0])),), ranges=((0.1, 4.0),)
)
_define_function(
    "log1p", numpy.log1p, lambda b, o, r, g: (b.add("div", (g, b.add("add", (b.const(1.0), o[0])))),), ranges=((-0.5, 4.0),)
)
_define_function("sin", numpy.sin, unary(lambda b, x, r: b.add("cos", (x,))))
_define_function("cos", numpy.cos, unary(lambda b, x, r: b.add("neg", (b.add("sin", (x,)),))))
_define_function("tan", numpy.tan, unary(lambda b, x, r: b.add("add", (b.const(1.0), square(b, r)))), ranges=((-1.3, 1.3),))
_define_function("sinh", numpy.sinh, unary(lambda b, x, r: b.add("cosh", (x,))))
_define_function("cosh", numpy.cosh, unary(lambda b, x, r: b.add("sinh", (x,))))
_define_function("tanh", numpy.tanh, unary(lambda b, x, r: one_minus_square(b, r)))
_define_function("asinh", numpy.arcsinh, unary(lambda b, x, r: b.add("rsqrt", (b.add("add", (b.const(1.0), square(b, x))),))))
_define_function(
    "acosh",
    numpy.arccosh,
    unary(acosh_slope),
    ranges=((1.1, 4.0),),
)
_define_function("atanh", numpy.arctanh, lambda b, o, r, g: (b.add("div", (g, one_minus_square(b, o[0]))),), ranges=((-0.9, 0.9),))
_define_function("atan", numpy.arctan, lambda b, o, r, g: (b.add("div", (g, b.add("add", (b.const(1.0), square(b, o[0]))))),))
_define(
    "atan2",
    numpy.arctan2,
    d_atan2,
    ranges=((-3.0, 3.0), (0.5, 3.0)),
)
_define_function("asin", numpy.arcsin, unary(lambda b, x, r: b.add("rsqrt", (one_minus_square(b, x),))), ranges=((-0.9, 0.9),))
_define_function(
    "acos",
    numpy.arccos,
    unary(lambda b, x, r: b.add("neg", (b.add("rsqrt", (one_minus_square(b, x),)),))),
    ranges=((-0.9, 0.9),),
)
_define_function(
    "sigmoid",
    _sigmoid,
    unary(lambda b, x, r: b.add("mul", (r, b.add("sub", (b.const(1.0), r))))),
)
_define(
    "softplus",
    lambda x: numpy.logaddexp(0.0, x),
    unary(lambda b, x, r: b.add("sigmoid", (x,))),
)
_define("erf", _special("erf"), unary(gaussian_slope(1.0)))
_define("erfc", _special("erfc"), unary(gaussian_slope(-1.0)))
_define("lgamma", _special("gammaln"), unary(lambda b, x, r: b.add("digamma", (x,))), ranges=((0.2, 5.0),))
_define(
    "digamma",
    _special("digamma"),
    unary(lambda b, x, r: b.add("polygamma", (b.const(1), x))),
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


_ORDER = ((0.0, 5.0), (-1.0, 1.0))
_define("bspline", _bspline, d_bspline, cpp="lamina::bspline<{0}>({1})", ranges=((3.0, 3.0), (-1.0, 5.0)))
_define("chebyshev", _special("eval_chebyt"), no_rule, ranges=_ORDER)
_define("legendre", _special("eval_legendre"), no_rule, ranges=_ORDER)
_define("hermite", _special("eval_hermite"), no_rule, ranges=_ORDER)

ORDERED_POLYNOMIALS = ("chebyshev", "legendre", "hermite")
