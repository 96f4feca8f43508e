"""Operands of contractions that reach beyond the ends of a tensor, read from a padded copy instead.

Before: contract(zero(x)[B, C, P + i - 1], w): every element of x is read for many (P, i), each time with a test of where it is.
After: contract(p[B, C, P + i], w), p[B, C, T] = zero(x)[B, C, T - 1] over all that the index P + i - 1 can be: the tests are made
once an element, and the product reads p in place.
Why it is legal: the index takes only values between its bounds, and p holds the read's value at each of them.

Reads outside contractions stay as they are: with few points for each element, the copy would cost more than the tests.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy

from ..ir.graph import Affine, Builder, GatherSlot, Node, entry_length, read_entries, whole_index
from ..ir.ranges import bounds, can_leave
from ..lang.checked import Entry, Length
from ..lang.lengths import at_most
from ..passes.contractions import worth_a_product
from ..passes.windows import window_roles


def padded_operands(copied: frozenset[str]) -> Callable[[Builder, Node, tuple[int, ...]], int | None]:
    """The hook of `copy_into` that makes the change. `copied`: inputs that a sum over windows cannot read as they are stored."""

    def hook(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        if node.op != "contract":
            return None
        over = node.attribute("over")
        first, second = operands
        product = worth_a_product(builder, first, second, over)
        strict = not product and window_roles(builder, first, second, over) is not None
        # the data of a sum over windows; its weights are laid out where they are placed
        padded = (_padded(builder, first, copied if strict else frozenset()), _padded(builder, second, frozenset()))
        if padded == operands:
            return None
        return builder.add(node.op, padded, label=node.name, span=node.span, **dict(node.attributes))

    return hook


def _padded(builder: Builder, number: int, copied: frozenset[str]) -> int:
    """The same value, read in range; the value itself where it is no read beyond the ends, or one that cannot be laid out so."""
    node = builder.nodes[number]
    if node.op != "read" or len(node.operands) > 1:
        return number
    boundary = node.attribute("boundary")
    source = builder.nodes[node.operands[0]]
    if boundary is None and not (source.op == "input" and source.attribute("name") in copied):
        return number
    lengths = builder.lengths
    inner: list[Affine] = []
    outer: list[Affine] = []
    kept: list[Entry] = []
    pairs = list(zip(read_entries(builder, node), node.attribute("indices"), strict=True))
    for entry, index in pairs:
        assert not isinstance(index, GatherSlot)
        leaves = can_leave(index, entry_length(entry, lengths), lengths)
        if not leaves and (len(index.axes) < 2 or index == whole_index(Entry(index.axes), lengths)):
            inner.append(index)
            if index.axes:
                kept.append(Entry(index.axes))
                outer.append(whole_index(kept[-1], lengths))
            continue
        low, high = bounds(index, lengths)
        stem = index.axes[0] if index.axes else "position"
        axis = builder.fresh_axis(f"{stem}_padded", _reach(index, low, high, boundary, builder))
        inner.append(Affine(((axis, sympy.Integer(1)),), low))
        kept.append(Entry((axis,)))
        outer.append(Affine(index.terms, sympy.expand(index.offset - low)))
    if not any(can_leave(index, entry_length(entry, lengths), lengths) for entry, index in pairs) and not copied:
        return builder.add("read", node.operands, label=node.name, span=node.span, indices=node.attribute("indices"), boundary=None)
    listed = [axis for entry in kept for axis in entry.axes]
    if len(set(listed)) < len(listed) or not listed:
        return number
    # a copy of what is in range is read through zero, too: a read of a plain read would be one read again
    value = builder.add("read", node.operands, indices=tuple(inner), boundary=boundary or "zero")
    view = builder.add("view", (value,), entries=tuple(kept))
    return builder.add("read", (view,), label=node.name, span=node.span, indices=tuple(outer), boundary=None)


def _reach(index: Affine, low: Length, high: Length, boundary: str | None, builder: Builder) -> Length:
    """How many positions lie between the bounds: none where the index runs over an empty axis."""
    points = sympy.expand(high - low + 1)
    doubtful = [axis for axis in index.axes if not at_most(1, builder.lengths[axis])]
    if not doubtful:
        return points
    if boundary in (None, "zero"):
        return sympy.Max(0, points)
    # what stands for an element beyond the ends of an empty dimension is an error, even unused
    for axis in doubtful:
        points = points * sympy.Min(1, builder.lengths[axis])
    return points
