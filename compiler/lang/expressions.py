"""Expressions: from syntax to the checked expression, its axes and its kind.

In: the syntax of an expression, and the scope it stands in. Out: `checked.Expr`.
Holds: calls of defs and uses of constants are expanded, their names apart from the caller's; nothing is simplified, so that
floating-point structure stays as written; every mistake in a statement is recorded, and then Failed is raised.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import sympy

from ..spans import Span
from . import functions, indices, recurrences, reductions, syntax
from .checked import Apply, Carried, Expr, IndexValue, LengthValue, Number
from .diagnostics import Failed, Reporter, nearest
from .functions import Function
from .integers import axis_of, integer, length_of, unknown_length
from .lengths import Length
from .orders import check_order
from .scope import Assembly, AxisSlot, CarriedValue, Readable, RunningIndex, Scope, Unusable, Value
from .tree import BOUNDARIES


class ExpressionChecker:
    """Checks expressions in one scope. In brackets (of a gather) an axis name is the running index, not the length."""

    def __init__(self, scope: Scope, assembly: Assembly, in_brackets: bool = False) -> None:
        self.scope = scope
        self.assembly = assembly
        self.in_brackets = in_brackets

    @property
    def reporter(self) -> Reporter:
        return self.assembly.reporter

    def within(self, values: dict[str, Value]) -> ExpressionChecker:
        """The same, with further names."""
        return ExpressionChecker(self.scope.with_values(values), self.assembly, self.in_brackets)

    def inside_brackets(self) -> ExpressionChecker:
        return ExpressionChecker(self.scope, self.assembly, in_brackets=True)

    # ------------------------------------------------------------------------------------------ entry points

    def expression(self, node: syntax.Expression) -> Expr:
        self.assembly.step(node.span)
        self.assembly.depth += 1
        try:
            return _METHODS[type(node)](self, node)
        finally:
            self.assembly.depth -= 1

    def expressions(self, nodes: Sequence[syntax.Expression]) -> tuple[Expr, ...]:
        """Several expressions; the mistakes of all are recorded before Failed is raised."""
        checked: list[Expr] = []
        failed: Failed | None = None
        for node in nodes:
            try:
                checked.append(self.expression(node))
            except Failed as failure:
                failed = failure
        if failed is not None:
            raise failed
        return tuple(checked)

    def integer(self, node: syntax.Expression) -> Length:
        return integer(node, self.scope, self.reporter)

    def axis(self, node: syntax.AxisName) -> AxisSlot:
        """An axis whose length is settled."""
        slot = axis_of(node, self.scope, self.reporter)
        if slot.length is None:
            raise unknown_length(node, self.reporter)
        return slot

    def value_of(self, node: syntax.Name) -> Value | None:
        """What a name means; None for constants and unknown names. Raises Failed for names that cannot be read."""
        value = self.scope.values.get(node.name)
        if isinstance(value, Unusable):
            if value.why is None:
                raise Failed
            raise self.reporter.error(value.code, value.why, node.span, hint=value.hint)
        return value

    @staticmethod
    def kind_text(expression: Expr) -> str:
        return functions.KIND_NAMES[expression.kind]

    def check_hiding(self, name: str, span: Span, what: str) -> None:
        """Refuses a local name that would hide another one."""
        if name in self.scope.values and not isinstance(self.scope.values[name], Unusable):
            raise self.reporter.error("LAM104", f"{what} `{name}` hides another `{name}`", span, hint="choose another name")

    # ------------------------------------------------------------------------------------------ making values

    def number(self, value: int | float, span: Span) -> Expr:
        return Number((), "int" if isinstance(value, int) else "real", self.reporter.place(span), value)

    def length_value(self, length: Length, span: Span) -> Expr:
        return LengthValue((), "int", self.reporter.place(span), sympy.sympify(length))

    def index_value(self, axis: str, low: Length, span: Span) -> Expr:
        running: Expr = IndexValue((axis,), "int", self.reporter.place(span), axis)
        if isinstance(low, int) and low == 0:
            return running
        start = self.number(low, span) if isinstance(low, int) else self.length_value(low, span)
        return self.apply("add", functions.OPERATORS["add"], (running, start), (span, span), span)

    def apply(
        self,
        name: str,
        function: Function,
        arguments: tuple[Expr, ...],
        places: Sequence[Span],
        span: Span,
        shown: str | None = None,
    ) -> Expr:
        """A scalar operation on checked arguments; `places` are theirs in the text, `shown` its name there."""
        self._check_kinds(shown or f"`{name}`", function, arguments, places)
        axes = tuple(dict.fromkeys(axis for argument in arguments for axis in argument.axes))
        kind = function.result(*(argument.kind for argument in arguments))
        made = Apply(axes, kind, self.reporter.place(span), name, arguments)
        return self.assembly.made(made, *arguments)

    def _check_kinds(self, shown: str, function: Function, arguments: tuple[Expr, ...], places: Sequence[Span]) -> None:
        failed: Failed | None = None
        for argument, accepted, place in zip(arguments, function.accepts, places, strict=True):
            if argument.kind not in accepted:
                failed = self.reporter.error(
                    "LAM401",
                    f"{shown} does not take {self.kind_text(argument)}",
                    place,
                    functions.kinds_text(accepted),
                    self.kind_text(argument),
                    _kind_hint(argument, accepted),
                )
        if failed is not None:
            raise failed
        free = [argument for argument, accepted in zip(arguments, function.accepts, strict=True) if accepted == functions.ANY]
        if len({argument.kind == "bool" for argument in free}) == 2:
            first, second = (self.kind_text(argument) for argument in free)
            raise self.reporter.error("LAM401", f"{shown} mixes a truth value with a number", places[-1], first, second)

    # ------------------------------------------------------------------------------------------ names

    def _number(self, node: syntax.Number) -> Expr:
        return self.number(node.value, node.span)

    def _axis_name(self, node: syntax.AxisName) -> Expr:
        if self.in_brackets and node.name in self.scope.axes:
            return self.index_value(self.axis(node).name, 0, node.span)
        return self.length_value(length_of(node, self.scope, self.reporter), node.span)

    def _axis_function(self, node: syntax.AxisFunction) -> Expr:
        if node.function == "len":
            return self.length_value(length_of(node.axis, self.scope, self.reporter), node.span)
        return self.index_value(self.axis(node.axis).name, 0, node.span)

    def _name(self, node: syntax.Name) -> Expr:
        value = self.value_of(node)
        if isinstance(value, Readable):
            return indices.bare_read(value, self, node.span)
        if isinstance(value, RunningIndex):
            return self.index_value(value.axis, value.low, node.span)
        if isinstance(value, CarriedValue):
            return Carried(value.axes, value.kind, self.reporter.place(node.span), value.name)
        if isinstance(value, Expr):
            return value
        constant = self.scope.module.constant(node.name)
        if constant is not None:
            definition, module = constant
            if module.has_failed(definition):
                raise Failed
            with self.reporter.inside(node.name, node.span):
                return ExpressionChecker(Scope(module), self.assembly).expression(definition.value)
        if node.name in functions.CONSTANTS:
            return self.number(functions.CONSTANTS[node.name], node.span)
        raise self._unknown_name(node)

    def _unknown_name(self, node: syntax.Name) -> Failed:
        module = self.scope.module
        if node.name in module.broken:
            return Failed()
        if node.name in functions.FUNCTIONS or module.definition(node.name) is not None:
            return self.reporter.error(
                "LAM110", f"`{node.name}` is a function", node.span, "a value", hint=f"call it: `{node.name}(...)`"
            )
        known = [*self.scope.values, *module.constant_names(), *functions.CONSTANTS]
        return self.reporter.error("LAM101", f"unknown name `{node.name}`", node.span, hint=nearest(node.name, known))

    def _read(self, node: syntax.Read) -> Expr:
        if node.source.name not in self.scope.values:
            raise self._unknown_name(node.source)
        return indices.indexed_read(node, self)

    # ------------------------------------------------------------------------------------------ operators and calls

    def _unary(self, node: syntax.Unary) -> Expr:
        operand = self.expression(node.operand)
        return self._operator(node.operator, (operand,), (node.operand.span,), node.span)

    def _binary(self, node: syntax.Binary) -> Expr:
        arguments = self.expressions((node.left, node.right))
        return self._operator(node.operator, arguments, (node.left.span, node.right.span), node.span)

    def _operator(self, operator: str, arguments: tuple[Expr, ...], places: Sequence[Span], span: Span) -> Expr:
        function = functions.OPERATORS[operator]
        if operator == "pow" and functions.is_exact_power(*arguments):
            function = dataclasses.replace(function, result=lambda *kinds: "int")
        return self.apply(operator, function, arguments, places, span, f"`{functions.SIGNS.get(operator, operator)}`")

    def _call(self, node: syntax.Call) -> Expr:
        name = node.function.name
        function = functions.FUNCTIONS.get(name)
        found = None if function is not None else self.scope.module.definition(name)
        if function is None and found is None:
            raise self._unknown_function(node)
        if node.sizes:
            raise self.reporter.error(
                "LAM504", f"`{name}` is a function and takes no sizes", node.sizes[0].span, hint="only layers are given sizes"
            )
        arguments = self.expressions(node.arguments)
        if function is not None:
            return self._built_in(node, function, arguments)
        assert found is not None
        return self._expand(node, found, arguments)

    def _built_in(self, node: syntax.Call, function: Function, arguments: tuple[Expr, ...]) -> Expr:
        name = node.function.name
        check_counts(node, 0, function.arity, self.reporter)
        made = self.apply(name, function, arguments, [argument.span for argument in node.arguments], node.span)
        if function.has_order:
            check_order(name, arguments[0], node.arguments[0], self)
        return made

    def _expand(self, node: syntax.Call, found: Any, arguments: tuple[Expr, ...]) -> Expr:
        """The body of a def, with the arguments for its parameters and the caller's axes for its own."""
        definition, module = found
        check_counts(node, len(definition.axes), len(definition.parameters), self.reporter)
        if module.has_failed(definition):
            raise Failed
        axes = {
            parameter.name: axis_of(axis, self.scope, self.reporter)
            for parameter, axis in zip(definition.axes, node.axes, strict=True)
        }
        values: dict[str, Value] = {
            parameter.name: argument for parameter, argument in zip(definition.parameters, arguments, strict=True)
        }
        with self.reporter.inside(definition.name.name, node.span):
            return ExpressionChecker(Scope(module, axes=axes, values=values), self.assembly).expression(definition.body)

    def _unknown_function(self, node: syntax.Call) -> Failed:
        name, span, module = node.function.name, node.function.span, self.scope.module
        if name in module.broken:
            return Failed()
        if name in functions.REDUCTIONS:
            return self.reporter.error("LAM502", f"`{name}` needs the axes it runs over", span, f"{name}[AXIS](...)")
        if name in functions.TRANSFORMS:
            return self.reporter.error("LAM502", f"`{name}` needs its axes", span, f"{name}[AXIS -> AXIS](...)")
        if name in BOUNDARIES:
            return self.reporter.error(
                "LAM107",
                f"`{name}` says how a tensor is read beyond its ends",
                node.span,
                f"{name}(NAME)[...]",
                hint="give its indices",
            )
        if name in ("normal", "uniform", "fit"):
            return self.reporter.error(
                "LAM602",
                f"`{name}` is an initial value, not a function",
                span,
                "the whole of what follows `=` in a param or buffer",
            )
        if module.layer(name) is not None:
            return self.reporter.error(
                "LAM503",
                f"`{name}` is a layer; its call must stand alone",
                node.span,
                "a `let` with its axes, and nothing but the call in it",
                hint=f"let h[...] = {name}(...)",
            )
        if isinstance(self.scope.values.get(name), (Readable, CarriedValue, RunningIndex)):
            return self.reporter.error(
                "LAM107", f"`{name}` is not a function", span, hint="index a tensor with `[...]`; multiply by `*`"
            )
        known = [*functions.FUNCTIONS, *functions.REDUCTIONS, *module.definition_names()]
        hint = nearest(name, known)
        if module.is_library_entry(name):
            hint = f"it is in the library: write `use {name}` above the layer"
        return self.reporter.error("LAM107", f"unknown function `{name}`", span, hint=hint)

    # ------------------------------------------------------------------------------------------ larger constructs

    def _reduction(self, node: syntax.Reduction) -> Expr:
        return reductions.check_reduction(node, self)

    def _transform(self, node: syntax.Transform) -> Expr:
        return reductions.check_transform(node, self)

    def _scan(self, node: syntax.Scan) -> Expr:
        return recurrences.check_scan(node, self)

    def _iterate(self, node: syntax.Iterate) -> Expr:
        return recurrences.check_iterate(node, self)


