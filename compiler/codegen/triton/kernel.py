"""A kernel step as Triton kernels: one sweep over its points, row reductions and column sums on the way.

In: a kernel step of a schedule. Out: `Sweep`: kernels, launches, and the partials of column sums. Holds: the plan of
`codegen/gpu/grid.py`. A nest with row reductions is written twice, for rows that a tile holds whole (each tensor is read once) and
for longer ones (each stage reads them again, and adds its tiles up in float64); the length decides at the call which one runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ...schedule.program import Argument, Launch
from ...schedule.steps import KernelStep, Schedule
from ..gpu.grid import ColumnSum, Grid, plan_grid, points
from ..loops import Loop
from .expressions import ExpressionWriter, Value
from .reductions import Reducer
from .sizes import CHUNK, Sizes, count, longest_whole, sizes_of
from .totals import Partials, partials_of, totals_kernel
from .values import KernelText, TileValues

_FLAT, _ROW, _COLUMN = 0, 0, 1


@dataclass(frozen=True)
class Sweep:
    """`note`: what the report says of it."""

    kernels: tuple[KernelText, ...]
    launches: tuple[Launch, ...]
    temporaries: tuple[Argument, ...]
    note: str


def sweep(schedule: Schedule, step: KernelStep, writer: ExpressionWriter) -> Sweep:
    """The kernels of a kernel step."""
    grid = plan_grid(schedule, step)
    partials = partials_of(step.name, grid, schedule, sizes_of(grid, False)) if grid.split else ()
    kernels, launches = [], []
    length = points(grid.columns)
    limit = longest_whole(grid)
    variants = [(False, "1")]
    if grid.nest.row and not (length.is_Integer and int(length) <= limit):
        test = f"({count(grid.columns)} > {limit})"
        variants = [(True, test)] if length.is_Integer else [(False, f"(1 - {test})"), (True, test)]
    for looped, test in variants:
        sizes = sizes_of(grid, looped)
        # partials have the same place in both variants: their number does not depend on how rows are read
        kernel = _SweepWriter(schedule, step, grid, writer, sizes, partials, looped).emit()
        kernels.append(kernel)
        extent = f"{test} * {sizes.grid}" if len(variants) > 1 else sizes.grid
        launches.append(Launch("kernel", kernel.name, (extent,), sizes.constants, kernel.arguments, sizes.warps))
    for each in partials:
        kernel, launch = totals_kernel(schedule, step, grid, writer, each)
        kernels.append(kernel)
        launches.append(launch)
    temporaries = tuple(each.argument for each in partials)
    return Sweep(tuple(kernels), tuple(launches), temporaries, _note(step, grid))


def _note(step: KernelStep, grid: Grid) -> str:
    stored = ", ".join(dict.fromkeys(store.place.buffer for store in step.stores))
    loops = " x ".join("*".join(loop.axes) for loop in grid.loops) or "one point"
    stages = f", {grid.nest.stages} stages a row" if grid.nest.row else ""
    sums = f", {len(grid.sums)} sum(s) over {' x '.join('*'.join(loop.axes) for loop in grid.rows)}" if grid.sums else ""
    return f"{stored}: loops over {loops}{stages}{sums}"


class _SweepWriter(TileValues):
    """One variant of a sweep. Dimension 0 of the tile is the points of a flat one, else the rows; 1 is the columns."""

    def __init__(
        self,
        schedule: Schedule,
        step: KernelStep,
        grid: Grid,
        writer: ExpressionWriter,
        sizes: Sizes,
        partials: Sequence[Partials],
        looped: bool,
    ) -> None:
        super().__init__(schedule, step.leaves, grid.accesses, writer, 1 if grid.flat else 2)
        self.step, self.grid, self.sizes, self.looped = step, grid, sizes, looped
        self.nest = grid.nest
        self.row_axes = {axis for loop in grid.rows for axis in loop.axes}
        self.column_axes = {axis for loop in grid.columns for axis in loop.axes}
        self.partials = {each.number: (group, place) for group in partials for place, each in enumerate(group.sums)}
        self.reducer = Reducer(self.nodes, writer)
        self.shape = "(POINTS,)" if grid.flat else "(ROWS, COLUMNS)"

    def emit(self) -> KernelText:
        self.out.indent()
        self._place()
        self._invariants()
        if self.grid.sums:
            self._walk()
        else:
            first = "program * POINTS" if self.grid.flat else "program * ROWS"
            self._block(first)
        name = f"{self.step.name}_long" if self.looped else self.step.name
        constants = [constant for constant, _ in self.sizes.constants]
        return self.function(name, [_note(self.step, self.grid)], constants, self.out)

    # ---------------------------------------------------------------------------------------- where a program is

    def _integer(self, name: str, text: str) -> str:
        self.integers.setdefault(name, text)
        return name

    def _decode(self, loops: Sequence[Loop], position: str, dims: frozenset[int]) -> None:
        """Declares the loops' indices, from the number of a point of all of them."""
        lines = []
        for place, loop in reversed(list(enumerate(loops))):
            size = self.length(loop.length)
            text = position if place == 0 else f"{position} % ({size})" if "*" in size else f"{position} % {size}"
            lines.append(f"{loop.variable} = {text}")
            position = f"({position} // ({size}))" if "*" in size else f"({position} // {size})"
            self.set_loop(loop, Value(loop.variable, dims))
        for line in reversed(lines):
            self.out.add(line)

    def _place(self) -> None:
        """Which points are the program's."""
        out = self.out
        out.add("program = tl.program_id(0).to(tl.int64)")
        grid = self.grid
        if grid.sums:
            position = "program"
            if grid.split:
                splits = self._integer("n_splits", self.sizes.splits)
                out.add(f"split = program % {splits}")
                position = f"program // {splits}"
            if grid.columns and not self.nest.row:
                out.add(f"column_blocks = tl.cdiv({self.length(points(grid.columns))}, COLUMNS)")
                out.add(f"column_block = {position} % column_blocks")
                position = f"{position} // column_blocks"
            if grid.fixed or grid.split:
                out.add(f"fixed = {position}")
                self._decode(grid.fixed, "fixed", frozenset())
        if grid.columns or self.nest.row:
            self.indices[_COLUMN] = "column"
            if not self.looped:
                self._columns("column_block * COLUMNS" if grid.sums and not self.nest.row else "0")

    def _columns(self, first: str) -> None:
        out = self.out
        start = "" if first == "0" else f"{first} + "
        out.add(f"column = ({start}tl.arange(0, COLUMNS)[None, :]).to(tl.int64)")
        out.add(f"column_inside = column < {self.length(points(self.grid.columns))}")
        self.masks[_COLUMN] = "column_inside"
        self._decode(self.grid.columns, "column", frozenset((_COLUMN,)))

    def _invariants(self) -> None:
        """Values that no row changes: before the first one."""
        for number in self.needed(self._roots()):
            axes = set(self.nodes[number].axes)
            if axes & self.row_axes or self.nest.levels[number] or number in self.nest.column:
                continue
            if not (axes & self.column_axes and self.looped):
                self.define(number)

    def _roots(self) -> list[int]:
        return [store.node for store in self.step.stores]

    @contextmanager
    def _scope(self, head: str) -> Iterator[None]:
        """A loop of the emitted text: what is defined within is gone after it."""
        texts, masks, joint = dict(self.text_of), dict(self.masks), dict(self.joint_masks)
        self.names.push()
        with self.out.block(head):
            yield
        self.names.pop()
        self.text_of, self.masks, self.joint_masks = texts, masks, joint

    # ---------------------------------------------------------------------------------------- column sums

    def _walk(self) -> None:
        """The blocks of rows of a program, column sums gathered on the way."""
        out, grid = self.out, self.grid
        size = "POINTS" if grid.flat else "ROWS"
        terms = points(grid.rows)
        out.add(f"row_blocks = tl.cdiv({self.length(terms)}, {size})")
        for each in grid.sums:
            self._start_total(each)
        if any(self._in_memory(each) for each in grid.sums):
            out.add("tl.debug_barrier()")
        first, step = ("split", "n_splits") if grid.split else ("0", "1")
        with self._scope(f"for start in range({first}, row_blocks, {step} * {CHUNK}):"):
            for each in grid.sums:
                if not self._in_memory(each):
                    out.add(f"part_{each.number} = {self.reducer.start(each.number, self._part_shape(each))}")
            with self._scope(f"for block in range(start, tl.minimum(start + {step} * {CHUNK}, row_blocks), {step}):"):
                self._block(f"block * {size}")
                if any(self._in_memory(each) for each in grid.sums):
                    out.add("tl.debug_barrier()")
            for each in grid.sums:
                if not self._in_memory(each):
                    part = self._folded(each, f"part_{each.number}")
                    out.add(f"total_{each.number} = {self.reducer.wide(each.number, f'total_{each.number}', part)}")
        for each in grid.sums:
            self._finish_total(each)

    def _in_memory(self, each: ColumnSum) -> bool:
        """Whether partials are kept where they are stored: one for each column of rows longer than a tile."""
        return self.looped and each.along_columns

    def _varies_along_columns(self, number: int) -> bool:
        return bool(set(self.nodes[number].axes) & self.column_axes)

    def _part_shape(self, each: ColumnSum) -> str:
        body = self.nodes[each.number].operands[0]
        inside = self._varies_along_columns(body) or not self.nest.row
        return self.shape if inside and not self.grid.flat else "(POINTS,)" if self.grid.flat else "(ROWS, 1)"

    def _total_shape(self, each: ColumnSum) -> str:
        return "()" if self.grid.flat else "(1, COLUMNS)" if each.along_columns else "(1, 1)"

    def _start_total(self, each: ColumnSum) -> None:
        if not self._in_memory(each):
            self.out.add(f"total_{each.number} = {self.reducer.start(each.number, self._total_shape(each), wide=True)}")
            return
        length = self.length(points(self.grid.columns))
        with self._scope(f"for first in range(0, {length}, COLUMNS):"):
            self._columns("first")
            start = self.reducer.start(each.number, "(1, COLUMNS)", wide=True)
            self.out.add(f"tl.store({self._partial_place(each)}, {start}, mask=column_inside)")

    def _folded(self, each: ColumnSum, part: str) -> str:
        """A tile of partial results as one a column, or one."""
        if self.grid.flat:
            return self.reducer.across(each.number, part, 0, keep=False)
        if not each.along_columns and self._part_shape(each) == self.shape:
            part = self.reducer.across(each.number, part, 1)
        return self.reducer.across(each.number, part, 0)

    def _partial_place(self, each: ColumnSum) -> str:
        group, place = self.partials[each.number]
        self.buffers.setdefault(group.argument.name)
        width = self.length(group.width) if group.width is not None else "column_blocks"
        position = "fixed * n_splits + split"
        if each.along_columns:
            position = f"({position}) * ({width}) + column"
        elif group.width is None:
            position = f"({position}) * column_blocks + column_block"
        if place:
            size = self._integer("n_partials_" + str(group.index), group.size)
            position = f"{place} * {size} + {position}"
        return f"at_{group.argument.name} + {position}"

    def _finish_total(self, each: ColumnSum) -> None:
        if self._in_memory(each):
            return
        total = f"total_{each.number}"
        if self.grid.split:
            mask = ", mask=column_inside" if each.along_columns else ""
            place = self._partial_place(each)
            if not self.grid.flat and not each.along_columns:
                place = f"{place} + tl.zeros((1, 1), tl.int64)"
            self.out.add(f"tl.store({place}, {total}{mask})")
            return
        dims = frozenset((_COLUMN,)) if self.grid.columns else frozenset[int]()
        kind = self.nodes[each.number].kind
        value = Value(self.reducer.finished(each.number, total), dims)
        for store, access in zip(self.step.stores, self.grid.accesses.stores, strict=True):
            if store.node == each.number:
                self.store(store, access, value if kind != "bool" else Value(f"({value.text} != 0)", dims), dims)

    # ---------------------------------------------------------------------------------------- a block of rows

    def _block(self, first: str) -> None:
        out = self.out
        if self.grid.flat:
            out.add(f"point = {first} + tl.arange(0, POINTS)")
            out.add(f"point_inside = point < {self.length(points(self.grid.rows))}")
            self.indices[_FLAT], self.masks[_FLAT] = "point", "point_inside"
            self._decode(self.grid.rows, "point", frozenset((_FLAT,)))
        else:
            out.add(f"row = {first} + tl.arange(0, ROWS)[:, None]")
            out.add(f"row_inside = row < {self.length(points(self.grid.rows))}")
            self.indices[_ROW], self.masks[_ROW] = "row", "row_inside"
            self._decode(self.grid.rows, "row", frozenset((_ROW,)))
        self._row_values(0)
        for stage in range(self.nest.stages):
            self._stage(stage)
            self._row_values(stage + 1)

    def _inside(self, number: int) -> bool:
        """Whether a value belongs to every point of a tile, not to a row."""
        return not self.nest.row or self._varies_along_columns(number)

    def _row_values(self, level: int) -> None:
        """Values of a row known once `level` stages are done, the column sums gathered from them and the stores made once a row."""
        if not self.nest.row:
            return
        ready = [n for n in self.nest.cone if self.nest.levels[n] == level and not self._inside(n) and n not in self.nest.column]
        for number in self.needed([n for n in ready if n not in self.text_of]):
            if number in ready:
                self.define(number)
        for each in self.grid.sums:
            body = self.nodes[each.number].operands[0]
            if not self._inside(body) and self.nest.levels[body] == level:
                self._gather(each, frozenset((_ROW,)))
        for store, access in zip(self.step.stores, self.grid.accesses.stores, strict=True):
            stored_once = store.node not in self.nest.column and not set(store.axes) & self.column_axes
            if stored_once and self.nest.levels[store.node] == level:
                self.store(store, access, self.text_of[store.node], frozenset((_ROW,)))

    def _stage(self, stage: int) -> None:
        nest = self.nest
        reductions = [n for n in nest.row if nest.levels[n] == stage + 1]
        sums = []
        for each in self.grid.sums:
            body = self.nodes[each.number].operands[0]
            if self._inside(body) and nest.levels[body] == stage:
                sums.append(each)
        stores = [
            (store, access)
            for store, access in zip(self.step.stores, self.grid.accesses.stores, strict=True)
            if store.node not in nest.column
            and store.node not in nest.row
            and (not nest.row or set(store.axes) & self.column_axes)
            and nest.levels[store.node] == stage
        ]
        if not reductions and not sums and not stores:
            return
        bodies = [self.nodes[n].operands[0] for n in reductions] + [self.nodes[each.number].operands[0] for each in sums]
        roots = bodies + [store.node for store, _ in stores]
        every = frozenset((_FLAT,)) if self.grid.flat else frozenset((_ROW, _COLUMN))
        if not self.looped:
            self.define_all(self.needed(roots))
            for number in reductions:
                self._reduce(number, every)
            for each in sums:
                self._gather(each, every)
            for store, access in stores:
                self.store(store, access, self.text_of[store.node], every)
            return
        for number in reductions:
            self.out.add(f"total_{number} = {self.reducer.start(number, '(ROWS, 1)', wide=True)}")
        with self._scope(f"for first in range(0, {self.length(points(self.grid.columns))}, COLUMNS):"):
            self._columns("first")
            self.define_all(self.needed(roots))
            for number in reductions:
                tile = self.reducer.across(number, self._masked(number, every), 1)
                self.out.add(f"total_{number} = {self.reducer.wide(number, f'total_{number}', tile)}")
            for each in sums:
                self._gather(each, every)
            for store, access in stores:
                self.store(store, access, self.text_of[store.node], every)
        for number in reductions:
            self._name_result(number, self.reducer.finished(number, f"total_{number}"))

    def _masked(self, number: int, dims: frozenset[int]) -> str:
        """A reduction's operand, and where a tile has no point what changes nothing."""
        body = self.nodes[number].operands[0]
        value = self.reducer.operand(number, self.text_of[body])
        return f"tl.where({self.mask(dims)}, {value}, {self.reducer.neutral(number)})"

    def _reduce(self, number: int, dims: frozenset[int]) -> None:
        self._name_result(number, self.reducer.across(number, self._masked(number, dims), 1))

    def _name_result(self, number: int, text: str) -> None:
        node = self.nodes[number]
        name = self.names.fresh(node.name or node.attribute("operation"), number)
        self._quote(number)
        self.out.add(f"{name} = {text}{' != 0' if node.kind == 'bool' else ''}")
        self.text_of[number] = Value(name, frozenset((_ROW,)))
        self.finished.add(number)

    def _gather(self, each: ColumnSum, dims: frozenset[int]) -> None:
        """Takes a tile's values into a column sum."""
        value = self._masked(each.number, dims)
        if not self._in_memory(each):
            part = f"part_{each.number}"
            self.out.add(f"{part} = {self.reducer.combined(each.number, part, value)}")
            return
        place = self._partial_place(each)
        tile = self.reducer.across(each.number, value, 0)
        loaded = f"tl.load({place}, mask=column_inside, other=0)"
        self.out.add(f"tl.store({place}, {self.reducer.wide(each.number, loaded, tile)}, mask=column_inside)")
