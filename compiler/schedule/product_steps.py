"""Contractions as steps: matrix products, and sums over windows.

In: the contractions of a graph, and the stores of its outputs. Out: a place for each result, and the step that computes it.
Holds: an operand is read where it is stored, if its elements lie next to each other along an axis of the matrix or it is a window.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.scalar_ops import SCALAR_OPS
from ..passes.contractions import worth_a_product
from ..passes.windows import WindowRoles, window_roles
from .grouping import Grouping
from .nest import leaf_place
from .products import ProductAxes, adjacent_axes, is_window, product_axes, stored_order
from .steps import Place, ProductStep, Step, Store, WindowStep
from .storage import Storage


class ProductSteps:
    """Places and steps of contractions; `storage.leaves` learns where results are."""

    def __init__(self, storage: Storage, grouping: Grouping) -> None:
        self.builder = storage.builder
        self.storage = storage
        self.grouping = grouping
        self.axes: dict[int, ProductAxes] = {}
        self.windows: dict[int, WindowRoles] = {}

    def place(self, products: Sequence[int], stores: Sequence[Store]) -> set[int]:
        """Gives every product's result a place: an output it is stored to as it is, else a temporary. Gives the former."""
        direct: set[int] = set()
        wanted = self._laid_out()
        for number in products:
            node = self.builder.nodes[number]
            orders = [stored_order(self.builder, operand) for operand in node.operands]
            axes = product_axes(self.builder, number, orders)
            self.axes[number] = axes
            roles = self._window_roles(number)
            if roles is not None:
                self.windows[number] = roles
            for store in stores:
                if store.node == number and self._takes_product(store, axes):
                    self.storage.leaves[number] = store.place
                    direct.add(number)
                    break
            else:
                first = axes.m + axes.n if self._earlier(axes.m, axes.n) else axes.n + axes.m
                order = wanted.get(number, axes.batch + first)
                self.storage.leaves[number] = self.storage.temporary(node.name or "product", order)
        return direct

    def _laid_out(self) -> dict[int, tuple[str, ...]]:
        """The order of a product's axes where a view takes it, element by element, into that order."""
        nodes = self.builder.nodes
        found: dict[int, tuple[str, ...]] = {}
        for view in nodes:
            if view.op != "view":
                continue
            listed = [axis for entry in view.attribute("entries") for axis in entry.axes]
            pending, seen = [view.operands[0]], set()
            while pending:
                number = pending.pop()
                node = nodes[number]
                if number in seen:
                    continue
                seen.add(number)
                if node.op == "contract" and set(node.axes) <= set(listed):
                    found.setdefault(number, tuple(axis for axis in listed if axis in node.axes))
                elif node.op == "stack" or node.op in SCALAR_OPS:
                    pending.extend(node.operands)
        return found

    def _takes_product(self, store: Store, axes: ProductAxes) -> bool:
        """Whether a product may be stored where the store puts it: not broadcast, in full precision, rows and columns in order."""
        order = [axis for index in store.place.affine for axis in index.axes]
        if set(order) != {*axes.batch, *axes.m, *axes.n} or self.storage.buffers[store.place.buffer].dtype != "compute":
            return False
        return store.node in self.windows or all(
            tuple(axis for axis in order if axis in group) == group for group in (axes.m, axes.n)
        )

    def prepare(self, number: int) -> tuple[list[Step], list[Store]]:
        """The step of a contraction, and the stores of the operands that have to be computed for it."""
        if number in self.windows:
            return self._window(number, self.windows[number])
        return self._product(number)

    def _earlier(self, first: tuple[str, ...], second: tuple[str, ...]) -> bool:
        order = list(self.builder.axes)
        return min((order.index(axis) for axis in first), default=-1) < min((order.index(axis) for axis in second), default=-1)

    def _window_roles(self, number: int) -> WindowRoles | None:
        """The roles of a contraction's axes, if it is computed as a sum over windows."""
        node = self.builder.nodes[number]
        data, weight, over = *node.operands, node.attribute("over")
        read = self.builder.nodes[data]
        if worth_a_product(self.builder, data, weight, over) or read.op != "read" or read.attribute("boundary") is not None:
            return None
        return window_roles(self.builder, data, weight, over)

    def _window(self, number: int, roles: WindowRoles) -> tuple[list[Step], list[Store]]:
        """The step of a sum over windows, and the stores of its weights, if they have to be computed or laid out for it."""
        node = self.builder.nodes[number]
        data, weight, over = *node.operands, node.attribute("over")
        stores: list[Store] = []
        place = leaf_place(self.builder.nodes, self.storage.leaves, weight)
        readable = weight in self.storage.leaves or stored_order(self.builder, weight) is not None
        if (
            place is None
            or not readable
            or self.storage.buffers[place.buffer].dtype != "compute"
            or not (roles.spreads or roles.column in adjacent_axes(place, self.storage.buffers))
        ):
            axes = [axis for axis in self.builder.nodes[weight].axes if axis != roles.column]
            place = self.storage.temporary("weight", (*axes, *([] if roles.spreads else [roles.column])))
            stores.extend(self.storage.unstacked(weight, place, self.builder.nodes[weight].axes))
        parts = (roles.column, roles.row, roles.window, roles.tap)
        outer = tuple(axis for axis in node.axes if axis not in parts)
        others = tuple(axis for axis in over if axis not in parts)
        source = leaf_place(self.builder.nodes, self.storage.leaves, data)
        assert source is not None
        name = node.name or "windows"
        return [WindowStep(name, number, roles, outer, others, source, place, self.storage.leaves[number])], stores

    def _product(self, number: int) -> tuple[list[Step], list[Store]]:
        """The product step of a contraction, and the stores of the operands that have to be computed for it."""
        node = self.builder.nodes[number]
        axes = self.axes[number]
        stores: list[Store] = []
        left = self._operand(node.operands[0], axes.batch, axes.m, axes.k, stores)
        right = self._operand(node.operands[1], axes.batch, axes.n, axes.k, stores)
        name = node.name or "product"
        step = ProductStep(name, number, axes.batch, axes.m, axes.n, axes.k, left, right, self.storage.leaves[number])
        return [step], stores

    def _operand(
        self, number: int, batch: tuple[str, ...], rows: tuple[str, ...], columns: tuple[str, ...], stores: list[Store]
    ) -> Place:
        """Where an operand is: read in place, if it is stored already, or will be for other steps; else in a temporary."""
        node = self.builder.nodes[number]
        known = self.grouping.readable()
        place = leaf_place(self.builder.nodes, known, number)
        readable = number in known or stored_order(self.builder, number) is not None
        if readable and place is not None:
            neighbours = adjacent_axes(place, self.storage.buffers)
            if is_window(self.builder, number) or any(group and group[-1] in neighbours for group in (rows, columns)):
                return place
        wanted = batch + ((rows + columns) if self._earlier(rows, columns) else (columns + rows))
        present = tuple(axis for axis in wanted if axis in node.axes)
        place = self.storage.temporary(node.name or "operand", present)
        stores.extend(self.storage.unstacked(number, place, present))
        if number not in self.storage.leaves:
            self.grouping.promise(number, place)
        return place
