"""The adjoint of a read at windows, as a read of the cotangent.

Before: the cotangent v[B, P, i] of a value x[B, P + i - 1], with nothing, or zero, beyond the ends of x. After, over the positions
T of x: sum over i of v[B, T - i + 1, i], v counting as zero where P would leave its range. Where x is read round its ends (wrap)
and P goes round exactly once, so is v.
Why it is legal: the adjoint adds v[B, P, i] up wherever P + i - 1 = T; for each T and i there is at most one such P.

Steps. Before: x[B, 2*P + i]. After: a value for each phase r of the position T = 2*T' + r, laid out side by side: only those i
count for which T - i is a multiple of 2, i = 2*i' + (r % 2), and P is T' - i' there. No term is computed that would be zero. Where
there would be too many phases, v is laid out along P with zeros between its values instead, as the cotangent of x[B, P + i].

Boundaries. Before: clamp(x)[B, 2*P + i - 1], or reflect, or wrap. After: the adjoint over all positions E that the index takes,
those outside too, and then that of clamp(x)[B, E - 1], which is a scatter along single axes.
Why it is legal: the read is the read of an x that is continued beyond its ends.

What of v does not vary along P stays outside of what is read: a factor w[i, C], the sum over C that joins them. So the gradient
of a convolution is a sum of products again, of the cotangent at windows and the weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import sympy

from ..ir.graph import Affine, Builder, entry_length, read_entries, whole_index
from ..ir.ranges import bounds, can_leave
from ..lang.checked import Entry, Length
from ..lang.lengths import at_most
from .costs import nominal_length
from .factors import product, product_factors
from .recognize import add_terms
from .substitute import is_simple, renamed_axis, substitute

MOST_PHASES = 16  # a value is written out for each


@dataclass(frozen=True)
class _Row:
    """The axis of an index that is solved for: it takes `step` steps in the dimension, forwards or backwards (`sign`).

    `windows` and `offset` are the rest of the index.
    """

    axis: str
    step: int
    sign: int
    windows: tuple[tuple[str, Length], ...]
    offset: Length

    def position(self, own: Affine, phase: int, windows: Mapping[str, tuple[Affine, int]]) -> Affine:
        """Where the cotangent is read for the position step * own + phase in the dimension; `windows`: of each of these axes how it
        goes on in steps, and where it begins: the latter make the phase up to a multiple of the step."""
        offset = phase - self.offset - sum((coefficient * windows[axis][1] for axis, coefficient in self.windows), sympy.Integer(0))
        rest = Affine((), offset)
        for axis, coefficient in self.windows:
            steps = windows[axis][0]
            terms = tuple((name, -coefficient * each) for name, each in steps.terms)
            rest = Affine((*rest.terms, *terms), rest.offset - coefficient * steps.offset)
        terms = tuple((name, sympy.expand(self.sign * each / self.step)) for name, each in rest.terms)
        moved = tuple((name, self.sign * each) for name, each in own.terms)
        return Affine((*moved, *terms), sympy.expand(self.sign * (own.offset + rest.offset / self.step)))


def adjoint_of_windows(
    builder: Builder, entries: Sequence[Entry], indices: Sequence[Affine], boundary: str | None, cotangent: int
) -> int | None:
    """The cotangent added up at the indices, over the axes of the entries; None where this is no read at windows."""
    lengths = builder.lengths
    used = [axis for index in indices for axis in index.axes]
    if len(set(used)) < len(used) or not set(builder.nodes[cotangent].axes) <= set(used):
        return None
    rows: dict[int, _Row] = {}
    for dimension, (entry, index) in enumerate(zip(entries, indices, strict=True)):
        if _whole(index, entry, lengths):
            continue
        row = _row(builder, index)
        if row is None or row.axis not in builder.nodes[cotangent].axes:
            return None
        rows[dimension] = row
    if boundary not in (None, "zero"):
        round_once = boundary == "wrap" and all(
            row.step == 1 and sympy.expand(lengths[row.axis] - entry_length(entries[dimension], lengths)) == 0
            for dimension, row in rows.items()
        )
        if all(row.step == 1 and not row.windows for row in rows.values()) and not round_once:
            return None  # along single axes already
        if not round_once:
            return _continued(builder, entries, indices, boundary or "zero", cotangent, tuple(rows))
    if not _has_phases(rows.values()):
        cotangent, rows = _spread_out(builder, cotangent, rows)
    return _Windows(builder, tuple(entries), tuple(indices), rows, cotangent, boundary or "zero").value()


def _continued(
    builder: Builder, entries: Sequence[Entry], indices: Sequence[Affine], boundary: str, cotangent: int, rows: Sequence[int]
) -> int | None:
    """The adjoint of a read of a tensor that is continued beyond its ends, in two steps."""
    lengths = builder.lengths
    own: list[Entry] = []
    inside: list[Affine] = []
    places: list[Affine] = []
    for dimension, (entry, index) in enumerate(zip(entries, indices, strict=True)):
        if dimension not in rows or not can_leave(index, entry_length(entry, lengths), lengths):
            own.append(entry)
            inside.append(index)
            places.append(whole_index(entry, lengths))
            continue
        low, high = bounds(index, lengths)
        reach = sympy.expand(high - low + 1)
        if not all(at_most(1, lengths[axis]) for axis in index.axes):
            reach = sympy.Max(0, reach)
        length = entry_length(entry, lengths)
        if not at_most(1, length):
            reach = reach * sympy.Min(1, length)  # an empty tensor is continued by nothing
        axis = builder.fresh_axis(f"{entry.axes[0]}_continued", reach)
        own.append(Entry((axis,)))
        inside.append(Affine(index.terms, sympy.expand(index.offset - low)))
        places.append(Affine(((axis, sympy.Integer(1)),), low))
    value = adjoint_of_windows(builder, own, inside, None, cotangent)
    if value is None:
        return None
    over = tuple(axis for entry in own for axis in entry.axes)
    return builder.add("scatter", (value,), indices=tuple(places), boundary=boundary, entries=tuple(entries), over=over)


class _Windows:
    """The adjoint of one read; `rows`: of the dimensions that are not read whole."""

    def __init__(
        self,
        builder: Builder,
        entries: tuple[Entry, ...],
        indices: tuple[Affine, ...],
        rows: dict[int, _Row],
        cotangent: int,
        boundary: str,
    ) -> None:
        self.builder = builder
        self.entries = entries
        self.rows = rows
        self.boundary = boundary
        lengths = builder.lengths
        own = {axis for entry in entries for axis in entry.axes}
        self.renames: dict[str, Affine] = {}
        for dimension, (entry, index) in enumerate(zip(entries, indices, strict=True)):
            if dimension not in rows:
                pairs = zip(index.axes, entry.axes, strict=True)
                self.renames.update({old: renamed_axis(new) for old, new in pairs if old != new})
        windows = [axis for row in rows.values() for axis, _ in row.windows]
        self.moved, self.rest, summed = _apart(builder, cotangent, [row.axis for row in rows.values()], windows)
        self.renames.update({axis: renamed_axis(builder.fresh_axis(axis, lengths[axis])) for axis in summed if axis in own})
        self.summed = tuple(self.renames[axis].axes[0] if axis in self.renames else axis for axis in summed)
        self.own = own

    def value(self) -> int | None:
        b = self.builder
        places: dict[int, Affine] = {}
        laid_out: list[Entry] = []
        gaps: list[tuple[int, str]] = []
        for dimension, entry in enumerate(self.entries):
            row = self.rows.get(dimension)
            if row is None or row.step == 1:
                places[dimension] = whole_index(entry, b.lengths)
                laid_out.append(entry)
                continue
            blocks = sympy.floor((entry_length(entry, b.lengths) + row.step - 1) / row.step)
            axis = b.fresh_axis(f"{entry.axes[0]}_block", blocks)
            gaps.append((dimension, b.fresh_axis(f"{entry.axes[0]}_phase", sympy.Integer(row.step))))
            places[dimension] = renamed_axis(axis)
            laid_out.append(Entry((axis, gaps[-1][1])))
        try:
            result = self._stacked(places, {}, gaps)
        except NotImplementedError:
            return None
        if not gaps:
            return result
        view = b.add("view", (result,), entries=tuple(laid_out))
        return b.add("read", (view,), indices=tuple(whole_index(entry, b.lengths) for entry in self.entries), boundary=None)

    def _stacked(self, places: dict[int, Affine], phases: dict[int, int], gaps: Sequence[tuple[int, str]]) -> int:
        """The values of all phases of the dimensions in `gaps`, given those of the others."""
        b = self.builder
        if not gaps:
            return self._at_phase(places, phases)
        dimension, gap = gaps[0]
        step = self.rows[dimension].step
        return b.add("stack", [self._stacked(places, {**phases, dimension: r}, gaps[1:]) for r in range(step)], axis=gap)

    def _at_phase(self, places: dict[int, Affine], phases: dict[int, int]) -> int:
        """The sum over the points of the windows that meet positions of these phases."""
        b = self.builder
        terms = []
        for chosen in itertools.product(*(self._choices(row, phases.get(dimension, 0)) for dimension, row in self.rows.items())):
            windows = {axis: each for choice in chosen for axis, each in choice.items()}
            if any(b.lengths[axis] == 0 for steps, _ in windows.values() for axis in steps.axes):
                continue
            renames = dict(self.renames)
            for axis, (steps, first) in windows.items():
                renames[axis] = Affine(steps.terms, steps.offset + first)
            positions = {
                row.axis: row.position(places[dimension], phases.get(dimension, 0), windows) for dimension, row in self.rows.items()
            }
            factors = [substitute(b, factor, renames) for factor in self.rest]
            value = product(b, [*factors, _read(b, self.moved, positions, renames, self.boundary)])
            over = [*self.summed, *(axis for steps, _ in windows.values() for axis in steps.axes)]
            terms.append(b.reduce("sum", value, [axis for axis in over if axis in b.nodes[value].axes]))
        return add_terms(b, terms) if terms else b.const(0.0)

    def _choices(self, row: _Row, phase: int) -> list[dict[str, tuple[Affine, int]]]:
        """How the axes of the windows may run, so that the position is met: in what steps, and from where on."""
        b = self.builder
        strides = {axis: row.step // sympy.gcd(row.step, coefficient) for axis, coefficient in row.windows}
        found = []
        for first in itertools.product(*(range(int(stride)) for stride in strides.values())):
            begun = dict(zip(strides, first, strict=True))
            reached = row.offset + sum((coefficient * begun[axis] for axis, coefficient in row.windows), sympy.Integer(0))
            if (phase - reached) % row.step != 0:
                continue
            choice = {}
            for axis, stride in strides.items():
                length = b.lengths[axis]
                if stride > 1:
                    length = sympy.floor((length - begun[axis] + stride - 1) / stride)
                if length == 1:
                    choice[axis] = (Affine((), sympy.Integer(0)), begun[axis])
                    continue
                name = b.fresh_axis(axis, length) if stride > 1 or axis in self.own else axis
                choice[axis] = (Affine(((name, stride),), sympy.Integer(0)), begun[axis])
            found.append(choice)
        return found


def _whole(index: Affine, entry: Entry, lengths: dict[str, Length]) -> bool:
    """Whether a dimension is read whole, up to the name of its axis."""
    if index == whole_index(entry, lengths):
        return True
    if len(entry.axes) != 1 or not index.terms or not is_simple(index):
        return False
    return bool(sympy.expand(lengths[index.axes[0]] - lengths[entry.axes[0]]) == 0)


def _row(builder: Builder, index: Affine) -> _Row | None:
    """The index solved for one of its axes that take steps of known size: the longest, those of parameters last."""
    known = [(axis, coefficient) for axis, coefficient in index.terms if coefficient.is_Integer]
    if not known:
        return None
    specs = builder.inputs.values()
    trained = {axis for spec in specs if spec.role == "param" for entry in spec.entries for axis in entry.axes}
    axis, coefficient = max(known, key=lambda term: (term[0] not in trained, nominal_length(builder.lengths[term[0]])))
    rest = tuple(term for term in index.terms if term[0] != axis)
    return _Row(axis, abs(int(coefficient)), 1 if coefficient > 0 else -1, rest, sympy.sympify(index.offset))


def _has_phases(rows: Collection[_Row]) -> bool:
    """Whether it is known which phase of a position each point of the windows meets, and there are few phases."""
    known = all(
        row.step == 1 or (row.offset.is_Integer and all(coefficient.is_Integer for _, coefficient in row.windows)) for row in rows
    )
    return known and math.prod(row.step for row in rows) <= MOST_PHASES


def _spread_out(builder: Builder, cotangent: int, rows: dict[int, _Row]) -> tuple[int, dict[int, _Row]]:
    """The cotangent with zeros between its values along the rows, and the rows of steps of 1 that it is read at so."""
    node = builder.nodes[cotangent]
    by_axis = {row.axis: dimension for dimension, row in rows.items() if row.step > 1}
    laid_out: list[Entry] = []
    places: list[Affine] = []
    found = dict(rows)
    value = cotangent
    for axis in node.axes:
        if axis not in by_axis:
            laid_out.append(Entry((axis,)))
            places.append(renamed_axis(axis))
            continue
        row = rows[by_axis[axis]]
        gap = builder.fresh_axis(f"{axis}_gap", sympy.Integer(row.step))
        value = builder.add("stack", (value, *[builder.const(0.0)] * (row.step - 1)), axis=gap)
        laid_out.append(Entry((axis, gap)))
        spread = builder.fresh_axis(axis, builder.lengths[axis] * row.step)
        places.append(renamed_axis(spread))
        found[by_axis[axis]] = replace(row, axis=spread, step=1)
    view = builder.add("view", (value,), entries=tuple(laid_out))
    return builder.add("read", (view,), indices=tuple(places), boundary=None), found


def _apart(builder: Builder, value: int, rows: Sequence[str], windows: Sequence[str]) -> tuple[int, list[int], tuple[str, ...]]:
    """The value as sum over axes of a * b..: what varies along the rows, the factors that do not, the axes summed over.

    A sum is taken apart where its terms' factors are either of the rows or of the windows: then only the former is read at windows.
    """
    summed: tuple[str, ...] = ()
    factors = product_factors(builder, value)
    while True:
        varying = [factor for factor in factors if set(builder.nodes[factor].axes) & set(rows)]
        mixed = [factor for factor in varying if set(builder.nodes[factor].axes) & set(windows)]
        if len(mixed) != 1:
            break
        node = builder.nodes[mixed[0]]
        if node.op == "contract":
            inner = [factor for operand in node.operands for factor in product_factors(builder, operand)]
        elif node.op == "reduce" and node.attribute("operation") == "sum":
            inner = product_factors(builder, node.operands[0])
        else:
            break
        over = node.attribute("over")
        others = [factor for factor in factors if factor != mixed[0]]
        if any(set(builder.nodes[factor].axes) & {*over, *summed} for factor in others) or set(over) & set(summed):
            break  # the same name for two axes
        factors, summed = [*others, *inner], (*summed, *over)
    return product(builder, varying), [factor for factor in factors if factor not in varying], summed


def _read(builder: Builder, value: int, positions: dict[str, Affine], renames: dict[str, Affine], boundary: str) -> int:
    """The value with its row axes read elsewhere, `boundary` saying what lies beyond their ends."""
    node = builder.nodes[value]
    replaced = {**renames, **positions}
    if node.op == "read" and node.attribute("boundary") is None and len(node.operands) == 1:
        pairs = list(zip(read_entries(builder, node), node.attribute("indices"), strict=True))
        if all(_whole(index, entry, builder.lengths) for entry, index in pairs if set(index.axes) & set(positions)):
            indices = tuple(index.substitute(replaced) for _, index in pairs)
            return builder.add("read", node.operands, label=node.name, span=node.span, indices=indices, boundary=boundary)
    view = builder.add("view", (value,), entries=tuple(Entry((axis,)) for axis in node.axes))
    places = tuple(replaced.get(axis, renamed_axis(axis)) for axis in node.axes)
    return builder.add("read", (view,), indices=places, boundary=boundary)
