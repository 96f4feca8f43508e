"""The loop over tiles around some steps of a program, as lines of C++ for the entry point.

In: a tile loop of a schedule. Out: the lines that open and close it, and the memory it needs beside the schedule's buffers.

What holds within the loop: `first_index` and `tile_length` of its axes are constants; `own_NAME` points to the thread's part of a
buffer that holds a tile, or to where sums over the rows go: the result's part for this index of the batch axes, or, where a thread
before has begun that part, a partial result, which is added afterwards in the order of the threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy

from ...ir.graph import size_of
from ...lang.checked import Length
from ...schedule.steps import Buffer, ProductStep, Schedule, TileLoop, first_index, shrunk, tile_length
from ..lengths import cpp_length, identifier
from .values import STORAGE_TYPES

Text = Callable[[Length], str]  # a length in C++, noted as used


def tile_dimensions(buffer: Buffer, tile: TileLoop, lengths: Mapping[str, Length]) -> tuple[Length, ...]:
    """The dimensions of what a thread holds of a buffer, for the longest tile."""
    return shrunk(buffer, [*(sympy.Integer(1) for _ in tile.batch), longest(tile, lengths)]).dimensions


def longest(tile: TileLoop, lengths: Mapping[str, Length]) -> Length:
    return sympy.Min(lengths[tile.axis], tile.extent)


def summed(plan: Schedule, tile: TileLoop) -> list[str]:
    """The results of the products that sum over the rows."""
    steps = plan.steps[tile.first : tile.last]
    return [step.result.buffer for step in steps if isinstance(step, ProductStep) and tile.axis in step.k]


def partials(plan: Schedule, tile: TileLoop) -> dict[str, Length]:
    """The elements of a thread's partial result, for each buffer that needs them."""
    names = summed(plan, tile) if tile.divisible else []
    return {name: size_of(plan.buffers[name].dimensions[len(tile.batch) :]) for name in names}


def tile_begin(plan: Schedule, tile: TileLoop, text: Text) -> list[str]:
    """Opens the loop: every thread takes a run of tiles and temporaries of its own."""
    lengths = plan.lengths
    batch = text(size_of(lengths[axis] for axis in tile.batch))
    rows = text(lengths[tile.axis])
    held = {name: size_of(tile_dimensions(plan.buffers[name], tile, lengths)) for name in tile.tiled}
    one = [*(sympy.Integer(1) for _ in tile.axes)]
    points = sum((size_of(shrunk(plan.buffers[name], one).dimensions) for name in tile.tiled), sympy.Integer(0))
    divisible = "true" if tile.divisible else "false"
    lines = [
        "{",
        f"const lamina::tiling tiles = lamina::tiles_of(threads, {batch}, {rows}, {text(tile.extent)}, {divisible});",
        f"const int64_t team = lamina::team_size(threads, tiles.pieces(), {batch} * {rows} * {text(points)});",
    ]
    sums = summed(plan, tile)
    for name in sums:  # there is no tile to write them
        lines.append(
            f"if (tiles.count() == 0) lamina::fill(at_{identifier(name)}, {text(size_of(plan.buffers[name].dimensions))}, Real(0));"
        )
    lines += [
        "#pragma omp parallel num_threads(team) if (team > 1)",
        "{",
        "const int64_t members = omp_get_num_threads(), member = omp_get_thread_num();",
        "const int64_t begin = tiles.begin(member, members), end = tiles.begin(member + 1, members);",
    ]
    for name, size in held.items():
        kind = STORAGE_TYPES[plan.buffers[name].dtype]
        lines.append(f"{kind}* const own_{identifier(name)} = at_{identifier(name)} + member * {text(size)};")
    lines.append("for (int64_t tile = begin; tile < end; ++tile) {")
    index = "tile / tiles.blocks"
    for position, axis in reversed(list(enumerate(tile.batch))):
        value = index if position == 0 else f"{index} % {text(lengths[axis])}"
        lines.append(f"const int64_t {cpp_length(first_index(axis))} = {value};")
        index = f"{index} / {text(lengths[axis])}"
    first, length = cpp_length(first_index(tile.axis)), cpp_length(tile_length(tile.axis))
    lines += [
        f"const int64_t {first} = tile % tiles.blocks * tiles.extent;",
        f"const int64_t {length} = lamina::min(tiles.extent, {rows} - {first});",
    ]
    if sums:
        lines.append("const bool added = tile != begin && tile % tiles.blocks != 0;")
    for name, size in partials(plan, tile).items():
        stem, part = identifier(name), text(size)
        lines.append(
            f"Real* const own_{stem} = tiles.continued(begin, tile) ? partial_{stem} + (member - 1) * {part} "
            f": at_{stem} + tile / tiles.blocks * {part};"
        )
    return lines


def tile_end(plan: Schedule, tile: TileLoop, text: Text) -> list[str]:
    lines = ["}"]
    parts = partials(plan, tile)
    if parts:
        lines.append("#pragma omp barrier")
    for name, size in parts.items():
        stem = identifier(name)
        lines.append(f"lamina::add_partials(at_{stem}, partial_{stem}, {text(size)}, tiles, member, members);")
    return [*lines, "}", "}"]
