"""Values of a kernel as C++ text: what is read, computed, named or inlined.

In: a kernel step of a schedule. Out: `ValueWriter`, the ground of the kernel writer: the nest, its loops and accesses, and any
value's text. Holds: a value is named in the innermost loop that it varies along; used once in that loop, it is inlined instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import sympy

from ...ir.graph import Affine, Node, size_of
from ...ir.walk import depth_first
from ...lang.checked import Length
from ...schedule.nest import Nest, leaf_place, used_by
from ...schedule.steps import KernelStep, ScanStep, Schedule, Store
from ...schedule.storage import STORED_KINDS
from ..access import Access, Fitted, access
from ..lengths import cpp_length, identifier
from ..loops import Loop, merged_loops
from ..names import Names
from ..text import Lines
from .expressions import CPP_TYPES, bare, expression, literal

STORAGE_TYPES = {
    "f64": "double",
    "f32": "float",
    "f16": "lamina::f16",
    "bf16": "lamina::bf16",
    "i64": "int64_t",
    "i32": "int32_t",
    "bool": "bool",
    "compute": "Real",
}


@dataclass(frozen=True)
class KernelSource:
    """`parameters`: (C++ declaration, argument text). `scratch`: float64 words a thread, or 0; `scratch_name` its parameter."""

    name: str
    text: str
    buffers: tuple[str, ...]
    lengths: tuple[str, ...]
    scratch: Length


class ValueWriter:
    """The nest of a step, and the text of its values."""

    def __init__(self, schedule: Schedule, step: KernelStep | ScanStep, nest: Nest) -> None:
        self.schedule = schedule
        self.step = step
        self.double = schedule.compute == "f64"
        self.nodes: Sequence[Node] = schedule.nodes
        self.lengths = schedule.lengths
        self.leaves = step.leaves
        self.nest = nest
        self.names = Names()
        self.out = Lines()
        self.accesses: dict[int, Access] = {}
        self.sources: dict[int, str] = {}
        for number in self.nest.cone:
            place = leaf_place(self.nodes, self.leaves, number)
            if place is not None:
                self.accesses[number] = access(schedule.moved(place), schedule.buffers, self.lengths)
                self.sources[number] = place.buffer
        self.store_accesses = [access(schedule.moved(store.place), schedule.buffers, self.lengths) for store in step.stores]
        everything = [*self.accesses.values(), *self.store_accesses]
        for each in self.accesses.values():  # an index of its own has to step as one, too
            everything += [fitted.index for fitted in each.fitted if isinstance(fitted.index, Access)]
        self.walks = everything
        nodes, lengths = self.nodes, dict(self.lengths)
        self.outer = merged_loops(self.nest.outer, self.nest, nodes, lengths, everything)
        self.inner = merged_loops(self.nest.inner, self.nest, nodes, lengths, everything)
        if not self.nest.row and self.outer and self.inner:
            # without rows the innermost outer loop may join the innermost one
            joined = merged_loops(self.nest.order, self.nest, nodes, lengths, everything)
            self.outer, self.inner = joined[:-1], joined[-1:]
        self.row = self.nest.row
        self.column = self.nest.column
        self.text_of: dict[int, str] = {}
        self.settled: dict[Fitted, str] = {}  # indices brought inside ahead of the innermost loop
        self.inside: frozenset[Fitted] = frozenset()  # the indices that are known to be inside their dimensions
        self.used_lengths: dict[str, None] = {}
        self.outer_axes = {axis for loop in self.outer for axis in loop.axes}
        self.row_offsets: dict[int, Length] = {}
        self.column_offsets: dict[int, Length] = {}
        self.uses: dict[int, int] = {}
        self.deepest: dict[int, int] = {}
        self.quoted: set[str] = set()
        self.scratch: Length = sympy.Integer(0)

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """What is named within is forgotten after it."""
        text_of = dict(self.text_of)
        self.names.push()
        yield
        self.names.pop()
        self.text_of = text_of

    def _points(self, axes: Sequence[str]) -> Length:
        return size_of(self.lengths[axis] for axis in axes)

    def _kept_inner(self, number: int) -> tuple[str, ...]:
        return tuple(axis for axis in self.nodes[number].axes if axis not in self.outer_axes)

    def length(self, length: Length) -> str:
        for symbol in sorted(length.free_symbols, key=lambda s: s.name):
            self.used_lengths.setdefault(symbol.name)
        return cpp_length(length)

    def offset(self, each: Access, loops: Sequence[Loop], extra: Length | None = None) -> str:
        terms = []
        for loop in loops:
            stride = each.stride(loop.step_axis)
            if stride == 0:
                continue
            terms.append(loop.variable if stride == 1 else f"{loop.variable} * {self.length(stride)}")
        constant = each.offset if extra is None else each.offset + extra
        if constant != 0 or not terms:
            terms.append(self.length(constant))
        return " + ".join(terms)

    def pointer(self, buffer: str) -> str:
        return f"at_{identifier(buffer)}"

    def _inside_row(self, number: int) -> bool:
        """Whether a value varies along an inner loop."""
        return any(axis not in self.outer_axes for axis in self.nodes[number].axes)

    def _depth(self, number: int) -> int:
        """The innermost inner loop a value varies along; -1 for none."""
        axes = set(self.nodes[number].axes)
        return max((position for position, loop in enumerate(self.inner) if axes & set(loop.axes)), default=-1)

    def _needed(self, roots: Sequence[int]) -> list[int]:
        """The values to compute within the inner loops for these roots, in order."""

        def behind(number: int) -> tuple[int, ...]:
            known = number in self.text_of or number in self.row
            return () if known else used_by(self.nodes, self.leaves, number)

        needed = sorted(number for number in depth_first(roots, behind) if number not in self.text_of)
        self.uses, self.deepest = {}, {}
        for number in needed:
            if number not in self.row:
                for operand in used_by(self.nodes, self.leaves, number):
                    self.uses[operand] = self.uses.get(operand, 0) + 1
                    self.deepest[operand] = max(self.deepest.get(operand, -1), self._depth(number))
        for root in roots:
            self.uses[root] = self.uses.get(root, 0) + 1
            self.deepest[root] = len(self.inner) - 1
        return needed

    def _values_at(self, needed: Sequence[int], depth: int) -> None:
        for number in needed:
            if max(self._depth(number), 0) == depth and number not in self.text_of:
                alone = self.uses.get(number, 0) == 1 and self.deepest.get(number) == depth
                self._define(number, single=alone)

    def _define(self, number: int, *, single: bool) -> None:
        """Makes the value's text: inlined where it is used once, else a named constant."""
        if number in self.text_of:
            return
        node = self.nodes[number]
        if node.op == "const":
            self.text_of[number] = literal(node.attribute("value"))
            return
        text = self._value(number)
        if single and node.name is None and len(text) <= 90 and number not in self.sources:
            self.text_of[number] = text
            return
        stem = node.name or "t"
        if number in self.sources:  # a[G, 2] is a_2
            place = leaf_place(self.nodes, self.leaves, number)
            fixed = [str(i.offset) for i in place.indices if isinstance(i, Affine) and not i.terms] if place is not None else []
            stem = "_".join([self.sources[number], *fixed])
        name = self.names.fresh(identifier(stem), number)
        self._quote(node)
        self.out.add(f"const {CPP_TYPES[node.kind]} {name} = {bare(text)};")
        self.text_of[number] = name

    def _quote(self, node: Node) -> None:
        """The line of the specification that a named value comes from, before the first statement for it."""
        line = node.span.text if node.span is not None and node.name is not None and node.op != "read" else ""
        if line and line not in self.quoted:
            self.quoted.add(line)
            self.out.add(f"// {line}")

    def _value(self, number: int) -> str:
        node = self.nodes[number]
        if node.op == "index":
            axis = node.attribute("axis")
            origin = self.schedule.origins.get(axis)
            if self.lengths[axis] == 1:
                return "int64_t(0)" if origin is None else self.length(origin)
            for loop in (*self.outer, *self.inner):
                if axis in loop.axes:
                    assert loop.length == self.lengths[axis], f"the loop over {axis} was merged"
                    return loop.variable if origin is None else f"({loop.variable} + {self.length(origin)})"
            raise AssertionError(f"no loop over {axis}")
        if node.op == "length":
            return self.length(node.attribute("length"))
        if number in self.row:  # a reduction that keeps inner axes, read back from the row's scratch
            element = self._array_element(number, self.row_offsets[number], self._kept_inner(number))
            return f"{CPP_TYPES[node.kind]}({element})"
        if number in self.accesses:
            return self._read(number)
        kinds = [self.nodes[operand].kind for operand in node.operands]
        operands = [self.text_of[operand] for operand in node.operands]
        exponent = None
        slot = {"pow": 1, "bspline": 0}.get(node.op)
        if slot is not None:
            order = self.nodes[node.operands[slot]]
            if order.op == "const" and order.kind == "int":
                exponent = order.attribute("value")
        return expression(node, operands, kinds, exponent)

    def _settle(self, accesses: Sequence[Access], loop: Loop) -> None:
        """Names, ahead of a loop, the indices brought inside that do not move with it; a vectorised loop would repeat that."""
        self.settled = {}
        for fitted in dict.fromkeys(fitted for each in accesses for fitted in each.fitted):
            if fitted.boundary is None:
                continue
            if isinstance(fitted.index, int):
                if fitted.index not in self.text_of or set(self.nodes[fitted.index].axes) & set(loop.axes):
                    continue
            elif fitted.index.stride(loop.step_axis) != 0:
                continue
            kind, stem = ("bool", "inside") if fitted.boundary == "zero" else ("int64_t", "place")
            name = self.names.fresh(stem, -1)
            self.out.add(f"const {kind} {name} = {self._fit(fitted, (*self.outer, *self.inner))};")
            self.settled[fitted] = name

    def _fit(self, fitted: Fitted, loops: Sequence[Loop]) -> str:
        """An index brought inside its dimension; through zero, whether it is inside."""
        function = "inside" if fitted.boundary == "zero" else fitted.boundary
        return f"lamina::{function}({self._index(fitted, loops)}, {self.length(fitted.length)})"

    def _index(self, fitted: Fitted, loops: Sequence[Loop]) -> str:
        return self.text_of[fitted.index] if isinstance(fitted.index, int) else self.offset(fitted.index, loops)

    def _read(self, number: int) -> str:
        """The element that a leaf is; where an index is outside and counts as zero, no address is formed."""
        buffer = self.schedule.buffers[self.sources[number]]
        place, inside = self._located(self.accesses[number])
        text = f"{self.pointer(buffer.name)}[{place}]"
        kind = CPP_TYPES[self.nodes[number].kind]
        if buffer.dtype not in ("compute", "i64", "bool"):
            text = f"lamina::convert<{kind}>({text})"
        return f"({' && '.join(inside)} ? {text} : {kind}(0))" if inside else text

    def _located(self, each: Access, loops: Sequence[Loop] | None = None) -> tuple[str, list[str]]:
        """The offset of an element within the loops (those of the nest), and the tests whether it is there."""
        loops = (*self.outer, *self.inner) if loops is None else loops
        place = self.offset(each, loops)
        inside: list[str] = []
        for fitted in each.fitted:
            index = self._index(fitted, loops)
            known = fitted in self.inside
            if fitted.boundary == "zero" and not known:
                inside.append(self.settled.get(fitted) or self._fit(fitted, loops))
            if fitted.boundary not in (None, "zero") and not known:
                index = self.settled.get(fitted) or self._fit(fitted, loops)
            elif fitted.stride != 1 and not index.isidentifier():
                index = f"({index})"
            stride = "" if fitted.stride == 1 else f" * {self.length(fitted.stride)}"
            place = f"{index}{stride}" if place == "0" else f"{place} + {index}{stride}"
        return place, inside

    def _array_access(self, axes: Sequence[str]) -> Access:
        """Scratch over these axes, stored in the order of the loops: merged loops walk it as one."""
        strides = []
        step: Length = sympy.Integer(1)
        for axis in sorted(axes, key=self.nest.order.index, reverse=True):
            strides.append((axis, step))
            step = step * self.lengths[axis]
        return Access(tuple(strides), sympy.Integer(0))

    def _array_element(self, number: int, offset: Length, axes: Sequence[str]) -> str:
        each = self._array_access(axes)
        place = self.offset(each, [loop for loop in (*self.outer, *self.inner) if set(loop.axes) <= set(axes)], offset)
        array = "own" if self.nodes[number].kind == "real" else "reinterpret_cast<int64_t*>(own)"
        return f"{array}[{place}]"

    def _store(self, store: Store, each: Access, value: str, loops: Sequence[Loop] | None = None) -> None:
        place, inside = self._located(each, loops)
        if inside:
            self.out.add(f"if ({' && '.join(inside)})")
        self._write(store, f"{self.pointer(store.place.buffer)}[{place}]", value)

    def _write(self, store: Store, target: str, value: str) -> None:
        dtype = self.schedule.buffers[store.place.buffer].dtype
        kind = self.nodes[store.node].kind
        text = bare(value)
        if dtype != STORED_KINDS[kind]:
            text = f"lamina::convert<{STORAGE_TYPES[dtype]}>({text})"
        self.out.add(f"{target} = {text};")

    def _function(self, body: Lines, comments: Sequence[str]) -> KernelSource:
        """The function around a body: its parameters are the buffers it uses, its scratch memory and the lengths it asked for."""
        buffers: dict[str, None] = {}
        for number in self.nest.cone:
            if number in self.sources:
                buffers.setdefault(self.sources[number])
        stored = {store.place.buffer for store in self.step.stores}
        for store in self.step.stores:
            buffers.setdefault(store.place.buffer)
        parameters = []
        for name in buffers:
            buffer = self.schedule.buffers[name]
            constant = "" if name in stored else "const "
            parameters.append(f"{constant}{STORAGE_TYPES[buffer.dtype]}* __restrict {self.pointer(name)}")
        if self.scratch != 0:
            parameters.append("double* __restrict scratch")
            parameters.append("const int64_t scratch_stride")
        lengths = list(self.used_lengths)
        parameters += [f"const int64_t {cpp_length(sympy.Symbol(name, integer=True, nonnegative=True))}" for name in lengths]
        parameters.append("const int64_t threads")
        head = Lines()
        for comment in comments:
            head.add(f"// {comment}")
        head.add(f"static void {self.step.name}({', '.join(parameters)}) {{")
        text = head.text() + body.text() + "}\n"
        return KernelSource(self.step.name, text, tuple(buffers), tuple(lengths), self.scratch)
