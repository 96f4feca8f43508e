"""The checked layer: what the front end hands to the rest of the compiler.

In: nothing; this module only defines frozen values. Out: `CheckedLayer`, made by `check.py`, read by `ir/build.py`.

What holds in a checked layer:
- `def`, `const`, `use` and layer calls are gone: their bodies are inlined, names made unique (`h.w` for parameter w of call h).
- Every axis has one name and one length. Reduction indices are axes too, renamed apart (`i`, `i_2`, ...), and start at 0:
  `sum[k in 2..5](w[k])` has an axis k of length 3 and reads w at k + 2.
- `...` is a single axis named "...", the product of all leading axes.
- Sizes with a known value are numbers. An axis or size whose length is known only at the call is `sympy.Symbol(name)`
  (made by `length_symbol`); derived lengths are expressions in those symbols, `/` being `lengths.quotient`.
- An expression's `axes` are the axes it varies over, in order of first appearance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, Union

import sympy

from ..spans import Span
from .entries import ELLIPSIS as ELLIPSIS
from .entries import Entry as Entry

Length: TypeAlias = sympy.Expr
Kind = Literal["bool", "int", "real", "complex"]
Boundary = Literal["zero", "wrap", "clamp", "reflect"]


def length_symbol(name: str) -> sympy.Symbol:
    """The symbol that stands for an axis length or size unknown before the call."""
    return sympy.Symbol(name, integer=True, nonnegative=True)


@dataclass(frozen=True)
class Axis:
    """A named axis. `length` is a number where known, else an expression in length symbols (its own symbol, if free)."""

    name: str
    length: Length


# ---------------------------------------------------------------------------------------------- indices of a read


@dataclass(frozen=True)
class AffineIndex:
    """offset + sum of coefficient * axis; coefficients and offset are integers or lengths."""

    terms: tuple[tuple[str, Length], ...]
    offset: Length = sympy.S.Zero


@dataclass(frozen=True)
class TensorIndex:
    """A gather: the index is the value of an integer expression."""

    value: Expr


Index = Union[AffineIndex, TensorIndex]


# ---------------------------------------------------------------------------------------------- expressions


@dataclass(frozen=True)
class Expr:
    axes: tuple[str, ...]
    kind: Kind
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Number(Expr):
    """A literal, or pi or e (as the nearest float64)."""

    value: float | int


@dataclass(frozen=True)
class LengthValue(Expr):
    """A length used as a number (kind int)."""

    length: Length


@dataclass(frozen=True)
class IndexValue(Expr):
    """The running index along an axis, from 0 (kind int)."""

    axis: str


@dataclass(frozen=True)
class Read(Expr):
    """A tensor or let, read at one index per stored dimension (entry) of its declaration.

    A bare name is a read with the identity index of each entry: `x[..., G*C]` bare reads dimension 1 at C_length * G + C.
    An unannotated let has one entry per axis of its expression, in that order.
    """

    source: str
    indices: tuple[Index, ...]
    boundary: Boundary | None = None


@dataclass(frozen=True)
class Apply(Expr):
    """A scalar operation: add sub mul div neg pow eq ne lt le gt ge and or not, or a function of rule 14 by its own name
    (abs, exp, select, re, cis, chebyshev, bspline ...), arguments in the language's order.

    The order of chebyshev/legendre/hermite/bspline is the first argument: an int expression of numbers, lengths and
    `IndexValue`s of axes of known length.
    """

    function: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True)
class Reduce(Expr):
    """operation: sum prod max min mean any all, over `over` (axes of the body)."""

    operation: str
    over: tuple[str, ...]
    body: Expr


@dataclass(frozen=True)
class Transform(Expr):
    """function: fft ifft rfft irfft dct idct, along `source`, which `target` replaces; n is the transform's length."""

    function: str
    source: str
    target: str
    n: Length
    body: Expr


@dataclass(frozen=True)
class Carried(Expr):
    """The running value named by an enclosing Scan or Iterate."""

    name: str


@dataclass(frozen=True)
class Scan(Expr):
    """Running value along `axis`; `name` is unique in the layer; the body refers to it by `Carried(name)`."""

    axis: str
    name: str
    initial: Expr
    body: Expr


@dataclass(frozen=True)
class Iterate(Expr):
    """`count` steps of names := bodies, at once; the value is the first name's. Names are unique in the layer."""

    count: int
    names: tuple[str, ...]
    initials: tuple[Expr, ...]
    bodies: tuple[Expr, ...]


# ---------------------------------------------------------------------------------------------- initial values


@dataclass(frozen=True)
class NormalInit:
    """Gaussian of mean 0 and the given standard deviation."""

    deviation: Expr


@dataclass(frozen=True)
class UniformInit:
    low: Expr
    high: Expr


@dataclass(frozen=True)
class ValuesInit:
    """A list of numbers, along the last stored dimension (broadcast over the others)."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class ExpressionInit:
    """Numbers, lengths and running indices."""

    value: Expr


@dataclass(frozen=True)
class FitInit:
    """Chosen so that the layer is `function` on [low, high]; `body` is the function of the one free `Carried("fit")`."""

    function: str
    body: Expr
    low: float
    high: float


Init = Union[NormalInit, UniformInit, ValuesInit, ExpressionInit, FitInit]


# ---------------------------------------------------------------------------------------------- the layer


@dataclass(frozen=True)
class Tensor:
    """A declared tensor. dtype: f64 f32 f16 bf16 i64 i32 bool c64 c128, or float / complex (the call's)."""

    name: str
    role: Literal["in", "param", "buffer"]
    entries: tuple[Entry, ...]
    dtype: str
    init: Init | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Let:
    name: str
    entries: tuple[Entry, ...] | None
    value: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Out:
    name: str
    entries: tuple[Entry, ...]
    value: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Requirement:
    """A sympy condition on length symbols, true at every legal call; `text` is the condition as written."""

    condition: sympy.Basic
    text: str
    message: str | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Accuracy:
    """Licence to approximate `functions` (all, if empty) within value (unit: ulp, rel or abs)."""

    functions: tuple[str, ...]
    unit: Literal["ulp", "rel", "abs"]
    value: float


@dataclass(frozen=True)
class CheckedLayer:
    """A layer that has passed every check. Tensors in declared order; statements (lets and outs) in order.

    `sizes`: name and value (None where it is known only at the call). `text` is the layer's own source text.
    """

    name: str
    sizes: tuple[tuple[str, int | None], ...]
    axes: tuple[Axis, ...]
    tensors: tuple[Tensor, ...]
    statements: tuple[Let | Out, ...]
    requirements: tuple[Requirement, ...]
    accuracies: tuple[Accuracy, ...]
    text: str

    @property
    def outs(self) -> tuple[Out, ...]:
        return tuple(statement for statement in self.statements if isinstance(statement, Out))

    def axis_length(self, name: str) -> Length:
        for axis in self.axes:
            if axis.name == name:
                return axis.length
        raise KeyError(name)
