"""Loop nests with column sums as CUDA kernels: partial results of blocks, and a second launch that adds them up.

In: a kernel step of a schedule and its grid plan. Out: `Kernel`s, in the order of their launches.

A block has one point of the fixed loops and a run of the rows (a split); how many splits there are depends on lengths alone. What
it has gathered of a sum is its partial, 64 bits wide: one for each column, or one for its block of columns. The second kernel adds
partials up in an order that lengths decide. Where no other block has terms of a sum, the first kernel stores it itself.

- Without row reductions a thread keeps one column in registers and takes rows in turn; neighbouring threads have neighbouring
  columns, or, of a nest without columns, neighbouring rows.
- With row reductions a group of threads takes rows in turn, as in `nests.py`. Sums that have a total for each column keep these in
  the block's shared memory, where they fit, else in scratch memory: a total belongs to one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...lang.checked import Length
from ...schedule.program import Launch
from ...schedule.steps import KernelStep, Schedule
from ..cpp.expressions import CPP_TYPES
from ..cpp.reductions import ACCUMULATORS, COMBINE, combined, start_value
from ..gpu.grid import ColumnSum, Grid
from ..lengths import python_length
from ..loops import Loop
from ..text import Lines
from .nests import NestWriter, group_text
from .writer import (
    GROUP,
    THREADS,
    Divisors,
    Kernel,
    Parameter,
    Scratch,
    arguments_of,
    buffer_parameters,
    divisor,
    head,
    integer,
    kernel_around,
    length_parameters,
    pointer,
    pointers_first,
    product_of,
)

PROGRAMS = 1024  # blocks that a launch aims at
LEAST_ROWS = 64  # rows a thread, at least, before another split is worth its partials
SHARED_WORDS = 4096  # 64-bit words of a block's shared memory for totals


@dataclass(frozen=True)
class Partial:
    """Where the partials of a sum lie: `offset` words from the start, one a fixed point, split and column (or block of columns)."""

    given: ColumnSum
    offset: str


class ColumnWriter(NestWriter):
    """What both forms share: partials and the kernel that adds them up."""

    def __init__(self, schedule: Schedule, step: KernelStep, grid: Grid) -> None:
        super().__init__(schedule, step, grid)
        self.fixed = product_of(loop.length for loop in grid.fixed)
        self.rows = product_of(loop.length for loop in grid.rows)
        self.columns = product_of(loop.length for loop in grid.columns)
        self.buffer = f"partials_{step.name}"

    def constants(self) -> tuple[tuple[str, str], ...]:
        """What the launches agree on: threads a group, blocks of columns, splits of the rows."""
        raise NotImplementedError

    def whole(self) -> tuple[tuple[str, str], ...]:
        """The constants, and the words of partials."""
        fixed, columns = python_length(self.fixed), python_length(self.columns)
        found = [*self.constants()]
        words = "0"
        for place, given in enumerate(self.grid.sums):
            found.append((f"offset_{place}", words))
            each = f"({columns})" if given.along_columns else "column_blocks"
            words = f"offset_{place} + ({fixed}) * splits * {each}"
        return (*found, ("partial_words", words))

    def partial_parameters(self, group: str = "group") -> list[Parameter]:
        offsets = [integer(f"offset_{place}", f"offset_{place}") for place in range(len(self.grid.sums))]
        return [
            pointer("double* __restrict__ partials", self.buffer),
            integer("group_size", group),
            divisor("column_blocks", "column_blocks"),
            divisor("splits", "splits"),
            *offsets,
        ]

    def array(self, number: int, name: str = "partials") -> str:
        return name if self.nodes[number].kind == "real" else f"reinterpret_cast<int64_t*>({name})"

    def partial(self, place: int, given: ColumnSum) -> str:
        """The partial of this block's point of the fixed loops, its split, and `column` or its block of columns."""
        each = "column" if given.along_columns else "column_block"
        count = f"({self.length(self.columns)})" if given.along_columns else "column_blocks.length"
        return f"{self.array(given.number)}[offset_{place} + (fixed * splits.length + split) * {count} + {each}]"

    def scratches(self, further: tuple[Scratch, ...] = ()) -> tuple[Scratch, ...]:
        return (Scratch(self.buffer, "partial_words"), *further)

    def written(self, split: bool) -> list[str]:
        """The buffers that the first kernel stores to."""
        return [store.place.buffer for store, _ in self.pairs() if not split or store.node not in self.column]

    # -------------------------------------------------------------------------------------------- the second launch

    def total_kernels(self, constants: tuple[tuple[str, str], ...]) -> list[Kernel]:
        """One kernel for each set of sums that have the same shape."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for place, given in enumerate(self.grid.sums):
            groups.setdefault((given.kept_fixed, given.kept_columns, given.along_columns), []).append(place)
        return [self._total_kernel(number, places, constants) for number, places in enumerate(groups.values(), start=1)]

    def _total_kernel(self, count: int, places: Sequence[int], constants: tuple[tuple[str, str], ...]) -> Kernel:
        given = [self.grid.sums[place] for place in places]
        name = f"{self.kernel_step.name}_total" + (f"_{count}" if count > 1 else "")
        kept = (*given[0].kept_fixed, *given[0].kept_columns)
        lost_fixed = tuple(loop for loop in self.grid.fixed if loop not in kept)
        lost_columns = tuple(loop for loop in self.grid.columns if loop not in kept) if given[0].along_columns else ()
        self.used_lengths, self.divisors = {}, Divisors()
        self.text_of = {}
        self.out = body = Lines()
        body.indent()
        outputs, lost = product_of(x.length for x in kept), product_of(x.length for x in (*lost_fixed, *lost_columns))
        per = "1" if given[0].along_columns else "column_blocks"
        body.add(GROUP)
        body.add("const int64_t output = int64_t(blockIdx.x) * slots + slot;")
        body.add(f"const bool active = output < {self.length(outputs)};")
        self.decode(kept, "(active ? output : 0)")
        times = "" if per == "1" else " * column_blocks.length"
        body.add(f"const int64_t terms = splits.length * ({self.length(lost)}){times};")
        numbers = [each.number for each in given]
        self.start_totals(numbers)
        body.open("for (int64_t term = lane; term < terms; term += group)")
        body.add("const int64_t split = term % splits;")
        body.add(f"const int64_t column_block = term / splits % {per};" if per != "1" else "constexpr int64_t column_block = 0;")
        lost_number = f"(term / splits / {per})" if per != "1" else "(term / splits)"
        self.decode((*lost_fixed, *lost_columns), lost_number)
        self._flattened("fixed", self.grid.fixed)
        if given[0].along_columns:
            self._flattened("column", self.grid.columns)
        for place, each in zip(places, given, strict=True):
            operation = self.nodes[each.number].attribute("operation")
            body.add(COMBINE[operation].format(f"total_{each.number}", self.partial(place, each)))
        body.add("(void)column_block;")
        body.close()
        for number in numbers:
            self.reduce(number, "group_reduce")
        body.open("if (active && lane == 0)")
        for number in numbers:
            self._store_total(number, kept)
        body.close()
        stored = [store for store in self.kernel_step.stores if store.node in numbers]
        targets = list(dict.fromkeys(store.place.buffer for store in stored))
        summary = f"{', '.join(targets)}: partial results added up"
        text, arguments = self._total_text(name, summary, body, targets)
        python = python_length(product_of(loop.length for loop in kept))
        terms = f"splits * ({python_length(lost)}) * {per}"
        launch = Launch(
            "kernel",
            name,
            (f"blocks({python}, {THREADS} // total_group)",),
            (*constants, ("total_group", group_text(terms))),
            arguments,
            str(THREADS // 32),
        )
        return Kernel(text, launch, summary)

    def _total_text(self, name: str, summary: str, body: Lines, targets: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        parameters = buffer_parameters(self.schedule, (), targets)
        parameters += [*self.partial_parameters("total_group"), *self.divisors.parameters()]
        parameters = pointers_first([*parameters, *length_parameters(self.schedule, self.used_lengths)])
        return head(name, summary, parameters) + body.text() + "}\n", arguments_of(parameters)

    def _flattened(self, name: str, loops: Sequence[Loop]) -> None:
        """Declares the number of a point of some loops, from their variables."""
        text = ""
        for loop in loops:
            text = f"({text}) * ({self.length(loop.length)}) + {loop.variable}" if text else loop.variable
        self.out.add(f"const int64_t {name} = {text or '0'};")

    def _store_total(self, number: int, loops: Sequence[Loop]) -> None:
        node = self.nodes[number]
        for store, each in self.pairs():
            if store.node == number:
                target = f"{self.pointer(store.place.buffer)}[{self.offset(each, loops)}]"
                self._write(store, target, f"{CPP_TYPES[node.kind]}(total_{number})")


class ColumnKernel(ColumnWriter):
    """A nest without row reductions: a column a thread, or, without columns, rows side by side."""

    def constants(self) -> tuple[tuple[str, str], ...]:
        rows, fixed = python_length(self.rows), python_length(self.fixed)
        splits = "1"
        if self.grid.split:
            most = f"{PROGRAMS} // max(({fixed}) * column_blocks, 1)"
            splits = f"max(min(blocks({rows}, {THREADS} // group * {LEAST_ROWS}), {most}), 1)"
        columns = python_length(self.columns)
        return (("group", group_text(columns)), ("column_blocks", f"blocks({columns}, group)"), ("splits", splits))

    def emit(self) -> list[Kernel]:
        constants = self.whole()
        self.out = body = Lines()
        body.indent()
        grid = self.grid
        body.add(GROUP)
        body.add("const int64_t block = blockIdx.x, column_block = block % column_blocks, fixed = block / column_blocks;")
        body.add("const int64_t split = blockIdx.y;")
        body.add(f"const int64_t rows = {self.length(self.rows)}, own = column_block * group + lane;")
        body.add(f"const bool inside = own < {self.length(self.columns)};")
        body.add("const int64_t column = inside ? own : 0;")
        body.add("const int64_t begin = rows * split / splits, end = inside ? rows * (split + 1) / splits : begin;")
        self.decode(grid.fixed, "fixed")
        self.decode(grid.columns, "column")
        self.set_loops((*grid.fixed, *grid.columns), grid.rows)
        self.invariants()
        numbers = [given.number for given in grid.sums]
        bodies = [self.nodes[number].operands[0] for number in numbers]
        stores = self.point_stores(0)
        roots = [*bodies, *(store.node for store, _ in stores)]
        self._fixed_values(roots)
        self.start_totals(numbers)
        self.open_chunks("begin + slot", "end", "slots", numbers, "row")
        scope = self.scope()
        self.decode(grid.rows, "row")
        self.values(roots)
        self.gather(numbers)
        self.store_if("", stores)
        self.end_scope(scope)
        self.close_chunks(numbers, (), "")
        for given in grid.sums:
            self.reduce(given.number, "group_reduce_across")
            if not given.along_columns:
                self.reduce(given.number, "group_reduce")
        kernels: list[Kernel] = []
        if grid.split:
            for place, given in enumerate(grid.sums):
                condition = "slot == 0 && inside" if given.along_columns else "threadIdx.x == 0"
                body.add(f"if ({condition}) {self.partial(place, given)} = total_{given.number};")
        else:
            body.open("if (slot == 0 && inside)")
            for number in numbers:
                self._store_total(number, (*grid.fixed, *grid.columns))
            body.close()
        summary = self._summary()
        further = self.partial_parameters() if grid.split else self.partial_parameters()[1:4]
        text, arguments = kernel_around(
            self, self.kernel_step.name, summary, body, self.divisors, further, self.written(grid.split)
        )
        python = f"({python_length(self.fixed)}) * column_blocks"
        used = constants if grid.split else self.constants()
        launch = Launch("kernel", self.kernel_step.name, (python, "splits"), used, arguments, str(THREADS // 32))
        kernels.append(Kernel(text, launch, summary, self.scratches() if grid.split else ()))
        return kernels + (self.total_kernels(constants) if grid.split else [])

    def _fixed_values(self, roots: Sequence[int]) -> None:
        """Names the values that do not vary from row to row, once."""
        for number in self._needed(roots):
            if not self._inside_row(number):
                self._define(number, single=False)

    def _summary(self) -> str:
        sums = ", ".join(dict.fromkeys(store.place.buffer for store, _ in self.pairs()))
        names = [
            " x ".join("*".join(loop.axes) for loop in loops) or "one"
            for loops in (self.grid.rows, (*self.grid.fixed, *self.grid.columns))
        ]
        return f"{sums}: sums over {names[0]}, for each of {names[1]}"


class RowColumnKernel(ColumnWriter):
    """A nest with row reductions and column sums: a group of threads takes rows in turn."""

    def __init__(self, schedule: Schedule, step: KernelStep, grid: Grid) -> None:
        super().__init__(schedule, step, grid)
        self.kept = [given for given in grid.sums if given.along_columns]
        self.own_buffer = f"totals_{step.name}"

    def constants(self) -> tuple[tuple[str, str], ...]:
        rows, fixed, columns = (python_length(each) for each in (self.rows, self.fixed, self.columns))
        most = f"{PROGRAMS} // max({fixed}, 1)"
        return (
            ("group", group_text(columns)),
            ("column_blocks", "1"),
            ("splits", f"max(min(blocks({rows}, {THREADS} // group * 4), {most}), 1)"),
        )

    def own_words(self) -> Length:
        """Words of totals a group of threads."""
        return self.columns * len(self.kept)

    def emit(self) -> list[Kernel]:
        constants = self.whole()
        self.out = body = Lines()
        body.indent()
        grid = self.grid
        body.add(GROUP)
        body.add("const int64_t fixed = blockIdx.x, split = blockIdx.y;")
        body.add("constexpr int64_t column_block = 0;")
        body.add(f"const int64_t rows = {self.length(self.rows)}, columns = {self.length(self.columns)};")
        body.add("const int64_t begin = rows * split / splits, end = rows * (split + 1) / splits;")
        self.decode(grid.fixed, "fixed")
        self.invariants()
        if self.kept:
            self._start_own()
        singles = [given.number for given in grid.sums if not given.along_columns]
        self.start_totals(singles)
        body.open("for (int64_t first = begin; first < end; first += slots)")
        body.add("const bool active = first + slot < end;")
        scope = self.scope()
        self.decode(grid.rows, "(active ? first + slot : begin)")
        self.row_values(0)
        for stage in range(self.nest.stages + 1):
            self._row_sums(stage)
            self.store_if("active && lane == 0", self.row_stores(stage))
            if stage < self.nest.stages:
                columns = [
                    given.number
                    for given in grid.sums
                    if self._inside_row(self.nodes[given.number].operands[0])
                    and self.nest.levels[self.nodes[given.number].operands[0]] == stage
                ]
                self.stage(stage, columns, "active")
                self.row_values(stage + 1)
        self.end_scope(scope)
        body.close()
        self._finish()
        summary = self._summary()
        further = self.partial_parameters()
        scratch: tuple[Scratch, ...] = ()
        if self.kept:
            further.append(pointer("double* __restrict__ totals_scratch", self.own_buffer))
            words = f"({python_length(self.own_words())}) * ({THREADS} // group)"
            total = f"({words}) * ({python_length(self.fixed)}) * splits if ({words}) > {SHARED_WORDS} else 0"
            scratch = (Scratch(self.own_buffer, "own_words"),)
            constants = (*constants, ("own_words", total))
        text, arguments = kernel_around(self, self.kernel_step.name, summary, body, self.divisors, further, self.written(True))
        grid_text = (f"({python_length(self.fixed)})", "splits")
        launch = Launch("kernel", self.kernel_step.name, grid_text, constants, arguments, str(THREADS // 32))
        return [Kernel(text, launch, summary, self.scratches(scratch)), *self.total_kernels(constants)]

    def _start_own(self) -> None:
        """The totals of this block: of each group of threads its own."""
        body = self.out
        words = self.length(self.own_words())
        body.add(f"__shared__ double totals_shared[{SHARED_WORDS}];")
        body.add(f"const int64_t words = {words};")
        body.add(f"double* const totals = words * slots <= {SHARED_WORDS} ? totals_shared")
        body.add("    : totals_scratch + (fixed * splits.length + split) * words * slots;")
        for place, given in enumerate(self.kept):
            start = start_value(self.nodes[given.number], ACCUMULATORS[self.nodes[given.number].kind])
            array = self.array(given.number, "totals")
            body.add(
                f"for (int64_t column = lane; column < columns; column += group) "
                f"{array}[slot * words + {place} * columns + column] = {start};"
            )

    def keep(self, numbers: Sequence[int], guard: str) -> None:
        if not numbers:
            return
        self.out.open(f"if ({guard})")
        for number in numbers:
            place = [given.number for given in self.kept].index(number)
            node = self.nodes[number]
            body = node.operands[0]
            target = f"{self.array(number, 'totals')}[slot * words + {place} * columns + column]"
            value = combined(node, self.nodes[body].kind, target, self.text_of[body])
            self.out.add(value)
        self.out.close()

    def _row_sums(self, level: int) -> None:
        """Column sums of values that a row has one of."""
        for given in self.grid.sums:
            body = self.nodes[given.number].operands[0]
            if not self._inside_row(body) and self.nest.levels[body] == level:
                self.out.open("if (active && lane == 0)")
                self.fold(given.number, self.text_of[body])
                self.out.close()

    def _finish(self) -> None:
        body = self.out
        for place, given in enumerate(self.grid.sums):
            if given.along_columns:
                continue
            self.reduce(given.number, "group_reduce_across")
            self.reduce(given.number, "group_reduce")
            body.add(f"if (threadIdx.x == 0) {self.partial(place, given)} = total_{given.number};")
        if not self.kept:
            return
        body.add("__syncthreads();")
        body.open("for (int64_t column = threadIdx.x; column < columns; column += blockDim.x)")
        for place, given in enumerate(self.grid.sums):
            if not given.along_columns:
                continue
            node = self.nodes[given.number]
            own = self.kept.index(given)
            kind = ACCUMULATORS[node.kind]
            body.add(f"{kind} total_{given.number} = {start_value(node, kind)};")
            element = f"{self.array(given.number, 'totals')}[k * words + {own} * columns + column]"
            combine = COMBINE[node.attribute("operation")].format(f"total_{given.number}", element)
            body.add(f"for (int64_t k = 0; k < slots; ++k) {combine}")
            body.add(f"{self.partial(place, given)} = total_{given.number};")
        body.close()

    def _summary(self) -> str:
        stored = ", ".join(dict.fromkeys(store.place.buffer for store, _ in self.pairs()))
        names = [
            " x ".join("*".join(loop.axes) for loop in loops) or "one"
            for loops in (self.grid.columns, (*self.grid.fixed, *self.grid.rows))
        ]
        return f"{stored}: a row of {names[0]} a group of threads, for each of {names[1]}, with sums over rows"
