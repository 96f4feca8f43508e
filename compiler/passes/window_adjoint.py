"""The adjoint of a read at windows, as a read of the cotangent.

Before: the cotangent v[B, P, i] of a value x[B, s*P + i - 1], with nothing, or zero, beyond the ends of x. After, over the
positions T of x: sum over i of v[B, (T - i + 1) / s, i], v counting as zero where P would leave its range or is no integer.
Why it is legal: the adjoint adds v[B, P, i] up wherever s*P + i - 1 = T; for each T and i there is at most one such P. For s > 1
the values of v along P are laid out s apart, with zeros between. Where x is read round its ends (wrap) and P goes round exactly
once, so is v.

What of v does not vary along P stays outside of what is read: a factor w[i, C], the sum over C that joins them. So the gradient
of a convolution is a sum of products again, of the cotangent at windows and the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from ..ir.graph import Affine, Builder, entry_length, read_entries, whole_index
from ..lang.checked import Entry, Length
from .costs import nominal_length
from .factors import product, product_factors
from .substitute import is_simple, renamed_axis, substitute


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

    def position(self, own: Affine, renames: dict[str, Affine]) -> Affine:
        """Where the cotangent is read for the position `own` in the dimension, in steps of 1."""
        sign = sympy.Integer(self.sign)
        rest = Affine(tuple((axis, -sign * coefficient) for axis, coefficient in self.windows), -sign * self.offset)
        rest = rest.substitute(renames)
        return Affine((*((axis, sign * coefficient) for axis, coefficient in own.terms), *rest.terms), rest.offset)


def adjoint_of_windows(
    builder: Builder, entries: Sequence[Entry], indices: Sequence[Affine], boundary: str | None, cotangent: int
) -> int | None:
    """The cotangent added up at the indices, over the axes of the entries; None where this is no read at windows."""
    lengths = builder.lengths
    used = [axis for index in indices for axis in index.axes]
    if boundary not in (None, "zero", "wrap") or len(set(used)) < len(used):
        return None
    renames: dict[str, Affine] = {}
    rows: list[tuple[Entry, _Row]] = []
    for entry, index in zip(entries, indices, strict=True):
        if _whole(index, entry, lengths):
            renames.update({old: renamed_axis(new) for old, new in zip(index.axes, entry.axes, strict=True) if old != new})
            continue
        row = _row(builder, index)
        if row is None or row.axis not in builder.nodes[cotangent].axes:
            return None
        if boundary == "wrap" and (row.step > 1 or sympy.expand(lengths[row.axis] - entry_length(entry, lengths)) != 0):
            return None
        rows.append((entry, row))
    own = {axis for entry in entries for axis in entry.axes}
    windows = [axis for _, row in rows for axis, _ in row.windows]
    renames.update({axis: renamed_axis(builder.fresh_axis(axis, lengths[axis])) for axis in windows if axis in own})
    moved, rest, summed = _apart(builder, cotangent, [row.axis for _, row in rows], windows)
    renames.update({axis: renamed_axis(builder.fresh_axis(axis, lengths[axis])) for axis in summed if axis in own})
    try:
        factors = [substitute(builder, factor, renames) for factor in rest]
    except NotImplementedError:
        return None
    positions = {row.axis: row.position(whole_index(entry, lengths), renames) for entry, row in rows}
    steps = {row.axis: row.step for _, row in rows}
    value = product(builder, [*factors, _read(builder, moved, positions, steps, renames, boundary or "zero")])
    over = [renames[axis].axes[0] if axis in renames else axis for axis in (*summed, *windows)]
    return builder.reduce("sum", value, [axis for axis in over if axis in builder.nodes[value].axes])


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


def _read(
    builder: Builder, value: int, positions: dict[str, Affine], steps: dict[str, int], renames: dict[str, Affine], boundary: str
) -> int:
    """The value with its row axes read elsewhere, `boundary` saying what lies beyond their ends."""
    node = builder.nodes[value]
    replaced = {**renames, **positions}
    if node.op == "read" and node.attribute("boundary") is None and len(node.operands) == 1 and set(steps.values()) == {1}:
        pairs = list(zip(read_entries(builder, node), node.attribute("indices"), strict=True))
        if all(_whole(index, entry, builder.lengths) for entry, index in pairs if set(index.axes) & set(positions)):
            indices = tuple(index.substitute(replaced) for _, index in pairs)
            return builder.add("read", node.operands, label=node.name, span=node.span, indices=indices, boundary=boundary)
    listed: list[Entry] = []
    places: list[Affine] = []
    for axis in node.axes:
        step = steps.get(axis, 1)
        if step > 1:
            gap = builder.fresh_axis(f"{axis}_gap", sympy.Integer(step))
            zero = builder.const(0.0)
            value = builder.add("stack", (value, *[zero] * (step - 1)), axis=gap)
            listed.append(Entry((axis, gap)))
        else:
            listed.append(Entry((axis,)))
        places.append(replaced.get(axis, renamed_axis(axis)))
    view = builder.add("view", (value,), entries=tuple(listed))
    return builder.add("read", (view,), indices=tuple(places), boundary=boundary)
