"""Values of a tile as Triton text: what is read, computed, named or inlined.

In: the nodes of a step, its accesses, and the dimensions of the tile that one program works on. Out: `TileValues`, the ground of
the kernel writers. Holds: a tensor of the emitted program has the rank of the tile, with length 1 along dimensions that it does
not vary along, or is a scalar; a value used once is inlined where it is short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy

from ...ir.graph import Affine
from ...lang.checked import Kind, Length
from ...schedule.nest import leaf_place, used_by
from ...schedule.steps import Place, Schedule, Store
from ..access import Access, Fitted
from ..gpu.grid import Accesses
from ..lengths import cpp_length, identifier, python_length
from ..loops import Loop
from ..names import Names
from .expressions import ExpressionWriter, Value, bare
from .text import PYTHON_WORDS, PythonLines

_INLINED = 90  # the longest text that is inlined


@dataclass(frozen=True)
class KernelText:
    """`arguments`: as in `Launch`, without the constants, in the order of the function's parameters."""

    name: str
    text: str
    arguments: tuple[str, ...]


class TileValues:
    """The values of a step over a tile. `text_of`: those that have a text by now; `masks`: for each dimension of the tile its
    mask."""

    def __init__(
        self, schedule: Schedule, leaves: Mapping[int, Place], accesses: Accesses, writer: ExpressionWriter, rank: int
    ) -> None:
        self.schedule = schedule
        self.nodes = schedule.nodes
        self.lengths = schedule.lengths
        self.leaves = leaves
        self.accesses = accesses
        self.writer = writer
        self.rank = rank
        self.names = Names(PYTHON_WORDS)
        self.out = PythonLines()
        self.text_of: dict[int, Value] = {}
        self.finished: set[int] = set()  # reductions, which are not computed again
        self.loops: dict[str, tuple[Loop, Value]] = {}  # axis -> its loop and the loop's index
        self.indices: dict[int, str] = {}  # dimension of the tile -> a tensor that varies along it
        self.masks: dict[int, str] = {}
        self.joint_masks: dict[frozenset[int], str] = {}
        self.integers: dict[str, str] = {}  # integer parameter -> Python expression of its value
        self.extents: dict[Length, str] = {}
        self.buffers: dict[str, None] = {}
        self.uses: dict[int, int] = {}
        self.quoted: set[str] = set()

    # ---------------------------------------------------------------------------------------- integers

    def length(self, length: Length) -> str:
        """A length as text; what needs more than sums and products is a parameter of its own."""
        length = sympy.sympify(length)
        if length.has(sympy.floor, sympy.Max, sympy.Min):
            if length not in self.extents:
                self.extents[length] = f"n_extent_{len(self.extents) + 1}"
                self.integers[self.extents[length]] = python_length(length)
            return self.extents[length]
        for symbol in sorted(length.free_symbols, key=lambda s: s.name):
            name = cpp_length(symbol)
            if symbol.name.startswith("stride "):
                buffer, dimension = self._stride(symbol.name)
                self.integers.setdefault(name, f"stride[{buffer!r}][{dimension}]")
            else:
                self.integers.setdefault(name, python_length(symbol))
        return cpp_length(length)

    def _stride(self, symbol: str) -> tuple[str, int]:
        stem, _, dimension = symbol.removeprefix("stride stride_").rpartition("_")
        for name in self.schedule.buffers:
            if identifier(name) == stem:
                return name, int(dimension)
        raise AssertionError(symbol)

    # ---------------------------------------------------------------------------------------- places

    def set_loop(self, loop: Loop, index: Value) -> None:
        for axis in loop.axes:
            self.loops[axis] = (loop, index)

    def offset(self, each: Access) -> Value:
        """An element's offset at the indices of the loops."""
        terms, dims = [], frozenset[int]()
        for loop, index in dict.fromkeys(self.loops.values()):
            stride = each.stride(loop.step_axis)
            if stride == 0 or loop.length == 1:
                continue
            terms.append(index.text if stride == 1 else f"{index.text} * {self.length(stride)}")
            dims |= index.dims
        if each.offset != 0 or not terms:
            terms.append(self.length(each.offset))
        return Value(" + ".join(terms), dims)

    def mask(self, dims: frozenset[int], further: Sequence[str] = ()) -> str:
        """What holds at points inside along these dimensions, as an argument of a load or store; empty where nothing need hold."""
        present = frozenset(dim for dim in dims if dim in self.masks)
        if len(present) > 1:
            if present not in self.joint_masks:
                name = self.names.fresh("inside", -1)
                self.out.add(f"{name} = {' & '.join(self.masks[dim] for dim in sorted(present))}")
                self.joint_masks[present] = name
            parts = [self.joint_masks[present]]
        else:
            parts = [self.masks[dim] for dim in present]
        return " & ".join([*parts, *further])

    def spread(self, value: Value, dims: frozenset[int]) -> Value:
        """An offset that varies along all of the dimensions, if only by name: a pointer has to have its mask's shape."""
        missing = sorted(dims - value.dims)
        if not missing:
            return value
        return Value(" + ".join([value.text, *(f"0 * {self.indices[dim]}" for dim in missing)]), value.dims | dims)

    def pointer(self, buffer: str) -> str:
        self.buffers.setdefault(buffer)
        return f"at_{identifier(buffer)}"

    def _index(self, fitted: Fitted) -> Value:
        return self.text_of[fitted.index] if isinstance(fitted.index, int) else self.offset(fitted.index)

    def read(self, number: int) -> Value:
        """The element that a leaf is."""
        buffer = self.schedule.buffers[self.accesses.sources[number]]
        text, dims, tests = self.located(self.accesses.reads[number])
        kind = self.nodes[number].kind
        pointer = self.pointer(buffer.name)
        mask = self.mask(dims, tests)
        where = f"{pointer} + {text}" if text != "0" else pointer
        loaded = f"tl.load({where}, mask={mask}, other=0)" if mask else f"tl.load({where})"
        if tests and not dims:  # one element, read as a vector
            loaded = f"tl.sum({loaded}, axis=0)"
        if buffer.dtype != {"real": "compute", "int": "i64", "bool": "bool"}[kind]:
            loaded = f"{loaded}.to({self.writer.type_of(kind)})"
        return Value(loaded, dims)

    def located(self, each: Access) -> tuple[str, frozenset[int], list[str]]:
        """The offset of an element, the dimensions that it varies along, and the tests whether the element is there."""
        place = self.offset(each)
        indices = [self._index(fitted) for fitted in each.fitted]
        dims = place.dims.union(*(index.dims for index in indices))
        text, tests = place.text, []
        # of numbers known to the compiler a comparison is no tensor: it has to vary along a dimension, if only by name
        varying = f" + 0 * {self.indices[min(dims)]}" if dims else " + tl.arange(0, 1)"
        for fitted, index in zip(each.fitted, indices, strict=True):
            length = self.length(fitted.length)
            moved = index.text if index.text.isidentifier() else f"({index.text})"
            if fitted.boundary == "zero":
                tested = moved if index.dims else f"({moved}{varying})"
                tests.append(f"({tested} >= 0) & ({tested} < {length})")
            elif fitted.boundary is not None:
                moved = self.writer.call(f"{fitted.boundary}_index", index.text, length)
            stride = "" if fitted.stride == 1 else f" * {self.length(fitted.stride)}"
            text = f"{moved}{stride}" if text == "0" else f"{text} + {moved}{stride}"
        if tests and not dims:
            text = f"{text}{varying}"
        return text, dims, tests

    # ---------------------------------------------------------------------------------------- values

    def needed(self, roots: Sequence[int]) -> list[int]:
        """The values to compute for these roots, in order."""
        seen: set[int] = set()
        pending = list(roots)
        while pending:
            number = pending.pop()
            if number in seen or number in self.text_of:
                continue
            seen.add(number)
            if number not in self.finished:
                pending.extend(used_by(self.nodes, self.leaves, number))
        self.uses = {}
        for number in sorted(seen):
            for operand in used_by(self.nodes, self.leaves, number):
                self.uses[operand] = self.uses.get(operand, 0) + 1
        for root in roots:
            self.uses[root] = self.uses.get(root, 0) + 1
        return sorted(seen)

    def define(self, number: int, single: bool = False) -> Value:
        """Gives the value its text: inlined where it is used once, else a name."""
        if number in self.text_of:
            return self.text_of[number]
        node = self.nodes[number]
        value = self.value(number)
        alone = single and self.uses.get(number, 0) <= 1 and node.name is None and number not in self.accesses.sources
        if node.op in ("const", "length") or (alone and len(value.text) <= _INLINED) or value.text.isidentifier():
            self.text_of[number] = value
            return value
        stem = node.name or "t"
        if number in self.accesses.sources:  # a[G, 2] is a_2
            place = leaf_place(self.nodes, self.leaves, number)
            fixed = [str(i.offset) for i in place.indices if isinstance(i, Affine) and not i.terms] if place is not None else []
            stem = "_".join([self.accesses.sources[number], *fixed])
        name = self.names.fresh(identifier(stem), number)
        self._quote(number)
        self.out.add(f"{name} = {bare(value.text)}")
        self.text_of[number] = Value(name, value.dims, value.bare)
        return self.text_of[number]

    def _quote(self, number: int) -> None:
        """The line of the specification that a named value comes from, before the first statement for it."""
        node = self.nodes[number]
        line = node.span.text if node.span is not None and node.name is not None and node.op != "read" else ""
        if line and line not in self.quoted:
            self.quoted.add(line)
            self.out.add(f"# {line}")

    def value(self, number: int) -> Value:
        """The text of a value from those of its operands."""
        node = self.nodes[number]
        if number in self.accesses.reads:
            return self.read(number)
        if node.op == "const":
            return self.writer.literal(node.attribute("value"))
        if node.op == "length":
            return Value(self.length(node.attribute("length")), bare=True)
        if node.op == "index":
            axis = node.attribute("axis")
            if self.lengths[axis] == 1:
                return Value("0", bare=True)
            loop, index = self.loops[axis]
            assert loop.length == self.lengths[axis], f"the loop over {axis} was merged"
            return Value(f"tl.cast({index.text}, tl.int64)", index.dims)
        kinds = [self.nodes[operand].kind for operand in node.operands]
        exponent = None
        slot = {"pow": 1, "bspline": 0, "polygamma": 0}.get(node.op)
        if slot is not None:
            order = self.nodes[node.operands[slot]]
            if order.op == "const" and order.kind == "int":
                exponent = order.attribute("value")
        return self.writer.expression(node, [self.text_of[operand] for operand in node.operands], kinds, exponent)

    def define_all(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.define(number, single=True)

    def store(self, store: Store, each: Access, value: Value, dims: frozenset[int], further: Sequence[str] = ()) -> None:
        """Writes a value at every point of the dimensions `dims` of the tile that its place has."""
        at, own, tests = self.located(each)
        place = self.spread(Value(at, own), dims)
        buffer = self.schedule.buffers[store.place.buffer]
        kind = self.nodes[store.node].kind
        text = self.stored_text(value, kind, buffer.dtype)
        mask = self.mask(dims, [*further, *tests])
        where = f"{self.pointer(buffer.name)} + {place.text}" if place.text != "0" else self.pointer(buffer.name)
        self.out.add(f"tl.store({where}, {text}, mask={mask})" if mask else f"tl.store({where}, {text})")

    def stored_text(self, value: Value, kind: Kind, dtype: str) -> str:
        """A value in the type that a buffer stores."""
        if dtype == {"real": "compute", "int": "i64", "bool": "bool"}[kind] and not value.bare:
            return bare(value.text)
        if dtype == "bool" and kind != "bool":
            return f"{value.text} != 0"
        if dtype == "bf16" and kind == "real":
            return self.writer.call("to_bf16", self.writer.typed(value, kind).text)
        return f"tl.cast({bare(value.text)}, {self.writer.storage(dtype)})"

    # ---------------------------------------------------------------------------------------- the function

    def function(self, name: str, comments: Sequence[str], constants: Sequence[str], body: PythonLines) -> KernelText:
        """The kernel around a body: its parameters are the buffers it uses, the integers it asked for, and constants."""
        parameters = [f"at_{identifier(buffer)}" for buffer in self.buffers]
        parameters += list(self.integers)
        parameters += [f"{constant}: tl.constexpr" for constant in constants]
        head = PythonLines()
        for comment in comments:
            head.add(f"# {comment}")
        head.add("@triton.jit")
        head.add(f"def {name}({', '.join(parameters)}):")
        arguments = (*self.buffers, *(f"={text}" for text in self.integers.values()))
        return KernelText(name, head.text() + body.text(), tuple(arguments))
