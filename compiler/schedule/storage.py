"""The buffers of a schedule in progress.

In: a builder, and the buffers of a call's tensors. Out: `Storage`: temporaries made as steps ask for them, the places of values
stored so far (`leaves`), and the stores that fill a place.
"""

from __future__ import annotations

from ..ir.graph import Affine, Builder
from ..lang.checked import Length
from ..passes.substitute import constant_index, push_slice, renamed_axis, stacked_axes
from .steps import Buffer, Place, Store

STORED_KINDS = {"real": "compute", "int": "i64", "bool": "bool"}


class Storage:
    """`leaves`: value -> where it can be read, growing with every value that later steps may read."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.buffers: dict[str, Buffer] = {}
        self.leaves: dict[int, Place] = {}

    def unstacked(self, number: int, place: Place, axes: tuple[str, ...]) -> list[Store]:
        """One store, or, where the value is written out along an axis, one a position."""
        stacked = [axis for axis in stacked_axes(self.builder, number) if axis in axes]
        if not stacked:
            return [Store(number, place, self.builder.sorted_axes(axes))]
        axis = stacked[0]
        rest = tuple(other for other in axes if other != axis)
        stores = []
        for position in range(int(self.builder.lengths[axis])):
            value = push_slice(self.builder, number, axis, position, through_sums=True)
            fixed = {axis: constant_index(position)}
            indices = tuple(index.substitute(fixed) for index in place.affine)
            stores.extend(self.unstacked(value, Place(place.buffer, indices, place.boundary), rest))
        return stores

    def temporary(self, stem: str, axes: tuple[str, ...], dtype: str = "compute") -> Place:
        """A new buffer over the axes, and the place of a value in it."""
        lengths = self.builder.lengths
        return self.buffer(stem, tuple(lengths[axis] for axis in axes), tuple(renamed_axis(axis) for axis in axes), dtype)

    def buffer(self, stem: str, dimensions: tuple[Length, ...], indices: tuple[Affine, ...], dtype: str) -> Place:
        """A new temporary of these dimensions, and a place in it."""
        name, count = f"{stem}", 2
        while name in self.buffers:
            name, count = f"{stem}_{count}", count + 1
        self.buffers[name] = Buffer(name, "temporary", dtype, dimensions)
        return Place(name, indices)
