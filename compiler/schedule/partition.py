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

from ..ir.graph import Builder, Graph, Output, entry_length, whole_index
from ..ir.scans import FreeValues
from ..ir.tensors import in_parts
from ..ir.walk import with_operands
from ..passes.simplify import simplify
from ..passes.substitute import copy_into
from ..passes.ties import needs_same_bits, sums_below_extrema
from .checks import Check, checks_of
from .grouping import Grouping
from .padding import padded_operands
from .product_steps import ProductSteps
from .program import REAL_COUNTERPARTS, Signature
from .scan_steps import ScanSteps
from .scatter_steps import ScatterSteps
from .steps import Buffer, CheckStep, Place, ScanStep, Schedule, Step, Store
from .storage import Storage
from .tiles import tile_loops
from .transforms import TransformSteps
from .view_steps import ViewSteps


class NotLowered(Exception):
    """An op that no step can compute yet; the message names it."""


STORED_OPS = ("contract", "view", "scatter", "scan", "transform")  # a node of these ends a phase: what uses it comes in a later one


# these need stored operands, or look at other points: within a step of a scan there are none
STEP_OPS_REFUSED = ("contract", "view", "stack", "slice", "scatter", "transform")


def schedule(graph: Graph, signature: Signature, tiled: bool = True) -> Schedule:
    """The steps that compute the graph for tensors of this signature. Raises NotLowered.

    `tiled`: as threads with caches of their own want it. Without, temporaries are whole (there are no tile loops), and the row
    reductions of a nest have the axes of its rows, no inner ones besides: a row has no memory but registers.
    """
    return _Partition(graph, signature, tiled).run()


class _Partition:
    def __init__(self, graph: Graph, signature: Signature, tiled: bool) -> None:
        self.tiled = tiled
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
        self.storage = Storage(self.builder)
        self.buffers, self.leaves = self.storage.buffers, self.storage.leaves
        for spec in graph.inputs:
            given = signature.input(spec.name)
            dimensions = tuple(entry_length(entry, lengths) for entry in spec.entries)
            dtype = self._stored(given.dtype)
            self.buffers[spec.name] = Buffer(spec.name, "input", dtype, dimensions, given.layout, in_parts(spec))
        for out in self.outputs:
            dimensions = tuple(entry_length(entry, lengths) for entry in out.spec.entries)
            dtype = self._stored(self._output_dtype(out, signature))
            buffer = Buffer(out.spec.name, "output", dtype, dimensions, parts=in_parts(out.spec))
            self.buffers[out.spec.name] = replace(buffer, same_as=self._shown(out, buffer))
        self.steps: list[Step] = []
        self.free = FreeValues(self.builder.nodes)
        sums = sums_below_extrema(self.builder.nodes) if needs_same_bits(graph) else ()
        once = frozenset(number for number in sums if not self.free.of(number))
        self.grouping = Grouping(self.builder, self.leaves, self.storage.temporary, kept_inner=tiled, once=once)
        self.products = ProductSteps(self.storage, self.grouping)
        self.views = ViewSteps(self.storage, self.grouping)
        self.scatters = ScatterSteps(self.storage)
        self.scans = ScanSteps(self.storage, self.grouping)
        self.transforms = TransformSteps(self.storage, self.grouping)

    def _shown(self, out: Output, buffer: Buffer) -> str | None:
        """The output that a saved value is, too, element for element: it is kept for the backward pass as it is."""
        if out.spec.role != "saved":
            return None
        for other in self.outputs:
            there = self.buffers.get(other.spec.name)
            if other.spec.role == "saved" or there is None or other.node != out.node or other.spec.entries != out.spec.entries:
                continue
            if there.dtype == buffer.dtype and not there.parts and not buffer.parts:
                return other.spec.name
        return None

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
        written = [out for out in self.outputs if self.buffers[out.spec.name].same_as is None]
        stores = [store for out in written for store in self._output_stores(out)]
        cone = self._cone([store.node for store in stores])
        phases = self._phases(cone)
        stored = [number for number in cone if self._is_stored(number)]
        of_op = {op: [number for number in stored if self.builder.nodes[number].op == op] for op in STORED_OPS}
        direct = self.products.place(of_op["contract"], stores)
        direct |= self.views.place(stores, cone)
        direct |= self.scatters.place(of_op["scatter"], stores)
        direct |= self.transforms.place(of_op["transform"], stores)
        stores = [store for store in stores if store.node not in direct or self.leaves[store.node].buffer != store.place.buffer]
        stores = self.scans.place(of_op["scan"], cone, stores)
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
        planned = tuple(self.steps)
        steps, buffers, tiles = tile_loops(planned, self.buffers, self.builder) if self.tiled else (planned, self.buffers, ())
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
        cone = sorted(with_operands(self.builder.nodes, roots))
        for number in cone:
            node = self.builder.nodes[number]
            of_array = node.op == "slice" and self.builder.nodes[node.operands[0]].op in ("scan", "reduce")
            if self.free.of(number) and node.op in STEP_OPS_REFUSED and not of_array:
                raise NotLowered(f"a {node.op} of a running value within its scan")
        return cone

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
            low, high = self.storage.temporary("lowest", (), "i64"), self.storage.temporary("highest", (), "i64")
            extremes = [(self.builder.reduce("min", check.node, axes), low), (self.builder.reduce("max", check.node, axes), high)]
            self.steps.extend(self.grouping.kernels([Store(number, place, ()) for number, place in extremes]))
        name = f"check_{1 + sum(isinstance(step, CheckStep) for step in self.steps)}"
        self.steps.append(CheckStep(name, low, high, check.length, check.points, check.text))

    # -------------------------------------------------------------------------------------------- stores

    def _output_stores(self, out: Output) -> list[Store]:
        lengths = self.builder.lengths
        indices = tuple(whole_index(entry, lengths) for entry in out.spec.entries)
        axes = tuple(axis for entry in out.spec.entries for axis in entry.axes)
        return self.storage.unstacked(out.node, Place(out.spec.name, indices), axes)

    # -------------------------------------------------------------------------------------------- phases

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
                place = self.storage.temporary(node.name or "sum", node.axes)
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

    def _prepare(self, number: int) -> tuple[Sequence[Step], list[Store]]:
        """The steps that compute a value of `STORED_OPS`, and the stores of what they need."""
        op = self.builder.nodes[number].op
        if op == "view":
            return [], self.views.prepare(number)
        if op == "contract":
            return self.products.prepare(number)
        if op == "scatter":
            return self.scatters.prepare(number)
        return self.scans.prepare(number) if op == "scan" else self.transforms.prepare(number)
