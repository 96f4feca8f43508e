"""A recurrence as a C++ function.

In: a scan step of a schedule. Out: its `KernelSource`.

Structure of the text: the axes that the recurrence runs for each of are divided among threads; of the innermost of them a block of
lanes steps together, the running values of the block in an array that stays in the nearest cache, so that a step is one vector loop
over the lanes. What does not change from step to step is computed before the first one. Where a step sums over other axes, or runs
a scan itself, it is written by `scan_stages.py`. Running values keep the compute dtype; stores round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...schedule.nest import is_leaf, used_by
from ...schedule.scans import recurrence
from ...schedule.steps import ScanStep, Schedule
from ..lengths import identifier
from ..loops import Loop
from ..text import Lines
from .expressions import CPP_TYPES, bare
from .scan_chunks import composition, factor_text, scratch_words
from .scan_stages import StagedScan
from .scan_writer import ScanWriter
from .values import KernelSource

# lanes that step together: where they are adjacent in memory, and where each has a row of its own (more rows that lie a power of
# two apart would evict each other from the cache)
ADJACENT_LANES, APART_LANES = 256, 8


def scan_source(schedule: Schedule, step: ScanStep) -> KernelSource:
    """The C++ of one recurrence."""
    results = list(dict.fromkeys(store.node for store in step.stores))
    scan = recurrence(schedule.nodes, tuple(schedule.lengths), step.leaves, step.stores, results)
    writer = StagedScan if scan.staged else _Scan
    return writer(schedule, step, scan).emit()


class _Scan(ScanWriter):
    """Steps whose points are independent of each other."""

    def emit(self) -> KernelSource:
        body = Lines()
        self.out = body
        body.indent()
        loops = self._merged(self.scan.rest)
        self.lanes, self.pieces = loops[-1:], loops[:-1]
        self._set_loops((*self.pieces, self.along), self.lanes)
        bodies, initials = list(self.scan.bodies.values()), list(self.scan.initials.values())
        self._define_fixed([*bodies, *initials], set())
        how = composition(tuple(self.nodes), self.scan)
        if how is not None:
            self._chunked(how, bodies, initials)
            self._set_loops((*self.pieces, self.along), self.lanes)
        self._region(bodies, initials)
        return self._function(body, [self._comment()])

    def _region(self, bodies: Sequence[int], initials: Sequence[int]) -> None:
        out = self.out
        others, lanes = self._count(self.pieces), self._count(self.lanes)
        out.add(f"constexpr int64_t most = {self._most_lanes()};")
        out.add(f"const int64_t block = lamina::scan_block(threads, {others}, {lanes}, most);")
        out.add(f"const int64_t blocks = ({lanes} + block - 1) / block, pieces = {others} * blocks;")
        points = " * ".join(self.length(loop.length) for loop in (*self.pieces, *self.lanes, self.along))
        out.add(f"const int64_t team = lamina::team_size(threads, pieces, {points});")
        out.add("#pragma omp parallel for schedule(dynamic, 1) num_threads(team) if (team > 1)")
        out.open("for (int64_t piece = 0; piece < pieces; ++piece)")
        self._decode(self.pieces, "(piece / blocks)" if self.lanes else "piece")
        if self.lanes:
            out.add(f"const int64_t begin = piece % blocks * block, extent = lamina::min(block, {lanes} - begin);")
        outside = {axis for loop in self.pieces for axis in loop.axes}
        self._define_fixed([*bodies, *initials], outside)
        states = self._start(initials)
        self._hoist(bodies)
        self._open_steps()
        self._define_fixed(bodies, {*outside, self.scan.axis})
        self._step(bodies, states)
        out.close()
        out.close()

    # -------------------------------------------------------------------------------------------- chunks

    def _chunked(self, how: str, bodies: Sequence[int], initials: Sequence[int]) -> None:
        """The whole recurrence by chunks (see scan_chunks.py), where the call's rows are few."""
        out = self.out
        loops, length = (*self.pieces, *self.lanes), self.length(self.along.length)
        self.scratch = scratch_words(self.along.length)
        self._set_loops(loops, (self.along,))
        position, carried = next(iter(self.scan.running.items()))
        out.add(f"const int64_t rows = {self._count(loops)}, chunks = lamina::scan_chunks(threads, rows, {length});")
        out.open("if (chunks > 0)")
        out.add("constexpr int64_t lanes = lamina::chunk_lanes;")
        out.add(f"const int64_t width = lamina::chunk_width({length}, chunks), groups = chunks / lanes;")
        out.add("double* __restrict factors = scratch;")
        out.add("double* __restrict values = factors + rows * chunks;")
        out.add("double* __restrict starts = values + rows * chunks;")
        out.add(f"const int64_t team = lamina::team_size(threads, rows * groups, rows * {length});")
        with self._chunks("groups", loops, bodies):
            self._compose_chunk(how, position, carried)
        self._carry(how, loops, initials)
        with self._chunks("(groups + 1)", loops, bodies):
            self._run_chunk(position, carried, bodies)
        out.add("return;")
        out.close()

    def _compose_chunk(self, how: str, position: int, carried: int) -> None:
        """What the steps of each chunk are together."""
        out = self.out
        start = {"linear": "0", "max": "-__builtin_inf()", "min": "__builtin_inf()"}[how]
        out.add("double chunk_factor[lanes];")
        out.add("Real chunk_value[lanes];")
        out.add(f"for (int64_t lane = 0; lane < lanes; ++lane) chunk_factor[lane] = 1, chunk_value[lane] = Real({start});")
        self._open_point(carried, "chunk_value", [self.scan.bodies[position]])
        if how == "linear":
            texts = self.text_of
            factor = factor_text(tuple(self.nodes), self.scan, self.scan.bodies[position], texts, carried) or "0"
            out.add(f"chunk_factor[lane] *= double({factor});")
        self._assign("chunk_value[lane]", self.scan.bodies[position], "real")
        out.close_with(";")
        self._run_chunks()
        out.add("const int64_t place = row * chunks + begin;")
        out.add("for (int64_t lane = 0; lane < lanes; ++lane) factors[place + lane] = chunk_factor[lane];")
        out.add("for (int64_t lane = 0; lane < lanes; ++lane) values[place + lane] = double(chunk_value[lane]);")

    def _run_chunk(self, position: int, carried: int, bodies: Sequence[int]) -> None:
        """The steps of each chunk from its start, with their stores; the chunk behind the last one takes the steps left over."""
        out = self.out
        out.add("Real chunk_value[lanes];")
        out.add("for (int64_t lane = 0; lane < lanes; ++lane)")
        out.add("    chunk_value[lane] = begin + lane <= chunks ? Real(starts[row * (chunks + 1) + begin + lane]) : Real(0);")
        self._open_point(carried, "chunk_value", bodies)
        self._following({position: "chunk_value[lane]"}, (*self.pieces, *self.lanes))
        out.close_with(";")
        out.open("if (begin < chunks)")
        self._run_chunks()
        out.close()
        out.open("else")
        length = self.length(self.along.length)
        out.add(f"for (int64_t step = chunks * width; step < {length}; ++step) point(0, {self._step_index('step')});")
        out.close()

    def _step_index(self, step: str) -> str:
        """The point of the axis at a step counted in the direction of the recurrence."""
        return f"{self.length(self.along.length)} - 1 - ({step})" if self.scan.reverse else step

    @contextmanager
    def _chunks(self, groups: str, loops: Sequence[Loop], bodies: Sequence[int]) -> Iterator[None]:
        """The loop over all rows and their groups of chunks."""
        out = self.out
        with self._scope():
            out.add("#pragma omp parallel for schedule(dynamic, 1) num_threads(team) if (team > 1)")
            out.open(f"for (int64_t piece = 0; piece < rows * {groups}; ++piece)")
            out.add(f"const int64_t row = piece / {groups}, begin = piece % {groups} * lanes;")
            self._decode(loops, "row")
            self._define_fixed(bodies, {axis for loop in loops for axis in loop.axes})
            yield
            out.close()

    def _open_point(self, carried: int, array: str, bodies: Sequence[int]) -> None:
        """A step of one lane, as a function of the lane and the point of the axis."""
        parameters = f"const int64_t lane, const int64_t {self.along.variable}"
        self.out.open(f"const auto point = [&]({parameters}) __attribute__((always_inline))")
        name = self.names.fresh(identifier(self.nodes[carried].attribute("name")), carried)
        self.out.add(f"const Real {name} = {array}[lane];")
        self.text_of[carried] = name
        for number in self._needed(bodies):
            self._define(number, single=False)

    def _run_chunks(self) -> None:
        self.out.open("for (int64_t step = 0; step < width; ++step)")
        self.out.add("#pragma omp simd")
        self.out.add(
            f"for (int64_t lane = 0; lane < lanes; ++lane) point(lane, {self._step_index('(begin + lane) * width + step')});"
        )
        self.out.close()

    def _carry(self, how: str, loops: Sequence[Loop], initials: Sequence[int]) -> None:
        """The running value at the start of every chunk, and behind the last one."""
        out = self.out
        with self._scope():
            out.open("for (int64_t row = 0; row < rows; ++row)")
            self._decode(loops, "row")
            for number in self._needed(initials):
                self._define(number, single=False)
            out.add(f"double now = double({bare(self.text_of[initials[0]])});")
            out.open("for (int64_t chunk = 0; chunk < chunks; ++chunk)")
            out.add("starts[row * (chunks + 1) + chunk] = now;")
            out.add("const double chunk_factor = factors[row * chunks + chunk], chunk_value = values[row * chunks + chunk];")
            # a factor that has overflowed says nothing about a running value of 0
            linear = "now == 0 ? chunk_value : chunk_factor * now + chunk_value"
            text = linear if how == "linear" else f"lamina::{how}(now, chunk_value)"
            out.add(f"now = {text};")
            out.close()
            out.add("starts[row * (chunks + 1) + chunks] = now;")
            out.close()

    # -------------------------------------------------------------------------------------------- lanes

    def _most_lanes(self) -> int:
        if not self.lanes:
            return 1
        axis = self.lanes[0].step_axis
        return ADJACENT_LANES if any(each.stride(axis) == 1 for each in self.store_accesses) else APART_LANES

    def _open_lanes(self) -> str:
        """The loop over the block's lanes; gives the index of a lane in the block's arrays."""
        if not self.lanes:
            self.out.open("")
            return "0"
        self.out.add("#pragma omp simd")
        self.out.open("for (int64_t lane = 0; lane < extent; ++lane)")
        self.out.add(f"const int64_t {self.lanes[0].variable} = begin + lane;")
        return "lane"

    def _array(self, stem: str, number: int, kind: str) -> str:
        name = self.names.fresh(identifier(stem), number)
        self.out.add(f"alignas(64) {CPP_TYPES[kind]} {name}[most];")
        return name

    def _start(self, initials: Sequence[int]) -> dict[int, str]:
        """The arrays of the running values, with the initial ones."""
        states = {}
        for position, number in self.scan.running.items():
            node = self.nodes[number]
            states[position] = self._array(f"{node.attribute('name')}_now", number, node.kind)
        if states:
            with self._scope():
                lane = self._open_lanes()
                self._values_at(self._needed(initials), 0)
                for position, name in states.items():
                    self._assign(f"{name}[{lane}]", self.scan.initials[position], self.nodes[self.scan.running[position]].kind)
                self.out.close()
        return states

    def _hoist(self, bodies: Sequence[int]) -> None:
        """Computes what varies along the lanes but not from step to step, once, into arrays."""
        self.hoisted: dict[int, str] = {}
        changing = [number for number in self._needed(bodies) if self._changing(number)]
        roots = [operand for number in changing for operand in used_by(self.nodes, self.leaves, number)]
        roots += [number for number in bodies if not self._changing(number)]
        fixed = [
            number
            for number in dict.fromkeys(roots)
            if number not in self.text_of and not self._changing(number) and not is_leaf(self.nodes, self.leaves, number)
        ]
        if not fixed:
            return
        names = {number: self._array(self.nodes[number].name or "fixed", number, self.nodes[number].kind) for number in fixed}
        with self._scope():
            lane = self._open_lanes()
            self._values_at(self._needed(fixed), 0)
            for number, name in names.items():
                self._assign(f"{name}[{lane}]", number, self.nodes[number].kind)
            self.out.close()
        self.hoisted = names

    def _step(self, bodies: Sequence[int], states: dict[int, str]) -> None:
        out = self.out
        with self._scope():
            lane = self._open_lanes()
            for number, name in self.hoisted.items():
                self.text_of[number] = f"{name}[{lane}]"
            for position, number in self.scan.running.items():
                node = self.nodes[number]
                name = self.names.fresh(identifier(node.attribute("name")), number)
                out.add(f"const {CPP_TYPES[node.kind]} {name} = {states[position]}[{lane}];")
                self.text_of[number] = name
            self._values_at(self._needed(bodies), 0)
            self._following({position: f"{name}[{lane}]" for position, name in states.items()}, (*self.pieces, *self.lanes))
            out.close()
