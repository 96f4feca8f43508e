"""How scalar operations are differentiated.

In: the graph under construction, an operation's operands, its result and the result's cotangent. Out: each operand's share of the
cotangent (None: no gradient flows), built in the graph.

Conventions are PyTorch's (see the language reference): sign(0) = 0 is the gradient of abs at 0, binary max and min share a tie
equally, x^0 has gradient 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .graph import Builder

# (builder, operand numbers, result number, cotangent number) -> one number or None per operand
Derivative = Callable[[Builder, Sequence[int], int, int], Sequence[int | None]]

_TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)


def unary(factor: Callable[[Builder, int, int], int]) -> Derivative:
    """The rule cotangent * factor(x, f(x))."""
    return lambda b, operands, result, g: (b.add("mul", (g, factor(b, operands[0], result))),)


def holomorphic(rule: Derivative) -> Derivative:
    """The rule of a holomorphic function, written for real values, for complex ones too: conj(f'(z)) g = conj(f'(z) conj(g))."""

    def both(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
        if b.nodes[result].kind != "complex":
            return rule(b, operands, result, g)
        shares = rule(b, operands, result, conjugate(b, g))
        return [None if share is None else conjugate(b, share) for share in shares]

    return both


def no_gradient(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    return (None,) * len(operands)


def d_mul(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    x, y = operands
    return b.add("mul", (g, b.add("conj", (y,)) if b.nodes[y].kind == "complex" else y)), b.add(
        "mul", (g, b.add("conj", (x,)) if b.nodes[x].kind == "complex" else x)
    )


def d_div(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    x, y = operands
    if "complex" in (b.nodes[x].kind, b.nodes[y].kind):
        y = b.add("conj", (y,)) if b.nodes[y].kind == "complex" else y
        result = b.add("conj", (result,)) if b.nodes[result].kind == "complex" else result
    share = b.add("div", (g, y))
    return share, b.add("neg", (b.add("mul", (share, result)),))


def conjugate(b: Builder, x: int) -> int:
    return b.add("conj", (x,)) if b.nodes[x].kind == "complex" else x


def d_pow(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
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


def d_extremum(worse: str) -> Derivative:
    """Ties share the gradient; where either is NaN, both have all of it, as in torch."""

    def rule(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
        x, y = operands
        shared = b.add("select", (b.add("eq", (x, y)), b.add("mul", (g, b.const(0.5))), g))
        zero = b.const(0.0)
        first = b.add("select", (b.add(worse, (x, y)), zero, shared))
        second = b.add("select", (b.add(worse, (y, x)), zero, shared))
        return first, second

    return rule


def d_clamp(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    """Where any operand is NaN no condition on it holds, as in torch."""
    x, low, high = operands
    zero = b.const(0.0)
    within = b.add("and", (b.add("ge", (x, low)), b.add("le", (x, high))))
    at_low = b.add("and", (b.add("lt", (x, low)), b.add("lt", (low, high))))
    at_high = b.add("or", (b.add("gt", (x, high)), b.add("gt", (low, high))))
    return tuple(b.add("select", (chosen, g, zero)) for chosen in (within, at_low, at_high))


def d_select(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    zero = b.const(0.0)
    return None, b.add("select", (operands[0], g, zero)), b.add("select", (operands[0], zero, g))


def square(b: Builder, x: int) -> int:
    return b.add("mul", (x, x))


def one_minus_square(b: Builder, x: int) -> int:
    return b.add("sub", (b.const(1.0), square(b, x)))


def scaled(b: Builder, factor: float, x: int) -> int:
    return b.add("mul", (b.const(factor), x))


def gaussian_slope(sign: float) -> Callable[[Builder, int, int], int]:
    return lambda b, x, r: scaled(b, sign * _TWO_OVER_SQRT_PI, b.add("exp", (b.add("neg", (square(b, x),)),)))


def acosh_slope(b: Builder, x: int, result: int) -> int:
    if b.nodes[x].kind != "complex":
        return b.add("rsqrt", (b.add("sub", (square(b, x), b.const(1.0))),))
    # not one root of the product, which has another branch cut
    below, above = (b.add("rsqrt", (b.add(op, (x, b.const(1.0))),)) for op in ("sub", "add"))
    return b.add("mul", (below, above))


def d_atan2(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    """(x, -y) / (y^2 + x^2), and 0 at the origin, as torch has it."""
    y, x = operands
    squared = b.add("add", (square(b, y), square(b, x)))
    at_origin = b.add("eq", (squared, b.const(0.0)))
    share = b.add("select", (at_origin, b.const(0.0), b.add("div", (g, squared))))
    return b.add("mul", (share, x)), b.add("neg", (b.add("mul", (share, y)),))


def d_hypot(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    """The operands over the result, and 0 at the origin: the gradient of a complex absolute value, as torch has it."""
    at_origin = b.add("eq", (result, b.const(0.0)))
    share = b.add("select", (at_origin, b.const(0.0), b.add("div", (g, result))))
    return b.add("mul", (share, operands[0])), b.add("mul", (share, operands[1]))


def d_bspline(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
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


def no_rule(b: Builder, operands: Sequence[int], result: int, g: int) -> Sequence[int | None]:
    raise ValueError("polynomials of an index-dependent order are expanded before they are differentiated")