def check_counts(node: syntax.Call, axes: int, arguments: int, reporter: Reporter) -> None:
    """Refuses a call with another number of axes or arguments than the function has."""
    name = node.function.name
    if len(node.arguments) != arguments:
        raise reporter.error(
            "LAM501", f"wrong number of arguments for `{name}`", node.span, str(arguments), str(len(node.arguments))
        )
    if len(node.axes) != axes:
        letters = ", ".join(f"AXIS{i + 1}" if axes > 1 else "AXIS" for i in range(axes))
        call = f"{name}[{letters}](...)" if axes else f"{name}(...)"
        raise reporter.error("LAM502", f"wrong number of axes for `{name}`", node.span, f"{axes}: `{call}`", str(len(node.axes)))


def _kind_hint(argument: Expr, accepted: frozenset[str]) -> str | None:
    if argument.kind == "bool":
        return "turn it into a number: `select(condition, 1, 0)`"
    if argument.kind == "complex":
        return "take its real part `re(z)`, its imaginary part `im(z)` or its magnitude `abs(z)`"
    if accepted == functions.BOOLEANS:
        return "make it a condition: `x != 0`"
    return None


_METHODS: dict[type, Callable[[ExpressionChecker, Any], Expr]] = {
    syntax.Number: ExpressionChecker._number,
    syntax.Name: ExpressionChecker._name,
    syntax.AxisName: ExpressionChecker._axis_name,
    syntax.AxisFunction: ExpressionChecker._axis_function,
    syntax.Unary: ExpressionChecker._unary,
    syntax.Binary: ExpressionChecker._binary,
    syntax.Read: ExpressionChecker._read,
    syntax.Call: ExpressionChecker._call,
    syntax.Reduction: ExpressionChecker._reduction,
    syntax.Transform: ExpressionChecker._transform,
    syntax.Scan: ExpressionChecker._scan,
    syntax.Iterate: ExpressionChecker._iterate,
}
