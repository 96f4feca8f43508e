"""Reads of computed values, replaced by the value at those indices.

Before: v[B, L - 1], v a computed value. After: v's definition with L replaced by L - 1 in every index below it.
Why it is legal: a value is a function of its axes; substitution composes that function with the index map. Read through zero, it is
a choice between that and 0; where the axis itself indexes a tensor, that tensor is read through zero instead, and so is what a
choice discards, so that nothing is read outside.

At plain axes and constants this is done always. At other indices only where it does not repeat work: no more points are read than
there are, and what is computed for each is little, or is read once; parts of it that have fewer points and take more than that are
stored by themselves. Other reads stay: the schedule stores what they read.
"""

from __future__ import annotations

import sympy

from ..ir.graph import Affine, Builder, GatherSlot, Graph, Node, entry_length, read_entries, whole_index
from ..ir.ranges import can_leave
from ..ir.scalar_ops import SCALAR_OPS
from ..ir.walk import depth_first
from ..lang.checked import Entry
from ..lang.lengths import at_most
from .simplify import constant
from .substitute import Replacements, affine_value, is_simple, read_at, renamed_axis, replaced_indices, rewritten, substitute

LITTLE = 8  # operations on a point that may be repeated
_QUICK = ("add", "sub", "mul", "neg", "select", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "min", "max")
_KNOWN = ("const", "length", "index")


