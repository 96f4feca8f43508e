"""Loop nests without column sums as CUDA kernels: points, and rows with their reductions.

In: a kernel step of a schedule and its grid plan. Out: `Kernel`s.

- Points: a thread computes one point of all loops.
- Rows: a group of neighbouring threads (a power of two that a row can occupy, at most a block) has one row, so that short rows
  share a block. Its threads take the columns in turn, once a stage; a reduction gathers at most TERMS values in a register before
  it adds them to a float64 total, and totals are added up across the group in an order that the group's size alone decides.
  Threads without a row of their own repeat the first one and store nothing: every thread of a block meets every barrier.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...schedule.program import Launch
from ...schedule.steps import KernelStep, Schedule, Store
from ..access import Access
from ..cpp.expressions import CPP_TYPES
from ..cpp.reductions import ACCUMULATORS, COMBINE, combined, start_value
from ..gpu.grid import Grid
from ..lengths import python_length
from ..text import Lines
from .writer import GROUP, THREADS, DeviceWriter, Kernel, integer, kernel_around, product_of

TERMS = 32  # of a sum that are gathered before they are added to its total

Stores = Sequence[tuple[Store, Access]]


class NestWriter(DeviceWriter):
    """What kernels of all shapes share: values of a row, reductions over columns, stages."""

    def __init__(self, schedule: Schedule, step: KernelStep, grid: Grid) -> None:
        super().__init__(schedule, step, grid.nest)
        self.grid = grid
        self.kernel_step = step
        self.set_loops((*grid.fixed, *grid.rows), grid.columns)

    def invariants(self) -> None:
        """Values without axes that need no reduction."""
        for number in self.nest.cone:
            if not self.nodes[number].axes and self.nest.levels[number] == 0 and number not in self.column:
                self._define(number, single=False)

    def row_values(self, level: int) -> None:
        """Values of the row known once `level` stages are done."""
        for number in self.nest.cone:
            node = self.nodes[number]
            if self.nest.levels[number] != level or self._inside_row(number) or number in self.column:
                continue
            if number in self.text_of:
                continue
            if number in self.row:
                kind = CPP_TYPES[node.kind]
                self.text_of[number] = self.names.fresh(node.name or node.attribute("operation"), number)
                self.out.add(f"const {kind} {self.text_of[number]} = {kind}(total_{number});")
            else:
                self._define(number, single=False)

    def pairs(self) -> list[tuple[Store, Access]]:
        return list(zip(self.kernel_step.stores, self.store_accesses, strict=True))

    def row_stores(self, level: int) -> Stores:
        """The stores made once a row, after `level` stages."""
        return [
            (store, each)
            for store, each in self.pairs()
            if store.node not in self.column
            and all(axis in self.outer_axes for axis in store.axes)
            and self.nest.levels[store.node] == level
        ]

    def point_stores(self, stage: int) -> Stores:
        """The stores made at every point of a stage."""
        return [
            (store, each)
            for store, each in self.pairs()
            if store.node not in self.column
            and store.node not in self.row
            and (not self.row or any(axis not in self.outer_axes for axis in store.axes))
            and self.nest.levels[store.node] == stage
        ]

    def start_totals(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            node = self.nodes[number]
            kind = ACCUMULATORS[node.kind]
            self.out.add(f"{kind} total_{number} = {start_value(node, kind)};")

    def start_parts(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            node = self.nodes[number]
            kind = "Real" if node.kind == "real" else "int64_t"
            self.out.add(f"{kind} part_{number} = {start_value(node, kind)};")

    def gather(self, numbers: Sequence[int]) -> None:
        """Takes the values at a point into the reductions' registers."""
        for number in numbers:
            body = self.nodes[number].operands[0]
            self.out.add(combined(self.nodes[number], self.nodes[body].kind, f"part_{number}", self.text_of[body]))

    def fold(self, number: int, value: str) -> None:
        """Adds a register's value to a reduction's total."""
        node = self.nodes[number]
        kind = ACCUMULATORS[node.kind]
        self.out.add(COMBINE[node.attribute("operation")].format(f"total_{number}", f"{kind}({value})"))

    def reduce(self, number: int, function: str) -> None:
        """The total of all threads that `function` reaches."""
        operation = self.nodes[number].attribute("operation")
        self.out.add(f"total_{number} = lamina::{function}<lamina::by_{operation}>(total_{number}, int(group));")

    def stage(self, stage: int, columns: Sequence[int], guard: str) -> None:
        """One run of a row's columns: its row reductions, the column sums gathered in it, its stores.

        `guard`: what holds for threads that have a row of their own.
        """
        reductions = [n for n in self.row if self.nest.levels[n] == stage + 1]
        stores = self.point_stores(stage)
        if not reductions and not columns and not stores:
            return
        self.start_totals(reductions)
        gathered = [*reductions, *(n for n in columns if not self.keeps_columns(n))]
        self.open_chunks("lane", "columns", "group", gathered)
        scope = self.scope()
        self.decode(self.grid.columns, "column")
        self.values([self.nodes[n].operands[0] for n in (*reductions, *columns)] + [store.node for store, _ in stores])
        self.gather(gathered)
        self.keep([n for n in columns if self.keeps_columns(n)], guard)
        self.store_if(guard, stores)
        self.end_scope(scope)
        self.close_chunks(reductions, [n for n in columns if not self.keeps_columns(n)], guard)
        for number in reductions:
            self.reduce(number, "group_reduce")

    def keeps_columns(self, number: int) -> bool:
        return any(axis not in self.outer_axes for axis in self.nodes[number].axes)

    def keep(self, numbers: Sequence[int], guard: str) -> None:
        """Adds the values at a point to sums that have a total for each column."""
        assert not numbers

    def open_chunks(self, first: str, end: str, step: str, gathered: Sequence[int], variable: str = "column") -> None:
        """The loop over columns (or rows); where something is gathered, TERMS at a time."""
        out = self.out
        self.chunked = bool(gathered)
        if gathered:
            out.open(f"for (int64_t chunk = {first}; chunk < {end}; chunk += {step} * {TERMS})")
            out.add(f"const int64_t chunk_end = lamina::min(chunk + {step} * {TERMS}, int64_t({end}));")
            self.start_parts(gathered)
            first, end = "chunk", "chunk_end"
        out.open(f"for (int64_t {variable} = {first}; {variable} < {end}; {variable} += {step})")

    def close_chunks(self, always: Sequence[int], guarded: Sequence[int], guard: str) -> None:
        self.out.close()
        if not self.chunked:
            return
        for number in always:
            self.fold(number, f"part_{number}")
        if guarded:
            if guard:
                self.out.open(f"if ({guard})")
            for number in guarded:
                self.fold(number, f"part_{number}")
            if guard:
                self.out.close()
        self.out.close()


