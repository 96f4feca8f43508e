"""The statements of a layer: sizes, declarations, lets, outs, requirements and licences, in order.

In: a layer's syntax and the scope it is read in. Out: the entries of an `Assembly`.
Holds: every axis of a let or an out is in its list; a let is read only after its statement. A statement with mistakes leaves its
name unusable, so that one mistake is reported once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy

from . import checked, functions, lengths, syntax
from .calls import bind_layer_call, finish_layer_call
from .checked import ELLIPSIS, Entry, Expr
from .declarations import OUT_HINT, claim, refuse_repetition, split_axes
from .diagnostics import Failed, nearest
from .expressions import ExpressionChecker
from .integers import axis_of, integer, unknown_length
from .lengths import ArithmeticProblem, Length
from .scope import Assembly, Dimension, Readable, Scope, Unusable, dimension_of, dimensions_of_axes, ellipsis_dimension


def check_statements(statements: tuple[syntax.Statement, ...], scope: Scope, assembly: Assembly) -> None:
    """Checks the statements that are no declarations, in order; goes on after one with mistakes."""
    for statement in statements:
        method = _METHODS.get(type(statement))
        if method is not None:
            try:
                method(statement, scope, assembly)
            except Failed:
                continue
            except ArithmeticProblem as problem:
                assembly.reporter.error("LAM306", f"the lengths here cannot be computed: {problem}", statement.span)


# ---------------------------------------------------------------------------------------------- lets and outs


def _check_let(statement: syntax.Let, scope: Scope, assembly: Assembly) -> None:
    name = statement.name.name
    is_new = claim(statement.name, scope, assembly)
    try:
        readable = _let(statement, scope, assembly)
    except Failed:
        if is_new:
            scope.values[name] = Unusable()
        raise
    if is_new:
        scope.values[name] = readable


def _let(statement: syntax.Let, scope: Scope, assembly: Assembly) -> Readable:
    name = statement.name.name
    value_node = statement.value
    if isinstance(value_node, syntax.Call) and scope.module.layer(value_node.function.name) is not None:
        return _layer_call(statement, value_node, scope, assembly)
    value = ExpressionChecker(scope, assembly).expression(value_node)
    unique = scope.prefix + name
    entries: tuple[Entry, ...] | None = None
    if statement.entries is not None:
        dimensions, entries = annotated(statement.entries, scope, assembly)
        _check_axes_listed(value, entries, statement, scope, assembly)
        readable = Readable(name, unique, value.kind, dimensions)
    else:
        dimensions = dimensions_of_axes(value.axes, scope, assembly)
        readable = Readable(name, unique, value.kind, dimensions, order_is_settled(value))
    assembly.statements.append(checked.Let(unique, entries, value, assembly.reporter.place(statement.span)))
    return readable


def _layer_call(statement: syntax.Let, node: syntax.Call, scope: Scope, assembly: Assembly) -> Readable:
    """A let that is the call of a layer. The callee's licences to approximate are not taken over: the caller gives its own."""
    call = bind_layer_call(statement, node, scope, assembly)
    with assembly.reporter.inside(call.callee.name.name, node.span), assembly.opened(call.callee):
        outs = [item for item in call.callee.statements if isinstance(item, syntax.Out)]
        steps = tuple(item for item in call.callee.statements if isinstance(item, (syntax.Let, syntax.Require)))
        check_statements(steps, call.scope, assembly)
        value, entries = _out_value(outs[0], call.scope, assembly)
    listed = finish_layer_call(call, statement, outs[0], value, entries)
    dimensions, _ = annotated(statement.entries or (), scope, assembly)
    assert tuple(entry for dimension in dimensions for entry in dimension.entries) == listed
    return Readable(statement.name.name, scope.prefix + statement.name.name, value.kind, dimensions)


def _check_out(statement: syntax.Out, scope: Scope, assembly: Assembly) -> None:
    name = statement.name.name
    is_new = claim(statement.name, scope, assembly)
    if is_new:
        scope.values[name] = Unusable("LAM110", f"`{name}` is an `out`, which cannot be read", OUT_HINT)
    value, entries = _out_value(statement, scope, assembly)
    unique = scope.prefix + name
    assembly.statements.append(checked.Out(unique, entries, value, assembly.reporter.place(statement.span)))


