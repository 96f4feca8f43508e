"""Scatters as CUDA kernels.

In: a scatter step of a schedule, whose points another launch has sorted by their rows. Out: `Kernel`s.
"""

from __future__ import annotations

from collections.abc import Iterable

import sympy

from ...lang.checked import Length
from ...schedule.program import Launch
from ...schedule.steps import ScatterStep, Schedule
from ..lengths import identifier, python_length
from .products import StepWriter
from .writer import THREADS, Kernel, divisor, product_of


def scatter_kernels(schedule: Schedule, step: ScatterStep, name: str) -> list[Kernel]:
    """The kernel that adds values up, an element of the result a thread."""
    writer = StepWriter(schedule)

    def count(axes: Iterable[str]) -> Length:
        return sympy.expand(product_of(schedule.lengths[axis] for axis in axes))

    outer, groups, points, inner = (count(axes) for axes in (step.outer, step.groups, step.points, step.inner))
    elements = sympy.expand(outer * groups * step.rows * inner)
    places = [f"at_{identifier(place.buffer)}" for place in (step.start, step.order, step.values, step.result)]
    sizes = ["groups", writer.length(points), "rows", "inner"]
    divisors = [divisor(name, python_length(size)) for name, size in (("groups", groups), ("rows", step.rows), ("inner", inner))]
    writer.out.add("const int64_t element = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;")
    writer.out.add(f"if (element < {writer.length(elements)}) lamina::scatter_element(element, {', '.join([*sizes, *places])});")
    summary = f"{step.result.buffer}: values over {' x '.join(step.points)} added up at the rows that their keys name"
    read = (step.start.buffer, step.order.buffer, step.values.buffer)
    text, arguments = writer.finish(name, summary, read, (step.result.buffer,), divisors)
    launch = Launch("kernel", name, (f"blocks({python_length(elements)}, {THREADS})",), (), arguments, str(THREADS // 32))
    return [Kernel(text, launch, summary)]
