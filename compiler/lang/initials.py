"""Initial values of parameters and buffers.

In: the syntax after `=` in a declaration. Out: `checked.Init`.
Holds: an initial value is made of numbers, lengths and running indices of the tensor's own axes; the ends of a fit are numbers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import sympy

from . import functions, lengths, syntax
from .checked import (
    Apply,
    Carried,
    Expr,
    ExpressionInit,
    FitInit,
    Init,
    LengthValue,
    NormalInit,
    Number,
    UniformInit,
    ValuesInit,
)
from .expressions import ExpressionChecker
from .scope import Assembly, Readable, Scope, Unusable, Value

_DISTRIBUTIONS = {"normal": 1, "uniform": 2}


def check_init(declaration: syntax.Declaration, readable: Readable, scope: Scope, assembly: Assembly) -> Init | None:
    """The initial value of a tensor, None for an input. Raises Failed where it is missing or does not fit."""
    reporter = assembly.reporter
    node = declaration.init
    if declaration.role == "in":
        if node is not None:
            raise reporter.error(
                "LAM602", "an input has no initial value", node.span, hint="if it is to be trained, make it a `param`"
            )
        return None
    if node is None:
        raise reporter.error(
            "LAM601",
            f"`{declaration.name.name}` needs an initial value",
            declaration.span,
            "= normal(s), = uniform(a, b), = fit(f, lo, hi), = [numbers] or = expression",
            hint="for zeros write `= 0`",
        )
    if isinstance(node, syntax.NumberList):
        return _values(node, readable, assembly)
    checker = _init_checker(scope, assembly)
    if isinstance(node, syntax.Call) and node.function.name in _DISTRIBUTIONS:
        return _distribution(node, readable, checker)
    if isinstance(node, syntax.Call) and node.function.name == "fit":
        return _fit(node, readable, checker)
    value = checker.expression(node)
    _check_axes(value, node, readable, checker)
    order = functions.ORDER
    fits = (
        value.kind == "bool"
        if readable.kind == "bool"
        else value.kind != "bool" and order.index(value.kind) <= order.index(readable.kind)
    )
    if not fits:
        raise reporter.error(
            "LAM603",
            f"the initial value does not fit the dtype of `{readable.name}`",
            node.span,
            functions.KIND_NAMES[readable.kind],
            functions.KIND_NAMES[value.kind],
        )
    return ExpressionInit(value)


def _init_checker(scope: Scope, assembly: Assembly) -> ExpressionChecker:
    """A checker in which tensors cannot be read."""
    why = "an initial value cannot depend on a tensor"
    hint = "it is made of numbers, lengths and index(AXIS)"
    values: dict[str, Value] = {name: Unusable("LAM602", why, hint) for name in scope.values}
    return ExpressionChecker(dataclasses.replace(scope, values=values), assembly)


def _check_axes(value: Expr, node: syntax.Node, readable: Readable, checker: ExpressionChecker) -> None:
    own = [axis for dimension in readable.dimensions for axis in dimension.axes]
    for axis in value.axes:
        if axis not in own:
            raise checker.reporter.error(
                "LAM202", f"the initial value varies along `{axis}`, which `{readable.name}` does not have", node.span
            )


def _values(node: syntax.NumberList, readable: Readable, assembly: Assembly) -> ValuesInit:
    if not readable.dimensions:
        raise assembly.reporter.error("LAM603", f"`{readable.name}` is a single number", node.span, "one number", "a list")
    length = readable.dimensions[-1].length
    count = len(node.values)
    verdict = lengths.equal(length, count)
    if verdict is False:
        raise assembly.reporter.error(
            "LAM603",
            f"the list does not fit the last axis of `{readable.name}`",
            node.span,
            f"{lengths.text_of(length)} numbers, one for each step of `{readable.dimensions[-1].text}`",
            str(count),
        )
    if verdict is None:
        text = f"{lengths.text_of(length)} == {count}"
        message = f"the list of initial values of `{readable.name}` has {count} numbers"
        assembly.require(sympy.Eq(length, count), text, message, assembly.reporter.place(node.span))
    return ValuesInit(node.values)


def _distribution(node: syntax.Call, readable: Readable, checker: ExpressionChecker) -> Init:
    name = node.function.name
    arguments = _numbers(node, _DISTRIBUTIONS[name], readable, checker)
    if readable.kind not in ("real", "complex"):
        raise checker.reporter.error(
            "LAM603", f"`{name}` gives real numbers", node.span, functions.KIND_NAMES[readable.kind], "random real numbers"
        )
    return NormalInit(arguments[0]) if name == "normal" else UniformInit(*arguments)


def _numbers(node: syntax.Call, count: int, readable: Readable, checker: ExpressionChecker) -> tuple[Expr, ...]:
    """The arguments of a distribution: real numbers."""
    if len(node.arguments) != count or node.axes or node.sizes:
        shown = {"normal": "normal(deviation)", "uniform": "uniform(low, high)"}[node.function.name]
        raise checker.reporter.error(
            "LAM501", f"wrong arguments for `{node.function.name}`", node.span, shown, f"{len(node.arguments)} arguments"
        )
    values = checker.expressions(node.arguments)
    for value, argument in zip(values, node.arguments, strict=True):
        _check_axes(value, argument, readable, checker)
        if value.kind not in functions.REAL_NUMBERS:
            raise checker.reporter.error(
                "LAM401", "not a real number", argument.span, "a real number", functions.KIND_NAMES[value.kind]
            )
    return values


# ---------------------------------------------------------------------------------------------- fit


def _fit(node: syntax.Call, readable: Readable, checker: ExpressionChecker) -> FitInit:
    reporter = checker.reporter
    if len(node.arguments) != 3 or node.axes or node.sizes:
        raise reporter.error(
            "LAM501", "wrong arguments for `fit`", node.span, "fit(FUNCTION, low, high)", f"{len(node.arguments)} arguments"
        )
    target, low_node, high_node = node.arguments
    if not isinstance(target, syntax.Name):
        raise reporter.error("LAM604", "`fit` takes the name of a function first", target.span, "a name such as `silu`")
    if readable.kind != "real":
        raise reporter.error(
            "LAM604", "only real parameters can be fitted", node.span, "a real dtype", functions.KIND_NAMES[readable.kind]
        )
    body = _function_of_one_number(target, checker)
    bounds = [_number(argument, checker) for argument in (low_node, high_node)]
    if not bounds[0] < bounds[1]:
        raise reporter.error(
            "LAM604", "the interval of a fit is empty", node.span, "low below high", f"{bounds[0]:g} to {bounds[1]:g}"
        )
    return FitInit(target.name, body, bounds[0], bounds[1])


def _function_of_one_number(target: syntax.Name, checker: ExpressionChecker) -> Expr:
    """The body of the function to fit, of the one free `Carried("fit")`."""
    variable: Expr = Carried((), "real", checker.reporter.place(target.span), "fit")
    parameter = syntax.Name(target.span, "x")
    call = syntax.Call(target.span, target, (), (parameter,), ())
    module = checker.scope.module
    found = module.definition(target.name)
    function = functions.FUNCTIONS.get(target.name)
    takes = len(found[0].parameters) if found else function.arity if function else None
    if takes is not None and (takes != 1 or (found is not None and found[0].axes)):
        raise checker.reporter.error(
            "LAM604", f"`{target.name}` cannot be fitted", target.span, "a function of one number, without axes"
        )
    body = ExpressionChecker(Scope(module, values={"x": variable}), checker.assembly).expression(call)
    if body.kind not in functions.REAL_NUMBERS:
        raise checker.reporter.error(
            "LAM604", f"`{target.name}` cannot be fitted", target.span, "a real function", functions.KIND_NAMES[body.kind]
        )
    return body


_ARITHMETIC: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: float(a) ** b,
    "neg": lambda a: -a,
    "abs": abs,
    "min": min,
    "max": max,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
}


def _number(node: syntax.Expression, checker: ExpressionChecker) -> float:
    """The value of an expression that is a finite number at compile time."""
    value = _evaluate(checker.expression(node), node, checker)
    if not math.isfinite(value):
        raise checker.reporter.error("LAM604", "not a finite number", node.span, "a finite number", f"{value}")
    return value


def _evaluate(value: Expr, node: syntax.Expression, checker: ExpressionChecker) -> float:
    if isinstance(value, Number):
        return float(value.value)
    if isinstance(value, LengthValue) and value.length.is_Integer:
        return float(value.length)
    if isinstance(value, Apply) and value.function in _ARITHMETIC:
        arguments = [_evaluate(argument, node, checker) for argument in value.arguments]
        try:
            result = _ARITHMETIC[value.function](*arguments)
        except (ArithmeticError, ValueError):
            result = math.nan
        return result if isinstance(result, float) else math.nan
    raise checker.reporter.error(
        "LAM307", "not known when the layer is compiled", node.span, "numbers, sizes with a value, + - * / ^ sqrt exp log"
    )
