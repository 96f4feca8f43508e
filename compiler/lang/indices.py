"""Reads: a tensor's name, bare or with an index for each of its entries.

In: the syntax of a read and the checker of the expression it stands in. Out: `checked.Read`.
Holds: there is one index per stored dimension; an affine index that can leave its axis is refused, or, where that shows only at
the call, becomes a requirement of the layer.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import sympy

from ..spans import Span
from . import lengths, syntax
from .checked import AffineIndex, Expr, Index, Read, TensorIndex
from .diagnostics import Failed, nearest
from .integers import integer
from .lengths import ArithmeticProblem, Length
from .scope import Dimension, Readable, RunningIndex, Unusable

if TYPE_CHECKING:
    from .expressions import ExpressionChecker

Affine = tuple[dict[str, Length], Length]


def bare_read(readable: Readable, checker: ExpressionChecker, span: Span) -> Expr:
    """A tensor at its own declared axes."""
    indices: list[Index] = []
    for position, dimension in enumerate(readable.dimensions):
        if dimension.identity is None:
            wanted = [d.text if d.identity is not None else "i" for d in readable.dimensions]
            raise checker.reporter.error(
                "LAM204",
                f"`{readable.name}` has an entry without a name, `{dimension.text}`, which each use must index",
                span,
                f"an index for each entry of {declared_text(readable)}",
                f"`{readable.name}` alone",
                f"write `{readable.name}[{', '.join(wanted)}]`, with an index of your own in place {position + 1}",
            )
        indices.extend(dimension.identity)
    return _read(readable, tuple(indices), None, checker, span)


def indexed_read(node: syntax.Read, checker: ExpressionChecker) -> Expr:
    """A tensor at explicit indices, with or without a boundary mode."""
    readable = _without_empty_ellipsis(_tensor(node, checker), node)
    if len(node.indices) != len(readable.dimensions):
        raise checker.reporter.error(
            "LAM205",
            f"`{readable.name}` takes {_count(len(readable.dimensions), 'index', 'indices')}",
            node.span,
            f"one for each entry of {declared_text(readable)}",
            f"{_count(len(node.indices), 'index', 'indices')}",
        )
    indices: list[Index] = []
    failed: Failed | None = None
    for item, dimension in zip(node.indices, readable.dimensions, strict=True):
        try:
            indices.extend(_index(item, dimension, readable, node.boundary is None, checker))
        except Failed as failure:
            failed = failure
    if failed is not None:
        raise failed
    return _read(readable, tuple(indices), node.boundary, checker, node.span)


def declared_text(readable: Readable) -> str:
    """The tensor as it was declared: `x[..., G*C]`."""
    return f"`{readable.name}[{', '.join(dimension.text for dimension in readable.dimensions)}]`"


def _tensor(node: syntax.Read, checker: ExpressionChecker) -> Readable:
    value = checker.value_of(node.source)
    if not isinstance(value, Readable):
        raise checker.reporter.error(
            "LAM110",
            f"`{node.source.name}` cannot be indexed: it is not a tensor",
            node.source.span,
            "an input, a parameter, a buffer or a `let` with its axes",
            hint=nearest(node.source.name, [n for n, v in checker.scope.values.items() if isinstance(v, Readable)]),
        )
    if not value.order_is_known:
        axes = ", ".join(dimension.text for dimension in value.dimensions)
        raise checker.reporter.error(
            "LAM204",
            f"the order of the axes of `{value.name}` is not settled, so it cannot be indexed",
            node.span,
            "a `let` with its axes",
            f"`let {value.name} = ...`",
            f"write `let {value.name}[{axes}] = ...`",
        )
    return value


def _without_empty_ellipsis(readable: Readable, node: syntax.Read) -> Readable:
    """In a called layer `...` may stand for no axes at all; then it may also be left out."""
    first = readable.dimensions[0] if readable.dimensions else None
    if first is not None and first.is_ellipsis and not first.entries and not isinstance(node.indices[0], syntax.Ellipsis):
        return dataclasses.replace(readable, dimensions=readable.dimensions[1:])
    return readable


def _read(readable: Readable, indices: tuple[Index, ...], boundary: object, checker: ExpressionChecker, span: Span) -> Expr:
    axes: list[str] = []
    parts: list[Expr] = []
    for index in indices:
        if isinstance(index, AffineIndex):
            axes.extend(name for name, _ in index.terms)
        else:
            axes.extend(index.value.axes)
            parts.append(index.value)
    place = checker.reporter.place(span)
    read = Read(tuple(dict.fromkeys(axes)), readable.kind, place, readable.source, indices, boundary)  # type: ignore[arg-type]
    return checker.assembly.made(read, *parts)


def _index(
    item: syntax.Expression | syntax.Ellipsis,
    dimension: Dimension,
    readable: Readable,
    checks_range: bool,
    checker: ExpressionChecker,
) -> tuple[Index, ...]:
    if isinstance(item, syntax.Ellipsis) or dimension.is_ellipsis:
        if isinstance(item, syntax.Ellipsis) and dimension.is_ellipsis and dimension.identity is not None:
            return dimension.identity
        raise checker.reporter.error(
            "LAM207",
            "`...` can only stand where the declaration has it",
            item.span,
            f"an index for `{dimension.text}` of {declared_text(readable)}",
        )
    affine = _affine(item, checker)
    if affine is None:
        value = checker.inside_brackets().expression(item)
        if value.kind != "int":
            raise checker.reporter.error(
                "LAM303", "an index must be an integer", item.span, "an integer", f"{checker.kind_text(value)}"
            )
        return (TensorIndex(value),)
    terms, offset = affine
    index = AffineIndex(
        tuple((axis, sympy.sympify(coefficient)) for axis, coefficient in terms.items() if coefficient != 0), sympy.sympify(offset)
    )
    if checks_range and dimension.identity != (index,):
        _check_range(terms, offset, dimension, item, readable, checker)
    return (index,)


# ---------------------------------------------------------------------------------------------- affine indices


def _affine(node: syntax.Expression, checker: ExpressionChecker) -> Affine | None:
    """Coefficients and offset of an affine index; None where a tensor's value is in it. Raises Failed where it is neither."""
    scope, reporter = checker.scope, checker.reporter
    if isinstance(node, syntax.Number):
        return {}, integer(node, scope, reporter)
    if isinstance(node, syntax.AxisName):
        if node.name in scope.axes:
            return {checker.axis(node).name: 1}, 0
        return {}, integer(node, scope, reporter)
    if isinstance(node, syntax.AxisFunction):
        if node.function == "len":
            return {}, integer(node, scope, reporter)
        return {checker.axis(node.axis).name: 1}, 0
    if isinstance(node, syntax.Name):
        value = checker.value_of(node)
        if isinstance(value, RunningIndex):
            return {value.axis: 1}, value.low
        if isinstance(value, Unusable) or value is not None:
            return None
        return ({}, integer(node, scope, reporter)) if scope.module.constant(node.name) else None
    if isinstance(node, syntax.Unary) and node.operator == "neg":
        operand = _affine(node.operand, checker)
        return None if operand is None else _scaled(operand, -1)
    if isinstance(node, syntax.Binary) and node.operator in ("add", "sub", "mul", "div", "pow"):
        return _affine_operation(node, checker)
    return None


