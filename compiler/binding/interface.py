"""What a layer takes and gives, and how its lengths follow from the shapes of a call.

In: the layer's graph and its requirements. Out: `Interface`, which solves lengths and says the shapes of results. Holds: the work
is arithmetic on the dimensions alone, so the same code serves integers and torch's symbolic integers (fakes under torch.compile
and torch.export); messages come from `ir.lengths`, which is only asked where a call is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy
import torch

from ..errors import ArgumentError
from ..ir.graph import Entry, Graph, TensorSpec, entry_length
from ..ir.lengths import solve_lengths, symbols
from ..lang.checked import ELLIPSIS, CheckedLayer
from ..runtime.execute import Bound
from .expressions import function, python_text


@dataclass(frozen=True)
class Condition:
    """A requirement: Python text over `n`, the condition as written, what to say when it fails, and where it stands."""

    test: str
    text: str
    message: str | None
    place: str


def conditions(checked: CheckedLayer) -> tuple[Condition, ...]:
    return tuple(
        Condition(python_text(sympy.sympify(each.condition)), each.text, each.message, str(each.span))
        for each in checked.requirements
    )


@dataclass(frozen=True)
class _Step:
    """n[symbol] = solution(n), n["?"] being the length of `dimension` (negative: from the end) of tensor number `tensor`."""

    tensor: int
    dimension: int
    symbol: str
    solution: str


@dataclass(frozen=True)
class Interface:
    """The layer's tensors and results; `graph` is at level "layer"."""

    graph: Graph
    conditions: tuple[Condition, ...]

    @cached_property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.graph.inputs

    @cached_property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return tuple(output.spec for output in self.graph.outputs)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.graph.inputs)

    @cached_property
    def _dimensions(self) -> dict[str, tuple[str | None, ...]]:
        """For each tensor the Python text of each entry's length; None for `...`."""
        lengths = self.graph.axis_lengths
        return {spec.name: tuple(_text(entry, lengths) for entry in spec.entries) for spec in (*self.inputs, *self.outputs)}

    @cached_property
    def _steps(self) -> tuple[tuple[_Step, ...], bool]:
        """How each unknown length is computed, and whether that gives all of them."""
        lengths = self.graph.axis_lengths
        pending = [
            (number, place, entry_length(entry, lengths))
            for number, spec in enumerate(self.inputs)
            for place, entry in _places(spec)
        ]
        known: set[str] = set()
        steps: list[_Step] = []
        progress = True
        while pending and progress:
            progress = False
            for each in list(pending):
                number, place, length = each
                unknown = [symbol for symbol in symbols(length) if symbol.name not in known]
                if not unknown:
                    pending.remove(each)
                elif len(unknown) == 1 and (solution := _solution(length, unknown[0])) is not None:
                    steps.append(_Step(number, place, unknown[0].name, solution))
                    known.add(unknown[0].name)
                    pending.remove(each)
                    progress = True
        needed = {symbol.name for axis in self.graph.axes for symbol in symbols(axis.length)} - {ELLIPSIS}
        return tuple(steps), needed <= known

    @cached_property
    def _axes(self) -> tuple[tuple[str, str], ...]:
        return tuple((axis.name, python_text(axis.length)) for axis in self.graph.axes if axis.name != ELLIPSIS)

    def bind(self, shapes: Sequence[Sequence[int]]) -> Bound:
        """The lengths of a call, checked. Errors: ArgumentError, by tensor and dimension, or with a requirement that fails."""
        bound = self._solve(shapes)
        if bound is None or not self._fits(shapes, bound):
            solved = solve_lengths(self.inputs, self.graph.axes, dict(zip(self.names, shapes, strict=True)))
            bound = Bound(solved.values, solved.leading or ())
        for condition in self.conditions:
            if not function(condition.test)(bound.values):
                raise ArgumentError(self._broken(condition, bound))
        return bound

    def bind_symbolic(self, shapes: Sequence[Sequence[Any]]) -> Bound:
        """As `bind`, for shapes that may hold SymInts: what cannot be checked now becomes a guard of the traced graph."""
        if all(isinstance(length, int) for shape in shapes for length in shape):
            return self.bind(shapes)
        bound = self._solve(shapes)
        if bound is None:
            raise ArgumentError(f"layer {self.graph.name}: a length cannot be solved symbolically: trace with static shapes")
        for number, dimension, expected, found in self._expectations(shapes, bound):
            said = f"{self.names[number]}: dimension {dimension} must be {expected}, found {found}"
            torch._check(expected == found, lambda said=said: said)
        for condition in self.conditions:
            torch._check(function(condition.test)(bound.values), lambda condition=condition: f"expected: {condition.text}")
        return bound

    def _solve(self, shapes: Sequence[Sequence[Any]]) -> Bound | None:
        steps, complete = self._steps
        if not complete:
            return None
        leading: tuple[Any, ...] | None = None
        for spec, shape in zip(self.inputs, shapes, strict=True):
            place = leading_place(spec)
            if len(shape) < len(spec.entries) - (place is not None) or (place is None and len(shape) != len(spec.entries)):
                return None
            if place is not None and leading is None:
                leading = tuple(shape[place : place + len(shape) - len(spec.entries) + 1])
        values: dict[str, Any] = {}
        if leading is not None:
            product: Any = 1
            for length in leading:
                product = product * length
            values[ELLIPSIS] = product
        for step in steps:
            values["?"] = shapes[step.tensor][step.dimension]
            try:
                values[step.symbol] = function(step.solution)(values)
            except ZeroDivisionError:
                return None
        values.pop("?", None)
        sizes = dict(values)
        for name, text in self._axes:
            sizes[name] = function(text)(values)
        return Bound(sizes, leading or ())

    def _expectations(self, shapes: Sequence[Sequence[Any]], bound: Bound) -> list[tuple[int, int, Any, Any]]:
        """(tensor, dimension, expected, found) for every dimension, those of `...` included."""
        found: list[tuple[int, int, Any, Any]] = []
        for number, (spec, shape) in enumerate(zip(self.inputs, shapes, strict=True)):
            expected: list[Any] = []
            for text in self._dimensions[spec.name]:
                expected.extend(bound.leading if text is None else (function(text)(bound.values),))
            if len(expected) != len(shape):
                raise ArgumentError(f"{spec.name}: expected {len(expected)} dimensions, found {len(shape)}")
            found.extend((number, dimension, *pair) for dimension, pair in enumerate(zip(expected, shape, strict=True)))
        return found

    def _fits(self, shapes: Sequence[Sequence[int]], bound: Bound) -> bool:
        try:
            expectations = self._expectations(shapes, bound)
        except ArgumentError:
            return False
        return all(value >= 0 for value in bound.values.values()) and all(
            expected == found for _, _, expected, found in expectations
        )

    def _broken(self, condition: Condition, bound: Bound) -> str:
        named = ", ".join(f"{name} = {value}" for name, value in bound.values.items() if f"n[{name!r}]" in condition.test)
        said = f"{condition.message}\n  " if condition.message else ""
        return f"{said}expected: {condition.text}\n  found: {named or 'sizes that break it'}\n  required at {condition.place}"

    def shape(self, spec: TensorSpec, bound: Bound) -> tuple[Any, ...]:
        """The stored shape of one of the layer's tensors or results at a call."""
        shape: list[Any] = []
        for text in self._dimensions[spec.name]:
            shape.extend(bound.leading if text is None else (function(text)(bound.values),))
        return tuple(shape)


