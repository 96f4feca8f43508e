"""Integer expressions of the text: sizes, lengths and ranges.

In: syntax, and the scope it stands in. Out: a length (an integer, or an expression in length symbols).
Holds: `/` rounds down; a result is exact; every failure is a diagnostic.
"""

from __future__ import annotations

from . import lengths, syntax
from .diagnostics import Failed, Reporter, nearest
from .lengths import ArithmeticProblem, Length
from .scope import AxisSlot, RunningIndex, Scope

_OPERATIONS = {
    "add": lengths.add,
    "sub": lengths.subtract,
    "mul": lengths.multiply,
    "div": lengths.divide,
    "pow": lengths.power,
}


def integer(node: syntax.Expression, scope: Scope, reporter: Reporter) -> Length:
    """The value of an integer expression. Raises Failed where it is none."""
    if isinstance(node, syntax.Number):
        if isinstance(node.value, int):
            return node.value
        raise reporter.error("LAM303", "not an integer", node.span, "an integer", f"{node.value:g}")
    if isinstance(node, syntax.AxisName):
        return length_of(node, scope, reporter)
    if isinstance(node, syntax.AxisFunction) and node.function == "len":
        return length_of(node.axis, scope, reporter)
    if isinstance(node, syntax.Unary) and node.operator == "neg":
        return -integer(node.operand, scope, reporter)
    if isinstance(node, syntax.Binary) and node.operator in _OPERATIONS:
        left = integer(node.left, scope, reporter)
        right = integer(node.right, scope, reporter)
        try:
            return _OPERATIONS[node.operator](left, right)
        except ArithmeticProblem as problem:
            raise reporter.error("LAM306", f"this arithmetic has no result: {problem}", node.span) from None
    if isinstance(node, syntax.Name):
        value = scope.values.get(node.name)
        constant = scope.module.constant(node.name) if value is None else None
        if constant is not None:
            definition, module = constant
            if module.has_failed(definition):
                raise Failed
            with reporter.inside(node.name, node.span):
                return integer(definition.value, Scope(module), reporter)
        if isinstance(value, RunningIndex):
            raise reporter.error(
                "LAM303", f"`{node.name}` runs; a length must not depend on it", node.span, "sizes, lengths and integers"
            )
    hint = None
    if isinstance(node, syntax.Name) and node.name not in scope.values:
        hint = f"axes and sizes begin with an upper-case letter: `{node.name[0].upper()}{node.name[1:]}`"
    expected = "integer arithmetic on sizes, lengths and literals"
    raise reporter.error("LAM303", "not an integer expression", node.span, expected, hint=hint)


def known_integer(node: syntax.Expression, scope: Scope, reporter: Reporter, what: str) -> int:
    """The value of an integer expression that must be known when the layer is compiled; `what` names it in the error."""
    value = integer(node, scope, reporter)
    if not isinstance(value, int):
        raise needs_value(value, what, node, reporter)
    return value


def needs_value(value: Length, what: str, node: syntax.Node, reporter: Reporter) -> Failed:
    names = lengths.symbols_of(value)
    sizes = ", ".join(f"'{name}': ..." for name in names)
    return reporter.error(
        "LAM307",
        f"{what} must be known when the layer is compiled",
        node.span,
        "an integer",
        f"`{lengths.text_of(value)}`, known only at the call",
        f"make {' and '.join(f'`{name}`' for name in names)} a size of the layer and give it a value: "
        f"lamina.compile(..., sizes={{{sizes}}})",
    )


def length_of(node: syntax.AxisName, scope: Scope, reporter: Reporter) -> Length:
    """The length of an axis or the value of a size."""
    if node.name in scope.sizes:
        return scope.sizes[node.name]
    slot = axis_of(node, scope, reporter)
    if slot.length is None:
        raise unknown_length(node, reporter)
    return slot.length


def unknown_length(node: syntax.AxisName, reporter: Reporter) -> Failed:
    return reporter.error(
        "LAM203",
        f"axis `{node.name}` has no length here",
        node.span,
        "an axis of a tensor, a size, or an axis whose length is given before this place",
        hint=f"declare its length: `axis {node.name} = ...`",
    )


def axis_of(node: syntax.AxisName, scope: Scope, reporter: Reporter) -> AxisSlot:
    """The axis of a name. Raises Failed where there is none."""
    slot = scope.axes.get(node.name)
    if slot is not None:
        return slot
    if node.name in scope.sizes:
        raise reporter.error(
            "LAM201",
            f"`{node.name}` is a size, not an axis of any tensor",
            node.span,
            "an axis",
            hint=f"to run over it, name an index: `k < {node.name}`",
        )
    raise reporter.error(
        "LAM201",
        f"unknown axis or size `{node.name}`",
        node.span,
        hint=nearest(node.name, [*scope.axes, *scope.sizes]) or _list_of_axes(scope),
    )


def _list_of_axes(scope: Scope) -> str | None:
    names = [name for name in scope.axes if name != "..."]
    return f"the axes are {', '.join(f'`{name}`' for name in names)}" if names else None
