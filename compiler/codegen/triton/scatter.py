"""Values added up at the rows that their keys name, as a Triton kernel.

In: a scatter step of a schedule, whose points torch has sorted by row. Out: its kernel and launch. Holds: every row is written by
one program, its sum gathered in float64 in an order that lengths alone decide.
"""

from __future__ import annotations

import sympy

from ...ir.graph import size_of
from ...schedule.program import Launch
from ...schedule.steps import ScatterStep, Schedule
from ..gpu.grid import Accesses
from ..gpu.steps import sort_launch
from .expressions import ExpressionWriter
from .kernel import Sweep
from .sizes import text
from .values import TileValues

_TILE = 256  # values of a tile of points by elements of a row


def scatter(schedule: Schedule, step: ScatterStep, name: str, writer: ExpressionWriter) -> Sweep:
    """The kernels of a scatter step: torch sorts its keys first."""
    values = TileValues(schedule, {}, Accesses({}, {}, ()), writer, 2)
    out = values.out
    out.indent()

    def points(axes: tuple[str, ...]) -> sympy.Expr:
        return size_of(schedule.lengths[axis] for axis in axes)

    groups, count, inner = (values.length(points(axes)) for axes in (step.groups, step.points, step.inner))
    rows = values.length(step.rows)
    keyed = [place.buffer for place in (step.start, step.order, step.values, step.result)]
    start, order, source, result = (values.pointer(buffer) for buffer in keyed)
    out.add("program = tl.program_id(0).to(tl.int64)")
    out.add(f"column_blocks = tl.cdiv({inner}, COLUMNS)")
    out.add("column = program % column_blocks * COLUMNS + tl.arange(0, COLUMNS)[None, :]")
    out.add(f"row = program // column_blocks % ({rows})")
    out.add(f"block = program // (column_blocks * ({rows}))")
    out.add(f"group = block % ({groups})")
    out.add(f"begin = tl.load({start} + group * ({rows} + 1) + row)")
    out.add(f"end = tl.load({start} + group * ({rows} + 1) + row + 1)")
    out.add("total = tl.full((1, COLUMNS), 0.0, tl.float64)")
    with out.block("for first in range(begin, end, ROWS):"):
        out.add("place = first + tl.arange(0, ROWS)[:, None]")
        out.add(f"point = tl.load({order} + group * ({count}) + place, mask=place < end, other=0)")
        out.add(f"inside = (place < end) & (column < {inner})")
        out.add(f"value = tl.load({source} + (block * ({count}) + point) * ({inner}) + column, mask=inside, other=0)")
        out.add("total = total + tl.sum(value.to(tl.float64), axis=0, keep_dims=True)")
    dtype = writer.storage(schedule.buffers[step.result.buffer].dtype)
    rounded = "total" if writer.double else "total.to(tl.float32)"
    stored = rounded if dtype == writer.real else f"{rounded}.to({dtype})"
    if dtype == "tl.bfloat16":
        stored = writer.call("to_bf16", rounded)
    out.add(f"tl.store({result} + (block * ({rows}) + row) * ({inner}) + column, {stored}, mask=column < {inner})")
    kernel = values.function(name, [f"{step.result.buffer}: a program a row, its points sorted"], ["ROWS", "COLUMNS"], out)
    width = f"min(padded({text(points(step.inner))}), {_TILE})"
    constants = (("COLUMNS", width), ("ROWS", f"max(1, {_TILE} // {width})"))
    programs = f"{text(points(step.outer))} * {text(points(step.groups))} * {text(step.rows)}"
    grid = f"{programs} * blocks({text(points(step.inner))}, {width})"
    note = f"values over {'*'.join(step.points)} added up at the rows that their keys name; torch sorts them"
    return Sweep((kernel,), (sort_launch(schedule, step), Launch("kernel", name, (grid,), constants, kernel.arguments)), (), note)