def _affine_operation(node: syntax.Binary, checker: ExpressionChecker) -> Affine | None:
    factors = _axis_factors(node, checker)
    if factors is not None:
        identity = checker.assembly.identity(factors)
        return {axis: lengths.simplified(coefficient) for axis, coefficient in identity.terms}, 0
    left, right = _affine(node.left, checker), _affine(node.right, checker)
    if left is None or right is None:
        return None
    try:
        if node.operator in ("add", "sub"):
            return _sum(left, right if node.operator == "add" else _scaled(right, -1))
        if node.operator == "mul" and not left[0]:
            return _scaled(right, left[1])
        if node.operator == "mul" and not right[0]:
            return _scaled(left, right[1])
        if not left[0] and not right[0]:
            return {}, (lengths.divide if node.operator == "div" else lengths.power)(left[1], right[1])
    except ArithmeticProblem as problem:
        raise checker.reporter.error("LAM306", f"this arithmetic has no result: {problem}", node.span) from None
    split = "split the axis in the declaration instead: `x[P*Q]`, and use `P`"
    if isinstance(node.left, syntax.AxisName):
        split = f"`{node.left.name}` is the running index here, its length is `len({node.left.name})`; to divide an index, {split}"
    hints = {
        "div": split,
        "mul": "inside brackets an axis name is the index; `len(AXIS)` is its length",
        "pow": None,
    }
    raise checker.reporter.error(
        "LAM302",
        "an index must be affine",
        node.span,
        "sums of integers, axis names and running indices, each times an integer or a length; or an integer tensor",
        hint=hints[node.operator],
    )


