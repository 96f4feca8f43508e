"""A whole CUDA program: kernels, the launches that run them in order, the arguments these take.

In: a graph and a signature. Out: a `Program` whose source is one text of CUDA C++, with the runtime headers it needs. What holds:
the same graph, signature and version give the same bytes.
"""

from __future__ import annotations

import re

from ...ir.graph import Graph
from ...passes.pipeline import finish
from ...passes.ties import needs_same_bits
from ...schedule.partition import schedule
from ...schedule.program import REAL_COUNTERPARTS, Argument, Launch, Program, Signature
from ...schedule.steps import (
    CheckStep,
    KernelStep,
    ProductStep,
    ScanStep,
    ScatterStep,
    Schedule,
    Step,
    TransformStep,
    WindowStep,
)
from ..access import passed_strides
from ..banner import banner
from ..cpp.values import STORAGE_TYPES
from ..gpu.grid import plan_grid
from ..gpu.steps import check_launch, sort_launch, transform_launch
from ..lengths import python_length
from .columns import ColumnKernel, RowColumnKernel
from .nests import PointKernel, RowKernel
from .products import product_kernels, window_kernels
from .runtime_text import runtime_text
from .scans import scan_kernels
from .scatters import scatter_kernels
from .writer import Kernel

_COMPLEX = {real: name for name, real in REAL_COUNTERPARTS.items()}


def generate(graph: Graph, signature: Signature, direction: str = "forward") -> Program:
    """The CUDA program of a math-level graph for tensors of this signature. Raises schedule.partition.NotLowered."""
    plan = schedule(finish(graph), signature, tiled=False)
    return _Assembly(graph, plan, signature, direction).program()


def nest_kernels(plan: Schedule, step: KernelStep) -> list[Kernel]:
    """The kernels of a loop nest."""
    grid = plan_grid(plan, step)
    if grid.sums:
        return (RowColumnKernel if grid.nest.row else ColumnKernel)(plan, step, grid).emit()
    return [(RowKernel if grid.nest.row else PointKernel)(plan, step, grid).emit()]


class _Assembly:
    def __init__(self, graph: Graph, plan: Schedule, signature: Signature, direction: str) -> None:
        self.graph, self.plan, self.signature, self.direction = graph, plan, signature, direction
        self.same_bits = needs_same_bits(graph)
        self.kernels: list[Kernel] = []
        self.launches: list[Launch] = []
        self.temporaries: list[Argument] = []
        self.headers: dict[str, None] = {}
        self.report: list[tuple[str, str]] = []
        self.checks: list[str] = []
        self.counts: dict[str, int] = {}

    def program(self) -> Program:
        for step in self.plan.steps:
            self._step(step)
        return Program(
            name=self.graph.name,
            direction=self.direction,
            target="cuda",
            source=self._source(),
            symbol="",
            arguments=self._arguments(),
            integers=(),
            strides=tuple((buffer.name, d) for buffer in self.plan.buffers.values() for d in passed_strides(buffer)),
            report=(*self.report, *(("note", note) for note in self.plan.notes)),
            checks=tuple(self.checks),
            launches=tuple(self.launches),
            fused=not self.same_bits,
        )

    def _step(self, step: Step) -> None:
        if isinstance(step, KernelStep):
            self._add(nest_kernels(self.plan, step), "groups.hpp")
        elif isinstance(step, ProductStep):
            self._add(product_kernels(self.plan, step, self._name("product")), "product.hpp")
        elif isinstance(step, WindowStep):
            self._add(window_kernels(self.plan, step, self._name("windows")), "groups.hpp")
        elif isinstance(step, ScanStep):
            self._add(scan_kernels(self.plan, step, self._name("scan")))
        elif isinstance(step, ScatterStep):
            self.launches.append(sort_launch(self.plan, step))
            self._add(scatter_kernels(self.plan, step, self._name("scatter")), "scatter.hpp")
        elif isinstance(step, TransformStep):
            self.launches.append(transform_launch(self.plan, step))
            note = f"{step.function} from {step.source} to {step.target}, {step.lengths[2]} points, by torch.fft"
            self.report.append((step.name, note))
        elif isinstance(step, CheckStep):
            self.checks.append(step.text)
            self.launches.append(check_launch(self.plan, step, len(self.checks)))
            self.report.append((step.name, f"{step.text} must be in 0..{step.length - 1}"))
        else:
            raise AssertionError(f"no kernel for {step}")

    def _name(self, stem: str) -> str:
        """A kernel's name: the stem and a number of its own."""
        self.counts[stem] = self.counts.get(stem, 0) + 1
        return f"{stem}_{self.counts[stem]}"

    def _add(self, kernels: list[Kernel], *headers: str) -> None:
        for kernel in kernels:
            self.kernels.append(kernel)
            self.launches.append(kernel.launch)
            constants = dict(kernel.launch.constants)
            for scratch in kernel.scratch:
                self.temporaries.append(Argument(scratch.name, "temporary", "f64", (inlined(scratch.words, constants),)))
            self.report.append((kernel.launch.name, kernel.summary))
        self.headers.update(dict.fromkeys(headers))

    def _arguments(self) -> tuple[Argument, ...]:
        arguments = []
        for buffer in self.plan.buffers.values():
            dtype = self.signature.compute if buffer.dtype == "compute" else buffer.dtype
            dimensions = buffer.dimensions
            if buffer.parts:
                dtype, dimensions = _COMPLEX[dtype], dimensions[:-1]
            shape = tuple(python_length(length) for length in dimensions)
            arguments.append(Argument(buffer.name, buffer.role, dtype, shape, buffer.same_as))
        return (*arguments, *self.temporaries)

    def _source(self) -> str:
        lines = [f"// {line}".rstrip() for line in banner(self.graph, self.signature, self.direction, "cuda", self.same_bits)]
        head = "\n".join(lines) + "\n\n"
        real = f"using Real = {STORAGE_TYPES[self.signature.compute]};\n\n"
        return head + runtime_text(tuple(self.headers)) + real + "\n".join(kernel.text for kernel in self.kernels)


def inlined(text: str, constants: dict[str, str]) -> str:
    """An expression with a launch's constants written out."""
    names = "|".join(map(re.escape, constants))
    while names and (found := re.search(rf"\b({names})\b", text)):
        text = f"{text[: found.start()]}({constants[found[1]]}){text[found.end() :]}"
    return text
