"""The adjoint of the reads of one tensor: what each read gave back, added up where it was read.

In: the dimensions of a tensor (or of a view), and for each read its indices and the cotangent of its value. Out: the gradient, over
the axes of the dimensions.

Where the reads tell positions apart, the gradient is made of the cotangents without adding up:
- a dimension read whole is a renamed axis; one read at constants is a stack of the cotangents, or choices against zero;
- indices such as 2*P and 2*P + 1 are digits of the position: a stack of the cotangents along the last digit, laid out as P, digit
  and read along the dimension, puts each element in its place (no element is read at two of its positions);
- of a read at windows it is the cotangent, read at windows (`window_adjoint.py`).
Any other read gives a `scatter`, for later passes to make something better of.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from ..ir.graph import Affine, Builder, GatherSlot, entry_length, whole_index
from ..ir.ranges import can_leave
from ..ir.scalar_ops import SCALAR_OPS
from ..lang.checked import Entry, Length
from .simplify import constant
from .substitute import is_simple, push_slice, renamed_axis, substitute
from .window_adjoint import MOST_PHASES, adjoint_of_windows

LONGEST_WRITTEN_OUT = 64  # positions of a short dimension that a partial read is taken apart into; values of a digit
MOST_WRITTEN_OUT = 64  # combinations of digits
LONGEST_DIGIT = 4  # a longer one is a loop of its own


@dataclass(frozen=True)
class ReadShare:
    """One read: its indices (gathered ones are the values `gathers`), what lies beyond the ends, the cotangent of its value, and
    the axes that this may vary along."""

    indices: tuple[Affine | GatherSlot, ...]
    boundary: str | None
    gathers: tuple[int, ...]
    cotangent: int
    over: tuple[str, ...]


def adjoint_of_reads(builder: Builder, entries: Sequence[Entry], shares: Sequence[ReadShare]) -> int:
    """The sum of the adjoints of the reads, over the axes of the entries."""
    return _Adjoint(builder, tuple(entries)).of(shares)


@dataclass(frozen=True)
class _Digit:
    """A digit of a position: an axis, or a constant (`axis` None) that stands at `value`."""

    length: Length
    axis: str | None
    value: int = 0


_Terms = tuple[tuple[Affine, ...], int]  # affine indices and a cotangent
_Pattern = tuple[tuple[tuple[Length, bool], ...], ...]


class _Adjoint:
    def __init__(self, builder: Builder, entries: tuple[Entry, ...]) -> None:
        self.builder = builder
        self.entries = entries

    def of(self, shares: Sequence[ReadShare]) -> int:
        b = self.builder
        terms: list[int] = []
        plain: list[_Terms] = []
        patterns: dict[_Pattern, list[tuple[list[list[_Digit]], int]]] = {}
        for share in shares:
            indices = self._affine(share)
            if indices is not None:
                parts = self._positions(indices, share.cotangent)
                if all(self._transposes(part) for part, _ in parts):
                    plain.extend(parts)
                    continue
                digits = self._digits(indices)
                if digits is not None and not self._by_phases(indices, share.cotangent):
                    pattern = tuple(tuple((d.length, d.axis is None) for d in each) for each in digits)
                    patterns.setdefault(pattern, []).append((digits, share.cotangent))
                    continue
            windows = self._at_windows(share)
            if windows is not None:
                terms.append(windows)
                continue
            where = {"indices": share.indices, "boundary": share.boundary}
            terms.append(b.add("scatter", (share.cotangent, *share.gathers), entries=self.entries, over=share.over, **where))  # type: ignore
        if plain:
            terms.append(self._transposed(self.entries, plain))
        terms += [self._interleaved(reads) for reads in patterns.values()]
        return add_masked(b, terms)

    def _by_phases(self, indices: tuple[Affine, ...], cotangent: int) -> bool:
        """Whether digits are better written out: those of a window that takes a few steps, of a value that is computed at each of
        its points."""
        b = self.builder
        if b.nodes[cotangent].op not in SCALAR_OPS:
            return False
        inner = [axis for index in indices if len(index.terms) > 1 for axis, coefficient in index.terms if coefficient == 1]
        outer = [c for index in indices if len(index.terms) > 1 for _, c in index.terms if c != 1]
        few = inner and all(b.lengths[axis].is_Integer and 1 < b.lengths[axis] <= LONGEST_DIGIT for axis in inner)
        return bool(few) and all(c.is_Integer for c in outer) and math.prod(map(int, outer)) <= MOST_PHASES

    def _at_windows(self, share: ReadShare) -> int | None:
        indices = tuple(index for index in share.indices if isinstance(index, Affine))
        if len(indices) < len(share.indices):
            return None
        return adjoint_of_windows(self.builder, self.entries, indices, share.boundary, share.cotangent)

    def _affine(self, share: ReadShare) -> tuple[Affine, ...] | None:
        """The indices of a read that gathers nothing and stays inside."""
        lengths = self.builder.lengths
        affine: list[Affine] = []
        for index, entry in zip(share.indices, self.entries, strict=True):
            if isinstance(index, GatherSlot):
                return None
            if share.boundary is not None and can_leave(index, entry_length(entry, lengths), lengths):
                return None
            affine.append(index)
        return tuple(affine)

    # -------------------------------------------------------------------------------------------- positions

    def _positions(self, indices: tuple[Affine, ...], cotangent: int) -> list[_Terms]:
        """The read as reads at constants, where it runs over part of a short dimension: a[i + 1] for i < 3 is a[1], a[2], a[3]."""
        lengths = self.builder.lengths
        for dimension, (entry, index) in enumerate(zip(self.entries, indices, strict=True)):
            if (
                len(entry.axes) != 1
                or len(index.terms) != 1
                or index.terms[0][1] != 1
                or not sympy.sympify(index.offset).is_Integer
            ):
                continue
            axis = index.axes[0]
            whole, part = lengths[entry.axes[0]], lengths[axis]
            if not (whole.is_Integer and part.is_Integer) or part == whole or int(part) > LONGEST_WRITTEN_OUT:
                continue
            reads = []
            for position in range(int(part)):
                fixed = Affine((), index.offset + position)
                rest = (*indices[:dimension], fixed, *indices[dimension + 1 :])
                reads.extend(self._positions(rest, slice_of(self.builder, cotangent, axis, position)))
            return reads
        return [(indices, cotangent)]

    def _transposes(self, indices: Sequence[Affine]) -> bool:
        """Whether every dimension is read whole, up to the names of its axes, or at a constant."""
        used = [axis for index in indices for axis in index.axes]
        if len(set(used)) != len(used):
            return False  # a diagonal
        for entry, index in zip(self.entries, indices, strict=True):
            if not index.terms and len(entry.axes) == 1:
                continue
            if index == whole_index(entry, self.builder.lengths):
                continue
            if len(entry.axes) != 1 or not is_simple(index):
                return False
            if sympy.simplify(self.builder.lengths[index.axes[0]] - self.builder.lengths[entry.axes[0]]) != 0:
                return False
        return True

    def _transposed(self, entries: Sequence[Entry], reads: Sequence[_Terms]) -> int:
        """The sum of transposed reads, over the entries' axes.

        Reads at constants of a dimension of known length are stacked along it; of another, each is a choice against zero.
        """
        b = self.builder
        terms: list[int] = []
        constants: dict[int, dict[sympy.Expr, list[_Terms]]] = {}
        for indices, cotangent in reads:
            place = next((d for d, index in enumerate(indices) if not index.terms), None)
            if place is None:
                terms.append(self._renamed(entries, indices, cotangent))
            else:
                rest = (*indices[:place], *indices[place + 1 :])
                constants.setdefault(place, {}).setdefault(sympy.sympify(indices[place].offset), []).append((rest, cotangent))
        for place, positions in constants.items():
            axis = entries[place].axes[0]
            rest_entries = (*entries[:place], *entries[place + 1 :])
            values = {offset: self._transposed(rest_entries, inner) for offset, inner in positions.items()}
            if b.lengths[axis].is_Integer and all(offset.is_Integer for offset in values):
                zero = b.const(0.0)
                terms.append(b.add("stack", [values.get(sympy.Integer(k), zero) for k in range(int(b.lengths[axis]))], axis=axis))
                continue
            for offset, value in values.items():
                here = b.add("eq", (b.add("index", axis=axis), b.add("length", length=offset)))
                terms.append(b.add("select", (here, value, b.const(0.0))))
        return add_masked(b, terms)

    def _renamed(self, entries: Sequence[Entry], indices: Sequence[Affine], cotangent: int) -> int:
        """The cotangent with the axes that a whole read used exchanged for the tensor's own."""
        renames = {}
        for entry, index in zip(entries, indices, strict=True):
            if len(entry.axes) == 1 and index.axes != entry.axes:
                renames[index.axes[0]] = renamed_axis(entry.axes[0])
        if not renames:
            return cotangent
        return substitute(self.builder, cotangent, renames)

    # -------------------------------------------------------------------------------------------- digits

    def _digits(self, indices: Sequence[Affine]) -> list[list[_Digit]] | None:
        """The digits of the position in every dimension, the first slowest; None where an index is not made of digits."""
        used = [axis for index in indices for axis in index.axes]
        if len(set(used)) != len(used):
            return None
        found: list[list[_Digit]] = []
        for entry, index in zip(self.entries, indices, strict=True):
            digits = _digits_of(index, entry_length(entry, self.builder.lengths), self.builder.lengths)
            if digits is None:
                return None
            found.append(digits)
        combinations = 1
        for digit in itertools.chain(*found):
            combinations *= int(digit.length) if digit.axis is None else 1
        return found if combinations <= MOST_WRITTEN_OUT else None

    def _interleaved(self, reads: Sequence[tuple[list[list[_Digit]], int]]) -> int:
        """The reads whose indices have the same digits: one value over all digits, laid out in the dimensions."""
        b = self.builder
        first = reads[0][0]
        axes: list[list[str]] = []
        gaps: list[str] = []
        for entry, digits in zip(self.entries, first, strict=True):
            named = [d.axis if d.axis is not None else b.fresh_axis(f"{entry.axes[0]}_digit", d.length) for d in digits]
            axes.append(named)
            gaps += [name for name, digit in zip(named, digits, strict=True) if digit.axis is None]
        values: dict[tuple[int, ...], list[int]] = {}
        for digits_of, cotangent in reads:
            pairs = [pair for mine, theirs in zip(axes, digits_of, strict=True) for pair in zip(mine, theirs, strict=True)]
            renames = {digit.axis: renamed_axis(name) for name, digit in pairs if digit.axis not in (None, name)}
            value = substitute(b, cotangent, renames) if renames else cotangent
            values.setdefault(tuple(digit.value for _, digit in pairs if digit.axis is None), []).append(value)
        value = self._stacked({at: add_masked(b, each) for at, each in values.items()}, gaps)
        whole = {}
        for entry, named in zip(self.entries, axes, strict=True):
            if len(named) == 1:
                whole[named[0]] = whole_index(entry, b.lengths)
            elif tuple(named) != entry.axes:
                whole = {}
                break
        if whole:
            try:
                return substitute(b, value, whole)
            except NotImplementedError:
                pass
        view = b.add("view", (value,), entries=tuple(Entry(tuple(named)) for named in axes))
        return b.add("read", (view,), indices=tuple(whole_index(entry, b.lengths) for entry in self.entries), boundary=None)

    def _stacked(self, values: dict[tuple[int, ...], int], axes: Sequence[str]) -> int:
        """One value along the axes from the values at their positions, 0 where there is none."""
        if not axes:
            return values[()]
        b = self.builder
        groups: dict[int, dict[tuple[int, ...], int]] = {}
        for at, value in values.items():
            groups.setdefault(at[0], {})[at[1:]] = value
        inner = {position: self._stacked(group, axes[1:]) for position, group in groups.items()}
        zero = b.const(0.0)
        return b.add("stack", [inner.get(k, zero) for k in range(int(b.lengths[axes[0]]))], axis=axes[0])


