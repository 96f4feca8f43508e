"""Scatters with affine indices as reads: each element of the result gathers what was read from it.

Before: scatter(v; x[a + 2*k - 1]), the adjoint of a read: v[a, k] added to the element at a + 2*k - 1.
After: sum over k of zero(v)[e + 1 - 2*k, k] at every element e.
Why it is legal: in each dimension the index is solved for one of its axes, the pivot, whose coefficient is 1 or -1; for given
values of the others there is one value of the pivot that leads to e, and it counts where it is one of the axis' (a read through
zero). The boundary of the read says which indices i lead to e beside e itself:
  zero     none
  wrap     e + m*n, for every m that the bounds of the index allow
  reflect  e + m*t and, but for the two ends, -e + m*t, where t = 2*(n - 1) is the period (1 for a length of 1)
  clamp    at the first element every i < 0, at the last every i >= n: sums over the points beyond that end alone
Where only a few indices are outside, each is written out instead, for the one element that it stands for.
No element is written twice, so there is nothing to add up between threads; and the result is of reads and sums again, so that it
can be differentiated again.

An axis in two indices (a diagonal) is solved for in one of them; the other is a condition, or is solved for another axis. Scatters
at gathered indices stay, and so do those where no axis can be solved for.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from ..ir.graph import Affine, Builder, GatherSlot, Graph, Node, entry_length, whole_index
from ..ir.ranges import bounds, can_leave, largest
from ..lang.checked import Entry, Length
from ..lang.lengths import quotient
from .costs import nominal_length
from .substitute import affine_value, renamed_axis, rewritten

MOST_WRITTEN_OUT = 8  # indices outside a dimension


def transpose_scatters(graph: Graph, builder: Builder) -> Graph:
    """The pass over a whole graph."""

    def hook(b: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        return _Transposition(b, node, operands).value() if node.op == "scatter" else None

    return rewritten(builder, graph, hook)


@dataclass(frozen=True)
class _Preimage:
    """The indices that lead to an element: `index`, affine in the result's own axes and in `over`, further ones to be summed over.
    `at`: the elements that it is for: all (None), the "first", the "last", all but these ("inner"), or the one at the position that
    a node gives."""

    index: Affine
    over: tuple[str, ...] = ()
    at: str | int | None = None


class _Transposition:
    def __init__(self, builder: Builder, node: Node, operands: tuple[int, ...]) -> None:
        self.builder = builder
        self.value_node = operands[0]
        self.entries: tuple[Entry, ...] = node.attribute("entries")
        self.indices = node.attribute("indices")
        self.boundary = node.attribute("boundary")
        self.over: tuple[str, ...] = node.attribute("over")
        self.lengths = builder.lengths

    def value(self) -> int | None:
        """The transposed read; None where it is none."""
        b = self.builder
        if any(isinstance(index, GatherSlot) for index in self.indices):
            return None
        if not set(b.nodes[self.value_node].axes) <= set(self.over) or not self._solve():
            return None
        own = {axis for entry in self.entries for axis in entry.axes}
        self.renamed = {
            axis: b.fresh_axis(axis, self.lengths[axis]) if axis in own else axis for axis in self.over if axis not in self.solution
        }
        view = b.add("view", (self.value_node,), entries=tuple(Entry((axis,)) for axis in self.over))
        alternatives = [self._preimages(dimension) for dimension in range(len(self.entries))]
        terms = [self._term(view, chosen) for chosen in itertools.product(*alternatives)]
        result = terms[0]
        for term in terms[1:]:
            result = b.add("add", (result, term))
        return result

    def _solve(self) -> bool:
        """Finds the axes that the indices determine, in terms of the indices' values (called #0, #1, ..) and the other axes; an
        index that the others determine is a condition. False where that cannot be done."""
        self.solution: dict[str, Affine] = {}
        self.conditions: list[tuple[int, Affine]] = []
        for dimension in sorted(range(len(self.indices)), key=lambda d: len(self.indices[d].terms)):
            index = self.indices[dimension].substitute(self.solution)
            unsolved = [(axis, coefficient) for axis, coefficient in index.terms if not axis.startswith("#")]
            pivots = [(axis, coefficient) for axis, coefficient in unsolved if coefficient in (1, -1)]
            if pivots:
                pivot, sign = max(pivots, key=lambda pair: nominal_length(self.lengths[pair[0]]))
                terms = [(f"#{dimension}", sign), *((axis, -sign * c) for axis, c in index.terms if axis != pivot)]
                solved = {pivot: Affine(tuple(terms), -sign * index.offset)}
                self.solution = {axis: each.substitute(solved) for axis, each in self.solution.items()} | solved
            elif unsolved:
                return False
            else:
                self.conditions.append((dimension, index))
        return True

    def _position(self, dimension: int, sign: int = 1) -> Affine:
        """The element's own position in a dimension, or its negative."""
        whole = whole_index(self.entries[dimension], self.lengths)
        return Affine(tuple((axis, sign * coefficient) for axis, coefficient in whole.terms))

    def _preimages(self, dimension: int) -> list[_Preimage]:
        index, length = self.indices[dimension], entry_length(self.entries[dimension], self.lengths)
        position = self._position(dimension)
        if self.boundary in (None, "zero") or not can_leave(index, length, self.lengths):
            return [_Preimage(position)]
        low, high = bounds(index, self.lengths)
        below, above = sympy.Max(0, sympy.expand(-low)), sympy.Max(0, sympy.expand(high - length + 1))
        if not above.is_Integer and below.is_Integer and (most := largest(high - length + 1)) is not None:
            above = sympy.Integer(max(0, most))  # where there are fewer, what is read beyond them counts as zero
        if below.is_Integer and above.is_Integer and below + above <= MOST_WRITTEN_OUT:
            outside = [Affine((), sympy.Integer(-1 - k)) for k in range(int(below))]
            outside += [Affine((), length + k) for k in range(int(above))]
            return [_Preimage(position), *(_Preimage(value, at=self._stands_for(value, length)) for value in outside)]
        stem = self.entries[dimension].axes[0]
        if self.boundary == "wrap":
            return [self._images(position, stem, sympy.Max(1, length), low, high)]
        if self.boundary == "reflect":
            period = sympy.Max(1, 2 * (length - 1))
            back = self._position(dimension, -1)
            return [
                self._images(position, stem, period, low, high),
                self._images(back, stem, period, low + period, high + period, "inner"),
            ]
        down, up = self.builder.fresh_axis(f"{stem}_below", below), self.builder.fresh_axis(f"{stem}_above", above)
        return [
            _Preimage(position),
            _Preimage(Affine(((down, sympy.Integer(-1)),), sympy.Integer(-1)), (down,), "first"),
            _Preimage(Affine(((up, sympy.Integer(1)),), length), (up,), "last"),
        ]

    def _stands_for(self, index: Affine, length: Length) -> int:
        """The position that an index outside is brought to."""
        b = self.builder
        return fitted(b, affine_value(b, index), b.add("length", length=length), self.boundary)

    def _images(self, position: Affine, stem: str, period: Length, low: Length, high: Length, at: str | None = None) -> _Preimage:
        """Position + m * period for every m from low // period to high // period."""
        first, last = quotient(low, period), quotient(high, period)
        count = sympy.Max(0, last - first + 1)
        axis = self.builder.fresh_axis(f"{stem}_image", count)
        index = Affine((*position.terms, (axis, period)), position.offset + first * period)
        return _Preimage(index, (axis,), at)

    def _term(self, view: int, chosen: Sequence[_Preimage]) -> int:
        """The sum of the values that one choice of preimages leads from."""
        b = self.builder
        known = {f"#{dimension}": preimage.index for dimension, preimage in enumerate(chosen)}
        known |= {axis: renamed_axis(new) for axis, new in self.renamed.items()}
        indices = tuple(_expanded(self.solution.get(axis, renamed_axis(axis)).substitute(known)) for axis in self.over)
        conditions = []
        for dimension, index in self.conditions:
            here = affine_value(b, known[f"#{dimension}"])
            conditions.append(b.add("eq", (here, affine_value(b, _expanded(index.substitute(known))))))
        over = list(self.renamed.values())
        for dimension, preimage in enumerate(chosen):
            over += preimage.over
            conditions += self._where(dimension, preimage)
        value = b.add("read", (view,), indices=indices, boundary="zero") if indices else self.value_node
        return self._summed(value, over, conditions)

    def _where(self, dimension: int, preimage: _Preimage) -> list[int]:
        """The conditions on the element's own position."""
        if preimage.at is None:
            return []
        b = self.builder
        position = affine_value(b, self._position(dimension))
        if isinstance(preimage.at, int):
            return [b.add("eq", (position, preimage.at))]
        last = b.add("length", length=sympy.expand(entry_length(self.entries[dimension], self.lengths) - 1))
        if preimage.at == "first":
            return [b.add("eq", (position, b.const(0)))]
        if preimage.at == "last":
            return [b.add("eq", (position, last))]
        return [b.add("gt", (position, b.const(0))), b.add("lt", (position, last))]

    def _summed(self, value: int, over: Sequence[str], conditions: Sequence[int]) -> int:
        """The sum over the axes where the conditions hold, those around it that depend on none of the axes."""
        b = self.builder
        zero = b.const(0.0)

        def chosen(value: int, conditions: Sequence[int]) -> int:
            for condition in conditions:
                value = b.add("select", (condition, value, zero))
            return value

        inner = [condition for condition in conditions if set(b.nodes[condition].axes) & set(over)]
        outer = [condition for condition in conditions if condition not in inner]
        value = chosen(value, inner)
        present = [axis for axis in over if axis in b.nodes[value].axes]
        for axis in over:
            if axis not in present:
                value = b.add("mul", (value, b.add("length", length=b.lengths[axis])))
        return chosen(b.reduce("sum", value, present), outer)


def _expanded(index: Affine) -> Affine:
    """The index with its numbers written out, so that equal ones are one."""
    terms = tuple((axis, sympy.expand(coefficient)) for axis, coefficient in index.terms)
    return Affine(tuple((axis, coefficient) for axis, coefficient in terms if coefficient != 0), sympy.expand(index.offset))


def fitted(builder: Builder, index: int, length: int, boundary: str) -> int:
    """The value `index` brought into 0..length-1 by wrap, clamp or reflect."""
    if boundary == "wrap":
        return builder.add("remainder", (index, length))
    last = builder.add("sub", (length, builder.const(1)))
    if boundary == "clamp":
        return builder.add("max", (builder.add("min", (index, last)), builder.const(0)))
    period = builder.add("mul", (builder.const(2), last))
    once = builder.add("remainder", (index, period))
    return builder.add("select", (builder.add("lt", (once, length)), once, builder.add("sub", (period, once))))
