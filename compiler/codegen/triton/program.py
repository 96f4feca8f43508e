"""A whole Triton program: kernels, the launches that run them in order, the arguments these take.

In: a graph and a signature. Out: a `Program` whose source is one Python module, with the runtime functions that it uses. What
holds: the same graph, signature and version give the same bytes.
"""

from __future__ import annotations

from dataclasses import replace

from ...ir.graph import Graph
from ...passes.pipeline import finish
from ...passes.ties import needs_same_bits
from ...schedule.partition import schedule
from ...schedule.program import REAL_COUNTERPARTS, Argument, Launch, Program, Signature
from ...schedule.steps import (
    CheckStep,
    KernelStep,
    ScanStep,
    ScatterStep,
    Schedule,
    Step,
    TransformStep,
    WindowStep,
)
from ..access import passed_strides
from ..banner import banner
from ..gpu.fusion import FusedProduct, fuse
from ..gpu.steps import check_launch, transform_launch, window_kernel
from ..lengths import python_length
from .expressions import ExpressionWriter
from .kernel import Sweep, sweep
from .product import product
from .runtime_text import runtime_text
from .scan import scan
from .scatter import scatter
from .values import KernelText

_COMPLEX = {real: name for name, real in REAL_COUNTERPARTS.items()}


def generate(graph: Graph, signature: Signature, direction: str = "forward") -> Program:
    """The Triton program of a math-level graph for tensors of this signature. Raises schedule.partition.NotLowered."""
    plan = schedule(finish(graph), signature, tiled=False)
    return _Assembly(graph, plan, signature, direction).program()


class _Assembly:
    def __init__(self, graph: Graph, plan: Schedule, signature: Signature, direction: str) -> None:
        self.graph, self.plan, self.signature, self.direction = graph, plan, signature, direction
        self.writer = ExpressionWriter(plan.compute == "f64")
        self.same_bits = needs_same_bits(graph)
        self.kernels: list[KernelText] = []
        self.launches: list[Launch] = []
        self.temporaries: list[Argument] = []
        self.report: list[tuple[str, str]] = []
        self.checks: list[str] = []
        self.count: dict[str, int] = {}

    def program(self) -> Program:
        for step in fuse(self.plan):
            self._step(step)
        return Program(
            name=self.graph.name,
            direction=self.direction,
            target="triton",
            source=self._source(),
            symbol="",
            arguments=self._arguments(),
            integers=(),
            strides=tuple(
                (buffer.name, dimension) for buffer in self.plan.buffers.values() for dimension in passed_strides(buffer)
            ),
            report=(*self.report, *(("note", note) for note in self.plan.notes)),
            checks=tuple(self.checks),
            launches=tuple(self.launches),
            fused=not self.same_bits,
        )

    def _step(self, step: Step | FusedProduct) -> None:
        if isinstance(step, KernelStep):
            self._add(step.name, sweep(self.plan, step, self.writer))
        elif isinstance(step, ScanStep):
            self._add(step.name, scan(self.plan, step, self.writer))
        elif isinstance(step, FusedProduct):
            name = self._name("product")
            self._add(name, product(self.plan, step, name, self.writer))
        elif isinstance(step, WindowStep):
            plan, kernel = window_kernel(self.plan, replace(step, name=self._name("windows")))
            self._add(kernel.name, sweep(plan, kernel, self.writer))
        elif isinstance(step, ScatterStep):
            name = self._name("scatter")
            self._add(name, scatter(self.plan, step, name, self.writer))
        elif isinstance(step, TransformStep):
            self.launches.append(transform_launch(self.plan, step))
            note = f"{step.function} from {step.source} to {step.target}, {step.lengths[2]} points, by torch.fft"
            self.report.append((step.name, note))
        else:
            assert isinstance(step, CheckStep)
            self.checks.append(step.text)
            self.launches.append(check_launch(self.plan, step, len(self.checks)))
            self.report.append((step.name, f"{step.text} must be in 0..{step.length - 1}"))

    def _name(self, stem: str) -> str:
        """A name for the kernel of a step, numbered."""
        self.count[stem] = self.count.get(stem, 0) + 1
        return f"{stem}_{self.count[stem]}"

    def _add(self, name: str, made: Sweep) -> None:
        self.kernels += made.kernels
        self.launches += made.launches
        self.temporaries += made.temporaries
        self.report.append((name, made.note))

    def _arguments(self) -> tuple[Argument, ...]:
        arguments = []
        touched = {each for launch in self.launches for each in launch.arguments}
        for buffer in self.plan.buffers.values():
            if buffer.role == "temporary" and buffer.name not in touched:
                continue  # fused away
            dtype = self.signature.compute if buffer.dtype == "compute" else buffer.dtype
            dimensions = buffer.dimensions
            if buffer.parts:
                dtype, dimensions = _COMPLEX[dtype], dimensions[:-1]
            shape = tuple(python_length(length) for length in dimensions)
            arguments.append(Argument(buffer.name, buffer.role, dtype, shape, buffer.same_as))
        return (*arguments, *self.temporaries)

    def _source(self) -> str:
        lines = [f"# {line}".rstrip() for line in banner(self.graph, self.signature, self.direction, "triton", self.same_bits)]
        runtime = runtime_text(self.writer.functions, self.writer.double)
        head = "\n".join(lines) + "\n\nimport triton\nimport triton.language as tl\n"
        parts = [head, *([runtime] if runtime else []), *(kernel.text for kernel in self.kernels)]
        return "\n\n".join(parts)
