"""Recurrences as CUDA kernels.

In: a scan step of a schedule. Out: `Kernel`s.

A thread runs the recurrence at one point of the other axes, its running values in registers; neighbouring threads have neighbouring
points. What does not change from step to step is computed before the first one. Where a step looks at other points than its own, a
thread has all the points that see each other, and its running values lie in scratch memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...schedule.program import Launch
from ...schedule.scans import Recurrence, recurrence
from ...schedule.steps import ScanStep, Schedule
from ..cpp.expressions import CPP_TYPES
from ..cpp.scan_stages import StagedScan
from ..cpp.scan_writer import ScanWriter
from ..lengths import identifier, python_length
from ..loops import Loop
from ..names import Names
from ..text import Lines
from .writer import RESERVED, Divisors, Kernel, Scratch, kernel_around, pointer, product_of

_THREADS = 128  # of a block: recurrences are long and their points few


def scan_kernels(schedule: Schedule, step: ScanStep, name: str) -> list[Kernel]:
    """The kernel of one recurrence."""
    results = list(dict.fromkeys(store.node for store in step.stores))
    scan = recurrence(schedule.nodes, tuple(schedule.lengths), step.leaves, step.stores, results)
    return [(_Staged if scan.staged else _Plain)(schedule, step, scan).kernel(name)]


class _Plain(ScanWriter):
    """Steps whose points are independent of each other."""

    def __init__(self, schedule: Schedule, step: ScanStep, scan: Recurrence) -> None:
        super().__init__(schedule, step, scan)
        self.names = Names(RESERVED)
        self.divisors = Divisors()

    def kernel(self, name: str) -> Kernel:
        self.out = body = Lines()
        body.indent()
        loops = self._merged(self.scan.rest)
        self._set_loops((*loops, self.along), ())
        _open_points(self, loops)
        bodies, initials = list(self.scan.bodies.values()), list(self.scan.initials.values())
        outside = {axis for loop in loops for axis in loop.axes}
        self._define_fixed([*bodies, *initials], outside)
        running = {}
        for position, number in self.scan.running.items():
            node = self.nodes[number]
            running[position] = self.names.fresh(identifier(f"{node.attribute('name')}_now"), number)
            self._assign(f"{CPP_TYPES[node.kind]} {running[position]}", self.scan.initials[position], node.kind)
        self._open_steps()
        for position, number in self.scan.running.items():
            node = self.nodes[number]
            self.text_of[number] = self.names.fresh(identifier(node.attribute("name")), number)
            body.add(f"const {CPP_TYPES[node.kind]} {self.text_of[number]} = {running[position]};")
        self._values_at(self._needed(bodies), 0)
        self._following(running, loops)
        body.close()
        return _kernel(self, name, self._comment(), body, loops)


class _Staged(StagedScan):
    """Steps that sum over other axes or run a scan themselves."""

    def __init__(self, schedule: Schedule, step: ScanStep, scan: Recurrence) -> None:
        super().__init__(schedule, step, scan)
        self.names = Names(RESERVED)
        self.divisors = Divisors()

    def kernel(self, name: str) -> Kernel:
        body = self._body()
        loops = tuple(self._loop(axis) for axis in self.scan.rest if axis not in self.scan.within)
        if self.scratch == 0:
            return _kernel(self, name, self._words(), body, loops)
        scratch = Scratch(f"scratch_{name}", python_length(self.scratch * product_of(loop.length for loop in loops)))
        return _kernel(self, name, self._words(), body, loops, scratch)

    def _region(self, shared: Sequence[Loop], inside: Lines) -> None:
        _open_points(self, shared)
        if self.scratch != 0:
            self.out.add(f"double* const own = scratch + point * ({self.length(self.scratch)});")
        self.out.open("")
        self.out.append(inside)
        self.out.close()


def _open_points(writer: _Plain | _Staged, loops: Sequence[Loop]) -> None:
    writer.out.add("const int64_t point = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;")
    writer.out.add(f"if (point >= {writer.length(product_of(loop.length for loop in loops))}) return;")
    for loop, value in writer.divisors.decoded(loops, "point"):
        writer.out.add(f"const int64_t {loop.variable} = {value};")


def _kernel(
    writer: _Plain | _Staged, name: str, comment: str, body: Lines, loops: Sequence[Loop], scratch: Scratch | None = None
) -> Kernel:
    further = [] if scratch is None else [pointer("double* __restrict__ scratch", scratch.name)]
    text, arguments = kernel_around(writer, name, comment, body, writer.divisors, further)
    grid = f"blocks({python_length(product_of(loop.length for loop in loops))}, {_THREADS})"
    launch = Launch("kernel", name, (grid,), (), arguments, str(_THREADS // 32))
    return Kernel(text, launch, comment, () if scratch is None else (scratch,))