def resolve_views(graph: Graph, builder: Builder) -> Graph:
    """The pass over a whole graph; reads of computed values that it leaves are for the schedule."""
    readers: dict[int, int] = {}
    for node in graph.nodes:
        if node.op == "read":
            readers[node.operands[0]] = readers.get(node.operands[0], 0) + 1
    originals = iter(graph.nodes)

    def hook(b: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        original = next(originals)
        if node.op != "read" or b.nodes[operands[0]].op != "view":
            return None
        view = b.nodes[operands[0]]
        try:
            found = _at_simple_indices(b, view, node)
            if found is None:
                found = _at_any_indices(b, view, node, readers[original.operands[0]] == 1)
            return found
        except NotImplementedError:
            return None

    return rewritten(builder, graph, hook)


def _stays_inside(builder: Builder, index: Affine, axis: str) -> bool:
    """Whether a plain axis or a constant is certain to be an index of the axis."""
    length = builder.lengths[axis]
    last = index.offset if not index.terms else builder.lengths[index.axes[0]] - 1
    below = (length - 1 - last).is_nonnegative
    return bool(below) and (bool(index.terms) or bool(sympy.sympify(index.offset).is_nonnegative))


def _at_simple_indices(b: Builder, view: Node, node: Node) -> int | None:
    replacements: Replacements = {}
    for entry, index in zip(view.attribute("entries"), node.attribute("indices"), strict=True):
        if isinstance(index, GatherSlot):
            return None
        if len(entry.axes) > 1:
            if index.axes == entry.axes and index.offset == 0:
                continue  # read whole: the axes keep their names
            return None
        if not is_simple(index):
            return None
        if node.attribute("boundary") is not None and not _stays_inside(b, index, entry.axes[0]):
            return None
        if index.axes != entry.axes:
            replacements[entry.axes[0]] = index
    return substitute(b, view.operands[0], replacements)


def _at_any_indices(b: Builder, view: Node, node: Node, once: bool) -> int | None:
    """The value at affine indices, where that repeats little work."""
    value, boundary = view.operands[0], node.attribute("boundary")
    parts = _parts(b, value)
    if len(node.axes) > len(view.axes) or not _may_move(b, value, once, parts):
        return None
    replacements: Replacements = {}
    leaving: set[str] = set()
    for entry, index in zip(view.attribute("entries"), node.attribute("indices"), strict=True):
        if isinstance(index, GatherSlot):
            return None
        if index == whole_index(entry, b.lengths):
            continue
        if len(entry.axes) > 1:
            return None
        if boundary is not None and can_leave(index, entry_length(entry, b.lengths), b.lengths):
            if boundary != "zero":
                return None
            leaving.add(entry.axes[0])
        replacements[entry.axes[0]] = index
    moved = frozenset(part for part in parts if replacements.keys() & set(b.nodes[part].axes))  # others stand where they are
    value = _with_stored(b, value, moved, {})
    return _Move(b, replacements, frozenset(leaving)).through_zero(value) if leaving else substitute(b, value, replacements)


def _parts(b: Builder, value: int) -> frozenset[int]:
    """What a value is computed from that has fewer points than it has, and takes more than scalar operations: a maximum over a
    window, compared with each of the window's points. Stored by itself it is not computed again for each of them."""
    axes = set(b.nodes[value].axes)
    found: set[int] = set()

    def needed(number: int) -> list[int]:
        within = []
        for operand in b.nodes[number].operands if b.nodes[number].op in SCALAR_OPS else ():
            fewer = axes - set(b.nodes[operand].axes)
            if any(b.lengths[axis] != 1 for axis in fewer) and not _is_scalar(b, operand):
                found.add(operand)
            else:
                within.append(operand)
        return within

    for _ in depth_first([value], needed):
        pass
    return frozenset(found)


def _needed(b: Builder, number: int) -> tuple[int, ...]:
    """The values that one is computed from; of a read, where it reads."""
    node = b.nodes[number]
    return node.operands[1:] if node.op == "read" else node.operands


def _is_scalar(b: Builder, value: int) -> bool:
    """Whether a value is made of scalar operations on what is stored."""
    values = depth_first([value], lambda number: _needed(b, number))
    return all(b.nodes[number].op in ("read", *SCALAR_OPS, *_KNOWN) for number in values)


def _with_stored(b: Builder, value: int, parts: frozenset[int], memo: dict[int, int]) -> int:
    """The value, computed from its parts as they are stored."""
    if value not in memo:
        node = b.nodes[value]
        if value in parts:
            view = b.add("view", (value,), entries=tuple(Entry((axis,)) for axis in node.axes))
            memo[value] = b.add("read", (view,), indices=tuple(renamed_axis(axis) for axis in node.axes), boundary=None)
        elif node.op in SCALAR_OPS and parts:
            operands = tuple(_with_stored(b, operand, parts, memo) for operand in node.operands)
            memo[value] = b.add(node.op, operands, label=node.name, span=node.span, **dict(node.attributes))
        else:
            memo[value] = value
    return memo[value]


def _may_move(b: Builder, value: int, once: bool, parts: frozenset[int]) -> bool:
    """Whether a value is made of scalar operations on what is stored, and of few and quick ones if it is read more than once.

    The parts will be stored.
    """
    operations = 0
    for number in depth_first([value], lambda number: () if number in parts else _needed(b, number)):
        op = b.nodes[number].op
        if number in parts:
            continue
        if op in SCALAR_OPS:
            operations += 1
            if not once and op not in _QUICK:
                return False
        elif op not in ("read", *_KNOWN):
            return False
    return once or operations <= LITTLE


class _Move:
    """Exchanges axes in a value, those in `leaving` for indices that may be outside."""

    def __init__(self, builder: Builder, replacements: Replacements, leaving: frozenset[str]) -> None:
        self.builder = builder
        self.replacements = replacements
        self.leaving = leaving
        self._safe: dict[int, int] = {}

    def through_zero(self, number: int) -> int:
        """The value there, 0 where an index is outside."""
        b = self.builder
        node = b.nodes[number]
        if node.op == "read" and self._indexed_by_themselves(node):
            return self._read(node, tuple(self.safe(operand) for operand in node.operands[1:]))
        if node.op == "mul":  # one factor that is 0 outside makes the product 0, so that sums of products stay what they are
            for here, other in (node.operands, node.operands[::-1]):
                if not self.leaving & set(b.nodes[other].axes):
                    pair = (self.through_zero(here), substitute(b, other, self._others()))
                    return b.add("mul", pair if here == node.operands[0] else pair[::-1])
        if node.op == "select" and self.leaving <= set(b.nodes[node.operands[1]].axes) and constant(b, node.operands[2]) == 0:
            return b.add("select", (self.safe(node.operands[0]), self.through_zero(node.operands[1]), node.operands[2]))
        if node.op in ("neg", "re", "im") and b.nodes[node.operands[0]].axes == node.axes:
            return b.add(node.op, (self.through_zero(node.operands[0]),))
        if node.op in ("add", "sub") and all(self.leaving <= set(b.nodes[operand].axes) for operand in node.operands):
            return b.add(node.op, tuple(self.through_zero(operand) for operand in node.operands))
        return b.add("select", (self._inside(), self.safe(number), b.const(0.0)))

    def _others(self) -> Replacements:
        return {axis: index for axis, index in self.replacements.items() if axis not in self.leaving}

    def _inside(self) -> int:
        """Whether all indices are inside."""
        b = self.builder
        result: int | None = None
        for axis in b.sorted_axes(self.leaving):
            index = affine_value(b, self.replacements[axis])
            last = b.add("lt", (index, b.add("length", length=b.lengths[axis])))
            both = b.add("and", (b.add("ge", (index, b.const(0))), last))
            result = both if result is None else b.add("and", (result, both))
        assert result is not None
        return result

    def _indexed_by_themselves(self, node: Node) -> bool:
        """Whether each leaving axis is a whole dimension of what is read, so that the one is left where the other is."""
        if node.attribute("boundary") not in (None, "zero"):
            return False
        b = self.builder
        found: set[str] = set()
        for entry, index in zip(read_entries(b, node), node.attribute("indices"), strict=True):
            axes = set(b.nodes[node.operands[index.operand]].axes if isinstance(index, GatherSlot) else index.axes) & self.leaving
            if not axes:
                continue
            if isinstance(index, GatherSlot) or found & axes or not is_simple(index):
                return False
            if sympy.expand(entry_length(entry, b.lengths) - b.lengths[index.axes[0]]) != 0:
                return False
            found |= axes
        return found == self.leaving

    def _never_of_nothing(self, node: Node) -> bool:
        """Whether no point is left to read at where the tensor is empty."""
        lengths = self.builder.lengths
        for entry, index in zip(read_entries(self.builder, node), node.attribute("indices"), strict=True):
            length = entry_length(entry, lengths)
            if at_most(1, length):
                continue
            axes = () if isinstance(index, GatherSlot) else index.substitute(self.replacements).axes
            there = [lengths[axis] for axis in axes]
            if length not in there and not any(sympy.expand(each.subs(sympy.Min(1, length), 0)) == 0 for each in there):
                return False
        return True

    def _read(self, node: Node, gathers: tuple[int, ...]) -> int:
        """The read at the new indices, through zero if it had no boundary."""
        indices = replaced_indices(node.attribute("indices"), self.replacements)
        return read_at(self.builder, node, indices, gathers, node.attribute("boundary") or "zero")

    def safe(self, number: int) -> int:
        """The value there; anything where an index is outside, but nothing is read there."""
        if number not in self._safe:
            self._safe[number] = self._safely(number)
        return self._safe[number]

    def _safely(self, number: int) -> int:
        b = self.builder
        node = b.nodes[number]
        if not self.leaving & set(node.axes):
            return substitute(b, number, self._others())
        if node.op == "read":
            if node.attribute("boundary") not in (None, "zero") and not self._never_of_nothing(node):
                raise NotImplementedError("a read that would complain of an empty tensor")
            return self._read(node, tuple(self.safe(operand) for operand in node.operands[1:]))
        if node.op == "index":
            return substitute(b, number, self.replacements)
        operands = tuple(self.safe(operand) for operand in node.operands)
        return b.add(node.op, operands, label=node.name, span=node.span, **dict(node.attributes))
