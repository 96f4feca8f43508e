"""The order of a polynomial family: `chebyshev(n, t)` needs n when the layer is compiled.

In: the checked first argument. Out: nothing, or a diagnostic. Holds: an order that passes is made of integers, known lengths
and running indices of known range, and stays within 0 .. `MAXIMUM_ORDER`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import lengths, syntax
from .checked import Apply, Expr, IndexValue, LengthValue, Number
from .integers import needs_value

if TYPE_CHECKING:
    from .expressions import ExpressionChecker

MAXIMUM_ORDER = 1024


def check_order(function: str, order: Expr, node: syntax.Expression, checker: ExpressionChecker) -> None:
    """Raises Failed where the order is not known at compile time, negative, or too high."""
    low, high = _range(function, order, node, checker)
    if low < 0 or high > MAXIMUM_ORDER:
        raise checker.reporter.error(
            "LAM402",
            f"the order of `{function}` is out of range",
            node.span,
            f"0 to {MAXIMUM_ORDER}",
            str(low) if low == high else f"{low} to {high}",
        )


def _range(function: str, order: Expr, node: syntax.Expression, checker: ExpressionChecker) -> tuple[int, int]:
    """The least and the greatest value."""
    if isinstance(order, Number):
        return int(order.value), int(order.value)
    if isinstance(order, (LengthValue, IndexValue)):
        length = lengths.simplified(order.length if isinstance(order, LengthValue) else checker.assembly.axes[order.axis])
        if not isinstance(length, int):
            raise needs_value(length, f"the order of `{function}`", node, checker.reporter)
        return (length, length) if isinstance(order, LengthValue) else (0, max(0, length - 1))
    if isinstance(order, Apply) and order.function in ("add", "sub", "mul", "neg"):
        ranges = [_range(function, argument, node, checker) for argument in order.arguments]
        if order.function == "neg":
            return -ranges[0][1], -ranges[0][0]
        (a, b), (c, d) = ranges
        if order.function == "add":
            return a + c, b + d
        if order.function == "sub":
            return a - d, b - c
        products = (a * c, a * d, b * c, b * d)
        return min(products), max(products)
    raise checker.reporter.error(
        "LAM402",
        f"the order of `{function}` must be known when the layer is compiled",
        node.span,
        "sums, differences and products of integers, sizes and running indices",
    )
