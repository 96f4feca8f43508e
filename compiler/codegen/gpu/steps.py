"""Steps that another kind of step, or a library, computes on a device.

In: steps of a schedule. Out: the kernel step that a sum over windows is, and the launches of what torch computes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import sympy

from ...ir.graph import Node, size_of
from ...schedule.program import Launch
from ...schedule.steps import CheckStep, KernelStep, ScatterStep, Schedule, Store, TransformStep, WindowStep
from ..lengths import python_length


def window_kernel(schedule: Schedule, step: WindowStep) -> tuple[Schedule, KernelStep]:
    """A sum over windows as a reduction, and the schedule with its nodes.

    Before: result = the contraction of data and weight over windows. After: result = reduce(sum, data * weight), a nest whose
    points sum their windows in loops. Why it is legal: it is what the contraction means.
    """
    nodes = list(schedule.nodes)
    node = nodes[step.node]
    data, weight = node.operands
    axes = tuple(axis for axis in schedule.lengths if axis in (*nodes[data].axes, *nodes[weight].axes))
    product = len(nodes)
    nodes.append(Node("mul", (data, weight), (), "real", axes))
    over = node.attribute("over")
    nodes.append(Node("reduce", (product,), (("operation", "sum"), ("over", over)), "real", node.axes, node.name, node.span))
    store = Store(product + 1, step.result, node.axes)
    kernel = KernelStep(step.name, (store,), {data: step.data, weight: step.weight})
    return replace(schedule, nodes=tuple(nodes)), kernel


def _points(schedule: Schedule, axes: Iterable[str]) -> str:
    return f"={python_length(sympy.expand(size_of(schedule.lengths[axis] for axis in axes)))}"


def transform_launch(schedule: Schedule, step: TransformStep) -> Launch:
    """A Fourier or cosine transform, by torch.fft."""
    operands = [place.buffer for place in step.operands if place is not None]
    results = [place.buffer for place in step.results]
    source, target, n = (f"={python_length(length)}" for length in step.lengths)
    sizes = (f"={len(operands)}", _points(schedule, step.outer), source, target, _points(schedule, step.inner), n)
    return Launch("torch", step.function, (), (), (*operands, *results, *sizes))


def sort_launch(schedule: Schedule, step: ScatterStep) -> Launch:
    """The points of a scatter sorted by the rows they go to, by torch.sort."""
    sizes = (_points(schedule, step.groups), _points(schedule, step.points), f"={python_length(step.rows)}")
    return Launch("torch", "sort_keys", (), (), (step.keys.buffer, step.start.buffer, step.order.buffer, *sizes))


def check_launch(schedule: Schedule, step: CheckStep, number: int) -> Launch:
    """The comparison of an index's extremes with its dimension."""
    places = [place.buffer for place in (step.low, step.high) if place is not None]
    sizes = (f"={python_length(step.points)}", f"={python_length(step.length)}", f"={number}")
    return Launch("torch", "check_indices", (), (), (*places, *sizes))