def _axis_factors(node: syntax.Expression, checker: ExpressionChecker) -> tuple[str, ...] | None:
    """The axes of a product of axis names (`G*C`: a stored axis addressed whole), else None."""
    names: list[syntax.AxisName] = []
    while isinstance(node, syntax.Binary) and node.operator == "mul" and isinstance(node.right, syntax.AxisName):
        names.append(node.right)
        node = node.left
    if not names or not isinstance(node, syntax.AxisName):
        return None
    names.append(node)
    if any(name.name not in checker.scope.axes for name in names) or len({name.name for name in names}) < len(names):
        return None
    return tuple(checker.axis(name).name for name in reversed(names))


def _sum(left: Affine, right: Affine) -> Affine:
    terms = dict(left[0])
    for axis, coefficient in right[0].items():
        terms[axis] = lengths.add(terms.get(axis, 0), coefficient)
    return terms, lengths.add(left[1], right[1])


def _scaled(affine: Affine, factor: Length) -> Affine:
    terms = {axis: lengths.multiply(coefficient, factor) for axis, coefficient in affine[0].items()}
    return terms, lengths.multiply(affine[1], factor)


# ---------------------------------------------------------------------------------------------- ranges


def _check_range(
    terms: dict[str, Length],
    offset: Length,
    dimension: Dimension,
    node: syntax.Expression,
    readable: Readable,
    checker: ExpressionChecker,
) -> None:
    """Refuses an index that leaves 0 .. length-1, or requires at the call that it does not."""
    lowest, highest = offset, offset
    for axis, coefficient in terms.items():
        reach = lengths.multiply(coefficient, lengths.subtract(checker.assembly.axes[axis], 1))
        if lengths.at_most(0, coefficient):
            highest = lengths.add(highest, reach)
        elif lengths.at_most(coefficient, 0):
            lowest = lengths.add(lowest, reach)
        else:
            highest = highest + sympy.Max(0, reach)
            lowest = lowest + sympy.Min(0, reach)
    last = lengths.subtract(dimension.length, 1)
    below, above = lengths.at_most(0, lowest), lengths.at_most(highest, last)
    text = checker.reporter.excerpt(node.span)
    if below is False or above is False:
        raise checker.reporter.error(
            "LAM301",
            f"index `{text}` leaves its axis: it runs from {lengths.text_of(lowest)} to {lengths.text_of(highest)}",
            node.span,
            f"0 to {lengths.text_of(last)}, the entry `{dimension.text}` of {declared_text(readable)}",
            f"{lengths.text_of(lowest)} to {lengths.text_of(highest)}",
            _hint_beyond(terms, lowest, highest, last, readable),
        )
    for proven, low, high in ((below, 0, lowest), (above, highest, last)):
        if proven is None:
            condition = sympy.Le(low, high)
            message = f"index `{text}` of {declared_text(readable)} leaves its axis"
            place = checker.reporter.place(node.span)
            checker.assembly.require(condition, f"{lengths.text_of(low)} <= {lengths.text_of(high)}", message, place)


def _hint_beyond(terms: dict[str, Length], lowest: Length, highest: Length, last: Length, readable: Readable) -> str:
    """A shift of axes wants a boundary; running indices and constants that are one off were counted from 1."""
    counted = all(name[:1].islower() for name in terms)
    if not counted or lengths.subtract(highest, last) != 1 or lengths.at_most(0, lowest) is not True:
        return f"say what lies beyond the ends: zero({readable.name})[...], wrap, clamp or reflect"
    positions = f"positions count from 0 to {lengths.text_of(last)}"
    if not terms:
        return positions
    if lengths.at_most(1, lowest) is True:
        return f"{positions}: take 1 from the index, or from both ends of its range"
    return f"{positions}: end the range one earlier"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
