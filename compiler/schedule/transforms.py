"""Transforms as steps: where their operands and results are stored.

In: transform nodes of a graph, and the stores of its outputs. Out: a place for each result, and the step that computes it.
Holds: an operand's parts and a result's parts are dense arrays of one order of axes, but for the axis transformed; a complex value
is two arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

from .grouping import Grouping
from .nest import leaf_place
from .products import stored_order
from .scatters import lies_densely
from .steps import Place, Store, TransformStep
from .storage import Storage


class TransformSteps:
    """Places and steps of transforms; `storage.leaves` learns where results are."""

    def __init__(self, storage: Storage, grouping: Grouping) -> None:
        self.builder = storage.builder
        self.storage = storage
        self.leaves = storage.leaves
        self.grouping = grouping
        self.orders: dict[int, tuple[str, ...]] = {}  # of a result's axes
        self.results: dict[int, tuple[Place, ...]] = {}

    def place(self, transforms: Sequence[int], stores: Sequence[Store]) -> set[int]:
        """Gives every result a place: an output that it is as it stands, else a temporary. Gives the values of the former."""
        direct: set[int] = set()
        for number in transforms:
            node = self.builder.nodes[number]
            values = self._results(number)
            order = self.orders[number] = self._order(number, values, stores)
            places = []
            for value, part in zip(values, ("re", "im") if len(values) > 1 else ("",), strict=True):
                place = next((store.place for store in stores if store.node == value and self._holds(store.place, order)), None)
                if place is not None:
                    direct.add(value)
                stem = "_".join(word for word in (node.name or str(node.attribute("function")), part) if word)
                places.append(place or self.storage.temporary(stem, order))
            self.results[number] = tuple(places)
            self.leaves.update(zip(values, places, strict=True))
        return direct

    def _holds(self, place: Place, order: tuple[str, ...]) -> bool:
        """Whether a place is a dense array of this order of axes."""
        return lies_densely(place, order, self.storage.buffers[place.buffer], self.builder.lengths)

    def _results(self, number: int) -> tuple[int, ...]:
        """The real values that a transform gives: itself, or its parts."""
        if self.builder.nodes[number].kind != "complex":
            return (number,)
        return tuple(self.builder.add(part, (number,)) for part in ("re", "im"))

    def _order(self, number: int, values: Sequence[int], stores: Sequence[Store]) -> tuple[str, ...]:
        """The order of a result's axes: that of an output it goes to, else that its operand is stored in."""
        node = self.builder.nodes[number]
        source, target = node.attribute("source"), node.attribute("target")
        outputs = [store.place for store in stores if store.node in values]
        orders = [(place, tuple(axis for index in place.affine for axis in index.axes)) for place in outputs]
        fitting = [(place, order) for place, order in orders if sorted(order) == sorted(node.axes)]
        for _, order in sorted(fitting, key=lambda each: not self._holds(*each)):
            return order
        for part in self._parts(number):
            stored = stored_order(self.builder, part) if part is not None else None
            if stored is not None and set(stored) == {source if axis == target else axis for axis in node.axes}:
                return tuple(target if axis == source else axis for axis in stored)
        return node.axes

    def _parts(self, number: int) -> tuple[int, int | None]:
        """The parts of a transform's operand; of a real one there is one."""
        operand = self.builder.nodes[number].operands[0]
        node = self.builder.nodes[operand]
        if node.kind != "complex":
            return operand, None
        assert node.op == "complex"
        return node.operands[0], node.operands[1]

    def prepare(self, number: int) -> tuple[list[TransformStep], list[Store]]:
        """The step of a transform, and the stores of what it reads that is not stored yet."""
        node = self.builder.nodes[number]
        lengths = self.builder.lengths
        source, target = node.attribute("source"), node.attribute("target")
        order = self.orders[number]
        position = order.index(target)
        outer, inner = order[:position], order[position + 1 :]
        stores: list[Store] = []
        operands = tuple(
            None if part is None else self._operand(part, (*outer, source, *inner), node.name or source.lower(), stores)
            for part in self._parts(number)
        )
        step = TransformStep(
            name=node.name or str(node.attribute("function")),
            node=number,
            function=node.attribute("function"),
            outer=outer,
            inner=inner,
            source=source,
            target=target,
            lengths=(lengths[source], lengths[target], node.attribute("n")),
            operands=operands,
            results=self.results[number],
        )
        return [step], stores

    def _operand(self, value: int, axes: tuple[str, ...], stem: str, stores: list[Store]) -> Place:
        """Where a part of an operand is read: in place, where it is stored so, else in a temporary."""
        readable = value in self.leaves or stored_order(self.builder, value) is not None
        place = leaf_place(self.builder.nodes, self.leaves, value) if readable else None
        if place is not None and self._holds(place, axes):
            return place
        place = self.storage.temporary(self.builder.nodes[value].name or f"{stem}_operand", axes)
        stores.extend(self.storage.unstacked(value, place, axes))
        if value not in self.leaves and set(axes) == set(self.builder.nodes[value].axes):
            self.grouping.promise(value, place)
        return place