def _out_value(statement: syntax.Out, scope: Scope, assembly: Assembly) -> tuple[Expr, tuple[Entry, ...]]:
    value = ExpressionChecker(scope, assembly).expression(statement.value)
    _, entries = annotated(statement.entries, scope, assembly)
    _check_axes_listed(value, entries, statement, scope, assembly)
    return value, entries


def annotated(
    nodes: tuple[syntax.Expression | syntax.Ellipsis, ...], scope: Scope, assembly: Assembly
) -> tuple[tuple[Dimension, ...], tuple[Entry, ...]]:
    """The list of axes of a let or an out. Every axis in it has a length."""
    reporter = assembly.reporter
    dimensions: list[Dimension] = []
    entries: list[Entry] = []
    seen: list[str] = []
    for node in nodes:
        if isinstance(node, syntax.Ellipsis):
            if scope.ellipsis is None:
                raise reporter.error(
                    "LAM207",
                    "no tensor of the layer has `...`",
                    node.span,
                    "axes of the layer",
                    hint="declare an input `in x[..., C]`",
                )
            if ELLIPSIS in seen or dimensions:
                raise reporter.error("LAM207", "`...` stands for leading axes, so it comes first, and once", node.span)
            seen.append(ELLIPSIS)
            dimensions.append(ellipsis_dimension(scope, assembly))
            entries.extend(scope.ellipsis)
            continue
        factors = split_axes(node)
        if factors is None:
            raise reporter.error(
                "LAM210",
                "the axes of a `let` or an `out` need names",
                node.span,
                "an axis name, or a product of axis names",
                f"`{reporter.excerpt(node.span)}`",
                f"name it: `axis N = {reporter.excerpt(node.span)}`",
            )
        axes = []
        for factor in factors:
            refuse_repetition(factor, seen, assembly)
            axes.append(_listed_axis(factor, scope, assembly))
        entry = Entry(tuple(axes))
        entries.append(entry)
        dimensions.append(dimension_of(assembly, entry))
    return tuple(dimensions), tuple(entries)


def _listed_axis(node: syntax.AxisName, scope: Scope, assembly: Assembly) -> str:
    """The axis of a name in a list."""
    slot = axis_of(node, scope, assembly.reporter)
    if slot.length is None:
        raise unknown_length(node, assembly.reporter)
    return slot.name


def _check_axes_listed(
    value: Expr, entries: tuple[Entry, ...], statement: syntax.Let | syntax.Out, scope: Scope, assembly: Assembly
) -> None:
    listed = [axis for entry in entries for axis in entry.axes]
    missing = [axis for axis in value.axes if axis not in listed]
    if not missing:
        return
    names = {slot.name: name for name, slot in scope.axes.items()}
    shown = [names.get(axis, axis) for axis in missing]
    word = "axis" if len(shown) == 1 else "axes"
    raise assembly.reporter.error(
        "LAM202",
        f"the expression varies along {', '.join(f'`{axis}`' for axis in shown)}, which `{statement.name.name}` does not list",
        _widest_part(value, missing).span,
        f"only the axes of `{statement.name.name}`: {', '.join(f'`{names.get(axis, axis)}`' for axis in listed) or 'none'}",
        f"also {', '.join(f'`{axis}`' for axis in shown)}",
        f"add the {word} to the list, or reduce: sum[{', '.join(shown)}](...)"
        if ELLIPSIS not in shown
        else "begin the list with `...`",
    )


def _widest_part(value: Expr, missing: list[str]) -> Expr:
    """The one operand that brings in the axes, however deep; the whole where several do, or where it stands in a call."""
    while isinstance(value, checked.Apply):
        varying = [part for part in value.arguments if any(axis in part.axes for axis in missing)]
        if len(varying) != 1 or not value.span.contains(varying[0].span):
            break
        value = varying[0]
    return value


def order_is_settled(value: Expr) -> bool:
    """Whether the tensors in an expression leave only one order for its axes: each pair of neighbours is ordered by some
    tensor, and no tensor has them the other way round."""
    orders = [read.axes for read in _reads(value)]
    positions = [{axis: place for place, axis in enumerate(axes)} for axes in orders]
    for first, second in zip(value.axes[:-1], value.axes[1:], strict=True):
        verdicts = {order[first] < order[second] for order in positions if first in order and second in order}
        if verdicts != {True}:
            return False
    return True


