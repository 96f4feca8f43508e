"""What names mean: axes, tensors, running indices, and the layer being put together.

In: declarations, one by one. Out: `Scope` (what each name means where an expression stands) and `Assembly` (the axes, tensors,
statements and requirements of the checked layer so far).
Holds: names in an `Assembly` are unique in the checked layer; a `Scope` translates the names of one text (a layer, a called
layer, a def) into them, so that texts never capture each other's names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Union

import sympy

from ..spans import Span
from . import checked, syntax
from .checked import ELLIPSIS, AffineIndex, Entry, Expr, Kind
from .diagnostics import Failed, Reporter
from .lengths import Length

if TYPE_CHECKING:
    from .definitions import Module


@dataclass
class AxisSlot:
    """An axis: its name in the checked layer, and its length, None until a transform or a let defines it."""

    name: str
    length: Length | None


@dataclass(frozen=True)
class Dimension:
    """One entry of a tensor as the text at hand declares it. `entries` are the stored dimensions it stands for: one, or any number
    for `...`.

    `identity` reads each stored dimension at its own axes; None for an anonymous entry, which each use must index.
    """

    entries: tuple[Entry, ...]
    length: Length
    identity: tuple[AffineIndex, ...] | None
    text: str
    is_ellipsis: bool = False

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(axis for entry in self.entries for axis in entry.axes)


@dataclass(frozen=True)
class Readable:
    """A tensor or a let that can be read. `source` is its name in the checked layer."""

    name: str
    source: str
    kind: Kind
    dimensions: tuple[Dimension, ...]
    order_is_known: bool = True


@dataclass(frozen=True)
class RunningIndex:
    """The index of a reduction: the axis it runs along, and where it starts."""

    axis: str
    low: Length


@dataclass(frozen=True)
class CarriedValue:
    """The running value of a scan or an iterate."""

    name: str
    axes: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True)
class Unusable:
    """A name that is declared but cannot be read here. `why` is None where the mistake has been reported already."""

    code: str = ""
    why: str | None = None
    hint: str | None = None


Value = Union[Readable, RunningIndex, CarriedValue, Expr, Unusable]


@dataclass
class Scope:
    """The names of one text. `axes` and `sizes` are shared by all scopes within the text, `values` is not."""

    module: Module
    axes: dict[str, AxisSlot] = field(default_factory=dict)
    sizes: dict[str, Length] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    ellipsis: tuple[Entry, ...] | None = None
    prefix: str = ""

    def with_values(self, values: Mapping[str, Value]) -> Scope:
        return dataclasses.replace(self, values={**self.values, **values})


MAXIMUM_DEPTH = 160
MAXIMUM_NODES = 20_000
MAXIMUM_STEPS = 200_000


@dataclass(frozen=True)
class _Mark:
    names: frozenset[str]
    axes: dict[str, Length]
    resolved: int
    requirements: int
    extrema: int


class Assembly:
    """The checked layer in the making. It also watches that expressions stay within the compiler's limits."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.axes: dict[str, Length] = {}
        self.tensors: list[checked.Tensor] = []
        self.statements: list[checked.Let | checked.Out] = []
        self.requirements: list[checked.Requirement] = []
        self.extrema: list[tuple[str, Span, checked.Requirement]] = []
        self.accuracies: list[checked.Accuracy] = []
        self.depth = 0
        self.open_layers: tuple[syntax.Layer, ...] = ()
        self._steps = 0
        self._names: set[str] = set()
        self._resolved: list[AxisSlot] = []
        self._measures: dict[int, tuple[Expr, int, int]] = {}

    # ------------------------------------------------------------------------------------------ names and axes

    def unique(self, name: str) -> str:
        """`name`, or the first of `name_2`, `name_3`, ... that no axis, tensor, let or running value has."""
        candidate, count = name, 1
        while candidate in self._names or candidate in self.axes:
            count += 1
            candidate = f"{name}_{count}"
        self._names.add(candidate)
        return candidate

    def reserve(self, name: str) -> None:
        self._names.add(name)

    def add_axis(self, name: str, length: Length) -> AxisSlot:
        self.axes[name] = length
        return AxisSlot(name, length)

    def resolve(self, slot: AxisSlot, length: Length) -> None:
        """Give an axis named before its length was known that length."""
        slot.length = length
        self.axes[slot.name] = length
        self._resolved.append(slot)

    def identity(self, axes: tuple[str, ...]) -> AffineIndex:
        """The index that reads a stored dimension, split into `axes` (outermost first), at those axes."""
        terms: list[tuple[str, sympy.Expr]] = []
        stride: Length = 1
        for axis in reversed(axes):
            terms.append((axis, sympy.sympify(stride)))
            stride = stride * self.axes[axis]
        return AffineIndex(tuple(reversed(terms)))

    def entry_length(self, entry: Entry) -> Length:
        length: Length = 1
        for axis in entry.axes:
            length = length * self.axes[axis]
        return length

    @contextmanager
    def opened(self, layer: syntax.Layer) -> Iterator[None]:
        """Within, the statements of `layer` are checked: a call of it would be recursion."""
        before = self.open_layers
        self.open_layers = (*before, layer)
        try:
            yield
        finally:
            self.open_layers = before

    # ------------------------------------------------------------------------------------------ requirements

    def require(self, condition: sympy.Basic, text: str, message: str | None, span: Span) -> None:
        requirement = checked.Requirement(condition, text, message, span)
        if requirement not in self.requirements:
            self.requirements.append(requirement)

    def require_an_element(self, axis: str, place: Span, requirement: checked.Requirement) -> None:
        """What the extremum at `place` asks of its axis, should somebody see what it is of nothing."""
        self.extrema.append((axis, place, requirement))

    # ------------------------------------------------------------------------------------------ limits

    def step(self, span: Span) -> None:
        """Count one step of checking. Raises Failed beyond `MAXIMUM_STEPS`, or deeper than `MAXIMUM_DEPTH`."""
        self._steps += 1
        if self._steps > MAXIMUM_STEPS:
            raise self.reporter.error("LAM309", "the layer is too large when its defs are expanded", span, f"{MAXIMUM_STEPS} steps")
        if self.depth > MAXIMUM_DEPTH:
            raise self._too_deep(span)

    def _too_deep(self, span: Span) -> Failed:
        return self.reporter.error(
            "LAM004",
            "expression nested too deeply when its defs are expanded",
            span,
            f"at most {MAXIMUM_DEPTH} levels",
            hint="give parts of it names with `let`",
        )

    def made(self, expression: Expr, *parts: Expr) -> Expr:
        """`expression`, measured: refused when, written out as a tree, it has too many nodes or too many levels."""
        measures = [self._measures.get(id(part), (part, 1, 1)) for part in parts]
        nodes = 1 + sum(measure[1] for measure in measures)
        depth = 1 + max((measure[2] for measure in measures), default=0)
        if nodes > MAXIMUM_NODES:
            raise self.reporter.error(
                "LAM309",
                "expression too large when its defs are expanded",
                expression.span,
                f"at most {MAXIMUM_NODES} operations",
                hint="give the argument that the def uses several times a name with `let`",
            )
        if depth > MAXIMUM_DEPTH:
            raise self._too_deep(expression.span)
        self._measures[id(expression)] = (expression, nodes, depth)
        return expression

    # ------------------------------------------------------------------------------------------ trial and return

    def mark(self) -> _Mark:
        """A state to come back to by `rewind`."""
        return _Mark(frozenset(self._names), dict(self.axes), len(self._resolved), len(self.requirements), len(self.extrema))

    def rewind(self, mark: _Mark) -> None:
        self._names = set(mark.names)
        self.axes = dict(mark.axes)
        for slot in self._resolved[mark.resolved :]:
            slot.length = None
        del self._resolved[mark.resolved :]
        del self.requirements[mark.requirements :]
        del self.extrema[mark.extrema :]


