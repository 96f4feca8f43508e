"""Plans in words.

In: a schedule. Out: `Kernel` records for reports, and the text of the whole plan for `lamina inspect`. Holds: every step is there,
in the order of execution.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ir.graph import Affine
from ..ir.text import value_text
from ..schedule.nest import Nest, plan_nest
from ..schedule.scans import recurrence
from ..schedule.steps import (
    Buffer,
    CheckStep,
    Gathered,
    KernelStep,
    Place,
    ProductStep,
    ScanStep,
    ScatterStep,
    Schedule,
    Step,
    Store,
    TransformStep,
    WindowStep,
)
from .record import Kernel


def kernels(plan: Schedule) -> tuple[Kernel, ...]:
    """One record a step."""
    return tuple(_record(plan, step) for step in plan.steps)


def _record(plan: Schedule, step: Step) -> Kernel:
    if isinstance(step, KernelStep):
        return _loops(plan, step)
    if isinstance(step, ScatterStep):
        return _scatter(step)
    if isinstance(step, TransformStep):
        return _transform(step)
    if isinstance(step, WindowStep):
        return _windows(step)
    if isinstance(step, ScanStep):
        return _scan(plan, step)
    return _check(step) if isinstance(step, CheckStep) else _product(step)


def plan_text(plan: Schedule) -> str:
    """Buffers, then steps: of loop nests the loops, stages, sums and stores, of matrix products their shape and operands."""
    lines = [f"plan of {plan.name}, reals computed in {plan.compute}", "", "buffers"]
    rows = [(buffer.role, _buffer(buffer, plan.compute)) for buffer in plan.buffers.values()]
    lines += [f"  {role:10} {text}" for role, text in rows]
    for number, step in enumerate(plan.steps):
        tile = plan.tile_of(number)
        if tile is not None and number == tile.first:
            held = f", which hold a tile each: {', '.join(tile.tiled)}" if tile.tiled else ""
            each = f" of each {_times(tile.batch)}" if tile.batch else ""
            lines += ["", f"for each tile of {tile.extent} along {tile.axis}{each}, the next {tile.last - number} steps{held}"]
        lines += ["", *_step_text(plan, step)]
    lines += ["", *(f"note: {note}" for note in plan.notes)] if plan.notes else []
    return "\n".join(lines) + "\n"


def _buffer(buffer: Buffer, compute: str) -> str:
    dtype = compute if buffer.dtype == "compute" else buffer.dtype
    shared = f", one tensor with {buffer.same_as}" if buffer.same_as is not None else ""
    return f"{buffer.name}[{', '.join(map(str, buffer.dimensions))}] {dtype} {buffer.layout}{shared}"


def _nest(plan: Schedule, step: KernelStep) -> Nest:
    return plan_nest(plan.nodes, tuple(plan.lengths), step.leaves, step.stores)


def _times(axes: Iterable[str], empty: str = "one point") -> str:
    return " x ".join(axes) or empty


def _loops(plan: Schedule, step: KernelStep) -> Kernel:
    nest = _nest(plan, step)
    computes = tuple(dict.fromkeys(store.place.buffer for store in step.stores))
    words = f"{', '.join(computes)} in one pass over {_times(nest.order)}"
    if nest.row:
        sums = ", ".join(_sum_name(plan, number) for number in nest.row)
        times = "once" if nest.stages == 1 else f"{nest.stages} times"
        words = f"{', '.join(computes)} over {_times(nest.order)}: "
        words += f"each row of {_times(nest.inner)} is run through {times}, finishing {sums}"
    if nest.column:
        # a sum over the rows as well: each thread adds up its own, then these are added in order
        words += f"; {_counted(len(nest.column), 'sum')} over the rows, a partial result for each thread"
    return Kernel(step.name, "loops", nest.order, nest.stages, computes, words)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _sum_name(plan: Schedule, number: int) -> str:
    node = plan.nodes[number]
    return node.name or f"{node.attribute('operation')} over {'*'.join(node.attribute('over'))}"


def _product(step: ProductStep) -> Kernel:
    axes = (*step.batch, *step.m, *step.n, *step.k)
    words = f"{step.result.buffer} = {step.left.buffer} times {step.right.buffer}, a matrix product of "
    words += f"{_times(step.m, '1')} by {_times(step.n, '1')}, summed over {_times(step.k)}"
    if step.batch:
        words += f", for each of {_times(step.batch)}"
    return Kernel(step.name, "product", axes, 1, (step.result.buffer,), words)


def _windows(step: WindowStep) -> Kernel:
    given = step.roles
    parts = tuple(axis for axis in (given.row, given.column, given.window, given.tap) if axis is not None)
    words = f"{step.result.buffer} = {step.data.buffer}, read at windows, times {step.weight.buffer}, "
    words += f"{'its' if given.spreads else 'summed over its'} columns along {given.column}"
    if step.outer:
        words += f", for each of {_times(step.outer)}"
    return Kernel(step.name, "windows", (*step.outer, *parts, *step.others), 1, (step.result.buffer,), words)


def _windows_text(step: WindowStep) -> list[str]:
    given = step.roles
    lines = [f"{step.name}: sum over windows, {'outputs' if given.spreads else 'sums'} side by side along {given.column}"]
    if given.row is not None:
        lines.append(f"  rows {given.row}, window rows {given.window}, {given.dilation} apart")
    lines += [f"  data {_place(step.data)}", f"  weight {_place(step.weight)}", f"  result {_place(step.result)}"]
    return lines


def _scan(plan: Schedule, step: ScanStep) -> Kernel:
    found = recurrence(plan.nodes, tuple(plan.lengths), step.leaves, step.stores, [store.node for store in step.stores])
    computes = tuple(dict.fromkeys(store.place.buffer for store in step.stores))
    words = f"{', '.join(computes)}, step by step {'back ' if found.reverse else ''}along {found.axis}"
    if found.rest:
        words += f", for each of {_times(found.rest)}"
    if found.staged:
        words += (
            f"; each step first finishes {_counted(len(found.staged), 'value')} along {_times(sorted(found.within), 'no axis')}"
        )
    return Kernel(step.name, "scan", (*found.rest, found.axis), 1, computes, words)


def _check(step: CheckStep) -> Kernel:
    bounds = [place.buffer for place in (step.low, step.high) if place is not None]
    what = f"{' and '.join(bounds)} lie" if bounds else "each of its indices lies"
    words = f"the call ends here unless {what} in 0..{step.length - 1}"
    return Kernel(step.name, "check", (), 1, (), words)


def _scatter(step: ScatterStep) -> Kernel:
    axes = (*step.outer, *step.groups, *step.points, *step.inner)
    words = f"{step.result.buffer} = {step.values.buffer} over {_times(step.points)} added up at the rows {step.keys.buffer}"
    return Kernel(step.name, "scatter", axes, 1, (step.result.buffer,), words)


def _transform(step: TransformStep) -> Kernel:
    results = tuple(place.buffer for place in step.results)
    operands = " and ".join(place.buffer for place in step.operands if place is not None)
    words = f"{' and '.join(results)} = {step.function} of {operands}, {step.lengths[2]} points from {step.source} to {step.target}"
    if step.outer or step.inner:
        words += f", for each of {_times((*step.outer, *step.inner))}"
    return Kernel(step.name, "transform", (*step.outer, step.target, *step.inner), 1, results, words)


def _step_text(plan: Schedule, step: Step) -> list[str]:
    if isinstance(step, ScanStep):
        return [f"{step.name}: {_scan(plan, step).summary}", *(_store(plan, store) for store in step.stores)]
    if isinstance(step, (CheckStep, ScatterStep, TransformStep)):
        return [f"{step.name}: {_record(plan, step).summary}"]
    if isinstance(step, WindowStep):
        return _windows_text(step)
    return _loops_text(plan, step) if isinstance(step, KernelStep) else _product_text(plan, step)


def _place(place: Place) -> str:
    return f"{place.buffer}[{', '.join(_index(index) for index in place.indices)}]"


def _index(index: Affine | Gathered) -> str:
    return f"%{index.node}" if isinstance(index, Gathered) else value_text(index)[1:-1]


def _store(plan: Schedule, store: Store) -> str:
    name = plan.nodes[store.node].name
    value = f"%{store.node}" + (f" ({name})" if name else "")
    return f"  store {_place(store.place)} = {value}"


def _loops_text(plan: Schedule, step: KernelStep) -> list[str]:
    nest = _nest(plan, step)
    lines = [f"{step.name}: loop nest"]
    lines += [f"  rows over {_times(nest.outer)}" if nest.outer else "  one row", f"  within a row {_times(nest.inner)}"]
    if nest.row:
        lines.append(f"  {_counted(nest.stages, 'stage')}, the innermost loops run once for each")
    for kind, numbers in (("row", nest.row), ("column", nest.column)):
        for number in numbers:
            node = plan.nodes[number]
            stage = f", stage {nest.levels[number]}" if kind == "row" else ", a partial result for each thread"
            lines.append(f"  {kind} {node.attribute('operation')} %{number} over {'*'.join(node.attribute('over'))}{stage}")
    stored = {store.node for store in step.stores}
    reads = [_place(place) for number, place in step.leaves.items() if number in nest.cone and number not in stored]
    lines += [f"  read {text}" for text in dict.fromkeys(reads)]
    return lines + [_store(plan, store) for store in step.stores]


def _product_text(plan: Schedule, step: ProductStep) -> list[str]:
    lines = [f"{step.name}: matrix product", f"  {_times(step.m, '1')} by {_times(step.n, '1')}, summed over {_times(step.k)}"]
    lines += [f"  batch {_times(step.batch)}"] if step.batch else []
    lines += [f"  left {_place(step.left)}", f"  right {_place(step.right)}"]
    return [*lines, f"  result {_place(step.result)}"]
