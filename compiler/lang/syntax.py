"""The syntax tree: a file as its author wrote it.

In: nothing; this module only defines frozen values. Out: `File` and the nodes below it, made by `parse.py`, read by the checker.
Holds: every node carries its place in the text, which takes no part in equality; a tree is nested at most
`MAXIMUM_DEPTH` deep (see `parse.py`), so that recursive functions over it are safe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Union

from ..spans import Span


@dataclass(frozen=True)
class Node:
    span: Span = field(compare=False, repr=False)


# ---------------------------------------------------------------------------------------------- expressions


@dataclass(frozen=True)
class Number(Node):
    value: int | float


@dataclass(frozen=True)
class Name(Node):
    """A lower-case name: a tensor, a let, a constant, a parameter of a def, or a running index."""

    name: str


@dataclass(frozen=True)
class AxisName(Node):
    """An upper-case name: an axis or a size."""

    name: str


@dataclass(frozen=True)
class Ellipsis(Node):
    """`...`, in a list of axes or indices."""


@dataclass(frozen=True)
class AxisFunction(Node):
    """`len(L)` or `index(L)`."""

    function: Literal["len", "index"]
    axis: AxisName


@dataclass(frozen=True)
class Unary(Node):
    """operator: neg not."""

    operator: str
    operand: Expression


@dataclass(frozen=True)
class Binary(Node):
    """operator: add sub mul div pow eq ne lt le gt ge and or."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Read(Node):
    """`u[B, L-k]` or `zero(u)[B, L-k]`."""

    source: Name
    boundary: Literal["zero", "wrap", "clamp", "reflect"] | None
    indices: tuple[Expression | Ellipsis, ...]


@dataclass(frozen=True)
class SizeArgument(Node):
    """`O = 4*D` in a layer call."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Call(Node):
    function: Name
    axes: tuple[AxisName, ...]
    arguments: tuple[Expression, ...]
    sizes: tuple[SizeArgument, ...]


@dataclass(frozen=True)
class Range(Node):
    """`k < K` (low is None) or `k in a..b`: a running index of a reduction."""

    name: str
    low: Expression | None
    high: Expression


@dataclass(frozen=True)
class Reduction(Node):
    operation: str
    over: tuple[AxisName | Range, ...]
    body: Expression


@dataclass(frozen=True)
class Transform(Node):
    function: str
    source: AxisName
    target: AxisName
    n: Expression | None
    body: Expression


@dataclass(frozen=True)
class Binding(Node):
    """`name = initial value` of a scan or an iterate."""

    name: str
    initial: Expression


@dataclass(frozen=True)
class Scan(Node):
    axis: AxisName
    binding: Binding
    body: Expression


@dataclass(frozen=True)
class Iterate(Node):
    count: Expression
    bindings: tuple[Binding, ...]
    bodies: tuple[Expression, ...]


Expression = Union[Number, Name, AxisName, AxisFunction, Unary, Binary, Read, Call, Reduction, Transform, Scan, Iterate]


# ---------------------------------------------------------------------------------------------- statements


@dataclass(frozen=True)
class NumberList(Node):
    """`[1, 0.5, -2]` as an initial value."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class Dtype(Node):
    name: str


@dataclass(frozen=True)
class Declaration(Node):
    """An `in`, `param` or `buffer` statement."""

    role: Literal["in", "param", "buffer"]
    name: Name
    entries: tuple[Expression | Ellipsis, ...]
    dtype: Dtype | None
    init: Expression | NumberList | None


@dataclass(frozen=True)
class AxisStatement(Node):
    axis: AxisName
    length: Expression


@dataclass(frozen=True)
class Require(Node):
    condition: Expression
    message: str | None
    text: str


@dataclass(frozen=True)
class Accuracy(Node):
    functions: tuple[Name, ...]
    unit: str
    value: float


@dataclass(frozen=True)
class Let(Node):
    name: Name
    entries: tuple[Expression | Ellipsis, ...] | None
    value: Expression


@dataclass(frozen=True)
class Out(Node):
    name: Name
    entries: tuple[Expression | Ellipsis, ...]
    value: Expression


Statement = Union[Declaration, AxisStatement, Require, Accuracy, Let, Out]


# ---------------------------------------------------------------------------------------------- items of a file


@dataclass(frozen=True)
class Use(Node):
    """`use a, b` (entries of the library) or `use a, b from "file.lam"`."""

    names: tuple[Name, ...]
    source: str | None


@dataclass(frozen=True)
class Const(Node):
    name: Name
    value: Expression


@dataclass(frozen=True)
class Def(Node):
    name: Name
    axes: tuple[AxisName, ...]
    parameters: tuple[Name, ...]
    body: Expression


@dataclass(frozen=True)
class Size(Node):
    name: str
    default: Expression | None


@dataclass(frozen=True)
class Layer(Node):
    """`text` is the layer's own source text, from `layer` to the closing brace."""

    name: Name
    sizes: tuple[Size, ...]
    statements: tuple[Statement, ...]
    text: str = field(compare=False, repr=False)


Item = Union[Use, Const, Def, Layer]


@dataclass(frozen=True)
class File:
    """A whole file. `name` is its path, or "<text>".

    Only while mistakes are collected can a file have `damage`: the places of statements that could not be read and were left out,
    and the names that those seem to define.
    """

    name: str
    items: tuple[Item, ...]
    text: str = field(compare=False, repr=False)
    damage: tuple[Span, ...] = ()
    damaged_names: tuple[str, ...] = ()

    def is_damaged(self, layer: Layer) -> bool:
        """Whether a statement of the layer was left out."""
        first, last = (layer.span.line, layer.span.column), (layer.span.end_line, layer.span.end_column)
        return any(first <= (span.line, span.column) < last for span in self.damage)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below a node, in the order of its fields."""
    found: list[Node] = []
    for name in node.__dataclass_fields__:
        value = getattr(node, name)
        if isinstance(value, Node):
            found.append(value)
        elif isinstance(value, tuple):
            found.extend(item for item in value if isinstance(item, Node))
    return tuple(found)
