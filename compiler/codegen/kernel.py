"""One kernel step as a C++ function: loops, values, reductions, stores.

In: a kernel step of a schedule. Out: `KernelSource`: the function's text, its parameters and the scratch memory it needs.

Structure of the text: values without axes; a parallel region; rows (the outer loops) divided among threads; in a row one run of
the inner
loops a stage. A sum is gathered in a register over the innermost loop, at most CHUNK terms at a time, then added to a float64
total, so that its
error does not grow with the length. Sums over rows go to one partial result a thread and are added up in thread order: the result
depends on the number of threads, never on timing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from ..ir.graph import Affine, Node
from ..lang.checked import Length
from ..schedule.nest import is_leaf, leaf_place, plan_nest
from ..schedule.steps import KernelStep, Place, Schedule, Store
from .access import Access, access
from .expressions import CPP_TYPES, bare, expression, literal
from .lengths import cpp_length, identifier
from .loops import Loop, merged_loops
from .names import Names
from .text import Lines

CHUNK = 4096
LANES = {"f32": 16, "f64": 8}  # accumulators side by side, a vector of them: 64 bytes
LANE_WORDS = 8
LANE_TERMS = 1024
MOST_LANES = 1024
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
ACCUMULATORS = {"real": "double", "int": "int64_t", "bool": "int64_t"}
_COMBINE = {
    "sum": "{0} += {1};",
    "prod": "{0} *= {1};",
    "max": "{0} = lamina::max({0}, {1});",
    "min": "{0} = lamina::min({0}, {1});",
    "any": "{0} |= {1};",
    "all": "{0} &= {1};",
}
_START = {"sum": "0", "prod": "1", "any": "0", "all": "1"}
_PRAGMA = {"sum": "+", "prod": "*", "max": "lamina_max", "min": "lamina_min", "any": "|", "all": "&"}


@dataclass(frozen=True)
class KernelSource:
    """`parameters`: (C++ declaration, argument text). `scratch`: float64 words a thread, or 0; `scratch_name` its parameter."""

    name: str
    text: str
    buffers: tuple[str, ...]
    lengths: tuple[str, ...]
    scratch: Length
    places: tuple[Place, ...]


def kernel_source(schedule: Schedule, step: KernelStep) -> KernelSource:
    """The C++ of one kernel step."""
    return _Kernel(schedule, step).emit()


class _Kernel:
    def __init__(self, schedule: Schedule, step: KernelStep) -> None:
        self.schedule = schedule
        self.step = step
        self.double = schedule.compute == "f64"
        self.nodes: Sequence[Node] = schedule.nodes
        self.lengths = schedule.lengths
        self.leaves = step.leaves
        self.nest = plan_nest(self.nodes, tuple(self.lengths), self.leaves, step.stores)
        assert not self.nest.cut and not self.nest.deferred
        self.names = Names()
        self.out = Lines()
        self.accesses: dict[int, Access] = {}
        self.sources: dict[int, str] = {}
        for number in self.nest.cone:
            place = leaf_place(self.nodes, self.leaves, number)
            if place is not None:
                self.accesses[number] = access(place, schedule.buffers)
                self.sources[number] = place.buffer
        self.store_accesses = [access(store.place, schedule.buffers) for store in step.stores]
        everything = [*self.accesses.values(), *self.store_accesses]
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
        self.used_lengths: dict[str, None] = {}
        self.outer_axes = {axis for loop in self.outer for axis in loop.axes}
        self.row_offsets: dict[int, Length] = {}
        self.column_offsets: dict[int, Length] = {}
        self.uses: dict[int, int] = {}
        self.deepest: dict[int, int] = {}
        self.quoted: set[str] = set()
        self.lanes = self._use_lanes()
        self.scratch = self._scratch()

    # ------------------------------------------------------------------------------------------------ scratch memory

    def _use_lanes(self) -> bool:
        """Whether sums over rows are gathered in vectors of lanes kept across rows.

        Worth it where the innermost loop is all that a row has: a sum across a vector's lanes at the end of each short loop would
        cost as much as the loop. Only for a small, known number of results.
        """
        if self.row or not self.column or not self.outer or not self.inner:
            return False
        loop = self.inner[-1]
        count = sum((self._points(self.nodes[n].axes) for n in self.column), sympy.Integer(0))
        if not count.is_Integer or int(count) > MOST_LANES:
            return False
        return all(
            self.nodes[n].attribute("operation") == "sum"
            and self.nodes[n].kind == "real"
            and set(loop.axes) <= set(self.nodes[n].attribute("over"))
            for n in self.column
        )

    def _scratch(self) -> Length:
        """Words of scratch a thread: partial results of column reductions, then rows of reductions that keep inner axes."""
        words: Length = sympy.Integer(0)
        for number in self.column:
            self.column_offsets[number] = words
            words = words + self._points(self.nodes[number].axes)
        for number in self.row:
            kept = self._kept_inner(number)
            if kept:
                self.row_offsets[number] = words
                words = words + self._points(kept)
        if self.lanes:
            words = words * (1 + LANE_WORDS)  # the totals, then the lanes of each
        return words

    def _points(self, axes: Sequence[str]) -> Length:
        product: Length = sympy.Integer(1)
        for axis in axes:
            product = product * self.lengths[axis]
        return product

    def _kept_inner(self, number: int) -> tuple[str, ...]:
        return tuple(axis for axis in self.nodes[number].axes if axis not in self.outer_axes)

    # ------------------------------------------------------------------------------------------------ text helpers

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

    # ------------------------------------------------------------------------------------------------ the function

    def emit(self) -> KernelSource:
        body = Lines()
        self.out = body
        body.indent()
        self._invariants()
        self._region()
        self._combine_columns()
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
        for comment in self._comments():
            head.add(f"// {comment}")
        head.add(f"static void {self.step.name}({', '.join(parameters)}) {{")
        return KernelSource(
            self.step.name, head.text() + body.text() + "}\n", tuple(buffers), tuple(lengths), self.scratch, self._all_places()
        )

    def _all_places(self) -> tuple[Place, ...]:
        places = [leaf_place(self.nodes, self.leaves, number) for number in self.nest.cone if number in self.sources]
        return (*(place for place in places if place is not None), *(store.place for store in self.step.stores))

    def _comments(self) -> list[str]:
        stored = ", ".join(dict.fromkeys(store.place.buffer for store in self.step.stores))
        loops = " x ".join("*".join(loop.axes) for loop in (*self.outer, *self.inner)) or "one point"
        return [f"{stored}: loops over {loops}" + (f", {self.nest.stages} stages a row" if self.row else "")]

    def _invariants(self) -> None:
        """Values without axes that need no reduction: once, before the loops."""
        for number in self.nest.cone:
            if not self.nodes[number].axes and self.nest.levels[number] == 0 and number not in self.column:
                self._define(number, single=False)

    def _region(self) -> None:
        out = self.out
        pieces = self.outer or self.inner
        count = " * ".join(self.length(loop.length) for loop in pieces) if pieces else "1"
        points = " * ".join(self.length(loop.length) for loop in (*self.outer, *self.inner)) or "1"
        out.add(f"const int64_t pieces = {count};")
        out.add(f"const int64_t team = lamina::team_size(threads, pieces, {points});")
        if self.column:
            out.add("int64_t joined = 1;  // threads that took part")
        out.add("#pragma omp parallel num_threads(team) if (team > 1)")
        out.open("")
        out.add("const int64_t members = omp_get_num_threads(), member = omp_get_thread_num();")
        out.add("const int64_t begin = pieces * member / members, end = pieces * (member + 1) / members;")
        if self.column:
            out.add("if (member == 0) joined = members;")
        if self.scratch != 0:
            out.add("double* __restrict own = scratch + member * scratch_stride;")
        if self.lanes:
            self._start_lanes()
        else:
            for number in self.column:
                self._start_array(number, self.column_offsets[number], self.nodes[number].axes)
        if self.outer:
            self._rows()
        else:
            self._row()
        if self.lanes:
            out.add("flush();")
        out.close()

    def _start_lanes(self) -> None:
        out = self.out
        totals = self.scratch / (1 + LANE_WORDS)
        lanes = LANES["f64" if self.double else "f32"]
        out.add(f"constexpr int64_t lanes = {lanes}, totals = {self.length(totals)};")
        out.add("Real* __restrict own_lanes = reinterpret_cast<Real*>(own + totals);")
        out.add("int64_t gathered = 0;")
        out.add("lamina::fill(own, totals, double(0));")
        out.add("lamina::fill(own_lanes, totals * lanes, Real(0));")
        out.add("const auto flush = [&] { lamina::flush_lanes<lanes>(own, own_lanes, totals), gathered = 0; };")

    def _rows(self) -> None:
        """The outer loops over the thread's share of points: the last as a loop, those before it flattened and decoded once a
        run."""
        out = self.out
        last = self.outer[-1]
        if len(self.outer) == 1:
            out.open(f"for (int64_t {last.variable} = begin; {last.variable} < end; ++{last.variable})")
            self._row()
            self._gathered("1")
            out.close()
            return
        length = self.length(last.length)
        out.add(f"const int64_t run = lamina::at_least_one({length});")
        out.open("for (int64_t lead = begin / run; lead * run < end; ++lead)")
        remaining = "lead"
        declarations = []
        for position, loop in reversed(list(enumerate(self.outer[:-1]))):
            if position == 0:
                declarations.append(f"const int64_t {loop.variable} = {remaining};")
            else:
                size = f"lamina::at_least_one({self.length(loop.length)})"
                declarations.append(f"const int64_t {loop.variable} = {remaining} % {size};")
                remaining = f"({remaining} / {size})"
        for declaration in reversed(declarations):
            out.add(declaration)
        out.add("const int64_t low = lamina::max(begin - lead * run, int64_t(0)), high = lamina::min(end - lead * run, run);")
        out.open(f"for (int64_t {last.variable} = low; {last.variable} < high; ++{last.variable})")
        self._row()
        out.close()
        self._gathered("(high - low)")
        out.close()

    def _gathered(self, rows: str) -> None:
        """In a nest with lanes: empties them into the totals before they have gathered too many terms."""
        if self.lanes:
            self.out.add(f"gathered += {rows} * {self.length(self.inner[-1].length)};")
            self.out.add(f"if (gathered >= {LANE_TERMS} * lanes) flush();")

    def _start_array(self, number: int, offset: Length, axes: Sequence[str]) -> None:
        node = self.nodes[number]
        start = self._start_value(node, ACCUMULATORS[node.kind])
        base = f"own + {self.length(offset)}" if offset != 0 else "own"
        target = base if node.kind == "real" else f"reinterpret_cast<int64_t*>({base})"
        self.out.add(f"lamina::fill({target}, {self.length(self._points(axes))}, {start});")

    def _start_value(self, node: Node, kind: str) -> str:
        operation = node.attribute("operation")
        if operation in ("max", "min"):
            sign = "-" if operation == "max" else ""
            if node.kind == "real":
                return f"{kind}({sign}__builtin_inf())"
            return "INT64_MIN" if operation == "max" else "INT64_MAX"
        return f"{kind}({_START[operation]})"

    # ------------------------------------------------------------------------------------------------ one row

    def _row(self) -> None:
        self._row_values(0)
        for stage in range(self.nest.stages):
            self._stage(stage)
            self._row_values(stage + 1)

    def _inside_row(self, number: int) -> bool:
        """Whether a value varies along an inner loop."""
        return any(axis not in self.outer_axes for axis in self.nodes[number].axes)

    def _row_values(self, level: int) -> None:
        """Values of the row known once `level` stages are done, the column sums gathered from them and the stores made once a
        row."""
        for number in self.nest.cone:
            node = self.nodes[number]
            if self.nest.levels[number] != level or self._inside_row(number) or number in self.column:
                continue
            if not node.axes and level == 0:
                continue
            if number in self.row:
                kind = CPP_TYPES[node.kind]
                self.text_of[number] = self.names.fresh(node.name or node.attribute("operation"), number)
                self.out.add(f"const {kind} {self.text_of[number]} = {kind}(total_{number});")
            else:
                self._define(number, single=False)
        if not self.row:
            return
        for number in self.column:
            body = self.nodes[number].operands[0]
            if not self._inside_row(body) and self.nest.levels[body] == level:
                self._fold(number, self.text_of[body])
        for store, each in zip(self.step.stores, self.store_accesses, strict=True):
            if store.node in self.column or any(axis not in self.outer_axes for axis in store.axes):
                continue
            if self.nest.levels[store.node] == level:
                self._store(store, each, self.text_of[store.node])

    def _stage(self, stage: int) -> None:
        out = self.out
        reductions = [n for n in self.row if self.nest.levels[n] == stage + 1]
        columns = [
            n
            for n in self.column
            if (not self.row or self._inside_row(self.nodes[n].operands[0]))
            and self.nest.levels[self.nodes[n].operands[0]] == stage
        ]
        stores = [
            (store, each)
            for store, each in zip(self.step.stores, self.store_accesses, strict=True)
            if store.node not in self.column
            and store.node not in self.row
            and self._stored_inside(store)
            and self.nest.levels[store.node] == stage
        ]
        if not reductions and not columns and not stores:
            return
        for number in reductions:
            node = self.nodes[number]
            if self._kept_inner(number):
                self._start_array(number, self.row_offsets[number], self._kept_inner(number))
            else:
                kind = ACCUMULATORS[node.kind]
                out.add(f"{kind} total_{number} = {self._start_value(node, kind)};")
        roots = [self.nodes[n].operands[0] for n in (*reductions, *columns)] + [store.node for store, _ in stores]
        needed = self._needed(roots)
        scope = dict(self.text_of)
        self.names.push()
        depth = 0
        for position, loop in enumerate(self.inner[:-1]):
            out.open(f"for (int64_t {loop.variable} = 0; {loop.variable} < {self.length(loop.length)}; ++{loop.variable})")
            depth += 1
            self._values_at(needed, position)
        if self.inner:
            self._innermost(needed, reductions, columns, stores, len(self.inner) - 1)
        else:
            self._point(needed, reductions, columns, stores)
        for _ in range(depth):
            out.close()
        self.names.pop()
        self.text_of = scope
        for store, each in zip(self.step.stores, self.store_accesses, strict=True):
            if store.node in reductions and self._kept_inner(store.node):
                self._store_array(store, each)

    def _stored_inside(self, store: Store) -> bool:
        return not self.row or any(axis not in self.outer_axes for axis in store.axes)

    def _needed(self, roots: Sequence[int]) -> list[int]:
        """The values to compute within the inner loops for these roots, in order."""
        seen: set[int] = set()
        pending = list(roots)
        while pending:
            number = pending.pop()
            if number in seen or number in self.text_of:
                continue
            seen.add(number)
            if not is_leaf(self.nodes, self.leaves, number) and number not in self.row:
                pending.extend(self.nodes[number].operands)
        self.uses, self.deepest = {}, {}
        for number in sorted(seen):
            if not is_leaf(self.nodes, self.leaves, number) and number not in self.row:
                for operand in self.nodes[number].operands:
                    self.uses[operand] = self.uses.get(operand, 0) + 1
                    self.deepest[operand] = max(self.deepest.get(operand, -1), self._depth(number))
        for root in roots:
            self.uses[root] = self.uses.get(root, 0) + 1
            self.deepest[root] = len(self.inner) - 1
        return sorted(seen)

    def _depth(self, number: int) -> int:
        """The innermost inner loop a value varies along; -1 for none."""
        axes = set(self.nodes[number].axes)
        return max((position for position, loop in enumerate(self.inner) if axes & set(loop.axes)), default=-1)

    def _values_at(self, needed: Sequence[int], depth: int) -> None:
        for number in needed:
            if max(self._depth(number), 0) == depth and number not in self.text_of:
                alone = self.uses.get(number, 0) == 1 and self.deepest.get(number) == depth
                self._define(number, single=alone)

    def _innermost(
        self,
        needed: Sequence[int],
        reductions: Sequence[int],
        columns: Sequence[int],
        stores: Sequence[tuple[Store, Access]],
        depth: int,
    ) -> None:
        out = self.out
        loop = self.inner[-1]
        variable = loop.variable
        if self.lanes:
            self._innermost_lanes(needed, columns, stores, depth)
            return
        split = not self.outer  # the only loop is the one divided among threads
        registers = [n for n in (*reductions, *columns) if loop.axes[0] in self.nodes[n].attribute("over")]
        low, high = ("begin", "end") if split else ("0", self.length(loop.length))
        chunked = any(self.nodes[n].attribute("operation") == "sum" for n in registers) and not (
            loop.length.is_Integer and int(loop.length) <= CHUNK
        )
        if chunked:
            out.open(f"for (int64_t chunk = {low}; chunk < {high}; chunk += {CHUNK})")
            out.add(f"const int64_t chunk_end = chunk + {CHUNK} < {high} ? chunk + {CHUNK} : {high};")
            low, high = "chunk", "chunk_end"
        clauses: dict[str, list[str]] = {}
        for number in registers:
            node = self.nodes[number]
            kind = "Real" if node.kind == "real" else "int64_t"
            out.add(f"{kind} part_{number} = {self._start_value(node, kind)};")
            clauses.setdefault(_PRAGMA[node.attribute("operation")], []).append(f"part_{number}")
        text = "".join(f" reduction({operator} : {', '.join(parts)})" for operator, parts in clauses.items())
        out.add(f"#pragma omp simd{text}")
        out.open(f"for (int64_t {variable} = {low}; {variable} < {high}; ++{variable})")
        self._values_at(needed, depth)
        for number in (*reductions, *columns):
            value = self.text_of[self.nodes[number].operands[0]]
            if number in registers:
                self._accumulate(number, f"part_{number}", value)
            else:
                self._fold(number, value)
        for store, each in stores:
            self._store(store, each, self.text_of[store.node])
        out.close()
        for number in registers:
            self._fold(number, f"part_{number}")
        if chunked:
            out.close()

    def _innermost_lanes(
        self, needed: Sequence[int], columns: Sequence[int], stores: Sequence[tuple[Store, Access]], depth: int
    ) -> None:
        """The innermost loop a vector of lanes at a time; the lanes of each sum are loaded before it and stored after it."""
        out = self.out
        loop = self.inner[-1]
        length = self.length(loop.length)
        places = {n: self._lane_place(n) for n in columns}
        for number in columns:
            out.add(f"Real part_{number}[lanes];")
            out.add(
                f"for (int64_t lane = 0; lane < lanes; ++lane) part_{number}[lane] = own_lanes[({places[number]}) * lanes + lane];"
            )
        out.open(f"const auto point = [&](const int64_t {loop.variable}, const int64_t lane) __attribute__((always_inline))")
        self._values_at(needed, depth)
        for number in columns:
            self._accumulate(number, f"part_{number}[lane]", self.text_of[self.nodes[number].operands[0]])
        for store, each in stores:
            self._store(store, each, self.text_of[store.node])
        out.close_with(";")
        out.add(f"int64_t {loop.variable} = 0;")
        out.open(f"for (; {loop.variable} + lanes <= {length}; {loop.variable} += lanes)")
        out.add("#pragma omp simd")
        out.add(f"for (int64_t lane = 0; lane < lanes; ++lane) point({loop.variable} + lane, lane);")
        out.close()
        # the rest as one masked vector: a scalar loop would force the accumulators into memory, even where it runs zero times
        out.open(f"if ({loop.variable} < {length})")
        out.add("#pragma omp simd")
        out.open("for (int64_t lane = 0; lane < lanes; ++lane)")
        out.add(f"if ({loop.variable} + lane < {length}) point({loop.variable} + lane, lane);")
        out.close()
        out.close()
        for number in columns:
            out.add(
                f"for (int64_t lane = 0; lane < lanes; ++lane) own_lanes[({places[number]}) * lanes + lane] = part_{number}[lane];"
            )

    def _lane_place(self, number: int) -> str:
        axes = self.nodes[number].axes
        loops = [loop for loop in self.outer if set(loop.axes) <= set(axes)]
        return self.offset(self._array_access(axes), loops, self.column_offsets[number])

    def _point(
        self, needed: Sequence[int], reductions: Sequence[int], columns: Sequence[int], stores: Sequence[tuple[Store, Access]]
    ) -> None:
        """A nest without loops: one point, done by the first thread."""
        self.out.open("if (begin < end)")
        for number in needed:
            self._define(number, single=False)
        for store, each in stores:
            self._store(store, each, self.text_of[store.node])
        self.out.close()

    def _accumulate(self, number: int, target: str, value: str) -> None:
        node = self.nodes[number]
        body = self.nodes[node.operands[0]]
        operation = node.attribute("operation")
        if body.kind == "bool" and operation in ("any", "all"):
            value = f"int64_t({bare(value)})"
        elif body.kind != node.kind:
            value = f"{CPP_TYPES[node.kind]}({bare(value)})"
        self.out.add(_COMBINE[operation].format(target, bare(value)))

    def _fold(self, number: int, value: str) -> None:
        """Adds a register or a row's value to the running result of a reduction."""
        node = self.nodes[number]
        kind = ACCUMULATORS[node.kind]
        if number in self.column:
            target = self._array_element(number, self.column_offsets[number], node.axes)
        elif number in self.row_offsets:
            target = self._array_element(number, self.row_offsets[number], self._kept_inner(number))
        else:
            target = f"total_{number}"
        self.out.add(_COMBINE[node.attribute("operation")].format(target, f"{kind}({bare(value)})"))

    def _array_access(self, axes: Sequence[str]) -> Access:
        strides = []
        step: Length = sympy.Integer(1)
        for axis in reversed(axes):
            strides.append((axis, step))
            step = step * self.lengths[axis]
        return Access(tuple(strides), sympy.Integer(0))

    def _array_element(self, number: int, offset: Length, axes: Sequence[str]) -> str:
        each = self._array_access(axes)
        place = self.offset(each, [loop for loop in (*self.outer, *self.inner) if set(loop.axes) <= set(axes)], offset)
        array = "own" if self.nodes[number].kind == "real" else "reinterpret_cast<int64_t*>(own)"
        return f"{array}[{place}]"

    # ------------------------------------------------------------------------------------------------ values

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
            for loop in (*self.outer, *self.inner):
                if loop.axes == (axis,):
                    return loop.variable
            raise AssertionError(f"the loop over {axis} was merged")
        if node.op == "length":
            return self.length(node.attribute("length"))
        if number in self.row:  # a reduction that keeps inner axes, read back from the row's scratch
            element = self._array_element(number, self.row_offsets[number], self._kept_inner(number))
            return f"{CPP_TYPES[node.kind]}({element})"
        if number in self.accesses:
            buffer = self.schedule.buffers[self.sources[number]]
            place = self.offset(self.accesses[number], (*self.outer, *self.inner))
            text = f"{self.pointer(buffer.name)}[{place}]"
            kind = CPP_TYPES[node.kind]
            return text if buffer.dtype in ("compute", "i64", "bool") else f"lamina::convert<{kind}>({text})"
        kinds = [self.nodes[operand].kind for operand in node.operands]
        operands = [self.text_of[operand] for operand in node.operands]
        exponent = None
        slot = {"pow": 1, "bspline": 0}.get(node.op)
        if slot is not None:
            order = self.nodes[node.operands[slot]]
            if order.op == "const" and order.kind == "int":
                exponent = order.attribute("value")
        return expression(node, operands, kinds, exponent)

    # ------------------------------------------------------------------------------------------------ stores

    def _store(self, store: Store, each: Access, value: str) -> None:
        place = self.offset(each, (*self.outer, *self.inner))
        self._write(store, f"{self.pointer(store.place.buffer)}[{place}]", value)

    def _write(self, store: Store, target: str, value: str) -> None:
        dtype = self.schedule.buffers[store.place.buffer].dtype
        kind = self.nodes[store.node].kind
        text = bare(value)
        if dtype != {"real": "compute", "int": "i64", "bool": "bool"}[kind]:
            text = f"lamina::convert<{STORAGE_TYPES[dtype]}>({text})"
        self.out.add(f"{target} {'+=' if store.accumulate else '='} {text};")

    def _store_array(self, store: Store, each: Access) -> None:
        """A row reduction that keeps inner axes: its scratch row to its place."""
        out = self.out
        kept = self._kept_inner(store.node)
        loops = [Loop((axis,), f"j_{identifier(axis)}", self.lengths[axis]) for axis in kept]
        for loop in loops:
            out.open(f"for (int64_t {loop.variable} = 0; {loop.variable} < {self.length(loop.length)}; ++{loop.variable})")
        element = self.offset(self._array_access(kept), loops, self.row_offsets[store.node])
        place = self.offset(each, (*self.outer, *loops))
        kind = CPP_TYPES[self.nodes[store.node].kind]
        array = "own" if self.nodes[store.node].kind == "real" else "reinterpret_cast<int64_t*>(own)"
        self._write(store, f"{self.pointer(store.place.buffer)}[{place}]", f"{kind}({array}[{element}])")
        for _ in loops:
            out.close()

    def _combine_columns(self) -> None:
        """After the region: the threads' partial results, added in thread order, to their places."""
        out = self.out
        groups: dict[tuple[str, ...], list[int]] = {}
        for number in self.column:
            groups.setdefault(self.nodes[number].axes, []).append(number)
        for axes, group in groups.items():
            loops = [Loop((axis,), f"i_{identifier(axis)}", self.lengths[axis]) for axis in axes]
            for position, loop in enumerate(loops):
                points = self._points(axes)
                if position == 0 and not (points.is_Integer and int(points) <= 16384):
                    out.add(f"#pragma omp parallel for num_threads(team) if ({self.length(points)} > 16384)")
                out.open(f"for (int64_t {loop.variable} = 0; {loop.variable} < {self.length(loop.length)}; ++{loop.variable})")
            if not loops:
                out.open("")
            for number in group:
                self._combine(number, loops)
            for _ in range(max(len(loops), 1)):
                out.close()

    def _combine(self, number: int, loops: Sequence[Loop]) -> None:
        out = self.out
        node = self.nodes[number]
        kind = ACCUMULATORS[node.kind]
        array = "scratch" if node.kind == "real" else "reinterpret_cast<const int64_t*>(scratch)"
        place = self.offset(self._array_access(node.axes), loops, self.column_offsets[number])
        out.add(f"{kind} total_{number} = {self._start_value(node, kind)};")
        element = f"{array}[member * scratch_stride + {place}]"
        combine = _COMBINE[node.attribute("operation")].format(f"total_{number}", element)
        out.add(f"for (int64_t member = 0; member < joined; ++member) {combine}")
        for store, each in zip(self.step.stores, self.store_accesses, strict=True):
            if store.node == number:
                target = f"{self.pointer(store.place.buffer)}[{self.offset(each, loops)}]"
                self._write(store, target, f"{CPP_TYPES[node.kind]}(total_{number})")
