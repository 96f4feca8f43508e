"""From a graph to steps: which values are stored, and which loop nests and matrix products compute them.

In: a math-level graph and a signature (storage dtypes and layouts). Out: a `Schedule`.

How: some values are computed by a step of their own from operands that are stored (contractions), or have to be stored so that they
can be read at any index (views). These divide the graph into phases: a value's phase is the number of such steps below it. Within
a phase, results with the same iteration domain share a loop nest (`grouping.py`). Everything that is not stored is computed again
where it is needed, in registers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import sympy

from ..ir.graph import Affine, Builder, Graph, Output, entry_length, whole_index
from ..ir.scans import FreeValues
from ..ir.tensors import in_parts
from ..lang.checked import Length
from ..passes.contractions import worth_a_product
from ..passes.simplify import simplify
from ..passes.substitute import constant_index, copy_into, push_slice, renamed_axis
from ..passes.windows import WindowRoles, window_roles
from .checks import Check, checks_of
from .grouping import Grouping
from .nest import leaf_place
from .padding import padded_operands
from .products import ProductAxes, adjacent_axes, is_window, product_axes, stacked_axes, stored_order
from .program import REAL_COUNTERPARTS, Signature
from .scan_steps import STORED_KINDS, ScanSteps
from .scatters import ScatterPlan, lies_densely, plan_scatter
from .steps import Buffer, CheckStep, Place, ProductStep, ScanStep, ScatterStep, Schedule, Step, Store, WindowStep
from .tiles import tile_loops
from .transforms import TransformSteps

_FLOATING = ("compute", "f64", "f32", "f16", "bf16")


class NotLowered(Exception):
    """An op that no step can compute yet; the message names it."""


STORED_OPS = ("contract", "view", "scatter", "scan", "transform")  # a node of these ends a phase: what uses it comes in a later one


# these need stored operands, or look at other points: within a step of a scan there are none
STEP_OPS_REFUSED = ("contract", "view", "stack", "slice", "scatter", "transform")


def schedule(graph: Graph, signature: Signature) -> Schedule:
    """The steps that compute the graph for tensors of this signature. Raises NotLowered."""
    return _Partition(graph, signature).run()


class _Partition:
    def __init__(self, graph: Graph, signature: Signature) -> None:
        self.graph = graph
        self.compute = signature.compute
        self.builder = Builder(graph.name, graph.axes, graph.inputs, simplify)
        copied = frozenset(
            given.name
            for given in signature.inputs
            if self._stored(given.dtype) != "compute" or given.layout not in ("contiguous", "rows")
        )
        numbers = copy_into(self.builder, graph, padded_operands(copied))
        self.outputs = tuple(Output(out.spec, numbers[out.node]) for out in graph.outputs)
        lengths = self.builder.lengths
        self.buffers: dict[str, Buffer] = {}
        for spec in graph.inputs:
            given = signature.input(spec.name)
            dimensions = tuple(entry_length(entry, lengths) for entry in spec.entries)
            dtype = self._stored(given.dtype)
            self.buffers[spec.name] = Buffer(spec.name, "input", dtype, dimensions, given.layout, in_parts(spec))
        for out in self.outputs:
            dimensions = tuple(entry_length(entry, lengths) for entry in out.spec.entries)
            dtype = self._stored(self._output_dtype(out, signature))
            self.buffers[out.spec.name] = Buffer(out.spec.name, "output", dtype, dimensions, parts=in_parts(out.spec))
        self.leaves: dict[int, Place] = {}
        self.steps: list[Step] = []
        self.grouping = Grouping(self.builder, self.leaves, self._temporary)
        self.free = FreeValues(self.builder.nodes)
        self.scans = ScanSteps(self.builder, self.buffers, self.grouping, self._temporary, self._unstacked)
        self.transforms = TransformSteps(self.builder, self.buffers, self.grouping, self._temporary, self._unstacked)

    def _stored(self, dtype: str) -> str:
        """The dtype of a buffer's elements: of a complex tensor, its parts."""
        dtype = REAL_COUNTERPARTS.get(dtype, dtype)
        return "compute" if dtype == self.compute else dtype

    def _output_dtype(self, out: Output, signature: Signature) -> str:
        """An out has the call's dtype; a gradient its tensor's; a saved value the compute dtype."""
        if out.spec.role == "gradient":
            source = out.spec.name.removeprefix("grad_")
            if source in self.buffers:
                return self.buffers[source].dtype
        if out.spec.dtype == "float":
            return signature.dtype
        if out.spec.dtype == "complex":
            return "c128" if signature.dtype == "f64" else "c64"
        return self.compute if out.spec.dtype == "compute" else out.spec.dtype

    # -------------------------------------------------------------------------------------------- the whole

    def run(self) -> Schedule:
        stores = [store for out in self.outputs for store in self._output_stores(out)]
        cone = self._cone([store.node for store in stores])
        phases = self._phases(cone)
        stored = [number for number in cone if self._is_stored(number)]
        direct = self._place_products([n for n in stored if self.builder.nodes[n].op == "contract"], stores)
        direct |= self._place_views(stores, cone)
        direct |= self._place_scatters([n for n in stored if self.builder.nodes[n].op == "scatter"], stores)
        direct |= self.transforms.place([n for n in stored if self.builder.nodes[n].op == "transform"], stores)
        stores = [store for store in stores if store.node not in direct or self.leaves[store.node].buffer != store.place.buffer]
        stores = self.scans.place([n for n in stored if self.builder.nodes[n].op == "scan"], cone, stores)
        checks = checks_of(self.builder, cone)
        last = max([phases[store.node] for store in stores] + [0] + [phases[number] for number in stored])
        for phase in range(last + 1):
            for check in checks:
                if (phases[check.node] if check.node is not None else 0) == phase:
                    self._check(check)
            wanted = [store for store in stores if phases.get(store.node, 0) == phase]
            prepared = [self._prepare(number) for number in stored if phases[number] == phase + 1]
            for _, operand_stores in prepared:
                wanted.extend(operand_stores)
            wanted.extend(self._carried_reductions(cone, phases, phase))
            unique = tuple(dict.fromkeys(wanted))
            self.steps.extend(self.grouping.kernels(unique))
            for step in (step for steps, _ in prepared for step in steps):
                # what the kernels have just stored is there for a scan to read
                self.steps.append(replace(step, leaves=dict(self.leaves)) if isinstance(step, ScanStep) else step)
        steps, buffers, tiles = tile_loops(tuple(self.steps), self.buffers, self.builder)
        return Schedule(
            self.graph.name,
            self.compute,
            tuple(self.builder.nodes),
            self.builder.lengths,
            buffers,
            steps,
            tiles,
            tuple(self.grouping.notes),
        )

    def _cone(self, roots: Iterable[int]) -> list[int]:
        seen: set[int] = set()
        pending = list(roots)
        while pending:
            number = pending.pop()
            if number not in seen:
                seen.add(number)
                pending.extend(self.builder.nodes[number].operands)
        for number in sorted(seen):
            node = self.builder.nodes[number]
            of_array = node.op == "slice" and self.builder.nodes[node.operands[0]].op in ("scan", "reduce")
            if self.free.of(number) and node.op in STEP_OPS_REFUSED and not of_array:
                raise NotLowered(f"a {node.op} of a running value within its scan")
        return sorted(seen)

    def _is_stored(self, number: int) -> bool:
        """Whether a value is computed by a step of its own."""
        return self.builder.nodes[number].op in STORED_OPS and not self.free.of(number)

    def _check(self, check: Check) -> None:
        """The steps that find an index's extremes and compare them with the dimension, before what reads there."""
        low = high = None
        if check.node is not None:
            if self.free.of(check.node):
                raise NotLowered("a read at an index that a running value gives, but for one through zero, wrap, clamp or reflect")
            axes = self.builder.nodes[check.node].axes
            low, high = self._temporary("lowest", (), "i64"), self._temporary("highest", (), "i64")
            extremes = [(self.builder.reduce("min", check.node, axes), low), (self.builder.reduce("max", check.node, axes), high)]
            self.steps.extend(self.grouping.kernels([Store(number, place, ()) for number, place in extremes]))
        name = f"check_{1 + sum(isinstance(step, CheckStep) for step in self.steps)}"
        self.steps.append(CheckStep(name, low, high, check.length, check.points, check.text))

    # -------------------------------------------------------------------------------------------- stores

    def _output_stores(self, out: Output) -> list[Store]:
        lengths = self.builder.lengths
        indices = tuple(whole_index(entry, lengths) for entry in out.spec.entries)
        axes = tuple(axis for entry in out.spec.entries for axis in entry.axes)
        return self._unstacked(out.node, Place(out.spec.name, indices), axes)

    def _unstacked(self, number: int, place: Place, axes: tuple[str, ...]) -> list[Store]:
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
            stores.extend(self._unstacked(value, Place(place.buffer, indices), rest))
        return stores

    def _temporary(self, stem: str, axes: tuple[str, ...], dtype: str = "compute") -> Place:
        """A new buffer over the axes, and the place of a value in it."""
        lengths = self.builder.lengths
        return self._buffer(stem, tuple(lengths[axis] for axis in axes), tuple(renamed_axis(axis) for axis in axes), dtype)

    def _buffer(self, stem: str, dimensions: tuple[Length, ...], indices: tuple[Affine, ...], dtype: str) -> Place:
        """A new temporary of these dimensions, and a place in it."""
        name, count = f"{stem}", 2
        while name in self.buffers:
            name, count = f"{stem}_{count}", count + 1
        self.buffers[name] = Buffer(name, "temporary", dtype, dimensions)
        return Place(name, indices)

    # -------------------------------------------------------------------------------------------- products

    def _phases(self, cone: list[int]) -> dict[int, int]:
        phases: dict[int, int] = {}
        for number in cone:
            node = self.builder.nodes[number]
            phase = max((phases[operand] for operand in node.operands), default=0)
            phases[number] = phase + 1 if self._is_stored(number) else phase
        return phases

    def _carried_reductions(self, cone: list[int], phases: dict[int, int], phase: int) -> list[Store]:
        """Reductions of this phase that a later phase needs: stored, not computed again."""
        stores = []
        users: dict[int, int] = {}
        for number in cone:
            for operand in self.builder.nodes[number].operands:
                users[operand] = max(users.get(operand, 0), phases[number])
        for number in cone:
            node = self.builder.nodes[number]
            if node.op != "reduce" or phases[number] != phase or self.free.of(number) or self.grouping.is_promised(number):
                continue
            if self._needed_later(cone, phases, number, phase):
                place = self._temporary(node.name or "sum", node.axes)
                stores.append(Store(number, place, node.axes))
                self.grouping.promise(number, place)
        return stores

    def _needed_later(self, cone: list[int], phases: dict[int, int], reduction: int, phase: int) -> bool:
        reached = {reduction}
        for number in cone:
            node = self.builder.nodes[number]
            if number > reduction and not self._is_stored(number) and any(operand in reached for operand in node.operands):
                if phases[number] > phase:
                    return True
                reached.add(number)
        return False

    def _place_products(self, products: list[int], stores: list[Store]) -> set[int]:
        """Gives every product's result a place: an output it is stored to as it is, else a temporary. Gives the former."""
        self.product_axes: dict[int, ProductAxes] = {}
        self.windows: dict[int, WindowRoles] = {}
        direct: set[int] = set()
        for number in products:
            node = self.builder.nodes[number]
            orders = [stored_order(self.builder, operand) for operand in node.operands]
            axes = product_axes(self.builder, number, orders)
            self.product_axes[number] = axes
            roles = self._window_roles(number)
            if roles is not None:
                self.windows[number] = roles
            for store in stores:
                if store.node == number and self._takes_product(store, axes):
                    self.leaves[number] = store.place
                    direct.add(number)
                    break
            else:
                first = axes.m + axes.n if self._earlier(axes.m, axes.n) else axes.n + axes.m
                self.leaves[number] = self._temporary(node.name or "product", axes.batch + first)
        return direct

    def _takes_product(self, store: Store, axes: ProductAxes) -> bool:
        """Whether a product may be stored where the store puts it: not broadcast, in full precision, rows and columns in order."""
        order = [axis for index in store.place.affine for axis in index.axes]
        if set(order) != {*axes.batch, *axes.m, *axes.n} or self.buffers[store.place.buffer].dtype != "compute":
            return False
        return store.node in self.windows or all(
            tuple(axis for axis in order if axis in group) == group for group in (axes.m, axes.n)
        )

    def _place_views(self, stores: list[Store], cone: list[int]) -> set[int]:
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
            kept = alone or self.buffers[store.place.buffer].dtype == "compute"
            if self.builder.nodes[view].op == "view" and kept and self._whole(view, store):
                entries = self.builder.nodes[view].attribute("entries")
                self.leaves[view] = Place(store.place.buffer, tuple(whole_index(entry, self.builder.lengths) for entry in entries))
                self.leaves[store.node] = store.place
                direct.add(store.node)
        return direct

    def _whole(self, view: int, store: Store) -> bool:
        """Whether a view has as many elements in each dimension as where the store puts them: what is read may be its beginning."""
        lengths = self.builder.lengths
        own = [entry_length(entry, lengths) for entry in self.builder.nodes[view].attribute("entries")]
        there = self.buffers[store.place.buffer].dimensions
        return len(own) == len(there) and all(sympy.expand(x - y) == 0 for x, y in zip(own, there, strict=True))

    def _place_scatters(self, scatters: list[int], stores: list[Store]) -> set[int]:
        """Gives every scatter's result a place: an output that it is as it stands, else a temporary. Gives the former."""
        self.scatters: dict[int, ScatterPlan] = {}
        direct: set[int] = set()
        lengths = self.builder.lengths
        for number in scatters:
            plan = self.scatters[number] = plan_scatter(self.builder, number)
            indices = tuple(whole_index(entry, lengths) for entry in plan.entries)
            for store in stores:
                buffer = self.buffers[store.place.buffer]
                if store.node == number and store.place.indices == indices and buffer.dtype in _FLOATING:
                    self.leaves[number] = store.place
                    direct.add(number)
                    break
            else:
                dimensions = tuple(entry_length(entry, lengths) for entry in plan.entries)
                self.leaves[number] = self._buffer(self.builder.nodes[number].name or "scattered", dimensions, indices, "compute")
        return direct

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
        place = leaf_place(self.builder.nodes, self.leaves, weight)
        readable = weight in self.leaves or stored_order(self.builder, weight) is not None
        if (
            place is None
            or not readable
            or self.buffers[place.buffer].dtype != "compute"
            or not (roles.spreads or roles.column in adjacent_axes(place, self.buffers))
        ):
            axes = [axis for axis in self.builder.nodes[weight].axes if axis != roles.column]
            place = self._temporary("weight", (*axes, *([] if roles.spreads else [roles.column])))
            stores.extend(self._unstacked(weight, place, self.builder.nodes[weight].axes))
        parts = (roles.column, roles.row, roles.window, roles.tap)
        outer = tuple(axis for axis in node.axes if axis not in parts)
        others = tuple(axis for axis in over if axis not in parts)
        source = leaf_place(self.builder.nodes, self.leaves, data)
        assert source is not None
        name = node.name or "windows"
        return [WindowStep(name, number, roles, outer, others, source, place, self.leaves[number])], stores

    def _prepare(self, number: int) -> tuple[Sequence[Step], list[Store]]:
        """The steps that compute a value of `STORED_OPS`, and the stores of what they need."""
        if self.builder.nodes[number].op == "scan":
            return self.scans.prepare(number)
        if self.builder.nodes[number].op == "view":
            return [], self._view(number)
        if self.builder.nodes[number].op == "scatter":
            return self._scatter(number)
        if self.builder.nodes[number].op == "transform":
            return self.transforms.prepare(number)
        if number in self.windows:
            return self._window(number, self.windows[number])
        return self._product(number)

    def _view(self, number: int) -> list[Store]:
        """The store that lays a value out as the dimensions of its view, so that later phases can read it at any index."""
        node = self.builder.nodes[number]
        value, entries = node.operands[0], node.attribute("entries")
        lengths = self.builder.lengths
        indices = tuple(whole_index(entry, lengths) for entry in entries)
        known, place = self.leaves.get(value), self.leaves.get(number)
        if place is None and known is not None and self._laid_out(known, indices):
            self.leaves[number] = known
            return []
        if place is None:
            kind = STORED_KINDS[node.kind]
            stem = self.builder.nodes[value].name or "value"
            place = self._buffer(stem, tuple(entry_length(entry, lengths) for entry in entries), indices, kind)
            self.leaves[number] = place
        axes = self.builder.sorted_axes(axis for entry in entries for axis in entry.axes)
        full = self.buffers[place.buffer].role == "temporary"  # an output may be stored with fewer bits
        if full and value not in self.leaves and set(axes) == set(self.builder.nodes[value].axes):
            self.grouping.promise(value, place)
        return self._unstacked(value, place, axes)

    def _laid_out(self, place: Place, indices: tuple[Affine, ...]) -> bool:
        return place.indices == indices and len(self.buffers[place.buffer].dimensions) == len(indices)

    def _scatter(self, number: int) -> tuple[list[Step], list[Store]]:
        """The step of a scatter, and the stores of its keys and, unless they lie so already, its values."""
        plan = self.scatters[number]
        value = self.builder.nodes[number].operands[0]
        lengths = self.builder.lengths
        stores: list[Store] = []
        values = leaf_place(self.builder.nodes, self.leaves, value)
        if values is None or not lies_densely(values, plan.value_axes, self.buffers[values.buffer], lengths):
            values = self._temporary(self.builder.nodes[value].name or "scattering", plan.value_axes)
            stores += self._unstacked(value, values, plan.value_axes)
        keys = self._temporary("keys", plan.key_axes, "i64")
        stores += self._unstacked(plan.key, keys, plan.key_axes)
        groups: Length = sympy.Integer(1)
        for axis in plan.groups:
            groups = groups * lengths[axis]
        start = self._buffer("start", (groups, plan.rows + 1), (), "i64")
        order = self._temporary("order", plan.key_axes, "i64")
        name = self.builder.nodes[number].name or "scatter"
        axes = (plan.outer, plan.groups, plan.points, plan.inner)
        return [ScatterStep(name, number, *axes, plan.rows, keys, values, self.leaves[number], start, order)], stores

    def _product(self, number: int) -> tuple[list[Step], list[Store]]:
        """The product step of a contraction, and the stores of the operands that have to be computed for it."""
        node = self.builder.nodes[number]
        axes = self.product_axes[number]
        stores: list[Store] = []
        left = self._operand(node.operands[0], axes.batch, axes.m, axes.k, stores)
        right = self._operand(node.operands[1], axes.batch, axes.n, axes.k, stores)
        name = node.name or "product"
        step = ProductStep(name, number, axes.batch, axes.m, axes.n, axes.k, left, right, self.leaves[number])
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
            neighbours = adjacent_axes(place, self.buffers)
            if is_window(self.builder, number) or any(group and group[-1] in neighbours for group in (rows, columns)):
                return place
        wanted = batch + ((rows + columns) if self._earlier(rows, columns) else (columns + rows))
        present = tuple(axis for axis in wanted if axis in node.axes)
        place = self._temporary(node.name or "operand", present)
        stores.extend(self._unstacked(number, place, present))
        if number not in self.leaves:
            self.grouping.promise(number, place)
        return place
