"""The grid plan of a loop nest: which loops a device's programs (blocks) divide among themselves, and what each keeps of a sum.

In: a kernel step of a schedule made with `tiled=False`. Out: `Grid`. Holds: the plan depends on index maps alone; sizes of tiles
and the number of programs are chosen at the call, from lengths, so that results do not depend on timing.

The loops of a nest are of three sorts:
- A program has one point of the `fixed` loops: column sums keep them, so that a program's partial results belong to it alone.
- `rows` are flattened to one index, which programs take in blocks. Where there are column sums a program walks many blocks, and
  gathers them on the way.
- `columns` are flattened to the second index of a tile: of a nest with row reductions all inner loops, of one without those that
  column sums keep side by side. Without columns a tile is flat: a block of points, however short the innermost loop is.

What a program has gathered of a column sum is a *partial*: stored at [fixed..., split, column], or, where the sum runs over the
columns too, at [fixed..., split, column block]. A second launch adds partials up in float64, in an order that lengths alone decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy

from ...lang.checked import Length
from ...schedule.nest import Nest, leaf_place, plan_nest
from ...schedule.steps import KernelStep, ScanStep, Schedule
from ..access import Access, access
from ..loops import Loop, merged_loops

SERIAL = 4096  # terms that one program adds up by itself, however few programs there are


@dataclass(frozen=True)
class Accesses:
    """Where a nest reads and writes: by leaf, its access and its buffer; by store, its access."""

    reads: Mapping[int, Access]
    sources: Mapping[int, str]
    stores: tuple[Access, ...]

    @property
    def every(self) -> list[Access]:
        """All of them, the indices that are no sums of strides included: they have to step as one, too."""
        found = [*self.reads.values(), *self.stores]
        for each in self.reads.values():
            found += [fitted.index for fitted in each.fitted if isinstance(fitted.index, Access)]
        return found


@dataclass(frozen=True)
class ColumnSum:
    """A column reduction: the fixed loops and columns that its result keeps.

    `along_columns`: whether a program has a partial for each column, or one for each block of columns.
    """

    number: int
    kept_fixed: tuple[Loop, ...]
    kept_columns: tuple[Loop, ...]
    along_columns: bool


@dataclass(frozen=True)
class Grid:
    """`split`: whether several programs share the rows of one fixed point, so that their partials have to be added up; where none
    do, a program stores its column sums itself."""

    nest: Nest
    accesses: Accesses
    fixed: tuple[Loop, ...]
    rows: tuple[Loop, ...]
    columns: tuple[Loop, ...]
    sums: tuple[ColumnSum, ...]
    split: bool

    @property
    def flat(self) -> bool:
        return not self.columns and not self.nest.row

    @property
    def loops(self) -> tuple[Loop, ...]:
        return (*self.fixed, *self.rows, *self.columns)


def accesses_of(schedule: Schedule, step: KernelStep | ScanStep, cone: Sequence[int]) -> Accesses:
    """The accesses of a step, for the values in `cone`."""
    reads: dict[int, Access] = {}
    sources: dict[int, str] = {}
    for number in cone:
        place = leaf_place(schedule.nodes, step.leaves, number)
        if place is not None:
            reads[number] = access(place, schedule.buffers, schedule.lengths)
            sources[number] = place.buffer
    stores = tuple(access(store.place, schedule.buffers, schedule.lengths) for store in step.stores)
    return Accesses(reads, sources, stores)


def points(loops: Sequence[Loop]) -> Length:
    """The number of points of some loops."""
    product: Length = sympy.Integer(1)
    for loop in loops:
        product = product * loop.length
    return product


def plan_grid(schedule: Schedule, step: KernelStep) -> Grid:
    """The grid plan of a kernel step."""
    nodes, lengths = schedule.nodes, dict(schedule.lengths)
    nest = plan_nest(nodes, tuple(lengths), step.leaves, step.stores, kept_inner=False)
    assert not nest.cut and not nest.deferred, f"{step.name} does not fit one nest"
    accesses = accesses_of(schedule, step, nest.cone)

    def merged(axes: Sequence[str]) -> tuple[Loop, ...]:
        return merged_loops(axes, nest, nodes, lengths, accesses.every)

    if nest.row:
        outer, columns = merged(nest.outer), merged(nest.inner)
        kept = {axis for number in nest.column for axis in nodes[number].axes}
        fixed = tuple(loop for loop in outer if set(loop.axes) & kept)
    else:
        loops = merged(nest.order)
        kept = {axis for number in nest.column for axis in nodes[number].axes}
        last = len(loops)
        while last > 0 and set(loops[last - 1].axes) & kept:
            last -= 1
        outer, columns = loops[:last], loops[last:]
        fixed = tuple(loop for loop in outer if set(loop.axes) & kept)
    rows = tuple(loop for loop in outer if loop not in fixed)
    sums = []
    for number in nest.column:
        own = set(nodes[number].axes)
        kept_columns = tuple(loop for loop in columns if set(loop.axes) & own)
        kept_fixed = tuple(loop for loop in fixed if set(loop.axes) & own)
        sums.append(ColumnSum(number, kept_fixed, kept_columns, bool(kept_columns)))
    terms = points(rows)
    alone = terms.is_Integer and int(terms) <= SERIAL and not nest.row
    alone = alone and all(each.kept_fixed == fixed and each.kept_columns == columns for each in sums)
    return Grid(nest, accesses, fixed, rows, columns, tuple(sums), bool(sums) and not alone)
