"""The graph: a layer as values with named axes, each computed by one op from earlier ones.

In: nodes added through a `Builder`. Out: a frozen `Graph`, its nodes in topological order.

What holds:
- A value varies over named axes (`Node.axes`, in the order of `Graph.axes`); an operand that lacks an axis is broadcast along it.
- A value has a kind (bool, int, real, complex). Precision is not part of the graph: a kernel computes all its reals in f32, or in
  f64 where a tensor is f64; storage dtypes belong to the graph's inputs and outputs.
- Tensors are stored with dimensions; `read` maps loop axes to an index per dimension. A split dimension `G*C` read whole is the
  affine index C_length * G + C, so splitting, shifting and striding are one thing.
- Equal nodes are one node: the builder shares structure (common subexpressions) by construction.

Why not a mutable networkx graph: passes are pure functions between frozen graphs, iteration order is the tuple's order on every
run, and sharing falls out of construction. `Graph.networkx()` gives the MultiDiGraph (edge key = operand slot) where graph
algorithms are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sympy

from ..lang.checked import Axis, Entry, Kind, Length
from ..spans import Span
from .tensors import TensorSpec as TensorSpec
from .walk import with_operands

LEVELS = ("layer", "math", "region")


@dataclass(frozen=True)
class Affine:
    """An index: offset + sum of coefficient * axis. Terms are in the order of first appearance, without zero coefficients."""

    terms: tuple[tuple[str, Length], ...]
    offset: Length = sympy.S.Zero

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(axis for axis, _ in self.terms)

    def substitute(self, replacements: dict[str, Affine]) -> Affine:
        """The same index with axes replaced by affine indices."""
        coefficients: dict[str, Length] = {}
        offset = self.offset
        for axis, coefficient in self.terms:
            replacement = replacements.get(axis)
            if replacement is None:
                coefficients[axis] = coefficients.get(axis, sympy.Integer(0)) + coefficient
                continue
            offset = offset + coefficient * replacement.offset
            for inner, factor in replacement.terms:
                coefficients[inner] = coefficients.get(inner, sympy.Integer(0)) + coefficient * factor
        return Affine(tuple((axis, c) for axis, c in coefficients.items() if c != 0), offset)


@dataclass(frozen=True)
class GatherSlot:
    """An index that is the value of operand number `operand` of the read (1 is the first after the tensor)."""

    operand: int


@dataclass(frozen=True)
class Output:
    """A stored result: the value of `node`, laid out by `spec.entries`."""

    spec: TensorSpec
    node: int


@dataclass(frozen=True)
class Node:
    """One value. `attributes` are (name, value) pairs sorted by name; `name` and `span` are provenance, not identity."""

    op: str
    operands: tuple[int, ...]
    attributes: tuple[tuple[str, Any], ...]
    kind: Kind
    axes: tuple[str, ...]
    name: str | None = field(default=None, compare=False)
    span: Span | None = field(default=None, compare=False, repr=False)

    def attribute(self, name: str) -> Any:
        for key, value in self.attributes:
            if key == name:
                return value
        raise KeyError(f"{self.op} has no attribute {name}")


@dataclass(frozen=True)
class Graph:
    """Axes, stored inputs, nodes in topological order, stored outputs, and the level the graph is at."""

    name: str
    axes: tuple[Axis, ...]
    inputs: tuple[TensorSpec, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    level: str = "layer"

    @cached_property
    def axis_lengths(self) -> dict[str, Length]:
        return {axis.name: axis.length for axis in self.axes}

    @cached_property
    def users(self) -> tuple[tuple[int, ...], ...]:
        """For each node the nodes that use it, once per operand slot, in order."""
        users: list[list[int]] = [[] for _ in self.nodes]
        for number, node in enumerate(self.nodes):
            for operand in node.operands:
                users[operand].append(number)
        return tuple(tuple(each) for each in users)

    def input_spec(self, name: str) -> TensorSpec:
        for spec in self.inputs:
            if spec.name == name:
                return spec
        raise KeyError(name)

    def networkx(self) -> Any:
        """The graph as a MultiDiGraph: node data under "node", an edge's key is the operand slot."""
        import networkx

        graph = networkx.MultiDiGraph(name=self.name)
        for number, node in enumerate(self.nodes):
            graph.add_node(number, node=node)
            for slot, operand in enumerate(node.operands):
                graph.add_edge(operand, number, key=slot)
        return graph


def size_of(lengths: Iterable[Length]) -> Length:
    """How many points or elements the lengths enclose: their product."""
    size: Length = sympy.Integer(1)
    for length in lengths:
        size = size * length
    return size


def entry_length(entry: Entry, lengths: dict[str, Length]) -> Length:
    """The stored length of an entry: the product of its axes' lengths."""
    return size_of(lengths[axis] for axis in entry.axes)


def whole_index(entry: Entry, lengths: dict[str, Length]) -> Affine:
    """The index that reads an entry whole: its axes in row-major order."""
    terms = []
    stride: Length = sympy.Integer(1)
    for axis in reversed(entry.axes):
        terms.append((axis, stride))
        stride = stride * lengths[axis]
    return Affine(tuple(reversed(terms)))