def group_text(columns: str) -> str:
    """How many threads share a row of so many columns, as Python over the launch's names."""
    return f"min(padded({columns}), {THREADS})"


class PointKernel(NestWriter):
    """One point a thread."""

    def emit(self) -> Kernel:
        self.out = body = Lines()
        body.indent()
        loops = (*self.outer, *self.inner)
        self.set_loops((), loops)
        points = product_of(loop.length for loop in loops)
        body.add("const int64_t point = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;")
        body.add(f"if (point >= {self.length(points)}) return;")
        self.decode(loops, "point")
        stores = self.pairs()
        self.values([store.node for store, _ in stores])
        self.store_if("", stores)
        stored = ", ".join(dict.fromkeys(store.place.buffer for store, _ in stores))
        summary = f"{stored}: one point of {' x '.join('*'.join(loop.axes) for loop in loops) or 'one'} a thread"
        text, arguments = kernel_around(self, self.kernel_step.name, summary, body, self.divisors)
        grid = f"blocks({python_length(points)}, {THREADS})"
        return Kernel(text, Launch("kernel", self.kernel_step.name, (grid,), (), arguments, str(THREADS // 32)), summary)


class RowKernel(NestWriter):
    """Rows with reductions, a group of threads to each."""

    def emit(self) -> Kernel:
        self.out = body = Lines()
        body.indent()
        rows, columns = (product_of(loop.length for loop in loops) for loops in (self.outer, self.inner))
        body.add(GROUP)
        body.add(f"const int64_t columns = {self.length(columns)}, row = int64_t(blockIdx.x) * slots + slot;")
        body.add(f"const bool active = row < {self.length(rows)};")
        self.decode(self.outer, "(active ? row : 0)")
        self.invariants()
        self.row_values(0)
        for stage in range(self.nest.stages):
            self.store_if("active && lane == 0", self.row_stores(stage))
            self.stage(stage, (), "active")
            self.row_values(stage + 1)
        self.store_if("active && lane == 0", self.row_stores(self.nest.stages))
        stored = ", ".join(dict.fromkeys(store.place.buffer for store, _ in self.pairs()))
        names = [" x ".join("*".join(loop.axes) for loop in loops) or "one" for loops in (self.outer, self.inner)]
        summary = f"{stored}: a row of {names[1]} a group of threads, for each of {names[0]}, {self.nest.stages} stage(s)"
        text, arguments = kernel_around(self, self.kernel_step.name, summary, body, self.divisors, [integer("group_size", "group")])
        constants = (("group", group_text(python_length(columns))),)
        grid = f"blocks({python_length(rows)}, {THREADS} // group)"
        launch = Launch("kernel", self.kernel_step.name, (grid,), constants, arguments, str(THREADS // 32))
        return Kernel(text, launch, summary)
