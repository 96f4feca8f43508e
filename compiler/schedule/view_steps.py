"""Views: values laid out as stored dimensions, so that later phases can read them at any index.

In: the views of a graph, and the stores of its outputs. Out: a place for each, and the stores that fill it.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from ..ir.graph import Affine, entry_length, whole_index
from .grouping import Grouping
from .steps import Place, Store
from .storage import STORED_KINDS, Storage


class ViewSteps:
    """Places of views; `storage.leaves` learns them."""

    def __init__(self, storage: Storage, grouping: Grouping) -> None:
        self.builder = storage.builder
        self.storage = storage
        self.grouping = grouping

    def place(self, stores: Sequence[Store], cone: Sequence[int]) -> set[int]:
        """Gives values that an output reads whole, laid out as other dimensions, their place there. Gives the outputs' nodes."""
        direct: set[int] = set()
        users: dict[int, list[int]] = {}
        for number in cone:
            for operand in self.builder.nodes[number].operands:
                users.setdefault(operand, []).append(number)
        for store in stores:
            node = self.builder.nodes[store.node]
            if node.op != "read" or node.attribute("boundary") is not None or node.attribute("indices") != store.place.indices:
                continue
            view = node.operands[0]
            alone = users[view] == [store.node] and store.node not in users and [s.node for s in stores].count(store.node) == 1
            kept = alone or self.storage.buffers[store.place.buffer].dtype == "compute"
            if self.builder.nodes[view].op != "view":
                continue
            whole = self._whole(view, store)
            if (kept and whole) or (alone and self._blocks(view, store)):
                entries = self.builder.nodes[view].attribute("entries")
                indices = tuple(whole_index(entry, self.builder.lengths) for entry in entries)
                # what of the last blocks lies beyond the ends is not stored
                self.storage.leaves[view] = Place(store.place.buffer, indices, None if whole else "zero")
                self.storage.leaves[store.node] = store.place
                direct.add(store.node)
        return direct

    def _blocks(self, view: int, store: Store) -> bool:
        """Whether a view that an output is the beginning of has the output's dimensions, but for longer ones, in blocks."""
        entries = self.builder.nodes[view].attribute("entries")
        there = self.storage.buffers[store.place.buffer].dimensions
        return len(entries) == len(there) and any(len(entry.axes) > 1 for entry in entries)

    def _whole(self, view: int, store: Store) -> bool:
        """Whether a view has as many elements in each dimension as where the store puts them: what is read may be its beginning."""
        lengths = self.builder.lengths
        own = [entry_length(entry, lengths) for entry in self.builder.nodes[view].attribute("entries")]
        there = self.storage.buffers[store.place.buffer].dimensions
        return len(own) == len(there) and all(sympy.expand(x - y) == 0 for x, y in zip(own, there, strict=True))

    def prepare(self, number: int) -> list[Store]:
        """The store that lays a value out as the dimensions of its view, so that later phases can read it at any index."""
        node = self.builder.nodes[number]
        value, entries = node.operands[0], node.attribute("entries")
        lengths = self.builder.lengths
        indices = tuple(whole_index(entry, lengths) for entry in entries)
        known, place = self.storage.leaves.get(value), self.storage.leaves.get(number)
        if place is None and known is not None and self._laid_out(known, indices):
            self.storage.leaves[number] = known
            return []
        if place is None:
            kind = STORED_KINDS[node.kind]
            stem = self.builder.nodes[value].name or "value"
            place = self.storage.buffer(stem, tuple(entry_length(entry, lengths) for entry in entries), indices, kind)
            self.storage.leaves[number] = place
        axes = self.builder.sorted_axes(axis for entry in entries for axis in entry.axes)
        full = self.storage.buffers[place.buffer].role == "temporary"  # an output may be stored with fewer bits
        if full and value not in self.storage.leaves and set(axes) == set(self.builder.nodes[value].axes):
            self.grouping.promise(value, place)
        return self.storage.unstacked(value, place, axes)

    def _laid_out(self, place: Place, indices: tuple[Affine, ...]) -> bool:
        return place.indices == indices and len(self.storage.buffers[place.buffer].dimensions) == len(indices)
