"""What a scheduled layer is made of.

In: nothing; frozen records only. Out: `Schedule`, a list of steps over buffers, made by `partition.py` and read by the code
generator.

What holds: every buffer is written by the steps before the first step that reads it; a step's loops run over the union of its
stores' axes and its reductions' axes; within a kernel step no store is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

from ..ir.graph import Affine, Node
from ..lang.checked import Length
from ..passes.windows import WindowRoles


@dataclass(frozen=True)
class Buffer:
    """A stored tensor: dimensions of the given lengths, laid out as in `InputSignature`.

    role: input, output, temporary. dtype: a storage dtype, or "compute" for the kernel's own precision. With `parts` it is a
    complex tensor seen as real numbers: its last dimension, of length 2, has real and imaginary part, side by side; `dtype` is
    that of the parts, `layout` that of the complex elements.
    """

    name: str
    role: str
    dtype: str
    dimensions: tuple[Length, ...]
    layout: str = "contiguous"
    parts: bool = False

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

    `boundary`: what lies beyond the ends of its dimensions (zero, wrap, clamp, reflect), for reads whose indices may leave them.
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
    """Write the value `node` to `place`, at every point of `axes` (the value's own and those it is broadcast along).

    With `accumulate` the value is added to what is there.
    """

    node: int
    place: Place
    axes: tuple[str, ...]
    accumulate: bool = False


@dataclass(frozen=True)
class KernelStep:
    """One loop nest: stores, and the places of values computed by earlier steps."""

    name: str
    stores: tuple[Store, ...]
    leaves: Mapping[int, Place]


@dataclass(frozen=True)
class ProductStep:
    """result[batch, m, n] (+)= sum over k of left[batch, m, k] * right[batch, n, k], each read and stored at any affine indices.

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
    accumulate: bool = False


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


Step = Union[KernelStep, ScanStep, ProductStep, WindowStep, CheckStep, ScatterStep]


@dataclass(frozen=True)
class TileLoop:
    """Steps first..last-1 run once a tile of `axis`, `extent` long; buffers in `tiled` hold one tile of it."""

    axis: str
    extent: Length
    first: int
    last: int
    tiled: tuple[str, ...]


@dataclass(frozen=True)
class Schedule:
    """compute: f32 or f64, what reals are computed in. The nodes that steps refer to, axis lengths, buffers in order (inputs,
    outputs, temporaries) and steps in order."""

    name: str
    compute: str
    nodes: tuple[Node, ...]
    lengths: Mapping[str, Length]
    buffers: Mapping[str, Buffer]
    steps: tuple[Step, ...]
    tile: TileLoop | None
    notes: tuple[str, ...] = ()
