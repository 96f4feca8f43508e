"""What a scheduled layer is made of.

In: nothing; frozen records only. Out: `Schedule`, a list of steps over buffers, made by `partition.py` and read by the code
generator.

What holds: every buffer is written by the steps before the first step that reads it; a step's loops run over the union of its
stores' axes and its reductions' axes; within a kernel step no store is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Union

import sympy

from ..ir.graph import Affine, Node
from ..lang.checked import Length
from ..passes.windows import WindowRoles


@dataclass(frozen=True)
class Buffer:
    """A stored tensor: dimensions of the given lengths, laid out as in `InputSignature`.

    role: input, output, temporary. dtype: a storage dtype, or "compute" for the kernel's own precision. With `parts` it is a
    complex tensor seen as real numbers: its last dimension, of length 2, has real and imaginary part, side by side; `dtype` is
    that of the parts, `layout` that of the complex elements. tile: where it holds only what a thread needs for one tile of a loop,
    the dimensions of the loop's axes in their order; `dimensions` are nevertheless those of the whole. same_as: the output that it
    is one tensor with, where it has the same elements: nothing writes it.
    """

    name: str
    role: str
    dtype: str
    dimensions: tuple[Length, ...]
    layout: str = "contiguous"
    parts: bool = False
    tile: tuple[int, ...] = ()
    same_as: str | None = None

    @property
    def strided(self) -> bool:
        """Whether its strides do not follow from its lengths."""
        return self.layout != "contiguous"


@dataclass(frozen=True)
class Gathered:
    """An index that is the value of the node `node`, an integer."""

    node: int


@dataclass(frozen=True)
class Place:
    """Where a value is read or stored: a buffer and an index for each of its dimensions.

    `boundary`: what lies beyond the ends of its dimensions (zero, wrap, clamp, reflect), for reads whose indices may leave them; a
    store's is "zero" where what lies beyond them is not stored.
    """

    buffer: str
    indices: tuple[Affine | Gathered, ...]
    boundary: str | None = None

    @property
    def affine(self) -> tuple[Affine, ...]:
        """The indices of a place without gathered ones."""
        indices = tuple(index for index in self.indices if isinstance(index, Affine))
        assert len(indices) == len(self.indices)
        return indices


@dataclass(frozen=True)
class Store:
    """Write the value `node` to `place`, at every point of `axes` (the value's own and those it is broadcast along)."""

    node: int
    place: Place
    axes: tuple[str, ...]


@dataclass(frozen=True)
class KernelStep:
    """One loop nest: stores, and the places of values computed by earlier steps."""

    name: str
    stores: tuple[Store, ...]
    leaves: Mapping[int, Place]


@dataclass(frozen=True)
class ProductStep:
    """result[batch, m, n] = sum over k of left[batch, m, k] * right[batch, n, k], each read and stored at any affine indices.

    The result is in the compute dtype; the operands hold reals of any.
    """

    name: str
    node: int
    batch: tuple[str, ...]
    m: tuple[str, ...]
    n: tuple[str, ...]
    k: tuple[str, ...]
    left: Place
    right: Place
    result: Place


@dataclass(frozen=True)
class WindowStep:
    """result = sum over a contraction's axes of data * weight, a sum over windows of the data with these roles.

    `outer`: the result's axes that play no part; `others`: the axes summed over that play none. Everything is in the compute dtype;
    elements of the data lie side by side along the column, in `collect` of the weight too.
    """

    name: str
    node: int
    roles: WindowRoles
    outer: tuple[str, ...]
    others: tuple[str, ...]
    data: Place
    weight: Place
    result: Place


@dataclass(frozen=True)
class CheckStep:
    """Ends the call where a read would leave its tensor: `low` and `high` hold the extremes of an index (None: any index is
    outside), `length` is that of the dimension it goes into, `points` how many indices there are. `text`: what to say then, for
    `ir.outside.outside_message`.
    """

    name: str
    low: Place | None
    high: Place | None
    length: Length
    points: Length
    text: str


@dataclass(frozen=True)
class ScanStep:
    """A recurrence, run along its axis by `node`, a scan, and by all scans of the same operands.

    A store's node is one of these scans: its value is written at every step. `leaves` are the places of values computed before.
    """

    name: str
    node: int
    stores: tuple[Store, ...]
    leaves: Mapping[int, Place]


@dataclass(frozen=True)
class ScatterStep:
    """result[outer, groups, rows, inner] = sums of values[outer, groups, points, inner] at the rows keys[groups, points].

    All three are stored densely, in this order; a key outside 0..rows-1 counts nowhere.
    """

    name: str
    node: int
    outer: tuple[str, ...]
    groups: tuple[str, ...]
    points: tuple[str, ...]
    inner: tuple[str, ...]
    rows: Length
    keys: Place
    values: Place
    result: Place
    start: Place
    order: Place


@dataclass(frozen=True)
class TransformStep:
    """results[outer, target, inner] = the transform of operands[outer, source, inner], dense, in this order.

    Complex values are two arrays, of the real and the imaginary parts; the latter is None where an operand is real. `lengths`: of
    the source, of the target, and the number of points n.
    """

    name: str
    node: int
    function: str
    outer: tuple[str, ...]
    inner: tuple[str, ...]
    source: str
    target: str
    lengths: tuple[Length, Length, Length]
    operands: tuple[Place | None, ...]
    results: tuple[Place, ...]


Step = Union[KernelStep, ScanStep, ProductStep, WindowStep, CheckStep, ScatterStep, TransformStep]


@dataclass(frozen=True)
class TileLoop:
    """Steps first..last-1 run once for each index of the `batch` axes and each tile of `axis`, at most `extent` long.

    Tiles follow each other in that order, `axis` innermost, and are divided among threads in runs. `tiled`: the buffers that hold
    one tile. `divisible`: whether the tiles of one index of `batch` may go to several threads: what each sums over the rows then
    has a partial result of its own.
    """

    batch: tuple[str, ...]
    axis: str
    extent: Length
    first: int
    last: int
    tiled: tuple[str, ...]
    divisible: bool

    @property
    def axes(self) -> tuple[str, ...]:
        return (*self.batch, self.axis)


def shrunk(buffer: Buffer, lengths: Sequence[Length]) -> Buffer:
    """A buffer with only a tile's length along the dimensions of its loop's axes."""
    short = dict(zip(buffer.tile, lengths, strict=False))
    return replace(buffer, dimensions=tuple(short.get(d, length) for d, length in enumerate(buffer.dimensions)))


LOOP_PREFIXES = ("first ", "tile ")  # of the names of symbols that are known within a tile loop only


def first_index(axis: str) -> Length:
    """The index of an axis at which the tile begins."""
    return sympy.Symbol(f"first {axis}", integer=True, nonnegative=True)


def tile_length(axis: str) -> Length:
    """How long the tile is along the row axis."""
    return sympy.Symbol(f"tile {axis}", integer=True, nonnegative=True)


@dataclass(frozen=True)
class Schedule:
    """compute: f32 or f64, what reals are computed in. The nodes that steps refer to, axis lengths, buffers in order (inputs,
    outputs, temporaries), steps in order, and the loops around some of them, in order.

    `origins`: where the indices of axes begin, if not at 0.
    """

    name: str
    compute: str
    nodes: tuple[Node, ...]
    lengths: Mapping[str, Length]
    buffers: Mapping[str, Buffer]
    steps: tuple[Step, ...]
    tiles: tuple[TileLoop, ...]
    notes: tuple[str, ...] = ()
    origins: Mapping[str, Length] = field(default_factory=dict)

    def tile_of(self, position: int) -> TileLoop | None:
        """The loop that a step is in."""
        return next((tile for tile in self.tiles if tile.first <= position < tile.last), None)

    def within(self, tile: TileLoop) -> Schedule:
        """The schedule as the steps in a loop see it: axes as long as the tile, and buffers that hold one."""
        lengths = {**self.lengths, **dict.fromkeys(tile.batch, sympy.Integer(1)), tile.axis: tile_length(tile.axis)}
        origins = {axis: first_index(axis) for axis in tile.axes}
        buffers = {name: shrunk(buffer, [lengths[axis] for axis in tile.axes]) for name, buffer in self.buffers.items()}
        return replace(self, lengths=lengths, buffers=buffers, origins=origins)

    def moved(self, place: Place) -> Place:
        """A place with indices that count from the origins; a buffer that holds a tile begins there itself."""
        if not self.origins or self.buffers[place.buffer].tile:
            return place
        shifts = {axis: Affine(((axis, sympy.Integer(1)),), origin) for axis, origin in self.origins.items()}
        return replace(place, indices=tuple(i.substitute(shifts) if isinstance(i, Affine) else i for i in place.indices))