def _digits_of(index: Affine, length: Length, lengths: dict[str, Length]) -> list[_Digit] | None:
    """The digits of a position 0..length-1 that the index gives, the last fastest: of 6*p + 2*q + 1 with q < 3 and length 6*P these
    are p, q and a 1 of two; None where it is no such number, each position at most once."""
    terms = list(index.terms)
    rest = sympy.sympify(index.offset)
    digits: list[_Digit] = []
    step: Length = sympy.Integer(1)
    while terms or step != length:
        own = next((term for term in terms if sympy.expand(term[1] - step) == 0), None)
        if own is not None:
            terms.remove(own)
            digits.append(_Digit(lengths[own[0]], own[0]))
            step = sympy.expand(step * lengths[own[0]])
            continue
        ratios = [sympy.cancel(coefficient / step) for _, coefficient in terms] or [sympy.cancel(length / step)]
        gap = min((ratio for ratio in ratios if ratio.is_Integer), default=None)
        if gap is None or not 2 <= gap <= LONGEST_WRITTEN_OUT:
            return None
        value = sympy.cancel(rest / step)
        if not value.is_Integer or value < 0:
            return None
        digit = int(value) % int(gap)
        digits.append(_Digit(gap, None, digit))
        rest = sympy.expand(rest - digit * step)
        step = sympy.expand(step * gap)
    return digits[::-1] if rest == 0 and sympy.expand(step - length) == 0 else None


