"""Tiling chains of steps, so that large temporaries hold only a tile.

In: the steps and buffers of a schedule. Out: the steps reordered, the buffers that hold tiles marked, and `TileLoop`s over runs of
steps; or all unchanged.

Before: kernel (basis of every row) -> product -> kernel, with a temporary of rows x basis between; or product -> kernel (softmax of
every row of scores) -> product, with temporaries of batch x rows x columns between. After: the same steps for a tile of rows at a
time, for one index of each batch axis at a time.
Why it is legal: every step of the loop computes, for rows of its own, values at those rows only; what another step of the loop has
stored is read at the row at which it was stored, so within the same tile; no step outside stands between two steps inside. Sums
over the rows are products, which add to what the tiles before have left, and nothing in the loop reads them.

A row of the temporaries is always whole: tiles are as many rows as fit a cache, and at least TILE_UNIT. Memory so grows with the
length of a row times the threads, not with the rows: what is held of scores of L x J is at most threads x max(16 J, TILE_ELEMENTS),
as much as some rows of an operand. A softmax over parts of a row (running maxima) would hold less only where a row itself
outgrows the cache, at several ten thousand columns, for more work everywhere.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import sympy

from ..ir.graph import Affine, Builder
from ..lang.checked import Length
from ..lang.lengths import quotient
from ..passes.costs import nominal_length
from .nest import cone_of, is_leaf, leaf_place
from .steps import (
    Buffer,
    CheckStep,
    KernelStep,
    Place,
    ProductStep,
    ScanStep,
    ScatterStep,
    Step,
    TileLoop,
    TransformStep,
    WindowStep,
)

TILE_ELEMENTS = 2**18  # of all tiled temporaries of a thread together
TILE_UNIT = 16  # tiles have a multiple of so many rows: products work on blocks of them
WORTH_TILING = 2**19  # elements of temporaries below which whole arrays are as good
LEAST_ROWS = 32  # of an axis worth dividing

_Tiled = Mapping[str, tuple[int, ...]]


def tile_loops(
    steps: tuple[Step, ...], buffers: Mapping[str, Buffer], builder: Builder
) -> tuple[tuple[Step, ...], Mapping[str, Buffer], tuple[TileLoop, ...]]:
    """The steps, the buffers (marked where tiled), and the loops in their order."""
    ordered, tiled, loops = _Tiling(buffers, builder).run([_touch(step, builder) for step in steps], set())
    marked = {name: replace(buffer, tile=tiled.get(name, ())) for name, buffer in buffers.items()}
    return tuple(each.step for each in ordered), marked, tuple(loops)


@dataclass(frozen=True)
class _Touch:
    """A step, the places it reads and writes, the axes over which each of its values is stored, and those that it sums over."""

    step: Step
    reads: tuple[Place, ...]
    writes: tuple[Place, ...]
    stored: tuple[frozenset[str], ...]
    summed: frozenset[str]

    @property
    def buffers(self) -> set[str]:
        return {place.buffer for place in (*self.reads, *self.writes)}


@dataclass(frozen=True)
class _Plan:
    """A loop over one index of `batch` and tiles of `axis`; the steps by their part.

    `tiled`: for each buffer that holds a tile the dimensions of the loop's axes. `cost`: elements of memory, what counts most
    first: temporaries left whole that are larger than the layer's own tensors, the least tile, other temporaries left whole.
    """

    batch: tuple[str, ...]
    axis: str
    tiled: _Tiled
    before: tuple[_Touch, ...]
    within: tuple[_Touch, ...]
    after: tuple[_Touch, ...]
    cost: tuple[int, int, int]


def _touch(step: Step, builder: Builder) -> _Touch:
    if isinstance(step, ProductStep):
        axes = frozenset((*step.batch, *step.m, *step.n))
        return _Touch(step, (step.left, step.right), (step.result,), (axes,), frozenset(step.k))
    if isinstance(step, TransformStep):
        return _Touch(step, tuple(place for place in step.operands if place is not None), step.results, (), frozenset())
    if isinstance(step, WindowStep):
        return _Touch(step, (step.data, step.weight), (step.result,), (), frozenset())
    if isinstance(step, ScatterStep):
        return _Touch(step, (step.keys, step.values), (step.start, step.order, step.result), (), frozenset())
    if isinstance(step, CheckStep):
        return _Touch(step, tuple(place for place in (step.low, step.high) if place is not None), (), (), frozenset())
    roots = builder.nodes[step.node].operands if isinstance(step, ScanStep) else [store.node for store in step.stores]
    cone = cone_of(builder.nodes, step.leaves, roots)
    reads = [place for number in cone if (place := leaf_place(builder.nodes, step.leaves, number)) is not None]
    summed = {
        axis
        for number in cone
        if builder.nodes[number].op == "reduce" and not is_leaf(builder.nodes, step.leaves, number)
        for axis in builder.nodes[number].attribute("over")
    }
    places, axes_of = tuple(store.place for store in step.stores), tuple(frozenset(store.axes) for store in step.stores)
    return _Touch(step, tuple(reads), places, axes_of, frozenset(summed))


def _dimension(place: Place, axis: str) -> int | None:
    """The dimension that the axis, and nothing else, is the index of, if it is in no other."""
    found = None
    for number, index in enumerate(place.indices):
        if not isinstance(index, Affine):
            return None
        if axis in index.axes:
            if found is not None or len(index.terms) > 1 or index.terms[0][1] != 1 or index.offset != 0:
                return None
            found = number
    return found


class _Tiling:
    def __init__(self, buffers: Mapping[str, Buffer], builder: Builder) -> None:
        self.buffers = buffers
        self.builder = builder
        self.lengths = builder.lengths

    def run(self, touches: Sequence[_Touch], elsewhere: set[str]) -> tuple[list[_Touch], _Tiled, list[TileLoop]]:
        """The best loop, then loops in what is left before and after it. `elsewhere`: buffers that other steps touch."""
        best: _Plan | None = None
        for plan in self._plans(touches, elsewhere):
            if best is None or plan.cost < best.cost:
                best = plan
        if best is None:
            return list(touches), {}, []
        parts = [_buffers(part) for part in (best.before, best.within, best.after)]
        before, tiled, loops = self.run(best.before, elsewhere | parts[1] | parts[2])
        after, more, later = self.run(best.after, elsewhere | parts[0] | parts[1])
        first, last = len(before), len(before) + len(best.within)
        extent = TILE_UNIT * (1 + quotient(TILE_ELEMENTS // TILE_UNIT, self._row(best.tiled) + 1))
        loops.append(TileLoop(best.batch, best.axis, extent, first, last, tuple(sorted(best.tiled)), _sums_lie_together(best)))
        loops += [replace(loop, first=loop.first + last, last=loop.last + last) for loop in later]
        return [*before, *best.within, *after], {**tiled, **best.tiled, **more}, loops

    # ---------------------------------------------------------------------------------------- candidates

    def _plans(self, touches: Sequence[_Touch], elsewhere: set[str]) -> Iterator[_Plan]:
        places = self._temporaries(touches, elsewhere)
        if sum(self._elements(name) for name in places) < WORTH_TILING:
            return
        for axis in self.builder.axes:
            if nominal_length(self.lengths[axis]) < LEAST_ROWS:
                continue
            batches: dict[tuple[str, ...], None] = {}
            for each in places.values():
                dimension = _dimension(each[0], axis)
                if dimension is not None:
                    leading = [a for index in each[0].indices[:dimension] if isinstance(index, Affine) for a in index.axes]
                    batches.setdefault(tuple(leading))
                    batches.update(dict.fromkeys(tuple(a for a in leading if a != left) for left in leading))
                    batches.setdefault(())
            for batch in batches:
                plan = self._plan(batch, axis, touches, places)
                if plan is not None:
                    yield plan

    def _temporaries(self, touches: Sequence[_Touch], elsewhere: set[str]) -> dict[str, list[Place]]:
        """Every place of each temporary that only these steps touch."""
        places: dict[str, list[Place]] = {}
        for each in touches:
            for place in (*each.writes, *each.reads):
                if self.buffers[place.buffer].role == "temporary" and place.buffer not in elsewhere:
                    places.setdefault(place.buffer, []).append(place)
        return places

    def _elements(self, name: str) -> int:
        size = 1
        for length in self.buffers[name].dimensions:
            size *= nominal_length(length)
        return size

    def _own_size(self, name: str) -> bool:
        """Whether an input or output is at least as large as the buffer, whatever the lengths that only the call knows."""
        lengths, count = _split(self.buffers[name])
        others = [_split(other) for other in self.buffers.values() if other.role != "temporary"]
        return any(lengths <= more and count <= least for more, least in others)

    def _row(self, tiled: _Tiled) -> Length:
        """Elements of the tiled temporaries at one index of the batch axes and the row axis."""
        total: Length = sympy.Integer(0)
        for name, dimensions in tiled.items():
            size: Length = sympy.Integer(1)
            for number, length in enumerate(self.buffers[name].dimensions):
                if number not in dimensions:
                    size = size * length
            total = total + size
        return total

    # ---------------------------------------------------------------------------------------- one candidate

    def _plan(
        self, batch: tuple[str, ...], axis: str, touches: Sequence[_Touch], places: Mapping[str, list[Place]]
    ) -> _Plan | None:
        """The loop over these axes with as many temporaries tiled as can be, if a product is in it and it is worth while."""
        axes = (*batch, axis)
        tiled = {name: held for name, each in places.items() if (held := self._dimensions(name, each, axes)) is not None}
        while True:
            inside = [bool(each.buffers & set(tiled)) for each in touches]
            if not any(isinstance(each.step, ProductStep) for each, chosen in zip(touches, inside, strict=True) if chosen):
                return None
            obstacle = self._obstacle(touches, inside, batch, axis)
            if obstacle is None:
                break
            tiled = {name: held for name, held in tiled.items() if name not in obstacle.buffers}
        order = _order(touches, inside)
        if order is None:
            return None
        if sum(self._elements(name) for name in tiled) < WORTH_TILING:
            return None
        left = [name for name in places if name not in tiled]
        large, small = (sum(self._elements(name) for name in left if self._own_size(name) is own) for own in (False, True))
        cost = (large, TILE_UNIT * nominal_length(self._row(tiled)), small)
        before, within, after = (tuple(touches[position] for position in part) for part in order)
        return _Plan(batch, axis, tiled, before, within, after, cost)

    def _dimensions(self, name: str, places: Sequence[Place], axes: Sequence[str]) -> tuple[int, ...] | None:
        """The dimensions of the axes in a buffer, if each is the same, and of the axis alone, wherever the buffer is touched."""
        found = [_dimension(places[0], axis) for axis in axes]
        for place in places[1:]:
            if [_dimension(place, axis) for axis in axes] != found:
                return None
        whole = [self.buffers[name].dimensions[d] == self.lengths[a] for d, a in zip(found, axes, strict=True) if d is not None]
        return tuple(d for d in found if d is not None) if all(whole) and len(whole) == len(axes) else None

    def _obstacle(self, touches: Sequence[_Touch], inside: Sequence[bool], batch: Sequence[str], axis: str) -> _Touch | None:
        """A step that cannot be in the loop, if there is one."""
        axes = {*batch, axis}
        chosen = [each for each, is_inside in zip(touches, inside, strict=True) if is_inside]
        written: dict[str, tuple[_Touch, Place]] = {}
        for each in chosen:
            if isinstance(each.step, ProductStep):
                present = axis in each.stored[0] | each.summed
                if not set(batch) <= set(each.step.batch) or not present:
                    return each
            elif not isinstance(each.step, KernelStep) or axes & each.summed or not all(axes <= stored for stored in each.stored):
                return each
            for place in each.reads:
                if place.buffer not in written:
                    continue
                writer, stored = written[place.buffer]
                if axis in writer.summed:
                    return each  # it is complete only after the loop
                same = [_dimension(stored, a) is not None and _dimension(stored, a) == _dimension(place, a) for a in axes]
                if place.indices != stored.indices and not all(same):
                    return each
            for place in each.writes:
                written[place.buffer] = (each, place)
        return None


def _split(buffer: Buffer) -> tuple[Counter[Length], int]:
    """The lengths of a buffer's dimensions that the call knows, and the product of the others."""
    known = [int(length) for length in buffer.dimensions if length.is_Integer]
    return Counter(length for length in buffer.dimensions if not length.is_Integer), math.prod(known)


def _buffers(touches: Sequence[_Touch]) -> set[str]:
    return {name for each in touches for name in each.buffers}


def _sums_lie_together(plan: _Plan) -> bool:
    """Whether each sum over the rows is, for one index of the batch axes, a contiguous part of its buffer."""
    for each in plan.within:
        if isinstance(each.step, ProductStep) and plan.axis in each.step.k:
            result = each.step.result
            if [_dimension(result, axis) for axis in plan.batch] != list(range(len(plan.batch))):
                return False
    return True


def _order(touches: Sequence[_Touch], inside: Sequence[bool]) -> tuple[list[int], list[int], list[int]] | None:
    """Steps before, in and after the loop; None where a step outside is needed between two inside."""
    written_inside: set[str] = set()
    written_after: set[str] = set()
    before, within, after = [], [], []
    for position, each in enumerate(touches):
        reads = {place.buffer for place in each.reads}
        writes = {place.buffer for place in each.writes}
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
    if any(isinstance(touches[position].step, CheckStep) for position in after):
        return None  # a step within may read where it has not been checked
    return before, within, after