def _reads(value: Expr) -> list[checked.Read]:
    found: list[checked.Read] = []
    stack: list[Expr] = [value]
    while stack:
        expression = stack.pop()
        if isinstance(expression, checked.Read):
            found.append(expression)
        stack.extend(checked_children(expression))
    return found


def checked_children(expression: Expr) -> tuple[Expr, ...]:
    """The expressions directly below one (not those in the indices of a read)."""
    if isinstance(expression, checked.Apply):
        return expression.arguments
    if isinstance(expression, (checked.Reduce, checked.Transform)):
        return (expression.body,)
    if isinstance(expression, checked.Scan):
        return (expression.initial, expression.body)
    if isinstance(expression, checked.Iterate):
        return (*expression.initials, *expression.bodies)
    return ()


# ---------------------------------------------------------------------------------------------- requirements and licences


def _check_require(statement: syntax.Require, scope: Scope, assembly: Assembly) -> None:
    condition = _condition(statement.condition, scope, assembly)
    if condition is True or condition == sympy.true:
        return
    if condition is False or condition == sympy.false:
        raise assembly.reporter.error(
            "LAM308",
            statement.message or f"requirement not met: {statement.text}",
            statement.condition.span,
            statement.text,
            _values_text(statement.condition, scope, assembly),
            "choose other sizes",
        )
    assembly.require(condition, statement.text, statement.message, assembly.reporter.place(statement.span))


_COMPARISONS: dict[str, Callable[[Length, Length], sympy.Basic]] = {
    "eq": sympy.Eq,
    "ne": sympy.Ne,
    "lt": sympy.Lt,
    "le": sympy.Le,
    "gt": sympy.Gt,
    "ge": sympy.Ge,
}


def _condition(node: syntax.Expression, scope: Scope, assembly: Assembly) -> sympy.Basic:
    """A condition on lengths as a sympy truth value or relation."""
    if isinstance(node, syntax.Binary) and node.operator in _COMPARISONS:
        left = sympy.sympify(integer(node.left, scope, assembly.reporter))
        right = sympy.sympify(integer(node.right, scope, assembly.reporter))
        return _COMPARISONS[node.operator](left, right)
    if isinstance(node, syntax.Binary) and node.operator in ("and", "or"):
        parts = (_condition(node.left, scope, assembly), _condition(node.right, scope, assembly))
        return sympy.And(*parts) if node.operator == "and" else sympy.Or(*parts)
    if isinstance(node, syntax.Unary) and node.operator == "not":
        return sympy.Not(_condition(node.operand, scope, assembly))
    raise assembly.reporter.error(
        "LAM401",
        "a requirement is a condition on sizes and lengths",
        node.span,
        "a comparison such as `C == G*D`, or several with and, or, not",
    )


def _values_text(node: syntax.Node, scope: Scope, assembly: Assembly) -> str:
    """The values of the sizes and axes in a condition: `G = 8, C = 12`."""
    names: list[str] = []
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, syntax.AxisName) and current.name not in names:
            names.append(current.name)
        stack.extend(reversed(syntax.children(current)))
    parts = []
    for name in names:
        slot = scope.axes.get(name)
        length = scope.sizes.get(name, slot.length if slot is not None else None)
        if length is not None:
            parts.append(f"{name} = {lengths.text_of(length)}")
    return ", ".join(parts) or "a condition that never holds"


def _check_accuracy(statement: syntax.Accuracy, scope: Scope, assembly: Assembly) -> None:
    for name in statement.functions:
        if name.name not in functions.FUNCTIONS:
            definition = scope.module.definition(name.name)
            hint = nearest(name.name, functions.FUNCTIONS)
            if definition is not None:
                hint = f"`{name.name}` is a def; name the built-in functions in its body"
            assembly.reporter.error(
                "LAM701", f"`{name.name}` is not a built-in function", name.span, "a built-in scalar function", hint=hint
            )
    names = tuple(name.name for name in statement.functions)
    assembly.accuracies.append(checked.Accuracy(names, statement.unit, statement.value))  # type: ignore[arg-type]


_METHODS: Mapping[type, Callable[..., None]] = {
    syntax.Let: _check_let,
    syntax.Out: _check_out,
    syntax.Require: _check_require,
    syntax.Accuracy: _check_accuracy,
}