def dimension_of(assembly: Assembly, entry: Entry) -> Dimension:
    """A dimension whose axes all have names."""
    return Dimension((entry,), assembly.entry_length(entry), (assembly.identity(entry.axes),), "*".join(entry.axes))


def ellipsis_dimension(scope: Scope, assembly: Assembly) -> Dimension:
    """What `...` stands for in a scope that has it."""
    assert scope.ellipsis is not None
    identity = tuple(assembly.identity(entry.axes) for entry in scope.ellipsis)
    length: Length = 1
    for entry in scope.ellipsis:
        length = length * assembly.entry_length(entry)
    return Dimension(scope.ellipsis, length, identity, ELLIPSIS, is_ellipsis=True)


def dimensions_of_axes(axes: tuple[str, ...], scope: Scope, assembly: Assembly) -> tuple[Dimension, ...]:
    """The dimensions of a let without a list of axes: its expression's axes in order, those of `...` together if they lead."""
    leading = tuple(axis for entry in scope.ellipsis or () for axis in entry.axes)
    if scope.ellipsis is not None and axes[: len(leading)] == leading:
        rest = axes[len(leading) :]
        return (ellipsis_dimension(scope, assembly), *(dimension_of(assembly, Entry((axis,))) for axis in rest))
    return tuple(dimension_of(assembly, Entry((axis,))) for axis in axes)