def _identity(node: Node) -> tuple[Node, str]:
    """What makes two nodes one. A constant's digits are part of it: 0.0 and -0.0 are equal in Python, but not under a division."""
    return node, repr(node.attribute("value")) if node.op == "const" else ""


class Builder:
    """Collects nodes; gives the number of an equal node where one exists.

    `simplify`, if given, is tried on every node before it is added: (builder, op, operands, attributes) -> number or None.
    """

    def __init__(
        self,
        name: str,
        axes: Iterable[Axis] = (),
        inputs: Iterable[TensorSpec] = (),
        simplify: Callable[[Builder, str, tuple[int, ...], dict[str, Any]], int | None] | None = None,
    ) -> None:
        self.name = name
        self.axes: dict[str, Axis] = {axis.name: axis for axis in axes}
        self.inputs: dict[str, TensorSpec] = {spec.name: spec for spec in inputs}
        self.nodes: list[Node] = []
        self._numbers: dict[tuple[Node, str], int] = {}
        self._simplify = simplify

    @property
    def lengths(self) -> dict[str, Length]:
        return {axis.name: axis.length for axis in self.axes.values()}

    def add_axis(self, name: str, length: Length) -> None:
        self.axes.setdefault(name, Axis(name, length))

    def fresh_axis(self, stem: str, length: Length) -> str:
        """A new axis of the given length, named after `stem`."""
        count = 2
        name = stem
        while name in self.axes:
            name = f"{stem}_{count}"
            count += 1
        self.axes[name] = Axis(name, length)
        return name

    def sorted_axes(self, axes: Iterable[str]) -> tuple[str, ...]:
        wanted = set(axes)
        return tuple(name for name in self.axes if name in wanted)

    def add(
        self,
        op: str,
        operands: Sequence[int] = (),
        *,
        label: str | None = None,
        span: Span | None = None,
        **attributes: Any,
    ) -> int:
        """The number of the node op(operands; attributes), added if new. Raises ValueError where the op's type rule fails."""
        from .ops import result_type  # ops depend on this module for their derivatives

        operands = tuple(operands)
        if self._simplify is not None:
            simple = self._simplify(self, op, operands, attributes)
            if simple is not None:
                if label is not None:
                    self.label(simple, label, span)
                return simple
        kind, axes = result_type(self, op, operands, attributes)
        node = Node(op, operands, tuple(sorted(attributes.items())), kind, self.sorted_axes(axes), label, span)
        number = self._numbers.get(_identity(node))
        if number is None:
            number = len(self.nodes)
            self.nodes.append(node)
            self._numbers[_identity(node)] = number
        elif label is not None:
            self.label(number, label, span)
        return number

    def find(self, op: str, operands: tuple[int, ...], **attributes: Any) -> int | None:
        """The number of an existing node equal to op(operands; attributes), else None."""
        from .ops import result_type

        kind, axes = result_type(self, op, operands, attributes)
        return self._numbers.get(_identity(Node(op, operands, tuple(sorted(attributes.items())), kind, self.sorted_axes(axes))))

    def label(self, number: int, name: str, span: Span | None = None) -> None:
        """Gives a node the author's name for it, if it has none yet."""
        node = self.nodes[number]
        if node.name is None and node.op not in ("const", "input"):
            self.nodes[number] = Node(node.op, node.operands, node.attributes, node.kind, node.axes, name, span or node.span)

    # short hands used by derivative rules and passes
    def const(self, value: float | int | bool) -> int:
        return self.add("const", value=value)

    def input(self, name: str) -> int:
        return self.add("input", name=name)

    def read_whole(self, spec: TensorSpec) -> int:
        """A stored tensor read whole, at its declared axes."""
        lengths = self.lengths
        indices = tuple(whole_index(entry, lengths) for entry in spec.entries)
        return self.add("read", (self.input(spec.name),), indices=indices, boundary=None)

    def reduce(self, operation: str, value: int, over: Iterable[str]) -> int:
        axes = self.sorted_axes(axis for axis in over)
        return self.add("reduce", (value,), operation=operation, over=axes) if axes else value

    def finish(self, outputs: Iterable[Output], level: str) -> Graph:
        """The graph of everything the outputs need, renumbered; axes and inputs that nothing uses any more are kept."""
        outputs = tuple(outputs)
        needed = set(with_operands(self.nodes, (output.node for output in outputs)))
        renumbered: dict[int, int] = {}
        nodes: list[Node] = []
        for number, node in enumerate(self.nodes):
            if number in needed:
                renumbered[number] = len(nodes)
                operands = tuple(renumbered[operand] for operand in node.operands)
                nodes.append(Node(node.op, operands, node.attributes, node.kind, node.axes, node.name, node.span))
        return Graph(
            self.name,
            tuple(self.axes.values()),
            tuple(self.inputs.values()),
            tuple(nodes),
            tuple(Output(output.spec, renumbered[output.node]) for output in outputs),
            level,
        )


def read_entries(builder: Builder, node: Node) -> tuple[Entry, ...]:
    """The stored dimensions that a read or a scatter indexes."""
    if node.op == "scatter":
        return tuple(node.attribute("entries"))
    source = builder.nodes[node.operands[0]]
    return builder.inputs[source.attribute("name")].entries if source.op == "input" else tuple(source.attribute("entries"))
