"""Scans and iterations: values that are carried from one step to the next.

In: the syntax of `scan[L](h = h0 : f(h))` and `iterate[n](z = z0 : f(z))`. Out: `checked.Scan` and `checked.Iterate`.
Holds: the axes and the kind of a carried value are the least that hold both its initial value and what each step makes of it.
They are found by trying: each trial starts from those the last one asked for, until a trial asks for no more. Where a step cannot
be checked so (`h / sum[D](h)`, before h is known to vary along D), the first trial also has the axes that the step names for its
reductions, and the next ones only those that the last one made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..spans import Span
from . import syntax
from .checked import Expr, Iterate, Kind, Scan
from .diagnostics import Failed
from .functions import KIND_NAMES, joined
from .integers import known_integer
from .scope import CarriedValue

if TYPE_CHECKING:
    from .expressions import ExpressionChecker

MAXIMUM_STEPS = 65_536

_Carried = tuple[tuple[Expr, ...], tuple[Expr, ...], tuple[CarriedValue, ...]]  # initial values, bodies, carried values


def check_scan(node: syntax.Scan, checker: ExpressionChecker) -> Expr:
    axis = checker.axis(node.axis).name
    initials, bodies, (carried,) = _carry((node.binding,), (node.body,), (axis,), node, checker)
    axes = tuple(dict.fromkeys((*carried.axes, axis)))
    if axis in bodies[0].axes:
        axes = tuple(dict.fromkeys((*(a for a in bodies[0].axes if a == axis or a in carried.axes), *axes)))
    made = Scan(axes, carried.kind, checker.reporter.place(node.span), axis, carried.name, initials[0], bodies[0])
    return checker.assembly.made(made, *initials, *bodies)


def check_iterate(node: syntax.Iterate, checker: ExpressionChecker) -> Expr:
    count = known_integer(node.count, checker.scope, checker.reporter, "the number of steps")
    if not 0 <= count <= MAXIMUM_STEPS:
        raise checker.reporter.error("LAM309", "number of steps out of range", node.count.span, f"0 to {MAXIMUM_STEPS}", str(count))
    initials, bodies, carried = _carry(node.bindings, node.bodies, (), node, checker)
    names = tuple(value.name for value in carried)
    made = Iterate(carried[0].axes, carried[0].kind, checker.reporter.place(node.span), count, names, initials, bodies)
    return checker.assembly.made(made, *initials, *bodies)


def _carry(
    bindings: tuple[syntax.Binding, ...],
    nodes: tuple[syntax.Expression, ...],
    running: tuple[str, ...],
    node: syntax.Scan | syntax.Iterate,
    checker: ExpressionChecker,
) -> _Carried:
    """Initial values, bodies, and the carried values that hold both; `running` is the axis of a scan."""
    names = [binding.name for binding in bindings]
    for position, binding in enumerate(bindings):
        checker.check_hiding(binding.name, binding.span, "the running value")
        if binding.name in names[:position]:
            raise checker.reporter.error("LAM102", f"`{binding.name}` is named twice", binding.span)
    initials = checker.expressions([binding.initial for binding in bindings])
    for binding, initial in zip(bindings, initials, strict=True):
        if any(axis in initial.axes for axis in running):
            raise checker.reporter.error(
                "LAM208",
                f"the value before the first step must not vary along `{running[0]}`",
                binding.span,
                "a value without that axis",
                f"one with the axes {', '.join(f'`{axis}`' for axis in initial.axes)}",
            )
    carried = tuple(
        CarriedValue(checker.assembly.unique(binding.name), initial.axes, initial.kind)
        for binding, initial in zip(bindings, initials, strict=True)
    )

    def joined_with(values: tuple[CarriedValue, ...], bodies: tuple[Expr, ...]) -> tuple[CarriedValue, ...]:
        return tuple(_wider(value, body, running, node.span, checker) for value, body in zip(values, bodies, strict=True))

    def step(values: tuple[CarriedValue, ...]) -> tuple[Expr, ...]:
        return checker.within(dict(zip(names, values, strict=True))).expressions(nodes)

    def grown(values: tuple[CarriedValue, ...]) -> _Carried:
        while True:
            mark = checker.assembly.mark()
            bodies = step(values)
            wider = joined_with(values, bodies)
            if wider == values:
                return initials, bodies, values
            checker.assembly.rewind(mark)
            values = wider

    mark, recorded = checker.assembly.mark(), checker.reporter.mark()
    try:
        return grown(carried)
    except Failed:
        named = tuple(axis for axis in dict.fromkeys(_reduced(nodes)) if axis in checker.assembly.axes and axis not in running)
        wide = tuple(replace(value, axes=tuple(dict.fromkeys((*value.axes, *named)))) for value in carried)
        if wide == carried:
            raise
        mistakes = checker.reporter.mark()
        checker.reporter.rewind(recorded)
        try:
            checker.assembly.rewind(mark)
            narrower = joined_with(carried, step(wide))
            checker.assembly.rewind(mark)
            found = grown(narrower)
            if joined_with(carried, found[1]) == found[2]:  # no axis that only the trial brought in
                return found
        except Failed:
            pass
        checker.reporter.rewind(mistakes)
        raise


def _reduced(nodes: Sequence[syntax.Node]) -> Iterator[str]:
    """The axes that expressions name for their reductions, those of functions included."""
    for node in nodes:
        if isinstance(node, syntax.Reduction):
            yield from (over.name for over in node.over if isinstance(over, syntax.AxisName))
        elif isinstance(node, syntax.Call):
            yield from (axis.name for axis in node.axes)
        yield from _reduced(syntax.children(node))


def _wider(value: CarriedValue, body: Expr, running: tuple[str, ...], span: Span, checker: ExpressionChecker) -> CarriedValue:
    kind: Kind = value.kind
    if (kind == "bool") != (body.kind == "bool"):
        raise checker.reporter.error(
            "LAM401", "a step changes the kind of the running value", span, KIND_NAMES[kind], checker.kind_text(body)
        )
    axes = tuple(dict.fromkeys((*value.axes, *(axis for axis in body.axes if axis not in running))))
    return CarriedValue(value.name, axes, joined(kind, body.kind))
