"""Tiling a chain of steps over one axis, so that large temporaries hold only a tile.

In: the steps and buffers of a schedule. Out: the steps reordered, the buffers shrunk, and a `TileLoop` over a run of steps; or
all unchanged.

Before: kernel (basis of every row) -> product -> kernel, with a temporary of rows x basis between. After: the same steps for a
tile of rows
at a time. Why it is legal: the tiled axis leads every tensor that the chain touches, so a tile is the same problem with fewer
rows at a later
address; nothing in the chain asks for the axis' index or length; no step outside stands between two steps inside; sums over the
axis are products, which add to what the tiles before have left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import sympy

from ..ir.graph import Affine, Builder
from ..lang.checked import Length
from ..passes.costs import nominal_length
from .nest import cone_of, is_leaf, leaf_place
from .steps import Buffer, CheckStep, KernelStep, Place, ProductStep, ScanStep, ScatterStep, Step, TileLoop, WindowStep

TILE_ELEMENTS = 2**19  # of all tiled temporaries of a thread together
LEAST_TILE = 64
WORTH_TILING = 2**21  # elements of temporaries below which whole arrays are as good


def tile_loop(
    steps: tuple[Step, ...], buffers: Mapping[str, Buffer], builder: Builder
) -> tuple[tuple[Step, ...], Mapping[str, Buffer], TileLoop | None]:
    """The steps, the buffers (shrunk where tiled), and the loop."""
    for axis in builder.axes:
        if builder.lengths[axis].is_Symbol:
            found = _tiled(axis, steps, buffers, builder)
            if found is not None:
                return found
    return steps, buffers, None


def _tiled(
    axis: str, steps: tuple[Step, ...], buffers: Mapping[str, Buffer], builder: Builder
) -> tuple[tuple[Step, ...], Mapping[str, Buffer], TileLoop] | None:
    length = builder.lengths[axis]
    touched = [_places(step, builder) for step in steps]
    tiled = {
        place.buffer
        for places in touched
        for place, _ in places
        if buffers[place.buffer].role == "temporary" and axis in _leading(place)
    }
    row: Length = sympy.Integer(0)
    for name in sorted(tiled):
        rest: Length = sympy.Integer(1)
        for dimension in buffers[name].dimensions[1:]:
            rest = rest * dimension
        row = row + rest
    if not tiled or nominal_length(row) * nominal_length(length) * 4 < WORTH_TILING:
        return None
    inside = [any(place.buffer in tiled for place, _ in places) for places in touched]
    if not any(isinstance(step, ProductStep) for step, chosen in zip(steps, inside, strict=True) if chosen):
        return None
    for step, places, chosen in zip(steps, touched, inside, strict=True):
        if chosen and not _can_tile(step, places, axis, length, buffers, builder):
            return None
    order = _order(touched, inside)
    if order is None:
        return None
    before, within, after = order
    if any(isinstance(steps[position], CheckStep) for position in (*within, *after)):
        return None  # a step within may read where it has not been checked
    extent = sympy.Max(LEAST_TILE, sympy.floor(TILE_ELEMENTS / (row + 1)))
    shrunk = {
        name: replace(buffer, dimensions=(sympy.Min(length, extent), *buffer.dimensions[1:])) if name in tiled else buffer
        for name, buffer in buffers.items()
    }
    ordered = tuple(steps[position] for position in (*before, *within, *after))
    loop = TileLoop(axis, extent, len(before), len(before) + len(within), tuple(sorted(tiled)))
    return ordered, shrunk, loop


def _leading(place: Place) -> tuple[str, ...]:
    """The axis that steps slowest through a place's buffer, if its first dimension begins with one."""
    if not place.indices:
        return ()
    first = place.indices[0]
    return first.axes[:1] if isinstance(first, Affine) and first.offset == 0 else ()


def _places(step: Step, builder: Builder) -> list[tuple[Place, bool]]:
    """Every place a step reads (False) or writes (True)."""
    if isinstance(step, ProductStep):
        return [(step.left, False), (step.right, False), (step.result, True)]
    if isinstance(step, ScatterStep):
        return [(step.keys, False), (step.values, False), *((place, True) for place in (step.start, step.order, step.result))]
    if isinstance(step, WindowStep):
        return [(step.data, False), (step.weight, False), (step.result, True)]
    if isinstance(step, CheckStep):
        return [(place, False) for place in (step.low, step.high) if place is not None]
    roots = builder.nodes[step.node].operands if isinstance(step, ScanStep) else [store.node for store in step.stores]
    cone = cone_of(builder.nodes, step.leaves, roots)
    reads = [place for number in cone if (place := leaf_place(builder.nodes, step.leaves, number)) is not None]
    return [(place, False) for place in reads] + [(store.place, True) for store in step.stores]


def _can_tile(
    step: Step, places: Sequence[tuple[Place, bool]], axis: str, length: Length, buffers: Mapping[str, Buffer], builder: Builder
) -> bool:
    """Whether the step on fewer rows is the same step: the axis leads every buffer that has it, and is never a value."""
    if isinstance(step, (ScanStep, ScatterStep, WindowStep)):
        return False
    for place, written in places:
        affine = [index for index in place.indices if isinstance(index, Affine)]
        axes = {name for index in affine for name in index.axes}
        numbers = [number for index in affine for number in (index.offset, *(c for _, c in index.terms))]
        if any(length in sympy.sympify(number).free_symbols for number in numbers):
            return False
        if place.boundary is not None and any(axis in index.axes for index in affine):
            return False  # within the loop the axis begins anew with every tile, and is no longer than one
        if axis in axes and (_leading(place) != (axis,) or buffers[place.buffer].strided):
            return False
        if axis not in axes and written and isinstance(step, KernelStep):
            return False
        if axis not in axes and any(length in dimension.free_symbols for dimension in buffers[place.buffer].dimensions):
            return False
    if isinstance(step, KernelStep):
        for number in cone_of(builder.nodes, step.leaves, [store.node for store in step.stores]):
            node = builder.nodes[number]
            if node.op == "index" and node.attribute("axis") == axis:
                return False
            if node.op == "length" and length in node.attribute("length").free_symbols:
                return False
            if node.op == "reduce" and not is_leaf(builder.nodes, step.leaves, number) and axis in node.attribute("over"):
                return False
    return True


def _order(
    touched: Sequence[Sequence[tuple[Place, bool]]], inside: Sequence[bool]
) -> tuple[list[int], list[int], list[int]] | None:
    """Steps before, in and after the loop; None where a step outside is needed between two inside."""
    written_inside: set[str] = set()
    written_after: set[str] = set()
    before, within, after = [], [], []
    for position, places in enumerate(touched):
        reads = {place.buffer for place, written in places if not written}
        writes = {place.buffer for place, written in places if written}
        if inside[position]:
            if reads & written_after:
                return None
            within.append(position)
            written_inside |= writes
        elif reads & (written_inside | written_after):
            after.append(position)
            written_after |= writes
        else:
            before.append(position)
    return before, within, after
