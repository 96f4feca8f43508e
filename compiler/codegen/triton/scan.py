"""A recurrence as a Triton kernel.

In: a scan step of a schedule. Out: its kernel and launch. Holds: the axes that the recurrence runs for each of are flattened and
divided among programs, lanes of a tile; each axis along which a step sees other points than its own is a dimension of the tile,
held whole, so that a step's reductions are reductions of tiles; running values stay in registers from step to step. A recurrence
within a step runs along its own dimension: what it needs of a tile is taken out by a masked sum.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.scans import same_recurrence
from ...schedule.nest import Nest, used_by
from ...schedule.program import Launch
from ...schedule.scans import Recurrence, recurrence
from ...schedule.steps import ScanStep, Schedule
from ..gpu.grid import accesses_of, points
from ..lengths import identifier
from ..loops import Loop, merged_loops
from .expressions import ExpressionWriter, Value, bare
from .kernel import Sweep
from .product import decode
from .reductions import Reducer
from .sizes import count
from .values import TileValues

_LANES, _TILE = 128, 2048  # lanes of a program; elements of its tile, at most, where lanes can be fewer


def scan(schedule: Schedule, step: ScanStep, writer: ExpressionWriter) -> Sweep:
    """The kernel of a scan step."""
    results = list(dict.fromkeys(store.node for store in step.stores))
    found = recurrence(schedule.nodes, tuple(schedule.lengths), step.leaves, step.stores, results)
    return _ScanWriter(schedule, step, found, writer).emit()


class _ScanWriter(TileValues):
    """Dimension 0 of the tile is the lanes; the axes in `within` follow, one each."""

    def __init__(self, schedule: Schedule, step: ScanStep, found: Recurrence, writer: ExpressionWriter) -> None:
        nodes = schedule.nodes
        nest = Nest((), (*found.rest, found.axis), (), (), {}, found.cone)
        accesses = accesses_of(schedule, step, found.cone)
        inside = {axis for number in found.free for axis in self._axes_of(nodes, number)}
        shared = [axis for axis in found.rest if axis not in found.within]
        self.within = tuple(axis for axis in schedule.lengths if axis in inside and axis not in shared and axis != found.axis)
        super().__init__(schedule, step.leaves, accesses, writer, 1 + len(self.within))
        self.step, self.scan = step, found
        self.lanes = merged_loops(shared, nest, nodes, dict(schedule.lengths), accesses.every)
        self.reducer = Reducer(nodes, writer)
        self.dim = {axis: 1 + place for place, axis in enumerate(self.within)}
        self.sizes = {0: "LANES", **{dim: f"SIZE_{identifier(axis)}" for axis, dim in self.dim.items()}}

    @staticmethod
    def _axes_of(nodes: Sequence[object], number: int) -> tuple[str, ...]:
        node = nodes[number]
        further = node.attribute("over") if node.op == "reduce" else (node.attribute("axis"),) if node.op == "scan" else ()  # type: ignore[attr-defined]
        return (*node.axes, *further)  # type: ignore[attr-defined]

    # ---------------------------------------------------------------------------------------- the kernel

    def emit(self) -> Sweep:
        out = self.out
        out.indent()
        out.add("program = tl.program_id(0).to(tl.int64)")
        out.add(f"lane = program * LANES + tl.arange(0, LANES){self._position(0)}")
        out.add(f"lane_inside = lane < {self.length(points(self.lanes))}")
        self.indices[0], self.masks[0] = "lane", "lane_inside"
        decode(self, self.lanes, "lane", frozenset((0,)))
        for axis, dim in self.dim.items():
            name = f"i_{identifier(axis)}"
            out.add(f"{name} = tl.arange(0, {self.sizes[dim]}){self._position(dim)}.to(tl.int64)")
            self.indices[dim], self.masks[dim] = name, f"({name} < {self.length(self.lengths[axis])})"
            self.set_loop(Loop((axis,), name, self.lengths[axis]), Value(name, frozenset((dim,))))
        scan = self.scan
        fixed = [n for n in self.needed([*scan.bodies.values(), *scan.initials.values()]) if not self._changing(n)]
        for number in fixed:
            self.define(number)
        states = self._start(scan)
        self._run(scan, states, {}, stored=True)
        stored = ", ".join(dict.fromkeys(store.place.buffer for store in self.step.stores))
        rest = f", for each of {' x '.join(scan.rest)}" if scan.rest else ""
        note = f"{stored}: steps {'back ' if scan.reverse else ''}along {scan.axis}{rest}"
        constants = self._constants()
        kernel = self.function(self.step.name, [note], [name for name, _ in constants], out)
        grid = f"blocks({count(self.lanes)}, LANES)"
        launch = Launch("kernel", self.step.name, (grid,), constants, kernel.arguments, "4")
        return Sweep((kernel,), (launch,), (), note)

    def _constants(self) -> tuple[tuple[str, str], ...]:
        held = [(self.sizes[dim], f"padded({count((self.loops[axis][0],))})") for axis, dim in self.dim.items()]
        product = " * ".join(name for name, _ in held) or "1"
        return (*held, ("LANES", f"max(1, min(padded({count(self.lanes)}), {_LANES}, {_TILE} // ({product})))"))

    def _position(self, dim: int) -> str:
        """The subscript that makes a vector vary along one dimension of the tile."""
        return f"[{', '.join(':' if each == dim else 'None' for each in range(self.rank))}]" if self.rank > 1 else ""

    def _shape(self, axes: Sequence[str]) -> str:
        """A tile that varies along the lanes and these axes."""
        sizes = ["LANES", *(self.sizes[dim] if axis in axes else "1" for axis, dim in self.dim.items())]
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"

    def _dims(self, axes: Sequence[str]) -> frozenset[int]:
        return frozenset((0, *(self.dim[axis] for axis in axes if axis in self.dim)))

    def _changing(self, number: int) -> bool:
        """Whether a value differs from step to step."""
        return number in self.scan.free or self.scan.axis in self.nodes[number].axes

    def needed(self, roots: Sequence[int]) -> list[int]:
        """As before; of a recurrence within a step, only what it starts from: its steps are written where it runs."""
        seen: set[int] = set()
        pending = list(roots)
        self.uses = {}
        while pending:
            number = pending.pop()
            self.uses[number] = self.uses.get(number, 0) + 1
            if number in seen or number in self.text_of:
                continue
            seen.add(number)
            node = self.nodes[number]
            if node.op == "scan" and number not in self.accesses.reads:
                pending.extend(self._recurrence(number).initials.values())
            elif node.op != "carried":
                pending.extend(used_by(self.nodes, self.leaves, number))
        return sorted(seen)

    # ---------------------------------------------------------------------------------------- steps

    def _start(self, scan: Recurrence) -> dict[int, str]:
        """The running values before the first step."""
        self.define_all(self.needed(list(scan.initials.values())))
        states = {}
        for position, number in scan.running.items():
            node = self.nodes[number]
            states[position] = name = self.names.fresh(f"{identifier(node.attribute('name'))}_now", number)
            initial = scan.initials[position]
            self.out.add(f"{name} = {self._as_state(self.text_of[initial], initial, number)}")
        return states

    def _as_state(self, value: Value, number: int, carried: int) -> str:
        """A value in the type and the shape that a running value has throughout."""
        node = self.nodes[carried]
        shape, kind = self._shape(node.axes), self.writer.type_of(node.kind)
        value = self.writer.convert(value, self.nodes[number].kind, node.kind)
        if not value.dims:
            return f"tl.full({shape}, {bare(value.text)}, {kind})"
        return f"tl.broadcast_to(tl.cast({bare(value.text)}, {kind}), {shape})"

    def _run(self, scan: Recurrence, states: dict[int, str], results: dict[int, str], stored: bool) -> None:
        """The loop along the axis of a recurrence; `results`: the tiles that take its values, of one within a step."""
        out = self.out
        length = self.length(self.lengths[scan.axis])
        index = f"i_{identifier(scan.axis)}" if stored else self.names.fresh("position", -1)
        texts, loop = dict(self.text_of), self.loops.get(scan.axis)
        self.names.push()
        with out.block(f"for step in range(0, {length}):" if stored else f"for {index}_step in range(0, {length}):"):
            counted = "step" if stored else f"{index}_step"
            out.add(f"{index} = {f'{length} - 1 - {counted}' if scan.reverse else counted}")
            self.set_loop(Loop((scan.axis,), index, self.lengths[scan.axis]), Value(index))
            if not stored:
                self._take_out(scan, index)
            for position, number in scan.running.items():
                self.text_of[number] = Value(states[position], self._dims(self.nodes[number].axes))
            for number in self.needed(list(scan.bodies.values())):
                self.define(number, single=True)
            if stored:
                self._store_all(scan)
            following = []
            for position, number in scan.bodies.items():
                for result, name in results.items():
                    if scan.results[result] == position:
                        here = f"{self.indices[self.dim[scan.axis]]} == {index}"
                        value = self.writer.typed(self.text_of[number], self.nodes[number].kind)
                        kind = self.writer.type_of(self.nodes[result].kind)
                        out.add(f"{name} = tl.where({here}, tl.cast({bare(value.text)}, {kind}), {name})")
                if position in states:
                    name = self.names.fresh(f"{states[position].removesuffix('_now')}_next", number)
                    out.add(f"{name} = {self._as_state(self.text_of[number], number, scan.running[position])}")
                    following.append((states[position], name))
            for name, after in following:
                out.add(f"{name} = {after}")
        self.names.pop()
        self.text_of = texts
        if loop is not None:
            self.set_loop(*loop)

    def _store_all(self, scan: Recurrence) -> None:
        """The values after a step, to their places: those that are wanted once, at the last step or at one lane, only there."""
        last = "0" if scan.reverse else f"{self.length(self.lengths[scan.axis])} - 1"
        index = self.loops[scan.axis][1].text
        for store, access in zip(self.step.stores, self.accesses.stores, strict=True):
            body = scan.bodies[scan.results[store.node]]
            value = self.writer.convert(self.text_of[body], self.nodes[body].kind, self.nodes[store.node].kind)
            once = [f"({loop.variable} == 0)" for loop in self.lanes if not set(loop.axes) & set(store.axes)]
            dims = self._dims(store.axes)
            if scan.axis in store.axes:
                self.store(store, access, value, dims, once)
                continue
            masks = dict(self.joint_masks)
            with self.out.block(f"if {index} == {last}:"):
                self.store(store, access, value, dims, once)
            self.joint_masks = masks

    # ---------------------------------------------------------------------------------------- within a step

    def define(self, number: int, single: bool = False) -> Value:
        node = self.nodes[number]
        if number in self.text_of or number in self.accesses.reads:
            return super().define(number, single)
        if node.op == "reduce":
            return self._reduce(number)
        if node.op == "scan":
            return self._inner(number)
        if node.op == "slice":
            return self._slice(number)
        return super().define(number, single)

    def _name(self, number: int, stem: str, text: str, dims: frozenset[int]) -> Value:
        name = self.names.fresh(identifier(stem), number)
        self._quote(number)
        self.out.add(f"{name} = {text}")
        self.text_of[number] = Value(name, dims)
        return self.text_of[number]

    def _reduce(self, number: int) -> Value:
        node = self.nodes[number]
        value = self.text_of[node.operands[0]]
        dims = value.dims
        text = self.reducer.operand(number, value)
        over = [self.dim[axis] for axis in node.attribute("over")]
        mask = self.mask(frozenset(over))
        text = f"tl.where({mask}, {text}, {self.reducer.neutral(number)})"
        for dim in over:
            text = self.reducer.across(number, text, dim)
        text = f"{text} != 0" if node.kind == "bool" else text
        return self._name(number, node.name or node.attribute("operation"), text, dims - frozenset(over))

    def _at(self, number: int, value: Value, axis: str, index: str) -> Value:
        """A tile's values at one position of an axis."""
        dim = self.dim[axis]
        kind = self.nodes[number].kind
        text = f"tl.cast({value.text}, tl.int64)" if kind == "bool" else value.text
        zero = "0.0" if kind == "real" else "0"
        taken = f"tl.sum(tl.where({self.indices[dim]} == {index}, {text}, {zero}), axis={dim}, keep_dims=True)"
        return Value(f"({taken} != 0)" if kind == "bool" else taken, value.dims - {dim})

    def _slice(self, number: int) -> Value:
        node = self.nodes[number]
        value = self.text_of[node.operands[0]]
        taken = self._at(number, value, node.attribute("axis"), str(node.attribute("position")))
        return self._name(number, node.name or "t", bare(taken.text), taken.dims)

    def _recurrence(self, number: int) -> Recurrence:
        """The recurrence within a step that a scan node belongs to."""
        group = [n for n in self.scan.staged if same_recurrence(self.nodes[number], self.nodes[n])]
        names = frozenset(
            name for n in self.scan.cone if self.nodes[n].op == "carried" for name in [self.nodes[n].attribute("name")]
        )
        return recurrence(self.nodes, tuple(self.lengths), self.leaves, (), group or [number], names)

    def _inner(self, number: int) -> Value:
        found = self._recurrence(number)
        states = self._start(found)
        tiles = {}
        for result in found.results:
            node = self.nodes[result]
            tiles[result] = self.names.fresh(identifier(node.name or "values"), result)
            self.out.add(f"{tiles[result]} = tl.full({self._shape(node.axes)}, 0, {self.writer.type_of(node.kind)})")
        self._run(found, states, tiles, stored=False)
        for result, name in tiles.items():
            self.text_of[result] = Value(name, self._dims(self.nodes[result].axes))
        return self.text_of[number]

    def _take_out(self, scan: Recurrence, index: str) -> None:
        """Within the loop of a recurrence inside a step: what is known along its axis, at the position of the loop."""
        dim = self.dim[scan.axis]
        inside = set(scan.cone)
        for number, value in list(self.text_of.items()):
            if dim in value.dims and number in inside:
                taken = self._at(number, value, scan.axis, index)
                self._name(number, "at", bare(taken.text), taken.dims)
