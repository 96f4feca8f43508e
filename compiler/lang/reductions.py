"""Reductions and transforms: what takes an axis away, or puts another in its place.

In: the syntax of `sum[...](...)`, `fft[...](...)` and their kin. Out: `checked.Reduce` and `checked.Transform`.
Holds: a running index is an axis of its own from 0; every axis reduced over is one of the body's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy

from ..spans import Span
from . import lengths, syntax
from .checked import Expr, Reduce, Requirement, Transform
from .diagnostics import Failed
from .functions import FUNCTIONS, OPERATORS, REDUCTIONS, TRANSFORMS
from .integers import axis_of, unknown_length
from .lengths import ArithmeticProblem, Length
from .scope import RunningIndex, Value

if TYPE_CHECKING:
    from .expressions import ExpressionChecker

MAXIMUM_RANGE = 2**31 - 1


def check_reduction(node: syntax.Reduction, checker: ExpressionChecker) -> Expr:
    over: list[str] = []
    values: dict[str, Value] = {}
    failed: Failed | None = None
    for item in node.over:
        try:
            length: Length | None
            if isinstance(item, syntax.Range):
                checker.check_hiding(item.name, item.span, "the index")
                index = _running_index(item, checker)
                name, values[item.name] = index.axis, index
                length = checker.assembly.axes[name]
            else:
                slot = checker.axis(item)
                name, length = slot.name, slot.length
            if node.operation in ("max", "min") and length is not None:
                _require_an_element(node, item, name, length, checker)
            if name in over:
                raise checker.reporter.error("LAM206", f"`{node.operation}` runs twice over the same axis", item.span)
            over.append(name)
        except Failed as failure:
            failed = failure
    if failed is not None:
        raise failed
    body = checker.within(values).expression(node.body)
    for item, name in zip(node.over, over, strict=True):
        if name not in body.axes:
            body = _spread(body, name, item, node, checker)
    function = REDUCTIONS[node.operation]
    if body.kind not in function.accepts[0]:
        checker.apply(node.operation, function, (body,), (node.body.span,), node.span)
    axes = tuple(axis for axis in body.axes if axis not in over)
    made = Reduce(axes, function.result(body.kind), checker.reporter.place(node.span), node.operation, tuple(over), body)
    return checker.assembly.made(made, body)


def _require_an_element(
    node: syntax.Reduction, item: syntax.AxisName | syntax.Range, axis: str, length: Length, checker: ExpressionChecker
) -> None:
    """No elements have no largest: an empty axis is refused at the call, as in torch, where the result would be seen
    (see extrema.py)."""
    if lengths.at_most(1, length) is not True:
        text = f"1 <= {lengths.text_of(length)}"
        place = checker.reporter.place
        # within a def the axis is the caller's
        name = axis if isinstance(item, syntax.AxisName) else item.name
        message = f"the {node.operation} over `{name}` needs an element"
        requirement = Requirement(sympy.Ge(sympy.sympify(length), 1), text, message, place(item.span))
        checker.assembly.require_an_element(axis, place(node.span), requirement)


def _running_index(item: syntax.Range, checker: ExpressionChecker) -> RunningIndex:
    low: Length = 0 if item.low is None else checker.integer(item.low)
    high = checker.integer(item.high)
    try:
        count = lengths.subtract(high, low)
    except ArithmeticProblem as problem:
        raise checker.reporter.error("LAM306", f"this arithmetic has no result: {problem}", item.span) from None
    ordered = lengths.at_most(0, count)
    if ordered is False:
        count = 0
    elif ordered is None:
        text = f"{lengths.text_of(low)} <= {lengths.text_of(high)}"
        place = checker.reporter.place(item.span)
        checker.assembly.require(sympy.Le(low, high), text, f"the range of `{item.name}` ends before it begins", place)
    if isinstance(count, int) and count > MAXIMUM_RANGE:
        raise checker.reporter.error(
            "LAM309", f"the range of `{item.name}` is too long", item.span, f"at most {MAXIMUM_RANGE} steps", str(count)
        )
    name = checker.assembly.unique(item.name)
    checker.assembly.add_axis(name, count)
    return RunningIndex(name, low)


def _spread(
    body: Expr, axis: str, item: syntax.AxisName | syntax.Range, node: syntax.Reduction, checker: ExpressionChecker
) -> Expr:
    """The body as one that varies along a running index it does not mention: each step has the same value."""
    if isinstance(item, syntax.AxisName):
        axes = ", ".join(f"`{name}`" for name in body.axes)
        raise checker.reporter.error(
            "LAM208",
            f"the expression has no axis `{axis}` to take the {node.operation} over",
            item.span,
            f"one of its axes: {axes}" if axes else "an expression with axes",
            f"`{axis}`",
        )
    span = item.span
    always = checker.apply("ge", OPERATORS["ge"], (checker.index_value(axis, 0, span), checker.number(0, span)), (span, span), span)
    return checker.apply("select", FUNCTIONS["select"], (always, body, body), (span, span, span), span)


# ---------------------------------------------------------------------------------------------- transforms


def check_transform(node: syntax.Transform, checker: ExpressionChecker) -> Expr:
    body = checker.expression(node.body)
    source = checker.axis(node.source)
    target = axis_of(node.target, checker.scope, checker.reporter)
    if source.name not in body.axes:
        axes = ", ".join(f"`{name}`" for name in body.axes)
        raise checker.reporter.error(
            "LAM208", f"the expression has no axis `{node.source.name}` to transform", node.source.span, f"one of its axes: {axes}"
        )
    if target.name in body.axes and target.name != source.name:
        raise checker.reporter.error(
            "LAM206", f"the expression already has the axis `{node.target.name}`", node.target.span, "an axis it does not have"
        )
    function = TRANSFORMS[node.function]
    if body.kind not in function.accepts[0]:
        checker.apply(node.function, function, (body,), (node.body.span,), node.span)
    assert source.length is not None
    inverse_real = node.function == "irfft"
    if node.n is not None:
        n = checker.integer(node.n)
    elif not inverse_real:
        n = source.length
    elif target.length is not None:
        n = target.length
    else:
        raise unknown_length(node.target, checker.reporter)
    if lengths.at_most(n, 0) is True and not (node.n is None and isinstance(n, int)):
        raise checker.reporter.error(
            "LAM304", "a transform has at least one point", node.span, "n of 1 or more", lengths.text_of(n)
        )
    length = lengths.add(lengths.divide(n, 2), 1) if node.function == "rfft" else n
    if target.length is None:
        checker.assembly.resolve(target, length)
    else:
        what = f"axis `{node.target.name}` after `{node.function}`"
        require_equal(target.length, length, what, node.target.span, checker)
    replaced = tuple(target.name if axis == source.name else axis for axis in body.axes)
    place = checker.reporter.place(node.span)
    made = Transform(replaced, function.result(body.kind), place, node.function, source.name, target.name, sympy.sympify(n), body)
    return checker.assembly.made(made, body)


def require_equal(found: Length, expected: Length, what: str, span: Span, checker: ExpressionChecker) -> None:
    """Refuses lengths that differ; where that shows only at the call, it becomes a requirement."""
    verdict = lengths.equal(found, expected)
    if verdict is False:
        raise checker.reporter.error(
            "LAM305", f"the length of {what} does not fit", span, lengths.text_of(expected), lengths.text_of(found)
        )
    if verdict is None:
        text = f"{lengths.text_of(found)} == {lengths.text_of(expected)}"
        message = f"the length of {what} does not fit"
        checker.assembly.require(sympy.Eq(found, expected), text, message, checker.reporter.place(span))
