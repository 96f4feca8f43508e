"""Sizes of tiles and numbers of programs, as Python expressions over lengths.

In: the loops of a grid plan. Out: texts for `Launch`. Holds: they depend on lengths alone, so that results do not depend on timing
or on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from ...lang.checked import Length
from ..gpu.grid import Grid, points
from ..lengths import python_length
from ..loops import Loop

POINTS = 1024  # of a flat tile: 16 bytes a thread of bf16, twice that of f32
TILE = 2048  # elements of a tile of rows and columns
WHOLE = 4096  # columns that a tile holds at once, so that no stage reads them again
BESIDE = 32  # rows of a tile at least, where rows and not columns lie side by side
SUMMED_COLUMNS = 128  # of a tile that sums over its rows
PROGRAMS = 1024  # that share the rows of column sums
CHUNK = 16  # blocks of rows that a program gathers in the kernel's precision before it adds them to a float64 total


@dataclass(frozen=True)
class Sizes:
    """Texts: `constants` of the launch, in order; `blocks` of columns; `splits`: programs that share the rows of a fixed point;
    `grid`: all programs; `warps`."""

    constants: tuple[tuple[str, str], ...]
    column_blocks: str
    splits: str
    grid: str
    warps: str


def text(length: Length) -> str:
    return f"({python_length(sympy.expand(length))})"


def count(loops: Sequence[Loop]) -> str:
    """The number of points of some loops."""
    return text(points(loops))


def beside_rows(grid: Grid) -> bool:
    """Whether it is along the rows that the elements of most accesses lie side by side."""
    if not grid.rows or not grid.columns:
        return False
    rows, columns = grid.rows[-1].step_axis, grid.columns[-1].step_axis
    every = [*grid.accesses.reads.values(), *grid.accesses.stores]
    return sum(each.stride(rows) == 1 for each in every) > sum(each.stride(columns) == 1 for each in every)


def sizes_of(grid: Grid, looped: bool) -> Sizes:
    """The sizes of a nest's kernel; `looped`: of the variant whose rows are longer than a tile."""
    rows, fixed = count(grid.rows), count(grid.fixed)
    if grid.flat:
        constants: tuple[tuple[str, str], ...] = (("POINTS", str(POINTS)),)
        block, column_blocks, warps = str(POINTS), "1", "4"
    else:
        columns = count(grid.columns)
        if not grid.nest.row:
            width = f"min(padded({columns}), {SUMMED_COLUMNS})"
            column_blocks = f"blocks({columns}, {width})"
        else:
            most = WHOLE // BESIDE if beside_rows(grid) else TILE if looped else WHOLE
            width = str(most) if looped else f"padded({columns})"
            column_blocks = "1"
        least = BESIDE if beside_rows(grid) else 1
        block = f"min(padded({rows}), max({least}, {TILE} // {width}))"
        constants = (("ROWS", block), ("COLUMNS", width))
        warps = f"(8 if {block} * {width} > {TILE} else 4)"
    if not grid.sums:
        return Sizes(constants, column_blocks, "1", f"blocks({rows}, {block})", warps)
    if not grid.split:
        return Sizes(constants, column_blocks, "1", f"{fixed} * {column_blocks}", warps)
    if looped:  # the partials are the same, whichever variant runs
        splits = sizes_of(grid, False).splits
        return Sizes(constants, column_blocks, splits, f"{fixed} * {column_blocks} * {splits}", warps)
    every = count(grid.loops) if not grid.nest.row else count((*grid.fixed, *grid.rows))
    splits = f"(max(1, min(blocks({rows}, {block}), {PROGRAMS} // max(1, {fixed} * {column_blocks}))) if {every} > 0 else 0)"
    return Sizes(constants, column_blocks, splits, f"{fixed} * {column_blocks} * {splits}", warps)


def longest_whole(grid: Grid) -> int:
    """The columns up to which a tile holds whole rows."""
    return WHOLE // BESIDE if beside_rows(grid) else WHOLE
