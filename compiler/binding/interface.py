"""What a layer takes and gives, and how its lengths follow from the shapes of a call.

In: tensors and texts of lengths, made by `solving.py` or stored by an earlier process. Out: `Interface`, which solves lengths and
says the shapes of results. Holds: the work is arithmetic on the dimensions alone, so the same code serves integers and torch's
symbolic integers (fakes under torch.compile and torch.export); messages come from `ir.lengths`, which is only asked where a call is
wrong; the graph is not loaded before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from ..errors import ArgumentError
from ..ir.tensors import TensorSpec, leading_place
from ..lang.entries import ELLIPSIS, Entry
from ..runtime.execute import Bound
from .evaluation import function

if TYPE_CHECKING:
    from ..ir.graph import Graph


@dataclass(frozen=True)
class Condition:
    """A requirement: Python text over `n`, the condition as written, what to say when it fails, and where it stands."""

    test: str
    text: str
    message: str | None
    place: str


@dataclass(frozen=True)
class Step:
    """n[symbol] = solution(n), n["?"] being the length of `dimension` (negative: from the end) of tensor number `tensor`."""

    tensor: int
    dimension: int
    symbol: str
    solution: str


@dataclass(frozen=True)
class Interface:
    """The layer's tensors and results, and how its lengths are found.

    `steps`: how each unknown length is computed; `complete`: whether that gives all of them; `axes`: the length of each axis but
    `...`; `dimensions`: for each tensor that of each entry, None for `...`. All lengths are Python text over `n`. `load` gives the
    graph at level "layer".
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    conditions: tuple[Condition, ...]
    steps: tuple[Step, ...]
    complete: bool
    axes: tuple[tuple[str, str], ...]
    dimensions: Mapping[str, tuple[str | None, ...]]
    load: Callable[[], Graph] = field(compare=False, repr=False)

    @cached_property
    def graph(self) -> Graph:
        """The layer as written."""
        return self.load()

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.inputs)

    def to_json(self) -> dict[str, Any]:
        """Everything but the graph; `from_json` gives it back."""
        return {
            "name": self.name,
            "inputs": [spec_json(spec) for spec in self.inputs],
            "outputs": [spec_json(spec) for spec in self.outputs],
            "conditions": [list(astuple(each)) for each in self.conditions],
            "steps": [list(astuple(each)) for each in self.steps],
            "complete": self.complete,
            "axes": [list(each) for each in self.axes],
            "dimensions": {name: list(texts) for name, texts in self.dimensions.items()},
        }

    @classmethod
    def from_json(cls, value: dict[str, Any], load: Callable[[], Graph]) -> Interface:
        return cls(
            name=value["name"],
            inputs=tuple(map(spec_from_json, value["inputs"])),
            outputs=tuple(map(spec_from_json, value["outputs"])),
            conditions=tuple(Condition(*each) for each in value["conditions"]),
            steps=tuple(Step(*each) for each in value["steps"]),
            complete=value["complete"],
            axes=tuple((name, text) for name, text in value["axes"]),
            dimensions={name: tuple(texts) for name, texts in value["dimensions"].items()},
            load=load,
        )

    def bind(self, shapes: Sequence[Sequence[int]]) -> Bound:
        """The lengths of a call, checked. Errors: ArgumentError, by tensor and dimension, or with a requirement that fails."""
        bound = self._solve(shapes)
        if bound is None or not self._fits(shapes, bound):
            from ..ir.lengths import solve_lengths

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
            raise ArgumentError(f"layer {self.name}: a length cannot be solved symbolically: trace with static shapes")
        for number, dimension, expected, found in self._expectations(shapes, bound):
            said = f"{self.names[number]}: dimension {dimension} must be {expected}, found {found}"
            torch._check(expected == found, lambda said=said: said)
        for condition in self.conditions:
            torch._check(function(condition.test)(bound.values), lambda condition=condition: f"expected: {condition.text}")
        return bound

    def _solve(self, shapes: Sequence[Sequence[Any]]) -> Bound | None:
        if not self.complete:
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
        for step in self.steps:
            values["?"] = shapes[step.tensor][step.dimension]
            try:
                values[step.symbol] = function(step.solution)(values)
            except ZeroDivisionError:
                return None
        values.pop("?", None)
        sizes = dict(values)
        for name, text in self.axes:
            sizes[name] = function(text)(values)
        return Bound(sizes, leading or ())

    def _expectations(self, shapes: Sequence[Sequence[Any]], bound: Bound) -> list[tuple[int, int, Any, Any]]:
        """(tensor, dimension, expected, found) for every dimension, those of `...` included."""
        found: list[tuple[int, int, Any, Any]] = []
        for number, (spec, shape) in enumerate(zip(self.inputs, shapes, strict=True)):
            expected: list[Any] = []
            for text in self.dimensions[spec.name]:
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
        for text in self.dimensions[spec.name]:
            shape.extend(bound.leading if text is None else (function(text)(bound.values),))
        return tuple(shape)


def spec_json(spec: TensorSpec) -> list[Any]:
    """A tensor as JSON values; `spec_from_json` gives it back."""
    return [spec.name, spec.role, [list(entry.axes) for entry in spec.entries], spec.dtype]


def spec_from_json(value: list[Any]) -> TensorSpec:
    name, role, entries, dtype = value
    return TensorSpec(name, role, tuple(Entry(tuple(axes)) for axes in entries), dtype)