def leading_place(spec: TensorSpec) -> int | None:
    """Where `...` stands among the entries of a tensor."""
    return next((place for place, entry in enumerate(spec.entries) if entry.axes == (ELLIPSIS,)), None)


def _places(spec: TensorSpec) -> list[tuple[int, Entry]]:
    """Each entry but `...`, with its dimension, counted from the end where `...` stands before it."""
    place = leading_place(spec)
    count = len(spec.entries)
    return [
        (number if place is None or number < place else number - count, entry)
        for number, entry in enumerate(spec.entries)
        if number != place
    ]


def _text(entry: Entry, lengths: Mapping[str, sympy.Expr]) -> str | None:
    return None if entry.axes == (ELLIPSIS,) else python_text(sympy.expand(entry_length(entry, dict(lengths))))


def _solution(length: sympy.Expr, symbol: sympy.Symbol) -> str | None:
    """The symbol's value where length = n["?"], for a length linear in it; a remainder shows when lengths are checked."""
    found = sympy.Symbol("?", integer=True, nonnegative=True)
    expanded = sympy.expand(length)
    slope = expanded.coeff(symbol, 1)
    rest = sympy.expand(expanded - slope * symbol)
    if slope == 0 or slope.has(symbol) or rest.has(symbol):
        return None
    difference = python_text(found) if rest == 0 else f"({python_text(found)} - {python_text(rest)})"
    return difference if slope == 1 else f"({difference} // {python_text(slope)})"