def slice_of(builder: Builder, value: int, axis: str, position: int) -> int:
    """The value at a fixed position of an axis."""
    node = builder.nodes[value]
    if axis not in node.axes:
        return value
    if node.op == "mul" and any(axis not in builder.nodes[operand].axes for operand in node.operands):
        # a factor that does not vary along the axis stays outside
        return builder.add("mul", tuple(slice_of(builder, operand, axis, position) for operand in node.operands))
    if node.op == "read":
        return push_slice(builder, value, axis, position)
    return builder.add("slice", (value,), axis=axis, position=position)


def add_masked(builder: Builder, values: Sequence[int]) -> int:
    """The sum; of choices against zero, a choice against zero, so that the branch not taken stays recognisable."""
    zero = builder.const(0.0)
    masked = []
    for value in values:
        node = builder.nodes[value]
        if node.op == "select" and constant(builder, node.operands[2]) == 0:
            masked.append((node.operands[0], node.operands[1]))
        elif node.op == "select" and constant(builder, node.operands[1]) == 0:
            masked.append((builder.add("not", (node.operands[0],)), node.operands[2]))
        else:
            break
    total = values[0]
    for value in values[1:]:
        total = builder.add("add", (total, value))
    if len(masked) < len(values) or len(values) == 1:
        return total
    condition = masked[0][0]
    for other, _ in masked[1:]:
        if other != condition:
            condition = builder.add("or", (condition, other))
    if all(other == masked[0][0] for other, _ in masked):
        inner = masked[0][1]
        for _, value in masked[1:]:
            inner = builder.add("add", (inner, value))
        return builder.add("select", (condition, inner, zero))
    return builder.add("select", (condition, total, zero))
