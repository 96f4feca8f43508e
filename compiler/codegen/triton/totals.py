"""The partials of column sums, and the kernel that adds them up.

In: a grid plan whose programs share rows. Out: for the sums that keep the same loops one array of partials, and a kernel that adds
them up in float64, in an order that lengths alone decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from ...lang.checked import Length
from ...schedule.program import Argument, Launch
from ...schedule.steps import KernelStep, Schedule
from ..gpu.grid import ColumnSum, Grid, points
from ..loops import Loop
from .expressions import ExpressionWriter, Value
from .reductions import Reducer
from .sizes import Sizes, count, text
from .values import KernelText, TileValues

_KEPT, _TERMS = 8, 64  # results and partials of a tile, at most


@dataclass(frozen=True)
class Partials:
    """Sums that keep the same loops. `width`: partials a program has of each, its columns; None: one, for its block of columns.

    `size`: elements of one sum's partials, `splits` and `column_blocks`: Python expressions. `index`: the number of the array
    within its step.
    """

    argument: Argument
    sums: tuple[ColumnSum, ...]
    width: Length | None
    size: str
    splits: str
    column_blocks: str
    index: int

    @property
    def number(self) -> int:
        return self.sums[0].number


def partials_of(name: str, grid: Grid, schedule: Schedule, sizes: Sizes) -> tuple[Partials, ...]:
    groups: dict[tuple[object, ...], list[ColumnSum]] = {}
    for each in grid.sums:
        real = schedule.nodes[each.number].kind == "real"
        groups.setdefault((each.kept_fixed, each.kept_columns, real), []).append(each)
    found = []
    for index, group in enumerate(groups.values(), start=1):
        dtype = "f64" if schedule.nodes[group[0].number].kind == "real" else "i64"
        width: Length | None
        if group[0].along_columns:
            width = points(grid.columns)
        else:
            width = None if grid.columns and not grid.nest.row else sympy.Integer(1)
        columns = text(width) if width is not None else sizes.column_blocks
        size = f"{count(grid.fixed)} * {sizes.splits} * {columns}"
        argument = Argument(f"{name}_partials_{index}", "temporary", dtype, (f"{len(group)} * {size}",))
        found.append(Partials(argument, tuple(group), width, size, sizes.splits, sizes.column_blocks, index))
    return tuple(found)


def totals_kernel(
    schedule: Schedule, step: KernelStep, grid: Grid, writer: ExpressionWriter, partials: Partials
) -> tuple[KernelText, Launch]:
    """The kernel that adds up partials and stores the sums: a tile of results by partials, a loop along the latter."""
    return _Totals(schedule, step, grid, writer, partials).emit()


class _Totals(TileValues):
    def __init__(self, schedule: Schedule, step: KernelStep, grid: Grid, writer: ExpressionWriter, partials: Partials) -> None:
        super().__init__(schedule, step.leaves, grid.accesses, writer, 2)
        self.step, self.grid, self.partials = step, grid, partials
        self.reducer = Reducer(self.nodes, writer)

    def emit(self) -> tuple[KernelText, Launch]:
        out, first = self.out, self.partials.sums[0]
        kept = (*first.kept_fixed, *first.kept_columns)
        dropped = [loop for loop in self.grid.loops if loop not in kept and loop not in self.grid.rows]
        if not first.along_columns:
            dropped = [loop for loop in dropped if loop in self.grid.fixed]
        out.indent()
        self.integers["n_splits"] = self.partials.splits
        blocks = "1"
        if self.partials.width is None:
            blocks = "n_column_blocks"
            self.integers[blocks] = self.partials.column_blocks
        width = blocks if self.partials.width is None else f"({self.length(self.partials.width)})"
        out.add("row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]")
        out.add(f"row_inside = row < {self.length(points(kept))}")
        self._decode(kept, "row", 0)
        for each in self.partials.sums:
            out.add(f"total_{each.number} = {self.reducer.start(each.number, '(ROWS, 1)', wide=True)}")
        terms = f"({self.length(points(dropped))}) * n_splits * {blocks}"
        with out.block(f"for first in range(0, {terms}, COLUMNS):"):
            out.add("column = (first + tl.arange(0, COLUMNS)[None, :]).to(tl.int64)")
            out.add(f"inside = row_inside & (column < {terms})")
            out.add(f"split = column % (n_splits * {blocks})")
            self._decode(dropped, f"(column // (n_splits * {blocks}))", 1)
            place = self._place(width)
            size = self.length_of_one() if len(self.partials.sums) > 1 else ""
            self.buffers.setdefault(self.partials.argument.name)
            for position, each in enumerate(self.partials.sums):
                where = f"at_{self.partials.argument.name} + {f'{position} * {size} + ' if position else ''}{place}"
                neutral = self.reducer.neutral(each.number, wide=True)
                loaded = f"tl.where(inside, tl.load({where}, mask=inside, other=0), {neutral})"
                total = f"total_{each.number}"
                out.add(f"{total} = {self.reducer.combined(each.number, total, self.reducer.across(each.number, loaded, 1))}")
        self.masks[0], self.indices[0] = "row_inside", "row"
        for each in self.partials.sums:
            result = self.reducer.finished(each.number, f"total_{each.number}")
            if self.nodes[each.number].kind == "bool":
                result = f"({result} != 0)"
            for store, access in zip(self.step.stores, self.grid.accesses.stores, strict=True):
                if store.node == each.number:
                    self.store(store, access, Value(result, frozenset((0,))), frozenset((0,)))
        name = f"{self.step.name}_totals_{self.partials.index}"
        kernel = self.function(name, [f"adds up what programs of {self.step.name} have gathered"], ["ROWS", "COLUMNS"], out)
        rows = f"min(padded({count(kept)}), {_KEPT})"
        columns = f"min(padded({count(dropped)} * {self.partials.splits}), {_TERMS})"
        constants = (("ROWS", rows), ("COLUMNS", columns))
        return kernel, Launch("kernel", name, (f"blocks({count(kept)}, {rows})",), constants, kernel.arguments)

    def length_of_one(self) -> str:
        name = f"n_partials_{self.partials.index}"
        self.integers[name] = self.partials.size
        return name

    def _decode(self, loops: Sequence[Loop], position: str, dim: int) -> None:
        lines = []
        for place, loop in reversed(list(enumerate(loops))):
            size = self.length(loop.length)
            lines.append(f"{loop.variable} = {position if place == 0 else f'{position} % ({size})'}")
            position = f"({position} // ({size}))"
            self.set_loop(loop, Value(loop.variable, frozenset((dim,))))
        for line in reversed(lines):
            self.out.add(line)

    def _place(self, width: str) -> str:
        """Where a partial is: fixed point, split, column."""
        text = ""
        for loop in self.grid.fixed:
            size = self.length(loop.length)
            text = f"({text}) * ({size}) + {loop.variable}" if text else loop.variable
        if self.partials.width is None:  # `split` numbers column blocks within splits
            return f"({text}) * (n_splits * {width}) + split" if text else "split"
        text = f"({text}) * n_splits + split" if text else "split"
        if not self.partials.sums[0].along_columns:
            return text
        column = ""
        for loop in self.grid.columns:
            size = self.length(loop.length)
            column = f"({column}) * ({size}) + {loop.variable}" if column else loop.variable
        return f"({text}) * {width} + {column}"
