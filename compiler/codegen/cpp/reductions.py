"""Reductions and stores of a kernel as C++ text.

In: what `ValueWriter` holds. Out: `ReductionWriter`: registers, totals, lanes, partials of sums, and where values are stored.

A sum is gathered in a register over the innermost loop, then added to a float64 total, so that its error does not grow with the
length. Sums over rows go to one partial result a share of the rows and are added up in their order: the result depends on the
number of threads, never on timing.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from ...ir.graph import Node
from ...lang.checked import Kind, Length
from ...schedule.nest import plan_nest
from ...schedule.steps import KernelStep, Schedule, Store
from ..access import Access
from ..lengths import identifier
from ..loops import Loop
from .expressions import CPP_TYPES, bare
from .values import ValueWriter

CHUNK = 4096
LANES = {"f32": 16, "f64": 8}  # accumulators side by side, a vector of them: 64 bytes
LANE_WORDS = 8
LANE_TERMS = 1024
MOST_LANES = 1024

ACCUMULATORS = {"real": "double", "int": "int64_t", "bool": "int64_t"}
COMBINE = {
    "sum": "{0} += {1};",
    "prod": "{0} *= {1};",
    "max": "{0} = lamina::max({0}, {1});",
    "min": "{0} = lamina::min({0}, {1});",
    "any": "{0} |= {1};",
    "all": "{0} &= {1};",
}
_START = {"sum": "0", "prod": "1", "any": "0", "all": "1"}
PRAGMA = {"sum": "+", "prod": "*", "max": "lamina_max", "min": "lamina_min", "any": "|", "all": "&"}


def start_value(node: Node, kind: str) -> str:
    """What a reduction gives for no value at all, as C++ of type `kind`."""
    operation = node.attribute("operation")
    if operation in ("max", "min"):
        sign = "-" if operation == "max" else ""
        if node.kind == "real":
            return f"{kind}({sign}__builtin_inf())"
        return "INT64_MIN" if operation == "max" else "INT64_MAX"
    return f"{kind}({_START[operation]})"


def combined(node: Node, kind: Kind, target: str, value: str) -> str:
    """The statement that takes one more value, of the given kind, into the result of a reduction."""
    operation = node.attribute("operation")
    if kind == "bool" and operation in ("any", "all"):
        value = f"int64_t({bare(value)})"
    elif kind != node.kind:
        value = f"{CPP_TYPES[node.kind]}({bare(value)})"
    return COMBINE[operation].format(target, bare(value))


class ReductionWriter(ValueWriter):
    """The text of reductions and stores."""

    def __init__(self, schedule: Schedule, step: KernelStep) -> None:
        nest = plan_nest(schedule.nodes, tuple(schedule.lengths), step.leaves, step.stores)
        assert not nest.cut and not nest.deferred
        super().__init__(schedule, step, nest)
        self.lanes = self._use_lanes()
        self.scratch = self._scratch()

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

    def _start_lanes(self) -> None:
        out = self.out
        totals = self.scratch / (1 + LANE_WORDS)
        lanes = LANES["f64" if self.double else "f32"]
        out.add(f"constexpr int64_t lanes = {lanes}, totals = {self.length(totals)};")
        out.add(f"constexpr int64_t most_gathered = {LANE_TERMS} * lanes;  // terms, before the lanes are emptied")
        out.add("Real* __restrict own_lanes = reinterpret_cast<Real*>(own + totals);")
        out.add("int64_t gathered = 0;")
        out.add("lamina::fill(own, totals, double(0));")
        out.add("lamina::fill(own_lanes, totals * lanes, Real(0));")
        out.add("const auto flush = [&] { lamina::flush_lanes<lanes>(own, own_lanes, totals), gathered = 0; };")

    def _gathered(self, rows: str) -> None:
        """In a nest with lanes: empties them into the totals before they have gathered too many terms."""
        if self.lanes:
            self.out.add(f"gathered += {rows} * {self.length(self.inner[-1].length)};")
            self.out.add("if (gathered >= most_gathered) flush();")

    def _start_array(self, number: int, offset: Length, axes: Sequence[str]) -> None:
        node = self.nodes[number]
        start = start_value(node, ACCUMULATORS[node.kind])
        base = f"own + {self.length(offset)}" if offset != 0 else "own"
        target = base if node.kind == "real" else f"reinterpret_cast<int64_t*>({base})"
        self.out.add(f"lamina::fill({target}, {self.length(self._points(axes))}, {start});")

    def _accumulate(self, number: int, target: str, value: str) -> None:
        node = self.nodes[number]
        self.out.add(combined(node, self.nodes[node.operands[0]].kind, target, value))

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
        self.out.add(COMBINE[node.attribute("operation")].format(target, f"{kind}({bare(value)})"))

    def _lane_place(self, number: int) -> str:
        axes = self.nodes[number].axes
        loops = [loop for loop in self.outer if set(loop.axes) <= set(axes)]
        return self.offset(self._array_access(axes), loops, self.column_offsets[number])

    def _store_array(self, store: Store, each: Access) -> None:
        """A row reduction that keeps inner axes: its scratch row to its place."""
        out = self.out
        kept = self._kept_inner(store.node)
        loops = [Loop((axis,), f"j_{identifier(axis)}", self.lengths[axis]) for axis in kept]
        for loop in loops:
            out.open(f"for (int64_t {loop.variable} = 0; {loop.variable} < {self.length(loop.length)}; ++{loop.variable})")
        element = self.offset(self._array_access(kept), loops, self.row_offsets[store.node])
        kind = CPP_TYPES[self.nodes[store.node].kind]
        array = "own" if self.nodes[store.node].kind == "real" else "reinterpret_cast<int64_t*>(own)"
        self._store(store, each, f"{kind}({array}[{element}])", (*self.outer, *loops))
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
        out.add(f"{kind} total_{number} = {start_value(node, kind)};")
        element = f"{array}[member * scratch_stride + {place}]"
        combine = COMBINE[node.attribute("operation")].format(f"total_{number}", element)
        out.add(f"for (int64_t member = 0; member < members; ++member) {combine}")
        for store, each in zip(self.step.stores, self.store_accesses, strict=True):
            if store.node == number:
                self._store(store, each, f"{CPP_TYPES[node.kind]}(total_{number})", loops)
